#!/usr/bin/perl

# Submissions: which requests become jobs, and what their clients are told.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

run_tests();

__DATA__

=== TEST 1: the header of a 202
--- request
POST /
body
--- error_code: 202
--- response_headers_like
Location: http://localhost/jobs/[-0-9a-f]{36}/result
Content-Location: http://localhost/jobs/[-0-9a-f]{36}/result
Operation-Location: http://localhost/jobs/[-0-9a-f]{36}
Async-Id: [0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}
Retry-After: [1-9]\d*
Vary: Prefer, Accept, Sec-Fetch-Mode
Cache-Control: no-store
Content-Type: application/json
Content-Length: \d+


=== TEST 2: the body of a 202 has the id, the true status and the links
--- request
POST /
body
--- error_code: 202
--- response_body_like eval
qr[^\{"id":"([-0-9a-f]{36})","status":"(?:notStarted|running)".*
    "links":\{"self":"(http://localhost/jobs/\g1)","result":"\g2/result",
    "wait":"\g2/wait","events":"\g2/events","cancel":"\g2/cancel"\}\}$]x


=== TEST 3: all of a 202 is about the same job
--- request
GET /
--- error_code: 202
--- raw_response_headers_like eval
qr[Async-Id:\ (\S{36})\r\n
    (?=.*^Location:\ (http://localhost/jobs/\g1)/result\r$)
    (?=.*^Content-Location:\ \g2/result\r$)
    (?=.*^Operation-Location:\ \g2\r$)]msx


=== TEST 4: a 202 has each of its fields once
--- request
GET /
--- error_code: 202
--- raw_response_headers_unlike eval
qr/^([\w-]+):.*^\g1:/mi


=== TEST 5: every request is a job of its own
--- request eval
["GET /a", "GET /a"]
--- error_code eval
[202, 202]
--- ids: a b


=== TEST 6: the job has the method, the URI and the body
--- request
POST /body?c=d
the body
--- error_code: 202
--- job
GET result?wait=5
GET
--- job_body eval
["the body", undef]
--- job_body_like eval
[undef, '"request":\{"method":"POST","uri":"/body\?c=d"\}']


=== TEST 7: the URLs are those of the Host: example.com
--- request
GET /
--- more_headers
Host: example.com
--- error_code: 202
--- response_headers_like
Operation-Location: http://example\.com/jobs/[-0-9a-f]{36}


=== TEST 8: the URLs are those of the Host: example.com:8443
--- request
GET /
--- more_headers
Host: example.com:8443
--- error_code: 202
--- response_headers_like
Operation-Location: http://example\.com:8443/jobs/[-0-9a-f]{36}


=== TEST 9: the URLs are those of the Host: [::1]:80
--- request
GET /
--- more_headers
Host: [::1]:80
--- error_code: 202
--- response_headers_like
Operation-Location: http://\[::1\]:80/jobs/[-0-9a-f]{36}


=== TEST 10: the URLs without a Host
--- raw_request eval
"GET / HTTP/1.0\r\n\r\n"
--- error_code: 202
--- response_headers_like
Operation-Location: http://(127\.0\.0\.1:\d+|localhost)/jobs/[-0-9a-f]{36}


=== TEST 11: async_jobs_uri: a prefix
--- config
location / {
    async on;
    async_jobs_uri /b/;
    proxy_pass http://backend;
}
location /a/ { async_jobs; }
location /b/ { async_jobs; }
--- request
GET /
--- error_code: 202
--- response_headers_like
Operation-Location: http://localhost/b/[-0-9a-f]{36}
--- job
GET
--- job_code: 200


=== TEST 12: async_jobs_uri: a full URL
--- config
location / {
    async on;
    async_jobs_uri https://api.example.com/jobs/;
    proxy_pass http://backend;
}
--- request
GET /
--- error_code: 202
--- response_headers_like
Location: https://api.example.com/jobs/[-0-9a-f]{36}/result
Operation-Location: https://api.example.com/jobs/[-0-9a-f]{36}
--- job
GET
--- job_code: 200
--- job_body_like: "self":"https://api.example.com/jobs/$id"


=== TEST 13: GET becomes a job
--- request
GET /m
--- error_code: 202
--- job
GET result?wait=5
--- job_body
GET /m


=== TEST 14: POST becomes a job
--- request
POST /m
--- error_code: 202
--- job
GET result?wait=5
--- job_body
POST /m


=== TEST 15: PUT becomes a job
--- request
PUT /m
--- error_code: 202
--- job
GET result?wait=5
--- job_body
PUT /m


=== TEST 16: PATCH becomes a job
--- request
PATCH /m
--- error_code: 202
--- job
GET result?wait=5
--- job_body
PATCH /m


=== TEST 17: DELETE becomes a job
--- request
DELETE /m
--- error_code: 202
--- job
GET result?wait=5
--- job_body
DELETE /m


=== TEST 18: PROPFIND becomes a job
--- request
PROPFIND /m
--- error_code: 202
--- job
GET result?wait=5
--- job_body
PROPFIND /m


=== TEST 19: so does a request of HTTP/1.0
--- raw_request eval
"GET /10 HTTP/1.0\r\nHost: localhost\r\n\r\n"
--- error_code: 202
--- job
GET result?wait=5
--- job_body
GET /10


=== TEST 20: so does one for a file
--- config
location / {
    async on;
    root html;
}
--- user_files
>>> a.txt
a file
--- request
GET /a.txt
--- error_code: 202
--- job
GET result?wait=5
--- job_body
a file


=== TEST 21: a chunked body
--- request eval
"POST /body\n3\r\nabc\r\n0\r\n\r\n"
--- more_headers
Transfer-Encoding: chunked
--- error_code: 202
--- job
GET result?wait=5
--- job_body chomp
abc


=== TEST 22: a body that goes to a file
--- config
location / {
    async on;
    client_body_buffer_size 1k;
    root html;
    dav_methods PUT;
}
location /html/ { alias $TEST_NGINX_SERVER_ROOT/html/; }
--- request eval
"PUT /large\n" . CORE::join "", "a" .. "zzz"
--- error_code: 202
--- job
GET result?wait=5
GET /html/large
--- job_code: 201 200
--- job_body eval
[undef, CORE::join "", "a" .. "zzz"]


=== TEST 23: HEAD is left alone
--- request
HEAD /
--- response_headers
!Async-Id
!Operation-Location


=== TEST 24: OPTIONS is left alone
--- request
OPTIONS /
--- response_headers
!Async-Id
!Operation-Location
--- response_body
OPTIONS /


=== TEST 25: TRACE is left alone
--- request
TRACE /
--- error_code: 405
--- response_headers
!Async-Id
!Operation-Location


=== TEST 26: an Upgrade is left alone
--- request
GET /
--- more_headers
Upgrade: websocket
--- response_headers
!Async-Id
!Operation-Location
--- response_body
GET /


=== TEST 27: gRPC is left alone
--- request
POST /
--- more_headers
Content-Type: application/grpc
--- response_headers
!Async-Id
!Operation-Location
--- response_body
POST /


=== TEST 28: so is gRPC with a suffix
--- request
POST /
--- more_headers
Content-Type: application/grpc+proto
--- response_headers
!Async-Id
!Operation-Location
--- response_body
POST /


=== TEST 29: HTTP/0.9 is left alone
--- raw_request eval
"GET /09\r\n"
--- http09
--- response_body
GET /09


=== TEST 30: proxy_request_buffering off is left alone
--- config
location / {
    async on;
    proxy_request_buffering off;
    proxy_pass http://backend;
}
--- request
POST /
x
--- response_headers
!Async-Id
!Operation-Location
--- response_body
POST /


=== TEST 31: an error_page after an upstream has failed is left alone
--- config
location / {
    error_page 502 = @fallback;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
}
location @fallback {
    async on;
    proxy_pass http://backend;
}
--- request
GET /
--- response_headers
!Async-Id
!Operation-Location
--- response_body
GET /


=== TEST 32: a subrequest is left alone
--- config
location / {
    auth_request /asked;
    proxy_pass http://backend;
}
location = /asked {
    async on;
    proxy_pass http://backend;
}
--- request
GET /a
--- response_headers
!Async-Id
!Operation-Location
--- response_body
GET /a


=== TEST 33: async_metrics is left alone
--- config
async on;
location = /metrics { async_metrics; }
--- request
GET /metrics
--- response_headers
!Async-Id
!Operation-Location


=== TEST 34: async_jobs is left alone
--- config
async on;
location /jobs/ { async_jobs; }
--- request
GET /jobs/none
--- error_code: 404
--- response_headers
!Async-Id
!Operation-Location


=== TEST 35: access is denied before a job exists
--- config
location / {
    async on;
    deny all;
    proxy_pass http://backend;
}
--- request
GET /
--- error_code: 403
--- response_headers
!Async-Id
!Operation-Location


=== TEST 36: a return comes before a job
--- config
location / {
    async on;
    return 204;
}
--- request
GET /
--- error_code: 204
--- response_headers
!Async-Id
!Operation-Location


=== TEST 37: a body that is too large is refused before a job exists
--- config
location / {
    async on;
    client_max_body_size 3;
    proxy_pass http://backend;
}
--- request
POST /
body
--- error_code: 413
--- response_headers
!Async-Id
!Operation-Location


=== TEST 38: async is inherited
--- config
async on;
location / { proxy_pass http://backend; }
--- request
GET /
--- error_code: 202


=== TEST 39: async off inside
--- config
async on;
location / {
    async off;
    proxy_pass http://backend;
}
--- request
GET /
--- response_headers
!Async-Id
!Operation-Location
--- response_body
GET /


=== TEST 40: async off in an if that holds
--- config
location / {
    async on;
    if ($arg_sync) { async off; }
    proxy_pass http://backend;
}
--- request
GET /?sync=1
--- response_headers
!Async-Id
!Operation-Location
--- response_body
GET /?sync=1


=== TEST 41: async off in an if that does not
--- config
location / {
    async on;
    if ($arg_sync) { async off; }
    proxy_pass http://backend;
}
--- request
GET /?sync=
--- error_code: 202


=== TEST 42: async $var is on: a job
--- config
location / {
    async $arg_mode;
    proxy_pass http://backend;
}
--- request
GET /?mode=on
--- error_code: 202


=== TEST 43: async $var is 1: a job
--- config
location / {
    async $arg_mode;
    proxy_pass http://backend;
}
--- request
GET /?mode=1
--- error_code: 202


=== TEST 44: async $var is off: no job
--- config
location / {
    async $arg_mode;
    proxy_pass http://backend;
}
--- request
GET /?mode=off
--- more_headers
Prefer: respond-async
--- response_headers
!Async-Id
!Operation-Location
--- response_body
GET /?mode=off


=== TEST 45: async $var is 0: no job
--- config
location / {
    async $arg_mode;
    proxy_pass http://backend;
}
--- request
GET /?mode=0
--- more_headers
Prefer: respond-async
--- response_headers
!Async-Id
!Operation-Location
--- response_body
GET /?mode=0


=== TEST 46: async $var is empty: no job
--- config
location / {
    async $arg_mode;
    proxy_pass http://backend;
}
--- request
GET /?mode=
--- more_headers
Prefer: respond-async
--- response_headers
!Async-Id
!Operation-Location
--- response_body
GET /?mode=


=== TEST 47: async $var is prefer: no job without the preference
--- config
location / {
    async $arg_mode;
    proxy_pass http://backend;
}
--- request
GET /?mode=prefer
--- response_headers
!Async-Id
!Operation-Location
--- response_body
GET /?mode=prefer


=== TEST 48: async $var is prefer: a job with it
--- config
location / {
    async $arg_mode;
    proxy_pass http://backend;
}
--- request
GET /?mode=prefer
--- more_headers
Prefer: respond-async
--- error_code: 202


=== TEST 49: async $var is nonsense: no job, and a warning
--- config
location / {
    async $arg_mode;
    proxy_pass http://backend;
}
--- request
GET /?mode=yes
--- response_headers
!Async-Id
!Operation-Location
--- response_body
GET /?mode=yes
--- error_log eval
qr/\[warn\].*"yes".*"async"/


=== TEST 50: async $var of a map by method
--- http_config
map $request_method $mode {
    POST     on;
    default  off;
}
--- config
location / {
    async $mode;
    proxy_pass http://backend;
}
--- request eval
["GET /", "POST /"]
--- error_code eval
[200, 202]


=== TEST 51: Sec-Fetch-Mode: navigate is sent to J
--- request
POST /
a=b
--- more_headers
Sec-Fetch-Mode: navigate
--- error_code: 303
--- response_headers_like
Location: http://localhost/jobs/[-0-9a-f]{36}
Async-Id: [-0-9a-f]{36}
Cache-Control: no-store
Vary: Prefer, Accept, Sec-Fetch-Mode
--- job
GET
--- job_code: 200


=== TEST 52: whatever its Accept
--- request
POST /
a=b
--- more_headers
Sec-Fetch-Mode: navigate
Accept: */*
--- error_code: 303
--- response_headers_like
Location: http://localhost/jobs/[-0-9a-f]{36}
Async-Id: [-0-9a-f]{36}
Cache-Control: no-store
Vary: Prefer, Accept, Sec-Fetch-Mode


=== TEST 53: so is the Accept of a browser without Sec-Fetch
--- request
POST /
a=b
--- more_headers
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8
--- error_code: 303
--- response_headers_like
Location: http://localhost/jobs/[-0-9a-f]{36}
Async-Id: [-0-9a-f]{36}
Cache-Control: no-store
Vary: Prefer, Accept, Sec-Fetch-Mode


=== TEST 54: respond-async does not change that
--- request
POST /
a=b
--- more_headers
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8
Prefer: respond-async
--- error_code: 303
--- response_headers_like
Location: http://localhost/jobs/[-0-9a-f]{36}
Async-Id: [-0-9a-f]{36}
Cache-Control: no-store
Vary: Prefer, Accept, Sec-Fetch-Mode


=== TEST 55: fetch() of a page is no navigation
--- request
GET /
--- more_headers
Sec-Fetch-Mode: cors
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8
--- error_code: 202


=== TEST 56: nor is anything else with Sec-Fetch
--- request
GET /
--- more_headers
Sec-Fetch-Site: same-origin
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8
--- error_code: 202


=== TEST 57: nor one that accepts HTML only
--- request
GET /
--- more_headers
Accept: text/html
--- error_code: 202


=== TEST 58: nor one that accepts XHTML only
--- request
GET /
--- more_headers
Accept: application/xhtml+xml
--- error_code: 202


=== TEST 59: nor one that accepts anything
--- request
GET /
--- more_headers
Accept: */*
--- error_code: 202


=== TEST 60: a navigation after a hold is sent to J, too
--- config
location / {
    async on;
    async_wait 100ms redirect;
    proxy_pass http://silent;
}
--- request
GET /
--- more_headers
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8
--- error_code: 303
--- response_headers_like
Location: http://localhost/jobs/[-0-9a-f]{36}


=== TEST 61: a navigation that is answered in time gets the answer
--- config
location / {
    async on;
    async_wait 5s;
    proxy_pass http://backend;
}
--- request
GET /
--- more_headers
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8
--- response_headers
!Async-Id
!Operation-Location
--- response_body
GET /
