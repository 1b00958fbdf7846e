# ngx_async
#
#   make                    build/ngx_async_module.so for the installed nginx
#   make NGINX_SRC=dir      the same for an nginx source tree, with that nginx
#   make run                a demonstration on 127.0.0.1:8080
#   make test               unit tests and suites; T=file... for some suites
#   make fuzz               parsers with libFuzzer; FUZZ_TIME=seconds for each
#   make check              static analysis
#   make bench              measurements against plain nginx
#   make asan               nginx and module with sanitizers
#   make test-asan          the suites with them
#   make test-valgrind      the suites under valgrind
#   make deps               install what "make" needs
#   make install            copy the module into nginx's modules directory
#   make clean
#
# Variables:
#
#   BUILD        directory of everything built: build
#   NGINX_SRC    nginx source tree; by default the installed nginx's headers
#   NGINX_CONF   configure arguments for NGINX_SRC
#   STATIC       1: link the module into that nginx
#   CC_OPT       further compiler options; LD_OPT: linker options
#   JOBS         parallel compilations: 2
#   T            suites to run: tests/t

SHELL := /bin/bash
.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory

BUILD ?= build
NGINX_SRC ?=
STATIC ?=
JOBS ?= 2
T ?= tests/t
PROVE ?= prove -r

top := $(CURDIR)
build := $(abspath $(BUILD))
debian_src := /usr/share/nginx/src

srcs := ngx_async_module.c $(sort $(wildcard src/*/*.c))
hdrs := $(sort $(wildcard src/*.h src/*/*.h))

# no path of the checkout in what is built
cc_opt := -ffile-prefix-map=$(top)=. $(CC_OPT)

ifeq ($(NGINX_SRC),)

nginx_src := $(debian_src)
nginx_bin := /usr/sbin/nginx
work := $(build)/for-installed
nginx_target := modules
cc_opt := -g -O2 -fstack-protector-strong -Wformat -Werror=format-security \
	-fPIC -D_FORTIFY_SOURCE=2 $(cc_opt)
ld_opt := -Wl,-z,relro -Wl,-z,now -fPIC $(LD_OPT)
nginx_conf = "$${NGX_CONF_FLAGS[@]}"

else

nginx_src := $(abspath $(NGINX_SRC))
work := $(build)/for-$(notdir $(nginx_src))$(if $(STATIC),-static)
nginx_bin := $(work)/objs/nginx
nginx_target := binary $(if $(STATIC),,modules)
cc_opt := -g -O2 $(cc_opt)
ld_opt := $(LD_OPT)

# what the suites need, as far as this nginx has it
NGINX_CONF ?= --with-compat --with-debug --with-threads --with-pcre-jit \
	--with-http_ssl_module --with-http_v2_module \
	$(shell grep -qs http_v3_module $(nginx_src)/auto/options \
		&& echo --with-http_v3_module) \
	--with-http_realip_module --with-http_auth_request_module \
	--with-http_addition_module --with-http_sub_module \
	--with-http_dav_module --with-http_slice_module \
	--with-http_gunzip_module --with-http_gzip_static_module \
	--with-http_random_index_module --with-http_secure_link_module \
	--with-http_stub_status_module --with-stream --with-stream_ssl_module
nginx_conf = $(NGINX_CONF)

endif

objs := $(work)/objs
addon := $(if $(STATIC),--add-module,--add-dynamic-module)=$(top)
module := $(if $(STATIC),,$(build)/ngx_async_module.so)


.PHONY: all configure deps run test unit suites clients fuzz check bench asan \
	test-asan reports test-valgrind install clean FORCE

all:
	@mkdir -p $(build)
	@flock $(build)/.lock $(MAKE) build


# A build of nginx writes into its current directory only, so it is done in
# one that links to the source tree: the tree itself may be read-only.

.PHONY: build
build: $(objs)/Makefile
	@cd $(work) && $(MAKE) -s -j$(JOBS) -f objs/Makefile $(nginx_target)
ifneq ($(module),)
	@cmp -s $(objs)/ngx_async_module.so $(module) \
		|| { cp $(objs)/ngx_async_module.so $(module).new \
		     && mv $(module).new $(module) \
		     && echo "built $(BUILD)/ngx_async_module.so"; }
endif

# nginx is configured again when the list of files, its arguments or the
# nginx itself changed; whatever that leaves as it was is not built again

$(objs)/Makefile: config $(work)/inputs
	@rm -f $(addprefix $(work)/,auto src conf configure contrib)
	@for i in auto src conf configure contrib; do \
		if [ -e $(nginx_src)/$$i ]; then \
			ln -s $(nginx_src)/$$i $(work)/$$i; fi; done
	@cd $(work) \
	&& mkdir -p objs \
	&& for i in objs/ngx_*.[ch]; do \
		if [ -e $$i ]; then cp -p $$i $$i.old; fi; done \
	&& echo "configuring nginx, see $(work:$(top)/%=%)/configure.log" \
	&& if [ -e $(nginx_src)/conf_flags ]; then . $(nginx_src)/conf_flags; fi \
	&& configure=configure \
	&& if [ -e auto/configure ]; then configure=auto/configure; fi \
	&& if ! ./$$configure $(nginx_conf) --with-cc-opt='$(cc_opt)' \
		--with-ld-opt='$(ld_opt)' --builddir=objs $(addon) \
		> configure.log 2>&1; \
	then tail -n 5 configure.log; rm -f objs/Makefile; exit 1; fi \
	&& for i in objs/ngx_*.[ch]; do \
		if cmp -s $$i $$i.old; then mv $$i.old $$i; \
		else rm -f $$i.old; fi; done

$(work)/inputs: FORCE
	@if [ ! -e $(nginx_src)/src/core/nginx.h ]; then \
		echo "no nginx headers in $(nginx_src): run \"make deps\"," \
			"or give a source tree with NGINX_SRC=dir" >&2; exit 1; fi
	@mkdir -p $(work)
	@{ echo $(srcs) $(hdrs); \
	   echo '$(cc_opt) $(ld_opt) $(addon)' $(NGINX_CONF); \
	   cat $(nginx_src)/conf_flags 2>/dev/null; \
	   grep 'define NGINX_VERSION' $(nginx_src)/src/core/nginx.h; \
	   [ -n "$(NGINX_SRC)" ] || $(nginx_bin) -V; \
	   $(CC) --version | head -n 1; } > $@.new 2>&1; \
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi


deps:
	@tests/install build

install: all
	install -D -m 644 $(module) \
		$(DESTDIR)$(or $(MODULES),/usr/lib/nginx/modules)/ngx_async_module.so

clean:
	rm -rf $(BUILD)


# The demonstration: its state is in var/

run:
	@tests/install build run
	@$(MAKE) all
	@NGINX_BINARY=$(nginx_bin) exec conf/run


# Tests

test_env = NGX_ASYNC_MODULE=$(module) TEST_NGINX_LOAD_MODULES=$(module) \
	TEST_NGINX_BINARY=$(nginx_bin) TEST_NGINX_SERVROOT=$(build)/servroot \
	NGX_ASYNC_CLIENTS=$(CLIENTS)

test:
	@tests/install build test
	@$(MAKE) all
	@$(MAKE) clients
	@$(MAKE) unit
	@$(MAKE) suites

unit:
	@$(MAKE) -f tests/unit/Makefile BUILD=$(build)/unit NGINX_WORK=$(work)

suites:
	@$(test_env) $(PROVE) $(T)

# Clients from npm, and a browser.  The suites that need what could not be
# installed are skipped, and say so.

CLIENTS ?= $(build)/clients

clients:
	@tests/install clients || echo "clients: not all of them are installed"
	@mkdir -p $(CLIENTS)
	@flock $(CLIENTS)/.lock $(MAKE) $(CLIENTS)/installed \
		|| echo "clients: see $(CLIENTS)/npm.log"

$(CLIENTS)/installed: $(addprefix tests/clients/,package.json \
		package-lock.json .npmrc)
	@cp $^ $(CLIENTS)
	@cd $(CLIENTS) && npm ci > npm.log 2>&1
	@touch $@

fuzz:
	@tests/install build fuzz
	@$(MAKE) all
	@$(MAKE) -f tests/fuzz/Makefile BUILD=$(build)/fuzz NGINX_WORK=$(work)

check:
	@tests/install build check
	@cppcheck -q --std=c11 --enable=warning,performance,portability \
		--inline-suppr --error-exitcode=1 --suppress=missingInclude \
		-j$(JOBS) -I. $(srcs)

bench:
	@tests/install build run bench
	@$(MAKE) all
	@NGX_ASYNC_MODULE=$(module) NGINX_BINARY=$(nginx_bin) bench/run $(ARGS)


# Sanitizers: every pool allocation of nginx becomes one of malloc().  The module
# is linked into it: one that is loaded is unloaded before leaks are looked for,
# and what is under way when a worker is told to end would look like one.

asan_src := $(build)/asan/nginx-source
sanitize := -fsanitize=address,undefined \
	-fno-sanitize=nonnull-attribute,alignment
asan_make = $(MAKE) NGINX_SRC=$(asan_src) STATIC=1 BUILD=$(build)/asan \
	CLIENTS=$(CLIENTS) \
	LD_OPT='$(sanitize)' CC_OPT='-O1 -fno-omit-frame-pointer $(sanitize) \
		-DNGX_DEBUG_PALLOC=1 -DNGX_DEBUG_MALLOC=1'

# each report is a file, and fails the run

reports := $(build)/reports
with_reports = rc=0; $(1) || rc=1; ! grep . -rh $(reports) && exit $$rc

asan_env = ASAN_OPTIONS=detect_odr_violation=0:log_path=$(reports)/asan \
	UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:log_path=$(reports)/ubsan \
	LSAN_OPTIONS=suppressions=$(top)/tests/lsan.suppress:print_suppressions=0

# What is read or decided upon before it was written; leaks are test-asan's.
# The titles of processes are hidden: see NgxAsync.pm.

valgrind_env = TEST_NGINX_BINARY=$(top)/tests/valgrind \
	NGX_ASYNC_VALGRIND=$(nginx_bin) \
	VALGRIND_OPTS='--log-file=$(reports)/valgrind.%p --num-callers=40 \
		--leak-check=no'


asan:
	@tests/install build asan
	@tests/nginx-source $(asan_src)
	@$(asan_make) all

reports:
	@rm -rf $(reports)
	@mkdir -p -m 1777 $(reports)

test-asan: asan clients reports
	@tests/install test
	@$(call with_reports,$(asan_env) $(asan_make) suites)

test-valgrind: reports
	@tests/install build test valgrind
	@$(MAKE) all
	@$(MAKE) clients
	@$(call with_reports,$(test_env) $(valgrind_env) $(PROVE) $(T) \
		&& ls $(reports)/valgrind.* > /dev/null)
