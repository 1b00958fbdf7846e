
/* sources: src/http/ngx_async_prefer.c tests/unit/nginx_http.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "src/http/ngx_async_prefer.h"


void nginx_http_free(void);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/*
 * Prefer, Priority, Accept and a query from the same bytes.  What was stripped
 * of preferences has none of them left.
 */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t           value, out;
    ngx_uint_t          wait;
    ngx_table_elt_t     h;
    ngx_http_request_t  r;
    ngx_async_prefer_t  p;

    value.data = (u_char *) data;
    value.len = size;

    memset(&p, 0, sizeof(p));
    ngx_async_prefer_parse_value(&p, value.data, value.len);

    if (ngx_async_prefer_strip(NULL, &value, &out) != NGX_OK) {
        abort();
    }

    memset(&p, 0, sizeof(p));
    ngx_async_prefer_parse_value(&p, out.data, out.len);

    if (p.respond_async || p.wait_set) {
        abort();
    }

    if (ngx_async_prefer_urgency(&value) > 7) {
        abort();
    }

    memset(&r, 0, sizeof(r));
    memset(&h, 0, sizeof(h));

    h.hash = 1;
    ngx_str_set(&h.key, "Accept");
    h.value = value;

    r.headers_in.headers.part.elts = &h;
    r.headers_in.headers.part.nelts = 1;
    r.headers_in.headers.last = &r.headers_in.headers.part;
    r.args = value;

    (void) ngx_async_prefer_navigation(&r);
    (void) ngx_async_prefer_wait_arg(&r, &wait);

    nginx_http_free();

    return 0;
}
