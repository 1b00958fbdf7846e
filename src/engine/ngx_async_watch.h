
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_WATCH_H_INCLUDED_
#define _NGX_ASYNC_WATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/base/ngx_async_id.h"


/*
 * Who in this worker wants to know when a job changes.  A watch is owned by
 * its user, who removes it before it goes away.  Handlers are called from the
 * event loop, never from inside ngx_async_watch_add(), some hundred per turn
 * of the loop at most; a handler may remove any watch.
 */

typedef struct ngx_async_watch_s  ngx_async_watch_t;

typedef struct {
    unsigned        progress:1;     /* no change of status, only of these: */
    uint64_t        received;       /* bytes of the response so far */
    uint64_t        total;          /* 0: not known */
} ngx_async_change_t;

typedef void (*ngx_async_watch_pt)(ngx_async_watch_t *watch,
    ngx_async_change_t *change);

struct ngx_async_watch_s {
    ngx_async_id_t      id;
    ngx_async_watch_pt  handler;
    void               *data;
    unsigned            progress:1;     /* wants progress, too */
    unsigned            active:1;
    ngx_queue_t         queue;
    void               *node;
};


ngx_int_t ngx_async_watch_start(ngx_cycle_t *cycle);

/* at the exit of the process: no watch may be used afterwards */
void ngx_async_watch_stop(void);

/* NGX_ERROR: no memory */
ngx_int_t ngx_async_watch_add(ngx_async_watch_t *watch);
void ngx_async_watch_del(ngx_async_watch_t *watch);     /* idempotent */

/* the job has changed (in this worker): tells all watches, everywhere */
void ngx_async_watch_changed(ngx_async_id_t *id);
void ngx_async_watch_progress(ngx_async_id_t *id, uint64_t received,
    uint64_t total);

/* the job has changed (another worker said so): tells watches in here only */
void ngx_async_watch_told(ngx_async_id_t *id, ngx_async_change_t *change);

/* any job may have changed: tells all watches in here */
void ngx_async_watch_missed(void);

/* watches in this worker */
ngx_uint_t ngx_async_watch_count(void);


#endif /* _NGX_ASYNC_WATCH_H_INCLUDED_ */
