#!/usr/bin/perl

# Mistakes in the configuration: nginx does not start, and its log says why.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

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
