
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_replay.h"
#include "src/call/ngx_async_snapshot.h"
#include "src/call/ngx_async_compat.h"
#include "src/engine/ngx_async_stage.h"


static ngx_connection_t *ngx_async_replay_connection(ngx_async_run_t *run,
    ngx_async_snapshot_t *s);
static ngx_int_t ngx_async_replay_addresses(ngx_connection_t *c,
    ngx_async_snapshot_t *s);
static ngx_int_t ngx_async_replay_request(ngx_http_request_t *r,
    ngx_async_snapshot_t *s, ngx_async_run_t *run);
static ngx_int_t ngx_async_replay_headers(ngx_http_request_t *r,
    ngx_async_snapshot_t *s);
static ngx_int_t ngx_async_replay_body(ngx_http_request_t *r,
    ngx_async_snapshot_t *s, ngx_async_run_t *run);
static ngx_int_t ngx_async_replay_unread(ngx_http_request_t *r,
    ngx_async_run_t *run);
static void ngx_async_replay_variables(ngx_http_request_t *r,
    ngx_async_snapshot_t *s);
static void ngx_async_replay_enter(ngx_http_request_t *r,
    ngx_async_run_t *run, ngx_async_snapshot_t *s);
static void ngx_async_replay_find_handler(ngx_http_request_t *r,
    ngx_async_run_t *run, ngx_async_snapshot_t *s);
static ngx_int_t ngx_async_replay_head(ngx_http_request_t *r,
    ngx_async_snapshot_t *s);
static ngx_int_t ngx_async_replay_content(ngx_http_request_t *r);
static void ngx_async_replay_raise(ngx_http_request_t *r);
static void ngx_async_replay_handler(ngx_event_t *ev);
static void ngx_async_replay_ended(void *data);
static void ngx_async_replay_freed(void *data);
static void ngx_async_replay_abort(ngx_async_run_t *run);
static void ngx_async_replay_terminate(ngx_http_request_t *r, ngx_int_t rc);
static void ngx_async_replay_resume(ngx_async_run_t *run);
static ssize_t ngx_async_replay_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
static ssize_t ngx_async_replay_recv_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
static ssize_t ngx_async_replay_send(ngx_connection_t *c, u_char *buf,
    size_t size);
static ngx_chain_t *ngx_async_replay_send_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
static u_char *ngx_async_replay_log_error(ngx_log_t *log, u_char *buf,
    size_t len);


/* one end of a pair that nobody ever writes to; both stay open */
static ngx_socket_t  ngx_async_replay_fds[2] = { -1, -1 };


ngx_int_t
ngx_async_replay_init(ngx_cycle_t *cycle)
{
    if (socketpair(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0,
                   ngx_async_replay_fds)
        == -1)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_socket_errno,
                      "async: socketpair() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_async_replay_exit(ngx_cycle_t *cycle)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        if (ngx_async_replay_fds[i] != -1) {
            if (ngx_close_socket(ngx_async_replay_fds[i]) == -1) {
                ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_socket_errno,
                              "async: " ngx_close_socket_n " failed");
            }

            ngx_async_replay_fds[i] = -1;
        }
    }
}


ngx_async_replay_t *
ngx_async_replay_of(ngx_http_request_t *r)
{
    if (r->connection->recv != ngx_async_replay_recv) {
        return NULL;
    }

    return (ngx_async_replay_t *) r->http_connection;
}


ngx_int_t
ngx_async_replay_start(ngx_async_run_t *run)
{
    ngx_connection_t      *c;
    ngx_http_cleanup_t    *cln;
    ngx_http_request_t    *r;
    ngx_async_replay_t    *rp;
    ngx_async_snapshot_t   s;

    c = ngx_async_replay_connection(run, &s);
    if (c == NULL) {
        return NGX_ERROR;
    }

    rp = c->data;

    r = ngx_http_create_request(c);
    if (r == NULL) {
        goto failed;
    }

    c->data = r;
    rp->request = r;

    /* a replay is not read from anybody */

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_reading, -1);
    r->stat_reading = 0;
    (void) ngx_atomic_fetch_add(ngx_stat_writing, 1);
    r->stat_writing = 1;
#endif

    r->logged = 1;

    if (ngx_async_replay_request(r, &s, run) != NGX_OK) {
        goto free;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        goto free;
    }

    cln->handler = ngx_async_replay_ended;
    cln->data = rp;

    run->call = rp;
    run->abort = ngx_async_replay_abort;
    run->resume = ngx_async_replay_resume;
    rp->run = run;

    ngx_async_replay_enter(r, run, &s);
    ngx_http_run_posted_requests(c);

    return NGX_OK;

free:

    ngx_http_free_request(r, 0);

failed:

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif

    ngx_close_connection(c);
    ngx_destroy_pool(c->pool);

    return NGX_ERROR;
}


static ngx_connection_t *
ngx_async_replay_connection(ngx_async_run_t *run, ngx_async_snapshot_t *s)
{
    ngx_log_t                 *log;
    ngx_pool_t                *pool;
    ngx_connection_t          *c;
    ngx_pool_cleanup_t        *cln;
    ngx_async_replay_t        *rp;
    ngx_http_core_srv_conf_t  *cscf;

    if (ngx_cycle->free_connection_n == 0
        && ngx_cycle->reusable_connections_n == 0)
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "async: %ui worker_connections are not enough "
                      "for the calls of queue \"%V\", "
                      "raise them or lower its concurrency",
                      ngx_cycle->connection_n, &run->queue->name);
        return NULL;
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    rp = ngx_pcalloc(pool, sizeof(ngx_async_replay_t));
    cln = ngx_pool_cleanup_add(pool, 0);

    if (rp == NULL || cln == NULL
        || ngx_async_snapshot_read(s, pool, run->blob.data, run->blob.len)
           != NGX_OK)
    {
        ngx_destroy_pool(pool);
        return NULL;
    }

    c = ngx_get_connection(ngx_async_replay_fds[0], ngx_cycle->log);
    if (c == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    /* the request is logged after the call has ended */

    run->lent = 1;

    cln->handler = ngx_async_replay_freed;
    cln->data = run;

    /* closing it frees the slot and leaves the descriptor */
    c->shared = 1;

    c->type = SOCK_STREAM;
    c->pool = pool;

    c->recv = ngx_async_replay_recv;
    c->recv_chain = ngx_async_replay_recv_chain;
    c->send = ngx_async_replay_send;
    c->send_chain = ngx_async_replay_send_chain;

    /* keeps ngx_handle_read_event() and its like from the event method */
    c->read->active = 1;
    c->write->active = 1;
    c->write->ready = 1;

    c->read->handler = ngx_async_replay_handler;
    c->write->handler = ngx_async_replay_handler;

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    c->requests = s->requests ? s->requests - 1 : 0;
    c->number = s->connection;
    c->start_time = ngx_current_msec - (ngx_msec_t) (ngx_async_time_now()
                                                     - s->connection_start);
    c->buffer = &rp->header_in;

    c->listening = ngx_cycle->listening.elts;
    c->log_error = NGX_ERROR_INFO;

    log = &rp->log;
    *log = *ngx_cycle->log;

    rp->log_ctx.connection = c;
    log->connection = c->number;
    log->handler = ngx_async_replay_log_error;
    log->data = &rp->log_ctx;
    log->action = NULL;

    c->log = log;
    pool->log = log;
    c->read->log = log;
    c->write->log = log;

    cscf = run->alcf->ctx->srv_conf[ngx_http_core_module.ctx_index];

    rp->hc.conf_ctx = cscf->ctx;
    c->data = rp;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    if (ngx_async_replay_addresses(c, s) != NGX_OK) {
#if (NGX_STAT_STUB)
        (void) ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif
        ngx_close_connection(c);
        ngx_destroy_pool(pool);
        return NULL;
    }

    return c;
}


static ngx_int_t
ngx_async_replay_addresses(ngx_connection_t *c, ngx_async_snapshot_t *s)
{
    ngx_async_replay_t  *rp;

    rp = c->data;

    /* copied: the snapshot does not align them */

    c->sockaddr = ngx_palloc(c->pool, ngx_max(s->sockaddr.len,
                                              sizeof(struct sockaddr)));
    c->local_sockaddr = ngx_palloc(c->pool, ngx_max(s->local_sockaddr.len,
                                                    sizeof(struct sockaddr)));

    if (c->sockaddr == NULL || c->local_sockaddr == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(c->sockaddr, s->sockaddr.data, s->sockaddr.len);
    c->socklen = s->sockaddr.len;

    ngx_memcpy(c->local_sockaddr, s->local_sockaddr.data,
               s->local_sockaddr.len);
    c->local_socklen = s->local_sockaddr.len;

    c->addr_text = s->addr_text;

    if (s->proxy_src.len || s->proxy_dst.len) {
        rp->proxy_protocol.src_addr = s->proxy_src;
        rp->proxy_protocol.dst_addr = s->proxy_dst;
        rp->proxy_protocol.src_port = (in_port_t) s->proxy_src_port;
        rp->proxy_protocol.dst_port = (in_port_t) s->proxy_dst_port;
        ngx_async_set_proxy_tlvs(&rp->proxy_protocol, &s->proxy_tlvs);
        c->proxy_protocol = &rp->proxy_protocol;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_replay_request(ngx_http_request_t *r, ngx_async_snapshot_t *s,
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


static void
ngx_async_replay_enter(ngx_http_request_t *r, ngx_async_run_t *run,
    ngx_async_snapshot_t *s)
{
    ngx_async_loc_conf_t   *alcf;
    ngx_async_main_conf_t  *amcf;

    alcf = run->alcf;
    amcf = ngx_http_get_module_main_conf(r, ngx_async_module);

    r->main_conf = alcf->ctx->main_conf;
    r->srv_conf = alcf->ctx->srv_conf;
    r->loc_conf = alcf->ctx->loc_conf;

    r->read_event_handler = ngx_http_block_reading;

    /* whether the client's connection may be kept, handlers change it */
    r->keepalive = (s->flags & NGX_ASYNC_SNAPSHOT_KEEPALIVE) ? 1 : 0;

    ngx_http_update_location_config(r);
    ngx_async_replay_find_handler(r, run, s);

    ngx_async_replay_prepare_location(r);

    r->phase_handler = amcf->content_phase;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
}


static void
ngx_async_replay_find_handler(ngx_http_request_t *r, ngx_async_run_t *run,
    ngx_async_snapshot_t *s)
{
    ngx_async_loc_conf_t      *alcf;
    ngx_http_core_loc_conf_t  *clcf;

    if (s->handler.len == 0) {
        return;
    }

    alcf = ngx_async_location_find(&run->alcf->server, &s->handler);

    if (alcf) {
        clcf = alcf->ctx->loc_conf[ngx_http_core_module.ctx_index];
        r->content_handler = clcf->handler;
    }
}


void
ngx_async_replay_prepare_location(ngx_http_request_t *r)
{
    ngx_async_replay_t        *rp;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /* the tail filter takes memory; no keepalive, no lingering close */

    r->connection->sendfile = 0;
    r->lingering_close = 0;
    r->logged = !clcf->log_subrequest;

    rp = ngx_async_replay_of(r);

    if (r->post_action) {
        /* the call is over, and its slot not for what follows */
        ngx_async_replay_ended(rp);
    }

    if (r->content_handler) {
        rp->content_handler = r->content_handler;
        r->content_handler = ngx_async_replay_content;
    }
}


static ngx_int_t
ngx_async_replay_content(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_async_replay_t  *rp;

    rp = ngx_async_replay_of(r);

    r->content_handler = rp->content_handler;

    rc = rp->content_handler(r);

    ngx_async_replay_raise(r);

    return rc;
}


/*
 * Raises the read and send timeouts of the upstream to those of the call.
 * u->conf is looked at in every step; only the timer that the handler may have
 * set already is changed here.
 */

static void
ngx_async_replay_raise(ngx_http_request_t *r)
{
    ngx_msec_t                 timeout;
    ngx_connection_t          *pc;
    ngx_async_replay_t        *rp;
    ngx_http_upstream_t       *u;
    ngx_async_loc_conf_t      *alcf;
    ngx_http_upstream_conf_t  *raised;

    u = r->upstream;
    rp = ngx_async_replay_of(r);

    if (u == NULL || u->conf == NULL || rp->run == NULL) {
        return;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);

    if (alcf->upstream_conf == NULL
        || (alcf->upstream_orig != u->conf && alcf->upstream_conf != u->conf))
    {
        alcf->upstream_conf = ngx_palloc(ngx_cycle->pool,
                                         sizeof(ngx_http_upstream_conf_t));
        if (alcf->upstream_conf == NULL) {
            return;
        }

        ngx_memcpy(alcf->upstream_conf, u->conf,
                   sizeof(ngx_http_upstream_conf_t));
        alcf->upstream_orig = u->conf;
    }

    raised = alcf->upstream_conf;
    timeout = rp->run->alcf->timeout;

    raised->read_timeout = ngx_max(raised->read_timeout, timeout);
    raised->send_timeout = ngx_max(raised->send_timeout, timeout);

    u->conf = raised;

    pc = u->peer.connection;

    if (pc && u->request_sent) {

        if (pc->read->timer_set) {
            ngx_add_timer(pc->read, u->conf->read_timeout);
        }

        if (pc->write->timer_set) {
            ngx_add_timer(pc->write, u->conf->send_timeout);
        }
    }
}


static void
ngx_async_replay_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;
    ngx_http_log_ctx_t  *ctx;

    c = ev->data;
    r = c->data;

    ctx = c->log->data;
    ctx->current_request = r;

    if (c->close) {
        /* worker_shutdown_timeout */
        ngx_async_replay_terminate(r->main, NGX_ERROR);
        return;
    }

    if (ev->delayed && ev->timedout) {
        /* the timer of a handler that sleeps */
        ev->delayed = 0;
        ev->timedout = 0;
    }

    if (ev->write) {
        r->write_event_handler(r);

    } else {
        r->read_event_handler(r);
    }

    ngx_http_run_posted_requests(c);
}


/* the request is being freed or terminated */

static void
ngx_async_replay_ended(void *data)
{
    ngx_async_replay_t  *rp = data;

    ngx_async_run_t     *run;
    ngx_http_request_t  *r;

    run = rp->run;
    r = rp->request;

    if (run == NULL) {
        return;
    }

    if (!r->logged) {
        rp->job = ngx_async_replay_note(r->pool, run);
    }

    rp->run = NULL;

    if (rp->last && !run->uncopied) {
        ngx_async_sink_end(run, NGX_ASYNC_END_COMPLETE, NULL, NULL);
        return;
    }

    ngx_async_sink_end(run, NGX_ASYNC_END_CUT, NULL, NULL);
}


static void
ngx_async_replay_freed(void *data)
{
    ngx_async_run_returned(data);
}


ngx_async_job_t *
ngx_async_replay_note(ngx_pool_t *pool, ngx_async_run_t *run)
{
    ngx_async_job_t  *job;

    job = ngx_pcalloc(pool, sizeof(ngx_async_job_t));

    if (job) {
        job->id = run->job.id;
        job->status = run->job.status;
        job->attempt = run->job.attempt;
        job->created = run->job.created;
        job->started = run->job.started;
        job->finished = run->job.finished;
        job->queue = run->queue->name;
    }

    return job;
}


static void
ngx_async_replay_abort(ngx_async_run_t *run)
{
    ngx_async_replay_t  *rp;

    rp = run->call;

    ngx_async_replay_terminate(rp->request, NGX_HTTP_CLIENT_CLOSED_REQUEST);
}


/*
 * Closes the connection to the upstream; ends in replay_ended().  The
 * upstream's cleanup gives back a reference, which is not to be the last.  A
 * post_action would be called instead, with the upstream as it is.
 */

static void
ngx_async_replay_terminate(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = r->connection;

    r->count++;
    r->post_action = 1;
    r->uri_changes = 0;

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_async_replay_resume(ngx_async_run_t *run)
{
    ngx_event_t         *wev;
    ngx_async_replay_t  *rp;

    rp = run->call;
    wev = rp->request->connection->write;

    wev->delayed = 0;

    ngx_post_event(wev, &ngx_posted_events);
}


static ssize_t
ngx_async_replay_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    return NGX_AGAIN;
}


static ssize_t
ngx_async_replay_recv_chain(ngx_connection_t *c, ngx_chain_t *in, off_t limit)
{
    return NGX_AGAIN;
}


/* nothing gets below the tail filter */

static ssize_t
ngx_async_replay_send(ngx_connection_t *c, u_char *buf, size_t size)
{
    return NGX_ERROR;
}


static ngx_chain_t *
ngx_async_replay_send_chain(ngx_connection_t *c, ngx_chain_t *in, off_t limit)
{
    return NGX_CHAIN_ERROR;
}


static u_char *
ngx_async_replay_log_error(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char              *p, id[NGX_ASYNC_ID_TEXT_LEN];
    ngx_http_request_t  *r;
    ngx_http_log_ctx_t  *ctx;
    ngx_async_replay_t  *rp;

    p = buf;
    ctx = log->data;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
        buf = p;
    }

    r = ctx->request;

    if (r == NULL) {
        return p;
    }

    rp = ngx_async_replay_of(r);

    if (rp->run) {
        ngx_async_id_format(id, &rp->run->job.id);
        p = ngx_snprintf(buf, len, ", job: %*s", NGX_ASYNC_ID_TEXT_LEN, id);
        len -= p - buf;
        buf = p;
    }

    p = ngx_snprintf(buf, len, ", client: %V", &ctx->connection->addr_text);
    len -= p - buf;

    return r->log_handler(r, ctx->current_request, p, len);
}
