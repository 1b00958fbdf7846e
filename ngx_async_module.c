
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/ngx_async.h"
#include "src/call/ngx_async_callback.h"
#include "src/call/ngx_async_curl.h"
#include "src/call/ngx_async_direct.h"
#include "src/call/ngx_async_replay.h"
#include "src/call/ngx_async_snapshot.h"
#include "src/engine/ngx_async_pieces.h"
#include "src/engine/ngx_async_run.h"
#include "src/engine/ngx_async_schedule.h"
#include "src/engine/ngx_async_sweep.h"
#include "src/http/ngx_async_document.h"
#include "src/http/ngx_async_http.h"
#include "src/http/ngx_async_shutdown.h"
#include "src/http/ngx_async_reply.h"
#include "src/store/ngx_async_shared.h"
#include "src/conf/ngx_async_conf.h"


#if !(NGX_THREADS)
#error ngx_async needs nginx with threads: configure it --with-threads
#endif


static ngx_int_t ngx_async_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_async_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_async_add_handler(ngx_conf_t *cf);
static ngx_int_t ngx_async_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_async_init_process(ngx_cycle_t *cycle);
static void ngx_async_exit_process(ngx_cycle_t *cycle);
static void ngx_async_retire(void *data);
static ngx_int_t ngx_async_document_for_callback(ngx_pool_t *pool,
    ngx_async_job_t *job, ngx_str_t *json);


static ngx_conf_enum_t  ngx_async_full_values[] = {
    { ngx_string("reject"), 0 },
    { ngx_string("pass"), 1 },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_async_result_status_values[] = {
    { ngx_string("original"), 0 },
    { ngx_string("200"), 1 },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_async_jobs_list_values[] = {
    { ngx_string("off"), NGX_ASYNC_LIST_OFF },
    { ngx_string("own"), NGX_ASYNC_LIST_OWN },
    { ngx_string("all"), NGX_ASYNC_LIST_ALL },
    { ngx_null_string, 0 }
};


#define NGX_ASYNC_LOC  NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF


static ngx_command_t  ngx_async_commands[] = {

    { ngx_string("async_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
      ngx_async_conf_store,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_queue"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_async_conf_queue,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async"),
      NGX_ASYNC_LOC|NGX_HTTP_LIF_CONF|NGX_CONF_TAKE12,
      ngx_async_conf_async,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_wait"),
      NGX_ASYNC_LOC|NGX_HTTP_LIF_CONF|NGX_CONF_TAKE12,
      ngx_async_conf_wait,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_wait_max"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_msec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_async_loc_conf_t, wait_max),
      NULL },

    { ngx_string("async_timeout"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_timeout,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_async_loc_conf_t, timeout),
      NULL },

    { ngx_string("async_pass"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_CONF_TAKE1,
      ngx_async_conf_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_set_header"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE2,
      ngx_async_conf_set_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_ssl_verify"),
      NGX_ASYNC_LOC|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_async_loc_conf_t, ssl_verify),
      NULL },

    { ngx_string("async_ssl_trusted_certificate"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_trusted_certificate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_retry"),
      NGX_ASYNC_LOC|NGX_CONF_1MORE,
      ngx_async_conf_retry,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_priority"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_priority,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_async_loc_conf_t, priority),
      NULL },

    { ngx_string("async_full"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_async_loc_conf_t, full_pass),
      &ngx_async_full_values },

    { ngx_string("async_ttl"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE12,
      ngx_async_conf_ttl,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_keep_request"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_msec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_async_loc_conf_t, keep_request),
      NULL },

    { ngx_string("async_max_response_size"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_off,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_async_loc_conf_t, max_response_size),
      NULL },

    { ngx_string("async_key"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_value_or_off,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_async_loc_conf_t, key),
      NULL },

    { ngx_string("async_owner"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_owner,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_callback"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_callback,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_callback_allow"),
      NGX_ASYNC_LOC|NGX_CONF_1MORE,
      ngx_async_conf_callback_allow,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_callback_secret"),
      NGX_ASYNC_LOC|NGX_CONF_1MORE,
      ngx_async_conf_callback_secret,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_result_status"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_async_loc_conf_t, result_status_200),
      &ngx_async_result_status_values },

    { ngx_string("async_hide_header"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_header_name,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_async_loc_conf_t, hide_headers),
      NULL },

    { ngx_string("async_pass_header"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_header_name,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_async_loc_conf_t, pass_headers),
      NULL },

    { ngx_string("async_jobs"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_async_conf_jobs,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_jobs_uri"),
      NGX_ASYNC_LOC|NGX_CONF_TAKE1,
      ngx_async_conf_jobs_uri,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("async_jobs_list"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_async_conf_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_async_loc_conf_t, jobs_list),
      &ngx_async_jobs_list_values },

    { ngx_string("async_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_async_conf_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_async_module_ctx = {
    ngx_async_preconfiguration,            /* preconfiguration */
    ngx_async_postconfiguration,           /* postconfiguration */

    ngx_async_conf_create_main,            /* create main configuration */
    ngx_async_conf_init_main,              /* init main configuration */

    ngx_async_conf_create_srv,             /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_async_conf_create_loc,             /* create location configuration */
    ngx_async_conf_merge_loc               /* merge location configuration */
};


ngx_module_t  ngx_async_module = {
    NGX_MODULE_V1,
    &ngx_async_module_ctx,                 /* module context */
    ngx_async_commands,                    /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_async_init_module,                 /* init module */
    ngx_async_init_process,                /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_async_exit_process,                /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static const ngx_async_callback_handlers_t  ngx_async_callback_handlers = {
    ngx_async_document_for_callback,
    ngx_async_schedule_due
};


static ngx_async_shutdown_t  ngx_async_retirement;


static ngx_int_t
ngx_async_preconfiguration(ngx_conf_t *cf)
{
    return ngx_async_variables_add(cf);
}


static ngx_int_t
ngx_async_postconfiguration(ngx_conf_t *cf)
{
    ngx_async_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_async_module);

    if (ngx_async_conf_check(cf, amcf) != NGX_OK
        || ngx_async_variables_index(cf, amcf) != NGX_OK
        || ngx_async_snapshot_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_async_add_handler(cf);
}


/*
 * The first handler in the array is the last one that runs in its phase:
 * try_files and mirror come before a submission, the content handler after.
 */

static ngx_int_t
ngx_async_add_handler(ngx_conf_t *cf)
{
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    handlers = &cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers;

    if (ngx_array_push(handlers) == NULL) {
        return NGX_ERROR;
    }

    h = handlers->elts;

    ngx_memmove(&h[1], &h[0],
                (handlers->nelts - 1) * sizeof(ngx_http_handler_pt));

    h[0] = ngx_async_submit_handler;

    return NGX_OK;
}


static ngx_int_t
ngx_async_init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t                  i;
    ngx_http_phase_handler_t   *ph;
    ngx_async_main_conf_t      *amcf;
    ngx_http_core_main_conf_t  *cmcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_async_module);

    if (amcf == NULL) {
        return NGX_OK;
    }

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);

    ph = cmcf->phase_engine.handlers;

    for (i = 0; ph[i].checker; i++) {
        if (ph[i].checker == ngx_http_core_content_phase) {
            amcf->content_phase = i;
            break;
        }
    }

    ngx_async_conf_check_connections(cycle, amcf);

    if (ngx_process == NGX_PROCESS_SINGLE) {
        /* a reload in the process that runs already */
        return ngx_async_schedule_reconfigure(cycle, amcf);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_init_process(ngx_cycle_t *cycle)
{
    ngx_async_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_async_module);

    if (amcf == NULL || amcf->path == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    ngx_async_sweep_callbacks(ngx_async_callback_due);
    ngx_async_tail_finish_with(ngx_async_resources_finish);

    if (ngx_async_replay_init(cycle) != NGX_OK
        || ngx_async_callback_start(cycle, &ngx_async_callback_handlers)
           != NGX_OK
        || ngx_async_schedule_start(cycle, amcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_async_retirement.handler = ngx_async_retire;

    (void) ngx_async_shutdown_add(&ngx_async_retirement);

    return NGX_OK;
}


static void
ngx_async_retire(void *data)
{
    /* no other worker shall count on this one */

    ngx_async_shared_retire();
}


static void
ngx_async_exit_process(ngx_cycle_t *cycle)
{
    ngx_async_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_async_module);

    if (amcf == NULL || amcf->path == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return;
    }

    ngx_async_schedule_stop(cycle);
    ngx_async_replay_exit(cycle);
    ngx_async_curl_stop(cycle);
    ngx_async_pieces_exit();
}


static ngx_int_t
ngx_async_document_for_callback(ngx_pool_t *pool, ngx_async_job_t *job,
    ngx_str_t *json)
{
    ngx_async_document_t  d;

    ngx_memzero(&d, sizeof(ngx_async_document_t));

    d.job = job;
    d.now = ngx_async_time_now();
    d.no_query = 1;

    return ngx_async_document_create(pool, &d, json);
}
