
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/random.h>
#include "src/base/ngx_async_id.h"


static ngx_int_t ngx_async_id_digit(u_char c);


ngx_int_t
ngx_async_id_create(ngx_async_id_t *id, uint64_t msec)
{
    size_t      done;
    ssize_t     n;
    ngx_uint_t  i;

    for (i = 0; i < 6; i++) {
        id->bytes[i] = (u_char) (msec >> (40 - 8 * i));
    }

    for (done = 6; done < NGX_ASYNC_ID_LEN; done += n) {
        n = getrandom(id->bytes + done, NGX_ASYNC_ID_LEN - done, 0);

        if (n <= 0) {
            if (n == -1 && ngx_errno == NGX_EINTR) {
                n = 0;
                continue;
            }

            return NGX_ERROR;
        }
    }

    id->bytes[6] = (u_char) (0x70 | (id->bytes[6] & 0x0f));
    id->bytes[8] = (u_char) (0x80 | (id->bytes[8] & 0x3f));

    return NGX_OK;
}


u_char *
ngx_async_id_format(u_char *p, const ngx_async_id_t *id)
{
    ngx_uint_t            i;
    static const u_char  hex[] = "0123456789abcdef";

    for (i = 0; i < NGX_ASYNC_ID_LEN; i++) {

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }

        *p++ = hex[id->bytes[i] >> 4];
        *p++ = hex[id->bytes[i] & 0x0f];
    }

    return p;
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
