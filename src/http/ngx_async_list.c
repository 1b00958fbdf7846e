
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_list.h"
#include "src/http/ngx_async_html.h"
#include "src/http/ngx_async_query.h"
#include "src/http/ngx_async_reply.h"


/*
 * Lies in the ask's memory with the strings that the store reads, since the
 * request may be freed before the store is done.
 */

typedef struct {
    ngx_async_list_t   list;
    ngx_str_t          next;        /* URL of the next page; in the pool */
    uint64_t           now;
    u_char             data[1];
} ngx_async_list_query_t;


static void ngx_async_list_got(ngx_async_ask_t *ask);
static ngx_int_t ngx_async_list_next(ngx_async_ask_t *ask,
    ngx_async_list_query_t *query);
static ngx_int_t ngx_async_list_base(ngx_http_request_t *r, ngx_str_t *base);
static ngx_int_t ngx_async_list_send(ngx_async_ask_t *ask,
    ngx_async_list_query_t *query);
static void ngx_async_list_write(ngx_async_json_t *j,
    ngx_async_list_query_t *query);
static void ngx_async_list_page(ngx_async_html_t *h, void *data);
static void ngx_async_list_row(ngx_async_html_t *h, ngx_async_job_t *job);
static void ngx_async_list_cell_time(ngx_async_html_t *h, uint64_t msec);


void
ngx_async_list_start(ngx_async_ask_t *ask)
{
    u_char                  *p;
    ngx_str_t                detail;
    ngx_async_list_t        *list, parsed;
    ngx_async_list_query_t  *query;

    if (ask->alcf->jobs_list == NGX_ASYNC_LIST_OFF) {
        ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_NOT_FOUND);
        return;
    }

    if (ngx_async_query_list(ask->request, &parsed, &detail) != NGX_OK) {
        ngx_async_ask_finish(ask, ngx_async_reply_problem(ask->request,
                                          NGX_ASYNC_PROBLEM_CURSOR, &detail,
                                          0));
        return;
    }

    query = ngx_calloc(sizeof(ngx_async_list_query_t) + ask->owner.len
                       + parsed.queue.len + ask->alcf->server.len,
                       ask->request->connection->log);
    if (query == NULL) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    ask->memory = query;
    list = &query->list;
    *list = parsed;

    p = query->data;

    list->owner.data = p;
    list->owner.len = ask->owner.len;
    p = ngx_cpymem(p, ask->owner.data, ask->owner.len);

    list->queue.data = p;
    p = ngx_cpymem(p, parsed.queue.data, parsed.queue.len);

    list->server.data = p;
    list->server.len = ask->alcf->server.len;
    ngx_memcpy(p, ask->alcf->server.data, ask->alcf->server.len);

    list->any_owner = (ask->alcf->jobs_list == NGX_ASYNC_LIST_ALL);

    ngx_async_ask_prepare(ask, NGX_ASYNC_OP_LIST);
    ask->op.list = list;
    query->now = ask->op.now;

    /* jobs without an owner belong to whoever has their URL, to nobody else */

    if (!list->any_owner && list->owner.len == 0) {
        ngx_async_ask_finish(ask, ngx_async_list_send(ask, query));
        return;
    }

    ngx_async_ask_submit(ask, ngx_async_list_got);
}


static void
ngx_async_list_got(ngx_async_ask_t *ask)
{
    ngx_async_list_query_t  *query;

    query = ask->memory;

    if (ask->op.rc != NGX_OK) {
        ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_STORE_FAILED);
        return;
    }

    if (query->list.more && ngx_async_list_next(ask, query) != NGX_OK) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    ngx_async_ask_finish(ask, ngx_async_list_send(ask, query));
}


/* a full URL with the same filters */

static ngx_int_t
ngx_async_list_next(ngx_async_ask_t *ask, ngx_async_list_query_t *query)
{
    u_char            *p;
    ngx_str_t          base;
    ngx_async_list_t  *list;

    list = &query->list;

    if (ngx_async_list_base(ask->request, &base) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(ask->request->pool, base.len + list->queue.len
                    + sizeof("?cursor=&limit=&status=notStarted&queue=")
                    + NGX_ASYNC_ID_TEXT_LEN + NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    query->next.data = p;

    p = ngx_cpymem(p, base.data, base.len);
    p = ngx_cpymem(p, "?cursor=", 8);
    p = ngx_async_id_format(p, &list->next);
    p = ngx_sprintf(p, "&limit=%ui", list->limit);

    if (list->status >= 0) {
        p = ngx_sprintf(p, "&status=%V",
                        &ngx_async_job_status_names[list->status]);
    }

    if (list->queue.len != 0) {
        p = ngx_sprintf(p, "&queue=%V", &list->queue);
    }

    query->next.len = p - query->next.data;

    return NGX_OK;
}


/* where this list is, as its client sees it */

static ngx_int_t
ngx_async_list_base(ngx_http_request_t *r, ngx_str_t *base)
{
    u_char                *p;
    ngx_str_t              origin, uri;
    ngx_async_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);

    uri = r->uri;

    if (alcf->jobs_uri != NULL) {

        if (ngx_http_complex_value(r, alcf->jobs_uri, &uri) != NGX_OK) {
            return NGX_ERROR;
        }

        if (uri.len == 0) {
            uri = r->uri;

        } else if (uri.data[0] != '/') {
            *base = uri;
            return NGX_OK;
        }
    }

    if (ngx_async_reply_origin(r, r->pool, &origin) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, origin.len + uri.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    base->data = p;
    base->len = origin.len + uri.len;

    p = ngx_cpymem(p, origin.data, origin.len);
    ngx_memcpy(p, uri.data, uri.len);

    return NGX_OK;
}


static ngx_int_t
ngx_async_list_send(ngx_async_ask_t *ask, ngx_async_list_query_t *query)
{
    ngx_str_t            body;
    ngx_async_json_t     j;
    ngx_http_request_t  *r;

    r = ask->request;

    if (ask->navigation) {
        return ngx_async_html_send(r, NGX_HTTP_OK, ngx_async_list_page, query);
    }

    ngx_memzero(&j, sizeof(ngx_async_json_t));
    ngx_async_list_write(&j, query);

    body.len = j.len;
    body.data = ngx_pnalloc(r->pool, j.len);
    if (body.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&j, sizeof(ngx_async_json_t));
    j.pos = body.data;
    ngx_async_list_write(&j, query);

    return ngx_async_reply_send(r, NGX_HTTP_OK, "application/json", &body);
}


static void
ngx_async_list_write(ngx_async_json_t *j, ngx_async_list_query_t *query)
{
    ngx_uint_t             i;
    ngx_async_document_t   d;

    ngx_memzero(&d, sizeof(ngx_async_document_t));

    d.now = query->now;
    d.no_query = 1;

    ngx_async_json_open(j, NULL, '{');
    ngx_async_json_open(j, "jobs", '[');

    for (i = 0; i < query->list.njobs; i++) {
        d.job = &query->list.jobs[i];
        ngx_async_document_write(j, NULL, &d);
    }

    ngx_async_json_close(j, ']');

    if (query->next.len != 0) {
        ngx_async_json_string(j, "next", &query->next);
    }

    ngx_async_json_close(j, '}');
}


static void
ngx_async_list_page(ngx_async_html_t *h, void *data)
{
    ngx_async_list_query_t *query = data;

    ngx_uint_t  i;

    ngx_async_html_begin(h, "Jobs");
    ngx_async_html_raw(h,
        "<meta http-equiv=\"refresh\" content=\"10\">\n"
        "</head>\n<body>\n<main class=\"wide\">\n<h1>Jobs</h1>\n");

    if (query->list.njobs == 0) {
        ngx_async_html_raw(h, "<p>There are no jobs to show.</p>\n");

    } else {
        ngx_async_html_raw(h,
            "<table>\n<thead><tr><th scope=\"col\">Request</th>"
            "<th scope=\"col\">Status</th><th scope=\"col\">Queue</th>"
            "<th scope=\"col\">Created</th><th scope=\"col\">Finished</th>"
            "</tr></thead>\n<tbody>\n");

        for (i = 0; i < query->list.njobs; i++) {
            ngx_async_list_row(h, &query->list.jobs[i]);
        }

        ngx_async_html_raw(h, "</tbody>\n</table>\n");
    }

    if (query->next.len != 0) {
        ngx_async_html_raw(h, "<p><a rel=\"next\" href=\"");
        ngx_async_html_text(h, &query->next);
        ngx_async_html_raw(h, "\">Older jobs</a></p>\n");
    }

    ngx_async_html_raw(h, "</main>\n</body>\n</html>\n");
}


static void
ngx_async_list_row(ngx_async_html_t *h, ngx_async_job_t *job)
{
    u_char     *p, id[NGX_ASYNC_ID_TEXT_LEN + 1];
    ngx_str_t   uri;

    *ngx_async_id_format(id, &job->id) = '\0';

    uri = job->uri;

    p = ngx_strlchr(uri.data, uri.data + uri.len, '?');
    if (p != NULL) {
        uri.len = p - uri.data;
    }

    ngx_async_html_raw(h, "<tr><td><a href=\"");
    ngx_async_html_raw(h, (char *) id);
    ngx_async_html_raw(h, "\">");
    ngx_async_html_text(h, &job->method);
    ngx_async_html_raw(h, " ");
    ngx_async_html_text(h, &uri);
    ngx_async_html_raw(h, "</a></td><td>");
    ngx_async_html_text(h, &ngx_async_job_status_names[job->status]);
    ngx_async_html_raw(h, "</td><td>");
    ngx_async_html_text(h, &job->queue);
    ngx_async_list_cell_time(h, job->created);
    ngx_async_list_cell_time(h, job->finished);
    ngx_async_html_raw(h, "</td></tr>\n");
}


static void
ngx_async_list_cell_time(ngx_async_html_t *h, uint64_t msec)
{
    ngx_async_html_raw(h, "</td><td>");

    if (msec != 0) {
        ngx_async_html_time(h, msec);
    }
}
