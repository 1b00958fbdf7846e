
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/conf/ngx_async_conf.h"
#include "src/call/ngx_async_sign.h"
#include "src/call/ngx_async_target.h"


#define NGX_ASYNC_CONF_SECRET_MIN  16


/*
 * async_callback, async_callback_allow, and async_callback_secret.
 */


static char *ngx_async_conf_secret(ngx_conf_t *cf, ngx_async_loc_conf_t *alcf,
    ngx_str_t *value);
static char *ngx_async_conf_secret_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *secret);


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
    ngx_str_t  *secret;

    secret = ngx_array_push(alcf->callback_secrets);
    if (secret == NULL) {
        return NGX_CONF_ERROR;
    }

    switch (ngx_async_sign_key(cf->pool, value, secret)) {

    case NGX_OK:
        if (secret->len >= NGX_ASYNC_CONF_SECRET_MIN) {
            return NGX_CONF_OK;
        }

        break;

    case NGX_ERROR:
        return NGX_CONF_ERROR;
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
