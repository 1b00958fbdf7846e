
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_H_INCLUDED_
#define _NGX_ASYNC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "src/base/ngx_async_id.h"
#include "src/base/ngx_async_time.h"
#include "src/base/ngx_async_job.h"
#include "src/store/ngx_async_store.h"


/*
 * The module's configuration, as its directives fill it (ngx_async_module.c),
 * and what every layer above the store may know of it.
 */

typedef enum {
    NGX_ASYNC_OFF = 0,
    NGX_ASYNC_ON,
    NGX_ASYNC_PREFER
} ngx_async_mode_e;

typedef enum {
    NGX_ASYNC_WAIT_ACCEPTED = 0,
    NGX_ASYNC_WAIT_REDIRECT
} ngx_async_wait_e;

typedef enum {
    NGX_ASYNC_LIST_OFF = 0,
    NGX_ASYNC_LIST_OWN,
    NGX_ASYNC_LIST_ALL
} ngx_async_list_e;

/* conditions of async_retry and of pause_on= */
#define NGX_ASYNC_COND_ERROR           0x0001
#define NGX_ASYNC_COND_TIMEOUT         0x0002
#define NGX_ASYNC_COND_HTTP_429        0x0004
#define NGX_ASYNC_COND_HTTP_500        0x0008
#define NGX_ASYNC_COND_HTTP_502        0x0010
#define NGX_ASYNC_COND_HTTP_503        0x0020
#define NGX_ASYNC_COND_HTTP_504        0x0040
#define NGX_ASYNC_COND_NON_IDEMPOTENT  0x0080


typedef struct {
    ngx_str_t                  name;
    ngx_uint_t                 number;      /* in shared memory */
    ngx_uint_t                 concurrency;
    ngx_async_limits_t         limits;
    ngx_http_complex_value_t  *per;
    ngx_uint_t                 pause_on;    /* NGX_ASYNC_COND_* */
    ngx_msec_t                 pause;
    unsigned                   declared:1;
    unsigned                   used:1;      /* by a location */

    /* of this worker */
    ngx_uint_t                 claiming;    /* CLAIM operations under way */
    ngx_uint_t                 declined;    /* that found nothing, in a row */
    unsigned                   news:1;      /* a claim is to be made anyway */
    ngx_event_t                retry;
} ngx_async_queue_t;


typedef struct ngx_async_loc_conf_s  ngx_async_loc_conf_t;

typedef struct {
    ngx_async_store_conf_t     store;
    ngx_path_t                *path;
    ngx_array_t                queues;      /* of ngx_async_queue_t * */
    ngx_array_t                locations;   /* of ngx_async_loc_conf_t * */
    ngx_rbtree_t               tree;        /* the same by their keys */
    ngx_rbtree_node_t          sentinel;
    ngx_async_loc_conf_t      *found;       /* the one found last */
    ngx_uint_t                 content_phase;   /* index of its first handler */
    ngx_array_t                upstream_modules;    /* of ngx_module_t * */
    ngx_array_t               *snapshot_vars;       /* the snapshot's own */
    ngx_int_t                  seen_index;  /* variable: content was reached */
    ngx_uint_t                 fingerprint; /* its variable is used */
    ngx_http_complex_value_t  *default_key;
    ngx_http_complex_value_t  *default_priority;
    unsigned                   used:1;      /* async is on somewhere */
    unsigned                   started:1;   /* in this process */
} ngx_async_main_conf_t;


typedef struct {
    ngx_str_t                  key;         /* names the server in records */
    ngx_array_t                jobs;        /* of ngx_async_loc_conf_t * */
} ngx_async_srv_conf_t;


struct ngx_async_loc_conf_s {
    ngx_uint_t                 mode;        /* ngx_async_mode_e */
    ngx_http_complex_value_t  *mode_value;  /* instead of mode, or NULL */
    ngx_str_t                  queue_name;
    ngx_async_queue_t         *queue;

    ngx_msec_t                 wait;
    ngx_uint_t                 wait_mode;   /* ngx_async_wait_e */
    ngx_msec_t                 wait_max;
    ngx_msec_t                 timeout;

    ngx_http_complex_value_t  *pass;        /* async_pass, or NULL */
    ngx_str_t                  pass_text;
    ngx_array_t               *set_headers; /* of ngx_keyval-like pairs of
                                               ngx_http_complex_value_t */
    ngx_flag_t                 ssl_verify;
    ngx_str_t                  ssl_trusted_certificate;

    ngx_uint_t                 retry;       /* NGX_ASYNC_COND_*, 0: off */
    ngx_uint_t                 retry_tries;
    ngx_msec_t                 retry_backoff;
    ngx_msec_t                 retry_max_backoff;

    ngx_http_complex_value_t  *priority;
    ngx_uint_t                 full_pass;   /* async_full pass */
    ngx_msec_t                 ttl;
    ngx_msec_t                 ttl_failed;
    ngx_msec_t                 keep_request;
    off_t                      max_response_size;

    ngx_http_complex_value_t  *key;         /* NULL: off */
    ngx_http_complex_value_t  *owner;       /* NULL: empty */
    ngx_str_t                  owner_text;

    ngx_http_complex_value_t  *callback;    /* NULL: off */
    ngx_uint_t                 callback_fixed;      /* no variables in it */
    ngx_array_t               *callback_allow;      /* of ngx_str_t */
    ngx_array_t               *callback_secrets;    /* of ngx_str_t, decoded */

    ngx_uint_t                 result_status_200;
    ngx_array_t               *hide_headers;    /* of ngx_str_t, lower case */
    ngx_array_t               *pass_headers;    /* of ngx_str_t, lower case */

    ngx_http_complex_value_t  *jobs_uri;
    ngx_str_t                  jobs_uri_text;
    ngx_str_t                  jobs_prefix; /* of the server's jobs location */
    ngx_uint_t                 jobs_list;   /* ngx_async_list_e */
    unsigned                   jobs:1;      /* async_jobs is in this location */
    unsigned                   metrics:1;   /* async_metrics is */

    ngx_async_srv_conf_t      *ascf;
    ngx_str_t                  server;      /* key of its server */
    ngx_str_t                  location;    /* key of it in the server */
    ngx_str_t                  sample_key;  /* both, for durations */
    ngx_rbtree_node_t          node;        /* by server and location */
    ngx_uint_t                 nameless;    /* "if" and limit_except in it */
    ngx_http_conf_ctx_t       *ctx;         /* the configuration to enter */

    /* proxy_* timeouts raised to "timeout", made when first needed */
    void                      *upstream_conf;
    void                      *upstream_orig;

    ngx_uint_t                 direct_large;    /* see the direct call */
};


extern ngx_module_t  ngx_async_module;
extern ngx_module_t  ngx_async_tail_module;


/*
 * The location that a job was born in, in the running configuration, or NULL
 * if its server or location is gone.
 */
ngx_async_loc_conf_t *ngx_async_location_find(ngx_str_t *server,
    ngx_str_t *location);

/* the configured queue of this name, or NULL */
ngx_async_queue_t *ngx_async_queue_find(ngx_str_t *name);


#endif /* _NGX_ASYNC_H_INCLUDED_ */
