
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_document.h"
#include "src/store/ngx_async_shared.h"


#define NGX_ASYNC_DOCUMENT_RETRY_DEFAULT  2
#define NGX_ASYNC_DOCUMENT_RETRY_MAX      60

/* most documents fit, and are written once */
#define NGX_ASYNC_DOCUMENT_USUAL          2048


static void ngx_async_document_times(ngx_async_json_t *j,
    ngx_async_document_t *d);
static void ngx_async_document_request(ngx_async_json_t *j,
    ngx_async_document_t *d);
static void ngx_async_document_progress(ngx_async_json_t *j,
    ngx_async_document_t *d);
static void ngx_async_document_outcome(ngx_async_json_t *j,
    ngx_async_document_t *d, ngx_str_t *id);
static void ngx_async_document_error(ngx_async_json_t *j,
    ngx_async_job_t *job);
static void ngx_async_document_callback(ngx_async_json_t *j,
    ngx_async_job_t *job);
static void ngx_async_document_links(ngx_async_json_t *j,
    ngx_async_job_t *job, ngx_str_t *id);


ngx_int_t
ngx_async_document_create(ngx_pool_t *pool, ngx_async_document_t *d,
    ngx_str_t *json)
{
    u_char            buf[NGX_ASYNC_DOCUMENT_USUAL];
    ngx_async_json_t  j;

    ngx_memzero(&j, sizeof(ngx_async_json_t));
    j.pos = buf;
    j.last = buf + sizeof(buf);
    ngx_async_document_write(&j, NULL, d);

    json->len = j.len;
    json->data = ngx_pnalloc(pool, j.len);
    if (json->data == NULL) {
        return NGX_ERROR;
    }

    if (j.len <= sizeof(buf)) {
        ngx_memcpy(json->data, buf, j.len);
        return NGX_OK;
    }

    ngx_memzero(&j, sizeof(ngx_async_json_t));
    j.pos = json->data;
    ngx_async_document_write(&j, NULL, d);

    return NGX_OK;
}


void
ngx_async_document_write(ngx_async_json_t *j, const char *name,
    ngx_async_document_t *d)
{
    u_char            text[NGX_ASYNC_ID_TEXT_LEN];
    ngx_str_t         id;
    ngx_async_job_t  *job;

    job = d->job;

    id.data = text;
    id.len = ngx_async_id_format(text, &job->id) - text;

    ngx_async_json_open(j, name, '{');

    ngx_async_json_string(j, "id", &id);
    ngx_async_json_string(j, "status",
                          &ngx_async_job_status_names[job->status]);

    ngx_async_document_times(j, d);

    ngx_async_json_string(j, "queue", &job->queue);

    if (job->status == NGX_ASYNC_NOT_STARTED) {

        if (d->position != 0) {
            ngx_async_json_number(j, "position", d->position);
        }

        ngx_async_json_bool(j, "queue_paused", job->paused_until != 0);

        /* the one that it waits for */

        ngx_async_json_number(j, "attempt", job->attempt + 1);

    } else {
        ngx_async_json_number(j, "attempt", job->attempt);
    }

    ngx_async_document_request(j, d);
    ngx_async_document_progress(j, d);
    ngx_async_document_outcome(j, d, &id);
    ngx_async_document_callback(j, job);
    ngx_async_document_links(j, job, &id);

    ngx_async_json_close(j, '}');
}


ngx_uint_t
ngx_async_document_retry_after(ngx_async_document_t *d, uint64_t *finish)
{
    uint64_t               expect, left, elapsed, turns, begin;
    ngx_async_job_t       *job;
    ngx_async_queue_t     *queue;
    ngx_async_loc_conf_t  *alcf;

    job = d->job;
    *finish = 0;

    alcf = ngx_async_location_find(&job->server, &job->location);

    expect = (alcf != NULL) ? ngx_async_shared_expect(&alcf->sample_key) : 0;

    /* until it may start */

    begin = ngx_max(job->not_before, job->paused_until);
    left = (begin > d->now) ? begin - d->now : 0;

    if (expect == 0) {
        left = (left + 999) / 1000;

        return ngx_max(NGX_ASYNC_DOCUMENT_RETRY_DEFAULT,
                       ngx_min(left, NGX_ASYNC_DOCUMENT_RETRY_MAX));
    }

    if (job->status == NGX_ASYNC_RUNNING) {

        elapsed = (d->now > job->started) ? d->now - job->started : 0;

        /* one that is late is expected to be as late again, by a quarter */

        left = (expect > elapsed) ? expect - elapsed : elapsed / 4;

    } else {
        turns = 1;
        queue = ngx_async_queue_find(&job->queue);

        if (d->position > 1 && queue != NULL && queue->concurrency != 0) {
            turns += (d->position - 1) / queue->concurrency;
        }

        left += expect * turns;
    }

    if (job->paused_until == 0) {
        *finish = d->now + left;
    }

    left = (left + 999) / 1000;

    return ngx_max(1, ngx_min(left, NGX_ASYNC_DOCUMENT_RETRY_MAX));
}


static void
ngx_async_document_times(ngx_async_json_t *j, ngx_async_document_t *d)
{
    uint64_t          finish;
    ngx_async_job_t  *job;

    job = d->job;

    ngx_async_json_time(j, "created_at", job->created);

    if (job->status != NGX_ASYNC_NOT_STARTED) {
        ngx_async_json_time(j, "started_at", job->started);
    }

    if (ngx_async_job_finished(job)) {
        ngx_async_json_time(j, "finished_at", job->finished);
        ngx_async_json_time(j, "expires_at", job->expires);
        return;
    }

    (void) ngx_async_document_retry_after(d, &finish);

    ngx_async_json_time(j, "estimated_finish_at", finish);
}


static void
ngx_async_document_request(ngx_async_json_t *j, ngx_async_document_t *d)
{
    u_char     *p;
    ngx_str_t   uri;

    uri = d->job->uri;

    if (d->no_query) {
        p = ngx_strlchr(uri.data, uri.data + uri.len, '?');

        if (p != NULL) {
            uri.len = p - uri.data;
        }
    }

    ngx_async_json_open(j, "request", '{');
    ngx_async_json_string(j, "method", &d->job->method);
    ngx_async_json_string(j, "uri", &uri);
    ngx_async_json_close(j, '}');
}


static void
ngx_async_document_progress(ngx_async_json_t *j, ngx_async_document_t *d)
{
    if (d->job->status != NGX_ASYNC_RUNNING) {
        return;
    }

    ngx_async_json_open(j, "progress", '{');

    ngx_async_json_number(j, "bytes_received", d->progress ? d->received : 0);

    if (d->progress && d->total != 0) {
        ngx_async_json_number(j, "bytes_total", d->total);
    }

    ngx_async_json_close(j, '}');
}


static void
ngx_async_document_outcome(ngx_async_json_t *j, ngx_async_document_t *d,
    ngx_str_t *id)
{
    ngx_async_job_t  *job;

    job = d->job;

    if (!ngx_async_job_finished(job)) {
        return;
    }

    if (job->response_status != 0) {
        ngx_async_json_open(j, "response", '{');
        ngx_async_json_number(j, "status", job->response_status);

        if (job->content_type.len != 0) {
            ngx_async_json_string(j, "content_type", &job->content_type);
        }

        ngx_async_json_number(j, "content_length", job->response_body_len);
        ngx_async_json_close(j, '}');
    }

    if (job->status == NGX_ASYNC_SUCCEEDED) {
        ngx_async_json_link(j, "resourceLocation", &job->jobs_uri, id,
                            "/result");
    }

    if (job->status == NGX_ASYNC_FAILED) {
        ngx_async_document_error(j, job);
    }
}


static void
ngx_async_document_error(ngx_async_json_t *j, ngx_async_job_t *job)
{
    u_char     buf[sizeof("http_") - 1 + NGX_INT32_LEN];
    ngx_str_t  code;

    code = job->error_code;

    /* clients take an error without a code for a broken answer */

    if (code.len == 0) {
        code.data = buf;
        code.len = ngx_sprintf(buf, "http_%uD", job->response_status) - buf;
    }

    ngx_async_json_open(j, "error", '{');
    ngx_async_json_string(j, "code", &code);

    if (job->error_message.len != 0) {
        ngx_async_json_string(j, "message", &job->error_message);

    } else {
        ngx_async_json_text(j, "message", "The request failed.");
    }

    ngx_async_json_close(j, '}');
}


static void
ngx_async_document_callback(ngx_async_json_t *j, ngx_async_job_t *job)
{
    static const char  *names[] = {
        "none", "pending", "delivered", "failed"
    };

    if (job->callback_url.len == 0) {
        return;
    }

    /* not the URL: it may carry a secret that is not this reader's */

    ngx_async_json_open(j, "callback", '{');

    if (job->callback_status == NGX_ASYNC_CALLBACK_NONE) {
        ngx_async_json_text(j, "status", "pending");

    } else {
        ngx_async_json_text(j, "status", names[job->callback_status & 3]);
    }

    ngx_async_json_number(j, "attempts", job->callback_attempts);

    if (job->callback_error.len != 0) {
        ngx_async_json_string(j, "last_error", &job->callback_error);
    }

    ngx_async_json_close(j, '}');
}


static void
ngx_async_document_links(ngx_async_json_t *j, ngx_async_job_t *job,
    ngx_str_t *id)
{
    ngx_async_json_open(j, "links", '{');

    ngx_async_json_link(j, "self", &job->jobs_uri, id, "");
    ngx_async_json_link(j, "result", &job->jobs_uri, id, "/result");
    ngx_async_json_link(j, "wait", &job->jobs_uri, id, "/wait");
    ngx_async_json_link(j, "events", &job->jobs_uri, id, "/events");
    ngx_async_json_link(j, "cancel", &job->jobs_uri, id, "/cancel");

    if (job->status == NGX_ASYNC_FAILED
        && (job->flags & NGX_ASYNC_JOB_REQUEST))
    {
        ngx_async_json_link(j, "retry", &job->jobs_uri, id, "/retry");
    }

    ngx_async_json_close(j, '}');
}
