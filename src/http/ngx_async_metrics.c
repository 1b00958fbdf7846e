
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_http.h"
#include "src/http/ngx_async_reply.h"
#include "src/engine/ngx_async_watch.h"
#include "src/store/ngx_async_shared.h"


/* more than there are, and more than each of them takes */

#define NGX_ASYNC_METRICS_FAMILIES  24
#define NGX_ASYNC_METRICS_HEAD      256
#define NGX_ASYNC_METRICS_ROW       96


typedef struct {
    const char  *name;
    const char  *help;
    ngx_uint_t   what;              /* ngx_async_count_e */
} ngx_async_metrics_counter_t;

typedef uint64_t (*ngx_async_metrics_pt)(ngx_async_queue_t *queue,
    ngx_uint_t what);


static ngx_int_t ngx_async_metrics_write(ngx_pool_t *pool, ngx_str_t *body);
static u_char *ngx_async_metrics_gauges(u_char *p,
    ngx_async_main_conf_t *amcf);
static u_char *ngx_async_metrics_single(u_char *p, const char *name,
    const char *help, uint64_t value);
static u_char *ngx_async_metrics_head(u_char *p, const char *name,
    const char *help, const char *type);
static u_char *ngx_async_metrics_rows(u_char *p,
    ngx_async_main_conf_t *amcf, const char *name, ngx_async_metrics_pt value,
    ngx_uint_t what);
static u_char *ngx_async_metrics_label(u_char *p, ngx_str_t *value);
static uint64_t ngx_async_metrics_counted(ngx_async_queue_t *queue,
    ngx_uint_t what);
static uint64_t ngx_async_metrics_gauge(ngx_async_queue_t *queue,
    ngx_uint_t what);


enum {
    NGX_ASYNC_METRICS_RUNNING = 0,
    NGX_ASYNC_METRICS_WAITING,
    NGX_ASYNC_METRICS_PAUSED,
    NGX_ASYNC_METRICS_CONCURRENCY
};

static ngx_async_metrics_counter_t  ngx_async_metrics_counters[] = {
    { "jobs_accepted_total", "Submissions that became jobs.",
      NGX_ASYNC_COUNT_ACCEPTED },
    { "jobs_succeeded_total", "Jobs that succeeded.",
      NGX_ASYNC_COUNT_SUCCEEDED },
    { "jobs_failed_total", "Jobs that failed, each time.",
      NGX_ASYNC_COUNT_FAILED },
    { "jobs_canceled_total", "Jobs that were canceled.",
      NGX_ASYNC_COUNT_CANCELED },
    { "attempts_repeated_total", "Attempts after the first of a job.",
      NGX_ASYNC_COUNT_RETRIED },
    { "submissions_rejected_total", "Submissions that were refused.",
      NGX_ASYNC_COUNT_REJECTED },
    { "submissions_bypassed_total",
      "Submissions that were run synchronously instead.",
      NGX_ASYNC_COUNT_BYPASSED },
    { "submissions_held_total",
      "Submissions whose call began without a job.",
      NGX_ASYNC_COUNT_HELD },
    { "jobs_expired_total", "Finished jobs whose time was over.",
      NGX_ASYNC_COUNT_EXPIRED },
    { "callbacks_total", "Callbacks that were delivered.",
      NGX_ASYNC_COUNT_CALLBACKS },
    { NULL, NULL, 0 }
};


ngx_int_t
ngx_async_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_str_t         body;
    static ngx_str_t  allow = ngx_string("GET, HEAD");

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {

        if (ngx_async_reply_header(r, "Allow", &allow) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_async_reply_problem(r, NGX_ASYNC_PROBLEM_METHOD, NULL, 0);
    }

    if (ngx_async_metrics_write(r->pool, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_async_reply_send(r, NGX_HTTP_OK,
                                "text/plain; version=0.0.4; charset=utf-8",
                                &body);
}


static ngx_int_t
ngx_async_metrics_write(ngx_pool_t *pool, ngx_str_t *body)
{
    u_char                        *p;
    size_t                         row;
    uint64_t                       used, size;
    ngx_uint_t                     i;
    ngx_async_queue_t            **queues;
    ngx_async_main_conf_t         *amcf;
    ngx_async_metrics_counter_t   *counter;

    amcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_async_module);

    queues = amcf->queues.elts;
    row = 0;

    for (i = 0; i < amcf->queues.nelts; i++) {
        row += NGX_ASYNC_METRICS_ROW + 2 * queues[i]->name.len;
    }

    p = ngx_pnalloc(pool, NGX_ASYNC_METRICS_FAMILIES
                          * (NGX_ASYNC_METRICS_HEAD + row));
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    for (counter = ngx_async_metrics_counters; counter->name; counter++) {
        p = ngx_async_metrics_head(p, counter->name, counter->help,
                                   "counter");
        p = ngx_async_metrics_rows(p, amcf, counter->name,
                                   ngx_async_metrics_counted, counter->what);
    }

    p = ngx_async_metrics_gauges(p, amcf);

    ngx_async_store_usage(&used, &size);

    p = ngx_async_metrics_single(p, "store_used_bytes",
                                 "Bytes of the store that live data takes.",
                                 used);
    p = ngx_async_metrics_single(p, "store_size_bytes", "Size of the store.",
                                 size);
    p = ngx_async_metrics_single(p, "store_operations",
                                 "Operations of this worker under way.",
                                 ngx_async_store_pending());
    p = ngx_async_metrics_single(p, "watches",
                                 "Clients of this worker that wait for jobs.",
                                 ngx_async_watch_count());

    body->len = p - body->data;

    return NGX_OK;
}


static u_char *
ngx_async_metrics_gauges(u_char *p, ngx_async_main_conf_t *amcf)
{
    p = ngx_async_metrics_head(p, "jobs_running",
                               "Calls that run, and slots being filled.",
                               "gauge");
    p = ngx_async_metrics_rows(p, amcf, "jobs_running",
                               ngx_async_metrics_gauge,
                               NGX_ASYNC_METRICS_RUNNING);

    p = ngx_async_metrics_head(p, "jobs_waiting",
                               "Jobs that have not started, or wait for "
                               "their next attempt.", "gauge");
    p = ngx_async_metrics_rows(p, amcf, "jobs_waiting",
                               ngx_async_metrics_gauge,
                               NGX_ASYNC_METRICS_WAITING);

    p = ngx_async_metrics_head(p, "queue_paused",
                               "1: the backend is down.", "gauge");
    p = ngx_async_metrics_rows(p, amcf, "queue_paused",
                               ngx_async_metrics_gauge,
                               NGX_ASYNC_METRICS_PAUSED);

    p = ngx_async_metrics_head(p, "queue_concurrency",
                               "Limit of running calls.", "gauge");

    return ngx_async_metrics_rows(p, amcf, "queue_concurrency",
                                  ngx_async_metrics_gauge,
                                  NGX_ASYNC_METRICS_CONCURRENCY);
}


static u_char *
ngx_async_metrics_single(u_char *p, const char *name, const char *help,
    uint64_t value)
{
    p = ngx_async_metrics_head(p, name, help, "gauge");

    return ngx_sprintf(p, "ngx_async_%s %uL\n", name, value);
}


static u_char *
ngx_async_metrics_head(u_char *p, const char *name, const char *help,
    const char *type)
{
    return ngx_sprintf(p, "# HELP ngx_async_%s %s\n# TYPE ngx_async_%s %s\n",
                       name, help, name, type);
}


static u_char *
ngx_async_metrics_rows(u_char *p, ngx_async_main_conf_t *amcf,
    const char *name, ngx_async_metrics_pt value, ngx_uint_t what)
{
    ngx_uint_t           i;
    ngx_async_queue_t  **queues;

    queues = amcf->queues.elts;

    for (i = 0; i < amcf->queues.nelts; i++) {
        p = ngx_sprintf(p, "ngx_async_%s{queue=\"", name);
        p = ngx_async_metrics_label(p, &queues[i]->name);
        p = ngx_sprintf(p, "\"} %uL\n", value(queues[i], what));
    }

    return p;
}


/* takes up to two bytes for each */

static u_char *
ngx_async_metrics_label(u_char *p, ngx_str_t *value)
{
    size_t  i;

    for (i = 0; i < value->len; i++) {

        switch (value->data[i]) {

        case '\n':
            *p++ = '\\';
            *p++ = 'n';
            break;

        case '"':
        case '\\':
            *p++ = '\\';

            /* fall through */

        default:
            *p++ = value->data[i];
        }
    }

    return p;
}


static uint64_t
ngx_async_metrics_counted(ngx_async_queue_t *queue, ngx_uint_t what)
{
    return ngx_async_shared_counted(queue->number, what);
}


static uint64_t
ngx_async_metrics_gauge(ngx_async_queue_t *queue, ngx_uint_t what)
{
    switch (what) {

    case NGX_ASYNC_METRICS_RUNNING:
        return ngx_async_shared_running(queue->number);

    case NGX_ASYNC_METRICS_WAITING:
        return ngx_async_shared_waiting(queue->number);

    case NGX_ASYNC_METRICS_PAUSED:
        return ngx_async_shared_paused(queue->number);

    default:
        return queue->concurrency;
    }
}
