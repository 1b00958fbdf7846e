
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_CODEC_H_INCLUDED_
#define _NGX_ASYNC_CODEC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Numbers in network order and counted strings, for everything that is laid
 * down in the store.  A writer knows its room in advance; a reader is bounded
 * by "last" and remembers a failure, which its user looks at once at the end.
 */

typedef struct {
    u_char    *pos;
    u_char    *last;
    unsigned   failed:1;
} ngx_async_reader_t;


/* widths are constants: one store or load, as far as there is one */

static ngx_inline u_char *
ngx_async_put_uint(u_char *p, uint64_t n, ngx_uint_t bytes)
{
    uint32_t  n4;

    switch (bytes) {

    case 1:
        *p = (u_char) n;
        return p + 1;

    case 4:
        n4 = htobe32((uint32_t) n);
        return ngx_cpymem(p, &n4, 4);

    case 8:
        n = htobe64(n);
        return ngx_cpymem(p, &n, 8);
    }

    while (bytes) {
        *p++ = (u_char) (n >> (8 * --bytes));
    }

    return p;
}


#define ngx_async_str_size(s)  (4 + (s)->len)


static ngx_inline u_char *
ngx_async_put_str(u_char *p, const ngx_str_t *s)
{
    p = ngx_async_put_uint(p, s->len, 4);

    return s->len ? ngx_cpymem(p, s->data, s->len) : p;
}


static ngx_inline uint64_t
ngx_async_get_uint(ngx_async_reader_t *rd, ngx_uint_t bytes)
{
    uint32_t  n4;
    uint64_t  n;

    if (rd->failed || (size_t) (rd->last - rd->pos) < bytes) {
        rd->failed = 1;
        return 0;
    }

    switch (bytes) {

    case 1:
        return *rd->pos++;

    case 4:
        ngx_memcpy(&n4, rd->pos, 4);
        rd->pos += 4;
        return be32toh(n4);

    case 8:
        ngx_memcpy(&n, rd->pos, 8);
        rd->pos += 8;
        return be64toh(n);
    }

    for (n = 0; bytes; bytes--) {
        n = n << 8 | *rd->pos++;
    }

    return n;
}


static ngx_inline void
ngx_async_get_str(ngx_async_reader_t *rd, ngx_str_t *s)
{
    size_t  len;

    len = ngx_async_get_uint(rd, 4);

    if (rd->failed || (size_t) (rd->last - rd->pos) < len) {
        rd->failed = 1;
        ngx_str_null(s);
        return;
    }

    s->len = len;
    s->data = rd->pos;
    rd->pos += len;
}


#endif /* _NGX_ASYNC_CODEC_H_INCLUDED_ */
