
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_query.h"


#define NGX_ASYNC_QUERY_DEFAULT  100
#define NGX_ASYNC_QUERY_MAX      1000


static ngx_int_t ngx_async_query_status(ngx_str_t *value);


void
ngx_async_query_path(ngx_str_t *path, ngx_str_t *id, ngx_str_t *suffix)
{
    size_t  len;

    for (len = 0; len < path->len && path->data[len] != '/'; len++) {
        /* void */
    }

    id->data = path->data;
    id->len = len;

    suffix->data = path->data + len;
    suffix->len = path->len - len;
}


ngx_uint_t
ngx_async_query_hop(ngx_http_request_t *r)
{
    ngx_int_t  n;
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) "n", 1, &value) != NGX_OK) {
        return 0;
    }

    n = ngx_atoi(value.data, value.len);

    return (n > 0 && n < NGX_MAX_INT32_VALUE) ? n : 0;
}


ngx_int_t
ngx_async_query_list(ngx_http_request_t *r, ngx_async_list_t *list,
    ngx_str_t *detail)
{
    ngx_int_t  n;
    ngx_str_t  value;

    ngx_memzero(list, sizeof(ngx_async_list_t));

    list->status = -1;
    list->limit = NGX_ASYNC_QUERY_DEFAULT;

    if (ngx_http_arg(r, (u_char *) "status", 6, &value) == NGX_OK
        && value.len != 0)
    {
        list->status = ngx_async_query_status(&value);

        if (list->status == NGX_ERROR) {
            ngx_str_set(detail, "\"status\" is one of notStarted, running, "
                                "succeeded, failed, canceled.");
            return NGX_ERROR;
        }
    }

    if (ngx_http_arg(r, (u_char *) "limit", 5, &value) == NGX_OK
        && value.len != 0)
    {
        n = ngx_atoi(value.data, value.len);

        if (n == NGX_ERROR || n == 0) {
            ngx_str_set(detail, "\"limit\" is a number from 1 to 1000.");
            return NGX_ERROR;
        }

        list->limit = ngx_min(n, NGX_ASYNC_QUERY_MAX);
    }

    if (ngx_http_arg(r, (u_char *) "cursor", 6, &value) == NGX_OK
        && value.len != 0
        && ngx_async_id_parse(&list->cursor, value.data, value.len) != NGX_OK)
    {
        ngx_str_null(detail);
        return NGX_ERROR;
    }

    if (ngx_http_arg(r, (u_char *) "queue", 5, &value) == NGX_OK) {
        list->queue = value;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_query_status(ngx_str_t *value)
{
    ngx_int_t   i;
    ngx_str_t  *name;

    for (i = NGX_ASYNC_NOT_STARTED; i <= NGX_ASYNC_CANCELED; i++) {

        name = &ngx_async_job_status_names[i];

        if (name->len == value->len
            && ngx_strncmp(name->data, value->data, value->len) == 0)
        {
            return i;
        }
    }

    return NGX_ERROR;
}
