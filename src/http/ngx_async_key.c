
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_key.h"
#include "src/base/ngx_async_prefer.h"
#include "src/base/ngx_async_codec.h"

#include <openssl/evp.h>


#define NGX_ASYNC_KEY_READ  65536


static ngx_int_t ngx_async_key_add(EVP_MD_CTX *md, ngx_str_t *s);
static ngx_int_t ngx_async_key_add_body(ngx_http_request_t *r,
    EVP_MD_CTX *md);
static ngx_int_t ngx_async_key_add_file(ngx_http_request_t *r,
    EVP_MD_CTX *md, ngx_buf_t *b);


ngx_int_t
ngx_async_key_fingerprint(ngx_http_request_t *r, u_char *hash)
{
    ngx_int_t    rc;
    EVP_MD_CTX  *md;

    md = EVP_MD_CTX_new();
    if (md == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1
        && ngx_async_key_add(md, &r->method_name) == NGX_OK
        && ngx_async_key_add(md, &r->unparsed_uri) == NGX_OK
        && ngx_async_key_add_body(r, md) == NGX_OK
        && EVP_DigestFinal_ex(md, hash, NULL) == 1)
    {
        rc = NGX_OK;
    }

    EVP_MD_CTX_free(md);

    return rc;
}


ngx_async_key_file_t *
ngx_async_key_file_start(ngx_http_request_t *r)
{
    ngx_buf_t             *b;
    ngx_temp_file_t       *tf;
    ngx_async_key_file_t  *f;

    f = ngx_calloc(sizeof(ngx_async_key_file_t), r->connection->log);
    if (f == NULL) {
        return NULL;
    }

    tf = r->request_body->temp_file;
    b = r->request_body->bufs->buf;

    f->rc = NGX_ERROR;
    f->pos = b->file_pos;
    f->last = b->file_last;
    f->fd = dup(tf->file.fd);

    if (f->fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_CRIT, r->connection->log, ngx_errno,
                      "async: dup() of a request body failed");
        ngx_free(f);
        return NULL;
    }

    f->md = EVP_MD_CTX_new();

    if (f->md == NULL
        || EVP_DigestInit_ex(f->md, EVP_sha256(), NULL) != 1
        || ngx_async_key_add(f->md, &r->method_name) != NGX_OK
        || ngx_async_key_add(f->md, &r->unparsed_uri) != NGX_OK)
    {
        ngx_async_key_file_free(f);
        return NULL;
    }

    return f;
}


void
ngx_async_key_file_read(ngx_async_key_file_t *f)
{
    u_char   *buf;
    size_t    size;
    ssize_t   n;

    buf = malloc(NGX_ASYNC_KEY_READ);
    if (buf == NULL) {
        return;
    }

    while (f->pos < f->last) {

        size = ngx_min(f->last - f->pos, NGX_ASYNC_KEY_READ);
        n = pread(f->fd, buf, size, f->pos);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0 || EVP_DigestUpdate(f->md, buf, n) != 1) {
            break;
        }

        f->pos += n;
    }

    free(buf);

    if (f->pos == f->last && EVP_DigestFinal_ex(f->md, f->hash, NULL) == 1) {
        f->rc = NGX_OK;
    }
}


void
ngx_async_key_file_free(ngx_async_key_file_t *f)
{
    EVP_MD_CTX_free(f->md);

    if (ngx_close_file(f->fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "async: " ngx_close_file_n " of a request body failed");
    }

    ngx_free(f);
}


ngx_int_t
ngx_async_key_get(ngx_http_request_t *r, ngx_async_loc_conf_t *alcf,
    ngx_str_t *owner, u_char *hash)
{
    ngx_int_t         rc;
    ngx_str_t         value, key, authorization;
    EVP_MD_CTX       *md;
    ngx_table_elt_t  *h;

    if (alcf->key == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_complex_value(r, alcf->key, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (value.len == 0) {
        return NGX_DECLINED;
    }

    if (ngx_async_prefer_key(r->pool, &value, &key) != NGX_OK) {
        return NGX_ABORT;
    }

    if (key.len == 0) {
        return NGX_DECLINED;
    }

    h = r->headers_in.authorization;

    if (h) {
        authorization = h->value;

    } else {
        ngx_str_null(&authorization);
    }

    md = EVP_MD_CTX_new();
    if (md == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1
        && ngx_async_key_add(md, &alcf->server) == NGX_OK
        && ngx_async_key_add(md, owner) == NGX_OK
        && ngx_async_key_add(md, &authorization) == NGX_OK
        && ngx_async_key_add(md, &key) == NGX_OK
        && EVP_DigestFinal_ex(md, hash, NULL) == 1)
    {
        rc = NGX_OK;
    }

    EVP_MD_CTX_free(md);

    return rc;
}


/* with its length, so that no two lists of strings are the same bytes */

static ngx_int_t
ngx_async_key_add(EVP_MD_CTX *md, ngx_str_t *s)
{
    u_char  len[8];

    (void) ngx_async_put_uint(len, s->len, 8);

    if (EVP_DigestUpdate(md, len, 8) != 1
        || EVP_DigestUpdate(md, s->data, s->len) != 1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_key_add_body(ngx_http_request_t *r, EVP_MD_CTX *md)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            if (EVP_DigestUpdate(md, b->pos, b->last - b->pos) != 1) {
                return NGX_ERROR;
            }

            continue;
        }

        if (b->in_file && ngx_async_key_add_file(r, md, b) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_key_add_file(ngx_http_request_t *r, EVP_MD_CTX *md, ngx_buf_t *b)
{
    off_t    pos;
    u_char  *buf;
    ssize_t  n;

    buf = ngx_alloc(NGX_ASYNC_KEY_READ, r->connection->log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    for (pos = b->file_pos; pos < b->file_last; pos += n) {

        n = ngx_min(b->file_last - pos, NGX_ASYNC_KEY_READ);
        n = ngx_read_file(b->file, buf, n, pos);

        if (n <= 0 || EVP_DigestUpdate(md, buf, n) != 1) {
            ngx_free(buf);
            return NGX_ERROR;
        }
    }

    ngx_free(buf);

    return NGX_OK;
}
