
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <curl/curl.h>
#include "src/call/ngx_async_target.h"


#define NGX_ASYNC_TARGET_WILDCARD  "wildcard"   /* stands for "*" in parsing */

static ngx_int_t ngx_async_target_copy(u_char *buf, ngx_str_t *url,
    ngx_uint_t prefix, ngx_uint_t *wildcard, const char **why);
static ngx_int_t ngx_async_target_read(ngx_async_target_t *t, CURLU *u,
    const char *url, const char **why);
static ngx_int_t ngx_async_target_read_host(ngx_async_target_t *t, CURLU *u,
    const char **why);
static ngx_int_t ngx_async_target_read_path(ngx_async_target_t *t, CURLU *u,
    const char **why);
static ngx_uint_t ngx_async_target_has(CURLU *u, CURLUPart part);
static ngx_uint_t ngx_async_target_climbs(u_char *p, size_t len);
static ngx_uint_t ngx_async_target_matches(ngx_async_target_t *t,
    ngx_async_target_t *prefix);


ngx_int_t
ngx_async_target_parse(ngx_async_target_t *t, ngx_str_t *url,
    ngx_uint_t prefix, const char **why)
{
    CURLU       *u;
    u_char       buf[NGX_ASYNC_TARGET_URL_MAX
                     + sizeof(NGX_ASYNC_TARGET_WILDCARD)];
    ngx_int_t    rc;
    ngx_uint_t   wildcard;

    ngx_memzero(t, sizeof(ngx_async_target_t));

    if (ngx_async_target_copy(buf, url, prefix, &wildcard, why) != NGX_OK) {
        return NGX_DECLINED;
    }

    u = curl_url();
    if (u == NULL) {
        *why = "there is no memory to read it";
        return NGX_DECLINED;
    }

    rc = ngx_async_target_read(t, u, (const char *) buf, why);

    curl_url_cleanup(u);

    if (rc != NGX_OK || !wildcard) {
        return rc;
    }

    /* "wildcard.example.com": the suffix is what counts */

    t->wildcard = 1;
    t->host_len -= sizeof(NGX_ASYNC_TARGET_WILDCARD ".") - 1;
    ngx_memmove(t->host,
                t->host + sizeof(NGX_ASYNC_TARGET_WILDCARD ".") - 1,
                t->host_len + 1);

    return NGX_OK;
}


static ngx_int_t
ngx_async_target_copy(u_char *buf, ngx_str_t *url, ngx_uint_t prefix,
    ngx_uint_t *wildcard, const char **why)
{
    u_char  *p;
    size_t   i, len;

    *wildcard = 0;

    if (url->len == 0 || url->len > NGX_ASYNC_TARGET_URL_MAX) {
        *why = url->len ? "it is too long" : "it is empty";
        return NGX_DECLINED;
    }

    /* parsers disagree on all of these, so none is let through */

    for (i = 0; i < url->len; i++) {
        if (url->data[i] <= ' ' || url->data[i] >= 0x7f
            || url->data[i] == '\\')
        {
            *why = "it has characters that do not belong into a URL";
            return NGX_DECLINED;
        }
    }

    ngx_memcpy(buf, url->data, url->len);
    buf[url->len] = '\0';

    if (!prefix) {
        return NGX_OK;
    }

    p = (u_char *) ngx_strstr(buf, "://*.");

    if (p == NULL) {
        return NGX_OK;
    }

    p += sizeof("://") - 1;
    len = url->len - (p + 1 - buf);

    ngx_memmove(p + sizeof(NGX_ASYNC_TARGET_WILDCARD) - 1, p + 1, len + 1);
    ngx_memcpy(p, NGX_ASYNC_TARGET_WILDCARD,
               sizeof(NGX_ASYNC_TARGET_WILDCARD) - 1);

    *wildcard = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_async_target_read(ngx_async_target_t *t, CURLU *u, const char *url,
    const char **why)
{
    char       *s;
    CURLUcode   rc;

    rc = curl_url_set(u, CURLUPART_URL, url,
                      CURLU_NON_SUPPORT_SCHEME|CURLU_PATH_AS_IS);

    if (rc != CURLUE_OK) {
        *why = "it is not a valid URL";
        return NGX_DECLINED;
    }

    if (curl_url_get(u, CURLUPART_SCHEME, &s, 0) != CURLUE_OK) {
        *why = "it is not a valid URL";
        return NGX_DECLINED;
    }

    t->https = (ngx_strcmp(s, "https") == 0);

    if (!t->https && ngx_strcmp(s, "http") != 0) {
        curl_free(s);
        *why = "its scheme is neither http nor https";
        return NGX_DECLINED;
    }

    curl_free(s);

    if (ngx_async_target_has(u, CURLUPART_USER)
        || ngx_async_target_has(u, CURLUPART_PASSWORD))
    {
        *why = "it has a user name";
        return NGX_DECLINED;
    }

    if (ngx_async_target_has(u, CURLUPART_FRAGMENT)) {
        *why = "it has a fragment";
        return NGX_DECLINED;
    }

    if (ngx_async_target_has(u, CURLUPART_ZONEID)) {
        *why = "it has a zone";
        return NGX_DECLINED;
    }

    if (curl_url_get(u, CURLUPART_PORT, &s, CURLU_DEFAULT_PORT) != CURLUE_OK) {
        *why = "its port is not valid";
        return NGX_DECLINED;
    }

    t->port = (in_port_t) strtoul(s, NULL, 10);

    curl_free(s);

    if (ngx_async_target_read_host(t, u, why) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_async_target_read_path(t, u, why);
}


static ngx_int_t
ngx_async_target_read_host(ngx_async_target_t *t, CURLU *u, const char **why)
{
    char    *s;
    size_t   i, len;

    if (curl_url_get(u, CURLUPART_HOST, &s, 0) != CURLUE_OK) {
        *why = "it has no host";
        return NGX_DECLINED;
    }

    len = ngx_strlen(s);

    /* "example.com." is the same host */

    if (len && s[len - 1] == '.') {
        len--;
    }

    if (len == 0 || len > NGX_ASYNC_TARGET_HOST_MAX) {
        curl_free(s);
        *why = "its host is not valid";
        return NGX_DECLINED;
    }

    for (i = 0; i < len; i++) {
        t->host[i] = ngx_tolower(s[i]);
    }

    t->host[len] = '\0';
    t->host_len = len;

    curl_free(s);

    for (i = 0; i < len; i++) {
        if (ngx_strchr("abcdefghijklmnopqrstuvwxyz0123456789.-_[:]",
                       t->host[i])
            == NULL)
        {
            *why = "its host is not valid";
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_target_read_path(ngx_async_target_t *t, CURLU *u, const char **why)
{
    char    *s;
    size_t   len;

    if (curl_url_get(u, CURLUPART_PATH, &s, 0) != CURLUE_OK) {
        *why = "its path is not valid";
        return NGX_DECLINED;
    }

    len = ngx_strlen(s);

    if (ngx_async_target_climbs((u_char *) s, len)) {
        curl_free(s);
        *why = "its path has \"..\" segments";
        return NGX_DECLINED;
    }

    ngx_memcpy(t->path, s, len);
    t->path_len = len;

    curl_free(s);

    if (curl_url_get(u, CURLUPART_QUERY, &s, 0) == CURLUE_OK) {
        len = ngx_strlen(s);

        t->path[t->path_len++] = '?';
        ngx_memcpy(t->path + t->path_len, s, len);
        t->path_len += len;

        curl_free(s);
    }

    t->path[t->path_len] = '\0';

    return NGX_OK;
}


static ngx_uint_t
ngx_async_target_has(CURLU *u, CURLUPart part)
{
    char  *s;

    if (curl_url_get(u, part, &s, 0) != CURLUE_OK) {
        return 0;
    }

    curl_free(s);

    return 1;
}


/* "." and ".." segments in any spelling that some server may understand */

static ngx_uint_t
ngx_async_target_climbs(u_char *p, size_t len)
{
    size_t      i;
    ngx_uint_t  dots, other;

    dots = 0;
    other = 0;

    for (i = 0; i <= len; i++) {

        if (i == len || p[i] == '/' || p[i] == ';') {
            if (dots && !other) {
                return 1;
            }

            dots = 0;
            other = 0;
            continue;
        }

        if (p[i] == '.') {
            dots++;
            continue;
        }

        if (p[i] != '%' || len - i < 3) {
            other = 1;
            continue;
        }

        if (ngx_strncasecmp(p + i, (u_char *) "%2e", 3) == 0) {
            dots++;

        } else if (ngx_strncasecmp(p + i, (u_char *) "%2f", 3) == 0
                   || ngx_strncasecmp(p + i, (u_char *) "%5c", 3) == 0)
        {
            if (dots && !other) {
                return 1;
            }

            dots = 0;
            other = 0;

        } else {
            other = 1;
        }

        i += 2;
    }

    return 0;
}


ngx_int_t
ngx_async_target_allowed(ngx_async_target_t *t, ngx_array_t *allow)
{
    ngx_str_t           *prefix;
    const char          *why;
    ngx_uint_t           i;
    ngx_async_target_t   p;

    if (allow == NULL) {
        return NGX_DECLINED;
    }

    prefix = allow->elts;

    for (i = 0; i < allow->nelts; i++) {
        if (ngx_async_target_parse(&p, &prefix[i], 1, &why) == NGX_OK
            && ngx_async_target_matches(t, &p))
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_async_target_matches(ngx_async_target_t *t, ngx_async_target_t *prefix)
{
    size_t   n;
    u_char  *end;

    if (t->https != prefix->https || t->port != prefix->port) {
        return 0;
    }

    if (prefix->wildcard) {

        if (t->host_len < prefix->host_len + 2) {
            return 0;
        }

        n = t->host_len - prefix->host_len;

        if (t->host[n - 1] != '.'
            || ngx_memcmp(t->host + n, prefix->host, prefix->host_len) != 0)
        {
            return 0;
        }

    } else if (t->host_len != prefix->host_len
               || ngx_memcmp(t->host, prefix->host, t->host_len) != 0)
    {
        return 0;
    }

    n = prefix->path_len;

    if (t->path_len < n || ngx_memcmp(t->path, prefix->path, n) != 0) {
        return 0;
    }

    end = t->path + n;

    return n == t->path_len || prefix->path[n - 1] == '/'
           || *end == '/' || *end == '?'
           || memchr(prefix->path, '?', n) != NULL;
}
