
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_http.h"
#include "src/http/ngx_async_control.h"
#include "src/http/ngx_async_events.h"
#include "src/http/ngx_async_fields.h"
#include "src/http/ngx_async_list.h"
#include "src/http/ngx_async_page.h"
#include "src/http/ngx_async_query.h"
#include "src/base/ngx_async_field.h"
#include "src/base/ngx_async_prefer.h"
#include "src/http/ngx_async_reply.h"
#include "src/http/ngx_async_result.h"
#include "src/http/ngx_async_wait.h"


#define NGX_ASYNC_RESOURCES_GET  (NGX_HTTP_GET|NGX_HTTP_HEAD)
#define NGX_ASYNC_RESOURCES_ANY  0xffffffff


typedef struct {
    ngx_str_t          suffix;
    ngx_uint_t         methods;
    ngx_async_ask_pt   handler;
    unsigned           guarded:1;   /* not for pages of other sites */
    ngx_str_t          allow;       /* of all rows with this suffix */
} ngx_async_resource_t;


static ngx_uint_t ngx_async_resources_own(ngx_http_request_t *r);
static ngx_int_t ngx_async_resources_route(ngx_http_request_t *r,
    ngx_str_t *path);
static ngx_int_t ngx_async_resources_refused(ngx_http_request_t *r,
    ngx_uint_t problem, ngx_str_t *allow);
static ngx_int_t ngx_async_resources_path(ngx_http_request_t *r,
    ngx_str_t *path);
static ngx_uint_t ngx_async_resources_cross_site(ngx_http_request_t *r);
static ngx_int_t ngx_async_resources_start(ngx_http_request_t *r,
    ngx_async_id_t *id, ngx_async_ask_pt handler);

static void ngx_async_resources_status(ngx_async_ask_t *ask);
static void ngx_async_resources_status_job(ngx_async_ask_t *ask);
static void ngx_async_resources_result(ngx_async_ask_t *ask);
static void ngx_async_resources_result_job(ngx_async_ask_t *ask);
static void ngx_async_resources_wait(ngx_async_ask_t *ask);
static void ngx_async_resources_wait_job(ngx_async_ask_t *ask);
static ngx_int_t ngx_async_resources_pending(ngx_async_ask_t *ask);
static ngx_int_t ngx_async_resources_progress(ngx_async_ask_t *ask);


static ngx_async_resource_t  ngx_async_resources[] = {

    { ngx_string(""), NGX_ASYNC_RESOURCES_GET,
      ngx_async_resources_status, 0, ngx_string("GET, HEAD, DELETE") },

    { ngx_string(""), NGX_HTTP_DELETE,
      ngx_async_control_delete, 1, ngx_string("GET, HEAD, DELETE") },

    { ngx_string("/result"), NGX_ASYNC_RESOURCES_GET,
      ngx_async_resources_result, 0, ngx_string("GET, HEAD, DELETE") },

    { ngx_string("/result"), NGX_HTTP_DELETE,
      ngx_async_control_delete, 1, ngx_string("GET, HEAD, DELETE") },

    { ngx_string("/wait"), NGX_ASYNC_RESOURCES_ANY,
      ngx_async_resources_wait, 0, ngx_null_string },

    { ngx_string("/events"), NGX_ASYNC_RESOURCES_GET,
      ngx_async_events_start, 0, ngx_string("GET, HEAD") },

    { ngx_string("/cancel"), NGX_HTTP_POST,
      ngx_async_control_cancel, 1, ngx_string("POST") },

    { ngx_string("/retry"), NGX_HTTP_POST,
      ngx_async_control_retry, 1, ngx_string("POST") },

    { ngx_null_string, 0, NULL, 0, ngx_null_string }
};

static ngx_str_t  ngx_async_resources_list_allow = ngx_string("GET, HEAD");
static ngx_str_t  ngx_async_resources_no_store = ngx_string("no-store");


void
ngx_async_resources_finish(ngx_http_request_t *r)
{
    ngx_async_ask_t       *ask;
    ngx_async_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);

    /* an error page of nginx has none of the fields that were set before it */

    if (alcf->jobs && !ngx_async_resources_own(r)) {

        ask = ngx_async_ask_get(r);

        if (ask && ask->want_response && ask->op.found.response_status) {
            (void) ngx_async_fields_status(r, &ask->op.found,
                                           ask->op.found.response_status);
        }

        (void) ngx_async_reply_header(r, "Cache-Control",
                                      &ngx_async_resources_no_store);
        (void) ngx_async_reply_guard(r);
    }

    ngx_async_reply_unique(r);
}


static ngx_uint_t
ngx_async_resources_own(ngx_http_request_t *r)
{
    ngx_table_elt_t         *h;
    ngx_async_field_each_t   each;

    ngx_async_field_first(&each, &r->headers_out.headers);

    while ((h = ngx_async_field_next(&each)) != NULL) {
        if (h->hash == NGX_ASYNC_REPLY_HASH) {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_async_jobs_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    ngx_str_t  path;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_async_resources_path(r, &path) != NGX_OK) {
        return ngx_async_resources_refused(r, NGX_ASYNC_PROBLEM_NOT_FOUND,
                                           NULL);
    }

    if (path.len != 0) {
        return ngx_async_resources_route(r, &path);
    }

    if (!(r->method & NGX_ASYNC_RESOURCES_GET)) {
        return ngx_async_resources_refused(r, NGX_ASYNC_PROBLEM_METHOD,
                                           &ngx_async_resources_list_allow);
    }

    return ngx_async_resources_start(r, NULL, ngx_async_list_start);
}


/*
 * What is refused for its form is refused before the job is looked for, so
 * that it tells nothing about it.
 */

static ngx_int_t
ngx_async_resources_route(ngx_http_request_t *r, ngx_str_t *path)
{
    ngx_str_t              text, suffix;
    ngx_async_id_t         id;
    ngx_async_resource_t  *resource, *known;

    ngx_async_query_path(path, &text, &suffix);

    known = NULL;

    for (resource = ngx_async_resources; resource->handler; resource++) {

        if (resource->suffix.len != suffix.len
            || ngx_strncmp(resource->suffix.data, suffix.data, suffix.len)
               != 0)
        {
            continue;
        }

        known = resource;

        if (resource->methods & r->method) {
            break;
        }
    }

    if (known == NULL) {
        return ngx_async_resources_refused(r, NGX_ASYNC_PROBLEM_NOT_FOUND,
                                           NULL);
    }

    if (resource->handler == NULL) {
        return ngx_async_resources_refused(r, NGX_ASYNC_PROBLEM_METHOD,
                                           &known->allow);
    }

    if (resource->guarded && ngx_async_resources_cross_site(r)) {
        return ngx_async_resources_refused(r, NGX_ASYNC_PROBLEM_CROSS_SITE,
                                           NULL);
    }

    if (ngx_async_id_parse(&id, text.data, text.len) != NGX_OK) {
        return ngx_async_resources_refused(r, NGX_ASYNC_PROBLEM_NOT_FOUND,
                                           NULL);
    }

    return ngx_async_resources_start(r, &id, resource->handler);
}


static ngx_int_t
ngx_async_resources_refused(ngx_http_request_t *r, ngx_uint_t problem,
    ngx_str_t *allow)
{
    if (allow != NULL
        && ngx_async_reply_header(r, "Allow", allow) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_async_reply_problem(r, problem, NULL, 0);
}


/*
 * What follows the prefix of the jobs location in the URI, which need not be
 * below it when the request was sent on to the location.
 */

static ngx_int_t
ngx_async_resources_path(ngx_http_request_t *r, ngx_str_t *path)
{
    ngx_str_t                 *prefix;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    prefix = &clcf->name;

    if (r->uri.len < prefix->len
        || ngx_strncmp(r->uri.data, prefix->data, prefix->len) != 0)
    {
        return NGX_DECLINED;
    }

    path->data = r->uri.data + prefix->len;
    path->len = r->uri.len - prefix->len;

    return NGX_OK;
}


static ngx_uint_t
ngx_async_resources_cross_site(ngx_http_request_t *r)
{
    ngx_str_t  *site;

    site = ngx_async_prefer_field(r, "sec-fetch-site");

    return site != NULL && ngx_async_field_is(site, "cross-site");
}


static ngx_int_t
ngx_async_resources_start(ngx_http_request_t *r, ngx_async_id_t *id,
    ngx_async_ask_pt handler)
{
    ngx_async_ask_t  *ask;

    ask = ngx_async_ask_create(r);
    if (ask == NULL) {
        return NGX_ERROR;
    }

    if (id != NULL) {
        ask->id = *id;
    }

    if (ask->alcf->owner != NULL
        && ngx_http_complex_value(r, ask->alcf->owner, &ask->owner) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ask->navigation = ngx_async_prefer_navigation(r);

    r->main->count++;

    handler(ask);

    return NGX_DONE;
}


/* GET J */

static void
ngx_async_resources_status(ngx_async_ask_t *ask)
{
    ask->want_position = 1;

    ngx_async_wait_job(ask, ngx_async_wait_asked(ask->request),
                       ngx_async_resources_status_job);
}


static void
ngx_async_resources_status_job(ngx_async_ask_t *ask)
{
    ngx_async_document_t  d;

    if (!ask->navigation) {
        ngx_async_ask_finish(ask,
                             ngx_async_ask_send_document(ask, NGX_HTTP_OK));
        return;
    }

    ngx_async_ask_document(ask, &d);
    ngx_async_ask_finish(ask, ngx_async_page_job(ask->request, &d));
}


/* GET J/result */

static void
ngx_async_resources_result(ngx_async_ask_t *ask)
{
    ask->want_position = !ask->navigation;
    ask->want_response = 1;

    ngx_async_wait_job(ask, ngx_async_wait_asked(ask->request),
                       ngx_async_resources_result_job);
}


static void
ngx_async_resources_result_job(ngx_async_ask_t *ask)
{
    if (ngx_async_job_finished(&ask->op.found)) {
        ngx_async_result_send(ask);
        return;
    }

    if (ask->navigation) {
        ngx_async_ask_finish(ask, ngx_async_reply_see(ask->request,
                                                      &ask->op.found, ""));
        return;
    }

    ngx_async_ask_finish(ask, ngx_async_resources_pending(ask));
}


static ngx_int_t
ngx_async_resources_pending(ngx_async_ask_t *ask)
{
    ngx_async_job_t     *job;
    ngx_http_request_t  *r;

    r = ask->request;
    job = &ask->op.found;

    if (ngx_async_reply_link(r, "Location", job, "/result") != NGX_OK
        || ngx_async_reply_link(r, "Content-Location", job, "/result")
           != NGX_OK
        || ngx_async_resources_progress(ask) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_async_ask_send_document(ask, NGX_HTTP_ACCEPTED);
}


/* X-Progress of the FHIR asynchronous pattern: a text for people */

static ngx_int_t
ngx_async_resources_progress(ngx_async_ask_t *ask)
{
    u_char                *p;
    ngx_str_t              value;
    ngx_async_document_t   d;

    ngx_async_ask_document(ask, &d);

    p = ngx_pnalloc(ask->request->pool,
                    sizeof("running, 00000000000000000000 of "
                           "00000000000000000000 bytes received"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    if (d.job->status == NGX_ASYNC_NOT_STARTED) {

        if (d.job->paused_until) {
            p = ngx_cpymem(p, "queued, paused", 14);

        } else if (d.position) {
            p = ngx_sprintf(p, "queued, position %uL", d.position);

        } else {
            p = ngx_cpymem(p, "queued", 6);
        }

    } else if (d.progress && d.total) {
        p = ngx_sprintf(p, "running, %uL of %uL bytes received", d.received,
                        d.total);

    } else if (d.progress && d.received) {
        p = ngx_sprintf(p, "running, %uL bytes received", d.received);

    } else {
        p = ngx_cpymem(p, "running", 7);
    }

    value.len = p - value.data;

    return ngx_async_reply_header(ask->request, "X-Progress", &value);
}


/* J/wait: any method, since clients that follow redirects send theirs again */

static void
ngx_async_resources_wait(ngx_async_ask_t *ask)
{
    ask->want_response = 1;

    ngx_async_wait_job(ask, ask->alcf->wait_max, ngx_async_resources_wait_job);
}


static void
ngx_async_resources_wait_job(ngx_async_ask_t *ask)
{
    u_char  suffix[sizeof("/wait?n=") + NGX_INT_T_LEN];

    if (ngx_async_job_finished(&ask->op.found)) {
        ngx_async_result_send(ask);
        return;
    }

    if (ask->navigation) {
        ngx_async_ask_finish(ask, ngx_async_reply_see(ask->request,
                                                      &ask->op.found, ""));
        return;
    }

    /* the URL differs from hop to hop: clients stop when they see one again */

    *ngx_sprintf(suffix, "/wait?n=%ui",
                 ngx_async_query_hop(ask->request) + 1) = '\0';

    ngx_async_ask_finish(ask, ngx_async_reply_see(ask->request,
                                                  &ask->op.found,
                                                  (char *) suffix));
}
