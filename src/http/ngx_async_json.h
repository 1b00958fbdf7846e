
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_JSON_H_INCLUDED_
#define _NGX_ASYNC_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Writes JSON twice with the same code: first with pos NULL, which only adds
 * up len, then into that much memory.
 *
 *     ngx_async_json_t  j = { NULL, 0, 0 };
 */

typedef struct {
    u_char    *pos;                 /* NULL: only counts */
    u_char    *last;                /* the end of its room; NULL: enough */
    size_t     len;
    unsigned   comma:1;             /* something precedes at this level */
} ngx_async_json_t;


/* begins and ends an object or an array; "name" is NULL inside an array */
void ngx_async_json_open(ngx_async_json_t *j, const char *name, u_char bracket);
void ngx_async_json_close(ngx_async_json_t *j, u_char bracket);

/* members; bytes of a string that are not UTF-8 become U+FFFD */
void ngx_async_json_string(ngx_async_json_t *j, const char *name,
    ngx_str_t *value);
void ngx_async_json_text(ngx_async_json_t *j, const char *name,
    const char *value);
void ngx_async_json_number(ngx_async_json_t *j, const char *name,
    uint64_t value);
void ngx_async_json_bool(ngx_async_json_t *j, const char *name,
    ngx_uint_t value);

/* a time of the store in RFC 3339; nothing for 0 */
void ngx_async_json_time(ngx_async_json_t *j, const char *name,
    uint64_t value);

/* base, id and suffix as one string, for links */
void ngx_async_json_link(ngx_async_json_t *j, const char *name,
    ngx_str_t *base, ngx_str_t *id, const char *suffix);


#endif /* _NGX_ASYNC_JSON_H_INCLUDED_ */
