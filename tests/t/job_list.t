#!/usr/bin/perl

# The list of jobs, its filters and its pages.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

master_on();
workers(2);

run_tests();

__DATA__

=== the list is JSON
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET /jobs/
--- job_code: 200 200
--- job_body_like eval
[undef,
'^\{"jobs":\[\{"id":"$id","status":"succeeded",.*"resourceLocation":"http://localhost/jobs/$id/result".*"links":.*\}\]\}\s*$']
--- job_headers eval
[undef, "Content-Type: application/json\nCache-Control: no-store\n"]



=== but its URI without the query
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a?secret=1
--- error_code: 202
--- job
GET /jobs/
--- job_code: 200
--- job_body_like: "uri":"/a"
--- job_body_unlike: secret



=== HEAD of the list
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a
--- error_code: 202
--- job
HEAD /jobs/
--- job_code: 200
--- job_body:



=== own: one's own jobs are there
--- config
async_owner $http_x_user;
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list own;
}
--- request
GET /a
--- more_headers
X-User: alice
--- error_code: 202
--- job
GET /jobs/
--- job_more_headers
X-User: alice
--- job_code: 200
--- job_body_like: "id":"$id"



=== own: jobs of others are not
--- config
async_owner $http_x_user;
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list own;
}
--- request
GET /a
--- more_headers
X-User: alice
--- error_code: 202
--- job
GET /jobs/
--- job_more_headers
X-User: bob
--- job_code: 200
--- job_body_like: ^\{"jobs":\[\]\}



=== own: nobody has none
--- config
async_owner $http_x_user;
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list own;
}
--- request
GET /a
--- error_code: 202
--- job
GET /jobs/
--- job_code: 200
--- job_body_like: ^\{"jobs":\[\]\}



=== all: jobs of others are there
--- config
async_owner $http_x_user;
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a
--- more_headers
X-User: alice
--- error_code: 202
--- job
GET /jobs/
--- job_more_headers
X-User: bob
--- job_code: 200
--- job_body_like: "id":"$id"



=== status=succeeded finds it
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET /jobs/?status=succeeded
--- job_code: 200 200
--- job_body_like eval
[undef,
'"id":"$id"']



=== status=failed does not
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET /jobs/?status=failed
--- job_code: 200 200
--- job_body_like eval
[undef,
'^\{"jobs":\[\]\}']



=== status=failed finds a failed one
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- backend
location = /a { return 500 x; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET /jobs/?status=failed
--- job_code: 200 200
--- job_body_like eval
[undef,
'"id":"$id"']



=== status=running finds one that runs
--- http_config
async_queue other concurrency=1;
--- config
location / {
    async on queue=other;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a
--- error_code: 202
--- job
GET
GET /jobs/?status=running
--- job_code: 200 200
--- job_body_like eval
[undef,
'"id":"$id"']



=== queue finds it
--- http_config
async_queue other concurrency=1;
--- config
location / {
    async on queue=other;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET /jobs/?queue=other
--- job_code: 200 200
--- job_body_like eval
[undef,
'"id":"$id"']



=== another queue does not
--- http_config
async_queue other concurrency=1;
--- config
location / {
    async on queue=other;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET /jobs/?queue=default
--- job_code: 200 200
--- job_body_like eval
[undef,
'^\{"jobs":\[\]\}']



=== an unknown queue is empty
--- http_config
async_queue other concurrency=1;
--- config
location / {
    async on queue=other;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET /jobs/?queue=none
--- job_code: 200 200
--- job_body_like eval
[undef,
'^\{"jobs":\[\]\}']



=== both filters find it
--- http_config
async_queue other concurrency=1;
--- config
location / {
    async on queue=other;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET /jobs/?queue=other&status=succeeded
--- job_code: 200 200
--- job_body_like eval
[undef,
'"id":"$id"']



=== empty filters are none
--- http_config
async_queue other concurrency=1;
--- config
location / {
    async on queue=other;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET /jobs/?status=&queue=&limit=&cursor=
--- job_code: 200 200
--- job_body_like eval
[undef,
'"id":"$id"']



=== status=notStarted finds a queued one, without a position
--- http_config
async_queue other concurrency=1;
--- config
location / {
    async on queue=other;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request eval
['GET /a', 'GET /a']
--- error_code eval
[202, 202]
--- job
GET /jobs/?status=notStarted
--- job_code: 200
--- job_body_like: "id":"$id".*"queue_paused":false
--- job_body_unlike: "position"



=== status=canceled finds a canceled one
--- http_config
async_queue other concurrency=1;
--- config
location / {
    async on queue=other;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a
--- error_code: 202
--- job
DELETE
GET /jobs/?status=canceled
--- job_code: 202 200
--- job_body_like eval
[undef,
'"id":"$id"']



=== limit gives a page, and where the next one is
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request eval
['GET /a', 'GET /a']
--- error_code eval
[202, 202]
--- job
GET /jobs/?limit=1
--- job_code: 200
--- job_body_like: ^\{"jobs":\[\{"id":"[0-9a-f-]{36}"[^\[\]]*\}\],"next":"http://localhost/jobs/\?[^"]*cursor=[^"]+"\}



=== the last page has no next
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request eval
['GET /a', 'GET /a']
--- error_code eval
[202, 202]
--- job
GET /jobs/?limit=2
--- job_code: 200
--- job_body_like: "jobs"
--- job_body_unlike: "next"



=== next is below async_jobs_uri
--- config
location / {
    async on;
    async_jobs_uri https://api.example.com/jobs/;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
    async_jobs_uri https://api.example.com/jobs/;
}
--- request eval
['GET /a', 'GET /a']
--- error_code eval
[202, 202]
--- job
GET /jobs/?limit=1
--- job_code: 200
--- job_body_like: "next":"https://api.example.com/jobs/\?



=== status=x: 400
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /jobs/?status=x
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
--- response_body_like: urn:ngx-async:problem:cursor



=== limit=x: 400
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /jobs/?limit=x
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
--- response_body_like: urn:ngx-async:problem:cursor



=== limit=0: 400
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /jobs/?limit=0
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
--- response_body_like: urn:ngx-async:problem:cursor



=== limit=-1: 400
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /jobs/?limit=-1
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
--- response_body_like: urn:ngx-async:problem:cursor



=== cursor=x: 400
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /jobs/?cursor=x
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
--- response_body_like: urn:ngx-async:problem:cursor
