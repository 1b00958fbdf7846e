
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/conf/ngx_async_conf.h"
#include "src/call/ngx_async_direct.h"
#include "src/http/ngx_async_http.h"
#include "src/base/ngx_async_prefer.h"


/*
 * Directives of locations.
 */


static ngx_uint_t ngx_async_conf_has_host(ngx_str_t *url, const char *scheme);
static char *ngx_async_conf_content(ngx_conf_t *cf,
    ngx_http_handler_pt handler, const char *name);


static ngx_async_conf_param_t  ngx_async_conf_retry_params[] = {

    { ngx_string("tries="), ngx_async_conf_param_number,
      offsetof(ngx_async_loc_conf_t, retry_tries),
      "it is a number of attempts, at least 1" },

    { ngx_string("backoff="), ngx_async_conf_param_msec_or_0,
      offsetof(ngx_async_loc_conf_t, retry_backoff),
      "it is a time, for example backoff=1s" },

    { ngx_string("max_backoff="), ngx_async_conf_param_msec,
      offsetof(ngx_async_loc_conf_t, retry_max_backoff),
      "it is a time, for example max_backoff=1m" },

    { ngx_null_string, NULL, 0,
      "known are error, timeout, http_429, http_500, http_502, http_503, "
      "http_504, non_idempotent, tries=, backoff= and max_backoff=; \"off\" "
      "stands alone" }
};


static ngx_async_conf_param_t  ngx_async_conf_ttl_params[] = {

    { ngx_string("failed="), ngx_async_conf_param_msec,
      offsetof(ngx_async_loc_conf_t, ttl_failed),
      "it is a time, for example failed=7d" },

    { ngx_null_string, NULL, 0, "it is a time, for example failed=7d" }
};


/* nginx's own slots, with a hint where the value is wrong */

char *
ngx_async_conf_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_parse_time(&value[1], 0) == NGX_ERROR) {
        return ngx_async_conf_bad(cf, &value[1],
                                  "it is a time, for example 30s, 5m or 1h");
    }

    return ngx_conf_set_msec_slot(cf, cmd, conf);
}


char *
ngx_async_conf_off(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_parse_offset(&value[1]) == NGX_ERROR) {
        return ngx_async_conf_bad(cf, &value[1],
                                  "it is a size, for example 10m or 1g");
    }

    return ngx_conf_set_off_slot(cf, cmd, conf);
}


char *
ngx_async_conf_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char            *p, *last, hint[256];
    ngx_str_t         *value;
    ngx_conf_enum_t   *e;

    value = cf->args->elts;

    p = ngx_cpymem(hint, "it is one of", 12);
    last = hint + sizeof(hint) - 1;

    for (e = cmd->post; e->name.len; e++) {

        if (e->name.len == value[1].len
            && ngx_strcasecmp(e->name.data, value[1].data) == 0)
        {
            return ngx_conf_set_enum_slot(cf, cmd, conf);
        }

        p = ngx_slprintf(p, last, "%s \"%V\"",
                         (e == (ngx_conf_enum_t *) cmd->post) ? "" : ",",
                         &e->name);
    }

    *p = '\0';

    return ngx_async_conf_bad(cf, &value[1], (char *) hint);
}


char *
ngx_async_conf_async(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    ngx_str_t  *value;

    if (alcf->mode != NGX_CONF_UNSET_UINT || alcf->mode_value) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        alcf->mode = NGX_ASYNC_ON;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        alcf->mode = NGX_ASYNC_OFF;

    } else if (ngx_strcmp(value[1].data, "prefer") == 0) {
        alcf->mode = NGX_ASYNC_PREFER;

    } else if (ngx_http_script_variables_count(&value[1])) {
        alcf->mode = NGX_ASYNC_OFF;

        if (ngx_async_conf_compile(cf, &value[1], &alcf->mode_value)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }

    } else {
        return ngx_async_conf_bad(cf, &value[1],
                                  "it is \"on\", \"off\", \"prefer\" or a "
                                  "variable with one of them");
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "queue=", 6) != 0 || value[2].len == 6) {
        return ngx_async_conf_bad(cf, &value[2],
                                  "it is queue=name, a name of an "
                                  "\"async_queue\"");
    }

    alcf->queue_name.data = value[2].data + 6;
    alcf->queue_name.len = value[2].len - 6;

    return NGX_CONF_OK;
}


char *
ngx_async_conf_wait(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    ngx_int_t   ms;
    ngx_str_t  *value;

    if (alcf->wait != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ms = ngx_parse_time(&value[1], 0);

    if (ms == NGX_ERROR) {
        return ngx_async_conf_bad(cf, &value[1],
                                  "it is a time, for example 2s");
    }

    alcf->wait = ms;
    alcf->wait_mode = NGX_ASYNC_WAIT_ACCEPTED;

    if (cf->args->nelts == 2
        || ngx_strcmp(value[2].data, "accepted") == 0)
    {
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[2].data, "redirect") == 0) {
        alcf->wait_mode = NGX_ASYNC_WAIT_REDIRECT;
        return NGX_CONF_OK;
    }

    return ngx_async_conf_bad(cf, &value[2],
                              "it is \"accepted\" or \"redirect\"");
}


char *
ngx_async_conf_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    char       *rv;
    ngx_str_t  *value;

    rv = ngx_async_conf_msec(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (alcf->timeout == 0) {
        value = cf->args->elts;
        return ngx_async_conf_bad(cf, &value[1],
                                  "a call needs some time, for example 1h");
    }

    return NGX_CONF_OK;
}


char *
ngx_async_conf_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    ngx_str_t  *value;

    if (alcf->pass) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_async_direct_check(cf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    alcf->pass_text = value[1];

    if (ngx_async_conf_compile(cf, &value[1], &alcf->pass) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_async_conf_content(cf, ngx_async_pass_handler, "async_pass");
}


char *
ngx_async_conf_set_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    ngx_str_t                         *value;
    ngx_async_set_header_t            *header;
    ngx_http_compile_complex_value_t   ccv;

    if (alcf->set_headers == NGX_CONF_UNSET_PTR) {
        alcf->set_headers = ngx_array_create(cf->pool, 4,
                                             sizeof(ngx_async_set_header_t));
        if (alcf->set_headers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    header = ngx_array_push(alcf->set_headers);
    if (header == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (!ngx_async_prefer_is_token(&value[1])) {
        return ngx_async_conf_bad(cf, &value[1], "it is the name of a header");
    }

    header->name = value[1];

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[2];
    ccv.complex_value = &header->value;

    return (ngx_http_compile_complex_value(&ccv) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_async_conf_trusted_certificate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    ngx_str_t        *value;
    ngx_file_info_t   fi;

    if (alcf->ssl_trusted_certificate.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    alcf->ssl_trusted_certificate = value[1];

    if (ngx_conf_full_name(cf->cycle, &alcf->ssl_trusted_certificate, 1)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_file_info(alcf->ssl_trusted_certificate.data, &fi)
        == NGX_FILE_ERROR)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "the file \"%V\" of \"%V\" cannot be found",
                           &alcf->ssl_trusted_certificate, &cmd->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_async_conf_priority(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_http_script_variables_count(&value[1]) == 0
        && !ngx_async_prefer_is_urgency(&value[1]))
    {
        return ngx_async_conf_bad(cf, &value[1],
                                  "it is an urgency from 0, the first, to 7, "
                                  "or has variables");
    }

    return ngx_http_set_complex_value_slot(cf, cmd, conf);
}


char *
ngx_async_conf_retry(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    char        *rv;
    ngx_str_t   *value;
    ngx_uint_t   i, cond;

    if (alcf->retry != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    alcf->retry = 0;
    alcf->retry_tries = 3;
    alcf->retry_backoff = 1000;
    alcf->retry_max_backoff = 60000;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        cond = ngx_async_conf_cond(&value[i]);

        if (alcf->retry & cond) {
            return ngx_async_conf_bad(cf, &value[i], "it is a duplicate");
        }

        if (cond) {
            alcf->retry |= cond;
            continue;
        }

        rv = ngx_async_conf_param(cf, alcf, ngx_async_conf_retry_params,
                                  &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if ((alcf->retry & ~NGX_ASYNC_COND_NON_IDEMPOTENT) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"async_retry\" names no condition, for example "
                           "\"async_retry error timeout http_503\"");
        return NGX_CONF_ERROR;
    }

    if (alcf->retry_backoff > alcf->retry_max_backoff) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "backoff of \"async_retry\" is %Mms and may not be "
                           "larger than max_backoff, which is %Mms: lower it, "
                           "or raise \"max_backoff=\"",
                           alcf->retry_backoff, alcf->retry_max_backoff);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_async_conf_ttl(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    ngx_str_t  *value;

    if (alcf->ttl != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_async_conf_param_msec(cf, &alcf->ttl, &value[1]) != NGX_CONF_OK) {
        return ngx_async_conf_bad(cf, &value[1],
                                  "it is a time, for example 1d");
    }

    alcf->ttl_failed = alcf->ttl;

    return cf->args->nelts == 2
           ? NGX_CONF_OK
           : ngx_async_conf_param(cf, alcf, ngx_async_conf_ttl_params,
                                  &value[2]);
}


char *
ngx_async_conf_value_or_off(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t                  *value;
    ngx_http_complex_value_t  **cv;

    cv = (ngx_http_complex_value_t **) (p + cmd->offset);

    if (*cv != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        *cv = NULL;
        return NGX_CONF_OK;
    }

    return ngx_async_conf_compile(cf, &value[1], cv);
}


char *
ngx_async_conf_owner(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    ngx_str_t  *value;

    if (alcf->owner != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    alcf->owner_text = value[1];

    if (value[1].len == 0) {
        alcf->owner = NULL;
        return NGX_CONF_OK;
    }

    return ngx_async_conf_compile(cf, &value[1], &alcf->owner);
}


char *
ngx_async_conf_header_name(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t     *value, *name;
    ngx_array_t  **names;

    names = (ngx_array_t **) (p + cmd->offset);

    if (*names == NGX_CONF_UNSET_PTR) {
        *names = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (*names == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    if (!ngx_async_prefer_is_token(&value[1])) {
        return ngx_async_conf_bad(cf, &value[1], "it is the name of a header");
    }

    name = ngx_array_push(*names);
    if (name == NULL) {
        return NGX_CONF_ERROR;
    }

    *name = value[1];
    ngx_strlow(name->data, name->data, name->len);

    return NGX_CONF_OK;
}


char *
ngx_async_conf_jobs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    if (alcf->jobs) {
        return "is duplicate";
    }

    alcf->jobs = 1;

    return ngx_async_conf_content(cf, ngx_async_jobs_handler, "async_jobs");
}


char *
ngx_async_conf_jobs_uri(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    ngx_str_t  *value;

    if (alcf->jobs_uri != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_script_variables_count(&value[1]) == 0
        && (value[1].len == 0 || value[1].data[value[1].len - 1] != '/'
            || (value[1].data[0] != '/'
                && !ngx_async_conf_has_host(&value[1], "http://")
                && !ngx_async_conf_has_host(&value[1], "https://"))))
    {
        return ngx_async_conf_bad(cf, &value[1],
                                  "it is the prefix of a jobs location or its "
                                  "full URL, and ends with \"/\", for example "
                                  "https://api.example.com/jobs/");
    }

    alcf->jobs_uri_text = value[1];

    return ngx_async_conf_compile(cf, &value[1], &alcf->jobs_uri);
}


static ngx_uint_t
ngx_async_conf_has_host(ngx_str_t *url, const char *scheme)
{
    size_t  n;

    n = ngx_strlen(scheme);

    return url->len > n
           && ngx_strncasecmp(url->data, (u_char *) scheme, n) == 0
           && url->data[n] != '/' && url->data[n] != ':';
}


char *
ngx_async_conf_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    if (alcf->metrics) {
        return "is duplicate";
    }

    alcf->metrics = 1;

    return ngx_async_conf_content(cf, ngx_async_metrics_handler,
                                  "async_metrics");
}


static char *
ngx_async_conf_content(ngx_conf_t *cf, ngx_http_handler_pt handler,
    const char *name)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%s\" is in a location that has another content "
                           "handler already: give it a location of its own",
                           name);
        return NGX_CONF_ERROR;
    }

    clcf->handler = handler;

    return NGX_CONF_OK;
}
