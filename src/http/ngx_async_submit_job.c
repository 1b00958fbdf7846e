
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_submit_internal.h"
#include "src/http/ngx_async_key.h"
#include "src/http/ngx_async_reply.h"
#include "src/call/ngx_async_snapshot.h"
#include "src/call/ngx_async_direct.h"


/*
 * From a client's request to the record of a job, its snapshot and its body.
 */


static ngx_int_t ngx_async_submit_values(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static ngx_int_t ngx_async_submit_key(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static ngx_int_t ngx_async_submit_value(ngx_async_submit_t *s,
    ngx_async_run_t *run, ngx_http_complex_value_t *cv, ngx_str_t *value);
static ngx_int_t ngx_async_submit_copy(ngx_async_run_t *run, ngx_str_t *to,
    ngx_str_t *from);
static ngx_int_t ngx_async_submit_uris(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static ngx_int_t ngx_async_submit_snapshot(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static off_t ngx_async_submit_body_len(ngx_http_request_t *r,
    ngx_uint_t *in_file);
static ngx_int_t ngx_async_submit_body(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static ngx_int_t ngx_async_submit_file(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static void ngx_async_submit_file_cleanup(ngx_pool_t *pool, ngx_fd_t fd,
    ngx_pool_cleanup_pt from, ngx_pool_cleanup_pt to);


ngx_int_t
ngx_async_submit_fill(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    uint64_t               now;
    ngx_int_t              rc;
    ngx_async_job_t       *job;
    ngx_async_queue_t     *queue;
    ngx_async_loc_conf_t  *alcf;

    alcf = s->alcf;
    job = &run->job;
    queue = run->queue;

    now = ngx_async_time_now();

    if (ngx_async_id_create(&job->id, now) != NGX_OK) {
        ngx_log_error(NGX_LOG_CRIT, s->request->connection->log, ngx_errno,
                      "async: no random bytes for the id of a job");
        return NGX_ERROR;
    }

    job->created = now;
    job->ttl = alcf->ttl;
    job->ttl_failed = alcf->ttl_failed;
    job->keep_request = alcf->keep_request;
    job->urgency = 3;

    job->queue = queue->name;
    job->server = alcf->server;
    job->location = alcf->location;

    switch (s->request->method) {

    case NGX_HTTP_GET:
    case NGX_HTTP_PUT:
    case NGX_HTTP_DELETE:
        job->flags |= NGX_ASYNC_JOB_IDEMPOTENT;
    }

    if (ngx_async_submit_values(s, run) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_async_submit_key(s, run);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_async_submit_snapshot(s, run);
}


/* what the request and the variables of the configuration give */

static ngx_int_t
ngx_async_submit_values(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    ngx_str_t              value;
    ngx_async_job_t       *job;
    ngx_http_request_t    *r;
    ngx_async_loc_conf_t  *alcf;

    r = s->request;
    alcf = s->alcf;
    job = &run->job;

    if (ngx_async_submit_copy(run, &job->method, &r->method_name) != NGX_OK
        || ngx_async_submit_copy(run, &job->uri, &r->unparsed_uri) != NGX_OK
        || ngx_async_submit_value(s, run, alcf->owner, &job->owner) != NGX_OK
        || ngx_async_submit_value(s, run, run->queue->per, &job->per)
           != NGX_OK
        || ngx_async_submit_value(s, run, alcf->callback, &job->callback_url)
           != NGX_OK
        || ngx_async_submit_uris(s, run) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (job->callback_url.len) {
        job->callback_status = NGX_ASYNC_CALLBACK_PENDING;

        if (alcf->callback_fixed) {
            job->flags |= NGX_ASYNC_JOB_CALLBACK_FIXED;
        }
    }

    if (alcf->priority) {
        if (ngx_http_complex_value(r, alcf->priority, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        job->urgency = ngx_async_prefer_urgency(&value);
    }

    return NGX_OK;
}


/* NGX_ABORT: the client's key is malformed */

static ngx_int_t
ngx_async_submit_key(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    ngx_int_t         rc;
    ngx_async_job_t  *job;

    job = &run->job;

    rc = ngx_async_key_get(s->request, s->alcf, &job->owner, job->key);

    if (rc == NGX_DECLINED) {

        /* its variable may be asked for in the call */

        return s->hashed ? ngx_async_submit_fingerprint(s->request,
                                                        job->fingerprint)
                         : NGX_OK;
    }

    if (rc != NGX_OK) {
        return rc;
    }

    job->flags |= NGX_ASYNC_JOB_KEY;
    s->keyed = 1;

    return ngx_async_submit_fingerprint(s->request, job->fingerprint);
}


static ngx_int_t
ngx_async_submit_value(ngx_async_submit_t *s, ngx_async_run_t *run,
    ngx_http_complex_value_t *cv, ngx_str_t *value)
{
    ngx_str_t  v;

    ngx_str_null(value);

    if (cv == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(s->request, cv, &v) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_async_submit_copy(run, value, &v);
}


static ngx_int_t
ngx_async_submit_copy(ngx_async_run_t *run, ngx_str_t *to, ngx_str_t *from)
{
    ngx_str_null(to);

    if (from->len == 0) {
        return NGX_OK;
    }

    to->data = ngx_pstrdup(run->pool, from);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    to->len = from->len;

    return NGX_OK;
}


/* the origin of the request, and where the jobs are */

static ngx_int_t
ngx_async_submit_uris(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    u_char                *p;
    size_t                 i;
    ngx_str_t              value;
    ngx_async_job_t       *job;
    ngx_http_request_t    *r;
    ngx_async_loc_conf_t  *alcf;

    r = s->request;
    alcf = s->alcf;
    job = &run->job;

    if (ngx_async_reply_origin(r, run->pool, &job->origin) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_null(&value);

    if (alcf->jobs_uri
        && ngx_http_complex_value(r, alcf->jobs_uri, &value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < value.len; i++) {

        /* it becomes a part of headers */

        if (value.data[i] <= ' ' || value.data[i] == 0x7f) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "\"async_jobs_uri\" has a value with spaces or "
                          "control characters, use escaped variables");
            return NGX_ERROR;
        }
    }

    if (value.len && value.data[0] != '/') {
        return ngx_async_submit_copy(run, &job->jobs_uri, &value);
    }

    if (value.len == 0) {
        value = alcf->jobs_prefix;
    }

    p = ngx_pnalloc(run->pool, job->origin.len + value.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    job->jobs_uri.data = p;
    job->jobs_uri.len = job->origin.len + value.len;

    p = ngx_cpymem(p, job->origin.data, job->origin.len);
    ngx_memcpy(p, value.data, value.len);

    return NGX_OK;
}


static ngx_int_t
ngx_async_submit_snapshot(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    size_t               room;
    ngx_int_t            rc;
    ngx_str_t            url;
    ngx_uint_t           in_file, whole;
    ngx_array_t          headers;
    ngx_http_request_t  *r;

    r = s->request;

    run->body_len = ngx_async_submit_body_len(r, &in_file);
    room = in_file ? 0 : (size_t) run->body_len;

    /* a response that nobody waits for now is stored whole */

    whole = (r->method == NGX_HTTP_GET && s->wait == 0);

    if (s->alcf->pass == NULL) {
        rc = ngx_async_snapshot_take(r, whole, NULL, NULL, room, &run->blob);

    } else {
        rc = ngx_async_direct_prepare(r, s->alcf, whole, &url, &headers);

        if (rc != NGX_OK) {
            return rc;
        }

        run->job.flags |= NGX_ASYNC_JOB_DIRECT;

        rc = ngx_async_snapshot_take(r, whole, &url, &headers, room,
                                     &run->blob);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    run->own_blob = 1;

    return ngx_async_submit_body(s, run);
}


static off_t
ngx_async_submit_body_len(ngx_http_request_t *r, ngx_uint_t *in_file)
{
    off_t         len;
    ngx_chain_t  *cl;

    len = 0;
    *in_file = 0;

    if (r->request_body == NULL) {
        return 0;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);

        if (cl->buf->in_file) {
            *in_file = 1;
        }
    }

    return len;
}


/* into memory behind the snapshot, or a descriptor of its file */

static ngx_int_t
ngx_async_submit_body(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    u_char                   *p;
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    rb = s->request->request_body;

    if (rb == NULL || run->body_len == 0) {
        return NGX_OK;
    }

    if (rb->temp_file) {

        run->body_fd = dup(rb->temp_file->file.fd);

        if (run->body_fd == NGX_INVALID_FILE) {
            ngx_log_error(NGX_LOG_CRIT, s->request->connection->log, ngx_errno,
                          "async: dup() of a request body failed");
            return NGX_ERROR;
        }

        return ngx_async_submit_file(s, run);
    }

    p = run->blob.data + run->blob.len;

    run->body.data = p;

    for (cl = rb->bufs; cl; cl = cl->next) {
        b = cl->buf;
        p = ngx_cpymem(p, b->pos, b->last - b->pos);
    }

    run->body.len = p - run->body.data;

    return NGX_OK;
}


/* a file that would go with the client's request goes with the run */

static ngx_int_t
ngx_async_submit_file(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    ngx_file_t               *file;
    ngx_pool_cleanup_t       *cln;
    ngx_http_request_t       *r;
    ngx_pool_cleanup_file_t  *clnf;

    r = s->request;
    file = &r->request_body->temp_file->file;

    if (!r->request_body_in_persistent_file
        || !r->request_body_in_clean_file)
    {
        return NGX_OK;
    }

    run->body_name.data = ngx_pnalloc(run->pool, file->name.len + 1);
    cln = ngx_pool_cleanup_add(run->pool, sizeof(ngx_pool_cleanup_file_t));

    if (run->body_name.data == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    run->body_name.len = file->name.len;
    (void) ngx_cpystrn(run->body_name.data, file->name.data,
                       file->name.len + 1);

    cln->handler = ngx_pool_delete_file;

    clnf = cln->data;
    clnf->fd = run->body_fd;
    clnf->name = run->body_name.data;
    clnf->log = ngx_cycle->log;

    run->body_borrowed = 1;

    ngx_async_submit_file_cleanup(r->pool, file->fd, ngx_pool_delete_file,
                                  ngx_pool_cleanup_file);

    return NGX_OK;
}


void
ngx_async_submit_return_file(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    ngx_http_request_t  *r;

    if (run->body_name.len == 0) {
        return;
    }

    r = s->request;

    ngx_async_submit_file_cleanup(run->pool, run->body_fd,
                                  ngx_pool_delete_file, ngx_pool_cleanup_file);

    ngx_async_submit_file_cleanup(r->pool, r->request_body->temp_file->file.fd,
                                  ngx_pool_cleanup_file, ngx_pool_delete_file);
}


static void
ngx_async_submit_file_cleanup(ngx_pool_t *pool, ngx_fd_t fd,
    ngx_pool_cleanup_pt from, ngx_pool_cleanup_pt to)
{
    ngx_pool_cleanup_t       *cln;
    ngx_pool_cleanup_file_t  *clnf;

    for (cln = pool->cleanup; cln; cln = cln->next) {

        if (cln->handler != from) {
            continue;
        }

        clnf = cln->data;

        if (clnf->fd == fd) {
            cln->handler = to;
        }
    }
}
