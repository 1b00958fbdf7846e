#!/usr/bin/perl

# DELETE, J/cancel and J/retry, for programs and for browsers.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

master_on();
workers(2);

run_tests();

__DATA__

=== DELETE J of a running job cancels it
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
GET
--- job_code: 202 200
--- job_body_like eval
['"status":"canceled"',
'"status":"canceled".*"finished_at":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","expires_at":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"']
--- job_headers eval
["Location: http://localhost/jobs/\$id\n", undef]



=== DELETE J/result of a running job cancels it
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
GET /a
--- error_code: 202
--- job
DELETE result
GET
--- job_code: 202 200
--- job_body_like eval
['"status":"canceled"',
'"status":"canceled".*"finished_at":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","expires_at":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"']
--- job_headers eval
["Location: http://localhost/jobs/\$id\n", undef]



=== POST J/cancel of a running job cancels it
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
GET /a
--- error_code: 202
--- job
POST cancel
GET
--- job_code: 202 200
--- job_body_like eval
['"status":"canceled"',
'"status":"canceled".*"finished_at":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","expires_at":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"']
--- job_headers eval
["Location: http://localhost/jobs/\$id\n", undef]



=== a job that was canceled has no result: 404
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
GET result
--- job_code: 202 404
--- job_body_like eval
[undef,
'"type":"urn:ngx-async:problem:canceled","title":"[^"]+","status":404,"detail":"The job was canceled, and has no result\. Its call may have had an effect [^"]+ only if [^"]+"']
--- job_headers eval
[undef, "Async-Status: canceled
!AsyncResult
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
"]



=== async_result_status 200 does not give it one
--- config
location / {
    async on;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_result_status 200;
}
--- request
GET /a
--- error_code: 202
--- job
DELETE
GET result
--- job_code: 202 404
--- job_body_like eval
[undef,
'"type":"urn:ngx-async:problem:canceled","title":"[^"]+","status":404,"detail":"[^"]+']



=== its document has nothing of a response
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
GET
--- job_code: 202 200
--- job_body_unlike eval
[undef, '"response"|resourceLocation|progress|"error"']



=== a job that was canceled cannot be canceled again: 409
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
POST cancel
--- job_code: 202 409
--- job_body_like eval
[undef,
'"type":"urn:ngx-async:problem:finished","title":"[^"]+","status":409,"detail":"[^"]+']



=== nor run again: 409
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
POST retry
--- job_code: 202 409
--- job_body_like eval
[undef,
'"type":"urn:ngx-async:problem:not-retryable","title":"[^"]+","status":409,"detail":"[^"]+ canceled\.']



=== but forgotten
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
DELETE
GET
--- job_code: 202 204 404



=== a queued job is canceled
--- http_config
async_queue one concurrency=1;
--- config
location / {
    async on queue=one;
    proxy_pass http://silent;
}
--- request eval
['GET /a', 'GET /a']
--- error_code eval
[202, 202]
--- job
DELETE
GET
--- job_code: 202 200
--- job_body_like eval
['"status":"canceled"',
'^(?!.*started_at).*"status":"canceled"']



=== DELETE J of a finished job forgets it
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
DELETE
GET
DELETE
--- job_code: 200 204 404 404
--- job_headers eval
[undef, "!Content-Length\n!Content-Type\n", undef, undef]
--- job_body eval
[undef, '', undef, undef]



=== DELETE J/result of a finished job forgets it
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
DELETE result
GET
DELETE
--- job_code: 200 204 404 404
--- job_headers eval
[undef, "!Content-Length\n!Content-Type\n", undef, undef]
--- job_body eval
[undef, '', undef, undef]



=== cancel of a finished job: 409, nothing is forgotten
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
POST cancel
GET result
--- job_code: 200 409 200
--- job_body_like eval
[undef,
'"type":"urn:ngx-async:problem:finished","title":"[^"]+","status":409,"detail":"[^"]+',
'^GET /a$']



=== what answers so is a problem
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
POST cancel
--- job_code: 200 409
--- job_headers eval
[undef, "Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
"]



=== a failed job whose request is kept runs again
--- config
location / {
    async on;
    async_keep_request 1h;
    proxy_pass http://backend;
}
--- backend
location = /a { return 500 oops; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
POST retry
GET ?wait=9
--- job_code: 200 202 200
--- job_body_like eval
['"status":"failed".*"attempt":1',
'^{"id":"$id".*"attempt":2',
'"status":"failed".*"attempt":2']
--- job_headers eval
[undef, "Location: http://localhost/jobs/\$id\n", undef]



=== its request is the same, with its body
--- config
location / {
    async on;
    async_keep_request 1h;
    proxy_pass http://backend;
}
--- backend
location = /a {
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/b;
    proxy_set_header Body $request_body;
}
location = /b { return 404 "$request_method $http_body $http_x_own"; }
--- request
POST /a
the body
--- more_headers
X-Own: mine
--- error_code: 202
--- job
GET ?wait=9
POST retry
GET result?wait=9
--- job_code: 200 202 404
--- job_body_like eval
[undef,
undef,
'^POST the body mine$']



=== it may be forgotten then
--- config
location / {
    async on;
    async_keep_request 1h;
    proxy_pass http://backend;
}
--- backend
location = /a { return 500 oops; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
POST retry
GET ?wait=9
DELETE
--- job_code: 200 202 200 204



=== a failed job whose request is not kept does not: 409
--- backend
location = /a { return 500 oops; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
POST retry
--- job_code: 200 409
--- job_body_like eval
[undef,
'"type":"urn:ngx-async:problem:not-retryable","title":"[^"]+","status":409,"detail":"[^"]+ not kept\. [^"]+ only if ']



=== nor does one that succeeded
--- config
location / {
    async on;
    async_keep_request 1h;
    proxy_pass http://backend;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
POST retry
--- job_code: 200 409
--- job_body_like eval
[undef,
'"type":"urn:ngx-async:problem:not-retryable","title":"[^"]+","status":409,"detail":"[^"]+ succeeded,']



=== nor one that waits in its queue
--- http_config
async_queue one concurrency=1;
--- config
location / {
    async on queue=one;
    async_keep_request 1h;
    proxy_pass http://silent;
}
--- request eval
['GET /a', 'GET /a']
--- error_code eval
[202, 202]
--- job
POST retry
--- job_code: 409
--- job_body_like: "type":"urn:ngx-async:problem:not-retryable","title":"[^"]+","status":409,"detail":"[^"]+ waits in its queue,



=== nor one that runs
--- config
location / {
    async on;
    async_keep_request 1h;
    proxy_pass http://silent;
}
--- request
GET /a
--- error_code: 202
--- job
POST retry
--- job_code: 409
--- job_body_like: "type":"urn:ngx-async:problem:not-retryable","title":"[^"]+","status":409,"detail":"[^"]+ running\.



=== a form cancels, and comes back to J
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
GET /a
--- error_code: 202
--- job
POST cancel
--- job_more_headers
Sec-Fetch-Mode: navigate
Sec-Fetch-Site: same-origin
--- job_code: 303
--- job_headers
Location: http://localhost/jobs/$id
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff



=== a form for a finished job comes back to J as well
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
POST cancel
--- job_more_headers
Sec-Fetch-Mode: navigate
Sec-Fetch-Site: same-origin
--- job_code: 200 303
--- job_headers eval
[undef, "Location: http://localhost/jobs/\$id\n"]



=== a form that runs a job again comes back to J
--- config
location / {
    async on;
    async_keep_request 1h;
    proxy_pass http://backend;
}
--- backend
location = /a { return 500 oops; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
POST retry
--- job_more_headers
Sec-Fetch-Mode: navigate
Sec-Fetch-Site: same-origin
--- job_code: 200 303
--- job_headers eval
[undef, "Location: http://localhost/jobs/\$id\n"]



=== DELETE J from another site: 403
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
GET
--- job_more_headers
Sec-Fetch-Site: cross-site
--- job_code: 403 200
--- job_body_like eval
['"type":"urn:ngx-async:problem:cross-site","title":"[^"]+","status":403,"detail":"[^"]+',
'"status":"running"']
--- job_headers eval
["Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
", undef]



=== DELETE J/result from another site: 403
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
GET /a
--- error_code: 202
--- job
DELETE result
GET
--- job_more_headers
Sec-Fetch-Site: cross-site
--- job_code: 403 200
--- job_body_like eval
['"type":"urn:ngx-async:problem:cross-site","title":"[^"]+","status":403,"detail":"[^"]+',
'"status":"running"']
--- job_headers eval
["Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
", undef]



=== POST J/cancel from another site: 403
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
GET /a
--- error_code: 202
--- job
POST cancel
GET
--- job_more_headers
Sec-Fetch-Site: cross-site
--- job_code: 403 200
--- job_body_like eval
['"type":"urn:ngx-async:problem:cross-site","title":"[^"]+","status":403,"detail":"[^"]+',
'"status":"running"']
--- job_headers eval
["Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
", undef]



=== POST J/retry from another site: 403
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
GET /a
--- error_code: 202
--- job
POST retry
GET
--- job_more_headers
Sec-Fetch-Site: cross-site
--- job_code: 403 200
--- job_body_like eval
['"type":"urn:ngx-async:problem:cross-site","title":"[^"]+","status":403,"detail":"[^"]+',
'"status":"running"']
--- job_headers eval
["Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
", undef]



=== a GET from another site is nothing special
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
GET /a
--- error_code: 202
--- job
GET
GET result
--- job_more_headers
Sec-Fetch-Site: cross-site
--- job_code: 200 202



=== DELETE J/wait from another site only waits
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
DELETE wait
GET
--- job_more_headers
Sec-Fetch-Site: cross-site
--- job_code: 200 200 200
--- job_body_like eval
[undef,
'^GET /a$',
'"status":"succeeded"']



=== DELETE from same-origin is fine
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
--- job_more_headers
Sec-Fetch-Site: same-origin
--- job_code: 202



=== DELETE from same-site is fine
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
--- job_more_headers
Sec-Fetch-Site: same-site
--- job_code: 202



=== DELETE from none is fine
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
--- job_more_headers
Sec-Fetch-Site: none
--- job_code: 202
