#!/usr/bin/perl

# Job resources as pages for browsers.

use FindBin;
use lib "$FindBin::Bin/../lib";

use AsyncSocket;

run_tests();

__DATA__

=== J is a page for a navigation
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
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 200
--- job_headers
Content-Type: text/html; charset=utf-8
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body_like: >Running<



=== J is a page by Accept, without Sec-Fetch
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
--- job_more_headers
Accept: text/html,application/xhtml+xml
--- job_code: 200
--- job_headers
Content-Type: text/html; charset=utf-8
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff



=== Accept of HTML alone is no browser
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
--- job_more_headers
Accept: text/html
--- job_code: 200
--- job_headers
Content-Type: application/json



=== a script gets JSON
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
--- job_more_headers
Accept: text/html,application/xhtml+xml
Sec-Fetch-Mode: cors
--- job_code: 200
--- job_headers
Content-Type: application/json



=== HEAD of a page
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
GET /a
--- error_code: 202
--- job
HEAD
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 200
--- job_headers
Content-Type: text/html; charset=utf-8
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body:



=== the page of a running job has a form to cancel it
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
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 200
--- job_body_like: <form [^>]*method="post"[^>]*action="$id/cancel"



=== and is refreshed without scripts
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
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 200
--- job_body_like: <noscript><meta http-equiv="refresh" content="\d+">



=== URIs on a page are escaped
--- config
location / {
    async on;
    proxy_pass http://silent;
}
--- request
GET /%3Cscript%3E?"><script>
--- error_code: 202
--- job
GET
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 200
--- job_body_like: &quot;&gt;&lt;script&gt;
--- job_body_unlike: (?s)<script.*<script



=== the page of a queued job has its position
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
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 200
--- job_body_like: id="position">1<



=== the page of a finished job leads to the result
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 200 200
--- job_body_like eval
[undef,
'(?s)content="0; url=$id/result".*<p id="result"><a href="$id/result"']



=== the result is no page of the module
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
GET result
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 200 200
--- job_body_like eval
[undef,
'^GET /a$']
--- job_headers eval
[undef, "Content-Type: text/plain\n"]



=== a pending result leads a navigation to the page
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
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 303
--- job_headers
Location: http://localhost/jobs/$id



=== the page of a failed job says why, and stays
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
GET
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 200 200
--- job_body_like eval
[undef,
'(?s)^(?!.*http-equiv).*<h1[^>]*>Failed</h1>.*class="error">[^<]+<']



=== a result that is missing is a page, too
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
GET result
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 200 504
--- job_headers eval
[undef, "Content-Type: text/html; charset=utf-8
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
"]



=== no job is a page, too
--- request
GET /jobs/x
--- more_headers
Sec-Fetch-Mode: navigate
--- error_code: 404
--- response_headers
Content-Type: text/html; charset=utf-8
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- response_body_like: <h1>Not found</h1>



=== a wrong method is a page, too
--- request
PUT /jobs/x
--- more_headers
Sec-Fetch-Mode: navigate
--- error_code: 405
--- response_headers
Content-Type: text/html; charset=utf-8
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- response_body_like: <h1>



=== what is refused to another site is a page, too
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
Sec-Fetch-Site: cross-site
--- job_code: 403
--- job_headers
Content-Type: text/html; charset=utf-8
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body_like: <h1>



=== a job that cannot run again is a page, too
--- request
GET /a
--- error_code: 202
--- job
GET ?wait=9
POST retry
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 200 409
--- job_body_like eval
[undef,
'<h1>']



=== the list is a page for a browser, without queries
--- config
location / {
    async on;
    proxy_pass http://backend;
}
location /jobs/ {
    async_jobs;
    async_jobs_list all;
}
--- request
GET /a?secret=1
--- error_code: 202
--- job
GET /jobs/
--- job_more_headers
Sec-Fetch-Mode: navigate
--- job_code: 200
--- job_headers
Content-Type: text/html; charset=utf-8
Cache-Control: no-store
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
--- job_body_like: $id
--- job_body_unlike: secret
