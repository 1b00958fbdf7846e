
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_reply.h"
#include "src/http/ngx_async_document.h"
#include "src/base/ngx_async_field.h"
#include "src/base/ngx_async_prefer.h"
#include "src/base/ngx_async_reason.h"
#include "src/call/ngx_async_compat.h"


static ngx_int_t ngx_async_reply_body(ngx_http_request_t *r, ngx_str_t *body);
static ngx_uint_t ngx_async_reply_excess(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static ngx_uint_t ngx_async_reply_caching(ngx_str_t *name);


static ngx_str_t  ngx_async_reply_no_store = ngx_string("no-store");
static ngx_str_t  ngx_async_reply_no_referrer = ngx_string("no-referrer");
static ngx_str_t  ngx_async_reply_nosniff = ngx_string("nosniff");
static ngx_str_t  ngx_async_reply_vary =
                              ngx_string("Prefer, Accept, Sec-Fetch-Mode");
static ngx_str_t  ngx_async_reply_respond_async = ngx_string("respond-async");


ngx_int_t
ngx_async_reply_accepted(ngx_http_request_t *r, ngx_async_job_t *job,
    ngx_uint_t redirect, ngx_uint_t preferred)
{
    uint64_t               finish;
    ngx_str_t              body;
    ngx_uint_t             seconds, navigation;
    ngx_async_document_t   d;

    navigation = ngx_async_prefer_navigation(r);

    if (ngx_async_reply_id(r, job) != NGX_OK
        || ngx_async_reply_header(r, "Vary", &ngx_async_reply_vary) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (preferred
        && ngx_async_reply_header(r, "Preference-Applied",
                                  &ngx_async_reply_respond_async)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (navigation || redirect) {
        return ngx_async_reply_see(r, job, navigation ? "" : "/wait");
    }

    ngx_memzero(&d, sizeof(ngx_async_document_t));
    d.job = job;
    d.now = ngx_async_time_now();

    seconds = ngx_async_document_retry_after(&d, &finish);

    if (ngx_async_reply_link(r, "Location", job, "/result") != NGX_OK
        || ngx_async_reply_link(r, "Content-Location", job, "/result")
           != NGX_OK
        || ngx_async_reply_link(r, "Operation-Location", job, "") != NGX_OK
        || ngx_async_document_create(r->pool, &d, &body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a job may have ended before it was promised */

    if (!ngx_async_job_finished(job)
        && ngx_async_reply_retry_after(r, seconds) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_async_reply_send(r, NGX_HTTP_ACCEPTED, "application/json",
                                &body);
}


ngx_int_t
ngx_async_reply_see(ngx_http_request_t *r, ngx_async_job_t *job,
    const char *suffix)
{
    if (ngx_async_reply_link(r, "Location", job, suffix) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_async_reply_send(r, NGX_HTTP_SEE_OTHER, NULL, NULL);
}


ngx_int_t
ngx_async_reply_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *content_type, ngx_str_t *body)
{
    ngx_int_t  rc;

    if (ngx_async_reply_header(r, "Cache-Control", &ngx_async_reply_no_store)
        != NGX_OK
        || ngx_async_reply_guard(r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the status of an error_page that led here is not this response's */

    r->err_status = 0;

    r->headers_out.status = status;
    ngx_async_reason_line(status, &r->headers_out.status_line);

    r->headers_out.content_length_n = (body != NULL) ? (off_t) body->len : 0;
    r->headers_out.last_modified_time = -1;

    if (status == NGX_HTTP_NO_CONTENT) {
        r->headers_out.content_length_n = -1;
    }

    ngx_str_null(&r->headers_out.content_type);

    if (content_type != NULL) {
        r->headers_out.content_type.data = (u_char *) content_type;
        r->headers_out.content_type.len = ngx_strlen(content_type);
        r->headers_out.content_type_len = r->headers_out.content_type.len;
        r->headers_out.content_type_lowcase = NULL;
    }

    /* If-Match and the like are about results */

    r->disable_not_modified = 1;

    /*
     * A worker that leaves closes the connection in any case: a client that is
     * sent on must know, or it loses its next request there.
     */

    if (ngx_exiting) {
        r->keepalive = 0;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    if (body == NULL || body->len == 0) {
        return ngx_http_send_special(r, NGX_HTTP_LAST);
    }

    return ngx_async_reply_body(r, body);
}


static ngx_int_t
ngx_async_reply_body(ngx_http_request_t *r, ngx_str_t *body)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_async_reply_guard(ngx_http_request_t *r)
{
    ngx_async_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);

    if (!alcf->jobs) {
        return NGX_OK;
    }

    if (ngx_async_reply_header(r, "Referrer-Policy",
                               &ngx_async_reply_no_referrer)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_async_reply_header(r, "X-Content-Type-Options",
                                  &ngx_async_reply_nosniff);
}


ngx_int_t
ngx_async_reply_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_str_t  key;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);

    return (ngx_async_reply_push(r, &key, value) != NULL) ? NGX_OK : NGX_ERROR;
}


ngx_table_elt_t *
ngx_async_reply_push(ngx_http_request_t *r, ngx_str_t *key, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    ngx_async_header_unlink(h);

    h->hash = NGX_ASYNC_REPLY_HASH;
    h->key = *key;
    h->value = *value;
    h->lowcase_key = NULL;

    return h;
}


ngx_int_t
ngx_async_reply_origin(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_str_t *origin)
{
    u_char                    *p, text[NGX_SOCKADDR_STRLEN];
    ngx_str_t                  host, scheme;
    ngx_connection_t          *c;
    ngx_http_core_srv_conf_t  *cscf;

    c = r->connection;
    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    ngx_str_set(&scheme, "http");

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_str_set(&scheme, "https");
    }
#endif

    host = r->headers_in.server;

    if (r->headers_in.host != NULL && r->headers_in.host->value.len != 0) {
        host = r->headers_in.host->value;

    } else if (r->host_end) {
        /* with its port: of HTTP/3, or of an absolute URI */
        host.data = r->host_start;
        host.len = r->host_end - r->host_start;
    }

    /* HTTP/1.0 may do without: as in nginx's own redirects */

    if (host.len == 0) {
        host.data = text;
        host.len = NGX_SOCKADDR_STRLEN;

        if (ngx_connection_local_sockaddr(c, &host, 1) != NGX_OK) {
            return NGX_ERROR;
        }

        if (host.len > 5 && ngx_strncmp(host.data, "unix:", 5) == 0) {
            host = cscf->server_name;
        }
    }

    p = ngx_pnalloc(pool, scheme.len + sizeof("://") - 1 + host.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    origin->data = p;
    origin->len = ngx_sprintf(p, "%V://%V", &scheme, &host) - p;

    return NGX_OK;
}


ngx_int_t
ngx_async_reply_id(ngx_http_request_t *r, ngx_async_job_t *job)
{
    ngx_str_t  value;

    value.len = NGX_ASYNC_ID_TEXT_LEN;
    value.data = ngx_pnalloc(r->pool, NGX_ASYNC_ID_TEXT_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_async_id_format(value.data, &job->id);

    return ngx_async_reply_header(r, "Async-Id", &value);
}


ngx_int_t
ngx_async_reply_link(ngx_http_request_t *r, const char *name,
    ngx_async_job_t *job, const char *suffix)
{
    size_t      len;
    u_char     *p;
    ngx_str_t   value;

    len = ngx_strlen(suffix);

    value.len = job->jobs_uri.len + NGX_ASYNC_ID_TEXT_LEN + len;
    value.data = ngx_pnalloc(r->pool, value.len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(value.data, job->jobs_uri.data, job->jobs_uri.len);
    p = ngx_async_id_format(p, &job->id);
    ngx_memcpy(p, suffix, len);

    return ngx_async_reply_header(r, name, &value);
}


ngx_int_t
ngx_async_reply_retry_after(ngx_http_request_t *r, ngx_uint_t seconds)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%ui", seconds) - value.data;

    return ngx_async_reply_header(r, "Retry-After", &value);
}


void
ngx_async_reply_unique(ngx_http_request_t *r)
{
    ngx_table_elt_t         *h;
    ngx_async_field_each_t   each;

    ngx_async_field_first(&each, &r->headers_out.headers);

    while ((h = ngx_async_field_next(&each)) != NULL) {
        if (h->hash != NGX_ASYNC_REPLY_HASH && ngx_async_reply_excess(r, h)) {
            h->hash = 0;
        }
    }
}


static ngx_uint_t
ngx_async_reply_excess(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    ngx_uint_t               caching;
    ngx_table_elt_t         *own;
    ngx_async_field_each_t   each;

    caching = ngx_async_reply_caching(&h->key);

    ngx_async_field_first(&each, &r->headers_out.headers);

    while ((own = ngx_async_field_next(&each)) != NULL) {

        if (own->hash != NGX_ASYNC_REPLY_HASH) {
            continue;
        }

        if (caching && ngx_async_reply_caching(&own->key)) {
            return 1;
        }

        if (ngx_async_field_same(&own->key, &h->key)
            && own->value.len == h->value.len
            && ngx_strncmp(own->value.data, h->value.data, h->value.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_async_reply_caching(ngx_str_t *name)
{
    return ngx_async_field_is(name, "Cache-Control")
           || ngx_async_field_is(name, "Expires");
}
