#!/usr/bin/perl

# What "nginx -t" says of each directive: valid forms in every context, and
# for every mistake the value and what to write instead.

use strict;
use warnings;

use File::Temp qw(tempdir);
use Test::More;

my $dir = tempdir(CLEANUP => 1);
my $binary = $ENV{TEST_NGINX_BINARY} || 'nginx';
my $load = $ENV{NGX_ASYNC_MODULE} ? "load_module $ENV{NGX_ASYNC_MODULE};" : '';
my $store = "async_store $dir/store;";
my $jobs = 'location /jobs/ { async_jobs; }';
my $pass = 'proxy_pass http://127.0.0.1:1;';

mkdir "$dir/$_" for qw(temp logs);

sub write_file
{
    my ($name, $text) = @_;

    open my $f, '>', $name or die "$name: $!";
    print $f $text;
    close $f;
}


# exit code and output

sub check
{
    my ($http, $main) = @_;

    $main //= '';

    my $temp = join ' ', map { "${_}_temp_path $dir/temp/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);

    write_file("$dir/nginx.conf", <<"END");
$load
pid $dir/nginx.pid;
error_log $dir/error.log warn;
$main
@{[ $main =~ /events/ ? '' : 'events { }' ]}
http {
access_log off;
$temp
$http
}
END

    # nginx -t leaves what it has allocated to the end of its process

    local $ENV{ASAN_OPTIONS} = "$ENV{ASAN_OPTIONS}:detect_leaks=0"
        if $ENV{ASAN_OPTIONS};

    my $out = qx($binary -t -p $dir/ -c nginx.conf 2>&1);

    return ($? >> 8, $out);
}


sub valid
{
    my ($name, $http, $main) = @_;

    my ($rc, $out) = check($http, $main);

    ok($rc == 0 && $out !~ /\[(warn|error|crit|alert|emerg)\]/, $name)
        or diag($out);
}


# "what" is all that the message has to have, "and" between the parts

sub wrong
{
    my ($name, $http, @parts) = @_;

    my ($rc, $out) = check($http);
    my ($message) = $out =~ /\[emerg\] (.*)/;

    $message //= '';

    ok($rc != 0, "$name: refused") or diag($http);

    for my $part (@parts) {
        ok(index($message, $part) >= 0, "$name: says \"$part\"")
            or diag($message || $out);
    }
}


sub server { "server { listen 127.0.0.1:8080; @_ }" }

# a location with this directive, everything else being right

sub location { "$store " . server("$jobs location / { async on; @_ $pass }") }


# what is valid

valid('nothing of the module', server('location / { return 200; }'));

valid('the example of the README', <<"END");
    async_store  $dir/store  size=16g;
    async_queue  reports  concurrency=4  backlog=100000;

    server {
        listen 127.0.0.1:8080;

        location /reports/ {
            async       on  queue=reports;
            async_wait  2s;
            proxy_pass  http://127.0.0.1:1;
        }

        location /jobs/ { async_jobs; }
        location = /metrics { async_metrics; allow 127.0.0.1; deny all; }
    }
END

for my $d (
    'async on', 'async off', 'async prefer', 'async $arg_a',
    'async on queue=default', 'async_wait 0', 'async_wait 2s',
    'async_wait 2s accepted', 'async_wait 50s redirect', 'async_wait 1500ms',
    'async_wait_max 10s', 'async_timeout 2h', 'async_set_header Host $host',
    'async_set_header X ""', 'async_ssl_verify off', 'async_ssl_verify on',
    "async_ssl_trusted_certificate $dir/nginx.conf",
    'async_retry off', 'async_retry error', 'async_retry error tries=1',
    'async_retry error timeout http_429 http_500 http_502 http_503 http_504'
        . ' non_idempotent tries=5 backoff=2s max_backoff=5m',
    'async_priority 0', 'async_priority u=7', 'async_priority "u=3, i"',
    'async_priority i=?0,u=0', 'async_priority $arg_p', 'async_full reject',
    'async_full pass', 'async_ttl 1h', 'async_ttl 1h failed=7d',
    'async_keep_request 1d', 'async_keep_request 0',
    'async_max_response_size 0', 'async_max_response_size 10m',
    'async_max_response_size 5g', 'async_key off', 'async_key $arg_k',
    'async_key $async_fingerprint', 'async_owner ""',
    'async_owner $remote_user', 'async_owner "$remote_user $arg_t"',
    'async_callback off', 'async_callback https://example.com/hook',
    'async_callback $http_x_callback_url;'
        . ' async_callback_allow https://example.com/',
    'async_callback_allow https://example.com/ https://*.example.org/',
    'async_callback_allow http://10.0.0.1:8080/hooks/',
    'async_callback_secret whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz',
    'async_callback_secret whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz'
        . ' whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0',
    "async_callback_secret file:$dir/secret",
    'async_result_status original', 'async_result_status 200',
    'async_hide_header X-A', 'async_pass_header Set-Cookie',
    'async_jobs_uri /jobs/', 'async_jobs_uri https://api.example.com/jobs/',
    'async_jobs_uri https://$host/jobs/',
) {
    write_file("$dir/secret", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz\n");

    valid("$d; in http", "$store $d; " . server($jobs));
    valid("$d; in server", "$store " . server("$d; $jobs"));

    my $owner = $d =~ /^async_owner/ ? "$d;" : '';
    my $on = $d =~ /^async /  ? '' : 'async on;';

    valid("$d; in location",
          "$store " . server("location /jobs/ { $owner async_jobs; }"
                             . " location / { $on $d; $pass }"));
}

valid('async and async_wait in if',
      "$store " . server("$jobs location / { if (\$arg_a) { async on;"
                         . " async_wait 1s; } $pass }"));

valid('async_store with its own thread pool',
      "async_store $dir/store threads=slow;"
      . server("$jobs location / { async on; $pass }"),
      'thread_pool slow threads=2;');

valid('async_store with a relative path and a slash',
      'async_store store/ size=1m;' . server($jobs));

valid('a queue with everything', <<"END" . server($jobs));
    $store
    async_queue q concurrency=1 backlog=5 per=\$remote_addr per_concurrency=1
                per_backlog=2 pause_on=error,http_502,http_503 pause=10s
                timeout=1h;
END

valid('the default queue can be declared',
      "$store async_queue default concurrency=2; " . server($jobs));

valid('several jobs locations, and async_jobs_uri',
      "$store " . server("$jobs location /others/ { async_jobs; }"
                         . " location / { async on; async_jobs_uri /others/;"
                         . " $pass }"));

valid('no jobs location, and async_jobs_uri',
      "$store " . server("location / { async on;"
                         . " async_jobs_uri https://h/jobs/; $pass }"));

valid('async off needs nothing', server("async off; location / { $pass }"));

valid('async in http, and off again in a server without jobs',
      "$store async on; " . server($jobs)
      . ' server { listen 127.0.0.1:8081; async off; }');

valid('async_jobs_list own with an owner',
      "$store " . server('async_owner $remote_user; location /jobs/ {'
                         . ' async_jobs; async_jobs_list own; }'));

valid('async_jobs_list all, off',
      "$store " . server('location /jobs/ { async_jobs; async_jobs_list all; }'
                         . ' location /j/ { async_jobs; async_jobs_list off; }'
                         ));

valid('the owner is the same when it is inherited',
      "$store async_owner \$remote_user; "
      . server("$jobs location / { async on; $pass }"));

valid('async_pass with async, in if and limit_except',
      "$store " . server("$jobs location / { async on;"
                         . ' async_pass http://127.0.0.1:1;'
                         . ' if ($arg_a) { async_pass http://127.0.0.1:2; }'
                         . ' limit_except GET { deny all; } }'));

for my $url ('http://127.0.0.1:1', 'https://example.com/x/',
             "http://unix:$dir/s:/x", 'http://$arg_host/$arg_path')
{
    valid("async_pass $url",
          "$store " . server("$jobs location / { async prefer;"
                             . " async_pass $url; }"));
}


# what is not

wrong('no store', server("$jobs location / { async on; $pass }"),
      'async_store /var/lib/nginx/async;', 'http block');

wrong('no store, a variable',
      server("$jobs location / { async \$arg_a; $pass }"),
      'async_store');

wrong('no store, jobs only', server($jobs), 'async_store');

wrong('no jobs location', "$store " . server("location /a { async on; $pass }"),
      '/a', 'location /jobs/ { async_jobs; }', 'async_jobs_uri');

wrong('no jobs location, async in server',
      "$store " . server("async on; location /a { $pass }"), 'async_jobs');

wrong('an owner in the location only',
      "$store " . server("$jobs location /a { async on;"
                         . " async_owner \$remote_user; $pass }"),
      '$remote_user', '/a', 'server block');

wrong('an owner in the jobs location only',
      "$store " . server('location /jobs/ { async_owner $remote_user;'
                         . " async_jobs; } location /a { async on; $pass }"),
      '$remote_user', '/a');

wrong('another owner in the location of async_jobs_uri',
      "$store " . server('location /jobs/ { async_owner $remote_user;'
                         . ' async_jobs; }'
                         . ' location /a { async on; async_jobs_uri /jobs/;'
                         . " async_owner \$arg_o; $pass }"),
      '$remote_user', '$arg_o');

wrong('an unknown queue', location('') =~ s/async on;/async on queue=nope;/r,
      '"nope"', 'async_queue nope;', 'http block');

for my $l ('= /jobs', '= /jobs/', '~ ^/jobs/', '/jobs', '@jobs') {
    wrong("async_jobs in location $l",
          "$store " . server("location $l { async_jobs; }"),
          'async_jobs', 'location /jobs/ { async_jobs; }');
}

wrong('async_jobs in server', "$store " . server('async_jobs;'),
      'not allowed here');
wrong('async_metrics in http', "$store async_metrics;", 'not allowed here');
wrong('async_jobs_list in server', "$store " . server('async_jobs_list all;'),
      'not allowed here');
wrong('async_store in server', server($store), 'not allowed here');
wrong('async_queue in server', server('async_queue q;'), 'not allowed here');
wrong('async_pass in server', server('async_pass http://127.0.0.1;'),
      'not allowed here');

wrong('async_jobs next to proxy_pass',
      "$store " . server("location /jobs/ { $pass async_jobs; }"),
      'async_jobs', 'location of its own');

for my $d ('async_jobs', 'async_metrics') {
    wrong("proxy_pass behind $d",
          "$store " . server("location /jobs/ { $d; $pass }"),
          "\"$d\"", '/jobs/', 'location of its own');
}

wrong('proxy_pass behind async_pass',
      "$store " . server("$jobs location /a { async on;"
                         . " async_pass http://127.0.0.1; $pass }"),
      'async_pass', '/a', 'location of its own');

wrong('async_jobs_uri that leads nowhere',
      "$store " . server("$jobs location / { async on; $pass }"
                         . " location /a/ { async on;"
                         . " async_jobs_uri /nix/; $pass }"),
      'async_jobs_uri /nix/', '/a/', '"127.0.0.1:8080"',
      'location /nix/ { async_jobs; }', 'full URL');

wrong('async_jobs_uri that leads to the jobs of another server',
      "$store server { listen 127.0.0.1:8081;"
      . " location /nix/ { async_jobs; } }"
      . server("$jobs async_jobs_uri /nix/; location / { async on; $pass }"),
      'async_jobs_uri /nix/');

for my $l ('location /nix/ { rewrite ^ /jobs/ last; }',
           'location /n { location /nix/ { async_jobs; } }',
           'location ~ ^/(nix)/ { rewrite ^/nix(/.*) /jobs$1 last; }')
{
    valid("async_jobs_uri and $l",
          "$store " . server("$jobs $l location / { async on;"
                             . " async_jobs_uri /nix/; $pass }"));
}

wrong('a queue with variables',
      "$store " . server("$jobs location /a { async on queue=\$arg_q; $pass }"),
      '"$arg_q"', 'may not have variables');

wrong('async_pass without async',
      "$store " . server("$jobs location /a { async_pass http://127.0.0.1; }"),
      'async_pass', '/a', 'async on', 'async prefer', 'proxy_pass');

wrong('async_pass with async off',
      "$store " . server("$jobs location /a { async off;"
                         . ' async_pass http://127.0.0.1; }'),
      'async_pass', 'async on');

wrong('async_pass to an upstream that is declared later',
      "$store " . server("$jobs location /a { async on; async_pass http://u; }")
      . ' upstream u { server 127.0.0.1; }',
      '"u"', 'write "proxy_pass http://u" instead');

wrong('async_pass with a user',
      "$store " . server("$jobs location /a { async on;"
                         . ' async_pass http://user:pw@h/; }'),
      'user name', 'async_set_header Authorization');

for my $url ('ftp://h/', '127.0.0.1', 'http://', '/path', 'unix:/s') {
    wrong("async_pass $url",
          "$store " . server("$jobs location /a { async on;"
                             . " async_pass $url; }"),
          "\"$url\"", 'http://');
}

# each argument: the message has the value and what is expected

for my $case (
    ['async yes', 'yes', '"on"', '"off"', '"prefer"', 'variable'],
    ['async on q=x', 'q=x', 'queue=name', 'async_queue'],
    ['async on queue=', 'queue=', 'queue=name'],
    ['async_wait soon', 'soon', '2s'],
    ['async_wait -1', '-1', '2s'],
    ['async_wait 1s later', 'later', '"accepted"', '"redirect"'],
    ['async_wait_max x', 'x', 'a time'],
    ['async_timeout x', 'x', 'a time', '1h'],
    ['async_timeout 0', '0', '1h'],
    ['async_retry', 'invalid number of arguments'],
    ['async_retry sometimes', 'sometimes', 'http_503', 'tries='],
    ['async_retry tries=3', 'no condition', 'error'],
    ['async_retry non_idempotent', 'no condition'],
    ['async_retry error tries=0', 'tries=0', 'at least 1'],
    ['async_retry error tries=x', 'tries=x'],
    ['async_retry error backoff=x', 'backoff=x', 'backoff=1s'],
    ['async_retry error max_backoff=x', 'max_backoff=x', 'max_backoff=1m'],
    ['async_retry error backoff=2m', '120000ms', 'max_backoff', '60000ms'],
    ['async_retry error backoff=6s max_backoff=5s', '6000ms', '5000ms'],
    ['async_retry error http_404', 'http_404', 'http_503'],
    ['async_retry error off', '"off"', 'stands alone'],
    ['async_retry off tries=3', '"off"', 'stands alone'],
    ['async_full maybe', 'maybe', '"reject"', '"pass"'],
    ['async_ttl x', 'x', '1d'],
    ['async_ttl 0', '0', '1d'],
    ['async_ttl 1d failed=x', 'failed=x', 'failed=7d'],
    ['async_ttl 1d other=1', 'other=1', 'failed=7d'],
    ['async_keep_request x', 'x', 'a time'],
    ['async_max_response_size x', 'x', '1g'],
    ['async_result_status 404', '404', '"original"', '"200"'],
    ['async_jobs_uri jobs/', 'jobs/', 'https://api.example.com/jobs/'],
    ['async_jobs_uri /jobs', '/jobs', 'ends with "/"'],
    ['async_jobs_uri ftp://x/', 'ftp://x/', 'https://'],
    ['async_jobs_uri ""', '""', 'prefix'],
    ['async_jobs_uri https:///jobs/', 'https:///jobs/', 'full URL'],
    ['async_jobs_uri http://:80/jobs/', 'http://:80/jobs/', 'full URL'],
    ['async_ssl_verify maybe', 'maybe', 'on'],
    ['async_ssl_trusted_certificate none.pem', 'none.pem',
     'async_ssl_trusted_certificate'],
    ['async_set_header "" x', '""', 'name of a header'],
    ['async_set_header "a b" x', 'a b', 'name of a header'],
    ['async_set_header a: x', 'a:', 'name of a header'],
    ['async_hide_header ""', '""', 'name of a header'],
    ['async_hide_header "a b"', 'a b', 'name of a header'],
    ['async_pass_header ""', '""', 'name of a header'],
    ['async_callback ftp://h/', 'ftp://h/', 'https://', '"off"'],
    ['async_callback there', 'there', 'https://'],
    ['async_callback_allow there', 'there', 'URL'],
    ['async_callback_allow ftp://h/', 'ftp://h/', 'http'],
    ['async_callback_secret secret', 'async_callback_secret', 'whsec_',
     'base64'],
    ['async_callback_secret whsec_AAAA', 'whsec_', 'at least 16 bytes'],
    ["async_callback_secret file:$dir/none", "$dir/none",
     'async_callback_secret'],
    ['async_priority', 'invalid number of arguments'],
    ['async_priority 9', '"9"', 'to 7'],
    ['async_priority u=9', 'u=9', 'to 7'],
    ['async_priority high', 'high', 'to 7'],
    ['async_priority ""', '""', 'to 7'],
    ['async_priority "u=9, i"', '"u=9, i"', 'to 7'],
    ['async_priority i', '"i"', 'to 7'],
    ['async_priority "u=3, x"', '"u=3, x"', 'to 7'],
    ['async_priority "3, i"', '"3, i"', 'to 7'],
    ['async_priority u=1,u=2', 'u=1,u=2', 'to 7'],
    ['async_retry error tries=1 tries=2', 'tries=2', 'duplicate'],
    ['async_retry error http_503 error', '"error"', 'duplicate'],
    ['async_retry error non_idempotent non_idempotent', '"non_idempotent"',
     'duplicate'],
    ['async_owner', 'invalid number of arguments'],
    ['async_key', 'invalid number of arguments'],
    ['async_key $nope_nope', 'unknown "nope_nope" variable'],
) {
    my ($d, @parts) = @$case;

    my $http = $d =~ /^async /
        ? "$store " . server("$jobs location / { $d; $pass }")
        : location("$d;");

    wrong($d, $http, @parts);
}

for my $d (
    'async on', 'async_wait 1s', 'async_wait_max 1s', 'async_timeout 1s',
    'async_retry error', 'async_priority 1', 'async_full pass', 'async_ttl 1d',
    'async_keep_request 1s', 'async_max_response_size 1', 'async_key off',
    'async_owner a', 'async_callback off', 'async_result_status 200',
    'async_jobs_uri /jobs/', 'async_ssl_verify on',
    "async_ssl_trusted_certificate $dir/nginx.conf",
    'async_callback_secret whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz',
) {
    wrong("$d; twice", "$store $d; $d; " . server($jobs), 'duplicate');
}

wrong('async_store twice', "$store $store", 'duplicate');
wrong('async_jobs twice', "$store " . server('location /jobs/ { async_jobs;'
                                             . ' async_jobs; }'), 'duplicate');

mkdir "$dir/damaged";
write_file("$dir/damaged/data.mdb", 'x' x 65536);

for my $case (
    ["$dir/store size=x", 'size=x', 'size=8g'],
    ["$dir/store size=1k", 'size=1k', 'at least 1m'],
    ["$dir/store size=100t", 'size=100t', 'suffix k, m or g'],
    ["$dir/store size=1g size=2g", 'size=2g', 'duplicate'],
    ["$dir/store sise=1g", 'sise=1g', 'size=', 'threads='],
    ["$dir/store threads=", 'threads=', 'name of a thread pool'],
    ['$host', '$host', 'variables'],
    ["$dir/store threads=none", '"none"', 'thread pool'],
    ['""', '""', 'directory'],
    ["$dir/nginx.conf", "$dir/nginx.conf", 'Not a directory'],
    ["$dir/damaged", "$dir/damaged", 'data.mdb is damaged'],
) {
    my ($args, @parts) = @$case;
    wrong("async_store $args", "async_store $args; " . server($jobs), @parts);
}

# a directory of something else is not given to the user of the workers

mkdir "$dir/foreign";
write_file("$dir/foreign/passwd", "root\n");
chmod 0755, "$dir/foreign";
my @before = (stat "$dir/foreign")[2, 4, 5, 9];

wrong('async_store in a directory of something else',
      "async_store $dir/foreign; " . server($jobs),
      "$dir/foreign", '"passwd"', 'directory of its own');

is_deeply([(stat "$dir/foreign")[2, 4, 5, 9]], \@before,
          'its owner, its mode and what is in it stay as they were');


for my $case (
    ['"" concurrency=1', '""', 'name'],
    ['concurrency=1', 'concurrency=1', 'name'],
    ['a' x 64, 'a' x 64, '63'],
    ['$host concurrency=1', '"$host"', 'may not have variables'],
    ['q concurrency=0', 'concurrency=0', 'at least 1'],
    ['q concurrency=x', 'concurrency=x', 'number'],
    ['q backlog=0', 'backlog=0', 'at least 1'],
    ['q backlog=x', 'backlog=x', 'number'],
    ['q per=', 'per=', 'per=$remote_addr'],
    ['q per=x', 'x', 'variable', 'per=$remote_addr'],
    ['q per=$remote_addr per_concurrency=0', 'per_concurrency=0', 'at least 1'],
    ['q per=$remote_addr per_backlog=x', 'per_backlog=x', 'number'],
    ['q per_concurrency=1', '"q"', 'per=$remote_addr'],
    ['q per_backlog=1', '"q"', 'per=$remote_addr'],
    ['q pause_on=timeout', 'pause_on=timeout', 'http_502'],
    ['q pause_on=error,nope', 'pause_on=error,nope', 'http_502'],
    ['q pause_on=', 'pause_on=', 'http_502'],
    ['q pause_on=error,http_502,error', 'pause_on=error,http_502,error',
     'each of them once'],
    ['q pause=0', 'pause=0', 'pause=30s'],
    ['q pause=x', 'pause=x', 'pause=30s'],
    ['q timeout=x', 'timeout=x', 'timeout=1h'],
    ['q concurrency=3 concurrency=4', 'concurrency=4', 'duplicate'],
    ['q size=1', 'size=1', 'concurrency=', 'backlog='],
) {
    my ($args, @parts) = @$case;
    wrong("async_queue $args", "$store async_queue $args; " . server($jobs),
          @parts);
}

wrong('a queue twice', "$store async_queue q; async_queue q; " . server($jobs),
      'duplicate', '"q"');

wrong('pause without pause_on',
      "$store async_queue q pause=1s; " . server($jobs), '"q"', 'pause_on');

# a warning only

{
    my ($rc, $out) = check("$store async_queue big concurrency=100; "
                           . server("$jobs location / { async on queue=big;"
                                    . " $pass }"),
                           'events { worker_connections 100; }');

    is($rc, 0, 'more concurrency than connections is no error');
    like($out, qr/\[warn\].*"async_queue\ big".*concurrency=100.*200.*100
                  .*worker_connections/x, 'but a warning, with the numbers');

    ($rc, $out) = check(location(), 'events { worker_connections 100; }');

    like($out, qr/\[warn\].*"async_queue default"/,
         'for the default queue, too');

    ($rc, $out) = check("$store async_queue big concurrency=100; "
                        . server("$jobs location / { async on queue=big;"
                                 . " $pass }"),
                        'worker_processes 2;'
                        . ' events { worker_connections 100; }');

    unlike($out, qr/\[warn\]/, 'two workers have enough of them');
}

{
    my $queue = 'async_queue q concurrency=4 per=$remote_addr';
    my ($rc, $out) = check("$store $queue per_concurrency=5; "
                           . server($jobs));

    is($rc, 0, 'a limit of a value above that of the queue is no error');
    like($out, qr/\[warn\].*per_concurrency=5.*"q".*concurrency is 4/,
         'but a warning');

    valid('a limit of a value like that of the queue',
          "$store $queue per_concurrency=4; " . server($jobs));
}

for my $case (
    ['proxy_request_buffering off;', 'never become jobs',
     'proxy_request_buffering off'],
    ['async_max_response_size 100g;', 'async_max_response_size',
     'larger than the store'],
    ['async_callback $arg_c;', 'are refused', 'async_callback_allow'],
) {
    my ($d, @parts) = @$case;
    my ($rc, $out) = check(location($d));

    is($rc, 0, "$d no error");
    like($out, qr/\[warn\].*\Q$_\E/, "$d but a warning: $_") for @parts;
}

# the directory

SKIP: {
    ok(-d "$dir/store", 'the directory of the store is created');
    is(sprintf('%04o', (stat "$dir/store")[2] & 07777), '0700', 'mode 0700');

    skip 'needs root', 1 if $> != 0;

    my ($user) = qx($binary -V 2>&1) =~ /--user=(\S+)/;

    system("rm -rf $dir/store");
    check("$store " . server($jobs), 'user www-data;');
    is(scalar getpwuid((stat "$dir/store")[4]), 'www-data',
       'it belongs to the user of the workers');
}

done_testing;
