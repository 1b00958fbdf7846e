
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_submit_internal.h"
#include "src/http/ngx_async_http.h"
#include "src/http/ngx_async_reply.h"
#include "src/call/ngx_async_callback.h"
#include "src/call/ngx_async_replay.h"
#include "src/engine/ngx_async_stage.h"
#include "src/store/ngx_async_shared.h"


#define NGX_ASYNC_SUBMIT_CALLBACK                                             \
    "The callback URL was refused: %V. Send a URL that this server's "        \
    "configuration allows, or none."

#define NGX_ASYNC_SUBMIT_CALLBACK_LEN  sizeof(NGX_ASYNC_SUBMIT_CALLBACK)


static ngx_uint_t ngx_async_submit_mode(ngx_http_request_t *r,
    ngx_async_loc_conf_t *alcf);
static ngx_uint_t ngx_async_submit_eligible(ngx_http_request_t *r);
static ngx_uint_t ngx_async_submit_unbuffered(ngx_http_request_t *r);
static void ngx_async_submit_seen(ngx_http_request_t *r);
static ngx_int_t ngx_async_submit_create(ngx_http_request_t *r,
    ngx_async_loc_conf_t *alcf, ngx_async_prefer_t *prefer);
static void ngx_async_submit_read(ngx_http_request_t *r);
static ngx_int_t ngx_async_submit_callback(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static void ngx_async_submit_decide(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static ngx_uint_t ngx_async_submit_in_memory(ngx_async_submit_t *s,
    ngx_async_run_t *run);


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

    if (mode == NGX_ASYNC_OFF) {
        ngx_async_submit_seen(r);
        return NGX_DECLINED;
    }

    ngx_memzero(&prefer, sizeof(ngx_async_prefer_t));
    ngx_async_prefer_parse(r, &prefer);

    if ((mode == NGX_ASYNC_PREFER && !prefer.respond_async)
        || !ngx_async_submit_eligible(r))
    {
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

        if (alcf->full_pass && r->content_handler == NULL) {
            /* what WebDAV asks for, and cannot after the body was read */
            r->request_body_in_file_only = 1;
            r->request_body_file_log_level = 0;
        }
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


void
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

    case NGX_DECLINED:
        ngx_async_run_free(run);
        ngx_async_submit_problem(s, NGX_ASYNC_PROBLEM_DIRECT_CALL, 0);
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
        && ngx_async_shared_take(queue->number) == NGX_OK)
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
