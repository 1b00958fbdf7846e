#!/usr/bin/perl

# J: the status document in each state, and a result that is not there yet.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

run_tests();

__DATA__

=== a pending job: what J answers
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
--- job_code: 200
--- job_headers
Content-Type: application/json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
!Expires
--- job_headers_like
Retry-After: [1-9]\d*



=== its document has id, times and attempt
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
POST /a?b=c
body
--- error_code: 202
--- job
GET
--- job_code: 200
--- job_body_like: ^{"id":"$id","status":"running","created_at":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","started_at":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z".*"queue":"default".*"attempt":1



=== its document has the request, with its query
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
POST /a?b=c
body
--- error_code: 202
--- job
GET
--- job_code: 200
--- job_body_like: "request":\{"method":"POST","uri":"/a\?b=c"\}



=== its document has progress
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
--- job_code: 200
--- job_body_like: "progress":\{"bytes_received":0\}



=== its document has links
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
--- job_code: 200
--- job_body_like: "links":\{"self":"http://localhost/jobs/$id","result":"http://localhost/jobs/$id/result","wait":"http://localhost/jobs/$id/wait","events":"http://localhost/jobs/$id/events","cancel":"http://localhost/jobs/$id/cancel"\}



=== its document has nothing of an end, or of a queue
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
--- job_code: 200
--- job_body_unlike: finished_at|expires_at|position|queue_paused|response|resourceLocation|error|callback|retry



=== a job that succeeded: what J answers
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_headers
Content-Type: application/json
!Retry-After
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff



=== its document has the times of its end
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "status":"succeeded".*"finished_at":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","expires_at":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"



=== its document has the response
--- backend
location = /a {
    default_type text/csv;
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "response":\{"status":200,"content_type":"text/csv","content_length":10\}



=== its document has resourceLocation
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "resourceLocation":"http://localhost/jobs/$id/result"



=== its document has nothing of what is past
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_unlike: "error"|progress|estimated_finish_at|position|queue_paused



=== HEAD J has no body
--- request
GET /a
--- error_code: 202
--- job
HEAD ?wait=9
--- job_code: 200
--- job_headers
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_headers_like
Content-Length: \d{3}
--- job_body:



=== an error of the upstream is a failed job with a response
--- backend
location = /a { return 500 oops; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "status":"failed".*"response":\{"status":500



=== an error of the upstream is an error with code and message
--- backend
location = /a { return 500 oops; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "error":\{"code":"http_500","message":"[^"]+
--- job_body_unlike: resourceLocation



=== a 404 of the upstream is a failed job with a response
--- backend
location = /a { return 404 oops; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "status":"failed".*"response":\{"status":404



=== a 404 of the upstream is an error with code and message
--- backend
location = /a { return 404 oops; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "error":\{"code":"http_404","message":"[^"]+
--- job_body_unlike: resourceLocation



=== a dead backend is a failed job with a response
--- config
location / {
    async on;
    proxy_pass http://127.0.0.1:1;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "status":"failed".*"response":\{"status":502



=== a dead backend is an error with code and message
--- config
location / {
    async on;
    proxy_pass http://127.0.0.1:1;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "error":\{"code":"http_502","message":"[^"]+
--- job_body_unlike: resourceLocation



=== error_page of a dead backend is the error
--- config
location / {
    async on;
    error_page 502 =503 /sorry;
    proxy_pass http://127.0.0.1:1;
}
location = /sorry { return 503 sorry; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "response":\{"status":503.*"error":\{"code":"http_502","message":"No response came from the upstream; the location answered 503 Service



=== an error_page that answers 200 to a dead backend does not make a success
--- config
location / {
    async on;
    error_page 502 = /sorry;
    proxy_pass http://127.0.0.1:1;
}
location = /sorry { return 200 sorry; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "status":"failed".*"response":\{"status":200.*"error":\{"code":"http_502","message":"[^"]* 200\."



=== an error_page that asks another backend makes a success
--- backend
location = /a { return 200 spare; }
--- config
location / {
    async on;
    error_page 502 = @spare;
    proxy_pass http://127.0.0.1:1;
}
location @spare { proxy_pass http://backend; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "status":"succeeded".*"response":\{"status":200



=== a timeout is an error without a response
--- config
location / {
    async on;
    async_timeout 50ms;
    proxy_pass http://silent;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "status":"failed".*"error":\{"code":"timeout","message":"[^"]+
--- job_body_unlike: "response"|resourceLocation



=== too large a response is an error without one
--- config
location / {
    async on;
    async_max_response_size 4;
    proxy_pass http://backend;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "status":"failed".*"error":\{"code":"response_too_large","message":"[^"]+
--- job_body_unlike: "response"|resourceLocation



=== too long in the queue is an error without a response
--- http_config
async_queue hurry concurrency=1 timeout=50ms;
--- config
location / {
    async on queue=hurry;
    proxy_pass http://silent;
}
--- request eval
['GET /a', 'GET /a']
--- error_code eval
[202, 202]
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "status":"failed".*"error":\{"code":"queue_timeout","message":"[^"]+
--- job_body_unlike: "response"|started_at



=== its result: 504
--- http_config
async_queue hurry concurrency=1 timeout=50ms;
--- config
location / {
    async on queue=hurry;
    proxy_pass http://silent;
}
--- request eval
['GET /a', 'GET /a']
--- error_code eval
[202, 202]
--- job
GET result?wait=9
--- job_code: 504
--- job_headers
Async-Status: failed
!AsyncResult
--- job_body_like: "code":"queue_timeout"



=== a queued job: its document has queue and position
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
GET
--- job_code: 200
--- job_body_like: "status":"notStarted".*"queue":"one","position":1,"queue_paused":false



=== the position counts those before
--- http_config
async_queue one concurrency=1;
--- config
location / {
    async on queue=one;
    proxy_pass http://silent;
}
--- request eval
['GET /a', 'GET /a', 'GET /a']
--- error_code eval
[202, 202, 202]
--- job
GET
--- job_code: 200
--- job_body_like: "position":2,



=== its document has nothing of a start
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
GET
--- job_code: 200
--- job_body_unlike: started_at|progress|finished_at



=== the result of a queued job: 202, and where to ask
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
GET result
--- job_code: 202
--- job_headers
Location: http://localhost/jobs/$id/result
Content-Location: http://localhost/jobs/$id/result
X-Progress: queued, position 1
Content-Type: application/json
!AsyncResult
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_headers_like
Retry-After: [1-9]\d*
--- job_body_like: "status":"notStarted"



=== the result of a running job: 202, and how far
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
GET /a
--- error_code: 202
--- job
GET result
--- job_code: 202
--- job_headers
Location: http://localhost/jobs/$id/result
X-Progress: running
Retry-After: 2
--- job_body_like: "status":"running"



=== a request that is kept has a link to run it again
--- config
location / {
    async on;
    async_keep_request 1h;
    proxy_pass http://backend;
}
--- backend
location = /a { return 500 x; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_like: "retry":"http://localhost/jobs/$id/retry"



=== one that is not kept has none
--- backend
location = /a { return 500 x; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_code: 200
--- job_body_unlike: "retry"



=== an id that is none: 404
--- request
GET /jobs/x
--- error_code: 404
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- response_body_like: "type":"urn:ngx-async:problem:not-found","title":"[^"]+","status":404,"detail":"[^"]+



=== an id that is not known: 404
--- request
GET /jobs/01981f3e-7a5c-7cc3-98c4-dc0c0c07398f
--- error_code: 404
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- response_body_like: "type":"urn:ngx-async:problem:not-found","title":"[^"]+","status":404,"detail":"[^"]+



=== an empty id: 404
--- request
GET /jobs//
--- error_code: 404
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- response_body_like: "type":"urn:ngx-async:problem:not-found","title":"[^"]+","status":404,"detail":"[^"]+



=== the list, when it is off: 404
--- request
GET /jobs/
--- error_code: 404
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- response_body_like: "type":"urn:ngx-async:problem:not-found","title":"[^"]+","status":404,"detail":"[^"]+



=== DELETE of an id that is none: 404
--- request
DELETE /jobs/x
--- error_code: 404
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- response_body_like: "type":"urn:ngx-async:problem:not-found","title":"[^"]+","status":404,"detail":"[^"]+



=== cancel of an id that is none: 404
--- request
POST /jobs/x/cancel

--- error_code: 404
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- response_body_like: "type":"urn:ngx-async:problem:not-found","title":"[^"]+","status":404,"detail":"[^"]+



=== error_page does not replace a problem
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    error_page 404 =200 /error;
}
location = /error { return 200 replaced; }
--- request
GET /jobs/x
--- error_code: 404
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- response_body_like: "type":"urn:ngx-async:problem:not-found","title":"[^"]+","status":404,"detail":"[^"]+



=== nor one that is a 405
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    error_page 405 =200 /error;
}
location = /error { return 200 replaced; }
--- request
PUT /jobs/x
--- error_code: 405
--- response_headers
Content-Type: application/problem+json
--- response_body_like: problem:method



=== nor one that is a 409
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    error_page 409 =200 /error;
}
location = /error { return 200 replaced; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
POST cancel
--- job_code: 200 409
--- job_body_like eval
["GET /a", "problem:finished"]



=== what the jobs location adds is not there twice
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    expires 1h;
    add_header Cache-Control no-store;
    add_header X-Content-Type-Options nosniff;
}
--- request
GET /a
--- error_code: 202
--- job
GET
--- job_code: 200
--- job_headers
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
!Expires
--- job_raw_headers_unlike: (?s)(Cache-Control|X-Content-Type-Options):.*\1:



=== anything else below J: 404
--- request
GET /a
--- error_code: 202
--- job
GET other
GET result/
GET result/x
GET wait/
--- job_code: 404 404 404 404
--- job_body_like eval
['"type":"urn:ngx-async:problem:not-found","title":"[^"]+","status":404,"detail":"[^"]+',
'"type":"urn:ngx-async:problem:not-found","title":"[^"]+","status":404,"detail":"[^"]+',
'"type":"urn:ngx-async:problem:not-found","title":"[^"]+","status":404,"detail":"[^"]+',
'"type":"urn:ngx-async:problem:not-found","title":"[^"]+","status":404,"detail":"[^"]+']



=== PUT J: 405
--- request
GET /a
--- error_code: 202
--- job
PUT
--- job_code: 405
--- job_headers
Allow: GET, HEAD, DELETE
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body_like: "type":"urn:ngx-async:problem:method","title":"[^"]+","status":405,"detail":"[^"]+



=== PATCH J: 405
--- request
GET /a
--- error_code: 202
--- job
PATCH
--- job_code: 405
--- job_headers
Allow: GET, HEAD, DELETE
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body_like: "type":"urn:ngx-async:problem:method","title":"[^"]+","status":405,"detail":"[^"]+



=== POST J/result: 405
--- request
GET /a
--- error_code: 202
--- job
POST result
--- job_code: 405
--- job_headers
Allow: GET, HEAD, DELETE
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body_like: "type":"urn:ngx-async:problem:method","title":"[^"]+","status":405,"detail":"[^"]+



=== OPTIONS J/result: 405
--- request
GET /a
--- error_code: 202
--- job
OPTIONS result
--- job_code: 405
--- job_headers
Allow: GET, HEAD, DELETE
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body_like: "type":"urn:ngx-async:problem:method","title":"[^"]+","status":405,"detail":"[^"]+



=== POST J/events: 405
--- request
GET /a
--- error_code: 202
--- job
POST events
--- job_code: 405
--- job_headers
Allow: GET, HEAD
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body_like: "type":"urn:ngx-async:problem:method","title":"[^"]+","status":405,"detail":"[^"]+



=== GET J/cancel: 405
--- request
GET /a
--- error_code: 202
--- job
GET cancel
--- job_code: 405
--- job_headers
Allow: POST
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body_like: "type":"urn:ngx-async:problem:method","title":"[^"]+","status":405,"detail":"[^"]+



=== DELETE J/retry: 405
--- request
GET /a
--- error_code: 202
--- job
DELETE retry
--- job_code: 405
--- job_headers
Allow: POST
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body_like: "type":"urn:ngx-async:problem:method","title":"[^"]+","status":405,"detail":"[^"]+



=== the same for an id that is none
--- request
PUT /jobs/x
--- error_code: 405
--- response_headers
Allow: GET, HEAD, DELETE
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- response_body_like: problem:method



=== POST to the list: 405
--- request
POST /jobs/

--- error_code: 405
--- response_headers
Allow: GET, HEAD
Content-Type: application/problem+json
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- response_body_like: problem:method



=== the message of an error names the status that nginx answers with
--- config
location / {
    async on;
    proxy_pass http://127.0.0.1:1;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_body_like: "message":"The request was answered by 502 Bad Gateway\."



=== and a status without a reason phrase
--- backend
location = /a { return 422 oops; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_body_like: "message":"The request was answered by 422 Unprocessable Content\."



=== a status that has no name
--- backend
location = /a { return 460 oops; }
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_body_like: "message":"The request was answered by 460\."



=== the reason phrase of the backend
--- config
location / {
    async on;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_2
--- tcp_reply eval
"HTTP/1.0 503 Too Tired\r\nContent-Length: 3\r\n\r\nzzz"
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_body_like: "message":"The request was answered by 503 Too Tired\."



=== Retry-After of a job without history tells when its next attempt is due
--- backend
location = /a {
    add_header Retry-After 40 always;
    return 503;
}
--- config
location / {
    async on;
    async_retry http_503;
    proxy_pass http://backend;
}
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=1
--- job_code: 200
--- job_headers_like
Retry-After: ^(?:40|39)$
