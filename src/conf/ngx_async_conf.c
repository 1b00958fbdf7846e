
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/conf/ngx_async_conf.h"
#include "src/call/ngx_async_direct.h"
#include "src/http/ngx_async_http.h"


#define NGX_ASYNC_STORE_SIZE  ((size_t) 8 * 1024 * 1024 * 1024)


static ngx_int_t ngx_async_conf_name_location(ngx_conf_t *cf,
    ngx_async_loc_conf_t *prev, ngx_async_loc_conf_t *conf);
static ngx_int_t ngx_async_conf_default_key(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf);
static ngx_int_t ngx_async_conf_default_value(ngx_conf_t *cf,
    const char *text, ngx_http_complex_value_t **cv);
static ngx_int_t ngx_async_conf_name_servers(ngx_conf_t *cf);
static ngx_int_t ngx_async_conf_name_server(ngx_conf_t *cf,
    ngx_http_core_srv_conf_t *cscf, ngx_str_t *addr);
static ngx_int_t ngx_async_conf_index_location(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf, ngx_async_loc_conf_t *alcf);
static ngx_int_t ngx_async_conf_check_location(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf, ngx_async_loc_conf_t *alcf);
static ngx_int_t ngx_async_conf_check_jobs(ngx_conf_t *cf,
    ngx_async_loc_conf_t *alcf);
static ngx_async_loc_conf_t *ngx_async_conf_find_jobs(
    ngx_async_loc_conf_t *alcf);
static ngx_int_t ngx_async_conf_check_owner(ngx_conf_t *cf,
    ngx_async_loc_conf_t *alcf, ngx_async_loc_conf_t *jobs);
static ngx_int_t ngx_async_conf_check_jobs_location(ngx_conf_t *cf,
    ngx_async_loc_conf_t *alcf);
static ngx_int_t ngx_async_conf_find_upstream_modules(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf);
static ngx_uint_t ngx_async_location_is(ngx_async_loc_conf_t *alcf,
    ngx_str_t *server, ngx_str_t *location);
static ngx_async_queue_t *ngx_async_conf_find_queue(
    ngx_async_main_conf_t *amcf, ngx_str_t *name);


static ngx_str_t  ngx_async_upstream_module_names[] = {
    ngx_string("ngx_http_proxy_module"),
    ngx_string("ngx_http_fastcgi_module"),
    ngx_string("ngx_http_uwsgi_module"),
    ngx_string("ngx_http_scgi_module"),
    ngx_null_string
};


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

    ngx_rbtree_init(&amcf->tree, &amcf->sentinel, ngx_str_rbtree_insert_value);

    amcf->store.size = NGX_ASYNC_STORE_SIZE;

    return amcf;
}


char *
ngx_async_conf_init_main(ngx_conf_t *cf, void *conf)
{
    ngx_async_main_conf_t *amcf = conf;

    ngx_str_t            name;
    ngx_async_queue_t   *queue, **q;

    ngx_str_set(&name, "default");

    if (ngx_async_conf_find_queue(amcf, &name)) {
        return NGX_CONF_OK;
    }

    queue = ngx_pcalloc(cf->pool, sizeof(ngx_async_queue_t));
    q = ngx_array_push(&amcf->queues);

    if (queue == NULL || q == NULL) {
        return NGX_CONF_ERROR;
    }

    *q = queue;

    queue->name = name;
    queue->concurrency = NGX_ASYNC_QUEUE_CONCURRENCY;
    queue->limits.backlog = NGX_ASYNC_QUEUE_BACKLOG;

    return NGX_CONF_OK;
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

    if (conf->mode == NGX_CONF_UNSET_UINT && conf->mode_value == NULL) {
        conf->mode_value = prev->mode_value;
        conf->mode = prev->mode;
        conf->queue_name = prev->queue_name;
    }

    if (conf->mode == NGX_CONF_UNSET_UINT) {
        conf->mode = NGX_ASYNC_OFF;
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
                             (off_t) 1024 * 1024 * 1024);

    if (ngx_async_conf_default_key(cf, amcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_ptr_value(conf->key, prev->key, amcf->default_key);
    ngx_conf_merge_ptr_value(conf->priority, prev->priority,
                             amcf->default_priority);

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
    ngx_str_t                         value;
    ngx_http_compile_complex_value_t  ccv;

    value.data = (u_char *) text;
    value.len = ngx_strlen(text);

    *cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*cv == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value;
    ccv.complex_value = *cv;

    return ngx_http_compile_complex_value(&ccv);
}


ngx_int_t
ngx_async_conf_check(ngx_conf_t *cf, ngx_async_main_conf_t *amcf)
{
    ngx_uint_t              i;
    ngx_async_loc_conf_t  **alcfp;

    if (ngx_async_conf_name_servers(cf) != NGX_OK
        || ngx_async_conf_find_upstream_modules(cf, amcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    alcfp = amcf->locations.elts;

    for (i = 0; i < amcf->locations.nelts; i++) {
        if (ngx_async_conf_check_location(cf, amcf, alcfp[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    for (i = 0; i < amcf->locations.nelts; i++) {
        if (alcfp[i]->jobs
            && ngx_async_conf_check_jobs_location(cf, alcfp[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (amcf->used && amcf->path == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"async\" needs a place for its jobs: add for example "
                      "\"async_store /var/lib/nginx/async;\" to the http "
                      "block");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the name of a server in records: its first name and its first address */

static ngx_int_t
ngx_async_conf_name_servers(ngx_conf_t *cf)
{
    ngx_uint_t                   p, a, s;
    ngx_http_conf_port_t        *port;
    ngx_http_conf_addr_t        *addr;
    ngx_http_core_srv_conf_t   **cscfp;
    ngx_http_core_main_conf_t   *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    if (cmcf->ports == NULL) {
        return NGX_OK;
    }

    port = cmcf->ports->elts;

    for (p = 0; p < cmcf->ports->nelts; p++) {

        addr = port[p].addrs.elts;

        for (a = 0; a < port[p].addrs.nelts; a++) {

            cscfp = addr[a].servers.elts;

            for (s = 0; s < addr[a].servers.nelts; s++) {

                if (ngx_async_conf_name_server(cf, cscfp[s],
                                               &addr[a].opt.addr_text)
                    != NGX_OK)
                {
                    return NGX_ERROR;
                }
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_conf_name_server(ngx_conf_t *cf, ngx_http_core_srv_conf_t *cscf,
    ngx_str_t *addr)
{
    u_char                *p;
    ngx_async_srv_conf_t  *ascf;

    ascf = cscf->ctx->srv_conf[ngx_async_module.ctx_index];

    if (ascf->key.len) {
        return NGX_OK;
    }

    p = ngx_pnalloc(cf->pool, cscf->server_name.len + 1 + addr->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ascf->key.data = p;
    ascf->key.len = ngx_sprintf(p, "%V %V", &cscf->server_name, addr) - p;

    return NGX_OK;
}


/* as "~" and "~*" with one expression: those that look the same are counted */

static ngx_int_t
ngx_async_conf_index_location(ngx_conf_t *cf, ngx_async_main_conf_t *amcf,
    ngx_async_loc_conf_t *alcf)
{
    size_t       len;
    u_char      *p;
    ngx_str_t   *key;
    ngx_uint_t   n;

    key = &alcf->sample_key;

    len = alcf->server.len + 1 + alcf->location.len;

    p = ngx_pnalloc(cf->pool, len + sizeof(" *") - 1 + NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    key->data = p;
    key->len = ngx_sprintf(p, "%V %V", &alcf->server, &alcf->location) - p;

    for (n = 2; /* void */ ; n++) {

        alcf->node.str = *key;
        alcf->node.node.key = ngx_crc32_long(key->data, key->len);

        if (ngx_str_rbtree_lookup(&amcf->tree, key, alcf->node.node.key)
            == NULL)
        {
            break;
        }

        key->len = ngx_sprintf(p + len, " *%ui", n) - p;
    }

    alcf->location.data = p + alcf->server.len + 1;
    alcf->location.len = key->len - alcf->server.len - 1;

    ngx_rbtree_insert(&amcf->tree, &alcf->node.node);

    return NGX_OK;
}


static ngx_int_t
ngx_async_conf_check_location(ngx_conf_t *cf, ngx_async_main_conf_t *amcf,
    ngx_async_loc_conf_t *alcf)
{
    ngx_str_t  name;

    alcf->server = alcf->ascf->key;

    if (ngx_async_conf_index_location(cf, amcf, alcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (alcf->queue_name.len) {
        name = alcf->queue_name;

    } else {
        ngx_str_set(&name, "default");
    }

    alcf->queue = ngx_async_conf_find_queue(amcf, &name);

    if (alcf->queue == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the queue \"%V\" of \"async\" in location \"%V\" is "
                      "not known: add \"async_queue %V;\" to the http block",
                      &name, &alcf->location, &name);
        return NGX_ERROR;
    }

    if (alcf->pass) {

        if (alcf->mode == NGX_ASYNC_OFF && alcf->mode_value == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"async_pass\" in location \"%V\" needs "
                          "\"async on\", \"async prefer\" or a variable; "
                          "without them use \"proxy_pass\"",
                          &alcf->location);
            return NGX_ERROR;
        }

        if (ngx_async_direct_check_upstream(cf, &alcf->pass_text) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (alcf->mode == NGX_ASYNC_OFF && alcf->mode_value == NULL) {
        return NGX_OK;
    }

    amcf->used = 1;
    alcf->queue->used = 1;

    return (alcf->jobs || alcf->metrics)
           ? NGX_OK : ngx_async_conf_check_jobs(cf, alcf);
}


/* where the clients of this location find their jobs */

static ngx_int_t
ngx_async_conf_check_jobs(ngx_conf_t *cf, ngx_async_loc_conf_t *alcf)
{
    ngx_array_t                *jobs;
    ngx_async_loc_conf_t      **jlcf;
    ngx_http_core_loc_conf_t   *clcf;

    jobs = &alcf->ascf->jobs;
    jlcf = jobs->elts;

    if (alcf->ascf->key.len == 0) {
        /* the http block itself */
        return NGX_OK;
    }

    if (alcf->jobs_uri) {
        return ngx_async_conf_check_owner(cf, alcf,
                                          ngx_async_conf_find_jobs(alcf));
    }

    if (jobs->nelts == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"async\" in location \"%V\" of server \"%V\" has no "
                      "place where clients find their jobs: add "
                      "\"location /jobs/ { async_jobs; }\" to the server, or "
                      "set \"async_jobs_uri\"",
                      &alcf->location, &alcf->server);
        return NGX_ERROR;
    }

    if (jobs->nelts > 1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "server \"%V\" has several locations with "
                      "\"async_jobs\": say by \"async_jobs_uri\" which one "
                      "location \"%V\" uses", &alcf->server, &alcf->location);
        return NGX_ERROR;
    }

    clcf = jlcf[0]->ctx->loc_conf[ngx_http_core_module.ctx_index];

    alcf->jobs_prefix = clcf->name;

    return ngx_async_conf_check_owner(cf, alcf, jlcf[0]);
}


/* the jobs location that async_jobs_uri is likely to lead to, or NULL */

static ngx_async_loc_conf_t *
ngx_async_conf_find_jobs(ngx_async_loc_conf_t *alcf)
{
    ngx_str_t                  *uri;
    ngx_uint_t                  i;
    ngx_array_t                *jobs;
    ngx_async_loc_conf_t      **jlcf;
    ngx_http_core_loc_conf_t   *clcf;

    uri = &alcf->jobs_uri_text;
    jobs = &alcf->ascf->jobs;
    jlcf = jobs->elts;

    /* behind what rewrites URIs the prefix may be another one */

    if (jobs->nelts == 1) {
        return jlcf[0];
    }

    for (i = 0; i < jobs->nelts; i++) {

        clcf = jlcf[i]->ctx->loc_conf[ngx_http_core_module.ctx_index];

        if (uri->len >= clcf->name.len
            && ngx_strncmp(uri->data + uri->len - clcf->name.len,
                           clcf->name.data, clcf->name.len)
               == 0)
        {
            return jlcf[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_async_conf_check_owner(ngx_conf_t *cf, ngx_async_loc_conf_t *alcf,
    ngx_async_loc_conf_t *jobs)
{
    if (jobs == NULL
        || (alcf->owner_text.len == jobs->owner_text.len
            && ngx_strncmp(alcf->owner_text.data, jobs->owner_text.data,
                           alcf->owner_text.len)
               == 0))
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"async_owner\" is \"%V\" in location \"%V\" and "
                  "\"%V\" in its jobs location \"%V\": set it in the server "
                  "block, for both",
                  &alcf->owner_text, &alcf->location, &jobs->owner_text,
                  &jobs->location);

    return NGX_ERROR;
}


static ngx_int_t
ngx_async_conf_check_jobs_location(ngx_conf_t *cf, ngx_async_loc_conf_t *alcf)
{
    ngx_uint_t                 prefix;
    ngx_async_main_conf_t     *amcf;
    ngx_http_core_loc_conf_t  *clcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_async_module);
    clcf = alcf->ctx->loc_conf[ngx_http_core_module.ctx_index];

    prefix = !clcf->exact_match && !clcf->noname && !clcf->named
             && clcf->name.len && clcf->name.data[0] == '/'
             && clcf->name.data[clcf->name.len - 1] == '/';

#if (NGX_PCRE)
    if (clcf->regex) {
        prefix = 0;
    }
#endif

    if (!prefix) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"async_jobs\" in location \"%V\" needs a location "
                      "that is a prefix and ends with \"/\", for example "
                      "\"location /jobs/ { async_jobs; }\"", &alcf->location);
        return NGX_ERROR;
    }

    alcf->jobs_prefix = clcf->name;

    if (alcf->jobs_list == NGX_ASYNC_LIST_OWN && alcf->owner == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"async_jobs_list own\" in location \"%V\" needs to "
                      "know who asks: set \"async_owner\"", &alcf->location);
        return NGX_ERROR;
    }

    amcf->used = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_async_conf_find_upstream_modules(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf)
{
    ngx_str_t      *name;
    ngx_uint_t      i;
    ngx_module_t  **module;

    for (i = 0; cf->cycle->modules[i]; i++) {

        for (name = ngx_async_upstream_module_names; name->len; name++) {

            if (ngx_strcmp(cf->cycle->modules[i]->name, name->data) != 0) {
                continue;
            }

            module = ngx_array_push(&amcf->upstream_modules);
            if (module == NULL) {
                return NGX_ERROR;
            }

            *module = cf->cycle->modules[i];
        }
    }

    return NGX_OK;
}


static ngx_async_queue_t *
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
    u_char                 *p;
    size_t                  len;
    uint32_t                hash;
    ngx_str_t               key;
    ngx_str_node_t         *node;
    ngx_async_loc_conf_t   *alcf;
    ngx_async_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_async_module);
    alcf = amcf->found;

    if (alcf && ngx_async_location_is(alcf, server, location)) {
        return alcf;
    }

    len = server->len + 1 + location->len;

    p = ngx_alloc(len, ngx_cycle->log);
    if (p == NULL) {
        return NULL;
    }

    key.data = p;
    key.len = len;

    (void) ngx_sprintf(p, "%V %V", server, location);

    hash = ngx_crc32_long(key.data, key.len);

    node = ngx_str_rbtree_lookup(&amcf->tree, &key, hash);

    ngx_free(p);

    if (node == NULL) {
        return NULL;
    }

    alcf = (ngx_async_loc_conf_t *)
                ((u_char *) node - offsetof(ngx_async_loc_conf_t, node));
    amcf->found = alcf;

    return alcf;
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
