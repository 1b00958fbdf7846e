
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_direct_call.h"


#define NGX_ASYNC_DIRECT_CONNECT  60000L    /* ms, as proxy_connect_timeout */
#define NGX_ASYNC_DIRECT_FRESH    4L        /* s that a kept connection may
                                               have been idle for a request
                                               that can be sent only once */

typedef struct {
    ngx_str_t               url;            /* all zero-terminated */
    ngx_str_t               path;           /* of a unix domain socket */
    ngx_str_t               target;
    unsigned                https:1;
} ngx_async_direct_parts_t;


static ngx_int_t ngx_async_direct_split(ngx_async_direct_t *d,
    ngx_async_direct_parts_t *u);
static ngx_int_t ngx_async_direct_string(ngx_async_direct_t *d, ngx_str_t *s,
    const char *prefix, size_t len, u_char *p, u_char *last,
    const char *suffix);
static CURLcode ngx_async_direct_set_url(ngx_async_direct_t *d,
    ngx_async_direct_parts_t *u);
static CURLcode ngx_async_direct_set_method(ngx_async_direct_t *d);
static CURLcode ngx_async_direct_set_reuse(ngx_async_direct_t *d,
    ngx_async_direct_parts_t *u);
static CURLcode ngx_async_direct_set_tls(ngx_async_direct_t *d,
    ngx_async_direct_parts_t *u);
static ngx_int_t ngx_async_direct_set_headers(ngx_async_direct_t *d);
static ngx_int_t ngx_async_direct_add(ngx_async_direct_t *d, ngx_str_t *key,
    ngx_str_t *value);


ngx_int_t
ngx_async_direct_request(ngx_async_direct_t *d)
{
    ngx_async_run_t           *run;
    ngx_async_direct_parts_t   u;

    run = d->run;

    if (run->job.flags & NGX_ASYNC_JOB_IDEMPOTENT) {
        d->transfer->repeatable = 1;
    }

    if (ngx_async_snapshot_read(&d->snapshot, d->pool, run->blob.data,
                                run->blob.len)
        != NGX_OK
        || ngx_async_direct_split(d, &u) != NGX_OK
        || ngx_async_direct_set_headers(d) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_async_direct_set_url(d, &u) != CURLE_OK
        || ngx_async_direct_set_method(d) != CURLE_OK
        || ngx_async_direct_set_reuse(d, &u) != CURLE_OK
        || ngx_async_direct_set_tls(d, &u) != CURLE_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * "scheme://host:port/target" or "scheme://unix:path:/target", as
 * ngx_async_direct_prepare() has written it.
 */

static ngx_int_t
ngx_async_direct_split(ngx_async_direct_t *d, ngx_async_direct_parts_t *u)
{
    u_char     *p, *last, *uri;
    size_t      schema;
    ngx_str_t  *url;

    ngx_memzero(u, sizeof(ngx_async_direct_parts_t));

    url = &d->snapshot.direct_url;

    last = url->data + url->len;
    u->https = (url->len > 8 && url->data[4] == 's');
    schema = u->https ? sizeof("https://") - 1 : sizeof("http://") - 1;

    if (url->len <= schema) {
        return NGX_ERROR;
    }

    p = url->data + schema;

    if (last - p > 5 && ngx_strncmp(p, "unix:", 5) == 0) {
        p += 5;
        uri = ngx_strlchr(p, last, ':');

        if (uri == NULL
            || ngx_async_direct_string(d, &u->path, "", 0, p, uri, "")
               != NGX_OK
            || ngx_async_direct_string(d, &u->url, (char *) url->data, schema,
                                       NULL, NULL, "localhost/")
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        uri++;

    } else {
        uri = ngx_strlchr(p, last, '/');

        if (uri == NULL
            || ngx_async_direct_string(d, &u->url, (char *) url->data, schema,
                                       p, uri, "/")
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_async_direct_string(d, &u->target, "", 0, uri, last, "");
}


static ngx_int_t
ngx_async_direct_string(ngx_async_direct_t *d, ngx_str_t *s,
    const char *prefix, size_t len, u_char *p, u_char *last,
    const char *suffix)
{
    u_char  *dst;

    dst = ngx_pnalloc(d->pool, len + (last - p) + ngx_strlen(suffix) + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    s->data = dst;

    dst = ngx_cpymem(dst, prefix, len);

    if (p) {
        dst = ngx_cpymem(dst, p, last - p);
    }

    dst = ngx_cpymem(dst, suffix, ngx_strlen(suffix));
    *dst = '\0';

    s->len = dst - s->data;

    return NGX_OK;
}


static CURLcode
ngx_async_direct_set_url(ngx_async_direct_t *d, ngx_async_direct_parts_t *u)
{
    CURL      *easy;
    CURLcode   rc;

    easy = d->transfer->easy;

    rc = curl_easy_setopt(easy, CURLOPT_URL, u->url.data);

    /* libcurl would encode and cut what is in a URL: this goes out as it is */

    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, u->target.data);
    }

    if (rc == CURLE_OK && u->path.len) {
        rc = curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, u->path.data);
    }

    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                              NGX_ASYNC_DIRECT_CONNECT);
    }

    return rc;
}


static CURLcode
ngx_async_direct_set_method(ngx_async_direct_t *d)
{
    CURL       *easy;
    u_char     *method;
    CURLcode    rc;
    ngx_str_t  *name;

    easy = d->transfer->easy;
    name = &d->snapshot.method_name;

    if (d->snapshot.method == NGX_HTTP_HEAD) {
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }

    method = ngx_pnalloc(d->pool, name->len + 1);
    if (method == NULL) {
        return CURLE_OUT_OF_MEMORY;
    }

    (void) ngx_cpystrn(method, name->data, name->len + 1);

    rc = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);

    /* an upload is the one kind of body that libcurl adds no fields to */

    if (rc == CURLE_OK && d->upload) {
        rc = curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);

        if (rc == CURLE_OK) {
            rc = curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                                  (curl_off_t) d->run->body_len);
        }
    }

    return rc;
}


/*
 * A kept connection may be closed by its other end just when a request is sent
 * on it; whether the request was seen is not known then.  What may be sent
 * only once therefore goes out on a connection of its own, as proxy_pass does
 * by default; with TLS, where that is dear, at least on a lively one.
 */

static CURLcode
ngx_async_direct_set_reuse(ngx_async_direct_t *d, ngx_async_direct_parts_t *u)
{
    CURL      *easy;
    CURLcode   rc;

    easy = d->transfer->easy;

    if (d->transfer->repeatable) {
        return CURLE_OK;
    }

    if (u->https) {
        return curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN,
                                NGX_ASYNC_DIRECT_FRESH);
    }

    rc = curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);

    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }

    return rc;
}


static CURLcode
ngx_async_direct_set_tls(ngx_async_direct_t *d, ngx_async_direct_parts_t *u)
{
    ngx_async_loc_conf_t  *alcf;

    if (!u->https) {
        return CURLE_OK;
    }

    alcf = d->run->alcf;

    /* many calls at once share one connection if they can */

    if (alcf->direct_large) {
        d->transfer->single = 1;

    } else {
        d->transfer->share = 1;
    }

    return ngx_async_curl_set_tls(d->transfer, alcf->ssl_verify,
                                  &alcf->ssl_trusted_certificate);
}


static ngx_int_t
ngx_async_direct_set_headers(ngx_async_direct_t *d)
{
    ngx_str_t           none;
    ngx_uint_t          i, n;
    ngx_async_field_t  *field;

    /* what libcurl would send of its own unless it is said not to */

    struct {
        ngx_str_t       name;
        ngx_uint_t      found;
    } own[] = {
        { ngx_string("Host"), 0 },
        { ngx_string("Accept"), 0 },
        { ngx_string("User-Agent"), 0 },
        { ngx_string("Expect"), 0 },
        { ngx_string("Content-Type"), 0 },
    };

    d->upload = (d->run->body_len > 0);
    ngx_str_null(&none);

    field = d->snapshot.headers;

    for (i = 0; i < d->snapshot.nheaders; i++) {

        if (ngx_async_field_is(&field[i].key, "Content-Length")) {
            d->upload = 1;
            continue;
        }

        for (n = 0; n < sizeof(own) / sizeof(own[0]); n++) {
            if (ngx_async_field_same(&field[i].key, &own[n].name)) {
                own[n].found = 1;
            }
        }

        if (ngx_async_direct_add(d, &field[i].key, &field[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (n = 0; n < sizeof(own) / sizeof(own[0]); n++) {

        if (!own[n].found
            && ngx_async_direct_add(d, &own[n].name, NULL) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return curl_easy_setopt(d->transfer->easy, CURLOPT_HTTPHEADER, d->headers)
           == CURLE_OK ? NGX_OK : NGX_ERROR;
}


/* value: "" sends an empty field, NULL none at all */

static ngx_int_t
ngx_async_direct_add(ngx_async_direct_t *d, ngx_str_t *key, ngx_str_t *value)
{
    u_char             *p, *line;
    struct curl_slist  *headers;

    line = ngx_pnalloc(d->pool, key->len + sizeof(": ")
                                + (value ? value->len : 0));
    if (line == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(line, key->data, key->len);

    if (value == NULL) {
        *p++ = ':';

    } else if (value->len == 0) {
        *p++ = ';';

    } else {
        *p++ = ':';
        *p++ = ' ';
        p = ngx_cpymem(p, value->data, value->len);
    }

    *p = '\0';

    headers = curl_slist_append(d->headers, (char *) line);
    if (headers == NULL) {
        return NGX_ERROR;
    }

    d->headers = headers;

    return NGX_OK;
}
