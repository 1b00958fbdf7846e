#!/usr/bin/perl

# $async_*, where they go into headers and into the call.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

run_tests();

__DATA__

=== TEST 1: in the call of a job
--- backend
location /v { return 200 $http_v; }
--- http_config
async_queue one;
--- config
location / {
    async on queue=one;
    proxy_set_header V "$async_role|$async_id|$async_status|$async_queue|$async_attempt|$async_queue_time|$async_run_time";
    proxy_pass http://backend;
}
--- request
POST /v
body
--- error_code: 202
--- job
GET result?wait=5
--- job_body_like: ^call\|$id\|running\|one\|1\|\d+\.\d{3}\|\d+\.\d{3}$


=== TEST 2: in the call of a held client
--- backend
location /v { return 200 $http_v; }
--- config
location / {
    async on;
    async_wait 5s;
    proxy_set_header V "$async_role|$async_id|$async_status|$async_queue|$async_attempt|$async_queue_time|$async_run_time";
    proxy_pass http://backend;
}
--- request
GET /v
--- response_body_like: ^call\|[-0-9a-f]{36}\|\w+\|default\|


=== TEST 3: in a request that is no job, without async
--- backend
location /v { return 200 $http_v; }
--- config
location / {
    proxy_set_header V "$async_role|$async_id|$async_status|$async_queue|$async_attempt|$async_queue_time|$async_run_time";
    proxy_pass http://backend;
}
--- request
GET /v
--- response_body_like: ^\|\|\|\|\|\|$


=== TEST 4: in a request that is no job, with async off
--- backend
location /v { return 200 $http_v; }
--- config
location / {
    async off;
    proxy_set_header V "$async_role|$async_id|$async_status|$async_queue|$async_attempt|$async_queue_time|$async_run_time";
    proxy_pass http://backend;
}
--- request
GET /v
--- response_body_like: ^\|\|\|\|\|\|$


=== TEST 5: in a request that is no job, with async prefer, without the preference
--- backend
location /v { return 200 $http_v; }
--- config
location / {
    async prefer;
    proxy_set_header V "$async_role|$async_id|$async_status|$async_queue|$async_attempt|$async_queue_time|$async_run_time";
    proxy_pass http://backend;
}
--- request
GET /v
--- response_body_like: ^\|\|\|\|\|\|$


=== TEST 6: before a request is a submission
--- config
location / {
    async on;
    return 200 "[$async_role]";
}
--- request
GET /
--- response_body chomp
[]


=== TEST 7: in the header of a 202
--- config
location / {
    async on;
    add_header X-V "$async_role|$async_id|$async_status|$async_queue|$async_attempt|$async_queue_time|$async_run_time" always;
    proxy_pass http://backend;
}
--- request
GET /
--- error_code: 202
--- raw_response_headers_like: Async-Id: (\S+)\r\n.*X-V: submission\|\1\|(notStarted|running)\|default\|


=== TEST 8: in the header of a result: those of the call
--- config
location / {
    async on;
    add_header X-V "$async_role|$async_id|$async_status|$async_queue|$async_attempt|$async_queue_time|$async_run_time" always;
    proxy_pass http://backend;
}
--- request
GET /
--- error_code: 202
--- job
GET result?wait=5
--- job_headers_like
X-V: call\|$id\|running\|default\|1\|\d+\.\d{3}\|\d+\.\d{3}


=== TEST 9: in the header of a job
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    add_header X-V "$async_role|$async_id|$async_status|$async_queue|$async_attempt|$async_queue_time|$async_run_time" always;
}
--- request
GET /
--- error_code: 202
--- job
GET result?wait=5
GET
--- job_headers_like eval
[undef, 'X-V: jobs\|$id\|succeeded\|default\|1\|\d+\.\d{3}\|\d+\.\d{3}']


=== TEST 10: in the header of a job that is not there
--- config
location /jobs/ {
    async_jobs;
    add_header X-V "$async_role|$async_id|$async_status|$async_queue|$async_attempt|$async_queue_time|$async_run_time" always;
}
--- request
GET /jobs/none
--- error_code: 404
--- response_headers_like
X-V: jobs\|\|\|\|\|\|
