
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/conf/ngx_async_conf.h"
#include "src/call/ngx_async_replay.h"
#include "src/http/ngx_async_ask.h"
#include "src/http/ngx_async_submit.h"


/*
 * $async_*: what a request is to the module.  None of them is cacheable: the
 * same configuration asks in a submission and in its call.
 */

typedef enum {
    NGX_ASYNC_VARIABLE_ID = 0,
    NGX_ASYNC_VARIABLE_STATUS,
    NGX_ASYNC_VARIABLE_ROLE,
    NGX_ASYNC_VARIABLE_QUEUE,
    NGX_ASYNC_VARIABLE_ATTEMPT,
    NGX_ASYNC_VARIABLE_QUEUE_TIME,
    NGX_ASYNC_VARIABLE_RUN_TIME
} ngx_async_variable_e;


static ngx_int_t ngx_async_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_async_variable_role(ngx_http_request_t *r,
    ngx_http_variable_value_t *v);
static ngx_async_job_t *ngx_async_variable_job(ngx_http_request_t *r,
    ngx_async_job_t *noted);
static ngx_int_t ngx_async_variable_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t from, uint64_t to);
static ngx_int_t ngx_async_variable_str(ngx_http_variable_value_t *v,
    ngx_str_t *s);
static ngx_int_t ngx_async_variable_fingerprint(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_async_variable_seen(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_async_variables[] = {

    { ngx_string("async_id"), NULL, ngx_async_variable,
      NGX_ASYNC_VARIABLE_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("async_status"), NULL, ngx_async_variable,
      NGX_ASYNC_VARIABLE_STATUS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("async_role"), NULL, ngx_async_variable,
      NGX_ASYNC_VARIABLE_ROLE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("async_queue"), NULL, ngx_async_variable,
      NGX_ASYNC_VARIABLE_QUEUE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("async_attempt"), NULL, ngx_async_variable,
      NGX_ASYNC_VARIABLE_ATTEMPT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("async_queue_time"), NULL, ngx_async_variable,
      NGX_ASYNC_VARIABLE_QUEUE_TIME, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("async_run_time"), NULL, ngx_async_variable,
      NGX_ASYNC_VARIABLE_RUN_TIME, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("async_fingerprint"), NULL, ngx_async_variable_fingerprint,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* no configuration can name it */
static ngx_str_t  ngx_async_variable_seen_name = ngx_string("async seen");


ngx_int_t
ngx_async_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_async_variables; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    var = ngx_http_add_variable(cf, &ngx_async_variable_seen_name, 0);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_async_variable_seen;

    return NGX_OK;
}


ngx_int_t
ngx_async_variables_index(ngx_conf_t *cf, ngx_async_main_conf_t *amcf)
{
    ngx_uint_t                  i;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    amcf->seen_index = ngx_http_get_variable_index(cf,
                                               &ngx_async_variable_seen_name);

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (v[i].name.len == sizeof("async_fingerprint") - 1
            && ngx_strncmp(v[i].name.data, "async_fingerprint",
                           v[i].name.len)
               == 0)
        {
            amcf->fingerprint = 1;
        }
    }

    return (amcf->seen_index == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_async_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char           *p;
    uint64_t          now;
    ngx_async_job_t  *job, noted;

    if (data == NGX_ASYNC_VARIABLE_ROLE) {
        return ngx_async_variable_role(r, v);
    }

    job = ngx_async_variable_job(r, &noted);

    if (job == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    switch (data) {

    case NGX_ASYNC_VARIABLE_STATUS:
        return ngx_async_variable_str(v,
                                      &ngx_async_job_status_names[job->status]);

    case NGX_ASYNC_VARIABLE_QUEUE:
        return ngx_async_variable_str(v, &job->queue);

    case NGX_ASYNC_VARIABLE_QUEUE_TIME:
        now = ngx_async_time_now();
        return ngx_async_variable_time(r, v, job->created,
                                       job->started ? job->started : now);

    case NGX_ASYNC_VARIABLE_RUN_TIME:
        if (job->started == 0) {
            v->not_found = 1;
            return NGX_OK;
        }

        now = ngx_async_time_now();
        return ngx_async_variable_time(r, v, job->started,
                                       job->finished ? job->finished : now);
    }

    p = ngx_pnalloc(r->pool, NGX_ASYNC_ID_TEXT_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;

    if (data == NGX_ASYNC_VARIABLE_ID) {
        p = ngx_async_id_format(p, &job->id);

    } else {
        p = ngx_sprintf(p, "%uD", job->attempt);
    }

    v->len = p - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_async_variable_role(ngx_http_request_t *r, ngx_http_variable_value_t *v)
{
    ngx_str_t              role;
    ngx_async_submit_t    *s;
    ngx_async_loc_conf_t  *alcf;

    s = ngx_http_get_module_ctx(r->main, ngx_async_module);
    alcf = ngx_http_get_module_loc_conf(r->main, ngx_async_module);

    if (ngx_async_replay_of(r)) {
        ngx_str_set(&role, "call");

    } else if (alcf->jobs) {
        ngx_str_set(&role, "jobs");

    } else if (s && !s->declined) {
        ngx_str_set(&role, "submission");

    } else {
        ngx_str_set(&role, "");
    }

    return ngx_async_variable_str(v, &role);
}


static ngx_async_job_t *
ngx_async_variable_job(ngx_http_request_t *r, ngx_async_job_t *noted)
{
    ngx_async_ask_t     *ask;
    ngx_async_submit_t  *s;
    ngx_async_replay_t  *rp;

    rp = ngx_async_replay_of(r);

    if (rp) {
        return rp->run ? &rp->run->job : rp->job;
    }

    s = ngx_http_get_module_ctx(r->main, ngx_async_module);

    if (s) {
        return s->declined ? NULL : s->job;
    }

    ask = ngx_async_ask_get(r->main);

    if (ask == NULL || ask->note.created == 0) {
        return NULL;
    }

    noted->id = ask->id;
    noted->status = ask->note.status;
    noted->attempt = ask->note.attempt;
    noted->created = ask->note.created;
    noted->started = ask->note.started;
    noted->finished = ask->note.finished;
    noted->queue = ask->note.queue;

    return noted;
}


static ngx_int_t
ngx_async_variable_time(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uint64_t from, uint64_t to)
{
    uint64_t  ms;

    ms = (to > from) ? to - from : 0;

    v->data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(v->data, "%uL.%03uL", ms / 1000, ms % 1000) - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_async_variable_str(ngx_http_variable_value_t *v, ngx_str_t *s)
{
    v->data = s->data;
    v->len = s->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_async_variable_fingerprint(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char            hash[NGX_ASYNC_HASH_LEN];
    ngx_uint_t        i;
    ngx_async_job_t  *job, noted;

    if (ngx_async_replay_of(r->main)) {

        /* that of the submission, if it had to be made of a file */

        job = ngx_async_variable_job(r, &noted);

        for (i = 0; job && i < NGX_ASYNC_HASH_LEN; i++) {
            if (job->fingerprint[i]) {
                ngx_memcpy(hash, job->fingerprint, NGX_ASYNC_HASH_LEN);
                goto found;
            }
        }
    }

    /* before the body has been read there is nothing to tell */

    if (r->main->request_body == NULL
        || ngx_async_submit_fingerprint(r->main, hash) != NGX_OK)
    {
        v->not_found = 1;
        return NGX_OK;
    }

found:

    v->data = ngx_pnalloc(r->pool, 2 * NGX_ASYNC_HASH_LEN);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_hex_dump(v->data, hash, NGX_ASYNC_HASH_LEN) - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_async_variable_seen(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    v->not_found = 1;

    return NGX_OK;
}
