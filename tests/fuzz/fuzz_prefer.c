
/* sources: src/base/ngx_async_prefer.c tests/unit/nginx_http.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "src/base/ngx_async_prefer.h"


void nginx_http_free(void);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/*
 * Prefer, Priority, Accept, Last-Event-ID and a query from the same bytes.
 * What was stripped of preferences has none of them left and has not grown; an
 * event's id is the number that it was read as.
 */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                text[16];
    uint32_t            version;
    ngx_str_t           value, out;
    ngx_uint_t          wait;
    ngx_table_elt_t     h[2];
    ngx_http_request_t  r;
    ngx_async_prefer_t  p;

    value.data = (u_char *) data;
    value.len = size;

    memset(&p, 0, sizeof(p));
    ngx_async_prefer_parse_value(&p, value.data, value.len);

    if (ngx_async_prefer_strip(NULL, &value, &out) != NGX_OK
        || out.len > value.len)
    {
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

    (void) ngx_async_prefer_is_urgency(&value);

    memset(&r, 0, sizeof(r));
    memset(h, 0, sizeof(h));

    h[0].hash = 1;
    ngx_str_set(&h[0].key, "Accept");
    h[0].value = value;

    h[1].hash = 1;
    ngx_str_set(&h[1].key, "Last-Event-ID");
    h[1].value = value;

    r.headers_in.headers.part.elts = h;
    r.headers_in.headers.part.nelts = 2;
    r.headers_in.headers.last = &r.headers_in.headers.part;
    r.args = value;

    (void) ngx_async_prefer_navigation(&r);
    (void) ngx_async_prefer_wait_arg(&r, &wait);

    if (ngx_async_prefer_last_event(&r, &version)) {

        while (value.len > 1 && value.data[0] == '0') {
            value.data++;
            value.len--;
        }

        if (snprintf(text, sizeof(text), "%u", version) != (int) value.len
            || memcmp(text, value.data, value.len) != 0)
        {
            abort();
        }
    }

    nginx_http_free();

    return 0;
}
