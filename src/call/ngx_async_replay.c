
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_replay_internal.h"


static void ngx_async_replay_enter(ngx_http_request_t *r, ngx_async_run_t *run,
    ngx_async_snapshot_t *s);
static void ngx_async_replay_find_handler(ngx_http_request_t *r,
    ngx_async_run_t *run, ngx_async_snapshot_t *s);
static ngx_int_t ngx_async_replay_content(ngx_http_request_t *r);
static void ngx_async_replay_raise(ngx_http_request_t *r);
static void ngx_async_replay_ended(void *data);
static void ngx_async_replay_abort(ngx_async_run_t *run);
static void ngx_async_replay_resume(ngx_async_run_t *run);


ngx_int_t
ngx_async_replay_start(ngx_async_run_t *run)
{
    ngx_connection_t      *c;
    ngx_http_cleanup_t    *cln;
    ngx_http_request_t    *r;
    ngx_async_replay_t    *rp;
    ngx_async_snapshot_t   s;

    c = ngx_async_replay_open(run, &s);
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

    if (ngx_async_replay_build(r, &s, run) != NGX_OK) {
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

    ngx_async_replay_close(c);

    return NGX_ERROR;
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


void
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
