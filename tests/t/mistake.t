#!/usr/bin/perl

# Mistakes in the configuration: nginx does not start, and its log says why.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

# an nginx that does not start leaves what it has allocated

$ENV{ASAN_OPTIONS} = "detect_leaks=0:$ENV{ASAN_OPTIONS}" if $ENV{ASAN_OPTIONS};

run_tests();

__DATA__

=== TEST 1: several jobs locations
--- config
location /jobs/ {
    async_jobs;
}
location /others/ {
    async_jobs;
}
location /a {
    async on;
    proxy_pass http://backend;
}
--- request
GET /
--- must_die
--- error_log eval
qr{\[emerg\] (?=.*several locations)(?=.*async_jobs_uri).*/a}


=== TEST 2: another owner in the jobs location
--- config
location /jobs/ {
    async_owner $remote_user;
    async_jobs;
}
location /a {
    async on;
    async_owner $arg_o;
    proxy_pass http://backend;
}
--- request
GET /
--- must_die
--- error_log eval
qr{\[emerg\] (?=.*"async_owner")(?=.*\$remote_user)(?=.*\$arg_o)(?=.*/a).*/jobs/}


=== TEST 3: async_jobs_list own without an owner
--- config
location /jobs/ {
    async_jobs;
    async_jobs_list own;
}
--- request
GET /
--- must_die
--- error_log eval
qr{\[emerg\] (?=.*own)(?=.*async_owner).*/jobs/}


=== TEST 4: async_pass to an upstream
--- config
location /a {
    async on;
    async_pass http://backend/x;
}
--- request
GET /
--- must_die
--- error_log eval
qr{\[emerg\] (?=.*"backend").*proxy_pass}



=== TEST 5: a backoff that is larger than max_backoff
--- config
location / {
    async on;
    async_retry error backoff=2m;
    proxy_pass http://backend;
}
--- request
GET /
--- must_die
--- error_log eval
qr{\[emerg\] (?=.*"async_retry")(?=.*120000ms)(?=.*60000ms).*"max_backoff="}


=== TEST 6: async and async_jobs in one location
--- config
location /jobs/ {
    async on;
    async_jobs;
}
--- request
GET /
--- must_die
--- error_log eval
qr{\[emerg\] (?=.*"async")(?=.*"async_jobs").*"/jobs/"}


=== TEST 7: a variable of async and async_metrics in one location
--- config
location /m {
    async_metrics;
    async $arg_a;
}
--- request
GET /
--- must_die
--- error_log eval
qr{\[emerg\] (?=.*"async")(?=.*"async_metrics").*"/m"}


=== TEST 8: async is inherited by a location with async_jobs
--- config
async on;
location / {
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
}
--- request
GET /
--- error_code: 202
--- job: GET result?wait=5
--- job_code: 200


=== TEST 9: more queues than there can be, "default" included
--- http_config eval
CORE::join "\n", map { "async_queue q$_;" } 1 .. 256
--- config
location /jobs/ {
    async_jobs;
}
--- request
GET /
--- must_die
--- error_log eval
qr{\[emerg\] .*too many queues: at most 256}
