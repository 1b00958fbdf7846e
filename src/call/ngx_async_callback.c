
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_callback.h"
#include "src/call/ngx_async_delivery.h"
#include "src/call/ngx_async_target.h"
#include "src/store/ngx_async_shared.h"


/*
 * A callback that was leased is read from the store, takes a place of its host
 * and is delivered; what came of it goes back to the store.  Hosts have few
 * places each, so that one which does not answer holds up nobody else.  Those
 * that find no place wait in line as bare ids; whoever has waited so long that
 * its lease could end before its attempt is forgotten: it will be leased anew.
 */

#define NGX_ASYNC_CALLBACK_PLACES       8       /* of a host */
#define NGX_ASYNC_CALLBACK_ALL_PLACES   256
#define NGX_ASYNC_CALLBACK_LINE         1024    /* of a host */
#define NGX_ASYNC_CALLBACK_ALL_LINES    8192
#define NGX_ASYNC_CALLBACK_PATIENCE     20000   /* ms */

typedef struct {
    ngx_str_node_t          sn;         /* "host:port", in memory after it */
    ngx_uint_t              places;     /* taken */
    ngx_uint_t              length;     /* of its line */
    ngx_queue_t             line;       /* of ngx_async_callback_wait_t */
    ngx_queue_t             queue;      /* hosts with a line, in turn */
} ngx_async_callback_host_t;

typedef struct {
    ngx_queue_t             queue;
    ngx_async_id_t          id;
    ngx_msec_t              leased;
} ngx_async_callback_wait_t;

typedef struct {
    ngx_async_op_t                  op;
    ngx_async_job_t                 result;
    ngx_async_delivery_t            delivery;
    ngx_async_callback_host_t      *host;       /* whose place it has */
    ngx_msec_t                      leased;
    ngx_str_t                       document;
} ngx_async_callback_t;


static void ngx_async_callback_get(ngx_async_id_t *id, ngx_msec_t leased,
    ngx_async_callback_host_t *host);
static void ngx_async_callback_got(ngx_async_op_t *op);
static ngx_int_t ngx_async_callback_place(ngx_async_callback_t *cb);
static ngx_int_t ngx_async_callback_authorize(ngx_async_callback_t *cb,
    const char **code, const char **message);
static void ngx_async_callback_deliver(ngx_async_callback_t *cb);
static void ngx_async_callback_delivered(ngx_async_delivery_t *d);
static void ngx_async_callback_store(ngx_async_callback_t *cb);
static void ngx_async_callback_log(ngx_async_callback_t *cb);
static void ngx_async_callback_stored(ngx_async_op_t *op);
static void ngx_async_callback_free(ngx_async_callback_t *cb);

static ngx_async_callback_host_t *ngx_async_callback_host(ngx_str_t *name);
static ngx_int_t ngx_async_callback_wait(ngx_async_callback_host_t *host,
    ngx_async_id_t *id, ngx_msec_t leased);
static void ngx_async_callback_leave(ngx_async_callback_host_t *host);
static void ngx_async_callback_give(ngx_async_callback_host_t *host);
static void ngx_async_callback_forget(ngx_async_callback_host_t *host);
static void ngx_async_callback_next(void);
static ngx_uint_t ngx_async_callback_next_of(ngx_async_callback_host_t *host);


static const ngx_async_callback_handlers_t  *ngx_async_callback_handlers;

static ngx_rbtree_t       ngx_async_callback_hosts;
static ngx_rbtree_node_t  ngx_async_callback_sentinel;
static ngx_queue_t        ngx_async_callback_lines;     /* hosts with a line */
static ngx_uint_t         ngx_async_callback_places;    /* taken */
static ngx_uint_t         ngx_async_callback_waiting;


ngx_int_t
ngx_async_callback_start(ngx_cycle_t *cycle,
    const ngx_async_callback_handlers_t *handlers)
{
    ngx_async_callback_handlers = handlers;

    ngx_rbtree_init(&ngx_async_callback_hosts, &ngx_async_callback_sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&ngx_async_callback_lines);

    ngx_async_callback_places = 0;
    ngx_async_callback_waiting = 0;

    return NGX_OK;
}


void
ngx_async_callback_due(ngx_async_id_t *id)
{
    ngx_async_callback_get(id, ngx_current_msec, NULL);
}


/* "host": a place of it has been taken for this one */

static void
ngx_async_callback_get(ngx_async_id_t *id, ngx_msec_t leased,
    ngx_async_callback_host_t *host)
{
    ngx_async_callback_t  *cb;

    cb = ngx_calloc(sizeof(ngx_async_callback_t), ngx_cycle->log);

    if (cb == NULL) {

        if (host) {
            ngx_async_callback_give(host);
        }

        return;
    }

    cb->host = host;
    cb->leased = leased;

    cb->op.type = NGX_ASYNC_OP_GET;
    cb->op.handler = ngx_async_callback_got;
    cb->op.data = cb;
    cb->op.id = *id;
    cb->op.now = ngx_async_time_now();

    ngx_async_store_submit(&cb->op);
}


static void
ngx_async_callback_got(ngx_async_op_t *op)
{
    const char            *code, *message;
    ngx_async_callback_t  *cb;

    cb = op->data;

    if (op->rc != NGX_OK
        || op->found.callback_status != NGX_ASYNC_CALLBACK_PENDING
        || !ngx_async_job_finished(&op->found)
        || ngx_exiting)
    {
        ngx_async_callback_free(cb);
        return;
    }

    cb->delivery.job = &op->found;
    cb->delivery.retry_after = -1;

    if (ngx_async_callback_authorize(cb, &code, &message) != NGX_OK) {
        ngx_async_delivery_fail(&cb->delivery, code, message, 1);
        ngx_async_callback_store(cb);
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
    u_char                      buf[NGX_ASYNC_TARGET_HOST_MAX + 8];
    ngx_str_t                   name;
    const char                 *why;
    ngx_async_target_t          t;
    ngx_async_callback_host_t  *host;

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

    host = ngx_async_callback_host(&name);
    if (host == NULL) {
        return NGX_DECLINED;
    }

    if (host->places < NGX_ASYNC_CALLBACK_PLACES
        && ngx_async_callback_places < NGX_ASYNC_CALLBACK_ALL_PLACES)
    {
        host->places++;
        ngx_async_callback_places++;
        cb->host = host;

        return NGX_OK;
    }

    return ngx_async_callback_wait(host, &cb->op.id, cb->leased);
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
        ngx_async_callback_leave(cb->host);
        cb->host = NULL;
    }

    ngx_async_callback_store(cb);
}


static void
ngx_async_callback_store(ngx_async_callback_t *cb)
{
    ngx_async_job_t       *job;
    ngx_async_queue_t     *queue;
    ngx_async_delivery_t  *d;

    d = &cb->delivery;
    job = &cb->op.found;

    ngx_async_callback_log(cb);

    cb->result.id = job->id;
    cb->result.callback_status = d->status;
    cb->result.callback_attempts = job->callback_attempts + 1;
    cb->result.callback_error = d->error;

    if (d->status == NGX_ASYNC_CALLBACK_DELIVERED) {
        queue = ngx_async_queue_find(&job->queue);

        if (queue) {
            ngx_async_shared_count(queue->number, NGX_ASYNC_COUNT_CALLBACKS);
        }
    }

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
        ngx_async_callback_leave(cb->host);
    }

    ngx_async_store_release(&cb->op);

    if (cb->delivery.pool) {
        ngx_destroy_pool(cb->delivery.pool);
    }

    ngx_free(cb);
}


static ngx_async_callback_host_t *
ngx_async_callback_host(ngx_str_t *name)
{
    uint32_t                    hash;
    ngx_async_callback_host_t  *host;

    hash = ngx_crc32_short(name->data, name->len);

    host = (ngx_async_callback_host_t *)
               ngx_str_rbtree_lookup(&ngx_async_callback_hosts, name, hash);

    if (host) {
        return host;
    }

    host = ngx_calloc(sizeof(ngx_async_callback_host_t) + name->len,
                      ngx_cycle->log);
    if (host == NULL) {
        return NULL;
    }

    host->sn.node.key = hash;
    host->sn.str.len = name->len;
    host->sn.str.data = (u_char *) host + sizeof(ngx_async_callback_host_t);
    ngx_memcpy(host->sn.str.data, name->data, name->len);

    ngx_queue_init(&host->line);
    ngx_rbtree_insert(&ngx_async_callback_hosts, &host->sn.node);

    return host;
}


static ngx_int_t
ngx_async_callback_wait(ngx_async_callback_host_t *host, ngx_async_id_t *id,
    ngx_msec_t leased)
{
    ngx_async_callback_wait_t  *w;

    if (host->length < NGX_ASYNC_CALLBACK_LINE
        && ngx_async_callback_waiting < NGX_ASYNC_CALLBACK_ALL_LINES)
    {
        w = ngx_alloc(sizeof(ngx_async_callback_wait_t), ngx_cycle->log);

        if (w) {
            w->id = *id;
            w->leased = leased;

            if (host->length++ == 0) {
                ngx_queue_insert_tail(&ngx_async_callback_lines, &host->queue);
            }

            ngx_async_callback_waiting++;
            ngx_queue_insert_tail(&host->line, &w->queue);
        }
    }

    ngx_async_callback_forget(host);

    return NGX_DECLINED;
}


/* gives a place back; then those in line may take it */

static void
ngx_async_callback_leave(ngx_async_callback_host_t *host)
{
    ngx_async_callback_give(host);
    ngx_async_callback_next();
}


static void
ngx_async_callback_give(ngx_async_callback_host_t *host)
{
    host->places--;
    ngx_async_callback_places--;

    ngx_async_callback_forget(host);
}


static void
ngx_async_callback_forget(ngx_async_callback_host_t *host)
{
    if (host->places == 0 && host->length == 0) {
        ngx_rbtree_delete(&ngx_async_callback_hosts, &host->sn.node);
        ngx_free(host);
    }
}


static void
ngx_async_callback_next(void)
{
    ngx_queue_t                *q, *next, *last;
    ngx_async_callback_host_t  *host;

    if (ngx_queue_empty(&ngx_async_callback_lines)) {
        return;
    }

    last = ngx_queue_last(&ngx_async_callback_lines);
    q = ngx_queue_head(&ngx_async_callback_lines);

    for ( ;; ) {

        if (ngx_async_callback_places >= NGX_ASYNC_CALLBACK_ALL_PLACES) {
            return;
        }

        next = ngx_queue_next(q);
        host = ngx_queue_data(q, ngx_async_callback_host_t, queue);

        if (host->places < NGX_ASYNC_CALLBACK_PLACES) {

            ngx_queue_remove(q);

            if (ngx_async_callback_next_of(host)) {
                ngx_queue_insert_tail(&ngx_async_callback_lines, q);
            }
        }

        if (q == last) {
            return;
        }

        q = next;
    }
}


/* the first in line that is still in time; true if others are behind it */

static ngx_uint_t
ngx_async_callback_next_of(ngx_async_callback_host_t *host)
{
    ngx_queue_t                *q;
    ngx_uint_t                  more;
    ngx_async_callback_wait_t  *w, found;

    found.leased = 0;

    while (host->length) {
        q = ngx_queue_head(&host->line);
        w = ngx_queue_data(q, ngx_async_callback_wait_t, queue);

        found = *w;

        ngx_queue_remove(q);
        ngx_free(w);

        host->length--;
        ngx_async_callback_waiting--;

        if (!ngx_exiting
            && ngx_current_msec - found.leased < NGX_ASYNC_CALLBACK_PATIENCE)
        {
            break;
        }

        if (host->length == 0) {
            ngx_async_callback_forget(host);
            return 0;
        }
    }

    more = (host->length != 0);

    host->places++;
    ngx_async_callback_places++;

    ngx_async_callback_get(&found.id, found.leased, host);

    return more;
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
