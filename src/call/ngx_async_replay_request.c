
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_replay_internal.h"
#include "src/call/ngx_async_compat.h"
#include "src/engine/ngx_async_stage.h"


static ngx_int_t ngx_async_replay_headers(ngx_http_request_t *r,
    ngx_async_snapshot_t *s);
static ngx_int_t ngx_async_replay_head(ngx_http_request_t *r,
    ngx_async_snapshot_t *s);
static void ngx_async_replay_variables(ngx_http_request_t *r,
    ngx_async_snapshot_t *s);
static ngx_int_t ngx_async_replay_body(ngx_http_request_t *r,
    ngx_async_snapshot_t *s, ngx_async_run_t *run);
static ngx_int_t ngx_async_replay_unread(ngx_http_request_t *r,
    ngx_async_run_t *run);


ngx_int_t
ngx_async_replay_build(ngx_http_request_t *r, ngx_async_snapshot_t *s,
    ngx_async_run_t *run)
{
    r->method = s->method;
    r->method_name = s->method_name;
    r->http_version = s->http_version;
    r->http_major = s->http_version / 1000;
    r->http_minor = s->http_version % 1000;
    r->http_protocol = s->http_protocol;
    r->request_line = s->request_line;
    r->unparsed_uri = s->unparsed_uri;
    r->uri = s->uri;
    r->args = s->args;
    r->exten = s->exten;
    r->schema = s->schema;
    r->limit_conn_status = s->limit_conn_status;
    r->limit_req_status = s->limit_req_status;
    r->request_length = s->request_length;
    r->err_status = s->err_status;
    r->start_sec = s->start / 1000;
    r->start_msec = s->start % 1000;
    ngx_async_set_request_port(r, s->port);

    r->valid_unparsed_uri = (s->flags & NGX_ASYNC_SNAPSHOT_VALID_URI) ? 1 : 0;
    r->valid_location = (s->flags & NGX_ASYNC_SNAPSHOT_VALID_LOCATION) ? 1 : 0;
    r->quoted_uri = (s->flags & NGX_ASYNC_SNAPSHOT_QUOTED) ? 1 : 0;
    r->plus_in_uri = (s->flags & NGX_ASYNC_SNAPSHOT_PLUS) ? 1 : 0;
    r->internal = (s->flags & NGX_ASYNC_SNAPSHOT_INTERNAL) ? 1 : 0;
    r->add_uri_to_alias = (s->flags & NGX_ASYNC_SNAPSHOT_ALIAS) ? 1 : 0;
    r->complex_uri = (s->flags & NGX_ASYNC_SNAPSHOT_COMPLEX) ? 1 : 0;
    r->empty_path_in_uri = (s->flags & NGX_ASYNC_SNAPSHOT_EMPTY_PATH) ? 1 : 0;
    r->error_page = (s->flags & NGX_ASYNC_SNAPSHOT_ERROR_PAGE) ? 1 : 0;

#if (NGX_PCRE)
    if (s->ncaptures) {
        r->ncaptures = s->ncaptures;
        r->captures = s->captures;
        r->captures_data = s->captures_data.data;
        r->realloc_captures = 1;
    }
#endif

    if (ngx_async_replay_headers(r, s) != NGX_OK) {
        return NGX_ERROR;
    }

    r->headers_in.server = s->server;
    r->headers_in.content_length_n = s->content_length;
    r->headers_in.chunked = (s->flags & NGX_ASYNC_SNAPSHOT_CHUNKED) ? 1 : 0;

    ngx_async_replay_variables(r, s);

    if (ngx_async_replay_head(r, s) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_async_replay_body(r, s, run);
}


static ngx_int_t
ngx_async_replay_headers(ngx_http_request_t *r, ngx_async_snapshot_t *s)
{
    ngx_uint_t                  i;
    ngx_table_elt_t            *h;
    ngx_http_header_t          *hh;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    if (ngx_list_init(&r->headers_in.headers, r->pool,
                      s->nheaders ? s->nheaders : 1, sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < s->nheaders; i++) {

        h = ngx_list_push(&r->headers_in.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(h, sizeof(ngx_table_elt_t));

        /*
         * In a snapshot the length of the next string follows, its first byte
         * is zero: handlers expect terminated values.
         */

        h->key = s->headers[i].key;
        h->value = s->headers[i].value;

        h->lowcase_key = ngx_pnalloc(r->pool, h->key.len);
        if (h->lowcase_key == NULL) {
            return NGX_ERROR;
        }

        h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, h->key.len);

        hh = ngx_hash_find(&cmcf->headers_in_hash, h->hash, h->lowcase_key,
                           h->key.len);

        if (hh == NULL) {
            continue;
        }

        /* its handler would look for a server anew */

        if (hh->offset == offsetof(ngx_http_headers_in_t, host)) {
            if (r->headers_in.host == NULL) {
                r->headers_in.host = h;
            }

            continue;
        }

        if (hh->handler(r, h, hh->offset) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_replay_head(ngx_http_request_t *r, ngx_async_snapshot_t *s)
{
    ngx_async_head_t  h;

    if (s->head.len == 0) {
        return NGX_OK;
    }

    if (ngx_async_head_decode(&h, r->pool, s->head.data, s->head.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_async_head_restore(r, &h, -1);
}


static void
ngx_async_replay_variables(ngx_http_request_t *r, ngx_async_snapshot_t *s)
{
    ngx_str_t                  *name;
    ngx_uint_t                  i, n;
    ngx_http_variable_t        *v;
    ngx_async_snapshot_var_t   *sv;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (i = 0; i < s->nvars; i++) {

        sv = &s->vars[i];
        name = &sv->name;
        n = sv->index;

        /* another configuration may have other indices */

        if (n >= cmcf->variables.nelts
            || v[n].name.len != name->len
            || ngx_strncmp(v[n].name.data, name->data, name->len) != 0)
        {
            for (n = 0; n < cmcf->variables.nelts; n++) {
                if (v[n].name.len == name->len
                    && ngx_strncmp(v[n].name.data, name->data, name->len) == 0)
                {
                    break;
                }
            }

            if (n == cmcf->variables.nelts) {
                continue;
            }
        }

        if (v[n].flags & NGX_HTTP_VAR_NOCACHEABLE) {
            continue;
        }

        r->variables[n].data = sv->value.data;
        r->variables[n].len = sv->value.len;
        r->variables[n].valid = !sv->not_found;
        r->variables[n].not_found = sv->not_found;
        r->variables[n].no_cacheable = 0;
    }
}


static ngx_int_t
ngx_async_replay_body(ngx_http_request_t *r, ngx_async_snapshot_t *s,
    ngx_async_run_t *run)
{
    ngx_buf_t                 *b;
    ngx_temp_file_t           *tf;
    ngx_http_request_body_t   *rb;
    ngx_http_core_loc_conf_t  *clcf;

    if (r->headers_in.content_length_n >= 0
        && run->body_fd == NGX_INVALID_FILE
        && ngx_async_stage_named(&r->method_name, run->alcf))
    {
        return ngx_async_replay_unread(r, run);
    }

    /* without it a handler would try to read the body */

    rb = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    if (rb == NULL) {
        return NGX_ERROR;
    }

    r->request_body = rb;

    if (!(s->flags & NGX_ASYNC_SNAPSHOT_BODY) || run->body_len == 0) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    rb->bufs = ngx_alloc_chain_link(r->pool);
    if (rb->bufs == NULL) {
        return NGX_ERROR;
    }

    rb->bufs->buf = b;
    rb->bufs->next = NULL;

    if (run->body_fd == NGX_INVALID_FILE) {
        rb->buf = b;
        b->start = run->body.data;
        b->pos = b->start;
        b->last = b->start + run->body.len;
        b->end = b->last;
        b->temporary = 1;
        return NGX_OK;
    }

    tf = ngx_pcalloc(r->pool, sizeof(ngx_temp_file_t));
    if (tf == NULL) {
        return NGX_ERROR;
    }

    tf->file.fd = run->body_fd;
    tf->file.name = run->body_name.len ? run->body_name : s->body_file;
    tf->file.log = r->connection->log;
    tf->file.offset = run->body_len;
    tf->offset = run->body_len;

    b->in_file = 1;
    b->file = &tf->file;
    b->file_last = run->body_len;

    rb->temp_file = tf;

    /* each attempt to send a file to an upstream begins with this buffer */

    clcf = run->alcf->ctx->loc_conf[ngx_http_core_module.ctx_index];

    rb->buf = ngx_create_temp_buf(r->pool, clcf->client_body_buffer_size);

    return rb->buf ? NGX_OK : NGX_ERROR;
}


/*
 * Some handlers want any body in a file of its own (PUT of WebDAV renames it):
 * they read it by themselves, from where nginx keeps what came with a header.
 */

static ngx_int_t
ngx_async_replay_unread(ngx_http_request_t *r, ngx_async_run_t *run)
{
    ngx_buf_t  *b;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->start = run->body.data;
    b->pos = b->start;
    b->last = b->start + run->body.len;
    b->end = b->last;
    b->temporary = 1;

    r->header_in = b;
    r->expect_tested = 1;

    if (r->http_version > NGX_HTTP_VERSION_20) {
        /* not in frames of HTTP/3 any more */
        r->http_version = NGX_HTTP_VERSION_20;
    }

    r->headers_in.chunked = 0;
    r->headers_in.content_length_n = run->body_len;
    r->request_length -= run->body_len;

    return NGX_OK;
}
