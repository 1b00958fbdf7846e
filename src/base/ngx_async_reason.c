
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/base/ngx_async_reason.h"


/* RFC 9110, and the others that are registered */

static ngx_str_t  ngx_async_reason_lines[] = {
    ngx_string("400 Bad Request"),
    ngx_string("401 Unauthorized"),
    ngx_string("402 Payment Required"),
    ngx_string("403 Forbidden"),
    ngx_string("404 Not Found"),
    ngx_string("405 Method Not Allowed"),
    ngx_string("406 Not Acceptable"),
    ngx_string("407 Proxy Authentication Required"),
    ngx_string("408 Request Timeout"),
    ngx_string("409 Conflict"),
    ngx_string("410 Gone"),
    ngx_string("411 Length Required"),
    ngx_string("412 Precondition Failed"),
    ngx_string("413 Content Too Large"),
    ngx_string("414 URI Too Long"),
    ngx_string("415 Unsupported Media Type"),
    ngx_string("416 Range Not Satisfiable"),
    ngx_string("417 Expectation Failed"),
    ngx_string("421 Misdirected Request"),
    ngx_string("422 Unprocessable Content"),
    ngx_string("423 Locked"),
    ngx_string("424 Failed Dependency"),
    ngx_string("425 Too Early"),
    ngx_string("426 Upgrade Required"),
    ngx_string("428 Precondition Required"),
    ngx_string("429 Too Many Requests"),
    ngx_string("431 Request Header Fields Too Large"),
    ngx_string("451 Unavailable For Legal Reasons"),
    ngx_string("500 Internal Server Error"),
    ngx_string("501 Not Implemented"),
    ngx_string("502 Bad Gateway"),
    ngx_string("503 Service Unavailable"),
    ngx_string("504 Gateway Timeout"),
    ngx_string("505 HTTP Version Not Supported"),
    ngx_string("506 Variant Also Negotiates"),
    ngx_string("507 Insufficient Storage"),
    ngx_string("508 Loop Detected"),
    ngx_string("510 Not Extended"),
    ngx_string("511 Network Authentication Required"),
    ngx_null_string
};


void
ngx_async_reason_line(ngx_uint_t status, ngx_str_t *line)
{
    ngx_str_t  *s;

    for (s = ngx_async_reason_lines; s->len; s++) {
        if (ngx_atoi(s->data, 3) == (ngx_int_t) status) {
            break;
        }
    }

    *line = *s;
}
