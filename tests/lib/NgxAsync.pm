package NgxAsync;

# Scenarios over time: a real nginx that is killed, reloaded and upgraded, a
# backend that remembers what it was asked (recorder.py), and clients that
# write down what they were promised.
#
#     my $backend = NgxAsync::Backend->new;
#     my $nginx = NgxAsync->new(workers => 2, locations => <<"END");
#         location / { async on; proxy_pass $backend->{url}; }
#     END
#     my $job = $nginx->submit('GET', '/x?token=a&delay=100');
#     $nginx->kill_worker;
#     is($nginx->wait_end($job)->{status}, 'succeeded');
#     $nginx->stop;             # fails if its log has what it must not

use strict;
use warnings;
no warnings 'exec';

use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex);
use Errno qw(EAGAIN EINTR EPIPE ECONNRESET);
use Fcntl qw(:flock O_WRONLY O_APPEND O_CREAT);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Spec;
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use JSON::PP qw(decode_json);
use POSIX qw(WNOHANG);
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Test::More;
use Time::HiRes qw(time);

use Exporter 'import';
our @EXPORT_OK = qw(free_port wait_until request slurp checked alive uuid
    in_background $slow);

# sanitizers and valgrind take their time
our $slow = ($ENV{ASAN_OPTIONS} || $ENV{VALGRIND_OPTS}) ? 4 : 1;

$SIG{PIPE} = 'IGNORE';

my $test = $$;
my %children;


sub base
{
    my $dir = $ENV{TEST_NGINX_SERVROOT}
        ? dirname($ENV{TEST_NGINX_SERVROOT}) . '/life'
        : File::Spec->tmpdir . "/ngx-async-life-$<";

    make_path($dir);
    return $dir;
}


# below those that outgoing connections get, which a restart could meet

sub free_port
{
    for (1 .. 100) {
        my $port = 12000 + int rand 20000;

        return $port if IO::Socket::INET->new(Listen => 1, ReuseAddr => 1,
                                              LocalAddr => '127.0.0.1',
                                              LocalPort => $port);
    }

    die "no port: $!";
}


# waits for a condition: its value, or nothing when the time is over

sub wait_until
{
    my ($condition, $seconds) = @_;

    my $end = time + ($seconds // 10) * $slow;
    my $pause = 0.002;

    while (1) {
        my $value = $condition->();
        return $value if $value;
        return if time > $end;
        select undef, undef, undef, $pause;
        $pause = $pause * 2 if $pause < 0.05;
    }
}


sub slurp
{
    my ($file) = @_;

    open my $f, '<', $file or return '';
    local $/;
    return <$f> // '';
}


# a process that is there and no zombie

sub alive
{
    my ($pid) = @_;

    my ($state) = slurp("/proc/$pid/stat") =~ /^\d+ \(.*\) (\S)/s;

    return defined $state && $state ne 'Z' && $state ne 'X';
}


# A request on a connection of its own.  "complete" tells whether all that was
# announced has come; body => string, or [size, piece]; take => sub is given
# the response's body bit by bit, instead of {body}.

sub request
{
    my ($port, $method, $uri, %args) = @_;

    my $end = time + ($args{timeout} // 30) * $slow;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);

    my %r = (status => 0, headers => {}, body => '', complete => 0);

    return \%r unless $s;

    setsockopt $s, IPPROTO_TCP, TCP_NODELAY, 1;

    my ($body, $size) = ($args{body} // '');
    my $piece;

    if (ref $body) {
        ($size, $piece) = @$body;
        $body = '';

    } else {
        $size = length $body;
    }

    my $head = "$method $uri HTTP/1.1\r\nHost: "
        . ($args{host} // 'localhost') . "\r\n"
        . "Connection: close\r\n"
        . join '', map { "$_\r\n" } @{ $args{headers} // [] };

    $head .= "Content-Length: $size\r\n"
        if defined $args{body} || $method eq 'POST' || $method eq 'PUT';

    my $out = "$head\r\n$body";
    my $left = $size - length $body;

    $s->blocking(0);

    my $in = '';
    my $headed = 0;
    my $need;
    my $got = 0;

    while (1) {

        if (length $out < 65536 && $left) {
            my $n = $left < length $piece ? $left : length $piece;
            $out .= substr $piece, 0, $n;
            $left -= $n;
        }

        my $read = my $write = '';
        vec($read, fileno $s, 1) = 1;
        vec($write, fileno $s, 1) = 1 if length $out;

        my $wait = $end - time;

        if ($wait <= 0) {
            $r{hung} = 1;
            return \%r;
        }

        select $read, $write, undef, $wait;

        if (length $out && vec $write, fileno $s, 1) {
            my $n = syswrite $s, $out;

            if (defined $n) {
                substr($out, 0, $n) = '';

            } elsif (!$!{EAGAIN} && !$!{EINTR}) {
                $out = '';
                $left = 0;
            }
        }

        next unless vec $read, fileno $s, 1;

        my $n = sysread $s, $in, 1 << 18, length $in;

        if (!defined $n) {
            next if $!{EAGAIN} || $!{EINTR};
            return \%r;
        }

        if (!$headed && $in =~ s/^(.*?)\r\n\r\n//s) {
            my ($line, @fields) = split /\r\n/, $1;

            ($r{status}) = $line =~ m{^HTTP/1\.1 (\d+)};
            $r{status} //= 0;

            for (@fields) {
                my ($name, $value) = /^([^:]+): *(.*)$/ or next;
                push @{ $r{headers}{lc $name} }, $value;
            }

            if ($r{status} == 100) {
                $r{headers} = {};
                next;
            }

            $headed = 1;
            $need = $r{headers}{'content-length'}[0];
        }

        if ($headed && length $in) {
            $got += length $in;

            if ($args{take}) {
                $args{take}->($in);

            } else {
                $r{body} .= $in;
            }

            $in = '';
        }

        if ($n == 0 || defined $need && $got >= $need) {
            $r{length} = $got;

            my $chunked = $r{headers}{'transfer-encoding'};

            if ($chunked) {
                $r{complete} = $r{body} =~ /(?:^|\r\n)0\r\n\r\n\z/;
                $r{body} = unchunked($r{body});

            } else {
                $r{complete} = $headed && defined $need && $got == $need;
                $r{complete} = 1 if $headed && $r{status} =~ /^(204|304)$/;
            }

            return \%r;
        }
    }
}


sub unchunked
{
    my ($in) = @_;

    my $out = '';

    while ($in =~ s/^([0-9a-f]+)\r\n//i) {
        my $n = hex $1 or last;
        $out .= substr $in, 0, $n;
        substr($in, 0, $n + 2) = '';
    }

    return $out;
}


# true if a response of the recorder is whole

sub checked
{
    my ($body) = @_;

    return length $body >= 64
        && sha256_hex(substr $body, 0, -64) eq substr $body, -64;
}


sub uuid
{
    my ($r) = @_;

    my ($id) = ($r->{headers}{'operation-location'}[0] // '')
        =~ m{/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$};

    return $id;
}


# runs code in a process; ends with the test

sub in_background
{
    my ($code) = @_;

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        %children = ();
        eval { $code->(); 1 } or print STDERR $@;
        POSIX::_exit(0);
    }

    $children{$pid} = 1;

    return $pid;
}


sub reap
{
    my ($pid, $seconds) = @_;

    my $gone = wait_until(sub { waitpid($pid, WNOHANG) != 0 }, $seconds);

    delete $children{$pid} if $gone;

    return $gone;
}


END {
    if ($$ == $test) {
        local $?;
        kill 'KILL', $_ for keys %children;
        waitpid $_, 0 for keys %children;
    }
}


# What makes fdatasync() and its like fail while there is a file "fails" in the
# directory, or, for files of blobs alone, a file "blob".  If there is a file "waits", the next one renames it to "waiting",
# and waits as long as that is there.  Nothing if it cannot be had.

sub preload
{
    my ($dir) = @_;

    my $library = library($dir, 'sync') or return;

    return (main => 'env LD_PRELOAD; env SYNC_FAILS; env SYNC_WAITS;'
            . ' env SYNC_WAITING; env SYNC_SECOND; env SYNC_BLOB;',
            env => { LD_PRELOAD => $library,
                     SYNC_FAILS => "$dir/fails",
                     SYNC_BLOB => "$dir/blob",
                     SYNC_SECOND => "$dir/second",
                     SYNC_WAITS => "$dir/waits",
                     SYNC_WAITING => "$dir/waiting" });
}


# What makes names have the addresses that the file "names" in the directory
# tells, with lines of a name and its addresses.

sub resolving
{
    my ($dir) = @_;

    my $library = library($dir, 'resolve') or return;

    return (main => 'env LD_PRELOAD; env RESOLVE_NAMES;',
            env => { LD_PRELOAD => $library,
                     RESOLVE_NAMES => "$dir/names" });
}


# There is no memory of so many bytes while there is a file "lacks" in the
# directory.

sub lacking
{
    my ($dir, $size) = @_;

    my $library = library($dir, 'memory') or return;

    return (main => 'env LD_PRELOAD; env MEMORY_LACKS; env MEMORY_SIZE;',
            env => { LD_PRELOAD => $library,
                     MEMORY_LACKS => "$dir/lacks",
                     MEMORY_SIZE => $size });
}


sub library
{
    my ($dir, $name) = @_;

    return if $ENV{ASAN_OPTIONS};

    my $source = abs_path(dirname(__FILE__)) . "/$name.c";

    return if system('cc', '-shared', '-fPIC', '-o', "$dir/$name.so", $source,
                     '-ldl') != 0;

    return "$dir/$name.so";
}


# nginx

sub new
{
    my ($class, %args) = @_;

    my $self = bless { workers => 1, size => '256m', %args }, $class;

    my $dir = $self->{base} // base();

    $self->{dir} //= tempdir('XXXXXXXX', DIR => $dir,
                             CLEANUP => !$ENV{NGX_ASYNC_KEEP});
    $self->{port} //= free_port();
    $self->{log_ok} = [ @{ $args{log_ok} // [] } ];
    $self->{owner} = $$;

    chmod 0755, $self->{dir};
    mkdir "$self->{dir}/temp";

    $self->configure;
    $self->start if $self->{start} // 1;

    return $self;
}


sub store
{
    my ($self) = @_;

    return $self->{store} // "$self->{dir}/store";
}


# writes the configuration, with what changes

sub configure
{
    my ($self, %args) = @_;

    @$self{keys %args} = values %args;

    my $d = $self->{dir};
    my $module = $ENV{NGX_ASYNC_MODULE}
        ? "load_module $ENV{NGX_ASYNC_MODULE};" : '';
    my $user = $> == 0 ? 'user ' . ($self->{user} // 'root') . ';' : '';
    my $o = sub { $self->{$_[0]} // '' };

    my $conf = <<"END";
$module
$user
daemon @{[ $self->{daemon} ? 'on' : 'off' ]};
worker_processes $self->{workers};
pid $d/nginx.pid;
error_log $d/error.log @{[ $self->{log} // 'info' ]};
@{[ map { "env $_;" } grep { /^(?:A|UB|L)SAN_OPTIONS$/ } keys %ENV ]}
@{[ $o->('main') ]}

events {
    worker_connections @{[ $self->{connections} // 1024 ]};
    @{[ $o->('events') ]}
}

http {
    access_log off;
    client_body_temp_path $d/temp/body;
    proxy_temp_path $d/temp/proxy;
    fastcgi_temp_path $d/temp/fastcgi;
    uwsgi_temp_path $d/temp/uwsgi;
    scgi_temp_path $d/temp/scgi;

    async_store @{[ $self->store ]} size=$self->{size};

    @{[ $o->('http') ]}

    server {
        listen 127.0.0.1:$self->{port} @{[ $o->('listen') ]};
        server_name localhost;
        client_max_body_size 1g;

        @{[ $o->('locations') ]}

        @{[ $self->{jobs} // 'location /jobs/ { async_jobs; }' ]}
    }

    @{[ $o->('servers') ]}
}
END

    open my $f, '>', "$d/nginx.conf.new" or die "nginx.conf: $!";
    print $f $conf;
    close $f;
    rename "$d/nginx.conf.new", "$d/nginx.conf" or die "nginx.conf: $!";
}


sub start
{
    my ($self) = @_;

    my $binary = $ENV{TEST_NGINX_BINARY} || 'nginx';
    my @command = ($binary, '-p', "$self->{dir}/", '-c', 'nginx.conf',
                   '-e', 'error.log');
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>>', "$self->{dir}/out";
        open STDERR, '>&', \*STDOUT;
        $ENV{$_} = $self->{env}{$_} for keys %{ $self->{env} // {} };
        exec @{ $self->{wrapper} // [] }, @command;
        POSIX::_exit(127);
    }

    $self->{child} = $self->{pid} = $pid;

    if ($self->{daemon}) {
        waitpid $pid, 0;
        delete $self->{child};

        $self->{pid} = wait_until(sub { $self->pid_of_file }) // -1;
    }

    my $up = wait_until(sub {
        return -1 if !$self->{daemon} && waitpid($pid, WNOHANG) == $pid;
        $self->{pid} = $self->pid_of_file // $pid if $self->{wrapper};
        return $self->up;
    }, 20);

    if (!$up || $up < 0) {
        diag(substr($self->log, -4000), slurp("$self->{dir}/out"));
        die "nginx has not started";
    }
}


sub pid_of_file
{
    my ($self) = @_;

    my ($pid) = slurp("$self->{dir}/nginx.pid") =~ /(\d+)/;

    return $pid && alive($pid) ? $pid : undef;
}


sub up
{
    my ($self) = @_;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $self->{port});

    return defined $s && ($self->{single} || $self->workers);
}


# a new binary beside the old one, with what changes: the pid of its master

sub upgrade
{
    my ($self, %args) = @_;

    my $old = $self->{pid};

    $self->configure(%args) if %args;

    kill 'USR2', $old;

    # the new master inherits sockets, and its pid is in the file

    return wait_until(sub {
        my $pid = $self->pid_of_file;
        return $pid && $pid != $old
               && $self->workers($pid) == $self->{workers} ? $pid : undef;
    }, 20);
}


# worker processes that are not being shut down

sub workers
{
    my ($self, $pid) = @_;

    my @children = $self->children($pid);

    return $self->logged_workers(@children) if $ENV{VALGRIND_OPTS};

    return grep { slurp("/proc/$_/cmdline") =~ /^nginx: worker process\0*$/ }
           @children;
}


# the same by the log, as valgrind hides the titles of processes; the last line
# of a process counts, since its id may have been another's

sub logged_workers
{
    my ($self, @children) = @_;

    my %worker;

    for (split /\n/, $self->log) {
        if (/: start worker process (\d+)$/) {
            $worker{$1} = 1;

        } elsif (/ (\d+)#\d+: (?:gracefully shutting down|exiting)$/) {
            delete $worker{$1};
        }
    }

    return grep { $worker{$_} } @children;
}


sub children
{
    my ($self, $pid) = @_;

    $pid //= $self->{pid};

    return grep { alive($_) }
           split ' ', slurp("/proc/$pid/task/$pid/children");
}


sub log { slurp("$_[0]{dir}/error.log") }


sub request_to
{
    my ($self, @args) = @_;

    return request($self->{port}, @args);
}


sub json
{
    my ($self, $uri, %args) = @_;

    my $r = request($self->{port}, 'GET', $uri, %args);

    return $r->{complete} && $r->{status} == 200
           ? decode_json($r->{body}) : undef;
}


# gives the id

sub submit
{
    my ($self, $method, $uri, %args) = @_;

    my $r = request($self->{port}, $method, $uri, %args);
    my $id = uuid($r);

    if ($r->{status} != 202 || !$id) {
        fail("$method $uri is accepted");
        diag("$r->{status} $r->{body}");
    }

    return $id;
}


sub status
{
    my ($self, $id) = @_;

    my $d = $self->json("/jobs/$id");

    return $d ? $d->{status} : '';
}


# the status document of a job that has ended

sub wait_end
{
    my ($self, $id, $seconds) = @_;

    return wait_until(sub {
        my $d = $self->json("/jobs/$id");
        return $d && $d->{status} =~ /succeeded|failed|canceled/ ? $d : undef;
    }, $seconds // 30) // {};
}


# new workers are there; the old ones may still be about to leave

sub reload
{
    my ($self, %args) = @_;

    my %old = map { $_ => 1 } $self->children;

    $self->configure(%args) if %args;

    kill 'HUP', $self->{pid};

    my $done = wait_until(sub {
        my @new = grep { !$old{$_} } $self->workers;
        return @new == $self->{workers}
               && !grep { $old{$_} } $self->workers;
    }, 20);

    if (!$done) {
        fail('a reload gives new workers');
        diag(join "\n", map { "$_ " . slurp("/proc/$_/cmdline") }
             $self->children);
    }

    return keys %old;
}


# the processes have gone

sub left
{
    my ($self, $pids, $seconds) = @_;

    return wait_until(sub { !grep { alive($_) } @$pids }, $seconds // 20);
}


sub kill_worker
{
    my ($self, $pid) = @_;

    my @workers = $self->workers;

    $pid //= $workers[rand @workers] or return;

    push @{ $self->{log_ok} }, qr/ $pid exited on signal 9/;

    kill 'KILL', $pid;

    return $pid;
}


# every process at once, and the end of them

sub kill_all
{
    my ($self) = @_;

    # stopped first, so that it starts no more workers meanwhile

    kill 'STOP', $self->{pid};
    wait_until(sub {
        slurp("/proc/$self->{pid}/stat") !~ /^\d+ \(.*\) [^TtZX]/s
    }, 5);

    my @pids = ($self->{pid}, $self->children);
    kill 'KILL', @pids;

    waitpid $self->{child}, 0 if $self->{child};
    delete $self->{child};

    $self->left(\@pids) or fail('killed processes are gone');
}


sub signal
{
    my ($self, $signal) = @_;

    kill $signal, $self->{pid};
}


# waits for the end of the master

sub ended
{
    my ($self, $seconds) = @_;

    my $pid = $self->{pid};
    my $child = $self->{child} && $self->{child} == $pid;

    my $gone = wait_until(sub {
        waitpid $pid, WNOHANG if $child;
        return !alive($pid);
    }, $seconds // 20);

    if ($gone && $self->{wrapper}) {
        waitpid $self->{child}, 0;
    }

    delete $self->{child} if $gone;

    return $gone;
}


sub stop
{
    my ($self, $signal) = @_;

    return unless $self->{pid} && $self->{owner} == $$;

    my @pids = ($self->{pid}, $self->children);

    kill $signal // 'QUIT', $self->{pid};

    my $gone = $self->ended && $self->left(\@pids);

    ok($gone, 'nginx exits');

    $self->kill_all unless $gone;

    delete $self->{pid};

    $self->clean;
}


# nothing in the log that must not be there

sub clean
{
    my ($self, $name) = @_;

    my @bad = grep { /\[(?:alert|emerg|crit)\]/ } split /\n/, $self->log;

    for my $ok (@{ $self->{log_ok} }) {
        @bad = grep { $_ !~ $ok } @bad;
    }

    push @bad, grep { /Sanitizer|runtime error/ }
               split /\n/, slurp("$self->{dir}/out");

    splice @bad, 20 if @bad > 20;

    is(join("\n", @bad), '', $name // 'the error log is clean');
}


sub DESTROY
{
    my ($self) = @_;

    return unless $self->{pid} && ($self->{owner} // 0) == $$;

    local $?;
    $self->kill_all;
}


package NgxAsync::Backend;

use strict;
use warnings;
no warnings 'exec';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);

my $recorder = abs_path(dirname(__FILE__)) . '/recorder.py';


sub new
{
    my ($class, %args) = @_;

    my $dir = tempdir('backend-XXXXXXXX', DIR => NgxAsync::base(),
                      CLEANUP => !$ENV{NGX_ASYNC_KEEP});
    my $port = $args{port} // NgxAsync::free_port();
    my $self = bless { dir => $dir, port => $port, owner => $$,
                       url => "http://127.0.0.1:$port",
                       log => "$dir/log" }, $class;

    $self->start;

    return $self;
}


sub start
{
    my ($self) = @_;

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {

        # not those of the nginx that is tested
        delete @ENV{qw(LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS)};
        open STDOUT, '>>', "$self->{dir}/out";
        open STDERR, '>&', \*STDOUT;
        exec 'python3', $recorder, $self->{port}, $self->{log};
        POSIX::_exit(127);
    }

    $self->{pid} = $pid;

    NgxAsync::wait_until(sub {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                              PeerPort => $self->{port})
    }, 20) or die "the backend has not started: "
                  . NgxAsync::slurp("$self->{dir}/out");
}


sub stop
{
    my ($self) = @_;

    return unless $self->{pid} && $self->{owner} == $$;

    local $?;
    kill 'KILL', $self->{pid};
    waitpid delete $self->{pid}, 0;
}


sub DESTROY { $_[0]->stop }


sub release
{
    my ($self, $gate) = @_;

    NgxAsync::request($self->{port}, 'GET', "/release?gate=$gate");
}


sub lines
{
    my ($self) = @_;

    return map { [split] } split /\n/, NgxAsync::slurp($self->{log});
}


# how often something was noted of a token

sub seen
{
    my ($self, $token, $what) = @_;

    return scalar grep { $_->[0] eq ($what // 'begin') && $_->[1] eq $token }
                  $self->lines;
}


# waits until it was

sub wait_for
{
    my ($self, $token, $what, $seconds) = @_;

    return NgxAsync::wait_until(sub { $self->seen($token, $what) },
                                $seconds // 10);
}


# tokens that came more than once with a method

sub repeated
{
    my ($self, $method) = @_;

    my %n;

    for ($self->lines) {
        $n{$_->[1]}++ if $_->[0] eq 'begin' && $_->[2] eq $method;
    }

    return grep { $n{$_} > 1 } sort keys %n;
}


# the most requests of all that were under way at a time

sub peak
{
    my ($self) = @_;

    my $peak = 0;

    for ($self->lines) {
        $peak = $_->[3] if $_->[0] eq 'begin' && $_->[3] > $peak;
    }

    return $peak;
}


# Clients: each sends jobs and reads results, until it is told to stop, and
# writes down what it was promised and what it saw:
#
#     job ID METHOD TOKEN       a 202 came
#     whole ID                  the response came and is as it must be
#     half ID ...               it came and is not: never
#     lost ID STATUS            the job is not known: never

package NgxAsync::Load;

use strict;
use warnings;

use Fcntl qw(O_WRONLY O_APPEND O_CREAT);
use File::Temp qw(tempdir);
use Time::HiRes qw(time);


sub new
{
    my ($class, $nginx, %args) = @_;

    my $dir = tempdir('load-XXXXXXXX', DIR => NgxAsync::base(),
                      CLEANUP => !$ENV{NGX_ASYNC_KEEP});
    my $self = bless { clients => 3, nginx => $nginx, dir => $dir,
                       log => "$dir/log", uri => '/', rate => 0.01,
                       %args }, $class;

    $self->{pids} = [ map { my $n = $_;
                            NgxAsync::in_background(sub { $self->client($n) })
                          } 1 .. $self->{clients} ];
    $self->{pids} = [ @{ $self->{pids} },
                      NgxAsync::in_background(sub { $self->reader }) ];

    return $self;
}


sub note
{
    my ($self, @words) = @_;

    if (!$self->{fd}) {
        sysopen $self->{fd}, $self->{log}, O_WRONLY | O_APPEND | O_CREAT
            or die "$self->{log}: $!";
    }

    syswrite $self->{fd}, join(' ', @words) . "\n";
}


sub stopping { -e "$_[0]{dir}/stop" }


sub pause
{
    my ($self, $seconds) = @_;

    select undef, undef, undef, $seconds;
}


sub client
{
    my ($self, $n) = @_;

    srand $$;

    my $port = $self->{nginx}{port};
    my $i = 0;

    while (!$self->stopping && $i < ($self->{count} // 1e9)) {
        $i++;

        my $method = rand() < 0.5 ? 'GET' : 'POST';
        my $token = "t$n-$i-$$";
        my $delay = int rand($self->{delay} // 150);
        my $big = rand() < ($self->{big} // 0.2);
        my $size = $big ? 100_000 + int rand 900_000 : 64 + int rand 2000;

        my $uri = "$self->{uri}?token=$token&delay=$delay&size=$size";
        $uri .= '&pieces=5&gap=10' if $big;

        my %args = (timeout => 20);
        $args{body} = 'x' x int rand($big ? 200_000 : 2000)
            if $method eq 'POST';
        $args{headers} = ['Prefer: wait=0, respond-async'];

        my $r = NgxAsync::request($port, $method, $uri, %args);

        if ($r->{status} == 202 && $r->{complete}) {
            $self->note('job', NgxAsync::uuid($r) // 'none', $method, $token);
            $self->note('nameless', %{ $r->{headers} }, $r->{body})
                unless NgxAsync::uuid($r);

        } elsif ($r->{status} == 200) {
            # async is off at the moment
            $self->note('plain', $method, $token);

        } elsif ($r->{status}) {
            $self->note('refused', $r->{status}, $token);
        }

        $self->note('hung', $method, $token) if $r->{hung};

        $self->pause($self->{rate} * (0.5 + rand));
    }
}


sub reader
{
    my ($self) = @_;

    srand $$;

    while (!$self->stopping) {

        my @jobs = $self->jobs;

        if (!@jobs) {
            $self->pause(0.01);
            next;
        }

        my $from = @jobs > 50 ? @jobs - 50 : 0;
        my $job = $jobs[$from + rand(@jobs - $from)];

        $self->look($job->[0], 1);
        $self->pause(0.005);
    }
}


sub lines
{
    my ($self) = @_;

    return map { [split] } split /\n/, NgxAsync::slurp($self->{log});
}


# [id, method, token] of every promise

sub jobs
{
    my ($self) = @_;

    return map { [@$_[1 .. 3]] } grep { $_->[0] eq 'job' } $self->lines;
}


sub noted
{
    my ($self, $what) = @_;

    return map { join ' ', @$_ } grep { $_->[0] eq $what } $self->lines;
}


# looks at a result: pending, whole, interrupted, failed or nothing

sub look
{
    my ($self, $id, $note) = @_;

    my $r = NgxAsync::request($self->{nginx}{port}, 'GET', "/jobs/$id/result");

    $self->note('hung', 'result', $id) if $r->{hung};

    return '' if !$r->{status} || !$r->{complete};

    return 'pending' if $r->{status} == 202;

    if ($r->{status} == 200) {

        if (NgxAsync::checked($r->{body})) {
            $self->note('whole', $id) if $note;
            return 'whole';
        }

        $self->note('half', $id, $r->{length});
        return 'half';
    }

    if ($r->{status} == 502 && $r->{body} =~ /"code":"(\w+)"/) {
        return $1;
    }

    $self->note('lost', $id, $r->{status});

    return "lost $r->{status}";
}


# clients that have a count have sent their requests

sub sent
{
    my ($self, $seconds) = @_;

    my @pids = @{ $self->{pids} };

    return !grep { !NgxAsync::reap($_, $seconds) } @pids[0 .. $#pids - 1];
}


sub stop
{
    my ($self) = @_;

    open my $f, '>', "$self->{dir}/stop";

    NgxAsync::reap($_, 30) for @{ $self->{pids} };
}


# every job until it has ended: id -> how

sub ends
{
    my ($self, $seconds) = @_;

    my %ends;
    my @todo = $self->jobs;

    NgxAsync::wait_until(sub {
        my @left;

        for my $job (@todo) {
            my $how = $self->look($job->[0]);

            if ($how eq 'pending' || $how eq '') {
                push @left, $job;

            } else {
                $ends{$job->[0]} = $how;
            }
        }

        @todo = @left;

        return !@todo;
    }, $seconds // 60);

    $ends{$_->[0]} = 'pending' for @todo;

    return \%ends;
}


# what must hold after any scenario

package NgxAsync;

sub ends_well
{
    my ($load, $backend, %args) = @_;

    my $ends = $load->ends($args{seconds});
    my @jobs = $load->jobs;
    my (%n, @bad);

    for (@jobs) {
        my ($id, $method, $token) = @$_;
        my $how = $ends->{$id};

        $n{"$method $how"}++;

        next if $how eq 'whole';

        # a POST that was cut off may not be repeated
        next if $how eq 'interrupted' && $method eq 'POST'
                && $args{interrupted};

        # and a GET not for ever
        next if $how eq 'interrupted' && $method eq 'GET'
                && $args{interrupted} && $backend->seen($token) >= 4;

        push @bad, "$id $method $token: $how";
    }

    note(scalar @jobs, ' jobs: ', join ', ', map { "$_ $n{$_}" } sort keys %n);

    my $sum = @bad;
    splice @bad, 10 if @bad > 10;

    is($sum, 0, 'every job has ended as it must') or diag(join "\n", @bad);
    is(join(' ', $backend->repeated('POST')), '', 'no POST was sent twice');
    is(join("\n", $load->noted('half')), '', 'nobody saw half a result');
    is(join("\n", $load->noted('lost')), '', 'no job was lost');
    is(join("\n", $load->noted('hung')), '', 'every request was answered');
    is(join("\n", $load->noted('refused')), '', 'nothing was refused')
        unless $args{refused};
}


1;
