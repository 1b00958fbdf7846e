#!/usr/bin/perl

# J/result: the status and the header fields of the stored response.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

run_tests();

__DATA__

=== a result is the response of the upstream
--- backend
location = /a {
    default_type "text/csv;charset=utf-8;header=present";
    add_header X-Own "some thing";
    add_header Content-Language de;
    add_header Link "</a>, </b>";
    return 200 body;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 200
--- job_headers
Content-Type: text/csv;charset=utf-8;header=present
Content-Length: 4
X-Own: some thing
Content-Language: de
Link: </a>, </b>
--- job_body: body



=== repeated fields are there in their order
--- backend
location = /a {
    add_header X-B 1;
    add_header X-A 2;
    add_header X-B 3;
    add_header Vary A;
    add_header Vary B;
    add_header WWW-Authenticate Basic;
    add_header WWW-Authenticate Digest;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_raw_headers_like chop
X-B: 1\r
X-A: 2\r
X-B: 3\r
Vary: A\r
Vary: B\r
WWW-Authenticate: Basic\r
WWW-Authenticate: Digest\r



=== AsyncResult and Async-Status are the module's own
--- backend
location = /a {
    add_header AsyncResult 7;
    add_header Async-Status none;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
AsyncResult: 200
Async-Status: succeeded



=== fields of a connection are dropped
--- backend
location = /a {
    add_header Keep-Alive timeout=5;
    add_header Proxy-Authenticate Basic;
    add_header Trailer X-T;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
!Keep-Alive
!Proxy-Authenticate
!Trailer



=== fields that were meant for the moment are dropped
--- backend
location = /a {
    add_header Retry-After 9;
    add_header Expires 0;
    add_header Pragma no-cache;
    add_header Age 5;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
!Retry-After
!Expires
!Pragma
!Age



=== Set-Cookie is dropped
--- backend
location = /a {
    add_header Set-Cookie a=1;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
!Set-Cookie



=== Cache-Control is replaced, once
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    expires 1h;
    add_header Cache-Control public;
}
--- backend
location = /a {
    add_header Cache-Control max-age=60;
    add_header Cache-Control public;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
Cache-Control: private, no-cache
!Expires
--- job_raw_headers_unlike: (?s)Cache-Control:.*Cache-Control:



=== fields against guessing and leaking are there, once
--- backend
location = /a {
    add_header X-Content-Type-Options nosniff;
    add_header Referrer-Policy origin;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
X-Content-Type-Options: nosniff
Referrer-Policy: no-referrer
--- job_raw_headers_unlike: (?s)(X-Content-Type-Options|Referrer-Policy).*\1



=== what the call's location adds is not added again for the reader
--- config
add_header X-Both same;
location / {
    async on;
    proxy_pass http://backend;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
X-Both: same
--- job_raw_headers_unlike: (?s)X-Both.*X-Both



=== a path in Location is made a URL
--- backend
location = /a/b {
    add_header Location /made;
    add_header Content-Location /said;
    return 201 x;
}
--- request
GET /a/b
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 201
--- job_headers
Location: http://localhost/made
Content-Location: http://localhost/said



=== relative references are resolved against the submitted URI
--- backend
location = /a/b {
    add_header Location ../c?d;
    add_header Content-Location e;
    return 201 x;
}
--- request
GET /a/b?q=1
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 201
--- job_headers
Location: http://localhost/c?d
Content-Location: http://localhost/a/e



=== references without a path keep that of the submitted URI
--- backend
location = /a/b {
    add_header Location "?q";
    add_header Content-Location "#frag";
    return 201 x;
}
--- request
GET /a/b?z
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 201
--- job_headers
Location: http://localhost/a/b?q
Content-Location: http://localhost/a/b?z#frag



=== dots in references are removed
--- backend
location = /a/b {
    add_header Location ./x/../y;
    return 201 x;
}
--- request
GET /a/b
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 201
--- job_headers
Location: http://localhost/a/y



=== a reference without a scheme gets that of the submission
--- backend
location = /a {
    add_header Location //other/made;
    return 201 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 201
--- job_headers
Location: http://other/made



=== a URL in Location stays
--- backend
location = /a {
    add_header Location https://other/made?a#b;
    return 201 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 201
--- job_headers
Location: https://other/made?a#b



=== a redirect that nginx itself makes has one absolute Location
--- config
location / {
    async on;
    error_page 502 =301 /elsewhere;
    proxy_pass http://127.0.0.1:1;
}
location = /elsewhere { return 301 /there; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 301
--- job_headers
Location: http://localhost/there
--- job_raw_headers_unlike: (?s)\r\nLocation.*\r\nLocation



=== a 201 stays 201
--- backend
location = /a { return 201 x; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 201
--- job_headers
AsyncResult: 201
Async-Status: succeeded
--- job_body: x



=== a 202 of the upstream is replayed as 200
--- backend
location = /a { return 202 x; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 200
--- job_headers
AsyncResult: 202
Async-Status: succeeded
--- job_body: x



=== a 203 stays 203
--- backend
location = /a { return 203 x; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 203
--- job_headers
AsyncResult: 203
Async-Status: succeeded
--- job_body: x



=== a 204 has no body, and no length
--- backend
location = /a { return 204; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 204
--- job_headers
AsyncResult: 204
Async-Status: succeeded
!Content-Length
!Content-Type
--- job_body:



=== a redirect is replayed
--- backend
location = /a { return 302 http://other/; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 302
--- job_headers
AsyncResult: 302
Async-Status: succeeded
Location: http://other/



=== so is a permanent one
--- backend
location = /a { return 301 http://other/; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 301
--- job_headers
AsyncResult: 301
Async-Status: succeeded
Location: http://other/



=== a 304 that nobody asked for is replayed
--- backend
location = /a { return 304; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 304
--- job_headers
AsyncResult: 304
Async-Status: succeeded



=== a 400 is a result, and means that the job failed
--- backend
location = /a { return 400 no; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 400
--- job_headers
AsyncResult: 400
Async-Status: failed
--- job_body: no



=== a 404 of the upstream is not one of the module
--- backend
location = /a { return 404 none; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 404
--- job_headers
AsyncResult: 404
Async-Status: failed
--- job_body: none



=== a 409 of the upstream is not one of the module
--- backend
location = /a { return 409 busy; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 409
--- job_headers
AsyncResult: 409
Async-Status: failed
--- job_body: busy



=== a 418 stays 418
--- backend
location = /a { return 418 teapot; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 418
--- job_headers
AsyncResult: 418
Async-Status: failed
--- job_body: teapot



=== a 429 loses its Retry-After
--- backend
location = /a {
    add_header Retry-After 5 always;
    return 429 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 429
--- job_headers
AsyncResult: 429
!Retry-After



=== a 500 of the upstream is not one of the module
--- backend
location = /a { return 500 broken; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 500
--- job_headers
AsyncResult: 500
Async-Status: failed
--- job_body: broken



=== an unknown status is replayed
--- backend
location = /a { return 599 odd; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 599
--- job_headers
AsyncResult: 599
Async-Status: failed
--- job_body: odd



=== nginx's own 502 for a dead backend is the response
--- config
location / {
    async on;
    proxy_pass http://127.0.0.1:1;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 502
--- job_headers
AsyncResult: 502
Async-Status: failed
Content-Type: text/html
--- job_body_like: 502 Bad Gateway



=== error_page of the location is the response
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
GET result?wait=9
--- job_code: 503
--- job_headers
AsyncResult: 503
--- job_body: sorry



=== async_result_status 200 answers 200 to an error
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_result_status 200;
}
--- backend
location = /a { return 503 down; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 200
--- job_headers
AsyncResult: 503
Async-Status: failed
--- job_body: down



=== async_result_status 200 answers 200 to a 204
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_result_status 200;
}
--- backend
location = /a { return 204; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 200
--- job_headers
AsyncResult: 204
Content-Length: 0
--- job_body:



=== async_result_status 200 answers 200 to a redirect
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_result_status 200;
}
--- backend
location = /a { return 302 http://other/; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 200
--- job_headers
AsyncResult: 302
Location: http://other/



=== async_result_status 200 does not hide that a job is pending
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
GET result
--- job_code: 202
--- job_headers
!AsyncResult



=== async_hide_header hides one field
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_hide_header X-Secret;
}
--- backend
location = /a {
    add_header X-Secret 1;
    add_header X-Shown 2;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
!X-Secret
X-Shown: 2



=== async_pass_header shows what would be dropped
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_pass_header Set-Cookie;
    async_pass_header Retry-After;
    async_pass_header Expires;
}
--- backend
location = /a {
    add_header Set-Cookie a=b;
    add_header Set-Cookie c=d;
    add_header Retry-After 5;
    add_header Expires "Thu, 01 Jan 2037 00:00:00 GMT";
    add_header Pragma x;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
Retry-After: 5
Expires: Thu, 01 Jan 2037 00:00:00 GMT
Cache-Control: private, no-cache
!Pragma
--- job_raw_headers_like: Set-Cookie: a=b\r\n(.*\r\n)*Set-Cookie: c=d\r\n



=== async_pass_header Cache-Control keeps that of the upstream
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_pass_header Cache-Control;
}
--- backend
location = /a {
    add_header Cache-Control max-age=5;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
Cache-Control: max-age=5



=== filters of the jobs location run
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    gzip on;
    gzip_types text/plain;
    gzip_min_length 1;
}
--- backend
location = /a {
    default_type text/plain;
    return 200 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Accept-Encoding: gzip
--- job_headers
Content-Encoding: gzip
AsyncResult: 200



=== HTML is sandboxed
--- backend
location = /a {
    default_type "Text/HTML; charset=utf-8";
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
Content-Security-Policy: sandbox



=== HTML between tabs is sandboxed
--- backend
location = /a {
    default_type "\ttext/html\t; charset=utf-8";
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
Content-Security-Policy: sandbox



=== SVG is sandboxed
--- backend
location = /a {
    default_type image/svg+xml;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
Content-Security-Policy: sandbox



=== XHTML is sandboxed
--- backend
location = /a {
    default_type application/xhtml+xml;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
Content-Security-Policy: sandbox



=== an image is not sandboxed
--- backend
location = /a {
    default_type image/png;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
!Content-Security-Policy



=== what has an owner is not sandboxed
--- config
async_owner $http_x_user;
location / {
    async on;
    proxy_pass http://backend;
}
--- backend
location = /a {
    default_type text/html;
    return 200 x;
}
--- request
GET /a
--- more_headers
X-User: alice
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
X-User: alice
--- job_code: 200
--- job_headers
!Content-Security-Policy



=== what has an empty owner is sandboxed
--- config
async_owner $http_x_user;
location / {
    async on;
    proxy_pass http://backend;
}
--- backend
location = /a {
    default_type text/html;
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_headers
Content-Security-Policy: sandbox



=== sandbox is a second policy beside the upstream's
--- backend
location = /a {
    default_type text/html;
    add_header Content-Security-Policy "default-src 'self'";
    return 200 x;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_raw_headers_like: Content-Security-Policy: default-src 'self'\r\n(.*\r\n)*Content-Security-Policy: sandbox\r\n



=== a timeout has no response: 504
--- config
location / {
    async on;
    async_timeout 50ms;
    proxy_pass http://silent;
}
--- request
GET /longer-than-ten
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 504
--- job_headers
Content-Type: application/problem+json
Async-Status: failed
!AsyncResult
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body_like: "type":"urn:ngx-async:problem:no-response".*"status":504.*"code":"timeout"



=== a response that is too large is none: 502
--- config
location / {
    async on;
    async_max_response_size 10;
    proxy_pass http://backend;
}
--- request
GET /longer-than-ten
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 502
--- job_headers
Content-Type: application/problem+json
Async-Status: failed
!AsyncResult
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body_like: "type":"urn:ngx-async:problem:no-response".*"status":502.*"code":"response_too_large"



=== async_result_status 200 answers 200 to a timeout, too
--- config
location / {
    async on;
    async_timeout 50ms;
    proxy_pass http://silent;
}
location /jobs/ {
    async_jobs;
    async_result_status 200;
}
--- request
GET /longer-than-ten
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 200
--- job_headers
Content-Type: application/problem+json
Async-Status: failed
AsyncResult: 504
--- job_body_like: "type":"urn:ngx-async:problem:no-response".*"status":504.*"code":"timeout"



=== async_result_status 200 answers 200 to what was too large, too
--- config
location / {
    async on;
    async_max_response_size 10;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_result_status 200;
}
--- request
GET /longer-than-ten
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 200
--- job_headers
Content-Type: application/problem+json
Async-Status: failed
AsyncResult: 502
--- job_body_like: "type":"urn:ngx-async:problem:no-response".*"status":502.*"code":"response_too_large"



=== a result is read twice, and the call was made once
--- backend
location = /a {
    rewrite_log on;
    rewrite ^/a$ /b last;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
GET result?wait=9
--- job_code: 200 200
--- job_body eval
["GET /a\n", "GET /a\n"]
--- grep_error_log eval: qr/"\^\/a\$" matches "\/a"/
--- grep_error_log_out
"^/a$" matches "/a"
