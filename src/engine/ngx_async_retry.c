
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/engine/ngx_async_run.h"


/*
 * Second chances: async_retry, pause_on, and calls that were cut off.
 *
 * What nginx itself answers for a dead upstream counts as "error" or
 * "timeout", and as its status.  A call that reached no upstream was not sent:
 * it may be repeated whatever its method.
 */

#define NGX_ASYNC_RETRY_UNSENT     1000     /* ms, a call could not start */
#define NGX_ASYNC_RETRY_CUT        200      /* ms, doubled from cut to cut */
#define NGX_ASYNC_RETRY_AFTER_MAX  86400    /* s, what an upstream may ask */


static ngx_uint_t ngx_async_retry_cond(ngx_async_run_t *run,
    ngx_uint_t status, ngx_http_request_t *r);
static ngx_uint_t ngx_async_retry_nowhere(ngx_async_run_t *run,
    ngx_uint_t cond);
static ngx_uint_t ngx_async_retry_status(ngx_uint_t status);
static uint64_t ngx_async_retry_after(ngx_async_head_t *h,
    ngx_http_request_t *r);
static ngx_str_t *ngx_async_retry_header(ngx_http_request_t *r);
static ngx_str_t *ngx_async_retry_field(ngx_async_head_t *h);
static ngx_uint_t ngx_async_retry_repeatable(ngx_async_run_t *run);
static uint64_t ngx_async_retry_pause(ngx_async_run_t *run);
static void ngx_async_retry_requeue(ngx_async_run_t *run, uint64_t delay);
static uint64_t ngx_async_retry_backoff(ngx_async_run_t *run);


ngx_uint_t
ngx_async_retry_response(ngx_async_run_t *run, ngx_async_head_t *h,
    ngx_http_request_t *r)
{
    run->cond = ngx_async_retry_cond(run, h->status, r);

    if (run->cond == 0) {
        return 0;
    }

    run->retry_after = ngx_async_retry_after(h, r);

    if ((run->queue->pause_on & run->cond)
        && (run->unsent || ngx_async_retry_repeatable(run)))
    {
        return 1;
    }

    return ngx_async_retry_allowed(run, run->cond);
}


/*
 * An error_page with "=" changes the status of the response, but not what has
 * become of the call: the upstream that was tried last tells it.
 */

static ngx_uint_t
ngx_async_retry_cond(ngx_async_run_t *run, ngx_uint_t status,
    ngx_http_request_t *r)
{
    ngx_uint_t                  i, n, cond;
    ngx_http_upstream_state_t  *state, *last;

    cond = ngx_async_retry_status(status);

    if (r == NULL || r->upstream_states == NULL) {
        return cond;
    }

    if (r->upstream_states->nelts == 0) {
        return ngx_async_retry_nowhere(run, cond);
    }

    state = r->upstream_states->elts;
    n = r->upstream_states->nelts;
    last = &state[n - 1];

    cond |= ngx_async_retry_status(last->status);

    if (cond == 0) {
        return 0;
    }

    run->unsent = 1;

    for (i = 0; i < n; i++) {

        /* an internal redirect leaves an element without a peer */

        if (state[i].peer && (state[i].connect_time != (ngx_msec_t) -1
                              || state[i].bytes_sent))
        {
            run->unsent = 0;
        }
    }

    /* no header came: the response is nginx's own */

    if (last->header_time == (ngx_msec_t) -1) {

        if (cond & NGX_ASYNC_COND_HTTP_502) {
            cond |= NGX_ASYNC_COND_ERROR;

        } else if (cond & NGX_ASYNC_COND_HTTP_504) {
            cond |= NGX_ASYNC_COND_TIMEOUT;
        }
    }

    return cond;
}


/* an upstream that was never tried: its name was not resolved */

static ngx_uint_t
ngx_async_retry_nowhere(ngx_async_run_t *run, ngx_uint_t cond)
{
    if (cond & (NGX_ASYNC_COND_HTTP_502|NGX_ASYNC_COND_HTTP_504)) {
        run->unsent = 1;
        cond |= NGX_ASYNC_COND_ERROR;
    }

    return cond;
}


/* a stale response of the cache is a response */

ngx_uint_t
ngx_async_retry_dead(ngx_http_request_t *r)
{
    ngx_http_upstream_state_t  *state;

    if (r == NULL || r->upstream_states == NULL
        || r->upstream_states->nelts == 0)
    {
        return 0;
    }

#if (NGX_HTTP_CACHE)
    if (r->cached) {
        return 0;
    }
#endif

    state = r->upstream_states->elts;
    state += r->upstream_states->nelts - 1;

    if (state->header_time != (ngx_msec_t) -1) {
        return 0;
    }

    return (state->status == NGX_HTTP_BAD_GATEWAY
            || state->status == NGX_HTTP_GATEWAY_TIME_OUT) ? state->status : 0;
}


static ngx_uint_t
ngx_async_retry_status(ngx_uint_t status)
{
    switch (status) {

    case 429:
        return NGX_ASYNC_COND_HTTP_429;

    case NGX_HTTP_INTERNAL_SERVER_ERROR:
        return NGX_ASYNC_COND_HTTP_500;

    case NGX_HTTP_BAD_GATEWAY:
        return NGX_ASYNC_COND_HTTP_502;

    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return NGX_ASYNC_COND_HTTP_503;

    case NGX_HTTP_GATEWAY_TIME_OUT:
        return NGX_ASYNC_COND_HTTP_504;
    }

    return 0;
}


/* the upstream's Retry-After, seconds or a date, in milliseconds; 0: none */

static uint64_t
ngx_async_retry_after(ngx_async_head_t *h, ngx_http_request_t *r)
{
    time_t      t;
    ngx_int_t   n;
    ngx_str_t  *value;

    value = r ? ngx_async_retry_header(r) : ngx_async_retry_field(h);

    if (value == NULL) {
        return 0;
    }

    n = ngx_atoi(value->data, value->len);

    if (n != NGX_ERROR) {
        return (uint64_t) ngx_min(n, NGX_ASYNC_RETRY_AFTER_MAX) * 1000;
    }

    t = ngx_parse_http_time(value->data, value->len);

    if (t == NGX_ERROR || t <= ngx_time()) {
        return 0;
    }

    return (uint64_t) ngx_min(t - ngx_time(), NGX_ASYNC_RETRY_AFTER_MAX)
           * 1000;
}


static ngx_str_t *
ngx_async_retry_header(ngx_http_request_t *r)
{
    ngx_table_elt_t         *h;
    ngx_async_field_each_t   each;

    ngx_async_field_first(&each, &r->headers_out.headers);

    while ((h = ngx_async_field_next(&each)) != NULL) {
        if (ngx_async_field_is(&h->key, "Retry-After")) {
            return &h->value;
        }
    }

    return NULL;
}


static ngx_str_t *
ngx_async_retry_field(ngx_async_head_t *h)
{
    ngx_uint_t  i;

    for (i = 0; i < h->nfields; i++) {
        if (ngx_async_field_is(&h->fields[i].key, "Retry-After")) {
            return &h->fields[i].value;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_async_retry_attempt(ngx_async_run_t *run)
{
    ngx_uint_t  cond;

    cond = run->cond;

    if (run->timedout) {
        cond |= NGX_ASYNC_COND_TIMEOUT;

    } else if (run->end == NGX_ASYNC_END_UNSENT) {
        /* what this side lacks is not the backend's error */
        cond |= run->starved ? 0 : NGX_ASYNC_COND_ERROR;
        run->unsent = 1;

    } else if (run->end == NGX_ASYNC_END_CUT || !run->headed) {
        cond |= NGX_ASYNC_COND_ERROR;

    } else if (!run->retried && cond == 0) {
        return 0;
    }

    if (run->queue->pause_on & cond) {

        run->op.pause_until = run->op.now + run->queue->pause;

        if (run->unsent) {
            run->op.unsent = 1;
            ngx_async_retry_requeue(run, 0);
            return 1;
        }

        if (ngx_async_retry_repeatable(run)) {
            run->op.cut = 1;
            ngx_async_retry_requeue(run, 0);
            return 1;
        }
    }

    if (ngx_async_retry_allowed(run, cond)) {
        ngx_async_retry_requeue(run, run->retry_after
                                     ? run->retry_after
                                     : ngx_async_retry_backoff(run));
        return 1;
    }

    if (run->timedout) {
        return 0;
    }

    if (run->end == NGX_ASYNC_END_UNSENT) {

        /* not the backend's fault: no connection was free, for example */

        run->op.unsent = 1;
        ngx_async_retry_requeue(run, NGX_ASYNC_RETRY_UNSENT);
        return 1;
    }

    if (run->end == NGX_ASYNC_END_CUT && ngx_async_retry_cut(run)) {
        run->op.cut = 1;
        ngx_async_retry_requeue(run, ngx_async_retry_pause(run));
        return 1;
    }

    return 0;
}


ngx_uint_t
ngx_async_retry_cut(ngx_async_run_t *run)
{
    if (run->alcf->retry & NGX_ASYNC_COND_ERROR) {

        /* the administrator has said how often; a worker may still end */

        return ngx_async_retry_allowed(run, NGX_ASYNC_COND_ERROR)
               || (ngx_exiting && ngx_async_retry_repeatable(run));
    }

    return ngx_async_retry_repeatable(run);
}


ngx_uint_t
ngx_async_retry_allowed(ngx_async_run_t *run, ngx_uint_t cond)
{
    ngx_async_loc_conf_t  *alcf;

    alcf = run->alcf;

    if (!(alcf->retry & cond) || run->job.attempt >= alcf->retry_tries) {
        return 0;
    }

    return run->unsent || (run->job.flags & NGX_ASYNC_JOB_IDEMPOTENT)
           || (alcf->retry & NGX_ASYNC_COND_NON_IDEMPOTENT);
}


/* by the method rule, without being asked to */

static ngx_uint_t
ngx_async_retry_repeatable(ngx_async_run_t *run)
{
    return (run->job.flags & NGX_ASYNC_JOB_IDEMPOTENT)
           && run->job.cuts < NGX_ASYNC_MAX_CUTS;
}


/* a backend that cuts its responses off is not asked again at once */

static uint64_t
ngx_async_retry_pause(ngx_async_run_t *run)
{
    return ngx_exiting ? 0
                       : (uint64_t) NGX_ASYNC_RETRY_CUT << run->job.cuts;
}


static void
ngx_async_retry_requeue(ngx_async_run_t *run, uint64_t delay)
{
    run->op.type = NGX_ASYNC_OP_REQUEUE;
    run->op.not_before = delay ? run->op.now + delay : 0;

    if ((run->job.flags & NGX_ASYNC_JOB_REQUEST) == 0) {

        /* it was stored as running, without its request */

        run->op.piece.data = run->blob.data;
        run->op.piece.len = run->blob.len + run->body.len;
    }
}


/* full jitter: anything up to the doubled backoff */

static uint64_t
ngx_async_retry_backoff(ngx_async_run_t *run)
{
    uint64_t    limit;
    ngx_uint_t  i;

    limit = run->alcf->retry_backoff;

    for (i = 1; i < run->job.attempt; i++) {
        limit *= 2;

        if (limit >= run->alcf->retry_max_backoff) {
            break;
        }
    }

    limit = ngx_min(limit, run->alcf->retry_max_backoff);

    return limit ? 1 + (uint64_t) ngx_random() % limit : 1;
}
