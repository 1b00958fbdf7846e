
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_snapshot_internal.h"
#include "src/call/ngx_async_compat.h"


#define NGX_ASYNC_SNAPSHOT_VERSION  1


static ngx_uint_t ngx_async_snapshot_flags(ngx_http_request_t *r);
static u_char *ngx_async_snapshot_write_captures(ngx_http_request_t *r,
    u_char *p);
static u_char *ngx_async_snapshot_write_vars(ngx_async_taking_t *t, u_char *p);
static ngx_int_t ngx_async_snapshot_read_request(ngx_async_snapshot_t *s,
    ngx_pool_t *pool, ngx_async_reader_t *rd);
static ngx_int_t ngx_async_snapshot_read_captures(ngx_async_snapshot_t *s,
    ngx_pool_t *pool, ngx_async_reader_t *rd);
static ngx_int_t ngx_async_snapshot_read_vars(ngx_async_snapshot_t *s,
    ngx_pool_t *pool, ngx_async_reader_t *rd);


size_t
ngx_async_snapshot_size(ngx_async_taking_t *t)
{
    size_t                      size;
    ngx_uint_t                  i, *index;
    ngx_http_request_t         *r;
    ngx_http_variable_t        *v;
    ngx_proxy_protocol_t       *pp;
    ngx_http_core_main_conf_t  *cmcf;

    r = t->request;

    /* the fixed part, generously */

    size = 256 + r->method_name.len + r->http_protocol.len
           + r->request_line.len + r->unparsed_uri.len + r->uri.len
           + r->args.len + r->exten.len + r->schema.len
           + r->headers_in.server.len + t->sockaddr.len
           + t->local_sockaddr.len + r->connection->addr_text.len
           + ngx_async_ncaptures(r) * 4 + t->captures_data.len
           + t->body_file.len + t->direct_url.len + t->handler.len
           + t->head.len
           + ngx_async_field_size(t->fields->elts, t->fields->nelts);

    pp = r->connection->proxy_protocol;

    if (pp) {
        size += pp->src_addr.len + pp->dst_addr.len
                + ngx_async_proxy_tlvs_len(pp);
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    v = cmcf->variables.elts;

    index = t->vars.elts;

    for (i = 0; i < t->vars.nelts; i++) {
        size += 16 + v[index[i]].name.len + r->variables[index[i]].len;
    }

    return size;
}


u_char *
ngx_async_snapshot_write(ngx_async_taking_t *t, u_char *p)
{
    ngx_str_t              empty;
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_proxy_protocol_t  *pp;

    r = t->request;
    c = r->connection;
    pp = c->proxy_protocol;
    ngx_str_null(&empty);

    *p++ = NGX_ASYNC_SNAPSHOT_VERSION;

    p = ngx_async_put_uint(p, r->method, 4);
    p = ngx_async_put_uint(p, r->http_version, 4);
    p = ngx_async_put_uint(p, ngx_async_snapshot_flags(r), 4);
    p = ngx_async_put_uint(p, r->err_status, 4);
    p = ngx_async_put_uint(p, ngx_async_request_port(r), 2);
    p = ngx_async_put_uint(p, c->number, 8);
    p = ngx_async_put_uint(p, c->requests, 4);
    p = ngx_async_put_uint(p, (uint64_t) r->start_sec * 1000 + r->start_msec,
                           8);
    p = ngx_async_put_uint(p, ngx_async_time_cached()
                              - (ngx_current_msec - c->start_time), 8);
    p = ngx_async_put_uint(p, r->limit_conn_status, 1);
    p = ngx_async_put_uint(p, r->limit_req_status, 1);
    p = ngx_async_put_uint(p, r->request_length, 8);
    p = ngx_async_put_uint(p, r->headers_in.content_length_n, 8);

    p = ngx_async_put_str(p, &r->method_name);
    p = ngx_async_put_str(p, &r->http_protocol);
    p = ngx_async_put_str(p, &r->request_line);
    p = ngx_async_put_str(p, &r->unparsed_uri);
    p = ngx_async_put_str(p, &r->uri);
    p = ngx_async_put_str(p, &r->args);
    p = ngx_async_put_str(p, &r->exten);
    p = ngx_async_put_str(p, &r->schema);
    p = ngx_async_put_str(p, &r->headers_in.server);
    p = ngx_async_put_str(p, &t->sockaddr);
    p = ngx_async_put_str(p, &t->local_sockaddr);
    p = ngx_async_put_str(p, &c->addr_text);
    p = ngx_async_snapshot_write_captures(r, p);
    p = ngx_async_put_str(p, &t->captures_data);
    p = ngx_async_put_str(p, &t->body_file);
    p = ngx_async_put_str(p, &t->direct_url);
    p = ngx_async_put_str(p, &t->handler);
    p = ngx_async_put_str(p, &t->head);

    p = ngx_async_put_str(p, pp ? &pp->src_addr : &empty);
    p = ngx_async_put_str(p, pp ? &pp->dst_addr : &empty);
    p = ngx_async_put_uint(p, pp ? pp->src_port : 0, 2);
    p = ngx_async_put_uint(p, pp ? pp->dst_port : 0, 2);
    p = ngx_async_put_proxy_tlvs(p, pp);

    p = ngx_async_field_put(p, t->fields->elts, t->fields->nelts);

    return ngx_async_snapshot_write_vars(t, p);
}


static ngx_uint_t
ngx_async_snapshot_flags(ngx_http_request_t *r)
{
    ngx_http_request_body_t  *rb;

    rb = r->request_body;

    return (r->valid_unparsed_uri ? NGX_ASYNC_SNAPSHOT_VALID_URI : 0)
           | (r->valid_location ? NGX_ASYNC_SNAPSHOT_VALID_LOCATION : 0)
           | (r->quoted_uri ? NGX_ASYNC_SNAPSHOT_QUOTED : 0)
           | (r->plus_in_uri ? NGX_ASYNC_SNAPSHOT_PLUS : 0)
           | (r->internal ? NGX_ASYNC_SNAPSHOT_INTERNAL : 0)
           | (r->add_uri_to_alias ? NGX_ASYNC_SNAPSHOT_ALIAS : 0)
           | (r->headers_in.chunked ? NGX_ASYNC_SNAPSHOT_CHUNKED : 0)
           | (r->keepalive ? NGX_ASYNC_SNAPSHOT_KEEPALIVE : 0)
           | (r->complex_uri ? NGX_ASYNC_SNAPSHOT_COMPLEX : 0)
           | (r->error_page ? NGX_ASYNC_SNAPSHOT_ERROR_PAGE : 0)
           | (r->empty_path_in_uri ? NGX_ASYNC_SNAPSHOT_EMPTY_PATH : 0)
           | ((rb && rb->bufs) ? NGX_ASYNC_SNAPSHOT_BODY : 0);
}


static u_char *
ngx_async_snapshot_write_captures(ngx_http_request_t *r, u_char *p)
{
    p = ngx_async_put_uint(p, ngx_async_ncaptures(r), 4);

#if (NGX_PCRE)
    {
    ngx_uint_t  i;

    for (i = 0; i < ngx_async_ncaptures(r); i++) {
        p = ngx_async_put_uint(p, r->captures[i], 4);
    }
    }
#endif

    return p;
}


static u_char *
ngx_async_snapshot_write_vars(ngx_async_taking_t *t, u_char *p)
{
    ngx_str_t                   value;
    ngx_uint_t                  i, *index;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;
    ngx_http_variable_value_t  *vv;

    cmcf = ngx_http_get_module_main_conf(t->request, ngx_http_core_module);
    v = cmcf->variables.elts;

    index = t->vars.elts;

    p = ngx_async_put_uint(p, t->vars.nelts, 4);

    for (i = 0; i < t->vars.nelts; i++) {

        vv = &t->request->variables[index[i]];

        value.data = vv->data;
        value.len = vv->valid ? vv->len : 0;

        p = ngx_async_put_uint(p, index[i], 4);
        *p++ = (u_char) vv->not_found;
        p = ngx_async_put_str(p, &v[index[i]].name);
        p = ngx_async_put_str(p, &value);
    }

    return p;
}


ngx_int_t
ngx_async_snapshot_read(ngx_async_snapshot_t *s, ngx_pool_t *pool,
    u_char *data, size_t len)
{
    ngx_async_reader_t  rd;

    rd.pos = data;
    rd.last = data + len;
    rd.failed = 0;

    if (ngx_async_get_uint(&rd, 1) != NGX_ASYNC_SNAPSHOT_VERSION
        || ngx_async_snapshot_read_request(s, pool, &rd) != NGX_OK
        || ngx_async_field_get(&rd, pool, &s->headers, &s->nheaders) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_async_snapshot_read_vars(s, pool, &rd);
}


static ngx_int_t
ngx_async_snapshot_read_request(ngx_async_snapshot_t *s, ngx_pool_t *pool,
    ngx_async_reader_t *rd)
{
    s->method = ngx_async_get_uint(rd, 4);
    s->http_version = ngx_async_get_uint(rd, 4);
    s->flags = ngx_async_get_uint(rd, 4);
    s->err_status = ngx_async_get_uint(rd, 4);
    s->port = ngx_async_get_uint(rd, 2);
    s->connection = ngx_async_get_uint(rd, 8);
    s->requests = ngx_async_get_uint(rd, 4);
    s->start = ngx_async_get_uint(rd, 8);
    s->connection_start = ngx_async_get_uint(rd, 8);
    s->limit_conn_status = ngx_async_get_uint(rd, 1);
    s->limit_req_status = ngx_async_get_uint(rd, 1);
    s->request_length = ngx_async_get_uint(rd, 8);
    s->content_length = ngx_async_get_uint(rd, 8);

    ngx_async_get_str(rd, &s->method_name);
    ngx_async_get_str(rd, &s->http_protocol);
    ngx_async_get_str(rd, &s->request_line);
    ngx_async_get_str(rd, &s->unparsed_uri);
    ngx_async_get_str(rd, &s->uri);
    ngx_async_get_str(rd, &s->args);
    ngx_async_get_str(rd, &s->exten);
    ngx_async_get_str(rd, &s->schema);
    ngx_async_get_str(rd, &s->server);
    ngx_async_get_str(rd, &s->sockaddr);
    ngx_async_get_str(rd, &s->local_sockaddr);
    ngx_async_get_str(rd, &s->addr_text);

    if (ngx_async_snapshot_read_captures(s, pool, rd) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_async_get_str(rd, &s->captures_data);
    ngx_async_get_str(rd, &s->body_file);
    ngx_async_get_str(rd, &s->direct_url);
    ngx_async_get_str(rd, &s->handler);
    ngx_async_get_str(rd, &s->head);
    ngx_async_get_str(rd, &s->proxy_src);
    ngx_async_get_str(rd, &s->proxy_dst);
    s->proxy_src_port = ngx_async_get_uint(rd, 2);
    s->proxy_dst_port = ngx_async_get_uint(rd, 2);
    ngx_async_get_str(rd, &s->proxy_tlvs);

    return NGX_OK;
}


static ngx_int_t
ngx_async_snapshot_read_captures(ngx_async_snapshot_t *s, ngx_pool_t *pool,
    ngx_async_reader_t *rd)
{
    ngx_uint_t  i;

    s->captures = NULL;
    s->ncaptures = ngx_async_get_uint(rd, 4);

    if (rd->failed || s->ncaptures > (ngx_uint_t) (rd->last - rd->pos) / 4) {
        return NGX_ERROR;
    }

    if (s->ncaptures == 0) {
        return NGX_OK;
    }

    s->captures = ngx_palloc(pool, s->ncaptures * sizeof(int));
    if (s->captures == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < s->ncaptures; i++) {
        s->captures[i] = (int) ngx_async_get_uint(rd, 4);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_snapshot_read_vars(ngx_async_snapshot_t *s, ngx_pool_t *pool,
    ngx_async_reader_t *rd)
{
    ngx_uint_t  i;

    s->nvars = ngx_async_get_uint(rd, 4);

    if (rd->failed || s->nvars > (ngx_uint_t) (rd->last - rd->pos)) {
        return NGX_ERROR;
    }

    s->vars = ngx_palloc(pool, (s->nvars + 1)
                               * sizeof(ngx_async_snapshot_var_t));
    if (s->vars == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < s->nvars; i++) {
        s->vars[i].index = ngx_async_get_uint(rd, 4);
        s->vars[i].not_found = ngx_async_get_uint(rd, 1) & 1;
        ngx_async_get_str(rd, &s->vars[i].name);
        ngx_async_get_str(rd, &s->vars[i].value);
    }

    return rd->failed ? NGX_ERROR : NGX_OK;
}
