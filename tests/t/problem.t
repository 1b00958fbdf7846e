#!/usr/bin/perl

# Problems: what a client is told when there will be no job.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

run_tests();

__DATA__

=== TEST 1: an empty key is a problem
--- request
POST /
--- more_headers
Idempotency-Key: ""
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location
--- response_body_like: ^\{"type":"urn:ngx-async:problem:key","title":"[^"]+","status":400,"detail":"[^"]+\."\}$


=== TEST 2: a malformed key is a problem: a lone quote
--- request
POST /
--- more_headers
Idempotency-Key: "
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location
--- response_body_like: ^\{"type":"urn:ngx-async:problem:key","title":"[^"]+","status":400,"detail":"[^"]+\."\}$


=== TEST 3: a malformed key is a problem: an unclosed quote
--- request
POST /
--- more_headers
Idempotency-Key: "a
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location
--- response_body_like: ^\{"type":"urn:ngx-async:problem:key","title":"[^"]+","status":400,"detail":"[^"]+\."\}$


=== TEST 4: a malformed key is a problem: something after the quotes
--- request
POST /
--- more_headers
Idempotency-Key: "a" b
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location
--- response_body_like: ^\{"type":"urn:ngx-async:problem:key","title":"[^"]+","status":400,"detail":"[^"]+\."\}$


=== TEST 5: a malformed key is a problem: something at the quotes
--- request
POST /
--- more_headers
Idempotency-Key: "a"b
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location
--- response_body_like: ^\{"type":"urn:ngx-async:problem:key","title":"[^"]+","status":400,"detail":"[^"]+\."\}$


=== TEST 6: a malformed key is a problem: an unknown escape
--- request
POST /
--- more_headers
Idempotency-Key: "a\x"
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location
--- response_body_like: ^\{"type":"urn:ngx-async:problem:key","title":"[^"]+","status":400,"detail":"[^"]+\."\}$


=== TEST 7: a malformed key is a problem: a parameter without a name
--- request
POST /
--- more_headers
Idempotency-Key: "a";
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location
--- response_body_like: ^\{"type":"urn:ngx-async:problem:key","title":"[^"]+","status":400,"detail":"[^"]+\."\}$


=== TEST 8: the reuse of a key is a problem
--- request eval
["GET /a", "GET /b"]
--- more_headers
Idempotency-Key: a
--- error_code eval
[202, 422]
--- raw_response_headers_like eval
['202 Accepted\r\n', '422 Unprocessable Content\r\n']
--- response_body_like eval
['notStarted|running', '^\{"type":"urn:ngx-async:problem:key-reused","title":"[^"]+","status":422,"detail":"[^"]+\."\}$']
--- ids: a -


=== TEST 9: error_page does not replace a problem
--- config
location / {
    async on;
    error_page 400 422 429 500 503 /error;
    proxy_pass http://backend;
}
location = /error {
    return 200 replaced;
}
--- request
POST /
--- more_headers
Idempotency-Key: ""
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location


=== TEST 10: nor does it with recursive_error_pages
--- config
location / {
    async on;
    error_page 400 =200 /error;
    recursive_error_pages on;
    proxy_pass http://backend;
}
location = /error {
    return 200 replaced;
}
--- request
POST /
--- more_headers
Idempotency-Key: ""
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location


=== TEST 11: the problem of a navigation is a page
--- request
POST /
--- more_headers
Idempotency-Key: ""
Sec-Fetch-Mode: navigate
--- error_code: 400
--- response_headers_like
Content-Type: text/html.*
Cache-Control: no-store
--- response_body_like: ^<!DOCTYPE html>


=== TEST 12: HTTP/1.0 gets a problem, too
--- raw_request eval
qq{POST / HTTP/1.0\r\nHost: localhost\r\nIdempotency-Key: ""\r\n\r\n}
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location


=== TEST 13: a problem on a connection that is kept
--- pipelined_requests eval
["POST /\nxxxx", "GET /jobs/"]
--- more_headers eval
[qq{Idempotency-Key: ""}, ""]
--- error_code eval
[400, 404]


=== TEST 14: a full queue is a problem
--- http_config
async_queue tiny concurrency=1 backlog=1;
--- config
location /fill/ {
    async on queue=tiny;
    async_wait 100ms;
    proxy_pass http://silent;
}
--- request eval
[map { "GET /fill/$_" } 1 .. 3]
--- error_code eval
[202, 202, 503]
--- response_headers_like eval
["", "", "Content-Type: application/problem\\+json\nRetry-After: [1-9]\\d*\nCache-Control: no-store"]
--- response_body_like eval
['running', 'notStarted', '^\{"type":"urn:ngx-async:problem:queue-full","title":"[^"]+","status":503,"detail":"[^"]+\."\}$']
--- ids: a b -


=== TEST 15: a full share of a queue is a problem, others are not
--- http_config
async_queue tiny concurrency=1 per=$arg_p per_backlog=1;
--- config
location /fill/ {
    async on queue=tiny;
    async_wait 100ms;
    proxy_pass http://silent;
}
--- request eval
[map { "GET /fill/?p=$_" } qw(a a a b)]
--- error_code eval
[202, 202, 429, 202]
--- response_headers_like eval
["", "", "Content-Type: application/problem\\+json\nRetry-After: [1-9]\\d*\nCache-Control: no-store", ""]
--- response_body_like eval
['running', 'notStarted', '^\{"type":"urn:ngx-async:problem:per-full","title":"[^"]+","status":429,"detail":"[^"]+\."\}$', 'notStarted']
--- ids: a b - c


=== TEST 16: a full queue is full for a held request, too
--- http_config
async_queue tiny concurrency=1 backlog=1;
--- config
location /fill/ {
    async on queue=tiny;
    async_wait 100ms;
    proxy_pass http://silent;
}
location / {
    async on queue=tiny;
    async_wait 5s;
    proxy_pass http://backend;
}
--- request eval
["GET /fill/", "GET /fill/", "GET /"]
--- error_code eval
[202, 202, 503]


=== TEST 17: a known key is no new job in a full queue
--- http_config
async_queue tiny concurrency=1 backlog=1;
--- config
location /fill/ {
    async on queue=tiny;
    async_wait 100ms;
    proxy_pass http://silent;
}
--- request eval
["GET /fill/a", "GET /fill/b", "GET /fill/b"]
--- more_headers eval
["", "Idempotency-Key: b", "Idempotency-Key: b"]
--- error_code eval
[202, 202, 202]
--- ids: a b b


=== TEST 18: async_full pass: run as if async were off
--- http_config
async_queue tiny concurrency=1 backlog=1;
--- config
location /fill/ {
    async on queue=tiny;
    async_wait 100ms;
    proxy_pass http://silent;
}
location / {
    async on queue=tiny;
    async_full pass;
    proxy_pass http://backend;
}
--- request eval
["GET /fill/", "GET /fill/", "POST /body\nposted"]
--- error_code eval
[202, 202, 200]
--- response_headers eval
["", "", "Async-Bypass: queue_full\n!Async-Id\n!Operation-Location"]
--- response_body_like eval
['running', 'notStarted', '^posted$']


=== TEST 19: async_full pass: a job where there is room
--- http_config
async_queue tiny concurrency=1 backlog=1;
--- config
location / {
    async on queue=tiny;
    async_full pass;
    proxy_pass http://backend;
}
--- request
GET /
--- error_code: 202
--- response_headers
!Async-Bypass


=== TEST 20: async_full pass of WebDAV: no body
--- more_headers
Content-Length: 0
--- http_config
async_queue tiny concurrency=1 backlog=1;
--- config
location /fill/ {
    async on queue=tiny;
    async_wait 100ms;
    proxy_pass http://silent;
}
location /dav/ {
    async on queue=tiny;
    async_full pass;
    dav_methods PUT;
    create_full_put_path on;
    client_body_buffer_size 1k;
    root html;
}
location /files/ {
    alias $TEST_NGINX_SERVER_ROOT/html/dav/;
}
--- request eval
["GET /fill/", "GET /fill/", "PUT /dav/a\n" . "", "GET /files/a"]
--- error_code eval
[202, 202, 201, 200]
--- response_headers eval
["", "", "Async-Bypass: queue_full", "!Async-Bypass"]
--- response_body_like eval
['', '', '', '^' . "" . '$']


=== TEST 21: async_full pass of WebDAV: a body
--- http_config
async_queue tiny concurrency=1 backlog=1;
--- config
location /fill/ {
    async on queue=tiny;
    async_wait 100ms;
    proxy_pass http://silent;
}
location /dav/ {
    async on queue=tiny;
    async_full pass;
    dav_methods PUT;
    create_full_put_path on;
    client_body_buffer_size 1k;
    root html;
}
location /files/ {
    alias $TEST_NGINX_SERVER_ROOT/html/dav/;
}
--- request eval
["GET /fill/", "GET /fill/", "PUT /dav/a\n" . "a body", "GET /files/a"]
--- error_code eval
[202, 202, 201, 200]
--- response_headers eval
["", "", "Async-Bypass: queue_full", "!Async-Bypass"]
--- response_body_like eval
['', '', '', '^' . "a body" . '$']


=== TEST 22: async_full pass of WebDAV: a body in a file
--- http_config
async_queue tiny concurrency=1 backlog=1;
--- config
location /fill/ {
    async on queue=tiny;
    async_wait 100ms;
    proxy_pass http://silent;
}
location /dav/ {
    async on queue=tiny;
    async_full pass;
    dav_methods PUT;
    create_full_put_path on;
    client_body_buffer_size 1k;
    root html;
}
location /files/ {
    alias $TEST_NGINX_SERVER_ROOT/html/dav/;
}
--- request eval
["GET /fill/", "GET /fill/", "PUT /dav/a\n" . "xy" x 5000, "GET /files/a"]
--- error_code eval
[202, 202, 201, 200]
--- response_headers eval
["", "", "Async-Bypass: queue_full", "!Async-Bypass"]
--- response_body_like eval
['', '', '', '^' . "xy" x 5000 . '$']


=== TEST 23: a callback that is not allowed is a problem
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request
GET /
--- more_headers
X-Callback: http://127.0.0.1:8081/
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location
--- response_body_like: ^\{"type":"urn:ngx-async:problem:callback","title":"[^"]+","status":400,"detail":"[^"]+\."\}$


=== TEST 24: so is one that is no URL
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request
GET /
--- more_headers
X-Callback: nonsense
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location
--- response_body_like: ^\{"type":"urn:ngx-async:problem:callback","title":"[^"]+","status":400,"detail":"[^"]+\."\}$


=== TEST 25: no callback is allowed by default
--- config
location / {
    async on;
    async_callback $http_x_callback;
    proxy_pass http://backend;
}
--- request
GET /
--- more_headers
X-Callback: http://127.0.0.1:8080/
--- error_code: 400
--- response_headers
Content-Type: application/problem+json
Cache-Control: no-store
!Async-Id
!Location
!Operation-Location
--- response_body_like: ^\{"type":"urn:ngx-async:problem:callback","title":"[^"]+","status":400,"detail":"[^"]+\."\}$


=== TEST 26: a request without a callback is a job without one
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request
GET /
--- error_code: 202
--- job
GET
--- job_body_unlike: "callback"


=== TEST 27: a callback that is allowed: a prefix
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://silent;
}
--- request
GET /
--- more_headers
X-Callback: http://127.0.0.1:8080/any
--- error_code: 202
--- job
GET
--- job_body_like: "callback":\{"status":"pending"


=== TEST 28: a callback that is allowed: a subdomain
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://silent;
}
--- request
GET /
--- more_headers
X-Callback: https://a.example.com/hooks/x
--- error_code: 202
--- job
GET
--- job_body_like: "callback":\{"status":"pending"


=== TEST 29: a callback that is allowed: a subdomain of a subdomain
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://silent;
}
--- request
GET /
--- more_headers
X-Callback: https://a.b.example.com/hooks/
--- error_code: 202
--- job
GET
--- job_body_like: "callback":\{"status":"pending"


=== TEST 30: a callback that is allowed: all of an URL
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://silent;
}
--- request
GET /
--- more_headers
X-Callback: http://good.example.com/in
--- error_code: 202
--- job
GET
--- job_body_like: "callback":\{"status":"pending"


=== TEST 31: callbacks that are not allowed: other ports and addresses
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 7]
--- more_headers eval
[
    'X-Callback: http://127.0.0.1:80/',
    'X-Callback: http://127.0.0.2:8080/',
    'X-Callback: http://[::1]:8080/',
    'X-Callback: http://10.0.0.1/',
    'X-Callback: http://169.254.169.254/latest/meta-data/',
    'X-Callback: http://0.0.0.0:8080/',
    'X-Callback: http://[::]:8080/',
]
--- error_code eval
[(400) x 7]
--- ids: - - - - - - -


=== TEST 32: callbacks that are not allowed: other spellings of an address
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 6]
--- more_headers eval
[
    'X-Callback: http://2130706433:8081/',
    'X-Callback: http://0177.0.0.1:8081/',
    'X-Callback: http://127.2:8080/',
    'X-Callback: http://0x7f.2:8080/',
    'X-Callback: http://0x7f000002:8080/',
    'X-Callback: http://0:8080/',
]
--- error_code eval
[(400) x 6]
--- ids: - - - - - -


=== TEST 33: callbacks that are not allowed: addresses within IPv6
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 6]
--- more_headers eval
[
    'X-Callback: http://[::ffff:127.0.0.1]:8080/',
    'X-Callback: http://[::127.0.0.1]:8080/',
    'X-Callback: http://[::ffff:7f00:1]:8080/',
    'X-Callback: http://[64:ff9b::7f00:1]:8080/',
    'X-Callback: http://[2002:7f00:1::]/',
    'X-Callback: http://[2001::7f00:1]/',
]
--- error_code eval
[(400) x 6]
--- ids: - - - - - -


=== TEST 34: callbacks that are not allowed: zones
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 2]
--- more_headers eval
[
    'X-Callback: http://[::1%25lo]:8080/',
    'X-Callback: http://[fe80::1%25eth0]/',
]
--- error_code eval
[(400) x 2]
--- ids: - -


=== TEST 35: callbacks that are not allowed: users
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 3]
--- more_headers eval
[
    'X-Callback: http://127.0.0.1:8080@169.254.169.254/',
    'X-Callback: http://user@127.0.0.1:8080/',
    'X-Callback: http://good.example.com@evil.net/in',
]
--- error_code eval
[(400) x 3]
--- ids: - - -


=== TEST 36: callbacks that are not allowed: backslashes and tabs
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 3]
--- more_headers eval
[
    'X-Callback: http://127.0.0.1\\@evil.net/',
    'X-Callback: http://127.0.0.1:8080\\x',
    'X-Callback: http://127.0.0.1:8080/' . "\t" . 'x',
]
--- error_code eval
[(400) x 3]
--- ids: - - -


=== TEST 37: callbacks that are not allowed: escapes in the host
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 2]
--- more_headers eval
[
    'X-Callback: http://%6cocalhost:80/x',
    'X-Callback: http://127.0.0.1%3a8080/',
]
--- error_code eval
[(400) x 2]
--- ids: - -


=== TEST 38: callbacks that are not allowed: longer names
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 5]
--- more_headers eval
[
    'X-Callback: http://good.example.com.evil.net/in',
    'X-Callback: http://127.0.0.1:8080.evil.net/',
    'X-Callback: https://a.example.com.evil.net/hooks/',
    'X-Callback: http://evil.net/',
    'X-Callback: http://evil.net./',
]
--- error_code eval
[(400) x 5]
--- ids: - - - - -


=== TEST 39: callbacks that are not allowed: what is no subdomain
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 4]
--- more_headers eval
[
    'X-Callback: https://example.com/hooks/',
    'X-Callback: https://aexample.com/hooks/',
    'X-Callback: https://.example.com/hooks/',
    'X-Callback: https:///hooks/',
]
--- error_code eval
[(400) x 4]
--- ids: - - - -


=== TEST 40: callbacks that are not allowed: another scheme or path
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 3]
--- more_headers eval
[
    'X-Callback: http://a.example.com/hooks/',
    'X-Callback: https://a.example.com/hook',
    'X-Callback: http://good.example.com/inside',
]
--- error_code eval
[(400) x 3]
--- ids: - - -


=== TEST 41: callbacks that are not allowed: dots in the path
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 2]
--- more_headers eval
[
    'X-Callback: http://good.example.com/in/../x',
    'X-Callback: http://good.example.com/in/%2e%2e/',
]
--- error_code eval
[(400) x 2]
--- ids: - -


=== TEST 42: callbacks that are not allowed: other schemes
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 2]
--- more_headers eval
[
    'X-Callback: ftp://127.0.0.1/',
    'X-Callback: file:///etc/passwd',
]
--- error_code eval
[(400) x 2]
--- ids: - -


=== TEST 43: callbacks that are not allowed: a fragment
--- config
location / {
    async on;
    async_callback $http_x_callback;
    async_callback_allow http://127.0.0.1:8080/
                         https://*.example.com/hooks/
                         http://good.example.com/in;
    proxy_pass http://backend;
}
--- request eval
[("POST /") x 1]
--- more_headers eval
[
    'X-Callback: http://127.0.0.1:8080/#x',
]
--- error_code eval
[(400) x 1]
--- ids: -
