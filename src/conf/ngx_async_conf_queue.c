
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/conf/ngx_async_conf.h"


/*
 * async_store and async_queue.
 */

#define NGX_ASYNC_STORE_MIN    (1024 * 1024)
#define NGX_ASYNC_QUEUE_NAME   63

#define ngx_async_conf_is(value, prefix)                                      \
    (ngx_strncmp((value)->data, prefix, sizeof(prefix) - 1) == 0)

#define ngx_async_conf_after(value, prefix, s)                                \
    (s)->len = (value)->len - (sizeof(prefix) - 1);                           \
    (s)->data = (value)->data + sizeof(prefix) - 1


typedef struct {
    ngx_str_t   name;
    ngx_uint_t  cond;
} ngx_async_conf_cond_t;


/* no header of nginx declares it */
extern ngx_module_t  ngx_thread_pool_module;


static char *ngx_async_conf_store_path(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf, ngx_str_t *value);
static ngx_int_t ngx_async_conf_store_pool(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf);
static char *ngx_async_conf_queue_param(ngx_conf_t *cf,
    ngx_async_queue_t *queue, ngx_str_t *value);
static char *ngx_async_conf_queue_per(ngx_conf_t *cf,
    ngx_async_queue_t *queue, ngx_str_t *s);
static char *ngx_async_conf_invalid(ngx_conf_t *cf, ngx_str_t *value,
    const char *hint);


static ngx_async_conf_cond_t  ngx_async_conf_conds[] = {
    { ngx_string("error"), NGX_ASYNC_COND_ERROR },
    { ngx_string("timeout"), NGX_ASYNC_COND_TIMEOUT },
    { ngx_string("http_429"), NGX_ASYNC_COND_HTTP_429 },
    { ngx_string("http_500"), NGX_ASYNC_COND_HTTP_500 },
    { ngx_string("http_502"), NGX_ASYNC_COND_HTTP_502 },
    { ngx_string("http_503"), NGX_ASYNC_COND_HTTP_503 },
    { ngx_string("http_504"), NGX_ASYNC_COND_HTTP_504 },
    { ngx_string("non_idempotent"), NGX_ASYNC_COND_NON_IDEMPOTENT },
    { ngx_null_string, 0 }
};


char *
ngx_async_conf_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_main_conf_t *amcf = conf;

    char        *rv;
    ssize_t      size;
    ngx_str_t   *value, s;
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

        if (ngx_async_conf_is(&value[i], "size=")) {
            ngx_async_conf_after(&value[i], "size=", &s);

            size = ngx_async_conf_size(&s);

            if (size == NGX_ERROR || size < NGX_ASYNC_STORE_MIN) {
                return ngx_async_conf_invalid(cf, &value[i],
                                              "it is a size of at least 1m, "
                                              "for example size=8g");
            }

            amcf->store.size = size;
            continue;
        }

        if (ngx_async_conf_is(&value[i], "threads=") && value[i].len > 8) {
            ngx_async_conf_after(&value[i], "threads=", &s);

            amcf->store.thread_pool = ngx_thread_pool_add(cf, &s);

            if (amcf->store.thread_pool == NULL) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        return ngx_async_conf_invalid(cf, &value[i],
                                      "known are size= and threads=");
    }

    if (amcf->store.thread_pool == NULL) {
        return ngx_async_conf_store_pool(cf, amcf) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* nginx creates the directory, and gives it to the user of the workers */

static char *
ngx_async_conf_store_path(ngx_conf_t *cf, ngx_async_main_conf_t *amcf,
    ngx_str_t *value)
{
    ngx_path_t  *path;
    const char  *reason;

    if (ngx_http_script_variables_count(value)) {
        return ngx_async_conf_invalid(cf, value,
                                      "the path may not have variables");
    }

    if (value->len == 0) {
        return ngx_async_conf_invalid(cf, value, "give the store a directory");
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
        return ngx_async_conf_invalid(cf, &path->name, reason);
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
    ngx_async_queue_t   *queue, **q;

    value = cf->args->elts;
    q = amcf->queues.elts;

    if (value[1].len == 0 || value[1].len > NGX_ASYNC_QUEUE_NAME
        || ngx_strlchr(value[1].data, value[1].data + value[1].len, '='))
    {
        return ngx_async_conf_invalid(cf, &value[1],
                                      "the first argument is the name of the "
                                      "queue, 1 to 63 characters without "
                                      "\"=\"");
    }

    for (i = 0; i < amcf->queues.nelts; i++) {
        if (q[i]->name.len == value[1].len
            && ngx_strncmp(q[i]->name.data, value[1].data, value[1].len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate queue \"%V\"", &value[1]);
            return NGX_CONF_ERROR;
        }
    }

    queue = ngx_pcalloc(cf->pool, sizeof(ngx_async_queue_t));
    q = ngx_array_push(&amcf->queues);

    if (queue == NULL || q == NULL) {
        return NGX_CONF_ERROR;
    }

    *q = queue;

    queue->name = value[1];
    queue->concurrency = NGX_ASYNC_QUEUE_CONCURRENCY;
    queue->limits.backlog = NGX_ASYNC_QUEUE_BACKLOG;
    queue->declared = 1;

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_async_conf_queue_param(cf, queue, &value[i]);

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

    return NGX_CONF_OK;
}


static char *
ngx_async_conf_queue_param(ngx_conf_t *cf, ngx_async_queue_t *queue,
    ngx_str_t *value)
{
    ngx_str_t  s;
    ngx_int_t  n;

    if (ngx_async_conf_is(value, "concurrency=")) {
        ngx_async_conf_after(value, "concurrency=", &s);

        n = ngx_atoi(s.data, s.len);
        if (n == NGX_ERROR || n == 0) {
            return ngx_async_conf_invalid(cf, value,
                                          "it is a number of calls, at least "
                                          "1");
        }

        queue->concurrency = n;
        return NGX_CONF_OK;
    }

    if (ngx_async_conf_is(value, "backlog=")) {
        ngx_async_conf_after(value, "backlog=", &s);

        n = ngx_atoi(s.data, s.len);
        if (n == NGX_ERROR || n == 0) {
            return ngx_async_conf_invalid(cf, value,
                                          "it is a number of waiting jobs, at "
                                          "least 1");
        }

        queue->limits.backlog = n;
        return NGX_CONF_OK;
    }

    if (ngx_async_conf_is(value, "per_concurrency=")) {
        ngx_async_conf_after(value, "per_concurrency=", &s);

        n = ngx_atoi(s.data, s.len);
        if (n == NGX_ERROR || n == 0) {
            return ngx_async_conf_invalid(cf, value,
                                          "it is a number of calls, at least "
                                          "1");
        }

        queue->limits.per_concurrency = n;
        return NGX_CONF_OK;
    }

    if (ngx_async_conf_is(value, "per_backlog=")) {
        ngx_async_conf_after(value, "per_backlog=", &s);

        n = ngx_atoi(s.data, s.len);
        if (n == NGX_ERROR || n == 0) {
            return ngx_async_conf_invalid(cf, value,
                                          "it is a number of waiting jobs, at "
                                          "least 1");
        }

        queue->limits.per_backlog = n;
        return NGX_CONF_OK;
    }

    if (ngx_async_conf_is(value, "per=")) {
        ngx_async_conf_after(value, "per=", &s);
        return ngx_async_conf_queue_per(cf, queue, &s);
    }

    if (ngx_async_conf_is(value, "pause_on=")) {
        ngx_async_conf_after(value, "pause_on=", &s);

        queue->pause_on = ngx_async_conf_cond_list(&s);

        if (queue->pause_on == 0
            || (queue->pause_on & (NGX_ASYNC_COND_NON_IDEMPOTENT
                                   |NGX_ASYNC_COND_TIMEOUT)))
        {
            return ngx_async_conf_invalid(cf, value,
                                          "it is a list with commas of error, "
                                          "http_429, http_500, http_502, "
                                          "http_503 and http_504");
        }

        return NGX_CONF_OK;
    }

    if (ngx_async_conf_is(value, "pause=")) {
        ngx_async_conf_after(value, "pause=", &s);

        n = ngx_parse_time(&s, 0);
        if (n == NGX_ERROR || n == 0) {
            return ngx_async_conf_invalid(cf, value,
                                          "it is a time, for example "
                                          "pause=30s");
        }

        queue->pause = n;
        return NGX_CONF_OK;
    }

    if (ngx_async_conf_is(value, "timeout=")) {
        ngx_async_conf_after(value, "timeout=", &s);

        n = ngx_parse_time(&s, 0);
        if (n == NGX_ERROR || n == 0) {
            return ngx_async_conf_invalid(cf, value,
                                          "it is a time, for example "
                                          "timeout=1h");
        }

        queue->timeout = n;
        return NGX_CONF_OK;
    }

    return ngx_async_conf_invalid(cf, value,
                                  "known are concurrency=, backlog=, per=, "
                                  "per_concurrency=, per_backlog=, pause_on=, "
                                  "pause= and timeout=");
}


static char *
ngx_async_conf_queue_per(ngx_conf_t *cf, ngx_async_queue_t *queue,
    ngx_str_t *s)
{
    ngx_http_compile_complex_value_t  ccv;

    if (s->len == 0 || ngx_http_script_variables_count(s) == 0) {
        return ngx_async_conf_invalid(cf, s, "\"per=\" needs a variable, for "
                                      "example per=$remote_addr");
    }

    queue->per = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (queue->per == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = s;
    ccv.complex_value = queue->per;

    return (ngx_http_compile_complex_value(&ccv) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


ngx_uint_t
ngx_async_conf_cond(ngx_str_t *value)
{
    ngx_async_conf_cond_t  *c;

    for (c = ngx_async_conf_conds; c->name.len; c++) {
        if (c->name.len == value->len
            && ngx_strncmp(c->name.data, value->data, value->len) == 0)
        {
            return c->cond;
        }
    }

    return 0;
}


ngx_uint_t
ngx_async_conf_cond_list(ngx_str_t *list)
{
    u_char      *p, *last, *comma;
    ngx_str_t    s;
    ngx_uint_t   cond, all;

    all = 0;
    last = list->data + list->len;

    for (p = list->data; p <= last; p = comma + 1) {

        comma = ngx_strlchr(p, last, ',');
        if (comma == NULL) {
            comma = last;
        }

        s.data = p;
        s.len = comma - p;

        cond = ngx_async_conf_cond(&s);
        if (cond == 0) {
            return 0;
        }

        all |= cond;
    }

    return all;
}


/* a size that may be given in gigabytes and is not bound to 2g */

ssize_t
ngx_async_conf_size(ngx_str_t *s)
{
    off_t  size;

    size = ngx_parse_offset(s);

    return (size == NGX_ERROR || (uint64_t) size > NGX_MAX_SIZE_T_VALUE)
           ? NGX_ERROR : (ssize_t) size;
}


static char *
ngx_async_conf_invalid(ngx_conf_t *cf, ngx_str_t *value, const char *hint)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid value \"%V\": %s",
                       value, hint);

    return NGX_CONF_ERROR;
}
