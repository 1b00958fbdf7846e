
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_json.h"
#include "src/base/ngx_async_time.h"


static void ngx_async_json_name(ngx_async_json_t *j, const char *name);
static void ngx_async_json_put(ngx_async_json_t *j, const void *data,
    size_t len);
static void ngx_async_json_escape(ngx_async_json_t *j, u_char *data,
    size_t len);
static ngx_uint_t ngx_async_json_plain(u_char *p);
static size_t ngx_async_json_utf8(u_char *p, u_char *last);


void
ngx_async_json_open(ngx_async_json_t *j, const char *name, u_char bracket)
{
    ngx_async_json_name(j, name);
    ngx_async_json_put(j, &bracket, 1);

    j->comma = 0;
}


void
ngx_async_json_close(ngx_async_json_t *j, u_char bracket)
{
    ngx_async_json_put(j, &bracket, 1);

    j->comma = 1;
}


void
ngx_async_json_string(ngx_async_json_t *j, const char *name, ngx_str_t *value)
{
    ngx_async_json_name(j, name);
    ngx_async_json_put(j, "\"", 1);
    ngx_async_json_escape(j, value->data, value->len);
    ngx_async_json_put(j, "\"", 1);
}


void
ngx_async_json_text(ngx_async_json_t *j, const char *name, const char *value)
{
    ngx_str_t  s;

    s.data = (u_char *) value;
    s.len = ngx_strlen(value);

    ngx_async_json_string(j, name, &s);
}


void
ngx_async_json_number(ngx_async_json_t *j, const char *name, uint64_t value)
{
    u_char  buf[NGX_INT64_LEN];

    ngx_async_json_name(j, name);
    ngx_async_json_put(j, buf, ngx_sprintf(buf, "%uL", value) - buf);
}


void
ngx_async_json_bool(ngx_async_json_t *j, const char *name, ngx_uint_t value)
{
    ngx_async_json_name(j, name);

    if (value) {
        ngx_async_json_put(j, "true", 4);

    } else {
        ngx_async_json_put(j, "false", 5);
    }
}


void
ngx_async_json_time(ngx_async_json_t *j, const char *name, uint64_t value)
{
    u_char  buf[NGX_ASYNC_TIME_TEXT_LEN + 1];

    if (value == 0) {
        return;
    }

    ngx_async_json_name(j, name);
    ngx_async_json_put(j, "\"", 1);
    ngx_async_json_put(j, buf, ngx_async_time_format(buf, value) - buf);
    ngx_async_json_put(j, "\"", 1);
}


void
ngx_async_json_link(ngx_async_json_t *j, const char *name, ngx_str_t *base,
    ngx_str_t *id, const char *suffix)
{
    ngx_async_json_name(j, name);
    ngx_async_json_put(j, "\"", 1);
    ngx_async_json_escape(j, base->data, base->len);
    ngx_async_json_put(j, id->data, id->len);
    ngx_async_json_put(j, suffix, ngx_strlen(suffix));
    ngx_async_json_put(j, "\"", 1);
}


static void
ngx_async_json_name(ngx_async_json_t *j, const char *name)
{
    if (j->comma) {
        ngx_async_json_put(j, ",", 1);
    }

    j->comma = 1;

    if (name != NULL) {
        ngx_async_json_put(j, "\"", 1);
        ngx_async_json_put(j, name, ngx_strlen(name));
        ngx_async_json_put(j, "\":", 2);
    }
}


static void
ngx_async_json_put(ngx_async_json_t *j, const void *data, size_t len)
{
    if (j->pos != NULL) {

        if (j->last == NULL || len <= (size_t) (j->last - j->pos)) {
            j->pos = ngx_cpymem(j->pos, data, len);

        } else {
            j->pos = NULL;
        }
    }

    j->len += len;
}


static void
ngx_async_json_escape(ngx_async_json_t *j, u_char *data, size_t len)
{
    u_char  *p, *last, *run, buf[sizeof("\\u0000")];
    size_t   n;

    p = data;
    run = data;
    last = data + len;

    while (p < last) {

        if (last - p >= 8 && ngx_async_json_plain(p)) {
            p += 8;
            continue;
        }

        if (*p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\') {
            p++;
            continue;
        }

        n = (*p >= 0x80) ? ngx_async_json_utf8(p, last) : 0;

        if (n != 0) {
            p += n;
            continue;
        }

        ngx_async_json_put(j, run, p - run);

        if (*p == '"' || *p == '\\') {
            buf[0] = '\\';
            buf[1] = *p;
            ngx_async_json_put(j, buf, 2);

        } else if (*p >= 0x80) {
            ngx_async_json_put(j, "\\ufffd", 6);

        } else {
            (void) ngx_sprintf(buf, "\\u00%02xi", (ngx_int_t) *p);
            ngx_async_json_put(j, buf, 6);
        }

        run = ++p;
    }

    ngx_async_json_put(j, run, p - run);
}


/* true if none of the eight bytes at p needs a look */

static ngx_uint_t
ngx_async_json_plain(u_char *p)
{
    uint64_t         n, quote, backslash;
    const uint64_t   ones = 0x0101010101010101, high = 0x8080808080808080;

    ngx_memcpy(&n, p, 8);

    quote = n ^ ('"' * ones);
    backslash = n ^ ('\\' * ones);

    /* a high bit: of the byte, below 0x20, 0x7f, equal */

    return ((n
             | (n - 0x20 * ones)
             | (n + ones)
             | (quote - ones)
             | (backslash - ones))
            & high) == 0;
}


/* length of the well-formed sequence (RFC 3629) at p, or 0 */

static size_t
ngx_async_json_utf8(u_char *p, u_char *last)
{
    size_t    i, n;
    uint32_t  code, min;

    if (*p >= 0xc2 && *p <= 0xdf) {
        n = 2;
        code = *p & 0x1f;
        min = 0x80;

    } else if (*p >= 0xe0 && *p <= 0xef) {
        n = 3;
        code = *p & 0x0f;
        min = 0x800;

    } else if (*p >= 0xf0 && *p <= 0xf4) {
        n = 4;
        code = *p & 0x07;
        min = 0x10000;

    } else {
        return 0;
    }

    if ((size_t) (last - p) < n) {
        return 0;
    }

    for (i = 1; i < n; i++) {

        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }

        code = (code << 6) | (p[i] & 0x3f);
    }

    if (code < min || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return 0;
    }

    return n;
}
