
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_replay_internal.h"
#include "src/call/ngx_async_compat.h"


static void ngx_async_replay_set_connection(ngx_connection_t *c,
    ngx_async_snapshot_t *s);
static void ngx_async_replay_set_log(ngx_connection_t *c);
static ngx_int_t ngx_async_replay_addresses(ngx_connection_t *c,
    ngx_async_snapshot_t *s);
static void ngx_async_replay_handler(ngx_event_t *ev);
static void ngx_async_replay_freed(void *data);
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


ngx_connection_t *
ngx_async_replay_open(ngx_async_run_t *run, ngx_async_snapshot_t *s)
{
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

    cscf = run->alcf->ctx->srv_conf[ngx_http_core_module.ctx_index];

    rp->hc.conf_ctx = cscf->ctx;

    c->pool = pool;
    c->data = rp;

    ngx_async_replay_set_connection(c, s);
    ngx_async_replay_set_log(c);

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    if (ngx_async_replay_addresses(c, s) != NGX_OK) {
        ngx_async_replay_close(c);
        return NULL;
    }

    return c;
}


void
ngx_async_replay_close(ngx_connection_t *c)
{
    ngx_pool_t  *pool;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif

    pool = c->pool;

    ngx_close_connection(c);
    ngx_destroy_pool(pool);
}


static void
ngx_async_replay_set_connection(ngx_connection_t *c, ngx_async_snapshot_t *s)
{
    ngx_async_replay_t  *rp;

    rp = c->data;

    /* closing it frees the slot and leaves the descriptor */
    c->shared = 1;

    c->type = SOCK_STREAM;

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
    c->start_time = ngx_current_msec - (ngx_msec_t) (ngx_async_time_cached()
                                                     - s->connection_start);
    c->buffer = &rp->header_in;

    c->listening = ngx_cycle->listening.elts;
    c->log_error = NGX_ERROR_INFO;
}


static void
ngx_async_replay_set_log(ngx_connection_t *c)
{
    ngx_log_t           *log;
    ngx_async_replay_t  *rp;

    rp = c->data;

    log = &rp->log;
    *log = *ngx_cycle->log;

    rp->log_ctx.connection = c;
    log->connection = c->number;
    log->handler = ngx_async_replay_log_error;
    log->data = &rp->log_ctx;
    log->action = NULL;

    c->log = log;
    c->pool->log = log;
    c->read->log = log;
    c->write->log = log;
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


static void
ngx_async_replay_freed(void *data)
{
    ngx_async_run_returned(data);
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
