#!/usr/bin/perl

# J/result as nginx serves a file: parts, conditions, HEAD.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

run_tests();

__DATA__

=== a part from the beginning
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: bytes=0-0
--- job_code: 206
--- job_headers
Content-Range: bytes 0-0/10
Content-Length: 1
AsyncResult: 200
Async-Status: succeeded
--- job_body: 0



=== a part in the middle
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: bytes=2-4
--- job_code: 206
--- job_headers
Content-Range: bytes 2-4/10
--- job_body: 234



=== a part to the end
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: bytes=7-
--- job_code: 206
--- job_headers
Content-Range: bytes 7-9/10
--- job_body: 789



=== the last bytes
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: bytes=-2
--- job_code: 206
--- job_headers
Content-Range: bytes 8-9/10
--- job_body: 89



=== a part that is longer than the body
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: bytes=5-99
--- job_code: 206
--- job_headers
Content-Range: bytes 5-9/10
--- job_body: 56789



=== a part behind the end
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: bytes=20-30
--- job_code: 416
--- job_headers
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
Cache-Control: private, no-cache
Content-Range: bytes */10



=== several parts
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: bytes=0-1,4-5
--- job_code: 206
--- job_headers_like
Content-Type: multipart/byteranges; boundary=.+
--- job_body_like: (?s)\r\n\r\n01\r\n.*\r\n\r\n45\r\n



=== another unit than bytes gives all
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: lines=0-1
--- job_code: 200
--- job_headers
!Content-Range
--- job_body: 0123456789



=== If-Range with the ETag
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: bytes=0-1
If-Range: "e"
--- job_code: 206
--- job_body: 01



=== If-Range with another ETag
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: bytes=0-1
If-Range: "f"
--- job_code: 200
--- job_body: 0123456789



=== If-Range with the date
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: bytes=0-1
If-Range: Thu, 01 Jan 2015 00:00:00 GMT
--- job_code: 206
--- job_body: 01



=== If-Range with another date
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: bytes=0-1
If-Range: Fri, 02 Jan 2015 00:00:00 GMT
--- job_code: 200
--- job_body: 0123456789



=== a part of an error is all of it
--- backend
location = /a { return 500 0123456789; }
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
Range: bytes=0-1
--- job_code: 500
--- job_headers
!Content-Range
--- job_body: 0123456789



=== If-None-Match with the ETag
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
If-None-Match: "e"
--- job_code: 304
--- job_headers
ETag: "e"
!Content-Length
--- job_body:



=== If-None-Match with the ETag as a weak one
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
If-None-Match: W/"e"
--- job_code: 304



=== If-None-Match with the ETag among others
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
If-None-Match: "x", "e"
--- job_code: 304



=== If-None-Match: *
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
If-None-Match: *
--- job_code: 304
--- job_headers
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
Cache-Control: private, no-cache



=== If-None-Match with another ETag
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
If-None-Match: "x"
--- job_code: 200
--- job_body: 0123456789



=== If-Modified-Since with the date
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
If-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT
--- job_code: 304
--- job_headers
Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT



=== If-Modified-Since with another date
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
If-Modified-Since: Wed, 31 Dec 2014 00:00:00 GMT
--- job_code: 200



=== If-Unmodified-Since with an earlier date
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
If-Unmodified-Since: Wed, 31 Dec 2014 00:00:00 GMT
--- job_code: 412
--- job_headers
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
Cache-Control: no-store
AsyncResult: 200



=== If-Match with the ETag
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
If-Match: "e"
--- job_code: 200
--- job_body: 0123456789



=== If-Match with another ETag
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_more_headers
If-Match: "x"
--- job_code: 412
--- job_headers
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
Cache-Control: no-store
AsyncResult: 200



=== HEAD gives the header only
--- backend
location = /a {
    add_header ETag '"e"';
    add_header Last-Modified "Thu, 01 Jan 2015 00:00:00 GMT";
    return 200 0123456789;
}
--- request
GET /a
--- error_code: 202
--- job
HEAD result?wait=9
--- job_code: 200
--- job_headers
Content-Length: 10
ETag: "e"
AsyncResult: 200
Async-Status: succeeded
--- job_body:



=== an ETag of the module where the upstream gave none
--- request
GET /a
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 200
--- job_headers
ETag: "$id-1"
Accept-Ranges: bytes



=== J knows no conditions, and no parts
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
--- job_more_headers
If-None-Match: *
Range: bytes=0-0
--- job_code: 200
--- job_headers
Content-Type: application/json
!Content-Range



=== conditions of the submission are not the call's
--- backend
location = /a {
    add_header ETag '"e"';
    return 200 "range $http_range $http_if_range $http_if_none_match $http_if_modified_since";
}
--- request
GET /a
--- more_headers
Range: bytes=0-0
If-Range: "e"
If-None-Match: "e"
If-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT
--- error_code: 202
--- job
GET result?wait=9
--- job_code: 200
--- job_body_like: ^range +$



=== a body that is too large for nginx, sent for a result
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    client_max_body_size 1k;
    lingering_timeout 1ms;
}
--- request
GET /a
--- error_code: 202
--- job
GET result
--- job_more_headers
Content-Length: 2000000
--- job_code: 413
--- job_headers
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
