
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_html.h"
#include "src/http/ngx_async_reply.h"

#include <openssl/evp.h>


#define NGX_ASYNC_HTML_HASH_LEN  32
#define NGX_ASYNC_HTML_HASH      "'sha256-" NGX_ASYNC_HTML_BASE64 "'"
#define NGX_ASYNC_HTML_BASE64    "00000000000000000000000000000000000000000000"


static void ngx_async_html_put(ngx_async_html_t *h, const void *data,
    size_t len);
static ngx_int_t ngx_async_html_policy(ngx_str_t *policy);
static ngx_int_t ngx_async_html_hash(ngx_str_t *text, u_char *base64);


void
ngx_async_html_raw(ngx_async_html_t *h, const char *text)
{
    ngx_async_html_put(h, text, ngx_strlen(text));
}


void
ngx_async_html_text(ngx_async_html_t *h, ngx_str_t *text)
{
    uintptr_t  extra;

    extra = ngx_escape_html(NULL, text->data, text->len);

    if (h->pos != NULL) {
        h->pos = (u_char *) ngx_escape_html(h->pos, text->data, text->len);
    }

    h->len += text->len + extra;
}


void
ngx_async_html_number(ngx_async_html_t *h, uint64_t n)
{
    u_char  buf[NGX_INT64_LEN];

    ngx_async_html_put(h, buf, ngx_sprintf(buf, "%uL", n) - buf);
}


void
ngx_async_html_size(ngx_async_html_t *h, uint64_t n)
{
    u_char      buf[NGX_INT64_LEN + sizeof(".0 bytes")], *p;
    uint64_t    unit;
    ngx_uint_t  i;

    static const char  *units[] = { "bytes", "kB", "MB", "GB" };

    unit = 1;

    for (i = 0; i < 3 && n / unit >= 1000; i++) {
        unit *= 1000;
    }

    p = ngx_sprintf(buf, "%uL", n / unit);

    if (i != 0) {
        p = ngx_sprintf(p, ".%uL", n % unit / (unit / 10));
    }

    p = ngx_sprintf(p, " %s", units[i]);

    ngx_async_html_put(h, buf, p - buf);
}


/* 2026-01-31T12:00:00.000Z, and for the reader 2026-01-31 12:00:00 UTC */

void
ngx_async_html_time(ngx_async_html_t *h, uint64_t msec)
{
    u_char  buf[NGX_ASYNC_TIME_TEXT_LEN + 1];
    size_t  len;

    len = ngx_async_time_format(buf, msec) - buf;

    ngx_async_html_raw(h, "<time datetime=\"");
    ngx_async_html_put(h, buf, len);
    ngx_async_html_raw(h, "\">");
    ngx_async_html_put(h, buf, 10);
    ngx_async_html_raw(h, " ");
    ngx_async_html_put(h, buf + 11, 8);
    ngx_async_html_raw(h, " UTC</time>");
}


void
ngx_async_html_begin(ngx_async_html_t *h, const char *title)
{
    ngx_async_html_raw(h,
        "<!DOCTYPE html>\n"
        "<html lang=\"en\">\n"
        "<head>\n"
        "<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n"
        "<meta name=\"robots\" content=\"noindex\">\n"
        "<link rel=\"icon\" href=\"data:,\">\n"
        "<title>");
    ngx_async_html_raw(h, title);
    ngx_async_html_raw(h, "</title>\n<style>");
    ngx_async_html_put(h, ngx_async_html_assets_style.data,
                       ngx_async_html_assets_style.len);
    ngx_async_html_raw(h, "</style>\n");
}


void
ngx_async_html_script(ngx_async_html_t *h)
{
    ngx_async_html_raw(h, "<script>");
    ngx_async_html_put(h, ngx_async_html_assets_script.data,
                       ngx_async_html_assets_script.len);
    ngx_async_html_raw(h, "</script>\n");
}


ngx_int_t
ngx_async_html_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_async_html_pt write, void *data)
{
    ngx_str_t         body, policy;
    ngx_async_html_t  h;

    if (ngx_async_html_policy(&policy) != NGX_OK
        || ngx_async_reply_header(r, "Content-Security-Policy", &policy)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&h, sizeof(ngx_async_html_t));
    write(&h, data);

    body.len = h.len;
    body.data = ngx_pnalloc(r->pool, h.len);
    if (body.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&h, sizeof(ngx_async_html_t));
    h.pos = body.data;
    write(&h, data);

    return ngx_async_reply_send(r, status, "text/html; charset=utf-8", &body);
}


static void
ngx_async_html_put(ngx_async_html_t *h, const void *data, size_t len)
{
    if (h->pos != NULL) {
        h->pos = ngx_cpymem(h->pos, data, len);
    }

    h->len += len;
}


/* the hashes are made from the texts once, so that they cannot disagree */

static ngx_int_t
ngx_async_html_policy(ngx_str_t *policy)
{
    static u_char  text[] =
        "default-src 'none'; script-src " NGX_ASYNC_HTML_HASH "; "
        "style-src " NGX_ASYNC_HTML_HASH "; img-src data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'";
    static ngx_uint_t  ready;

    u_char  *p;

    if (!ready) {

        p = (u_char *) ngx_strstr(text, NGX_ASYNC_HTML_BASE64);

        if (ngx_async_html_hash(&ngx_async_html_assets_script, p) != NGX_OK) {
            return NGX_ERROR;
        }

        p = (u_char *) ngx_strstr(p, NGX_ASYNC_HTML_BASE64);

        if (ngx_async_html_hash(&ngx_async_html_assets_style, p) != NGX_OK) {
            return NGX_ERROR;
        }

        ready = 1;
    }

    policy->data = text;
    policy->len = sizeof(text) - 1;

    return NGX_OK;
}


static ngx_int_t
ngx_async_html_hash(ngx_str_t *text, u_char *base64)
{
    u_char     hash[NGX_ASYNC_HTML_HASH_LEN];
    ngx_str_t  src, dst;

    if (EVP_Digest(text->data, text->len, hash, NULL, EVP_sha256(), NULL)
        != 1)
    {
        return NGX_ERROR;
    }

    src.data = hash;
    src.len = NGX_ASYNC_HTML_HASH_LEN;

    dst.data = base64;
    dst.len = 0;

    ngx_encode_base64(&dst, &src);

    return NGX_OK;
}
