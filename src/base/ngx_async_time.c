
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/base/ngx_async_time.h"


#define NGX_ASYNC_TIME_MAX  253402300799999ULL      /* the end of year 9999 */


static u_char *ngx_async_time_digits(u_char *p, ngx_uint_t value,
    ngx_uint_t width);


uint64_t
ngx_async_time_now(void)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0 || ts.tv_sec < 0) {
        return 0;
    }

    return (uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


uint64_t
ngx_async_time_steady(void)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_BOOTTIME, &ts) != 0) {
        return 0;
    }

    return (uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


u_char *
ngx_async_time_format(u_char *p, uint64_t msec)
{
    ngx_uint_t  days, sec, era, doe, yoe, doy, mp, year, month, day;

    /* RFC 3339 has four digits for the year */

    if (msec > NGX_ASYNC_TIME_MAX) {
        msec = NGX_ASYNC_TIME_MAX;
    }

    days = (ngx_uint_t) (msec / 86400000);
    sec = (ngx_uint_t) (msec / 1000 % 86400);

    /*
     * The civil date, with years that begin in March, so that the leap day
     * is the last of its year; an era is 400 years or 146097 days.
     */

    days += 719468;
    era = days / 146097;
    doe = days % 146097;
    yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    mp = (5 * doy + 2) / 153;

    day = doy - (153 * mp + 2) / 5 + 1;
    month = mp < 10 ? mp + 3 : mp - 9;
    year = yoe + era * 400 + (month <= 2);

    p = ngx_async_time_digits(p, year, 4);
    *p++ = '-';
    p = ngx_async_time_digits(p, month, 2);
    *p++ = '-';
    p = ngx_async_time_digits(p, day, 2);
    *p++ = 'T';
    p = ngx_async_time_digits(p, sec / 3600, 2);
    *p++ = ':';
    p = ngx_async_time_digits(p, sec / 60 % 60, 2);
    *p++ = ':';
    p = ngx_async_time_digits(p, sec % 60, 2);
    *p++ = '.';
    p = ngx_async_time_digits(p, (ngx_uint_t) (msec % 1000), 3);
    *p++ = 'Z';

    return p;
}


static u_char *
ngx_async_time_digits(u_char *p, ngx_uint_t value, ngx_uint_t width)
{
    ngx_uint_t  i;

    for (i = width; i > 0; i--) {
        p[i - 1] = (u_char) ('0' + value % 10);
        value /= 10;
    }

    return p + width;
}
