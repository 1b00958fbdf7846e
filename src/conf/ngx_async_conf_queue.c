
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/conf/ngx_async_conf.h"


/*
 * async_store and async_queue.
 */

#define NGX_ASYNC_STORE_MIN    (1024 * 1024)
#define NGX_ASYNC_QUEUE_NAME   63


/* no header of nginx declares it */
extern ngx_module_t  ngx_thread_pool_module;


static char *ngx_async_conf_store_path(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf, ngx_str_t *value);
static ngx_int_t ngx_async_conf_store_pool(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf);
static char *ngx_async_conf_store_size(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);
static char *ngx_async_conf_store_threads(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);
static char *ngx_async_conf_queue_cond(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);
static char *ngx_async_conf_queue_per(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);


static ngx_async_conf_param_t  ngx_async_conf_store_params[] = {

    { ngx_string("size="), ngx_async_conf_store_size, 0,
      "it is a size of at least 1m, with the suffix k, m or g, for example "
      "size=8g" },

    { ngx_string("threads="), ngx_async_conf_store_threads, 0,
      "it is the name of a thread pool" },

    { ngx_null_string, NULL, 0, "known are size= and threads=" }
};


static ngx_async_conf_param_t  ngx_async_conf_queue_params[] = {

    { ngx_string("concurrency="), ngx_async_conf_param_number,
      offsetof(ngx_async_queue_t, concurrency),
      "it is a number of calls, at least 1" },

    { ngx_string("backlog="), ngx_async_conf_param_number64,
      offsetof(ngx_async_queue_t, limits.backlog),
      "it is a number of waiting jobs, at least 1" },

    { ngx_string("per_concurrency="), ngx_async_conf_param_number64,
      offsetof(ngx_async_queue_t, limits.per_concurrency),
      "it is a number of calls, at least 1" },

    { ngx_string("per_backlog="), ngx_async_conf_param_number64,
      offsetof(ngx_async_queue_t, limits.per_backlog),
      "it is a number of waiting jobs, at least 1" },

    { ngx_string("per="), ngx_async_conf_queue_per, 0,
      "\"per=\" needs a variable, for example per=$remote_addr" },

    { ngx_string("pause_on="), ngx_async_conf_queue_cond, 0,
      "it is a list with commas of error, http_429, http_500, http_502, "
      "http_503 and http_504, each of them once" },

    { ngx_string("pause="), ngx_async_conf_param_msec,
      offsetof(ngx_async_queue_t, pause),
      "it is a time, for example pause=30s" },

    { ngx_string("timeout="), ngx_async_conf_param_msec,
      offsetof(ngx_async_queue_t, limits.timeout),
      "it is a time, for example timeout=1h" },

    { ngx_null_string, NULL, 0,
      "known are concurrency=, backlog=, per=, per_concurrency=, "
      "per_backlog=, pause_on=, pause= and timeout=" }
};


char *
ngx_async_conf_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_main_conf_t *amcf = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (amcf->path) {
        return "is duplicate";
    }

    value = cf->args->elts;

    rv = ngx_async_conf_store_path(cf, amcf, &value[1]);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_async_conf_param(cf, amcf, ngx_async_conf_store_params,
                                  &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (amcf->store.thread_pool == NULL) {
        return ngx_async_conf_store_pool(cf, amcf) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_async_conf_store_size(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_async_main_conf_t *amcf = conf;

    ssize_t  size;

    size = ngx_async_conf_size(value);

    if (size == NGX_ERROR || size < NGX_ASYNC_STORE_MIN) {
        return NGX_CONF_ERROR;
    }

    amcf->store.size = size;

    return NGX_CONF_OK;
}


static char *
ngx_async_conf_store_threads(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_async_main_conf_t *amcf = conf;

    if (value->len) {
        amcf->store.thread_pool = ngx_thread_pool_add(cf, value);
    }

    return amcf->store.thread_pool ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* nginx creates the directory, and gives it to the user of the workers */

static char *
ngx_async_conf_store_path(ngx_conf_t *cf, ngx_async_main_conf_t *amcf,
    ngx_str_t *value)
{
    ngx_path_t  *path;
    const char  *reason;

    if (ngx_http_script_variables_count(value)) {
        return ngx_async_conf_bad(cf, value,
                                  "the path may not have variables");
    }

    if (value->len == 0) {
        return ngx_async_conf_bad(cf, value, "give the store a directory");
    }

    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (path == NULL) {
        return NGX_CONF_ERROR;
    }

    path->name = *value;

    if (path->name.len > 1 && path->name.data[path->name.len - 1] == '/') {
        path->name.len--;
        path->name.data[path->name.len] = '\0';
    }

    if (ngx_conf_full_name(cf->cycle, &path->name, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* a signal must reach its nginx whatever has become of the store */

    if (ngx_process != NGX_PROCESS_SIGNALLER
        && ngx_async_store_inspect((char *) path->name.data, &reason) != NGX_OK)
    {
        return ngx_async_conf_bad(cf, &path->name, reason);
    }

    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    if (ngx_add_path(cf, &path) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    amcf->path = path;
    amcf->store.path = path->name;

    return NGX_CONF_OK;
}


/*
 * A thread pool of its own, so that slow reads of others do not delay commits:
 * declared as if "thread_pool ngx_async threads=4;" was in the configuration.
 */

static ngx_int_t
ngx_async_conf_store_pool(ngx_conf_t *cf, ngx_async_main_conf_t *amcf)
{
    ngx_str_t       *value;
    ngx_uint_t       i;
    ngx_array_t     *args, own;
    ngx_command_t   *cmd;

    cmd = ngx_thread_pool_module.commands;

    if (ngx_array_init(&own, cf->pool, 3, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < 3; i++) {
        (void) ngx_array_push(&own);
    }

    value = own.elts;

    ngx_str_set(&value[0], "thread_pool");
    ngx_str_set(&value[1], "ngx_async");
    ngx_str_set(&value[2], "threads=4");

    args = cf->args;
    cf->args = &own;

    if (cmd->set(cf, cmd, NULL) != NGX_CONF_OK) {
        cf->args = args;
        return NGX_ERROR;
    }

    cf->args = args;

    amcf->store.thread_pool = ngx_thread_pool_add(cf, &value[1]);

    return amcf->store.thread_pool ? NGX_OK : NGX_ERROR;
}


char *
ngx_async_conf_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_main_conf_t *amcf = conf;

    char                *rv;
    ngx_str_t           *value;
    ngx_uint_t           i;
    ngx_async_queue_t   *queue;

    value = cf->args->elts;

    if (value[1].len == 0 || value[1].len > NGX_ASYNC_QUEUE_NAME
        || ngx_strlchr(value[1].data, value[1].data + value[1].len, '='))
    {
        return ngx_async_conf_bad(cf, &value[1],
                                  "the first argument is the name of the "
                                  "queue, 1 to 63 characters without "
                                  "\"=\"");
    }

    if (ngx_http_script_variables_count(&value[1])) {
        return ngx_async_conf_bad(cf, &value[1],
                                  "the name of a queue may not have "
                                  "variables");
    }

    if (ngx_async_conf_find_queue(amcf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate queue \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    queue = ngx_async_conf_add_queue(cf, amcf, &value[1]);

    if (queue == NULL) {
        return NGX_CONF_ERROR;
    }

    queue->declared = 1;

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_async_conf_param(cf, queue, ngx_async_conf_queue_params,
                                  &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if ((queue->limits.per_concurrency || queue->limits.per_backlog)
        && queue->per == NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"per_concurrency\" and \"per_backlog\" of queue "
                           "\"%V\" need \"per=\", for example "
                           "per=$remote_addr", &queue->name);
        return NGX_CONF_ERROR;
    }

    if (queue->limits.per_concurrency > queue->concurrency) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "per_concurrency=%uL of queue \"%V\" limits "
                           "nothing: its concurrency is %ui",
                           queue->limits.per_concurrency, &queue->name,
                           queue->concurrency);
    }

    if (queue->pause && queue->pause_on == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"pause\" of queue \"%V\" needs \"pause_on=\", "
                           "for example pause_on=error,http_503",
                           &queue->name);
        return NGX_CONF_ERROR;
    }

    if (queue->pause == 0) {
        queue->pause = NGX_ASYNC_QUEUE_PAUSE;
    }

    queue->limits.pauseless = (queue->pause_on == 0);
    queue->limits.fair = (queue->per != NULL);

    return NGX_CONF_OK;
}


static char *
ngx_async_conf_queue_cond(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_async_queue_t *queue = conf;

    queue->pause_on = ngx_async_conf_cond_list(value);

    return (queue->pause_on
            && (queue->pause_on & (NGX_ASYNC_COND_NON_IDEMPOTENT
                                   |NGX_ASYNC_COND_TIMEOUT)) == 0)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_async_conf_queue_per(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_async_queue_t *queue = conf;

    if (ngx_http_script_variables_count(value) == 0) {
        return NGX_CONF_ERROR;
    }

    return ngx_async_conf_compile(cf, value, &queue->per);
}


void
ngx_async_conf_check_connections(ngx_cycle_t *cycle,
    ngx_async_main_conf_t *amcf)
{
    ngx_uint_t            i, n;
    ngx_core_conf_t      *ccf;
    ngx_event_conf_t     *ecf;
    ngx_async_queue_t   **queue;

    if (!amcf->used) {
        return;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);
    ecf = ngx_event_get_conf(cycle->conf_ctx, ngx_event_core_module);

    n = ecf->connections * (ccf->master ? ngx_max(ccf->worker_processes, 1)
                                        : 1);

    queue = amcf->queues.elts;

    for (i = 0; i < amcf->queues.nelts; i++) {

        if ((queue[i]->declared || queue[i]->used)
            && queue[i]->concurrency * 2 > n)
        {
            ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                          "\"async_queue %V\" with concurrency=%ui needs up to "
                          "%ui connections and the workers have %ui: raise "
                          "\"worker_connections\" or lower the concurrency",
                          &queue[i]->name, queue[i]->concurrency,
                          queue[i]->concurrency * 2, n);
        }
    }
}
