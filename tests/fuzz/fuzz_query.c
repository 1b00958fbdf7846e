
/* sources: src/http/ngx_async_query.c src/base/ngx_async_id.c tests/unit/nginx_http.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "src/http/ngx_async_query.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* as in ngx_async_job.c */

ngx_str_t  ngx_async_job_status_names[] = {
    ngx_string("notStarted"),
    ngx_string("running"),
    ngx_string("succeeded"),
    ngx_string("failed"),
    ngx_string("canceled")
};


static void
path(u_char *data, size_t size)
{
    u_char          text[NGX_ASYNC_ID_TEXT_LEN];
    ngx_str_t       value, id, suffix;
    ngx_async_id_t  parsed;

    value.data = data;
    value.len = size;

    ngx_async_query_path(&value, &id, &suffix);

    if (id.data != data || suffix.data != data + id.len
        || id.len + suffix.len != size
        || (suffix.len && suffix.data[0] != '/')
        || (id.len && memchr(id.data, '/', id.len)))
    {
        abort();
    }

    /* only the one form of an id is one, whatever follows it */

    if (ngx_async_id_parse(&parsed, id.data, id.len) == NGX_OK
        && (id.len != NGX_ASYNC_ID_TEXT_LEN
            || ngx_async_id_format(text, &parsed) != text + id.len
            || ngx_strncasecmp(text, id.data, id.len) != 0))
    {
        abort();
    }
}


/*
 * Up to the first question mark the path behind the prefix, behind it the
 * query: of a list, and of a chain of redirects.
 */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char              *p, *args;
    size_t               n;
    ngx_int_t            rc;
    ngx_str_t            detail;
    ngx_async_list_t     list;
    ngx_http_request_t   r;

    for (n = 0; n < size && data[n] != '?'; n++) { /* void */ }

    p = malloc(n ? n : 1);
    memcpy(p, data, n);
    path(p, n);
    free(p);

    n = (n < size) ? n + 1 : n;

    args = malloc(size - n ? size - n : 1);
    memcpy(args, data + n, size - n);

    memset(&r, 0, sizeof(r));
    r.args.data = args;
    r.args.len = size - n;

    if (ngx_async_query_hop(&r) >= NGX_MAX_INT32_VALUE) {
        abort();
    }

    ngx_str_null(&detail);
    rc = ngx_async_query_list(&r, &list, &detail);

    if (rc == NGX_OK
        && (list.limit < 1 || list.limit > 1000
            || list.status < -1 || list.status > NGX_ASYNC_CANCELED
            || list.any_owner
            || (list.queue.len
                && (list.queue.data < args
                    || list.queue.data + list.queue.len > args + size - n
                    || memchr(list.queue.data, '&', list.queue.len)))))
    {
        abort();
    }

    if (rc != NGX_OK && rc != NGX_ERROR) {
        abort();
    }

    free(args);

    return 0;
}
