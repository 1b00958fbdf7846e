
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/random.h>
#include "src/base/ngx_async_id.h"


#define NGX_ASYNC_ID_RANDOM  (NGX_ASYNC_ID_LEN - 6)     /* bytes of an id */


static ngx_int_t ngx_async_id_random(u_char *p);
static void ngx_async_id_hex(u_char *p, const u_char *bytes);
static ngx_int_t ngx_async_id_digit(u_char c);


ngx_int_t
ngx_async_id_create(ngx_async_id_t *id, uint64_t msec)
{
    ngx_uint_t  i;

    for (i = 0; i < 6; i++) {
        id->bytes[i] = (u_char) (msec >> (40 - 8 * i));
    }

    if (ngx_async_id_random(id->bytes + 6) != NGX_OK) {
        return NGX_ERROR;
    }

    id->bytes[6] = (u_char) (0x70 | (id->bytes[6] & 0x0f));
    id->bytes[8] = (u_char) (0x80 | (id->bytes[8] & 0x3f));

    return NGX_OK;
}


/*
 * Bytes of the system's generator, fetched for some ids at once.  Each is used
 * for one id and then erased; those that a process has fetched before a fork
 * are its alone.
 */

static ngx_int_t
ngx_async_id_random(u_char *p)
{
    ssize_t           n;
    static size_t     left;
    static ngx_pid_t  pid;
    static u_char     pool[24 * NGX_ASYNC_ID_RANDOM];

    if (left == 0 || pid != ngx_pid) {

        left = 0;

        /* so few bytes come whole, once there are any */

        do {
            n = getrandom(pool, sizeof(pool), 0);
        } while (n == -1 && ngx_errno == NGX_EINTR);

        if (n != (ssize_t) sizeof(pool)) {
            return NGX_ERROR;
        }

        left = sizeof(pool);
        pid = ngx_pid;
    }

    left -= NGX_ASYNC_ID_RANDOM;

    ngx_memcpy(p, pool + left, NGX_ASYNC_ID_RANDOM);
    ngx_memzero(pool + left, NGX_ASYNC_ID_RANDOM);

    return NGX_OK;
}


u_char *
ngx_async_id_format(u_char *p, const ngx_async_id_t *id)
{
    u_char      hex[2 * NGX_ASYNC_ID_LEN];
    ngx_uint_t  i;

    for (i = 0; i < NGX_ASYNC_ID_LEN; i += 4) {
        ngx_async_id_hex(hex + 2 * i, id->bytes + i);
    }

    p = ngx_cpymem(p, hex, 8);
    *p++ = '-';
    p = ngx_cpymem(p, hex + 8, 4);
    *p++ = '-';
    p = ngx_cpymem(p, hex + 12, 4);
    *p++ = '-';
    p = ngx_cpymem(p, hex + 16, 4);
    *p++ = '-';

    return ngx_cpymem(p, hex + 20, 12);
}


/* four bytes as eight digits, all at once */

static void
ngx_async_id_hex(u_char *p, const u_char *bytes)
{
    uint32_t  n;
    uint64_t  x, letters;

    ngx_memcpy(&n, bytes, 4);

    x = be32toh(n);
    x = (x << 16 | x) & 0x0000ffff0000ffff;
    x = (x << 8 | x) & 0x00ff00ff00ff00ff;
    x = (x << 4 | x) & 0x0f0f0f0f0f0f0f0f;

    letters = ((x + 0x0606060606060606) >> 4) & 0x0101010101010101;

    x = htobe64(x + 0x3030303030303030 + letters * ('a' - '0' - 10));

    ngx_memcpy(p, &x, 8);
}


ngx_int_t
ngx_async_id_parse(ngx_async_id_t *id, const u_char *p, size_t len)
{
    ngx_int_t       high, low;
    ngx_uint_t      i;
    ngx_async_id_t  parsed;

    if (len != NGX_ASYNC_ID_TEXT_LEN) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_ASYNC_ID_LEN; i++) {

        if ((i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-') {
            return NGX_ERROR;
        }

        high = ngx_async_id_digit(*p++);
        low = ngx_async_id_digit(*p++);

        if (high == NGX_ERROR || low == NGX_ERROR) {
            return NGX_ERROR;
        }

        parsed.bytes[i] = (u_char) (high << 4 | low);
    }

    if ((parsed.bytes[6] & 0xf0) != 0x70 || (parsed.bytes[8] & 0xc0) != 0x80) {
        return NGX_ERROR;
    }

    *id = parsed;

    return NGX_OK;
}


static ngx_int_t
ngx_async_id_digit(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c = (u_char) (c | 0x20);

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return NGX_ERROR;
}
