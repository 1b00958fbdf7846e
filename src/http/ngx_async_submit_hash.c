
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_submit_internal.h"
#include "src/http/ngx_async_key.h"
#include "src/http/ngx_async_reply.h"


/*
 * A body in a file is read for its fingerprint in a thread.
 */


/* the request may be gone when the thread is done */

typedef struct {
    ngx_async_work_t       work;
    ngx_async_key_file_t  *file;
    ngx_async_submit_t    *submit;      /* NULL: it is */
} ngx_async_submit_hashing_t;


static void ngx_async_submit_hash_file(void *data, ngx_log_t *log);
static void ngx_async_submit_have_hash(void *data);


/*
 * A body in a file is read for its fingerprint in a thread.  A key that is
 * configured may be made of the fingerprint, and cannot be looked at before.
 */

ngx_uint_t
ngx_async_submit_must_hash(ngx_async_submit_t *s)
{
    ngx_str_t                 value;
    ngx_http_request_body_t  *rb;
    ngx_async_main_conf_t    *amcf;

    rb = s->request->request_body;

    if (rb == NULL || rb->temp_file == NULL
        || rb->bufs == NULL || !rb->bufs->buf->in_file || rb->bufs->next)
    {
        return 0;
    }

    amcf = ngx_http_get_module_main_conf(s->request, ngx_async_module);

    if (amcf->fingerprint) {
        return 1;
    }

    if (s->alcf->key == NULL) {
        return 0;
    }

    if (s->alcf->key != amcf->default_key) {
        return 1;
    }

    return ngx_http_complex_value(s->request, s->alcf->key, &value) == NGX_OK
           && value.len != 0;
}


ngx_int_t
ngx_async_submit_hash(ngx_async_submit_t *s)
{
    ngx_async_submit_hashing_t  *h;

    h = ngx_calloc(sizeof(ngx_async_submit_hashing_t), ngx_cycle->log);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->file = ngx_async_key_file_start(s->request);
    if (h->file == NULL) {
        ngx_free(h);
        return NGX_ERROR;
    }

    h->submit = s;
    s->hashing = h;

    h->work.run = ngx_async_submit_hash_file;
    h->work.handler = ngx_async_submit_have_hash;
    h->work.data = h;

    ngx_async_store_work(&h->work);

    return NGX_OK;
}


static void
ngx_async_submit_hash_file(void *data, ngx_log_t *log)
{
    ngx_async_submit_hashing_t  *h = data;

    ngx_async_key_file_read(h->file);
}


static void
ngx_async_submit_have_hash(void *data)
{
    ngx_async_submit_hashing_t  *h = data;

    ngx_int_t            rc;
    ngx_async_submit_t  *s;

    s = h->submit;
    rc = h->file->rc;

    if (s) {
        s->hashing = NULL;
        s->hashed = (rc == NGX_OK);
        ngx_memcpy(s->hash, h->file->hash, NGX_ASYNC_HASH_LEN);
    }

    ngx_async_key_file_free(h->file);
    ngx_free(h);

    if (s == NULL) {
        return;
    }

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_CRIT, s->request->connection->log, 0,
                      "async: a request body could not be read from its file");
        ngx_async_submit_problem(s, NGX_ASYNC_PROBLEM_STORE_FAILED, 0);
        return;
    }

    ngx_async_submit_start(s);
}


void
ngx_async_submit_unhash(ngx_async_submit_t *s)
{
    ngx_async_submit_hashing_t  *h;

    h = s->hashing;

    if (h) {
        h->submit = NULL;
        s->hashing = NULL;
    }
}


ngx_int_t
ngx_async_submit_fingerprint(ngx_http_request_t *r, u_char *hash)
{
    ngx_async_submit_t  *s;

    s = ngx_http_get_module_ctx(r, ngx_async_module);

    if (s == NULL || !s->hashed) {
        return ngx_async_key_fingerprint(r, hash);
    }

    ngx_memcpy(hash, s->hash, NGX_ASYNC_HASH_LEN);

    return NGX_OK;
}
