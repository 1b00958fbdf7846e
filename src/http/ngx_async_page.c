
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_page.h"
#include "src/http/ngx_async_html.h"


typedef struct {
    const char            *title;
    ngx_str_t             *detail;
} ngx_async_page_problem_t;

typedef struct {
    ngx_async_document_t  *document;
    ngx_str_t              id;
    uint64_t               finish;          /* expected; 0: not known */
    ngx_uint_t             refresh;         /* seconds */
} ngx_async_page_job_t;


static void ngx_async_page_write_problem(ngx_async_html_t *h, void *data);
static void ngx_async_page_write_job(ngx_async_html_t *h, void *data);
static void ngx_async_page_refresh(ngx_async_html_t *h,
    ngx_async_page_job_t *page);
static void ngx_async_page_main(ngx_async_html_t *h,
    ngx_async_page_job_t *page);
static void ngx_async_page_rows(ngx_async_html_t *h,
    ngx_async_page_job_t *page);
static void ngx_async_page_row(ngx_async_html_t *h, const char *name,
    const char *label, ngx_uint_t shown);
static void ngx_async_page_elapsed(ngx_async_html_t *h, uint64_t msec);
static void ngx_async_page_actions(ngx_async_html_t *h,
    ngx_async_page_job_t *page);


static const char  *ngx_async_page_titles[] = {
    "Waiting in the queue",
    "Running",
    "Finished",
    "Failed",
    "Canceled"
};


ngx_int_t
ngx_async_page_problem(ngx_http_request_t *r, ngx_uint_t status,
    const char *title, ngx_str_t *detail)
{
    ngx_async_page_problem_t  page;

    page.title = title;
    page.detail = detail;

    return ngx_async_html_send(r, status, ngx_async_page_write_problem, &page);
}


static void
ngx_async_page_write_problem(ngx_async_html_t *h, void *data)
{
    ngx_async_page_problem_t  *page = data;

    ngx_async_html_begin(h, page->title);
    ngx_async_html_raw(h, "</head>\n<body>\n<main>\n<h1>");
    ngx_async_html_raw(h, page->title);
    ngx_async_html_raw(h, "</h1>\n<p>");
    ngx_async_html_text(h, page->detail);
    ngx_async_html_raw(h, "</p>\n</main>\n</body>\n</html>\n");
}


ngx_int_t
ngx_async_page_job(ngx_http_request_t *r, ngx_async_document_t *d)
{
    u_char                id[NGX_ASYNC_ID_TEXT_LEN];
    ngx_async_page_job_t  page;

    page.document = d;
    page.id.data = id;
    page.id.len = ngx_async_id_format(id, &d->job->id) - id;
    page.refresh = ngx_async_document_retry_after(d, &page.finish);

    return ngx_async_html_send(r, NGX_HTTP_OK, ngx_async_page_write_job,
                               &page);
}


static void
ngx_async_page_write_job(ngx_async_html_t *h, void *data)
{
    ngx_async_page_job_t  *page = data;

    ngx_async_html_begin(h,
                         ngx_async_page_titles[page->document->job->status]);
    ngx_async_page_refresh(h, page);
    ngx_async_html_raw(h, "</head>\n<body>\n");
    ngx_async_page_main(h, page);
    ngx_async_html_script(h);
    ngx_async_html_raw(h, "</body>\n</html>\n");
}


/* without scripts: by refresh, and on to the result when it is there */

static void
ngx_async_page_refresh(ngx_async_html_t *h, ngx_async_page_job_t *page)
{
    ngx_async_job_t  *job;

    job = page->document->job;

    if (ngx_async_job_finished(job) && job->status != NGX_ASYNC_SUCCEEDED) {
        return;
    }

    ngx_async_html_raw(h, "<noscript><meta http-equiv=\"refresh\" content=\"");

    if (job->status == NGX_ASYNC_SUCCEEDED) {
        ngx_async_html_raw(h, "0; url=");
        ngx_async_html_text(h, &page->id);
        ngx_async_html_raw(h, "/result");

    } else {
        ngx_async_html_number(h, page->refresh);
    }

    ngx_async_html_raw(h, "\"></noscript>\n");
}


static void
ngx_async_page_main(ngx_async_html_t *h, ngx_async_page_job_t *page)
{
    u_char            now[NGX_ASYNC_TIME_TEXT_LEN + 1];
    u_char            created[NGX_ASYNC_TIME_TEXT_LEN + 1];
    ngx_async_job_t  *job;

    job = page->document->job;

    *ngx_async_time_format(now, page->document->now) = '\0';
    *ngx_async_time_format(created, job->created) = '\0';

    ngx_async_html_raw(h, "<main id=\"job\" data-id=\"");
    ngx_async_html_text(h, &page->id);
    ngx_async_html_raw(h, "\" data-status=\"");
    ngx_async_html_text(h, &ngx_async_job_status_names[job->status]);
    ngx_async_html_raw(h, "\" data-created=\"");
    ngx_async_html_raw(h, (char *) created);
    ngx_async_html_raw(h, "\" data-now=\"");
    ngx_async_html_raw(h, (char *) now);

    /* what is told is the heading when it changes, not all that counts */

    ngx_async_html_raw(h, "\">\n<div role=\"status\"><h1 id=\"status\">");
    ngx_async_html_raw(h, ngx_async_page_titles[job->status]);
    ngx_async_html_raw(h, "</h1></div>\n<p><code>");
    ngx_async_html_text(h, &job->method);
    ngx_async_html_raw(h, " ");
    ngx_async_html_text(h, &job->uri);
    ngx_async_html_raw(h, "</code></p>\n");

    ngx_async_page_rows(h, page);
    ngx_async_page_actions(h, page);

    ngx_async_html_raw(h, "</main>\n");
}


static void
ngx_async_page_rows(ngx_async_html_t *h, ngx_async_page_job_t *page)
{
    uint64_t               end;
    ngx_async_job_t       *job;
    ngx_async_document_t  *d;

    d = page->document;
    job = d->job;

    end = ngx_async_job_finished(job) ? job->finished : d->now;

    ngx_async_html_raw(h, "<dl>\n");

    ngx_async_page_row(h, "elapsed", "Time", 1);
    ngx_async_page_elapsed(h, end > job->created ? end - job->created : 0);
    ngx_async_html_raw(h, "</dd>\n");

    ngx_async_page_row(h, "position", "Position", d->position != 0);
    if (d->position) {
        ngx_async_html_number(h, d->position);
        ngx_async_html_raw(h, d->job->paused_until
                              ? " (the queue is paused)" : "");
    }
    ngx_async_html_raw(h, "</dd>\n");

    ngx_async_page_row(h, "estimate", "Expected at",
                       page->finish && !ngx_async_job_finished(job));
    if (page->finish && !ngx_async_job_finished(job)) {
        ngx_async_html_time(h, page->finish);
    }
    ngx_async_html_raw(h, "</dd>\n");

    ngx_async_page_row(h, "received", "Received", d->progress && d->received);
    if (d->progress && d->received) {
        ngx_async_html_size(h, d->received);
        if (d->total) {
            ngx_async_html_raw(h, " of ");
            ngx_async_html_size(h, d->total);
        }
    }
    ngx_async_html_raw(h, "</dd>\n</dl>\n");

    /* without a value it only tells that something goes on */

    ngx_async_html_raw(h, "<progress id=\"bar\" aria-label=\"Progress\"");
    if (d->progress && d->total) {
        ngx_async_html_raw(h, " max=\"");
        ngx_async_html_number(h, d->total);
        ngx_async_html_raw(h, "\" value=\"");
        ngx_async_html_number(h, d->received);
        ngx_async_html_raw(h, "\"");
    }
    ngx_async_html_raw(h, job->status == NGX_ASYNC_RUNNING
                          ? "></progress>\n" : " hidden></progress>\n");
}


static void
ngx_async_page_row(ngx_async_html_t *h, const char *name, const char *label,
    ngx_uint_t shown)
{
    ngx_async_html_raw(h, "<dt id=\"");
    ngx_async_html_raw(h, name);
    ngx_async_html_raw(h, shown ? "-label\">" : "-label\" hidden>");
    ngx_async_html_raw(h, label);
    ngx_async_html_raw(h, "</dt><dd id=\"");
    ngx_async_html_raw(h, name);
    ngx_async_html_raw(h, shown ? "\">" : "\" hidden>");
}


static void
ngx_async_page_elapsed(ngx_async_html_t *h, uint64_t msec)
{
    uint64_t  seconds;

    seconds = msec / 1000;

    if (seconds >= 3600) {
        ngx_async_html_number(h, seconds / 3600);
        ngx_async_html_raw(h, " h ");
    }

    if (seconds >= 60) {
        ngx_async_html_number(h, seconds / 60 % 60);
        ngx_async_html_raw(h, " min ");
    }

    ngx_async_html_number(h, seconds % 60);
    ngx_async_html_raw(h, " s");
}


static void
ngx_async_page_actions(ngx_async_html_t *h, ngx_async_page_job_t *page)
{
    ngx_async_job_t  *job;

    job = page->document->job;

    ngx_async_html_raw(h, "<p id=\"error\" class=\"error\">");
    if (job->status == NGX_ASYNC_FAILED) {
        ngx_async_html_text(h, &job->error_message);
    }
    ngx_async_html_raw(h, "</p>\n<p id=\"note\" role=\"status\"></p>\n");

    ngx_async_html_raw(h, "<p id=\"result\"");
    if (!ngx_async_job_finished(job) || job->response_status == 0) {
        ngx_async_html_raw(h, " hidden");
    }
    ngx_async_html_raw(h, "><a href=\"");
    ngx_async_html_text(h, &page->id);
    ngx_async_html_raw(h, "/result\">Open the result</a></p>\n");

    ngx_async_html_raw(h, "<form id=\"cancel\" method=\"post\" action=\"");
    ngx_async_html_text(h, &page->id);
    ngx_async_html_raw(h, "/cancel\"");
    if (ngx_async_job_finished(job)) {
        ngx_async_html_raw(h, " hidden");
    }
    ngx_async_html_raw(h, "><button>Cancel</button></form>\n");
}
