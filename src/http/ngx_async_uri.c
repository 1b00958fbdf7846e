
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_uri.h"


static size_t ngx_async_uri_scheme(ngx_str_t *s);
static size_t ngx_async_uri_path_len(ngx_str_t *s);
static u_char *ngx_async_uri_remove_dots(u_char *start, u_char *end);


ngx_int_t
ngx_async_uri_resolve(ngx_pool_t *pool, ngx_str_t *origin, ngx_str_t *uri,
    ngx_str_t *reference, ngx_str_t *out)
{
    u_char     *p, *path;
    size_t      base, len;
    ngx_str_t   ref;

    ref = *reference;

    if (ngx_async_uri_scheme(&ref) != 0) {
        *out = ref;
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, origin->len + uri->len + ref.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    out->data = p;

    if (ref.len > 1 && ref.data[0] == '/' && ref.data[1] == '/') {
        p = ngx_cpymem(p, origin->data, ngx_async_uri_scheme(origin));
        p = ngx_cpymem(p, ref.data, ref.len);

        out->len = p - out->data;

        return NGX_OK;
    }

    p = ngx_cpymem(p, origin->data, origin->len);
    path = p;

    len = ngx_async_uri_path_len(&ref);

    if (len == 0) {

        /* a query or a fragment only, or nothing */

        base = (ref.len && ref.data[0] == '?') ? ngx_async_uri_path_len(uri)
                                               : uri->len;
        p = ngx_cpymem(p, uri->data, base);

    } else {

        if (ref.data[0] != '/') {
            base = ngx_async_uri_path_len(uri);

            while (base && uri->data[base - 1] != '/') {
                base--;
            }

            p = ngx_cpymem(p, uri->data, base);

            if (base == 0) {
                *p++ = '/';
            }
        }

        p = ngx_cpymem(p, ref.data, len);
        p = ngx_async_uri_remove_dots(path, p);
    }

    p = ngx_cpymem(p, ref.data + len, ref.len - len);

    out->len = p - out->data;

    return NGX_OK;
}


/* length of "scheme:", or 0 */

static size_t
ngx_async_uri_scheme(ngx_str_t *s)
{
    u_char  ch;
    size_t  i;

    for (i = 0; i < s->len; i++) {
        ch = s->data[i];

        if (ch == ':') {
            return i ? i + 1 : 0;
        }

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')) {
            continue;
        }

        if (i == 0
            || !((ch >= '0' && ch <= '9')
                 || ch == '+' || ch == '-' || ch == '.'))
        {
            return 0;
        }
    }

    return 0;
}


static size_t
ngx_async_uri_path_len(ngx_str_t *s)
{
    size_t  i;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] == '?' || s->data[i] == '#') {
            break;
        }
    }

    return i;
}


/* removes "." and ".." segments of an absolute path in place */

static u_char *
ngx_async_uri_remove_dots(u_char *start, u_char *end)
{
    u_char  *p, *dst, *segment;
    size_t   len;

    dst = start;
    p = start;

    while (p < end) {

        /* p is at the slash before a segment */

        segment = p + 1;

        for (p = segment; p < end && *p != '/'; p++) { /* void */ }

        len = p - segment;

        if (len == 1 && segment[0] == '.') {

            if (p == end) {
                *dst++ = '/';
            }

            continue;
        }

        if (len == 2 && segment[0] == '.' && segment[1] == '.') {

            while (dst > start && *--dst != '/') { /* void */ }

            if (p == end) {
                *dst++ = '/';
            }

            continue;
        }

        *dst++ = '/';
        dst = ngx_movemem(dst, segment, len);
    }

    return dst;
}
