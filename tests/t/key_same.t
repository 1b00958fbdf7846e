#!/usr/bin/perl

# async_key: which requests are the same job.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

run_tests();

__DATA__

=== TEST 1: the same key is the same job
--- request eval
["POST /x\nbody", "POST /x\nbody"]
--- more_headers
Idempotency-Key: k1
--- error_code eval
[202, 202]
--- ids: a a


=== TEST 2: a repeat of a finished job is told its true status, and the URLs
--- request eval
["GET /", "GET /"]
--- more_headers eval
[q{Idempotency-Key: k1}
. "\n" . q{Prefer: wait=5}, q{Idempotency-Key: k1}]
--- error_code eval
[200, 202]
--- ids: a a
--- response_headers_like eval
['', 'Operation-Location: http://localhost/jobs/[-0-9a-f]{36}']
--- response_body_like eval
['GET /', '"status":"succeeded"']


=== TEST 3: the same key: bare and quoted
--- request eval
["POST /x\nbody", "POST /x\nbody"]
--- more_headers eval
[q{Idempotency-Key: k1}, q{Idempotency-Key: "k1"}]
--- error_code eval
[202, 202]
--- ids: a a


=== TEST 4: the same key: with parameters
--- request eval
["POST /x\nbody", "POST /x\nbody"]
--- more_headers eval
[q{Idempotency-Key: "k1"}, q{Idempotency-Key: "k1";a=b}]
--- error_code eval
[202, 202]
--- ids: a a


=== TEST 5: the same key: escapes
--- request eval
["POST /x\nbody", "POST /x\nbody"]
--- more_headers eval
[q{Idempotency-Key: "a\"b"}, q{Idempotency-Key: a"b}]
--- error_code eval
[202, 202]
--- ids: a a


=== TEST 6: the same key: a long one
--- request eval
["POST /x\nbody", "POST /x\nbody"]
--- more_headers eval
"Idempotency-Key: " . "x" x 4000
--- error_code eval
[202, 202]
--- ids: a a


=== TEST 7: keys have case
--- request eval
["POST /x\nbody", "POST /x\nbody"]
--- more_headers eval
[q{Idempotency-Key: k}, q{Idempotency-Key: K}]
--- error_code eval
[202, 202]
--- ids: a b


=== TEST 8: an empty header is no key
--- request eval
["POST /x\nbody", "POST /x\nbody"]
--- more_headers
Idempotency-Key:
--- error_code eval
[202, 202]
--- ids: a b


=== TEST 9: the same key with another body is refused
--- request eval
["POST /x\nbody", "POST /x\nother", "POST /x\nbody"]
--- more_headers
Idempotency-Key: k1
--- error_code eval
[202, 422, 202]
--- ids: a - a


=== TEST 10: the same key with another URI is refused
--- request eval
["POST /x\nbody", "POST /y\nbody", "POST /x\nbody"]
--- more_headers
Idempotency-Key: k1
--- error_code eval
[202, 422, 202]
--- ids: a - a


=== TEST 11: the same key with another query is refused
--- request eval
["POST /x\nbody", "POST /x?q\nbody", "POST /x\nbody"]
--- more_headers
Idempotency-Key: k1
--- error_code eval
[202, 422, 202]
--- ids: a - a


=== TEST 12: the same key with another method is refused
--- request eval
["POST /x\nbody", "PUT /x\nbody", "POST /x\nbody"]
--- more_headers
Idempotency-Key: k1
--- error_code eval
[202, 422, 202]
--- ids: a - a


=== TEST 13: other headers do not count
--- request eval
["POST /x\nbody", "POST /x\nbody"]
--- more_headers eval
[q{Idempotency-Key: k1}, q{Idempotency-Key: k1}
. "\n" . q{X-A: b}]
--- error_code eval
[202, 202]
--- ids: a a


=== TEST 14: another Authorization is another key
--- request eval
["POST /x\nbody", "POST /x\nbody"]
--- more_headers eval
[q{Idempotency-Key: k1}, q{Idempotency-Key: k1}
. "\n" . q{Authorization: Basic YTpi}]
--- error_code eval
[202, 202]
--- ids: a b


=== TEST 15: the same Authorization is the same key
--- request eval
["POST /x\nbody", "POST /x\nbody"]
--- more_headers
Idempotency-Key: k1
Authorization: Basic YTpi
--- error_code eval
[202, 202]
--- ids: a a


=== TEST 16: another location of the server is the same key
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /other/ {
    async on;
    proxy_pass http://backend;
}
--- request eval
["GET /", "GET /other/"]
--- more_headers
Idempotency-Key: k1
--- error_code eval
[202, 422]


=== TEST 17: another server is another key
--- http_config
server {
    listen $TEST_NGINX_SERVER_PORT;
    server_name second;
    location / {
        async on;
        proxy_pass http://backend;
    }
    location /jobs/ { async_jobs; }
}
--- request eval
["POST /x\nbody", "POST /x\nbody"]
--- more_headers eval
[q{Idempotency-Key: k1}
. "\n" . q{Host: localhost}, q{Idempotency-Key: k1}
. "\n" . q{Host: second}]
--- error_code eval
[202, 202]
--- ids: a b


=== TEST 18: another owner is another key
--- config
async_owner $http_x_user;
location / {
    async on;
    proxy_pass http://backend;
}
--- request eval
["POST /x\nbody", "POST /x\nbody", "POST /x\nbody"]
--- more_headers eval
[q{Idempotency-Key: k1}
. "\n" . q{X-User: a}, q{Idempotency-Key: k1}
. "\n" . q{X-User: b}, q{Idempotency-Key: k1}
. "\n" . q{X-User: a}]
--- error_code eval
[202, 202, 202]
--- ids: a b a


=== TEST 19: bodies in files: the same
--- config
location / {
    async on;
    client_body_buffer_size 1k;
    proxy_pass http://backend;
}
--- request eval
[("POST /\n" . "x" x 9999) x 2]
--- more_headers
Idempotency-Key: k1
--- error_code eval
[202, 202]
--- ids: a a


=== TEST 20: bodies in files: another
--- config
location / {
    async on;
    client_body_buffer_size 1k;
    proxy_pass http://backend;
}
--- request eval
["POST /\n" . "x" x 9999, "POST /\n" . "x" x 9998 . "y"]
--- more_headers
Idempotency-Key: k1
--- error_code eval
[202, 422]


=== TEST 21: async_key off
--- config
location / {
    async on;
    async_key off;
    proxy_pass http://backend;
}
--- request eval
["POST /x\nbody", "POST /x\nbody"]
--- more_headers
Idempotency-Key: k1
--- error_code eval
[202, 202]
--- ids: a b


=== TEST 22: async_key of one's own
--- config
location / {
    async on;
    async_key $arg_key;
    proxy_pass http://backend;
}
--- request eval
["GET /?key=o", "GET /?key=o", "GET /?key=p"]
--- error_code eval
[202, 202, 202]
--- ids: a a b


=== TEST 23: async_key of one's own: its reuse
--- config
location / {
    async on;
    async_key $arg_key;
    proxy_pass http://backend;
}
--- request eval
["POST /?key=o\na", "POST /?key=o\nb"]
--- error_code eval
[202, 422]
--- ids: a -


=== TEST 24: async_key of one's own: the header is not read
--- config
location / {
    async on;
    async_key $arg_key;
    proxy_pass http://backend;
}
--- request eval
["GET /", "GET /"]
--- more_headers
Idempotency-Key: k1
--- error_code eval
[202, 202]
--- ids: a b


=== TEST 25: $async_fingerprint joins identical requests only
--- config
location / {
    async on;
    async_key $async_fingerprint;
    proxy_pass http://backend;
}
--- request eval
["POST /?q\nx", "POST /?q\nx", "POST /?q\ny", "POST /?r\nx", "PUT /?q\nx"]
--- error_code eval
[(202) x 5]
--- ids: a a b c d


=== TEST 26: a held answer with a key is a job that is stored
--- config
location / {
    async on;
    async_wait 5s;
    proxy_pass http://backend;
}
--- request
POST /body
held
--- more_headers
Idempotency-Key: k1
--- response_headers_like
Async-Id: [-0-9a-f]{36}
--- response_body chomp
held
--- job
GET result?wait=5
--- job_body chomp
held


=== TEST 27: a held repeat gets the result of the same job
--- config
location / {
    async on;
    async_wait 5s;
    proxy_pass http://backend;
}
--- request eval
["POST /body\nheld", "POST /body\nheld"]
--- more_headers
Idempotency-Key: k1
--- error_code eval
[200, 200]
--- response_body eval
["held", "held"]
--- ids: a a


=== TEST 28: a reuse is not held
--- config
location / {
    async on;
    async_wait 60s;
    proxy_pass http://silent;
}
--- request eval
["GET /", "GET /other"]
--- more_headers eval
[q{Idempotency-Key: k1}
. "\n" . q{Prefer: respond-async}, q{Idempotency-Key: k1}]
--- error_code eval
[202, 422]


=== TEST 29: a held repeat of a pending job is a 202 of the same
--- config
location / {
    async on;
    async_wait 100ms;
    proxy_pass http://silent;
}
--- request eval
["GET /", "GET /"]
--- more_headers
Idempotency-Key: k1
--- error_code eval
[202, 202]
--- ids: a a
