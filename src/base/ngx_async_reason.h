
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_REASON_H_INCLUDED_
#define _NGX_ASYNC_REASON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * An error status with its registered name, "422 Unprocessable Content"; empty
 * if it has none, or is no error.  nginx has lines for some of them only.
 */
void ngx_async_reason_line(ngx_uint_t status, ngx_str_t *line);


#endif /* _NGX_ASYNC_REASON_H_INCLUDED_ */
