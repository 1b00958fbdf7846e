
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_submit_internal.h"
#include "src/http/ngx_async_reply.h"


/*
 * The ends of a submission.
 */


/* for variables, when the log is written */

void
ngx_async_submit_note(ngx_async_submit_t *s, ngx_async_job_t *job)
{
    if (s->job) {
        s->job->id = job->id;
        s->job->status = job->status;
        s->job->attempt = job->attempt;
        s->job->created = job->created;
        s->job->started = job->started;
        s->job->finished = job->finished;
    }
}


void
ngx_async_submit_reply(ngx_async_submit_t *s, ngx_async_job_t *job)
{
    ngx_int_t  rc;

    ngx_async_submit_note(s, job);

    rc = ngx_async_reply_accepted(s->request, job, s->redirect,
                                  s->prefer.respond_async);

    ngx_async_submit_finalize(s, rc);
}


void
ngx_async_submit_problem(ngx_async_submit_t *s, ngx_uint_t problem,
    ngx_uint_t retry_after)
{
    ngx_int_t  rc;

    rc = ngx_async_reply_problem(s->request, problem, NULL, retry_after);

    ngx_async_submit_finalize(s, rc);
}


/* async_full pass: the phases go on as if nothing had been asked for */

void
ngx_async_submit_bypass(ngx_async_submit_t *s, const char *reason)
{
    ngx_uint_t           entering;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = s->request;

    ngx_async_submit_release(s);
    s->held.left = NULL;
    s->declined = 1;

    s->bypass.data = (u_char *) reason;
    s->bypass.len = ngx_strlen(reason);

    if (ngx_async_reply_header(r, "Async-Bypass", &s->bypass) != NGX_OK) {
        ngx_async_submit_finalize(s, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    r->write_event_handler = ngx_http_core_run_phases;
    c = r->connection;
    entering = s->held.entering;

    ngx_http_core_run_phases(r);

    if (!entering) {
        ngx_http_run_posted_requests(c);
    }
}


void
ngx_async_submit_finalize(ngx_async_submit_t *s, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = s->request;

    ngx_async_submit_release(s);
    s->held.left = NULL;

    if (r->header_sent && !s->declined) {
        ngx_async_held_no_action(r);
    }

    ngx_async_held_finalize(&s->held, rc);
}
