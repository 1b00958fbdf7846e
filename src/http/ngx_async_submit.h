
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_SUBMIT_H_INCLUDED_
#define _NGX_ASYNC_SUBMIT_H_INCLUDED_


#include "src/ngx_async.h"
#include "src/call/ngx_async_held.h"
#include "src/base/ngx_async_prefer.h"
#include "src/http/ngx_async_shutdown.h"


/*
 * A submission, from the precontent phase to the client's answer.  It lives
 * in the pool of the client's request.
 */

typedef struct {
    ngx_http_request_t    *request;
    ngx_async_loc_conf_t  *alcf;
    ngx_async_held_t       held;        /* held.run: while it depends on it */
    ngx_event_t            timer;       /* end of the hold */
    ngx_async_shutdown_t   shutdown;
    struct ngx_async_ask_s  *ask;       /* of a job that is in the store */
    ngx_async_prefer_t     prefer;
    ngx_msec_t             wait;        /* how long to hold, 0: not */
    ngx_async_job_t       *job;         /* for variables: numbers, its queue */
    ngx_str_t              bypass;      /* why it is run synchronously */
    u_char                 hash[NGX_ASYNC_HASH_LEN];    /* with "hashed" */
    void                  *hashing;     /* under way in a thread, or NULL */
    unsigned               redirect:1;  /* 303 to J/wait instead of 202 */
    unsigned               navigation:1;
    unsigned               keyed:1;
    unsigned               hashed:1;
    unsigned               declined:1;  /* the phases go on */
    unsigned               expired:1;   /* the hold is over */
} ngx_async_submit_t;


/* the request's fingerprint, as ngx_async_key_fingerprint() gives it */
ngx_int_t ngx_async_submit_fingerprint(ngx_http_request_t *r, u_char *hash);


#endif /* _NGX_ASYNC_SUBMIT_H_INCLUDED_ */
