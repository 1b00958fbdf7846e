
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/base/ngx_async_field.h"
#include "src/base/ngx_async_prefer.h"


ngx_uint_t
ngx_async_field_in(ngx_str_t *names, ngx_str_t *name)
{
    for ( /* void */ ; names->len; names++) {
        if (ngx_async_field_same(names, name)) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_async_field_listed(ngx_array_t *names, ngx_str_t *name)
{
    ngx_str_t   *s;
    ngx_uint_t   i;

    if (names == NULL) {
        return 0;
    }

    s = names->elts;

    for (i = 0; i < names->nelts; i++) {
        if (ngx_async_field_same(&s[i], name)) {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_async_field_names(ngx_str_t *value, ngx_array_t *names)
{
    u_char     *p, *last, *start;
    ngx_str_t  *name;

    p = value->data;
    last = p + value->len;

    while (p < last) {
        start = p;

        while (p < last && *p != ',' && *p != ' ' && *p != '\t') {
            p++;
        }

        if (p > start) {
            name = ngx_array_push(names);
            if (name == NULL) {
                return NGX_ERROR;
            }

            name->data = start;
            name->len = p - start;
        }

        p++;
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_field_push(ngx_array_t *fields, ngx_str_t *key, ngx_str_t *value)
{
    ngx_async_field_t  *field;

    field = ngx_array_push(fields);
    if (field == NULL) {
        return NGX_ERROR;
    }

    field->key = *key;
    field->value = *value;

    return NGX_OK;
}


ngx_int_t
ngx_async_field_forward(ngx_array_t *fields, ngx_table_elt_t *h)
{
    ngx_str_t  value;

    if (!ngx_async_field_is(&h->key, "Prefer")) {
        return ngx_async_field_push(fields, &h->key, &h->value);
    }

    if (ngx_async_prefer_strip(fields->pool, &h->value, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return value.len ? ngx_async_field_push(fields, &h->key, &value) : NGX_OK;
}


size_t
ngx_async_field_size(ngx_async_field_t *field, ngx_uint_t n)
{
    size_t      size;
    ngx_uint_t  i;

    size = 4;

    for (i = 0; i < n; i++) {
        size += ngx_async_str_size(&field[i].key)
                + ngx_async_str_size(&field[i].value);
    }

    return size;
}


u_char *
ngx_async_field_put(u_char *p, ngx_async_field_t *field, ngx_uint_t n)
{
    ngx_uint_t  i;

    p = ngx_async_put_uint(p, n, 4);

    for (i = 0; i < n; i++) {
        p = ngx_async_put_str(p, &field[i].key);
        p = ngx_async_put_str(p, &field[i].value);
    }

    return p;
}


ngx_int_t
ngx_async_field_get(ngx_async_reader_t *rd, ngx_pool_t *pool,
    ngx_async_field_t **field, ngx_uint_t *n)
{
    ngx_uint_t          i;
    ngx_async_field_t  *f;

    *n = ngx_async_get_uint(rd, 4);

    if (rd->failed || *n > (ngx_uint_t) (rd->last - rd->pos)) {
        return NGX_ERROR;
    }

    f = ngx_palloc(pool, (*n + 1) * sizeof(ngx_async_field_t));
    if (f == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < *n; i++) {
        ngx_async_get_str(rd, &f[i].key);
        ngx_async_get_str(rd, &f[i].value);
    }

    *field = f;

    return rd->failed ? NGX_ERROR : NGX_OK;
}
