
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

/* to be called with a descriptor and CURL_CSELECT_*, or CURL_SOCKET_TIMEOUT */
typedef void (*ngx_async_curl_action_pt)(curl_socket_t s, int mask);


void ngx_async_curl_event_open(CURLM *multi, ngx_async_curl_action_pt action);

/* after curl_multi_cleanup(): forgets what libcurl has not told of */
void ngx_async_curl_event_close(void);

/* forgets the timer */
void ngx_async_curl_event_quiet(void);


#endif /* _NGX_ASYNC_CURL_EVENT_H_INCLUDED_ */
