
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/conf/ngx_async_conf.h"
#include "src/call/ngx_async_direct.h"
#include "src/call/ngx_async_target.h"
#include "src/http/ngx_async_http.h"


/*
 * Directives of locations.
 */


static char *ngx_async_conf_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t **cv);
static char *ngx_async_conf_retry_param(ngx_conf_t *cf,
    ngx_async_loc_conf_t *alcf, ngx_str_t *value);
static char *ngx_async_conf_secret(ngx_conf_t *cf, ngx_async_loc_conf_t *alcf,
    ngx_str_t *value);
static char *ngx_async_conf_secret_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *secret);
static char *ngx_async_conf_content(ngx_conf_t *cf,
    ngx_http_handler_pt handler, const char *name);
static char *ngx_async_conf_bad(ngx_conf_t *cf, ngx_str_t *value,
    const char *hint);


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

    if (value[1].len == 0) {
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

        if (cond) {
            alcf->retry |= cond;
            continue;
        }

        rv = ngx_async_conf_retry_param(cf, alcf, &value[i]);

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

    return NGX_CONF_OK;
}


static char *
ngx_async_conf_retry_param(ngx_conf_t *cf, ngx_async_loc_conf_t *alcf,
    ngx_str_t *value)
{
    ngx_int_t   n;
    ngx_str_t   s;

    if (ngx_strncmp(value->data, "tries=", 6) == 0) {
        n = ngx_atoi(value->data + 6, value->len - 6);

        if (n == NGX_ERROR || n == 0) {
            return ngx_async_conf_bad(cf, value,
                                      "it is a number of attempts, at least "
                                      "1");
        }

        alcf->retry_tries = n;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "backoff=", 8) == 0) {
        s.data = value->data + 8;
        s.len = value->len - 8;
        n = ngx_parse_time(&s, 0);

        if (n == NGX_ERROR) {
            return ngx_async_conf_bad(cf, value,
                                      "it is a time, for example backoff=1s");
        }

        alcf->retry_backoff = n;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value->data, "max_backoff=", 12) == 0) {
        s.data = value->data + 12;
        s.len = value->len - 12;
        n = ngx_parse_time(&s, 0);

        if (n == NGX_ERROR || n == 0) {
            return ngx_async_conf_bad(cf, value,
                                      "it is a time, for example "
                                      "max_backoff=1m");
        }

        alcf->retry_max_backoff = n;
        return NGX_CONF_OK;
    }

    return ngx_async_conf_bad(cf, value,
                              "known are error, timeout, http_429, http_500, "
                              "http_502, http_503, http_504, non_idempotent, "
                              "tries=, backoff=, max_backoff= and off");
}


char *
ngx_async_conf_ttl(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value, s;

    if (alcf->ttl != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_parse_time(&value[1], 0);

    if (n == NGX_ERROR || n == 0) {
        return ngx_async_conf_bad(cf, &value[1],
                                  "it is a time, for example 1d");
    }

    alcf->ttl = n;
    alcf->ttl_failed = n;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "failed=", 7) == 0) {
        s.data = value[2].data + 7;
        s.len = value[2].len - 7;

        n = ngx_parse_time(&s, 0);

        if (n != NGX_ERROR && n != 0) {
            alcf->ttl_failed = n;
            return NGX_CONF_OK;
        }
    }

    return ngx_async_conf_bad(cf, &value[2],
                              "it is a time, for example failed=7d");
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
ngx_async_conf_callback(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    ngx_str_t  *value;

    if (alcf->callback != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    alcf->callback_fixed = 0;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        alcf->callback = NULL;
        return NGX_CONF_OK;
    }

    if (ngx_http_script_variables_count(&value[1]) == 0) {

        alcf->callback_fixed = 1;

        if (ngx_strncasecmp(value[1].data, (u_char *) "http://", 7) != 0
            && ngx_strncasecmp(value[1].data, (u_char *) "https://", 8) != 0)
        {
            return ngx_async_conf_bad(cf, &value[1],
                                      "it is \"off\", an http:// or https:// "
                                      "URL, or a variable with one");
        }
    }

    return ngx_async_conf_compile(cf, &value[1], &alcf->callback);
}


char *
ngx_async_conf_callback_allow(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    ngx_str_t           *value, *prefix;
    ngx_uint_t           i;
    const char          *why;
    ngx_async_target_t   target;

    if (alcf->callback_allow == NGX_CONF_UNSET_PTR) {
        alcf->callback_allow = ngx_array_create(cf->pool, 4,
                                                sizeof(ngx_str_t));
        if (alcf->callback_allow == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_async_target_parse(&target, &value[i], 1, &why) != NGX_OK) {
            return ngx_async_conf_bad(cf, &value[i], why);
        }

        prefix = ngx_array_push(alcf->callback_allow);
        if (prefix == NULL) {
            return NGX_CONF_ERROR;
        }

        *prefix = value[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_async_conf_callback_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_async_loc_conf_t *alcf = conf;

    char        *rv;
    ngx_str_t   *value, name, secret;
    ngx_uint_t   i;

    if (alcf->callback_secrets != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    alcf->callback_secrets = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
    if (alcf->callback_secrets == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        secret = value[i];

        if (ngx_strncmp(value[i].data, "file:", 5) == 0) {
            name.data = value[i].data + 5;
            name.len = value[i].len - 5;

            rv = ngx_async_conf_secret_file(cf, &name, &secret);

            if (rv != NGX_CONF_OK) {
                return rv;
            }
        }

        rv = ngx_async_conf_secret(cf, alcf, &secret);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


/* "whsec_" and base64; the value is never logged */

static char *
ngx_async_conf_secret(ngx_conf_t *cf, ngx_async_loc_conf_t *alcf,
    ngx_str_t *value)
{
    ngx_str_t  s, *secret;

    if (value->len > 6 && ngx_strncmp(value->data, "whsec_", 6) == 0) {

        s.data = value->data + 6;
        s.len = value->len - 6;

        secret = ngx_array_push(alcf->callback_secrets);
        if (secret == NULL) {
            return NGX_CONF_ERROR;
        }

        secret->data = ngx_pnalloc(cf->pool, ngx_base64_decoded_length(s.len));
        if (secret->data == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_decode_base64(secret, &s) == NGX_OK && secret->len >= 16) {
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "a secret of \"async_callback_secret\" is not valid: "
                       "it is \"whsec_\" and at least 16 bytes in base64, or "
                       "\"file:\" and the path of a file with one");

    return NGX_CONF_ERROR;
}


static char *
ngx_async_conf_secret_file(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *secret)
{
    ssize_t     n;
    u_char     *p;
    ngx_file_t  file;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    p = ngx_pnalloc(cf->pool, 1024);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;

    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "the file \"%V\" of \"async_callback_secret\" "
                           "cannot be opened", name);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_file(&file, p, 1024, 0);

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    while (n > 0 && (p[n - 1] == LF || p[n - 1] == CR || p[n - 1] == ' ')) {
        n--;
    }

    secret->data = p;
    secret->len = n;

    return NGX_CONF_OK;
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

    if (value[1].len == 0) {
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
                && ngx_strncasecmp(value[1].data, (u_char *) "http://", 7)
                   != 0
                && ngx_strncasecmp(value[1].data, (u_char *) "https://", 8)
                   != 0)))
    {
        return ngx_async_conf_bad(cf, &value[1],
                                  "it is the prefix of a jobs location or its "
                                  "full URL, and ends with \"/\", for example "
                                  "https://api.example.com/jobs/");
    }

    alcf->jobs_uri_text = value[1];

    return ngx_async_conf_compile(cf, &value[1], &alcf->jobs_uri);
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


static char *
ngx_async_conf_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t **cv)
{
    ngx_http_compile_complex_value_t  ccv;

    *cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*cv == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = *cv;

    return (ngx_http_compile_complex_value(&ccv) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_async_conf_bad(ngx_conf_t *cf, ngx_str_t *value, const char *hint)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid value \"%V\": %s",
                       value, hint);

    return NGX_CONF_ERROR;
}
