
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_fields.h"
#include "src/http/ngx_async_reply.h"
#include "src/http/ngx_async_uri.h"


typedef enum {
    NGX_ASYNC_FIELDS_DROP = 1,      /* the connection's, or the module's own */
    NGX_ASYNC_FIELDS_HIDE,          /* unless async_pass_header names it */
    NGX_ASYNC_FIELDS_RESOLVE        /* a reference to the submitted URI */
} ngx_async_fields_e;

typedef struct {
    ngx_str_t    name;
    ngx_uint_t   rule;
} ngx_async_fields_rule_t;


static void ngx_async_fields_content_type(ngx_http_request_t *r,
    ngx_str_t *type);
static ngx_int_t ngx_async_fields_add(ngx_http_request_t *r,
    ngx_async_job_t *job, ngx_async_field_t *field, ngx_uint_t rule);
static void ngx_async_fields_register(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static ngx_uint_t ngx_async_fields_rule(ngx_async_loc_conf_t *alcf,
    ngx_str_t *name);
static ngx_int_t ngx_async_fields_module(ngx_http_request_t *r,
    ngx_async_job_t *job);
static ngx_int_t ngx_async_fields_etag(ngx_http_request_t *r,
    ngx_async_job_t *job);
static ngx_uint_t ngx_async_fields_active(ngx_str_t *type);


static ngx_async_fields_rule_t  ngx_async_fields_rules[] = {
    { ngx_string("connection"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("keep-alive"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("proxy-connection"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("proxy-authenticate"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("te"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("trailer"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("transfer-encoding"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("upgrade"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("content-length"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("content-type"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("accept-ranges"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("asyncresult"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("async-status"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("referrer-policy"), NGX_ASYNC_FIELDS_DROP },
    { ngx_string("x-content-type-options"), NGX_ASYNC_FIELDS_DROP },

    { ngx_string("retry-after"), NGX_ASYNC_FIELDS_HIDE },
    { ngx_string("set-cookie"), NGX_ASYNC_FIELDS_HIDE },
    { ngx_string("cache-control"), NGX_ASYNC_FIELDS_HIDE },
    { ngx_string("expires"), NGX_ASYNC_FIELDS_HIDE },
    { ngx_string("pragma"), NGX_ASYNC_FIELDS_HIDE },
    { ngx_string("age"), NGX_ASYNC_FIELDS_HIDE },

    { ngx_string("location"), NGX_ASYNC_FIELDS_RESOLVE },
    { ngx_string("content-location"), NGX_ASYNC_FIELDS_RESOLVE },

    { ngx_null_string, 0 }
};

static ngx_str_t  ngx_async_fields_no_cache = ngx_string("private, no-cache");
static ngx_str_t  ngx_async_fields_sandbox = ngx_string("sandbox");


ngx_int_t
ngx_async_fields_fill(ngx_http_request_t *r, ngx_async_job_t *job,
    ngx_async_head_t *head)
{
    ngx_uint_t             i, rule, partial, caching;
    ngx_async_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);

    r->err_status = 0;
    r->headers_out.status = head->status;
    r->headers_out.status_line = head->status_line;
    r->headers_out.content_length_n = job->response_body_len;
    r->headers_out.last_modified_time = head->last_modified;

    /* 202 would tell a poller that the job is still running */

    if (alcf->result_status_200 || head->status == NGX_HTTP_ACCEPTED) {
        r->headers_out.status = NGX_HTTP_OK;
        ngx_str_null(&r->headers_out.status_line);
    }

    ngx_async_fields_content_type(r, &head->content_type);

    partial = 0;
    caching = 0;

    for (i = 0; i < head->nfields; i++) {

        rule = ngx_async_fields_rule(alcf, &head->fields[i].key);

        if (rule == NGX_ASYNC_FIELDS_DROP || rule == NGX_ASYNC_FIELDS_HIDE) {
            continue;
        }

        partial |= ngx_async_field_is(&head->fields[i].key, "content-range");
        caching |= ngx_async_field_is(&head->fields[i].key, "cache-control");

        if (ngx_async_fields_add(r, job, &head->fields[i], rule) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (!caching
        && ngx_async_reply_header(r, "Cache-Control",
                                  &ngx_async_fields_no_cache)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a part of something is not a whole to be cut again */

    r->allow_ranges = (r->headers_out.status == NGX_HTTP_OK && !partial);

    if (r->headers_out.status == NGX_HTTP_NO_CONTENT
        || r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
    {
        r->header_only = 1;
        r->headers_out.content_length_n = -1;
    }

    return ngx_async_fields_module(r, job);
}


ngx_int_t
ngx_async_fields_status(ngx_http_request_t *r, ngx_async_job_t *job,
    ngx_uint_t status)
{
    ngx_str_t  value;

    if (status != 0) {

        value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "%ui", status) - value.data;

        if (ngx_async_reply_header(r, "AsyncResult", &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_async_reply_header(r, "Async-Status",
                                  &ngx_async_job_status_names[job->status]);
}


/* as an upstream's: filters want the type, and the charset apart from it */

static void
ngx_async_fields_content_type(ngx_http_request_t *r, ngx_str_t *type)
{
    u_char  *p, *q, *last;

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    last = type->data + type->len;

    for (p = type->data; p < last; p++) {

        if (*p != ';') {
            continue;
        }

        for (q = p + 1; q < last && *q == ' '; q++) { /* void */ }

        if (last - q <= 8
            || ngx_strncasecmp(q, (u_char *) "charset=", 8) != 0)
        {
            continue;
        }

        r->headers_out.content_type_len = p - type->data;

        q += 8;

        if (last - q > 1 && *q == '"' && last[-1] == '"') {
            q++;
            last--;
        }

        r->headers_out.charset.data = q;
        r->headers_out.charset.len = last - q;

        return;
    }
}


static ngx_int_t
ngx_async_fields_add(ngx_http_request_t *r, ngx_async_job_t *job,
    ngx_async_field_t *field, ngx_uint_t rule)
{
    ngx_str_t         value;
    ngx_table_elt_t  *h;

    value = field->value;

    if (rule == NGX_ASYNC_FIELDS_RESOLVE
        && ngx_async_uri_resolve(r->pool, &job->origin, &job->uri,
                                 &field->value, &value)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    h = ngx_async_reply_push(r, &field->key, &value);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_async_fields_register(r, h);

    return NGX_OK;
}


/* fields that nginx itself looks for, or would add a second time */

static void
ngx_async_fields_register(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    if (ngx_async_field_is(&h->key, "content-encoding")) {
        r->headers_out.content_encoding = h;

    } else if (ngx_async_field_is(&h->key, "etag")) {

        if (r->headers_out.etag == NULL) {
            r->headers_out.etag = h;
        }

    } else if (ngx_async_field_is(&h->key, "last-modified")) {
        r->headers_out.last_modified = h;
        r->headers_out.last_modified_time =
                            ngx_parse_http_time(h->value.data, h->value.len);

    } else if (ngx_async_field_is(&h->key, "server")) {
        r->headers_out.server = h;

    } else if (ngx_async_field_is(&h->key, "date")) {
        r->headers_out.date = h;
    }
}


static ngx_uint_t
ngx_async_fields_rule(ngx_async_loc_conf_t *alcf, ngx_str_t *name)
{
    ngx_async_fields_rule_t  *rule;

    if (ngx_async_field_listed(alcf->hide_headers, name)) {
        return NGX_ASYNC_FIELDS_HIDE;
    }

    for (rule = ngx_async_fields_rules; rule->name.len; rule++) {

        if (!ngx_async_field_same(&rule->name, name)) {
            continue;
        }

        if (rule->rule == NGX_ASYNC_FIELDS_HIDE
            && ngx_async_field_listed(alcf->pass_headers, name))
        {
            return 0;
        }

        return rule->rule;
    }

    return 0;
}


/* what the module adds to a stored response */

static ngx_int_t
ngx_async_fields_module(ngx_http_request_t *r, ngx_async_job_t *job)
{
    if (ngx_async_fields_status(r, job, job->response_status) != NGX_OK
        || ngx_async_reply_guard(r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* whoever has the URL may be led here: no script of it runs as ours */

    if (job->owner.len == 0
        && ngx_async_fields_active(&r->headers_out.content_type)
        && ngx_async_reply_header(r, "Content-Security-Policy",
                                  &ngx_async_fields_sandbox)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->headers_out.etag == NULL) {
        return ngx_async_fields_etag(r, job);
    }

    return NGX_OK;
}


/* one for each attempt of each job: a retry may bring another response */

static ngx_int_t
ngx_async_fields_etag(ngx_http_request_t *r, ngx_async_job_t *job)
{
    u_char     *p;
    ngx_str_t   key, value;

    value.data = ngx_pnalloc(r->pool, NGX_ASYNC_ID_TEXT_LEN + NGX_INT32_LEN
                                      + sizeof("\"-\"") - 1);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    p = value.data;
    *p++ = '"';
    p = ngx_async_id_format(p, &job->id);
    p = ngx_sprintf(p, "-%uD\"", job->attempt);

    value.len = p - value.data;

    ngx_str_set(&key, "ETag");

    r->headers_out.etag = ngx_async_reply_push(r, &key, &value);

    return (r->headers_out.etag != NULL) ? NGX_OK : NGX_ERROR;
}


/* types that may carry script, text/html and XML of any kind */

static ngx_uint_t
ngx_async_fields_active(ngx_str_t *type)
{
    u_char     *p;
    ngx_str_t   s;

    s = *type;

    p = ngx_strlchr(s.data, s.data + s.len, ';');
    if (p != NULL) {
        s.len = p - s.data;
    }

    /* whatever browsers pass over */

    while (s.len && s.data[s.len - 1] <= ' ') {
        s.len--;
    }

    while (s.len && s.data[0] <= ' ') {
        s.data++;
        s.len--;
    }

    if (ngx_async_field_is(&s, "text/html")
        || ngx_async_field_is(&s, "text/xml")
        || ngx_async_field_is(&s, "application/xml"))
    {
        return 1;
    }

    return s.len > 4
           && ngx_strncasecmp(s.data + s.len - 4, (u_char *) "+xml", 4) == 0;
}
