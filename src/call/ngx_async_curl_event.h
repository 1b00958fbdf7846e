
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_CURL_EVENT_H_INCLUDED_
#define _NGX_ASYNC_CURL_EVENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <curl/curl.h>


/*
 * Descriptors and the timer of a multi handle as events of nginx; a part of
 * the engine (ngx_async_curl.c).
 */

typedef struct ngx_async_curl_multi_s  ngx_async_curl_multi_t;

/* to be called with a descriptor and CURL_CSELECT_*, or CURL_SOCKET_TIMEOUT */
typedef void (*ngx_async_curl_action_pt)(ngx_async_curl_multi_t *m,
    curl_socket_t s, int mask);

struct ngx_async_curl_multi_s {
    CURLM                     *handle;      /* NULL: not opened */
    ngx_async_curl_action_pt   action;
    ngx_event_t                timer;       /* libcurl's */

    ngx_rbtree_t               watches;     /* by descriptor */
    ngx_rbtree_node_t          sentinel;
    ngx_connection_t           dumb;        /* of the timers, for the log */

    ngx_uint_t                 active;      /* running transfers */
    ngx_event_t                idle;        /* the engine's timer */
};


/* "handle" and "action" are set */
void ngx_async_curl_event_open(ngx_async_curl_multi_t *m);

/* after curl_multi_cleanup(): forgets what libcurl has not told of */
void ngx_async_curl_event_close(ngx_async_curl_multi_t *m);

/* a socket that was just opened for a transfer of this multi handle */
void ngx_async_curl_event_opened(ngx_async_curl_multi_t *m, curl_socket_t s);

/* forgets the timer */
void ngx_async_curl_event_quiet(ngx_async_curl_multi_t *m);


#endif /* _NGX_ASYNC_CURL_EVENT_H_INCLUDED_ */
