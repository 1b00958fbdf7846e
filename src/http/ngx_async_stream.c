
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_stream.h"


#define NGX_ASYNC_STREAM_SLOTS  2


typedef struct {
    ngx_buf_t    buf;
    u_char      *memory;            /* of the store; NULL: the slot is free */
    unsigned     sent:1;            /* was given to the filters */
} ngx_async_stream_slot_t;


typedef struct {
    ngx_async_ask_t          *ask;

    uint64_t                  offset;       /* of the next read, in the blob */
    uint64_t                  end;
    off_t                     skip;         /* bytes before a range */

    ngx_async_stream_slot_t   slots[NGX_ASYNC_STREAM_SLOTS];
    ngx_uint_t                next;         /* slot to be filled, and sent */

    ngx_file_t                file;         /* of bytes that are skipped */
    ngx_buf_t                 skipped;
} ngx_async_stream_t;


static ngx_int_t ngx_async_stream_expect(ngx_async_ask_t *ask);
static void ngx_async_stream_run(ngx_async_stream_t *s);
static void ngx_async_stream_reclaim(ngx_async_stream_t *s);
static void ngx_async_stream_read(ngx_async_stream_t *s);
static void ngx_async_stream_got(ngx_async_ask_t *ask);
static void ngx_async_stream_fill(ngx_async_stream_t *s, u_char *data,
    size_t len);
static ngx_int_t ngx_async_stream_send(ngx_async_stream_t *s,
    ngx_async_stream_slot_t *slot);
static void ngx_async_stream_writer(ngx_http_request_t *r);
static void ngx_async_stream_broken(ngx_async_stream_t *s);
static void ngx_async_stream_free(void *data);


void
ngx_async_stream_start(ngx_async_ask_t *ask, off_t start, off_t end)
{
    uint64_t             head;
    ngx_async_job_t     *job;
    ngx_pool_cleanup_t  *cln;
    ngx_async_stream_t  *s;

    cln = ngx_pool_cleanup_add(ask->request->pool, sizeof(ngx_async_stream_t));
    if (cln == NULL) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    s = cln->data;
    ngx_memzero(s, sizeof(ngx_async_stream_t));
    cln->handler = ngx_async_stream_free;

    job = &ask->op.found;
    head = job->response_head_len;

    if (head + end > ask->op.blob.len
        && ngx_async_stream_expect(ask) != NGX_OK)
    {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    s->ask = ask;
    s->offset = head + start;
    s->end = head + end;
    s->skip = start;

    ask->data = s;
    ask->request->write_event_handler = ngx_async_stream_writer;

    if (s->offset < ask->op.blob.len) {
        ngx_async_stream_fill(s, ask->op.blob.data + s->offset,
                              ask->op.blob.len - s->offset);

    } else {
        ngx_async_store_release(&ask->op);
    }

    ngx_async_stream_run(s);
}


/*
 * Not for a client that gets the response as it was, below the filters that
 * would read the file, nor where they would block to read it.
 */

ngx_uint_t
ngx_async_stream_is_file(ngx_async_ask_t *ask)
{
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    if (!ask->op.opened || ask->held) {
        return 0;
    }

    r = ask->request;

    if (r->connection->sendfile && !r->main_filter_need_in_memory) {
        return 1;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    return clcf->aio == NGX_HTTP_AIO_THREADS;
}


/* the whole body; the filters leave of it what is to be sent */

void
ngx_async_stream_file(ngx_async_ask_t *ask)
{
    ngx_buf_t                 *b;
    ngx_chain_t                out;
    ngx_file_t                *file;
    ngx_async_job_t           *job;
    ngx_http_request_t        *r;
    ngx_pool_cleanup_t        *cln;
    ngx_pool_cleanup_file_t   *clnf;
    ngx_http_core_loc_conf_t  *clcf;

    r = ask->request;
    job = &ask->op.found;

    b = ngx_calloc_buf(r->pool);
    file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_pool_cleanup_file_t));

    if (b == NULL || file == NULL || cln == NULL) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    ngx_str_set(&file->name, "result of a job");
    file->fd = ask->op.fd;
    file->log = r->connection->log;

    clnf = cln->data;
    clnf->fd = file->fd;
    clnf->name = file->name.data;
    clnf->log = file->log;

    cln->handler = ngx_pool_cleanup_file;

    /* the request's from now on */

    ask->op.opened = 0;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->directio <= (off_t) job->response_body_len
        && ngx_directio_on(file->fd) != NGX_FILE_ERROR)
    {
        file->directio = 1;
    }

    b->file = file;
    b->file_pos = job->response_head_len;
    b->file_last = job->response_head_len + job->response_body_len;
    b->in_file = (b->file_pos < b->file_last);
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    ngx_async_ask_finish(ask, ngx_http_output_filter(r, &out));
}


/*
 * A failed job may be run again, and get another response: the rest is read
 * only of a job that is still the same.
 */

static ngx_int_t
ngx_async_stream_expect(ngx_async_ask_t *ask)
{
    ngx_async_job_t  *job;

    job = ngx_calloc(sizeof(ngx_async_job_t), ask->request->connection->log);
    if (job == NULL) {
        return NGX_ERROR;
    }

    job->version = ask->op.found.version;
    ask->memory = job;

    return NGX_OK;
}


/*
 * Sends what has been read, and reads on where there is room.  Called again
 * by the end of a read and when the client's connection takes more.
 */

static void
ngx_async_stream_run(ngx_async_stream_t *s)
{
    ngx_int_t                 rc;
    ngx_uint_t                last;
    ngx_connection_t         *c;
    ngx_async_stream_slot_t  *slot;

    c = s->ask->request->connection;

    for ( ;; ) {

        slot = &s->slots[s->next];

        if (slot->memory == NULL || slot->sent) {
            break;
        }

        last = slot->buf.last_in_chain;

        /* the next piece is read while this one is sent */

        s->next = (s->next + 1) % NGX_ASYNC_STREAM_SLOTS;
        ngx_async_stream_read(s);

        rc = ngx_async_stream_send(s, slot);

        if (rc == NGX_ERROR || last) {
            ngx_async_ask_finish(s->ask, rc);
            return;
        }

        ngx_async_stream_reclaim(s);
    }

    ngx_async_stream_read(s);

    if (ngx_async_ask_sent(s->ask) == NGX_ERROR) {
        ngx_async_ask_finish(s->ask, NGX_ERROR);
        return;
    }

    ngx_http_run_posted_requests(c);
}


/* frees the memory of what the filters have consumed */

static void
ngx_async_stream_reclaim(ngx_async_stream_t *s)
{
    ngx_uint_t                i;
    ngx_async_stream_slot_t  *slot;

    for (i = 0; i < NGX_ASYNC_STREAM_SLOTS; i++) {

        slot = &s->slots[i];

        if (slot->memory && slot->sent && slot->buf.pos == slot->buf.last) {
            ngx_free(slot->memory);
            slot->memory = NULL;
            slot->sent = 0;
        }
    }
}


static void
ngx_async_stream_read(ngx_async_stream_t *s)
{
    uint64_t          limit;
    ngx_async_ask_t  *ask;

    ask = s->ask;

    if (ask->busy || s->offset == s->end
        || s->slots[s->next].memory != NULL)
    {
        return;
    }

    limit = NGX_ASYNC_PIECE - s->offset % NGX_ASYNC_PIECE;

    ngx_async_ask_prepare(ask, NGX_ASYNC_OP_READ);

    ask->op.job = ask->memory;
    ask->op.part = NGX_ASYNC_RESPONSE;
    ask->op.offset = s->offset;
    ask->op.limit = ngx_min(limit, s->end - s->offset);

    ngx_async_ask_submit(ask, ngx_async_stream_got);
}


static void
ngx_async_stream_got(ngx_async_ask_t *ask)
{
    ngx_async_stream_t  *s;

    s = ask->data;

    if (ask->op.rc != NGX_OK || ask->op.blob.len == 0) {
        ngx_async_stream_broken(s);
        return;
    }

    ngx_async_stream_fill(s, ask->op.blob.data, ask->op.blob.len);

    ngx_async_stream_run(s);
}


/* the store's buffer becomes the slot's */

static void
ngx_async_stream_fill(ngx_async_stream_t *s, u_char *data, size_t len)
{
    ngx_buf_t                *b;
    ngx_async_stream_slot_t  *slot;

    slot = &s->slots[s->next];

    slot->memory = s->ask->op.buf.data;
    slot->sent = 0;
    ngx_str_null(&s->ask->op.buf);

    len = ngx_min(len, s->end - s->offset);
    s->offset += len;

    b = &slot->buf;
    ngx_memzero(b, sizeof(ngx_buf_t));

    b->pos = data;
    b->last = data + len;
    b->start = b->pos;
    b->end = b->last;
    b->temporary = 1;

    if (s->offset == s->end) {
        b->last_buf = (s->ask->request == s->ask->request->main) ? 1 : 0;
        b->last_in_chain = 1;
    }
}


static ngx_int_t
ngx_async_stream_send(ngx_async_stream_t *s, ngx_async_stream_slot_t *slot)
{
    ngx_chain_t  out, data;

    slot->sent = 1;

    data.buf = &slot->buf;
    data.next = NULL;

    if (s->skip == 0) {
        return ngx_async_ask_output(s->ask, &data);
    }

    /*
     * The range filter counts the bytes before a range and drops them unseen:
     * they need not be read.
     */

    s->file.fd = NGX_INVALID_FILE;
    s->file.log = s->ask->request->connection->log;

    s->skipped.in_file = 1;
    s->skipped.file = &s->file;
    s->skipped.file_last = s->skip;

    s->skip = 0;

    out.buf = &s->skipped;
    out.next = &data;

    return ngx_async_ask_output(s->ask, &out);
}


static void
ngx_async_stream_writer(ngx_http_request_t *r)
{
    ngx_async_ask_t     *ask;
    ngx_async_stream_t  *s;

    ask = ngx_async_ask_get(r);

    if (ask == NULL || ask->closed || ngx_async_ask_resume(ask) != NGX_OK) {
        return;
    }

    s = ask->data;

    ngx_async_stream_reclaim(s);
    ngx_async_stream_run(s);
}


/* the response is gone: the client must see that it has not got all of it */

static void
ngx_async_stream_broken(ngx_async_stream_t *s)
{
    ngx_http_request_t  *r;

    r = s->ask->request;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "the result of a job was removed while it was sent");

    r->keepalive = 0;
    r->connection->error = 1;

    ngx_async_ask_finish(s->ask, NGX_ERROR);
}


static void
ngx_async_stream_free(void *data)
{
    ngx_uint_t           i;
    ngx_async_stream_t  *s = data;

    for (i = 0; i < NGX_ASYNC_STREAM_SLOTS; i++) {
        if (s->slots[i].memory) {
            ngx_free(s->slots[i].memory);
        }
    }
}
