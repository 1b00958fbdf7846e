#!/usr/bin/perl

# The text of async_metrics.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

run_tests();

__DATA__

=== metrics are in the text format of Prometheus
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location = /metrics { async_metrics; }
--- request
GET /metrics
--- error_code: 200
--- response_headers
Cache-Control: no-store
--- response_headers_like
Content-Type: text/plain; version=0\.0\.4.*
--- response_body_like: ^(?:# HELP \w+ [^\n]+\.\n|# TYPE (?:\w+_total counter|\w+(?<!_total) gauge)\n|ngx_async_\w+(?:\{queue="[\w-]+"\})? \d+\n)+\z



=== metrics have each queue, and its concurrency
--- http_config
async_queue other concurrency=3;
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location = /metrics { async_metrics; }
--- request
GET /metrics
--- error_code: 200
--- response_body_like: (?m)^ngx_async_queue_concurrency\{queue="other"\} 3\n



=== metrics escape the name of a queue
--- http_config
async_queue 'a"b\\c
d' concurrency=3;
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location = /metrics { async_metrics; }
--- request
GET /metrics
--- error_code: 200
--- response_body_like: (?m)^ngx_async_queue_concurrency\{queue="a\\"b\\\\c\\nd"\} 3\n



=== metrics have the size of the store
--- http_config
async_store $TEST_NGINX_SERVER_ROOT/async_cache size=32m;
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location = /metrics { async_metrics; }
--- request
GET /metrics
--- error_code: 200
--- response_body_like: (?m)^ngx_async_store_size_bytes 33554432\n



=== metrics count a job
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location = /metrics { async_metrics; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET /metrics
--- job_code: 200 200
--- job_body_like eval
[undef,
'(?s)(?=.*ngx_async_jobs_accepted_total\{queue="default"\} 1\n)(?=.*ngx_async_jobs_succeeded_total\{queue="default"\} 1\n)(?=.*ngx_async_jobs_failed_total\{queue="default"\} 0\n)']



=== HEAD of the metrics
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location = /metrics { async_metrics; }
--- request
HEAD /metrics
--- error_code: 200



=== POST of the metrics: 405
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location = /metrics { async_metrics; }
--- request
POST /metrics

--- error_code: 405
--- response_headers
Allow: GET, HEAD
Content-Type: application/problem+json
--- response_body_like: problem:method
