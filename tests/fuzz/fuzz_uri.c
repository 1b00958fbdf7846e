
/* sources: src/http/ngx_async_uri.c tests/unit/nginx_http.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/http/ngx_async_uri.h"


void nginx_http_free(void);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* up to the first line feed the URI, behind it the reference */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t      n;
    u_char     *p;
    ngx_str_t   origin, uri, reference, out;

    for (n = 0; n < size && data[n] != '\n'; n++) { /* void */ }

    ngx_str_set(&origin, "https://host");

    /* a URI begins with a slash */

    p = malloc(n + 1);
    p[0] = '/';
    memcpy(p + 1, data, n);

    uri.data = p;
    uri.len = n + 1;

    n = (n < size) ? n + 1 : n;
    reference.data = (u_char *) data + n;
    reference.len = size - n;

    if (ngx_async_uri_resolve(NULL, &origin, &uri, &reference, &out) != NGX_OK
        || out.len > origin.len + uri.len + reference.len + 1)
    {
        abort();
    }

    free(p);
    nginx_http_free();

    return 0;
}
