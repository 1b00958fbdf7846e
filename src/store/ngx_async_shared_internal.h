
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_SHARED_INTERNAL_H_INCLUDED_
#define _NGX_ASYNC_SHARED_INTERNAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <pthread.h>
#include "src/store/ngx_async_shared.h"


/*
 * The layout of the mapped file.  Another one has to have another size or
 * magic: nginx of two builds cannot share a store.
 */

#define NGX_ASYNC_SHARED_FILE      "shared.1"

#define NGX_ASYNC_SHARED_PAUSED    ((uint64_t) 1 << 63)
#define NGX_ASYNC_SHARED_NAME      104
#define NGX_ASYNC_SHARED_WATCHES   1024
#define NGX_ASYNC_SHARED_TIMES     512
#define NGX_ASYNC_SHARED_CALLS     8192


#define ngx_async_get(p)      __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define ngx_async_set(p, v)   __atomic_store_n(p, v, __ATOMIC_RELEASE)


typedef struct {
    uint64_t                       hash;        /* 0: no name */
    uint32_t                       len;
    uint32_t                       taken;       /* by all rows together */
    uint64_t                       ready;       /* and _PAUSED */
    uint64_t                       waiting;
    uint64_t                       txnid;
    uint64_t                       since;       /* of the limit */
    uint32_t                       limit;       /* 0: nobody has told it */
    uint32_t                       unused;
    uint64_t                       counts[16];
    u_char                         name[NGX_ASYNC_SHARED_NAME];
} ngx_async_shared_queue_t;


/* a row is free while its id is zeros */

typedef struct {
    uint64_t                       id[2];
    uint32_t                       retired;
    uint32_t                       missed;
    uint32_t                       unused[2];
    uint32_t                       queues[NGX_ASYNC_QUEUES / 32];   /* bits */
    uint32_t                       taken[NGX_ASYNC_QUEUES];
    uint16_t                       watches[NGX_ASYNC_SHARED_WATCHES];
} ngx_async_shared_row_t;


typedef struct {
    uint64_t                       key;         /* 0: free */
    uint32_t                       level;       /* milliseconds */
    uint32_t                       deviation;
    uint32_t                       samples;
    uint32_t                       used;        /* tick of the last one */
} ngx_async_shared_time_t;


/* a response that is coming; an entry is free while its tag is 0 */

typedef struct {
    uint64_t                       tag;         /* of the job and the runner */
    uint64_t                       received;
    uint64_t                       total;
    uint64_t                       unused;
} ngx_async_shared_call_t;


typedef struct {
    uint64_t                       magic;
    uint64_t                       size;
    uint32_t                       nrows;       /* ever used */
    uint32_t                       nqueues;
    uint32_t                       ntimes;      /* ticks */
    uint32_t                       unused;
    uint64_t                       durable;     /* transaction of the store */
    uint32_t                       unused2[6];

    pthread_mutex_t                mutex;

    ngx_async_shared_queue_t       queues[NGX_ASYNC_QUEUES];
    ngx_async_shared_row_t         rows[NGX_ASYNC_RUNNERS];
    ngx_async_shared_call_t        calls[NGX_ASYNC_SHARED_CALLS];
    ngx_async_shared_time_t        times[NGX_ASYNC_SHARED_TIMES];
} ngx_async_shared_t;


extern ngx_async_shared_t      *ngx_async_shared;       /* NULL: not mapped */
extern ngx_async_shared_row_t  *ngx_async_shared_own;   /* NULL: no row */


/* process-shared and robust; no call blocks while it is held */
void ngx_async_shared_lock(void);
void ngx_async_shared_unlock(void);

/* whether another process has a lock in this range; in doubt it has */
ngx_uint_t ngx_async_shared_held(ngx_uint_t first, ngx_uint_t n);

/* under the lock: forgets the responses of a runner that is gone */
void ngx_async_shared_drop_calls(ngx_uint_t row);

/* never 0 */
uint64_t ngx_async_shared_hash(ngx_str_t *s);


#endif /* _NGX_ASYNC_SHARED_INTERNAL_H_INCLUDED_ */
