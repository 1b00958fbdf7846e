
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_SNAPSHOT_INTERNAL_H_INCLUDED_
#define _NGX_ASYNC_SNAPSHOT_INTERNAL_H_INCLUDED_


#include "src/call/ngx_async_snapshot.h"


/* what is found out about a request before anything is written */

typedef struct {
    ngx_http_request_t  *request;
    ngx_uint_t           whole;
    ngx_array_t          vars;              /* indexes of those to be saved */
    ngx_str_t            sockaddr;
    ngx_str_t            local_sockaddr;
    ngx_str_t            captures_data;
    ngx_str_t            body_file;
    ngx_str_t            direct_url;
    ngx_str_t            handler;
    ngx_str_t            head;
    ngx_array_t         *fields;            /* of ngx_async_field_t */
} ngx_async_taking_t;


/* snapshot_vars.c: the variables of a snapshot */

/*
 * Evaluates the variables of the client's connection, and chooses what is
 * saved.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_async_snapshot_choose_vars(ngx_async_taking_t *t);


/* snapshot_format.c: its bytes, also read there */

/* the room that write() needs at most */
size_t ngx_async_snapshot_size(ngx_async_taking_t *t);

/* returns where the next byte would be */
u_char *ngx_async_snapshot_write(ngx_async_taking_t *t, u_char *p);


#endif /* _NGX_ASYNC_SNAPSHOT_INTERNAL_H_INCLUDED_ */
