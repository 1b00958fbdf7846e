
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_submit.h"
#include "src/http/ngx_async_ask.h"
#include "src/http/ngx_async_http.h"
#include "src/http/ngx_async_key.h"
#include "src/http/ngx_async_reply.h"
#include "src/http/ngx_async_result.h"
#include "src/http/ngx_async_wait.h"
#include "src/call/ngx_async_callback.h"
#include "src/call/ngx_async_replay.h"
#include "src/engine/ngx_async_schedule.h"
#include "src/engine/ngx_async_stage.h"
#include "src/store/ngx_async_shared.h"


#define NGX_ASYNC_SUBMIT_CALLBACK                                             \
    "The callback URL was refused: %V. Send a URL that this server's "        \
    "configuration allows, or none."

#define NGX_ASYNC_SUBMIT_CALLBACK_LEN  sizeof(NGX_ASYNC_SUBMIT_CALLBACK)


/* the request may be gone when the thread is done */

typedef struct {
    ngx_async_work_t       work;
    ngx_async_key_file_t  *file;
    ngx_async_submit_t    *submit;      /* NULL: it is */
} ngx_async_submit_hashing_t;


static ngx_uint_t ngx_async_submit_mode(ngx_http_request_t *r,
    ngx_async_loc_conf_t *alcf);
static ngx_uint_t ngx_async_submit_eligible(ngx_http_request_t *r);
static ngx_uint_t ngx_async_submit_unbuffered(ngx_http_request_t *r);
static void ngx_async_submit_seen(ngx_http_request_t *r);
static ngx_int_t ngx_async_submit_create(ngx_http_request_t *r,
    ngx_async_loc_conf_t *alcf, ngx_async_prefer_t *prefer);
static void ngx_async_submit_read(ngx_http_request_t *r);
static ngx_uint_t ngx_async_submit_must_hash(ngx_async_submit_t *s);
static ngx_int_t ngx_async_submit_hash(ngx_async_submit_t *s);
static void ngx_async_submit_hash_file(void *data, ngx_log_t *log);
static void ngx_async_submit_have_hash(void *data);
static void ngx_async_submit_start(ngx_async_submit_t *s);
static ngx_int_t ngx_async_submit_callback(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static void ngx_async_submit_decide(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static ngx_uint_t ngx_async_submit_in_memory(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static void ngx_async_submit_hold(ngx_async_submit_t *s);
static void ngx_async_submit_release(ngx_async_submit_t *s);
static void ngx_async_submit_staged(ngx_async_run_t *run, ngx_int_t rc,
    ngx_uint_t full);
static void ngx_async_submit_accepted(ngx_async_op_t *op);
static void ngx_async_submit_existing(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static void ngx_async_submit_refused(ngx_async_submit_t *s,
    ngx_async_run_t *run, ngx_int_t rc, ngx_uint_t full);
static void ngx_async_submit_wait(ngx_async_submit_t *s, ngx_async_job_t *job);
static void ngx_async_submit_waited(ngx_async_ask_t *ask);
static void ngx_async_submit_timer(ngx_event_t *ev);
static void ngx_async_submit_shutdown(void *data);
static void ngx_async_submit_expire(ngx_async_submit_t *s);
static void ngx_async_submit_promised(ngx_async_run_t *run);
static void ngx_async_submit_left(ngx_async_held_t *held);
static void ngx_async_submit_ended(ngx_async_held_t *held);
static void ngx_async_submit_note(ngx_async_submit_t *s,
    ngx_async_job_t *job);
static void ngx_async_submit_reply(ngx_async_submit_t *s,
    ngx_async_job_t *job);
static void ngx_async_submit_problem(ngx_async_submit_t *s,
    ngx_uint_t problem, ngx_uint_t retry_after);
static void ngx_async_submit_bypass(ngx_async_submit_t *s,
    const char *reason);
static void ngx_async_submit_finalize(ngx_async_submit_t *s, ngx_int_t rc);
static void ngx_async_submit_pass(ngx_http_request_t *r);


ngx_int_t
ngx_async_submit_handler(ngx_http_request_t *r)
{
    ngx_uint_t             mode;
    ngx_async_submit_t    *s;
    ngx_async_prefer_t     prefer;
    ngx_async_loc_conf_t  *alcf;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    if (ngx_async_replay_of(r)) {
        ngx_async_replay_prepare_location(r);
        return NGX_DECLINED;
    }

    s = ngx_http_get_module_ctx(r, ngx_async_module);

    if (s) {
        return NGX_DECLINED;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);

    if ((alcf->mode == NGX_ASYNC_OFF && alcf->mode_value == NULL)
        || alcf->jobs || alcf->metrics)
    {
        ngx_async_submit_seen(r);
        return NGX_DECLINED;
    }

    mode = ngx_async_submit_mode(r, alcf);

    if (mode == NGX_ASYNC_OFF || !ngx_async_submit_eligible(r)) {
        ngx_async_submit_seen(r);
        return NGX_DECLINED;
    }

    ngx_memzero(&prefer, sizeof(ngx_async_prefer_t));
    ngx_async_prefer_parse(r, &prefer);

    if (mode == NGX_ASYNC_PREFER && !prefer.respond_async) {
        ngx_async_submit_seen(r);
        return NGX_DECLINED;
    }

    return ngx_async_submit_create(r, alcf, &prefer);
}


static ngx_uint_t
ngx_async_submit_mode(ngx_http_request_t *r, ngx_async_loc_conf_t *alcf)
{
    ngx_str_t  value;

    if (alcf->mode_value == NULL) {
        return alcf->mode;
    }

    if (ngx_http_complex_value(r, alcf->mode_value, &value) != NGX_OK) {
        return NGX_ASYNC_OFF;
    }

    switch (value.len) {

    case 0:
        return NGX_ASYNC_OFF;

    case 1:
        if (value.data[0] == '0') {
            return NGX_ASYNC_OFF;
        }

        if (value.data[0] == '1') {
            return NGX_ASYNC_ON;
        }

        break;

    case 2:
        if (ngx_strncmp(value.data, "on", 2) == 0) {
            return NGX_ASYNC_ON;
        }

        break;

    case 3:
        if (ngx_strncmp(value.data, "off", 3) == 0) {
            return NGX_ASYNC_OFF;
        }

        break;

    case 6:
        if (ngx_strncmp(value.data, "prefer", 6) == 0) {
            return NGX_ASYNC_PREFER;
        }

        break;
    }

    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "the value \"%V\" of \"async\" is none of \"on\", \"off\" "
                  "and \"prefer\": taken as \"off\"", &value);

    return NGX_ASYNC_OFF;
}


/* what is left to plain nginx, whatever is configured */

static ngx_uint_t
ngx_async_submit_eligible(ngx_http_request_t *r)
{
    ngx_str_t                  *type;
    ngx_http_variable_value_t  *seen;
    ngx_async_main_conf_t      *amcf;

    switch (r->method) {

    case NGX_HTTP_HEAD:
    case NGX_HTTP_OPTIONS:
    case NGX_HTTP_TRACE:
#ifdef NGX_HTTP_CONNECT
    case NGX_HTTP_CONNECT:
#endif
        return 0;
    }

    if (r->http_version < NGX_HTTP_VERSION_10 || r->headers_in.upgrade) {
        return 0;
    }

    if (r->headers_in.content_type) {
        type = &r->headers_in.content_type->value;

        if (type->len >= sizeof("application/grpc") - 1
            && ngx_strncasecmp(type->data, (u_char *) "application/grpc",
                               sizeof("application/grpc") - 1)
               == 0)
        {
            return 0;
        }
    }

    if (r->request_body_no_buffering || ngx_async_submit_unbuffered(r)) {
        return 0;
    }

    /* its content handler has failed, this is an error_page */

    amcf = ngx_http_get_module_main_conf(r, ngx_async_module);
    seen = &r->variables[amcf->seen_index];

    return r->upstream == NULL && !(seen->valid && r->error_page);
}


/*
 * proxy_request_buffering off and its siblings: the configuration of an
 * upstream is the first thing in that of each of these modules.
 */

static ngx_uint_t
ngx_async_submit_unbuffered(ngx_http_request_t *r)
{
    ngx_uint_t                  i, unbuffered, found;
    ngx_http_upstream_conf_t   *ucf;
    ngx_async_main_conf_t      *amcf;
    ngx_module_t              **module;

    amcf = ngx_http_get_module_main_conf(r, ngx_async_module);

    module = amcf->upstream_modules.elts;
    unbuffered = 0;
    found = 0;

    for (i = 0; i < amcf->upstream_modules.nelts; i++) {

        ucf = ngx_http_get_module_loc_conf(r, (*module[i]));

        if (ucf->upstream) {
            if (ucf->request_buffering == 0) {
                return 1;
            }

            found = 1;
        }

        if (ucf->request_buffering == 0) {
            unbuffered = 1;
        }
    }

    /* a URL with variables has no upstream yet */

    return unbuffered && !found && r->content_handler;
}


/*
 * Remembers that a content handler was about to run; unlike r->ctx this
 * survives internal redirects.
 */

static void
ngx_async_submit_seen(ngx_http_request_t *r)
{
    ngx_async_main_conf_t  *amcf;

    if (r->content_handler) {
        amcf = ngx_http_get_module_main_conf(r, ngx_async_module);
        r->variables[amcf->seen_index].valid = 1;
    }
}


static ngx_int_t
ngx_async_submit_create(ngx_http_request_t *r, ngx_async_loc_conf_t *alcf,
    ngx_async_prefer_t *prefer)
{
    ngx_int_t            rc;
    ngx_async_submit_t  *s;

    s = ngx_pcalloc(r->pool, sizeof(ngx_async_submit_t));
    if (s == NULL || ngx_async_held_init(&s->held, r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s->request = r;
    s->alcf = alcf;
    s->prefer = *prefer;

    s->held.left = ngx_async_submit_left;
    s->held.ended = ngx_async_submit_ended;
    s->held.data = s;

    s->timer.handler = ngx_async_submit_timer;
    s->timer.data = s;
    s->timer.log = r->connection->log;

    s->shutdown.handler = ngx_async_submit_shutdown;
    s->shutdown.data = s;

    s->navigation = ngx_async_prefer_navigation(r);

    if (prefer->respond_async || prefer->wait_set) {

        s->wait = prefer->wait_set
                  ? ngx_min((ngx_msec_t) prefer->wait * 1000, alcf->wait_max)
                  : 0;
        s->redirect = !prefer->respond_async;

    } else {
        s->wait = alcf->wait;
        s->redirect = (alcf->wait_mode == NGX_ASYNC_WAIT_REDIRECT);
    }

    ngx_http_set_ctx(r, s, ngx_async_module);

    if (ngx_async_stage_named(&r->method_name, alcf)
        && !r->request_body_in_file_only)
    {
        r->request_body_in_persistent_file = 1;
        r->request_body_in_clean_file = 1;
    }

    s->held.entering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_async_submit_read);

    s->held.entering = 0;

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


static void
ngx_async_submit_read(ngx_http_request_t *r)
{
    ngx_async_submit_t  *s;

    s = ngx_http_get_module_ctx(r, ngx_async_module);

    r->write_event_handler = ngx_http_request_empty_handler;
    r->read_event_handler = ngx_http_block_reading;

    if (!ngx_async_submit_must_hash(s)) {
        ngx_async_submit_start(s);
        return;
    }

    if (ngx_async_submit_hash(s) != NGX_OK) {
        ngx_async_submit_problem(s, NGX_ASYNC_PROBLEM_STORE_FAILED, 0);
    }
}


/*
 * A body in a file is read for its fingerprint in a thread.  A key that is
 * configured may be made of the fingerprint, and cannot be looked at before.
 */

static ngx_uint_t
ngx_async_submit_must_hash(ngx_async_submit_t *s)
{
    ngx_str_t                 value;
    ngx_http_request_body_t  *rb;
    ngx_async_main_conf_t    *amcf;

    rb = s->request->request_body;

    if (s->alcf->key == NULL || rb == NULL || rb->temp_file == NULL
        || rb->bufs == NULL || !rb->bufs->buf->in_file || rb->bufs->next)
    {
        return 0;
    }

    amcf = ngx_http_get_module_main_conf(s->request, ngx_async_module);

    if (s->alcf->key != amcf->default_key) {
        return 1;
    }

    return ngx_http_complex_value(s->request, s->alcf->key, &value) == NGX_OK
           && value.len != 0;
}


static ngx_int_t
ngx_async_submit_hash(ngx_async_submit_t *s)
{
    ngx_async_submit_hashing_t  *h;

    h = ngx_calloc(sizeof(ngx_async_submit_hashing_t), ngx_cycle->log);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->file = ngx_async_key_file_start(s->request);
    if (h->file == NULL) {
        ngx_free(h);
        return NGX_ERROR;
    }

    h->submit = s;
    s->hashing = h;

    h->work.run = ngx_async_submit_hash_file;
    h->work.handler = ngx_async_submit_have_hash;
    h->work.data = h;

    ngx_async_store_work(&h->work);

    return NGX_OK;
}


static void
ngx_async_submit_hash_file(void *data, ngx_log_t *log)
{
    ngx_async_submit_hashing_t  *h = data;

    ngx_async_key_file_read(h->file);
}


static void
ngx_async_submit_have_hash(void *data)
{
    ngx_async_submit_hashing_t  *h = data;

    ngx_int_t            rc;
    ngx_async_submit_t  *s;

    s = h->submit;
    rc = h->file->rc;

    if (s) {
        s->hashing = NULL;
        s->hashed = (rc == NGX_OK);
        ngx_memcpy(s->hash, h->file->hash, NGX_ASYNC_HASH_LEN);
    }

    ngx_async_key_file_free(h->file);
    ngx_free(h);

    if (s == NULL) {
        return;
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_CRIT, s->request->connection->log, 0,
                      "async: a request body could not be read from its file");
        ngx_async_submit_problem(s, NGX_ASYNC_PROBLEM_STORE_FAILED, 0);
        return;
    }

    ngx_async_submit_start(s);
}


ngx_int_t
ngx_async_submit_fingerprint(ngx_http_request_t *r, u_char *hash)
{
    ngx_async_submit_t  *s;

    s = ngx_http_get_module_ctx(r, ngx_async_module);

    if (s == NULL || !s->hashed) {
        return ngx_async_key_fingerprint(r, hash);
    }

    ngx_memcpy(hash, s->hash, NGX_ASYNC_HASH_LEN);

    return NGX_OK;
}


static void
ngx_async_submit_start(ngx_async_submit_t *s)
{
    ngx_async_run_t     *run;
    ngx_http_request_t  *r;

    r = s->request;

    run = ngx_async_run_create(s->alcf, r->connection->log);

    if (run == NULL) {
        ngx_async_submit_problem(s, NGX_ASYNC_PROBLEM_STORE_FAILED, 0);
        return;
    }

    switch (ngx_async_submit_fill(s, run)) {

    case NGX_OK:
        break;

    case NGX_ABORT:
        ngx_async_run_free(run);
        ngx_async_submit_problem(s, NGX_ASYNC_PROBLEM_KEY, 0);
        return;

    default:
        ngx_async_run_free(run);
        ngx_async_submit_problem(s, NGX_ASYNC_PROBLEM_STORE_FAILED, 0);
        return;
    }

    if (ngx_async_submit_callback(s, run) != NGX_OK) {
        return;
    }

    s->job = ngx_async_replay_note(r->pool, run);

    ngx_async_held_attach(&s->held, run);

    ngx_async_submit_decide(s, run);
}


static ngx_int_t
ngx_async_submit_callback(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    u_char              *p;
    ngx_int_t            rc;
    ngx_str_t            why, detail;
    ngx_http_request_t  *r;

    if (run->job.callback_url.len == 0 || s->alcf->callback_fixed) {
        return NGX_OK;
    }

    if (ngx_async_callback_allowed(s->alcf, &run->job.callback_url, &why)
        == NGX_OK)
    {
        return NGX_OK;
    }

    ngx_async_run_free(run);

    r = s->request;
    rc = NGX_ERROR;

    p = ngx_pnalloc(r->pool, why.len + NGX_ASYNC_SUBMIT_CALLBACK_LEN);

    if (p) {
        detail.data = p;
        detail.len = ngx_sprintf(p, NGX_ASYNC_SUBMIT_CALLBACK, &why) - p;

        rc = ngx_async_reply_problem(r, NGX_ASYNC_PROBLEM_CALLBACK, &detail,
                                     0);
    }

    ngx_async_submit_finalize(s, rc);

    return NGX_DECLINED;
}


/* a call in memory, a durable job that starts at once, or one that waits */

static void
ngx_async_submit_decide(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    ngx_async_queue_t  *queue;

    queue = run->queue;

    if (!ngx_exiting && ngx_async_shared_ready(queue->number) == 0
        && ngx_async_shared_take(queue->number, queue->concurrency) == NGX_OK)
    {
        run->slot = 1;
    }

    if (ngx_async_submit_in_memory(s, run)) {
        ngx_async_shared_count(queue->number, NGX_ASYNC_COUNT_HELD);

        ngx_async_submit_hold(s);
        ngx_async_run_start(run);
        return;
    }

    ngx_async_stage_store(run, ngx_async_submit_staged);
}


/*
 * Nothing goes to the disk while a client waits and nothing was promised.
 * What has to be counted, found or tried again by others does.
 */

static ngx_uint_t
ngx_async_submit_in_memory(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    return s->wait && run->slot && !s->keyed && s->alcf->retry == 0
           && run->queue->limits.per_concurrency == 0
           && run->queue->pause_on == 0
           && run->job.callback_status == NGX_ASYNC_CALLBACK_NONE;
}


/* from now on the client may leave, and time passes */

static void
ngx_async_submit_hold(ngx_async_submit_t *s)
{
    ngx_http_request_t  *r;

    r = s->request;

    ngx_add_timer(&s->timer, s->wait);

    if (ngx_async_shutdown_add(&s->shutdown) != NGX_OK) {
        ngx_add_timer(&s->timer, 1);
    }

    r->connection->log->action = "waiting for a job";
    r->read_event_handler = ngx_http_test_reading;

    if (r->connection->read->ready || r->connection->read->pending_eof) {
        ngx_post_event(r->connection->read, &ngx_posted_events);
    }
}


static void
ngx_async_submit_release(ngx_async_submit_t *s)
{
    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    ngx_async_shutdown_del(&s->shutdown);
}


static void
ngx_async_submit_staged(ngx_async_run_t *run, ngx_int_t rc, ngx_uint_t full)
{
    ngx_async_op_t  *op;

    op = &run->op;

    op->type = NGX_ASYNC_OP_ACCEPT;
    op->handler = ngx_async_submit_accepted;
    op->data = run;
    op->id = run->job.id;
    op->now = ngx_async_time_now();
    op->job = &run->job;
    op->limits = &run->queue->limits;
    op->part = NGX_ASYNC_REQUEST;
    op->claim = run->slot;
    ngx_memcpy(op->runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);

    if (rc != NGX_OK) {
        op->rc = rc;
        op->full = full;
        ngx_async_submit_accepted(op);
        return;
    }

    ngx_async_store_submit(op);
}


static void
ngx_async_submit_accepted(ngx_async_op_t *op)
{
    ngx_async_run_t     *run;
    ngx_async_queue_t   *queue;
    ngx_async_submit_t  *s;

    run = op->data;
    queue = run->queue;

    /* the client may be gone: what it sent is on the disk all the same */

    s = run->held ? run->held->data : NULL;

    switch (op->rc) {

    case NGX_OK:
        break;

    case NGX_ABORT:
        ngx_async_submit_existing(s, run);
        return;

    default:
        ngx_async_submit_refused(s, run, op->rc, op->full);
        return;
    }

    ngx_async_shared_count(queue->number, NGX_ASYNC_COUNT_ACCEPTED);

    run->stored = 1;

    ngx_async_schedule_due(run->job.queue_deadline);

    if (op->claimed) {

        if (s && s->wait) {
            ngx_async_submit_hold(s);

        } else if (s) {
            ngx_async_held_detach(&s->held);
            ngx_async_submit_reply(s, &run->job);
        }

        ngx_async_run_start(run);
        return;
    }

    if (s) {
        ngx_async_held_detach(&s->held);

        if (s->wait) {
            ngx_async_submit_wait(s, &run->job);

        } else {
            ngx_async_submit_reply(s, &run->job);
        }
    }

    /* gives back a slot that it may have */

    if (!run->slot) {
        ngx_async_run_free(run);
        ngx_async_schedule_poke(queue);
        return;
    }

    ngx_async_run_free(run);
}


/* the same key: the same job, or a mistake of the client */

static void
ngx_async_submit_existing(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    ngx_async_job_t  *job;

    if (s) {
        ngx_async_held_detach(&s->held);

        job = &run->op.found;

        if (ngx_memcmp(job->fingerprint, run->job.fingerprint,
                       NGX_ASYNC_HASH_LEN)
            != 0)
        {
            ngx_async_submit_problem(s, NGX_ASYNC_PROBLEM_KEY_REUSED, 0);

        } else if (s->wait) {
            ngx_async_submit_wait(s, job);

        } else {
            ngx_async_submit_reply(s, job);
        }
    }

    ngx_async_run_free(run);
}


static void
ngx_async_submit_refused(ngx_async_submit_t *s, ngx_async_run_t *run,
    ngx_int_t rc, ngx_uint_t full)
{
    const char  *reason;
    ngx_uint_t   problem, queue, retry_after;

    queue = run->queue->number;
    retry_after = 0;

    if (rc == NGX_BUSY) {

        retry_after = ngx_async_schedule_retry_after(run->alcf);

        switch (full) {

        case NGX_ASYNC_FULL_PER:
            problem = NGX_ASYNC_PROBLEM_PER_FULL;
            reason = "per_full";
            break;

        case NGX_ASYNC_FULL_STORE:
            problem = NGX_ASYNC_PROBLEM_STORE_FULL;
            reason = "store_full";
            break;

        default:
            problem = NGX_ASYNC_PROBLEM_QUEUE_FULL;
            reason = "queue_full";
        }

    } else {
        problem = NGX_ASYNC_PROBLEM_STORE_FAILED;
        reason = "store_failed";

        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, run->op.err,
                      "async: a submission could not be stored");
    }

    if (s == NULL) {
        ngx_async_run_free(run);
        return;
    }

    ngx_async_held_detach(&s->held);
    ngx_async_run_free(run);

    if (s->alcf->full_pass) {
        ngx_async_shared_count(queue, NGX_ASYNC_COUNT_BYPASSED);
        ngx_async_submit_bypass(s, reason);
        return;
    }

    ngx_async_shared_count(queue, NGX_ASYNC_COUNT_REJECTED);
    ngx_async_submit_problem(s, problem, retry_after);
}


/* held for a job that is in the store, here or in another worker */

static void
ngx_async_submit_wait(ngx_async_submit_t *s, ngx_async_job_t *job)
{
    ngx_async_ask_t     *ask;
    ngx_http_request_t  *r;

    r = s->request;
    s->held.left = NULL;

    ask = ngx_async_ask_create(r);

    if (ask) {
        ask->id = job->id;
        ask->owner.len = job->owner.len;
        ask->owner.data = ngx_pstrdup(r->pool, &job->owner);

        if (ask->owner.data || ask->owner.len == 0) {
            ask->data = NULL;
            ask->held = 1;
            ask->want_response = 1;
            ask->want_position = 1;

            ngx_async_wait_job(ask, s->wait, ngx_async_submit_waited);
            return;
        }
    }

    ngx_async_submit_reply(s, job);
}


static void
ngx_async_submit_waited(ngx_async_ask_t *ask)
{
    ngx_async_job_t     *job;
    ngx_async_submit_t  *s;

    s = ngx_http_get_module_ctx(ask->request, ngx_async_module);
    job = &ask->op.found;

    if (ngx_async_job_finished(job)) {
        ngx_async_submit_note(s, job);
        ngx_async_result_send(ask);
        return;
    }

    ngx_async_submit_reply(s, job);
}


static void
ngx_async_submit_timer(ngx_event_t *ev)
{
    ngx_async_submit_expire(ev->data);
}


static void
ngx_async_submit_shutdown(void *data)
{
    ngx_async_submit_expire(data);
}


/* the response has not begun in time: the client gets a promise */

static void
ngx_async_submit_expire(ngx_async_submit_t *s)
{
    ngx_async_run_t  *run;

    run = s->held.run;

    if (run == NULL || s->held.begun || s->expired) {
        return;
    }

    s->expired = 1;

    ngx_async_submit_release(s);

    if (run->stored) {
        ngx_async_held_detach(&s->held);
        ngx_async_submit_reply(s, &run->job);
        return;
    }

    ngx_async_run_promise(run, ngx_async_submit_promised);
}


static void
ngx_async_submit_promised(ngx_async_run_t *run)
{
    ngx_async_submit_t  *s;

    s = run->held ? run->held->data : NULL;

    if (s == NULL) {
        return;
    }

    if (run->stored) {
        ngx_async_held_detach(&s->held);
        ngx_async_submit_reply(s, &run->job);
        return;
    }

    /* the call runs: its client keeps waiting rather than lose it */

    ngx_log_error(NGX_LOG_WARN, s->request->connection->log, run->op.err,
                  "async: the store could not take a running call, "
                  "its client is held to the end");
}


static void
ngx_async_submit_left(ngx_async_held_t *held)
{
    ngx_async_submit_t          *s;
    ngx_async_submit_hashing_t  *h;

    s = held->data;
    h = s->hashing;

    if (h) {
        h->submit = NULL;
        s->hashing = NULL;
    }

    ngx_async_submit_release(s);
}


/* the call is over, and there is no response */

static void
ngx_async_submit_ended(ngx_async_held_t *held)
{
    ngx_uint_t           status;
    ngx_async_run_t     *run;
    ngx_async_submit_t  *s;

    s = held->data;
    run = held->run;

    ngx_async_held_detach(held);

    if (run->stored) {

        /* the store knows what became of the job; it may be run again */

        if (s->timer.timer_set) {
            s->wait = ngx_max((ngx_msec_int_t) (s->timer.timer.key
                                                - ngx_current_msec), 1);
        }

        ngx_async_submit_release(s);
        ngx_async_submit_wait(s, &run->job);
        return;
    }

    if (run->timedout) {
        status = NGX_HTTP_GATEWAY_TIME_OUT;

    } else if (run->failed || run->end == NGX_ASYNC_END_UNSENT) {
        status = NGX_HTTP_BAD_GATEWAY;

    } else {
        /* as nginx: return 444, or an upstream that was cut off */
        ngx_async_submit_finalize(s, NGX_ERROR);
        return;
    }

    ngx_async_submit_finalize(s, ngx_async_problem_ended(s->request, status,
                                                         status, &run->job));
}


/* for variables, when the log is written */

static void
ngx_async_submit_note(ngx_async_submit_t *s, ngx_async_job_t *job)
{
    if (s->job) {
        s->job->id = job->id;
        s->job->status = job->status;
        s->job->attempt = job->attempt;
        s->job->created = job->created;
        s->job->started = job->started;
        s->job->finished = job->finished;
    }
}


static void
ngx_async_submit_reply(ngx_async_submit_t *s, ngx_async_job_t *job)
{
    ngx_int_t  rc;

    ngx_async_submit_note(s, job);

    rc = ngx_async_reply_accepted(s->request, job, s->redirect,
                                  s->prefer.respond_async);

    ngx_async_submit_finalize(s, rc);
}


static void
ngx_async_submit_problem(ngx_async_submit_t *s, ngx_uint_t problem,
    ngx_uint_t retry_after)
{
    ngx_int_t  rc;

    rc = ngx_async_reply_problem(s->request, problem, NULL, retry_after);

    ngx_async_submit_finalize(s, rc);
}


/* async_full pass: the phases go on as if nothing had been asked for */

static void
ngx_async_submit_bypass(ngx_async_submit_t *s, const char *reason)
{
    ngx_uint_t           entering;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = s->request;

    ngx_async_submit_release(s);
    s->held.left = NULL;
    s->declined = 1;

    s->bypass.data = (u_char *) reason;
    s->bypass.len = ngx_strlen(reason);

    if (ngx_async_reply_header(r, "Async-Bypass", &s->bypass) != NGX_OK) {
        ngx_async_submit_finalize(s, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    r->write_event_handler = ngx_http_core_run_phases;
    c = r->connection;
    entering = s->held.entering;

    ngx_http_core_run_phases(r);

    if (!entering) {
        ngx_http_run_posted_requests(c);
    }
}


static void
ngx_async_submit_finalize(ngx_async_submit_t *s, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = s->request;

    ngx_async_submit_release(s);
    s->held.left = NULL;

    if (r->header_sent && !s->declined) {
        ngx_async_held_no_action(r);
    }

    ngx_async_held_finalize(&s->held, rc);
}


/*
 * The content handler of a location with async_pass, for a request that does
 * not become a job: the same call, held to its end.
 */

ngx_int_t
ngx_async_pass_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_async_submit_t    *s;
    ngx_async_loc_conf_t  *alcf;

    if (r != r->main) {
        return NGX_HTTP_NOT_FOUND;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);

    s = ngx_pcalloc(r->pool, sizeof(ngx_async_submit_t));
    if (s == NULL || ngx_async_held_init(&s->held, r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s->request = r;
    s->alcf = alcf;
    s->wait = NGX_MAX_INT_T_VALUE;
    s->declined = 1;
    s->held.ended = ngx_async_submit_ended;
    s->held.data = s;

    ngx_http_set_ctx(r, s, ngx_async_module);

    s->held.entering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_async_submit_pass);

    s->held.entering = 0;

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
ngx_async_submit_pass(ngx_http_request_t *r)
{
    ngx_async_run_t     *run;
    ngx_async_submit_t  *s;

    s = ngx_http_get_module_ctx(r, ngx_async_module);

    run = ngx_async_run_create(s->alcf, r->connection->log);

    if (run == NULL || ngx_async_submit_fill(s, run) != NGX_OK) {

        if (run) {
            ngx_async_run_free(run);
        }

        ngx_async_submit_finalize(s, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_async_held_attach(&s->held, run);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_async_run_start(run);
}
