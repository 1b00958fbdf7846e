
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_TIME_H_INCLUDED_
#define _NGX_ASYNC_TIME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Times in the store are milliseconds since the epoch, 0 meaning "none".
 */

#define NGX_ASYNC_TIME_TEXT_LEN  (sizeof("1970-01-01T00:00:00.000Z") - 1)


/* the wall clock now, from clock_gettime(2); for any thread */
uint64_t ngx_async_time_now(void);

/* milliseconds since the system was started, also for any thread */
uint64_t ngx_async_time_steady(void);

/* the wall clock as of the last events, without a call; for the event loop */

static ngx_inline uint64_t
ngx_async_time_cached(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


/* writes RFC 3339 in UTC with milliseconds, returns the end */
u_char *ngx_async_time_format(u_char *p, uint64_t msec);


#endif /* _NGX_ASYNC_TIME_H_INCLUDED_ */
