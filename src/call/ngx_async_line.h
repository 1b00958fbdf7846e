
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_LINE_H_INCLUDED_
#define _NGX_ASYNC_LINE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/base/ngx_async_id.h"


/*
 * Places of the hosts that callbacks go to, and the lines before them.  A host
 * has few places, so that one which does not answer holds up nobody else.
 * Those that find no place wait in line as bare ids; whoever has waited so
 * long that its lease could end before its attempt is forgotten: it will be
 * leased anew.
 */

typedef struct ngx_async_line_s  ngx_async_line_t;

/*
 * It is this one's turn, a place of its host is taken for it.  NGX_ERROR: no
 * memory, the place is given back.
 */
typedef ngx_int_t (*ngx_async_line_pt)(ngx_async_id_t *id, ngx_msec_t leased,
    ngx_async_line_t *host);


void ngx_async_line_init(ngx_async_line_pt next);

/* a place of this host, or NULL: it waits in line, or was forgotten */
ngx_async_line_t *ngx_async_line_take(ngx_str_t *name, ngx_async_id_t *id,
    ngx_msec_t leased);

/* gives a place back; then those in line may take it */
void ngx_async_line_leave(ngx_async_line_t *host);


#endif /* _NGX_ASYNC_LINE_H_INCLUDED_ */
