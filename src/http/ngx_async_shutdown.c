
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "src/http/ngx_async_shutdown.h"


static void ngx_async_shutdown_open(void);
static void ngx_async_shutdown_handler(ngx_event_t *ev);


static ngx_queue_t        ngx_async_shutdown_entries;
static ngx_connection_t  *ngx_async_shutdown_connection;


ngx_int_t
ngx_async_shutdown_add(ngx_async_shutdown_t *entry)
{
    if (ngx_exiting || ngx_quit || ngx_terminate) {
        return NGX_DECLINED;
    }

    if (ngx_async_shutdown_connection == NULL) {
        ngx_async_shutdown_open();
    }

    if (ngx_async_shutdown_entries.next == NULL) {
        ngx_queue_init(&ngx_async_shutdown_entries);
    }

    ngx_queue_insert_tail(&ngx_async_shutdown_entries, &entry->queue);
    entry->active = 1;

    return NGX_OK;
}


void
ngx_async_shutdown_del(ngx_async_shutdown_t *entry)
{
    if (entry->active) {
        ngx_queue_remove(&entry->queue);
        entry->active = 0;
    }
}


/*
 * A module is not told of a graceful shutdown, but idle connections are
 * closed then: this one never does anything else.  Without it waiters are
 * answered at the end of their time only.
 */

static void
ngx_async_shutdown_open(void)
{
    ngx_fd_t           fd;
    ngx_log_t         *log;
    ngx_connection_t  *c;

    log = ngx_cycle->log;

    fd = ngx_open_file("/dev/null", NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      ngx_open_file_n " \"/dev/null\" failed");
        return;
    }

    c = ngx_get_connection(fd, log);

    if (c == NULL) {
        if (ngx_close_file(fd) == NGX_FILE_ERROR) {
            ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                          ngx_close_file_n " \"/dev/null\" failed");
        }

        return;
    }

    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->read->handler = ngx_async_shutdown_handler;
    c->write->handler = ngx_async_shutdown_handler;
    c->idle = 1;

    ngx_async_shutdown_connection = c;
}


static void
ngx_async_shutdown_handler(ngx_event_t *ev)
{
    ngx_queue_t           *q;
    ngx_connection_t      *c;
    ngx_async_shutdown_t  *entry;

    c = ev->data;

    ngx_async_shutdown_connection = NULL;
    ngx_close_connection(c);

    while (!ngx_queue_empty(&ngx_async_shutdown_entries)) {

        q = ngx_queue_head(&ngx_async_shutdown_entries);
        entry = ngx_queue_data(q, ngx_async_shutdown_t, queue);

        ngx_async_shutdown_del(entry);
        entry->handler(entry->data);
    }
}
