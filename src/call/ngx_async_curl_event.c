
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "src/call/ngx_async_curl.h"
#include "src/call/ngx_async_curl_event.h"


/*
 * libcurl tells which events it wants on which descriptors and when it wants
 * to be called at the latest; every such descriptor gets a connection of nginx
 * for as long as libcurl looks at it.  A connection that is merely kept is
 * not looked at, so it takes no worker connection and keeps no worker alive.
 *
 * libcurl (7.88) closes the socket of an attempt to connect that has failed
 * without a word, and tells only afterwards that it looks at it no more; when
 * it has opened another one meanwhile that got the same number, it takes what
 * it had told of the first for said.  So sockets are known by their inodes.
 */

typedef struct {
    ngx_rbtree_node_t        node;
    ngx_async_curl_multi_t  *multi;
    ngx_connection_t        *connection;
    ino_t                    inode;
} ngx_async_curl_watch_t;


static int ngx_async_curl_event_socket(CURL *easy, curl_socket_t s, int what,
    void *userp, void *socketp);
static int ngx_async_curl_event_timer(CURLM *multi, long timeout, void *userp);
static ngx_async_curl_watch_t *ngx_async_curl_event_watch(
    ngx_async_curl_multi_t *m, CURL *easy, curl_socket_t s);
static void ngx_async_curl_event_unwatch(ngx_async_curl_watch_t *w);
static ino_t ngx_async_curl_event_inode(curl_socket_t s);
static void ngx_async_curl_event_want(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t want);
static void ngx_async_curl_event_handler(ngx_event_t *ev);
static void ngx_async_curl_event_expired(ngx_event_t *ev);


void
ngx_async_curl_event_open(ngx_async_curl_multi_t *m)
{
    ngx_memzero(&m->timer, sizeof(ngx_event_t));

    m->timer.data = &m->dumb;
    m->timer.handler = ngx_async_curl_event_expired;
    m->timer.log = ngx_cycle->log;

    ngx_rbtree_init(&m->watches, &m->sentinel, ngx_rbtree_insert_value);

    (void) curl_multi_setopt(m->handle, CURLMOPT_SOCKETFUNCTION,
                             ngx_async_curl_event_socket);
    (void) curl_multi_setopt(m->handle, CURLMOPT_SOCKETDATA, m);
    (void) curl_multi_setopt(m->handle, CURLMOPT_TIMERFUNCTION,
                             ngx_async_curl_event_timer);
    (void) curl_multi_setopt(m->handle, CURLMOPT_TIMERDATA, m);
}


void
ngx_async_curl_event_close(ngx_async_curl_multi_t *m)
{
    ngx_rbtree_node_t  *node;

    ngx_async_curl_event_quiet(m);

    while (m->watches.root != &m->sentinel) {
        node = ngx_rbtree_min(m->watches.root, &m->sentinel);

        ngx_async_curl_event_unwatch(ngx_rbtree_data(node,
                                               ngx_async_curl_watch_t, node));
    }
}


void
ngx_async_curl_event_opened(ngx_async_curl_multi_t *m, curl_socket_t s)
{
    ngx_event_t             *rev, *wev;
    ngx_uint_t               in, out;
    ngx_rbtree_node_t       *node;
    ngx_async_curl_watch_t  *w;

    node = m->watches.root;

    while (node != &m->sentinel && node->key != (ngx_rbtree_key_t) s) {
        node = (ngx_rbtree_key_t) s < node->key ? node->left : node->right;
    }

    if (node == &m->sentinel) {
        return;
    }

    /* what is wanted of it now is what was wanted of the one before */

    w = ngx_rbtree_data(node, ngx_async_curl_watch_t, node);
    w->inode = ngx_async_curl_event_inode(s);

    rev = w->connection->read;
    wev = w->connection->write;

    in = rev->active;
    out = wev->active;

    rev->active = 0;
    wev->active = 0;

    ngx_async_curl_event_want(rev, NGX_READ_EVENT, in);
    ngx_async_curl_event_want(wev, NGX_WRITE_EVENT, out);
}


void
ngx_async_curl_event_quiet(ngx_async_curl_multi_t *m)
{
    if (m->timer.timer_set) {
        ngx_del_timer(&m->timer);
    }
}


static int
ngx_async_curl_event_socket(CURL *easy, curl_socket_t s, int what, void *userp,
    void *socketp)
{
    ngx_connection_t        *c;
    ngx_async_curl_watch_t  *w;
    ngx_async_curl_multi_t  *m;

    m = userp;
    w = socketp;

    if (what == CURL_POLL_REMOVE) {

        if (w) {
            (void) curl_multi_assign(m->handle, s, NULL);
            ngx_async_curl_event_unwatch(w);
        }

        return 0;
    }

    if (w == NULL) {
        w = ngx_async_curl_event_watch(m, easy, s);

        if (w == NULL) {
            /* -1 would end all transfers, not this one alone */
            return 0;
        }
    }

    c = w->connection;

    ngx_async_curl_event_want(c->read, NGX_READ_EVENT, what & CURL_POLL_IN);
    ngx_async_curl_event_want(c->write, NGX_WRITE_EVENT, what & CURL_POLL_OUT);

    return 0;
}


static int
ngx_async_curl_event_timer(CURLM *multi, long timeout, void *userp)
{
    ngx_async_curl_multi_t  *m;

    m = userp;

    ngx_async_curl_event_quiet(m);

    if (timeout >= 0) {

        /* one of 0 ms set by its own handler would never let others run */

        ngx_add_timer(&m->timer, ngx_max((ngx_msec_t) timeout, 1));
    }

    return 0;
}


static ngx_async_curl_watch_t *
ngx_async_curl_event_watch(ngx_async_curl_multi_t *m, CURL *easy,
    curl_socket_t s)
{
    char                    *data;
    ngx_connection_t        *c;
    ngx_async_curl_t        *t;
    ngx_async_curl_watch_t  *w;

    w = ngx_alloc(sizeof(ngx_async_curl_watch_t), ngx_cycle->log);
    c = w ? ngx_get_connection(s, ngx_cycle->log) : NULL;

    if (c == NULL) {
        ngx_free(w);

        (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &data);
        t = (ngx_async_curl_t *) data;

        if (t) {
            t->starved = 1;
            ngx_async_curl_resume(t);
        }

        return NULL;
    }

    w->multi = m;
    w->connection = c;
    w->inode = ngx_async_curl_event_inode(s);

    w->node.key = (ngx_rbtree_key_t) s;
    ngx_rbtree_insert(&m->watches, &w->node);

    c->data = w;
    c->log_error = NGX_ERROR_ERR;

    c->read->log = c->log;
    c->read->handler = ngx_async_curl_event_handler;

    c->write->log = c->log;
    c->write->handler = ngx_async_curl_event_handler;

    (void) curl_multi_assign(m->handle, s, w);

    return w;
}


static void
ngx_async_curl_event_unwatch(ngx_async_curl_watch_t *w)
{
    ngx_connection_t  *c;

    c = w->connection;

    if (ngx_async_curl_event_inode(c->fd) == w->inode) {
        ngx_async_curl_event_want(c->read, NGX_READ_EVENT, 0);
        ngx_async_curl_event_want(c->write, NGX_WRITE_EVENT, 0);
    }

    ngx_rbtree_delete(&w->multi->watches, &w->node);
    ngx_free(w);

    /* the descriptor stays libcurl's */

    c->shared = 1;
    ngx_close_connection(c);
}


/* 0: it is closed */

static ino_t
ngx_async_curl_event_inode(curl_socket_t s)
{
    struct stat  st;

    return fstat(s, &st) == 0 ? st.st_ino : 0;
}


static void
ngx_async_curl_event_want(ngx_event_t *ev, ngx_int_t event, ngx_uint_t want)
{
    if (want) {

        if (!ev->active && ngx_add_event(ev, event, NGX_LEVEL_EVENT) != NGX_OK)
        {
            ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                          "no events for a connection of libcurl");
        }

        return;
    }

    if (ev->active) {
        (void) ngx_del_event(ev, event, 0);
    }

    if (ev->posted) {
        ngx_delete_posted_event(ev);
    }
}


static void
ngx_async_curl_event_handler(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_async_curl_watch_t  *w;

    c = ev->data;
    w = c->data;

    w->multi->action(w->multi, c->fd,
                     ev->write ? CURL_CSELECT_OUT : CURL_CSELECT_IN);
}


static void
ngx_async_curl_event_expired(ngx_event_t *ev)
{
    ngx_connection_t        *dumb;
    ngx_async_curl_multi_t  *m;

    dumb = ev->data;
    m = dumb->data;

    m->action(m, CURL_SOCKET_TIMEOUT, 0);
}
