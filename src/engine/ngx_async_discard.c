
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "src/engine/ngx_async_discard.h"
#include "src/store/ngx_async_shared.h"
#include "src/store/ngx_async_store.h"
#include "src/base/ngx_async_time.h"


#define NGX_ASYNC_DISCARD_AGAIN  1000       /* ms, after a store that failed */


struct ngx_async_discard_s {
    ngx_async_op_t       op;
    ngx_event_t          event;
};


static void ngx_async_discard_done(ngx_async_op_t *op);
static void ngx_async_discard_again(ngx_event_t *ev);


ngx_async_discard_t *
ngx_async_discard_create(ngx_async_id_t *id)
{
    ngx_async_discard_t  *d;

    d = ngx_calloc(sizeof(ngx_async_discard_t), ngx_cycle->log);
    if (d == NULL) {
        return NULL;
    }

    d->op.type = NGX_ASYNC_OP_DISCARD;
    d->op.handler = ngx_async_discard_done;
    d->op.data = d;
    d->op.id = *id;
    ngx_memcpy(d->op.runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);

    d->event.handler = ngx_async_discard_again;
    d->event.data = d;
    d->event.log = ngx_cycle->log;
    d->event.cancelable = 1;

    return d;
}


void
ngx_async_discard_free(ngx_async_discard_t *d)
{
    ngx_free(d);
}


void
ngx_async_discard_start(ngx_async_discard_t *d)
{
    d->op.now = ngx_async_time_now();

    ngx_async_store_submit(&d->op);
}


static void
ngx_async_discard_done(ngx_async_op_t *op)
{
    ngx_async_discard_t  *d;

    d = op->data;

    ngx_async_store_release(op);

    /* when this worker is gone, the others drop what it had staged */

    if ((op->rc == NGX_ERROR || op->rc == NGX_BUSY) && !ngx_exiting) {
        ngx_add_timer(&d->event, NGX_ASYNC_DISCARD_AGAIN);
        return;
    }

    ngx_async_discard_free(d);
}


static void
ngx_async_discard_again(ngx_event_t *ev)
{
    ngx_async_discard_start(ev->data);
}
