
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_FIELD_H_INCLUDED_
#define _NGX_ASYNC_FIELD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/base/ngx_async_codec.h"


/* Header fields: those in lists of nginx, names, and arrays of our own. */

typedef struct {
    ngx_str_t          key;
    ngx_str_t          value;
} ngx_async_field_t;

typedef struct {
    ngx_list_part_t   *part;
    ngx_uint_t         i;
} ngx_async_field_each_t;


/*
 * Walks through a list of ngx_table_elt_t, with first() before the first
 * next(); fields that were removed are passed over.  NULL: the end.
 */

static ngx_inline void
ngx_async_field_first(ngx_async_field_each_t *each, ngx_list_t *list)
{
    each->part = &list->part;
    each->i = 0;
}


static ngx_inline ngx_table_elt_t *
ngx_async_field_next(ngx_async_field_each_t *each)
{
    ngx_table_elt_t  *h;

    while (each->part != NULL) {

        if (each->i == each->part->nelts) {
            each->part = each->part->next;
            each->i = 0;
            continue;
        }

        h = each->part->elts;
        h += each->i++;

        if (h->hash != 0) {
            return h;
        }
    }

    return NULL;
}


/* names, without regard to case */

static ngx_inline ngx_uint_t
ngx_async_field_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len
           && ngx_strncasecmp(a->data, b->data, a->len) == 0;
}


static ngx_inline ngx_uint_t
ngx_async_field_is(ngx_str_t *name, const char *other)
{
    size_t  len;

    len = ngx_strlen(other);

    return name->len == len
           && ngx_strncasecmp(name->data, (u_char *) other, len) == 0;
}


/* in an array that ends with ngx_null_string; in one of ngx_str_t, or NULL */
ngx_uint_t ngx_async_field_in(ngx_str_t *names, ngx_str_t *name);
ngx_uint_t ngx_async_field_listed(ngx_array_t *names, ngx_str_t *name);

/* adds the names in a value of Connection to an array of ngx_str_t */
ngx_int_t ngx_async_field_names(ngx_str_t *value, ngx_array_t *names);

/*
 * To an array of fields; forward() what the client sent, Prefer without what
 * it asks of this nginx.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_async_field_push(ngx_array_t *fields, ngx_str_t *key,
    ngx_str_t *value);
ngx_int_t ngx_async_field_forward(ngx_array_t *fields, ngx_table_elt_t *h);


/*
 * Encoding of "n" fields.  What get() reads points into the reader's memory,
 * the array is from "pool"; NGX_ERROR: damaged, or no memory.
 */
size_t ngx_async_field_size(ngx_async_field_t *field, ngx_uint_t n);
u_char *ngx_async_field_put(u_char *p, ngx_async_field_t *field, ngx_uint_t n);
ngx_int_t ngx_async_field_get(ngx_async_reader_t *rd, ngx_pool_t *pool,
    ngx_async_field_t **field, ngx_uint_t *n);


#endif /* _NGX_ASYNC_FIELD_H_INCLUDED_ */
