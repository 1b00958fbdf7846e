
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_CURL_H_INCLUDED_
#define _NGX_ASYNC_CURL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <curl/curl.h>


/*
 * Transfers of libcurl in nginx's event loop.  What a worker keeps between
 * them, connections, names that were resolved and HTTP/2 connections, is
 * shared by all users.
 *
 * A user creates a transfer, sets options of its own on "easy", starts it and
 * hears of it through its handlers.  end() is called once, unless the transfer
 * is destroyed before; never from inside start().  The other handlers run
 * inside libcurl: they may call anything in here, themselves included, and
 * what cannot be done at once is done soon after.
 */

typedef struct ngx_async_curl_s  ngx_async_curl_t;

typedef struct {
    void        (*end)(ngx_async_curl_t *t, CURLcode rc);

    /*
     * A line of a response head with its line end, as it came, status lines
     * and those of 1xx responses and trailers included.  NGX_ERROR: stop.
     */
    ngx_int_t   (*header)(ngx_async_curl_t *t, u_char *p, size_t n);

    /* of the body; NGX_AGAIN: not taken, resume() will be called */
    ngx_int_t   (*body)(ngx_async_curl_t *t, u_char *p, size_t n);

    /*
     * NULL: no request body; number of bytes, 0 at its end, or NGX_ERROR;
     * NGX_AGAIN: not there yet, resume() will be called.
     */
    ssize_t     (*read)(ngx_async_curl_t *t, u_char *p, size_t n);
    ngx_int_t   (*seek)(ngx_async_curl_t *t, off_t offset);

    /*
     * NULL: any address may be connected to.  NGX_DECLINED: not this one.
     * Asked for kept connections, too.
     */
    ngx_int_t   (*check)(ngx_async_curl_t *t, struct sockaddr *sa);
} ngx_async_curl_handlers_t;

struct ngx_async_curl_s {
    CURL                             *easy;
    const ngx_async_curl_handlers_t  *handlers;
    void                             *data;     /* the user's */

    ngx_queue_t                       queue;    /* the engine's */
    ngx_queue_t                       resume_queue;
    ngx_queue_t                       share_queue;
    ngx_msec_t                        shared;   /* since it waits for that */
    unsigned                          state:3;
    unsigned                          resuming:1;
    unsigned                          sharing:1;
    unsigned                          opened:1; /* a socket of its own */

    /*
     * Set by the user: the request may be sent again if a kept connection
     * turns out to be dead, since the peer may or may not have seen it.
     */
    unsigned                          repeatable:1;

    /*
     * Set by the user: it may wait for a moment for a connection that is being
     * made and may be shared; it is to have its connection for itself, as one
     * that is paused for long should.
     */
    unsigned                          share:1;
    unsigned                          single:1;

    /* what happened */
    unsigned                          sent:1;   /* there was a connection,
                                                   sending may have begun */
    unsigned                          refused:1;    /* check() declined */
    unsigned                          starved:1;    /* no worker connection */
    unsigned                          repeated:1;   /* and may not be */
    char                              error[CURL_ERROR_SIZE];
};


#define NGX_ASYNC_CURL_NEW       0
#define NGX_ASYNC_CURL_WAITING   1      /* to be started */
#define NGX_ASYNC_CURL_RUNNING   2
#define NGX_ASYNC_CURL_ENDED     3
#define NGX_ASYNC_CURL_DEAD      4      /* destroyed inside libcurl */

#define ngx_async_curl_dead(t)   ((t)->state == NGX_ASYNC_CURL_DEAD)

/* check() declined every address that there was */

#define ngx_async_curl_refused(t)                                             \
    ((t)->refused && !(t)->opened && !(t)->sent)


/*
 * A transfer with the settings that all users share: http and https only, no
 * redirects, proxies, credentials or signals, nothing decoded.  NULL: no
 * memory.
 */
ngx_async_curl_t *ngx_async_curl_create(
    const ngx_async_curl_handlers_t *handlers, void *data);

/*
 * Starts it; when worker connections are short, as soon as some are free.
 */
void ngx_async_curl_start(ngx_async_curl_t *t);

/* goes on with a transfer whose body() or read() returned NGX_AGAIN */
void ngx_async_curl_resume(ngx_async_curl_t *t);

/*
 * Stops the transfer, if it has not ended, and frees it; none of its handlers
 * is called any more.
 */
void ngx_async_curl_destroy(ngx_async_curl_t *t);

/* stops all transfers, closes all connections; in exit_process */
void ngx_async_curl_stop(ngx_cycle_t *cycle);


/*
 * For https: HTTP/2 by ALPN, and TLS as configured: "verify" the peer's
 * certificate and name, against the certificates in "trusted"
 * (zero-terminated) or, if it is empty, against those of the system.
 */
CURLcode ngx_async_curl_set_tls(ngx_async_curl_t *t, ngx_uint_t verify,
    ngx_str_t *trusted);

/* a socket was opened for it */
void ngx_async_curl_opened(ngx_async_curl_t *t, curl_socket_t s);

/* why a transfer has failed: a word that clients may depend on, and a text */
const char *ngx_async_curl_error(ngx_async_curl_t *t, CURLcode rc,
    const char **message);


#endif /* _NGX_ASYNC_CURL_H_INCLUDED_ */
