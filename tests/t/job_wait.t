#!/usr/bin/perl

# J/wait, ?wait= and J/events, where nothing happens meanwhile.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

run_tests();

__DATA__

=== a hop of J/wait leads to the next one
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
GET wait
--- job_code: 303
--- job_headers
Location: http://localhost/jobs/$id/wait?n=1
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff



=== which leads to the one after it
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
GET wait?n=1
--- job_code: 303
--- job_headers
Location: http://localhost/jobs/$id/wait?n=2
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff



=== J/wait?n=x is a first hop
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
GET wait?n=x
--- job_code: 303
--- job_headers
Location: http://localhost/jobs/$id/wait?n=1
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff



=== J/wait?n=-3 is a first hop
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
GET wait?n=-3
--- job_code: 303
--- job_headers
Location: http://localhost/jobs/$id/wait?n=1
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff



=== J/wait?n= is a first hop
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
GET wait?n=
--- job_code: 303
--- job_headers
Location: http://localhost/jobs/$id/wait?n=1
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff



=== J/wait?n=99999999999999999999 is a first hop
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
GET wait?n=99999999999999999999
--- job_code: 303
--- job_headers
Location: http://localhost/jobs/$id/wait?n=1
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff



=== J/wait?m=1 is a first hop
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
GET wait?m=1
--- job_code: 303
--- job_headers
Location: http://localhost/jobs/$id/wait?n=1
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff



=== POST J/wait only waits
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
POST wait
GET
--- job_code: 303 200
--- job_body_like eval
[undef,
'"status":"running"']
--- job_headers eval
["Location: http://localhost/jobs/\$id/wait?n=1\n", undef]



=== PUT J/wait only waits
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
PUT wait
GET
--- job_code: 303 200
--- job_body_like eval
[undef,
'"status":"running"']
--- job_headers eval
["Location: http://localhost/jobs/\$id/wait?n=1\n", undef]



=== DELETE J/wait only waits
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
DELETE wait
GET
--- job_code: 303 200
--- job_body_like eval
[undef,
'"status":"running"']
--- job_headers eval
["Location: http://localhost/jobs/\$id/wait?n=1\n", undef]



=== PATCH J/wait only waits
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
PATCH wait
GET
--- job_code: 303 200
--- job_body_like eval
[undef,
'"status":"running"']
--- job_headers eval
["Location: http://localhost/jobs/\$id/wait?n=1\n", undef]



=== J/wait of a finished job is its result
--- backend
location = /a { return 201 made; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET wait
POST wait?n=7
--- job_code: 200 201 201
--- job_body_like eval
[undef,
'^made$',
'^made$']
--- job_headers eval
[undef, "AsyncResult: 201\nAsync-Status: succeeded\n", "AsyncResult: 201\n"]



=== J/wait of a job that was canceled: 404
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
GET /a
--- error_code: 202
--- job
DELETE
GET wait
--- job_code: 202 404
--- job_body_like eval
[undef,
'problem:canceled']



=== a navigation to J/wait leads to the page
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
GET wait
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 303
--- job_headers
Location: http://localhost/jobs/$id



=== ?wait=0 is not held
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 1h;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=0
--- job_code: 202
--- job_headers
X-Progress: running



=== ?wait=x is not held
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 1h;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=x
--- job_code: 202
--- job_headers
X-Progress: running



=== ?wait= is not held
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 1h;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=
--- job_code: 202
--- job_headers
X-Progress: running



=== no wait at all is not held
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 1h;
}
--- request
GET /a
--- error_code: 202
--- job
GET result
--- job_code: 202
--- job_headers
X-Progress: running



=== Prefer: wait=0 is not held
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 1h;
}
--- request
GET /a
--- error_code: 202
--- job
GET result
--- job_more_headers
Prefer: wait=0
--- job_code: 202
--- job_headers
X-Progress: running



=== Prefer: wait=x is not held
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 1h;
}
--- request
GET /a
--- error_code: 202
--- job
GET result
--- job_more_headers
Prefer: wait=x
--- job_code: 202
--- job_headers
X-Progress: running



=== ?wait=0 is more than Prefer: wait=100
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 1h;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=0
--- job_more_headers
Prefer: wait=100
--- job_code: 202
--- job_headers
X-Progress: running



=== ?wait= is bounded by async_wait_max
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=100
--- job_code: 202
--- job_headers
X-Progress: running



=== Prefer: wait= is bounded by async_wait_max
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
GET result
--- job_more_headers
Prefer: respond-async, wait=100
--- job_code: 202
--- job_headers
X-Progress: running



=== J?wait= answers 200 all the same
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_wait_max 50ms;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=100
--- job_code: 200
--- job_body_like: "status":"running"



=== events of a finished job: how it ended, once
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET events
--- job_code: 200 200
--- job_body_like eval
[undef,
'^retry: \d+\n\n?(id: \d+\nevent: status|event: status\nid: \d+)\ndata: \{"id":"$id","status":"succeeded".*\}\n\n$']
--- job_headers eval
[undef, "Content-Type: text/event-stream
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
"]



=== events after an id that is none: the same
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET events
--- job_more_headers
Last-Event-ID: x
--- job_code: 200 200
--- job_body_like eval
[undef,
'event: status
(?:id: \d+\n)?data: \{"id":"$id","status":"succeeded"']



=== HEAD J/events has no body
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
HEAD events
--- job_code: 200 200
--- job_body eval
[undef, '']



=== events after the last one: 204
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET events
--- job_more_headers
Last-Event-ID: 99
--- job_code: 200 204
--- job_headers eval
[undef, "Cache-Control: no-store\n!Content-Type\n"]
--- job_body eval
[undef, '']
