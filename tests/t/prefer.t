#!/usr/bin/perl

# "Prefer" (RFC 7240), and how long a client is held.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

run_tests();

__DATA__

=== TEST 1: respond-async
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: respond-async
--- error_code: 202
--- response_headers
Preference-Applied: respond-async



=== TEST 2: names of preferences have no case
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: Respond-ASYNC
--- error_code: 202
--- response_headers
Preference-Applied: respond-async



=== TEST 3: respond-async after another preference
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: foo, respond-async
--- error_code: 202
--- response_headers
Preference-Applied: respond-async



=== TEST 4: a comma in a quoted value is none
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: foo=bar; x="a, b", respond-async
--- error_code: 202
--- response_headers
Preference-Applied: respond-async



=== TEST 5: respond-async with a parameter
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: respond-async; a=b
--- error_code: 202
--- response_headers
Preference-Applied: respond-async



=== TEST 6: an element without a name is dropped alone
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: =x, respond-async
--- error_code: 202
--- response_headers
Preference-Applied: respond-async



=== TEST 7: an unclosed quote ends with its element
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: foo="unclosed, respond-async
--- error_code: 202
--- response_headers
Preference-Applied: respond-async



=== TEST 8: empty elements
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: ,,respond-async,
--- error_code: 202
--- response_headers
Preference-Applied: respond-async



=== TEST 9: a wait that is no number is dropped alone
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: respond-async, wait=x
--- error_code: 202
--- response_headers
Preference-Applied: respond-async



=== TEST 10: a negative wait is dropped alone
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: respond-async, wait=-1
--- error_code: 202
--- response_headers
Preference-Applied: respond-async



=== TEST 11: respond-async in a second line
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: handling=lenient
Prefer: x=y, respond-async
--- error_code: 202
--- response_headers
Preference-Applied: respond-async



=== TEST 12: a longer name is another preference
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: respond-asynchronously
--- response_headers
!Preference-Applied
!Async-Id
!Vary
--- response_body
GET /



=== TEST 13: so is a name that ends like it
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: x-respond-async
--- response_headers
!Preference-Applied
!Async-Id
!Vary
--- response_body
GET /



=== TEST 14: respond-async as a value is none
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: x="respond-async"
--- response_headers
!Preference-Applied
!Async-Id
!Vary
--- response_body
GET /



=== TEST 15: respond-async as a parameter is none
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: foo; respond-async
--- response_headers
!Preference-Applied
!Async-Id
!Vary
--- response_body
GET /



=== TEST 16: respond-async with a value is none
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: respond-async=1
--- response_headers
!Preference-Applied
!Async-Id
!Vary
--- response_body
GET /



=== TEST 17: wait alone does not ask for a job
--- config
location / {
    async prefer;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: wait=1
--- response_headers
!Preference-Applied
!Async-Id
!Vary
--- response_body
GET /



=== TEST 18: respond-async answers at once, whatever async_wait is
--- config
location / {
    async on;
    async_wait 60s;
    proxy_pass http://silent;
}
--- request: GET /
--- more_headers
Prefer: respond-async
--- error_code: 202
--- response_headers
Preference-Applied: respond-async
Vary: Prefer, Accept, Sec-Fetch-Mode



=== TEST 19: no Preference-Applied for what was not asked for
--- request: GET /
--- error_code: 202
--- response_headers
!Preference-Applied
Vary: Prefer, Accept, Sec-Fetch-Mode



=== TEST 20: wait=0 alone: 303 to J/wait
--- config
location / {
    async on;
    async_wait 60s;
    proxy_pass http://silent;
}
--- request: GET /
--- more_headers
Prefer: wait=0
--- error_code: 303
--- response_headers_like
Location: http://localhost/jobs/[-0-9a-f]{36}/wait
Async-Id: [-0-9a-f]{36}
Vary: Prefer, Accept, Sec-Fetch-Mode
Cache-Control: no-store



=== TEST 21: wait=0 with respond-async: 202
--- config
location / {
    async on;
    async_wait 60s;
    proxy_pass http://silent;
}
--- request: GET /
--- more_headers
Prefer: wait=0, respond-async
--- error_code: 202
--- response_headers
Preference-Applied: respond-async



=== TEST 22: wait holds for a response, which is given as it is
--- request: GET /a
--- more_headers
Prefer: wait=10
--- response_headers
!Async-Id
!Vary
!Preference-Applied
!Cache-Control
--- response_body
GET /a



=== TEST 23: wait with respond-async holds, too
--- request: GET /a
--- more_headers
Prefer: respond-async, wait=10
--- response_body
GET /a



=== TEST 24: wait alone ends in a 303
--- config
location / {
    async on;
    async_wait 60s;
    proxy_pass http://silent;
}
--- request: GET /
--- more_headers
Prefer: wait=1
--- error_code: 303
--- response_headers_like
Location: http://localhost/jobs/[-0-9a-f]{36}/wait



=== TEST 25: wait with respond-async ends in a 202
--- config
location / {
    async on;
    async_wait 60s;
    proxy_pass http://silent;
}
--- request: GET /
--- more_headers
Prefer: wait=1, respond-async
--- error_code: 202
--- response_headers
Preference-Applied: respond-async
--- response_body_like: "status":"(running|notStarted)"



=== TEST 26: async_wait_max bounds a wait
--- config
location / {
    async on;
    async_wait_max 100ms;
    proxy_pass http://silent;
}
--- request: GET /
--- more_headers
Prefer: wait=60
--- error_code: 303



=== TEST 27: the first wait of a line wins
--- request: GET /
--- more_headers
Prefer: wait=10, wait=0
--- response_body
GET /



=== TEST 28: the first wait of several lines wins
--- config
location / {
    async on;
    async_wait 60s;
    proxy_pass http://silent;
}
--- request: GET /
--- more_headers
Prefer: wait=0
Prefer: wait=60
--- error_code: 303



=== TEST 29: a malformed wait is ignored for one that follows
--- config
location / {
    async on;
    async_wait 60s;
    proxy_pass http://silent;
}
--- request: GET /
--- more_headers
Prefer: wait=x, wait=0
--- error_code: 303



=== TEST 30: a malformed wait alone is ignored
--- config
location / {
    async on;
    async_wait 5s;
    proxy_pass http://backend;
}
--- request: GET /
--- more_headers
Prefer: wait=x
--- response_body
GET /



=== TEST 31: wait may be quoted
--- config
location / {
    async on;
    async_wait 60s;
    proxy_pass http://silent;
}
--- request: GET /
--- more_headers
Prefer: wait="0"
--- error_code: 303



=== TEST 32: wait in capitals, with spaces and a parameter
--- config
location / {
    async on;
    async_wait 60s;
    proxy_pass http://silent;
}
--- request: GET /
--- more_headers
Prefer: WAIT = 0 ; a
--- error_code: 303



=== TEST 33: async_wait holds for a response
--- config
location / {
    async on;
    async_wait 5s;
    proxy_pass http://backend;
}
--- request
POST /body
body
--- response_headers
!Async-Id
!Preference-Applied
!Vary
--- response_body chomp
body



=== TEST 34: async_wait ends in a 202
--- config
location / {
    async on;
    async_wait 100ms;
    proxy_pass http://silent;
}
--- request: GET /
--- error_code: 202
--- response_headers
!Preference-Applied
--- response_body_like: "status":"running"



=== TEST 35: async_wait redirect ends in a 303
--- config
location / {
    async on;
    async_wait 100ms redirect;
    proxy_pass http://silent;
}
--- request: GET /
--- error_code: 303
--- response_headers_like
Location: http://localhost/jobs/[-0-9a-f]{36}/wait



=== TEST 36: async_wait 0 redirect is a 303 at once
--- config
location / {
    async on;
    async_wait 0 redirect;
    proxy_pass http://silent;
}
--- request: GET /
--- error_code: 303
--- response_headers_like
Location: http://localhost/jobs/[-0-9a-f]{36}/wait



=== TEST 37: respond-async is a 202 with redirect, too
--- config
location / {
    async on;
    async_wait 60s redirect;
    proxy_pass http://silent;
}
--- request: GET /
--- more_headers
Prefer: respond-async
--- error_code: 202



=== TEST 38: async prefer: at once, whatever async_wait is
--- config
location / {
    async prefer;
    async_wait 60s;
    proxy_pass http://silent;
}
--- request: GET /
--- more_headers
Prefer: respond-async
--- error_code: 202



=== TEST 39: the call has the other preferences only
--- config
location / {
    async on;
    async_wait 5s;
    proxy_http_version 1.0;
    proxy_set_header Host backend;
    proxy_set_header Connection close;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_2
--- request: GET /
--- more_headers
Prefer: handling=lenient, wait=5; a=b, return=minimal
Prefer: wait=9
Prefer: respond-later
--- tcp_query eval
"GET / HTTP/1.0\r\nHost: backend\r\nConnection: close\r\nPrefer: handling=lenient, return=minimal\r\nPrefer: respond-later\r\n\r\n"
--- tcp_reply eval
"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nsaw"
--- response_body chomp
saw



=== TEST 40: a call without other preferences has no Prefer
--- config
location / {
    async on;
    async_wait 5s;
    proxy_http_version 1.0;
    proxy_set_header Host backend;
    proxy_set_header Connection close;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_2
--- request: GET /
--- more_headers
Prefer: respond-async
--- tcp_query eval
"GET / HTTP/1.0\r\nHost: backend\r\nConnection: close\r\n\r\n"
--- tcp_reply eval
"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nsaw"
--- error_code: 202
--- job: GET result?wait=5
--- job_body chomp
saw



=== TEST 41: what is left alone has its Prefer
--- config
location / {
    async prefer;
    async_wait 5s;
    proxy_http_version 1.0;
    proxy_set_header Host backend;
    proxy_set_header Connection close;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_2
--- request: GET /
--- more_headers
Prefer: wait=1
--- tcp_query eval
"GET / HTTP/1.0\r\nHost: backend\r\nConnection: close\r\nPrefer: wait=1\r\n\r\n"
--- tcp_reply eval
"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nsaw"
--- response_body chomp
saw



=== TEST 42: a GET answered at once goes without conditions and ranges
--- config
location / {
    async on;
    proxy_http_version 1.0;
    proxy_set_header Host backend;
    proxy_set_header Connection close;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_2
--- request: GET /
--- more_headers
Range: bytes=0-1
If-Range: "a"
If-None-Match: "b"
If-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT
If-Match: "c"
--- tcp_query eval
"GET / HTTP/1.0\r\nHost: backend\r\nConnection: close\r\nIf-Match: \"c\"\r\n\r\n"
--- tcp_reply eval
"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nsaw"
--- error_code: 202
--- job: GET result?wait=5
--- job_body chomp
saw



=== TEST 43: a held GET keeps them
--- config
location / {
    async on;
    async_wait 5s;
    proxy_http_version 1.0;
    proxy_set_header Host backend;
    proxy_set_header Connection close;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_2
--- request: GET /
--- more_headers
Range: bytes=0-1
If-Range: "a"
If-None-Match: "b"
If-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT
If-Match: "c"
--- tcp_query eval
"GET / HTTP/1.0\r\nHost: backend\r\nConnection: close\r\nRange: bytes=0-1\r\nIf-Range: \"a\"\r\nIf-None-Match: \"b\"\r\nIf-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT\r\nIf-Match: \"c\"\r\n\r\n"
--- tcp_reply eval
"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nsaw"
--- response_body chomp
saw



=== TEST 44: so does a DELETE answered at once
--- config
location / {
    async on;
    proxy_http_version 1.0;
    proxy_set_header Host backend;
    proxy_set_header Connection close;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_2
--- request: DELETE /
--- more_headers
Range: bytes=0-1
If-Range: "a"
If-None-Match: "b"
If-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT
If-Match: "c"
--- tcp_query eval
"DELETE / HTTP/1.0\r\nHost: backend\r\nConnection: close\r\nRange: bytes=0-1\r\nIf-Range: \"a\"\r\nIf-None-Match: \"b\"\r\nIf-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT\r\nIf-Match: \"c\"\r\n\r\n"
--- tcp_reply eval
"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nsaw"
--- error_code: 202
--- job: GET result?wait=5
--- job_body chomp
saw


=== TEST 45: what is left of thousands of preferences is whole
--- config
location / {
    async on;
    proxy_http_version 1.0;
    proxy_set_header Host backend;
    proxy_set_header Connection close;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_2
--- request eval
"POST /\n" . "x" x 5000
--- more_headers eval
"Prefer: " . "a," x 3500 . "wait=5"
--- tcp_query eval
"POST / HTTP/1.0\r\nHost: backend\r\nConnection: close\r\n"
. "Content-Length: 5000\r\nPrefer: " . "a," x 3499 . "a\r\n\r\n" . "x" x 5000
--- tcp_reply eval
"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nsaw"
--- response_body chomp
saw


=== TEST 46: a direct call that breaks off is the problem of a client that is held
--- config
location / {
    async on;
    async_wait 9s;
    async_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_2
--- tcp_reply eval: ""
--- request
GET /
--- error_code: 502
--- response_body_like: problem:no-response".*"code":"connection_lost"


=== TEST 47: a direct call that is not in time is the problem of a client that is held
--- config
location / {
    async on;
    async_wait 9s;
    async_timeout 50ms;
    async_pass http://127.0.0.1:$TEST_NGINX_SILENT_PORT;
}
--- request
GET /
--- error_code: 504
--- response_body_like: problem:no-response".*"code":"timeout"
