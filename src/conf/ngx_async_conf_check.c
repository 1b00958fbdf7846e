
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/conf/ngx_async_conf.h"
#include "src/call/ngx_async_direct.h"
#include "src/http/ngx_async_http.h"


/*
 * What is done when all of the configuration is known: names, and what must
 * hold for all of it together.
 */


static ngx_int_t ngx_async_conf_name_servers(ngx_conf_t *cf);
static ngx_int_t ngx_async_conf_name_server(ngx_conf_t *cf,
    ngx_http_core_srv_conf_t *cscf, ngx_str_t *addr);
static ngx_uint_t ngx_async_conf_server_named(ngx_conf_t *cf, ngx_str_t *key);
static ngx_int_t ngx_async_conf_index_location(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf, ngx_async_loc_conf_t *alcf);
static ngx_int_t ngx_async_conf_check_location(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf, ngx_async_loc_conf_t *alcf);
static ngx_str_t *ngx_async_conf_server(ngx_async_loc_conf_t *alcf);
static ngx_int_t ngx_async_conf_check_handler(ngx_conf_t *cf,
    ngx_async_loc_conf_t *alcf);
static void ngx_async_conf_warn(ngx_conf_t *cf, ngx_async_main_conf_t *amcf,
    ngx_async_loc_conf_t *alcf);
static ngx_int_t ngx_async_conf_check_jobs(ngx_conf_t *cf,
    ngx_async_loc_conf_t *alcf);
static ngx_int_t ngx_async_conf_check_jobs_uri(ngx_conf_t *cf,
    ngx_async_loc_conf_t *alcf);
static ngx_async_loc_conf_t *ngx_async_conf_find_jobs(
    ngx_async_loc_conf_t *alcf);
static ngx_int_t ngx_async_conf_check_owner(ngx_conf_t *cf,
    ngx_async_loc_conf_t *alcf, ngx_async_loc_conf_t *jobs);
static ngx_int_t ngx_async_conf_check_jobs_location(ngx_conf_t *cf,
    ngx_async_loc_conf_t *alcf);
static ngx_int_t ngx_async_conf_find_upstream_modules(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf);


static ngx_str_t  ngx_async_upstream_module_names[] = {
    ngx_string("ngx_http_proxy_module"),
    ngx_string("ngx_http_fastcgi_module"),
    ngx_string("ngx_http_uwsgi_module"),
    ngx_string("ngx_http_scgi_module"),
    ngx_null_string
};


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


/*
 * The name of a server in records: its first name and its first address.
 * Servers that have both in common are counted: one of them is asked only by
 * another name or address, and its jobs are not those of the other one.
 */

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
    u_char                *p, *last;
    ngx_str_t              key;
    ngx_uint_t             n;
    ngx_async_srv_conf_t  *ascf;

    ascf = cscf->ctx->srv_conf[ngx_async_module.ctx_index];

    if (ascf->key.len) {
        return NGX_OK;
    }

    p = ngx_pnalloc(cf->pool, cscf->server_name.len + 1 + addr->len
                              + sizeof(" *") - 1 + NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    key.data = p;
    last = ngx_sprintf(p, "%V %V", &cscf->server_name, addr);
    key.len = last - p;

    for (n = 2; ngx_async_conf_server_named(cf, &key); n++) {
        key.len = ngx_sprintf(last, " *%ui", n) - p;
    }

    ascf->key = key;

    return NGX_OK;
}


static ngx_uint_t
ngx_async_conf_server_named(ngx_conf_t *cf, ngx_str_t *key)
{
    ngx_uint_t                   i;
    ngx_async_srv_conf_t        *ascf;
    ngx_http_core_srv_conf_t   **cscfp;
    ngx_http_core_main_conf_t   *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    cscfp = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {

        ascf = cscfp[i]->ctx->srv_conf[ngx_async_module.ctx_index];

        if (ascf->key.len == key->len
            && ngx_memcmp(ascf->key.data, key->data, key->len) == 0)
        {
            return 1;
        }
    }

    return 0;
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

    alcf->location.data = p + alcf->server.len + 1;

    for (n = 2;
         ngx_async_conf_find_location(amcf, &alcf->server, &alcf->location);
         n++)
    {
        key->len = ngx_sprintf(p + len, " *%ui", n) - p;
        alcf->location.len = key->len - alcf->server.len - 1;
    }

    alcf->node.key = ngx_async_conf_location_key(&alcf->server,
                                                 &alcf->location);

    ngx_rbtree_insert(&amcf->tree, &alcf->node);

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

    if (alcf->queue == NULL && ngx_http_script_variables_count(&name)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the queue \"%V\" of \"async\" in location \"%V\" may "
                      "not have variables: name an \"async_queue\", and use "
                      "its \"per=\" or several locations",
                      &name, &alcf->location);
        return NGX_ERROR;
    }

    if (alcf->queue == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the queue \"%V\" of \"async\" in location \"%V\" is "
                      "not known: add \"async_queue %V;\" to the http block",
                      &name, &alcf->location, &name);
        return NGX_ERROR;
    }

    if (ngx_async_conf_check_handler(cf, alcf) != NGX_OK) {
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

    ngx_async_conf_warn(cf, amcf, alcf);

    return (alcf->jobs || alcf->metrics)
           ? NGX_OK : ngx_async_conf_check_jobs(cf, alcf);
}


/* for messages: a server without a name is known by its address */

static ngx_str_t *
ngx_async_conf_server(ngx_async_loc_conf_t *alcf)
{
    static ngx_str_t  name;

    name = alcf->server;

    if (name.len && name.data[0] == ' ') {
        name.data++;
        name.len--;
    }

    return &name;
}


/* directives that follow ours may have set another one */

static ngx_int_t
ngx_async_conf_check_handler(ngx_conf_t *cf, ngx_async_loc_conf_t *alcf)
{
    const char                *name;
    ngx_http_handler_pt        handler;
    ngx_http_core_loc_conf_t  *clcf;

    if (alcf->jobs) {
        name = "async_jobs";
        handler = ngx_async_jobs_handler;

    } else if (alcf->metrics) {
        name = "async_metrics";
        handler = ngx_async_metrics_handler;

    } else if (alcf->pass) {
        name = "async_pass";
        handler = ngx_async_pass_handler;

    } else {
        return NGX_OK;
    }

    clcf = alcf->ctx->loc_conf[ngx_http_core_module.ctx_index];

    if (clcf->handler == handler) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%s\" is in location \"%V\" that has another content "
                  "handler, too: give it a location of its own",
                  name, &alcf->location);

    return NGX_ERROR;
}


static void
ngx_async_conf_warn(ngx_conf_t *cf, ngx_async_main_conf_t *amcf,
    ngx_async_loc_conf_t *alcf)
{
    ngx_uint_t                  i;
    ngx_module_t              **module;
    ngx_http_upstream_conf_t   *ucf;

    module = amcf->upstream_modules.elts;

    for (i = 0; i < amcf->upstream_modules.nelts; i++) {

        if (alcf->mode == NGX_ASYNC_OFF) {
            break;
        }

        ucf = alcf->ctx->loc_conf[(*module[i]).ctx_index];

        if (ucf->upstream && ucf->request_buffering == 0) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "requests to location \"%V\" never become jobs, as "
                          "their bodies are not read before: remove "
                          "\"proxy_request_buffering off\", or its sibling, "
                          "or set \"async off\"", &alcf->location);
        }
    }

    if (amcf->store.size
        && alcf->max_response_size > NGX_ASYNC_MAX_RESPONSE
        && (size_t) alcf->max_response_size > amcf->store.size)
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"async_max_response_size\" of location \"%V\" is "
                      "larger than the store: lower it, or raise \"size=\" "
                      "of \"async_store\"", &alcf->location);
    }

    if (alcf->callback && !alcf->callback_fixed && !alcf->callback_allow
        && alcf->location.len)
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "requests to location \"%V\" that choose a callback "
                      "are refused, as \"async_callback\" has variables: name "
                      "what it may be by \"async_callback_allow\"",
                      &alcf->location);
    }
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

        if (ngx_async_conf_check_jobs_uri(cf, alcf) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_async_conf_check_owner(cf, alcf,
                                          ngx_async_conf_find_jobs(alcf));
    }

    if (jobs->nelts == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"async\" in location \"%V\" of server \"%V\" has no "
                      "place where clients find their jobs: add "
                      "\"location /jobs/ { async_jobs; }\" to the server, or "
                      "set \"async_jobs_uri\"",
                      &alcf->location, ngx_async_conf_server(alcf));
        return NGX_ERROR;
    }

    if (jobs->nelts > 1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "server \"%V\" has several locations with "
                      "\"async_jobs\": say by \"async_jobs_uri\" which one "
                      "location \"%V\" uses", ngx_async_conf_server(alcf),
                      &alcf->location);
        return NGX_ERROR;
    }

    clcf = jlcf[0]->ctx->loc_conf[ngx_http_core_module.ctx_index];

    alcf->jobs_prefix = clcf->name;

    return ngx_async_conf_check_owner(cf, alcf, jlcf[0]);
}


/*
 * A prefix of this server that none of its locations with async_jobs has, and
 * that no other of its locations may send on to one.
 */

static ngx_int_t
ngx_async_conf_check_jobs_uri(ngx_conf_t *cf, ngx_async_loc_conf_t *alcf)
{
    ngx_str_t                  *uri, *name;
    ngx_uint_t                  i;
    ngx_async_main_conf_t      *amcf;
    ngx_async_loc_conf_t      **other;
    ngx_http_core_loc_conf_t   *clcf;

    uri = &alcf->jobs_uri_text;

    if (uri->data[0] != '/' || ngx_http_script_variables_count(uri)) {
        return NGX_OK;
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_async_module);
    other = amcf->locations.elts;

    for (i = 0; i < amcf->locations.nelts; i++) {

        if (other[i]->ascf != alcf->ascf) {
            continue;
        }

        clcf = other[i]->ctx->loc_conf[ngx_http_core_module.ctx_index];
        name = &clcf->name;

#if (NGX_PCRE)
        if (clcf->regex) {
            return NGX_OK;
        }
#endif

        if (name->len == 0 || name->len > uri->len
            || ngx_strncmp(uri->data, name->data, name->len) != 0)
        {
            continue;
        }

        /* what serves all that nothing else does, hardly sends jobs on */

        if (name->len > 1 || other[i]->jobs) {
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"async_jobs_uri %V\" of location \"%V\" leads to no "
                  "location of server \"%V\": add \"location %V "
                  "{ async_jobs; }\" to it, or give the full URL",
                  uri, &alcf->location, ngx_async_conf_server(alcf), uri);

    return NGX_ERROR;
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
