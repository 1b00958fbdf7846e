
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_callback.h"
#include "src/call/ngx_async_delivery.h"
#include "src/call/ngx_async_line.h"
#include "src/call/ngx_async_target.h"
#include "src/store/ngx_async_shared.h"


/*
 * A callback that was leased is read from the store, takes a place of its host
 * and is delivered; what came of it goes back to the store.
 */

typedef struct {
    ngx_async_op_t          op;
    ngx_async_job_t         result;
    ngx_async_delivery_t    delivery;
    ngx_async_line_t       *host;       /* whose place it has */
    ngx_msec_t              leased;
    ngx_str_t               document;
} ngx_async_callback_t;


static ngx_int_t ngx_async_callback_get(ngx_async_id_t *id, ngx_msec_t leased,
    ngx_async_line_t *host);
static void ngx_async_callback_got(ngx_async_op_t *op);
static ngx_int_t ngx_async_callback_place(ngx_async_callback_t *cb);
static ngx_int_t ngx_async_callback_authorize(ngx_async_callback_t *cb,
    const char **code, const char **message);
static void ngx_async_callback_deliver(ngx_async_callback_t *cb);
static void ngx_async_callback_delivered(ngx_async_delivery_t *d);
static void ngx_async_callback_return(ngx_async_callback_t *cb);
static void ngx_async_callback_attempted(ngx_async_callback_t *cb);
static void ngx_async_callback_store(ngx_async_callback_t *cb,
    uint32_t attempts);
static void ngx_async_callback_log(ngx_async_callback_t *cb);
static void ngx_async_callback_stored(ngx_async_op_t *op);
static void ngx_async_callback_free(ngx_async_callback_t *cb);


static const ngx_async_callback_handlers_t  *ngx_async_callback_handlers;


ngx_int_t
ngx_async_callback_start(ngx_cycle_t *cycle,
    const ngx_async_callback_handlers_t *handlers)
{
    ngx_async_callback_handlers = handlers;

    ngx_async_line_init(ngx_async_callback_get);

    return NGX_OK;
}


void
ngx_async_callback_due(ngx_async_id_t *id)
{
    (void) ngx_async_callback_get(id, ngx_current_msec, NULL);
}


/* "host": a place of it has been taken for this one */

static ngx_int_t
ngx_async_callback_get(ngx_async_id_t *id, ngx_msec_t leased,
    ngx_async_line_t *host)
{
    ngx_async_callback_t  *cb;

    cb = ngx_calloc(sizeof(ngx_async_callback_t), ngx_cycle->log);

    if (cb == NULL) {
        return NGX_ERROR;
    }

    cb->host = host;
    cb->leased = leased;

    cb->op.type = NGX_ASYNC_OP_GET;
    cb->op.handler = ngx_async_callback_got;
    cb->op.data = cb;
    cb->op.id = *id;
    cb->op.now = ngx_async_time_now();

    ngx_async_store_submit(&cb->op);

    return NGX_OK;
}


static void
ngx_async_callback_got(ngx_async_op_t *op)
{
    const char            *code, *message;
    ngx_async_callback_t  *cb;

    cb = op->data;

    if (op->rc != NGX_OK
        || op->found.callback_status != NGX_ASYNC_CALLBACK_PENDING
        || !ngx_async_job_finished(&op->found))
    {
        ngx_async_callback_free(cb);
        return;
    }

    cb->delivery.job = &op->found;
    cb->delivery.retry_after = -1;

    if (ngx_exiting) {
        ngx_async_callback_return(cb);
        return;
    }

    if (ngx_async_callback_authorize(cb, &code, &message) != NGX_OK) {
        ngx_async_delivery_fail(&cb->delivery, code, message, 1);
        ngx_async_callback_attempted(cb);
        return;
    }

    if (cb->host == NULL && ngx_async_callback_place(cb) != NGX_OK) {
        ngx_async_callback_free(cb);
        return;
    }

    ngx_async_callback_deliver(cb);
}


/* NGX_DECLINED: it waits in line, or was forgotten */

static ngx_int_t
ngx_async_callback_place(ngx_async_callback_t *cb)
{
    u_char               buf[NGX_ASYNC_TARGET_HOST_MAX + 8];
    ngx_str_t            name;
    const char          *why;
    ngx_async_target_t   t;

    /* a URL of the configuration may have what submissions may not use */

    if (ngx_async_target_parse(&t, &cb->op.found.callback_url, 0, &why)
        == NGX_OK)
    {
        name.data = buf;
        name.len = ngx_sprintf(buf, "%*s:%ui", t.host_len, t.host,
                               (ngx_uint_t) t.port)
                   - buf;

    } else {
        name = cb->op.found.callback_url;
    }

    cb->host = ngx_async_line_take(&name, &cb->op.id, cb->leased);

    return cb->host ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_async_callback_authorize(ngx_async_callback_t *cb, const char **code,
    const char **message)
{
    ngx_str_t             *url, why;
    ngx_async_job_t       *job;
    ngx_async_loc_conf_t  *alcf;

    job = &cb->op.found;
    url = &job->callback_url;

    alcf = ngx_async_location_find(&job->server, &job->location);

    if (alcf == NULL) {
        *code = "configuration_changed";
        *message = "the location of the job is gone";
        return NGX_DECLINED;
    }

    cb->delivery.alcf = alcf;

    if (job->flags & NGX_ASYNC_JOB_CALLBACK_FIXED) {
        cb->delivery.fixed = 1;
        return NGX_OK;
    }

    if (alcf->callback && alcf->callback_fixed
        && alcf->callback->value.len == url->len
        && ngx_memcmp(alcf->callback->value.data, url->data, url->len) == 0)
    {
        cb->delivery.fixed = 1;
        return NGX_OK;
    }

    /* the configuration may have changed since the submission */

    if (ngx_async_callback_allowed(alcf, url, &why) != NGX_OK) {
        *code = "callback_not_allowed";
        *message = (const char *) why.data;
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static void
ngx_async_callback_deliver(ngx_async_callback_t *cb)
{
    ngx_async_delivery_t  *d;

    d = &cb->delivery;

    d->pool = ngx_create_pool(4096, ngx_cycle->log);
    if (d->pool == NULL) {
        ngx_async_callback_free(cb);
        return;
    }

    d->document = &cb->document;
    d->handler = ngx_async_callback_delivered;
    d->data = cb;

    if (ngx_async_callback_handlers->document(d->pool, d->job, &cb->document)
        != NGX_OK
        || ngx_async_delivery_start(d) != NGX_OK)
    {
        ngx_async_callback_free(cb);
    }
}


static void
ngx_async_callback_delivered(ngx_async_delivery_t *d)
{
    ngx_async_callback_t  *cb;

    cb = d->data;

    if (cb->host) {
        ngx_async_line_leave(cb->host);
        cb->host = NULL;
    }

    ngx_async_callback_attempted(cb);
}


/* this worker exits: the lease is over, and another worker told so */

static void
ngx_async_callback_return(ngx_async_callback_t *cb)
{
    ngx_str_t             *error;
    ngx_async_delivery_t  *d;

    d = &cb->delivery;
    error = &cb->op.found.callback_error;

    d->status = NGX_ASYNC_CALLBACK_PENDING;
    d->not_before = ngx_async_time_now();

    /* the job's own strings go before this is stored */

    d->error.data = d->text;
    d->error.len = ngx_min(error->len, NGX_ASYNC_DELIVERY_ERROR_LEN);
    ngx_memcpy(d->text, error->data, d->error.len);

    ngx_async_callback_store(cb, cb->op.found.callback_attempts);
}


static void
ngx_async_callback_attempted(ngx_async_callback_t *cb)
{
    ngx_async_job_t       *job;
    ngx_async_queue_t     *queue;
    ngx_async_delivery_t  *d;

    d = &cb->delivery;
    job = &cb->op.found;

    ngx_async_callback_log(cb);

    if (d->status == NGX_ASYNC_CALLBACK_DELIVERED) {
        queue = ngx_async_queue_find(&job->queue);

        if (queue) {
            ngx_async_shared_count(queue->number, NGX_ASYNC_COUNT_CALLBACKS);
        }
    }

    ngx_async_callback_store(cb, job->callback_attempts + 1);
}


static void
ngx_async_callback_store(ngx_async_callback_t *cb, uint32_t attempts)
{
    ngx_async_delivery_t  *d;

    d = &cb->delivery;

    cb->result.id = cb->op.id;
    cb->result.callback_status = d->status;
    cb->result.callback_attempts = attempts;
    cb->result.callback_error = d->error;

    ngx_async_store_release(&cb->op);

    cb->op.type = NGX_ASYNC_OP_CALLBACK;
    cb->op.handler = ngx_async_callback_stored;
    cb->op.job = &cb->result;
    cb->op.now = ngx_async_time_now();
    cb->op.not_before = d->not_before;

    ngx_async_store_submit(&cb->op);
}


static void
ngx_async_callback_log(ngx_async_callback_t *cb)
{
    u_char                 id[NGX_ASYNC_ID_TEXT_LEN];
    ngx_uint_t             level;
    const char            *outcome;
    ngx_async_job_t       *job;
    ngx_async_delivery_t  *d;

    d = &cb->delivery;
    job = &cb->op.found;

    if (d->status == NGX_ASYNC_CALLBACK_DELIVERED) {
        return;
    }

    if (d->status == NGX_ASYNC_CALLBACK_FAILED) {
        level = NGX_LOG_WARN;
        outcome = "is given up";

    } else {
        level = NGX_LOG_INFO;
        outcome = "has failed";
    }

    (void) ngx_async_id_format(id, &job->id);

    ngx_log_error(level, ngx_cycle->log, 0,
                  "async: callback of job %*s to \"%V\" %s, attempt %uD: %V",
                  (size_t) NGX_ASYNC_ID_TEXT_LEN, id, &job->callback_url,
                  outcome, job->callback_attempts + 1, &d->error);
}


static void
ngx_async_callback_stored(ngx_async_op_t *op)
{
    ngx_async_callback_t  *cb;

    cb = op->data;

    /* what could not be stored is attempted again when the lease is over */

    if (op->rc == NGX_OK && cb->delivery.status == NGX_ASYNC_CALLBACK_PENDING)
    {
        ngx_async_callback_handlers->due(cb->delivery.not_before);
    }

    ngx_async_callback_free(cb);
}


static void
ngx_async_callback_free(ngx_async_callback_t *cb)
{
    if (cb->host) {
        ngx_async_line_leave(cb->host);
    }

    ngx_async_store_release(&cb->op);

    if (cb->delivery.pool) {
        ngx_destroy_pool(cb->delivery.pool);
    }

    ngx_free(cb);
}


ngx_int_t
ngx_async_callback_allowed(ngx_async_loc_conf_t *alcf, ngx_str_t *url,
    ngx_str_t *why)
{
    const char          *text;
    ngx_async_target_t   t;

    if (ngx_async_target_parse(&t, url, 0, &text) != NGX_OK) {
        /* "text" is set */

    } else if (alcf->callback_allow == NULL) {
        text = "callbacks chosen by clients are not allowed here";

    } else if (ngx_async_target_allowed(&t, alcf->callback_allow) != NGX_OK) {
        text = "it does not begin with an allowed prefix";

    } else if (ngx_async_target_host(&t, alcf->callback_allow) != NGX_OK) {
        text = "its address is a private one";

    } else {
        return NGX_OK;
    }

    why->data = (u_char *) text;
    why->len = ngx_strlen(text);

    return NGX_DECLINED;
}
