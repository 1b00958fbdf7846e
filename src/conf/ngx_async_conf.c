
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/conf/ngx_async_conf.h"
#include "src/http/ngx_async_http.h"
#include "src/store/ngx_async_shared.h"


#define NGX_ASYNC_STORE_SIZE  ((size_t) 8 * 1024 * 1024 * 1024)


static char *ngx_async_conf_merge_mode(ngx_conf_t *cf,
    ngx_async_loc_conf_t *prev, ngx_async_loc_conf_t *conf);
static void ngx_async_conf_merge_jobs(ngx_async_loc_conf_t *conf,
    ngx_async_loc_conf_t *prev);
static ngx_int_t ngx_async_conf_name_location(ngx_conf_t *cf,
    ngx_async_loc_conf_t *prev, ngx_async_loc_conf_t *conf);
static ngx_int_t ngx_async_conf_default_key(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf);
static ngx_int_t ngx_async_conf_default_value(ngx_conf_t *cf,
    const char *text, ngx_http_complex_value_t **cv);
static ngx_uint_t ngx_async_location_is(ngx_async_loc_conf_t *alcf,
    ngx_str_t *server, ngx_str_t *location);


void *
ngx_async_conf_create_main(ngx_conf_t *cf)
{
    ngx_async_main_conf_t  *amcf;

    amcf = ngx_pcalloc(cf->pool, sizeof(ngx_async_main_conf_t));
    if (amcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&amcf->queues, cf->pool, 4, sizeof(ngx_async_queue_t *))
        != NGX_OK
        || ngx_array_init(&amcf->locations, cf->pool, 16,
                          sizeof(ngx_async_loc_conf_t *))
           != NGX_OK
        || ngx_array_init(&amcf->upstream_modules, cf->pool, 4,
                          sizeof(ngx_module_t *))
           != NGX_OK)
    {
        return NULL;
    }

    ngx_rbtree_init(&amcf->tree, &amcf->sentinel, ngx_rbtree_insert_value);

    amcf->store.size = NGX_ASYNC_STORE_SIZE;

    return amcf;
}


char *
ngx_async_conf_init_main(ngx_conf_t *cf, void *conf)
{
    ngx_async_main_conf_t *amcf = conf;

    ngx_str_t  name;

    ngx_str_set(&name, "default");

    if (ngx_async_conf_find_queue(amcf, &name)) {
        return NGX_CONF_OK;
    }

    return ngx_async_conf_add_queue(cf, amcf, &name) ? NGX_CONF_OK
                                                     : NGX_CONF_ERROR;
}


ngx_async_queue_t *
ngx_async_conf_add_queue(ngx_conf_t *cf, ngx_async_main_conf_t *amcf,
    ngx_str_t *name)
{
    ngx_async_queue_t  *queue, **q;

    if (amcf->queues.nelts == NGX_ASYNC_QUEUES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "too many queues: at most %d can be used, "
                           "\"default\" included; let locations share one, "
                           "in which the values of \"per=\" take turns",
                           NGX_ASYNC_QUEUES);
        return NULL;
    }

    queue = ngx_pcalloc(cf->pool, sizeof(ngx_async_queue_t));
    q = ngx_array_push(&amcf->queues);

    if (queue == NULL || q == NULL) {
        return NULL;
    }

    *q = queue;

    queue->name = *name;
    queue->concurrency = NGX_ASYNC_QUEUE_CONCURRENCY;
    queue->limits.backlog = NGX_ASYNC_QUEUE_BACKLOG;
    queue->limits.since = ngx_async_time_steady();
    queue->limits.pauseless = 1;

    return queue;
}


void *
ngx_async_conf_create_srv(ngx_conf_t *cf)
{
    ngx_async_srv_conf_t  *ascf;

    ascf = ngx_pcalloc(cf->pool, sizeof(ngx_async_srv_conf_t));
    if (ascf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&ascf->jobs, cf->pool, 2,
                       sizeof(ngx_async_loc_conf_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return ascf;
}


void *
ngx_async_conf_create_loc(ngx_conf_t *cf)
{
    ngx_async_loc_conf_t  *alcf;

    alcf = ngx_pcalloc(cf->pool, sizeof(ngx_async_loc_conf_t));
    if (alcf == NULL) {
        return NULL;
    }

    alcf->mode = NGX_CONF_UNSET_UINT;
    alcf->wait = NGX_CONF_UNSET_MSEC;
    alcf->wait_mode = NGX_CONF_UNSET_UINT;
    alcf->wait_max = NGX_CONF_UNSET_MSEC;
    alcf->timeout = NGX_CONF_UNSET_MSEC;
    alcf->set_headers = NGX_CONF_UNSET_PTR;
    alcf->ssl_verify = NGX_CONF_UNSET;
    alcf->retry = NGX_CONF_UNSET_UINT;
    alcf->priority = NGX_CONF_UNSET_PTR;
    alcf->full_pass = NGX_CONF_UNSET_UINT;
    alcf->ttl = NGX_CONF_UNSET_MSEC;
    alcf->ttl_failed = NGX_CONF_UNSET_MSEC;
    alcf->keep_request = NGX_CONF_UNSET_MSEC;
    alcf->max_response_size = NGX_CONF_UNSET;
    alcf->key = NGX_CONF_UNSET_PTR;
    alcf->owner = NGX_CONF_UNSET_PTR;
    alcf->callback = NGX_CONF_UNSET_PTR;
    alcf->callback_fixed = NGX_CONF_UNSET_UINT;
    alcf->callback_allow = NGX_CONF_UNSET_PTR;
    alcf->callback_secrets = NGX_CONF_UNSET_PTR;
    alcf->result_status_200 = NGX_CONF_UNSET_UINT;
    alcf->hide_headers = NGX_CONF_UNSET_PTR;
    alcf->pass_headers = NGX_CONF_UNSET_PTR;
    alcf->jobs_uri = NGX_CONF_UNSET_PTR;
    alcf->jobs_list = NGX_CONF_UNSET_UINT;

    return alcf;
}


char *
ngx_async_conf_merge_loc(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_async_loc_conf_t *prev = parent;
    ngx_async_loc_conf_t *conf = child;

    ngx_async_main_conf_t     *amcf;
    ngx_http_core_loc_conf_t  *clcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_async_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (ngx_async_conf_merge_mode(cf, prev, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_msec_value(conf->wait, prev->wait, 0);
    ngx_conf_merge_uint_value(conf->wait_mode, prev->wait_mode,
                              NGX_ASYNC_WAIT_ACCEPTED);
    ngx_conf_merge_msec_value(conf->wait_max, prev->wait_max, 55000);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 3600000);

    ngx_conf_merge_ptr_value(conf->set_headers, prev->set_headers, NULL);
    ngx_conf_merge_value(conf->ssl_verify, prev->ssl_verify, 1);
    ngx_conf_merge_str_value(conf->ssl_trusted_certificate,
                             prev->ssl_trusted_certificate, "");

    if (conf->retry == NGX_CONF_UNSET_UINT) {
        conf->retry = prev->retry;
        conf->retry_tries = prev->retry_tries;
        conf->retry_backoff = prev->retry_backoff;
        conf->retry_max_backoff = prev->retry_max_backoff;
    }

    if (conf->retry == NGX_CONF_UNSET_UINT) {
        conf->retry = 0;
    }

    ngx_conf_merge_uint_value(conf->full_pass, prev->full_pass, 0);
    ngx_conf_merge_msec_value(conf->ttl, prev->ttl, 86400000);
    ngx_conf_merge_msec_value(conf->ttl_failed, prev->ttl_failed, conf->ttl);
    ngx_conf_merge_msec_value(conf->keep_request, prev->keep_request, 0);
    ngx_conf_merge_off_value(conf->max_response_size,
                             prev->max_response_size,
                             NGX_ASYNC_MAX_RESPONSE);

    if (ngx_async_conf_default_key(cf, amcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_ptr_value(conf->key, prev->key, amcf->default_key);
    ngx_conf_merge_ptr_value(conf->priority, prev->priority,
                             amcf->default_priority);

    ngx_async_conf_merge_jobs(conf, prev);

    if (clcf->noname && conf->pass == NULL && clcf->handler == NULL
        && prev->pass)
    {
        /* "if" and limit_except, as for proxy_pass */
        conf->pass = prev->pass;
        conf->pass_text = prev->pass_text;
        clcf->handler = ngx_async_pass_handler;
    }

    return (ngx_async_conf_name_location(cf, prev, conf) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_async_conf_merge_mode(ngx_conf_t *cf, ngx_async_loc_conf_t *prev,
    ngx_async_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if ((conf->jobs || conf->metrics)
        && (conf->mode_value || conf->mode == NGX_ASYNC_ON
            || conf->mode == NGX_ASYNC_PREFER))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" has \"async\" and \"%s\", which "
                      "answers its requests at once: give each of them a "
                      "location of its own", &clcf->name,
                      conf->jobs ? "async_jobs" : "async_metrics");
        return NGX_CONF_ERROR;
    }

    if (conf->mode == NGX_CONF_UNSET_UINT && conf->mode_value == NULL) {
        conf->mode_value = prev->mode_value;
        conf->mode = prev->mode;
        conf->queue_name = prev->queue_name;
    }

    if (conf->mode == NGX_CONF_UNSET_UINT) {
        conf->mode = NGX_ASYNC_OFF;
    }

    return NGX_CONF_OK;
}


/* whose jobs they are, who is told of them, and how they are read */

static void
ngx_async_conf_merge_jobs(ngx_async_loc_conf_t *conf,
    ngx_async_loc_conf_t *prev)
{
    if (conf->owner == NGX_CONF_UNSET_PTR) {
        conf->owner_text = prev->owner_text;
    }

    ngx_conf_merge_ptr_value(conf->owner, prev->owner, NULL);
    ngx_conf_merge_ptr_value(conf->callback, prev->callback, NULL);
    ngx_conf_merge_uint_value(conf->callback_fixed, prev->callback_fixed, 0);
    ngx_conf_merge_ptr_value(conf->callback_allow, prev->callback_allow, NULL);
    ngx_conf_merge_ptr_value(conf->callback_secrets, prev->callback_secrets,
                             NULL);
    ngx_conf_merge_uint_value(conf->result_status_200,
                              prev->result_status_200, 0);
    ngx_conf_merge_ptr_value(conf->hide_headers, prev->hide_headers, NULL);
    ngx_conf_merge_ptr_value(conf->pass_headers, prev->pass_headers, NULL);

    if (conf->jobs_uri == NGX_CONF_UNSET_PTR) {
        conf->jobs_uri_text = prev->jobs_uri_text;
    }

    ngx_conf_merge_ptr_value(conf->jobs_uri, prev->jobs_uri, NULL);
    ngx_conf_merge_uint_value(conf->jobs_list, prev->jobs_list,
                              NGX_ASYNC_LIST_OFF);
}


/*
 * The key of a location: where it is in its server, as it is written.  "if"
 * and limit_except blocks are counted.
 */

static ngx_int_t
ngx_async_conf_name_location(ngx_conf_t *cf, ngx_async_loc_conf_t *prev,
    ngx_async_loc_conf_t *conf)
{
    u_char                      *p;
    const char                  *kind;
    ngx_http_conf_ctx_t         *ctx;
    ngx_async_loc_conf_t       **alcfp;
    ngx_async_main_conf_t       *amcf;
    ngx_http_core_loc_conf_t    *clcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_async_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    ctx = ngx_palloc(cf->pool, sizeof(ngx_http_conf_ctx_t));
    alcfp = ngx_array_push(&amcf->locations);

    if (ctx == NULL || alcfp == NULL) {
        return NGX_ERROR;
    }

    *ctx = *(ngx_http_conf_ctx_t *) cf->ctx;
    *alcfp = conf;

    conf->ctx = ctx;
    conf->ascf = ngx_http_conf_get_module_srv_conf(cf, ngx_async_module);

    p = ngx_pnalloc(cf->pool, prev->location.len + clcf->name.len
                              + NGX_INT_T_LEN + 8);
    if (p == NULL) {
        return NGX_ERROR;
    }

    conf->location.data = p;

    if (clcf->noname) {
        p = ngx_sprintf(p, "%V #%ui", &prev->location, ++prev->nameless);

    } else {
        kind = clcf->exact_match ? "= " : "";

#if (NGX_PCRE)
        if (clcf->regex) {
            kind = "~ ";
        }
#endif

        p = ngx_sprintf(p, "%V%s%s%V", &prev->location,
                        prev->location.len ? " " : "", kind, &clcf->name);
    }

    conf->location.len = p - conf->location.data;

    if (conf->jobs) {
        alcfp = ngx_array_push(&conf->ascf->jobs);
        if (alcfp == NULL) {
            return NGX_ERROR;
        }

        *alcfp = conf;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_conf_default_key(ngx_conf_t *cf, ngx_async_main_conf_t *amcf)
{
    if (amcf->default_key) {
        return NGX_OK;
    }

    if (ngx_async_conf_default_value(cf, "$http_idempotency_key",
                                     &amcf->default_key)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_async_conf_default_value(cf, "$http_priority",
                                        &amcf->default_priority);
}


static ngx_int_t
ngx_async_conf_default_value(ngx_conf_t *cf, const char *text,
    ngx_http_complex_value_t **cv)
{
    ngx_str_t  value;

    value.data = (u_char *) text;
    value.len = ngx_strlen(text);

    return ngx_async_conf_compile(cf, &value, cv) == NGX_CONF_OK
           ? NGX_OK : NGX_ERROR;
}


ngx_async_queue_t *
ngx_async_conf_find_queue(ngx_async_main_conf_t *amcf, ngx_str_t *name)
{
    ngx_uint_t           i;
    ngx_async_queue_t  **queue;

    queue = amcf->queues.elts;

    for (i = 0; i < amcf->queues.nelts; i++) {
        if (queue[i]->name.len == name->len
            && ngx_strncmp(queue[i]->name.data, name->data, name->len) == 0)
        {
            return queue[i];
        }
    }

    return NULL;
}


ngx_async_queue_t *
ngx_async_queue_find(ngx_str_t *name)
{
    ngx_async_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_async_module);

    return ngx_async_conf_find_queue(amcf, name);
}


static ngx_uint_t
ngx_async_location_is(ngx_async_loc_conf_t *alcf, ngx_str_t *server,
    ngx_str_t *location)
{
    return alcf->server.len == server->len
           && alcf->location.len == location->len
           && ngx_memcmp(alcf->server.data, server->data, server->len) == 0
           && ngx_memcmp(alcf->location.data, location->data, location->len)
              == 0;
}


ngx_async_loc_conf_t *
ngx_async_location_find(ngx_str_t *server, ngx_str_t *location)
{
    ngx_async_loc_conf_t   *alcf;
    ngx_async_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_async_module);
    alcf = amcf->found;

    if (alcf && ngx_async_location_is(alcf, server, location)) {
        return alcf;
    }

    alcf = ngx_async_conf_find_location(amcf, server, location);

    if (alcf) {
        amcf->found = alcf;
    }

    return alcf;
}


/* takes no memory: a location that is not found ends jobs for good */

ngx_async_loc_conf_t *
ngx_async_conf_find_location(ngx_async_main_conf_t *amcf, ngx_str_t *server,
    ngx_str_t *location)
{
    ngx_rbtree_key_t       key;
    ngx_rbtree_node_t     *node;
    ngx_async_loc_conf_t  *alcf;

    key = ngx_async_conf_location_key(server, location);
    node = amcf->tree.root;

    while (node != &amcf->sentinel) {

        if (key != node->key) {
            node = (key < node->key) ? node->left : node->right;
            continue;
        }

        alcf = ngx_rbtree_data(node, ngx_async_loc_conf_t, node);

        if (ngx_async_location_is(alcf, server, location)) {
            return alcf;
        }

        /* equal keys are inserted to the right */

        node = node->right;
    }

    return NULL;
}


ngx_rbtree_key_t
ngx_async_conf_location_key(ngx_str_t *server, ngx_str_t *location)
{
    uint32_t  hash;

    ngx_crc32_init(hash);
    ngx_crc32_update(&hash, server->data, server->len);
    ngx_crc32_update(&hash, location->data, location->len);
    ngx_crc32_final(hash);

    return hash;
}
