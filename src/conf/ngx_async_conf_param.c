
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/conf/ngx_async_conf.h"


/*
 * Values that several directives have in common.
 */


typedef struct {
    ngx_str_t   name;
    ngx_uint_t  cond;
} ngx_async_conf_cond_t;


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
ngx_async_conf_param(ngx_conf_t *cf, void *conf,
    ngx_async_conf_param_t *params, ngx_str_t *value)
{
    ngx_str_t                s, *other;
    ngx_async_conf_param_t  *param;

    for (param = params; param->name.len; param++) {

        if (ngx_strncmp(value->data, param->name.data, param->name.len) != 0) {
            continue;
        }

        for (other = cf->args->elts; other < value; other++) {

            if (ngx_strncmp(other->data, param->name.data, param->name.len)
                == 0)
            {
                return ngx_async_conf_bad(cf, value, "it is a duplicate");
            }
        }

        s.data = value->data + param->name.len;
        s.len = value->len - param->name.len;

        if (param->set(cf, (u_char *) conf + param->offset, &s)
            == NGX_CONF_OK)
        {
            return NGX_CONF_OK;
        }

        break;
    }

    return ngx_async_conf_bad(cf, value, param->hint);
}


char *
ngx_async_conf_param_number(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_uint_t *np = conf;

    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n == NGX_ERROR || n == 0) {
        return NGX_CONF_ERROR;
    }

    *np = n;

    return NGX_CONF_OK;
}


char *
ngx_async_conf_param_number64(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    uint64_t *np = conf;

    ngx_uint_t  n;

    if (ngx_async_conf_param_number(cf, &n, value) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    *np = n;

    return NGX_CONF_OK;
}


char *
ngx_async_conf_param_msec(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_msec_t *msp = conf;

    ngx_msec_t  ms;

    if (ngx_async_conf_param_msec_or_0(cf, &ms, value) != NGX_CONF_OK
        || ms == 0)
    {
        return NGX_CONF_ERROR;
    }

    *msp = ms;

    return NGX_CONF_OK;
}


char *
ngx_async_conf_param_msec_or_0(ngx_conf_t *cf, void *conf, ngx_str_t *value)
{
    ngx_msec_t *msp = conf;

    ngx_int_t  ms;

    ms = ngx_parse_time(value, 0);

    if (ms == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    *msp = ms;

    return NGX_CONF_OK;
}


char *
ngx_async_conf_bad(ngx_conf_t *cf, ngx_str_t *value, const char *hint)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid value \"%V\": %s",
                       value, hint);

    return NGX_CONF_ERROR;
}


char *
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
        if (cond == 0 || (all & cond)) {
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
