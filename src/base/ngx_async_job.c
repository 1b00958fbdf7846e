
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/base/ngx_async_job.h"


#define NGX_ASYNC_JOB_FORMAT       3

/* which of the fixed arrays follow; an array of zeros is left out */
#define NGX_ASYNC_JOB_RUNNER       0x01
#define NGX_ASYNC_JOB_HASH         0x02
#define NGX_ASYNC_JOB_FINGERPRINT  0x04
#define NGX_ASYNC_JOB_ARRAYS       0x07


typedef struct {
    u_char  *pos;
    u_char  *end;
} ngx_async_job_reader_t;


static ngx_uint_t ngx_async_job_arrays(const ngx_async_job_t *job);
static ngx_uint_t ngx_async_job_is_zero(const u_char *p, size_t len);
static ngx_uint_t ngx_async_job_legal(ngx_uint_t from, ngx_uint_t to);
static uint64_t ngx_async_job_value(const ngx_async_job_t *job, ngx_uint_t i);
static size_t ngx_async_job_number_len(uint64_t value);
static u_char *ngx_async_job_write(u_char *p, uint64_t value);
static uint64_t ngx_async_job_read(ngx_async_job_reader_t *rd);
static void ngx_async_job_read_array(ngx_async_job_reader_t *rd, u_char *p,
    size_t len, ngx_uint_t present);
static ngx_int_t ngx_async_job_read_fixed(ngx_async_job_reader_t *rd,
    ngx_async_job_t *job, ngx_uint_t arrays);


ngx_str_t  ngx_async_job_status_names[] = {
    ngx_string("notStarted"),
    ngx_string("running"),
    ngx_string("succeeded"),
    ngx_string("failed"),
    ngx_string("canceled")
};


/* the numbers and the strings of a record, in the order of its encoding */

static const struct {
    uint16_t  offset;
    uint16_t  size;
} ngx_async_job_numbers[] = {

#define ngx_async_job_number(name)                                            \
    { offsetof(ngx_async_job_t, name), sizeof(((ngx_async_job_t *) 0)->name) }

    ngx_async_job_number(attempt),
    ngx_async_job_number(cuts),
    ngx_async_job_number(version),
    ngx_async_job_number(created),
    ngx_async_job_number(started),
    ngx_async_job_number(finished),
    ngx_async_job_number(expires),
    ngx_async_job_number(not_before),
    ngx_async_job_number(queued),
    ngx_async_job_number(queue_deadline),
    ngx_async_job_number(ttl),
    ngx_async_job_number(ttl_failed),
    ngx_async_job_number(keep_request),
    ngx_async_job_number(turn),
    ngx_async_job_number(seq),
    ngx_async_job_number(request_head_len),
    ngx_async_job_number(request_body_len),
    ngx_async_job_number(response_status),
    ngx_async_job_number(response_head_len),
    ngx_async_job_number(response_body_len),
    ngx_async_job_number(callback_attempts),
    ngx_async_job_number(callback_due),
    ngx_async_job_number(clock),
    ngx_async_job_number(boot)
};


static const size_t  ngx_async_job_strings[] = {
    offsetof(ngx_async_job_t, queue),
    offsetof(ngx_async_job_t, per),
    offsetof(ngx_async_job_t, owner),
    offsetof(ngx_async_job_t, server),
    offsetof(ngx_async_job_t, location),
    offsetof(ngx_async_job_t, method),
    offsetof(ngx_async_job_t, uri),
    offsetof(ngx_async_job_t, origin),
    offsetof(ngx_async_job_t, jobs_uri),
    offsetof(ngx_async_job_t, content_type),
    offsetof(ngx_async_job_t, etag),
    offsetof(ngx_async_job_t, error_code),
    offsetof(ngx_async_job_t, error_message),
    offsetof(ngx_async_job_t, callback_url),
    offsetof(ngx_async_job_t, callback_error)
};


#define ngx_async_job_nelts(a)  (sizeof(a) / sizeof(a[0]))

#define ngx_async_job_string(job, i)                                          \
    ((ngx_str_t *) ((u_char *) (job) + ngx_async_job_strings[i]))

/* format, arrays, status, callback_status, flags, urgency */
#define NGX_ASYNC_JOB_BYTES  6


size_t
ngx_async_job_encoded_len(const ngx_async_job_t *job)
{
    size_t      len, size;
    ngx_uint_t  i, arrays;

    len = NGX_ASYNC_JOB_BYTES;

    for (i = 0; i < ngx_async_job_nelts(ngx_async_job_numbers); i++) {
        len += ngx_async_job_number_len(ngx_async_job_value(job, i));
    }

    arrays = ngx_async_job_arrays(job);

    len += NGX_ASYNC_ID_LEN
           + (arrays & NGX_ASYNC_JOB_RUNNER ? NGX_ASYNC_RUNNER_LEN : 0)
           + (arrays & NGX_ASYNC_JOB_HASH ? NGX_ASYNC_HASH_LEN : 0)
           + (arrays & NGX_ASYNC_JOB_FINGERPRINT ? NGX_ASYNC_HASH_LEN : 0);

    for (i = 0; i < ngx_async_job_nelts(ngx_async_job_strings); i++) {
        size = ngx_async_job_string(job, i)->len;
        len += ngx_async_job_number_len(size) + size;
    }

    return len;
}


u_char *
ngx_async_job_encode(u_char *p, const ngx_async_job_t *job)
{
    ngx_str_t   *str;
    ngx_uint_t   i, arrays;

    arrays = ngx_async_job_arrays(job);

    *p++ = NGX_ASYNC_JOB_FORMAT;
    *p++ = (u_char) arrays;
    *p++ = job->status;
    *p++ = job->callback_status;
    *p++ = job->flags;
    *p++ = job->urgency;

    for (i = 0; i < ngx_async_job_nelts(ngx_async_job_numbers); i++) {
        p = ngx_async_job_write(p, ngx_async_job_value(job, i));
    }

    p = ngx_cpymem(p, job->id.bytes, NGX_ASYNC_ID_LEN);

    if (arrays & NGX_ASYNC_JOB_RUNNER) {
        p = ngx_cpymem(p, job->runner, NGX_ASYNC_RUNNER_LEN);
    }

    if (arrays & NGX_ASYNC_JOB_HASH) {
        p = ngx_cpymem(p, job->key, NGX_ASYNC_HASH_LEN);
    }

    if (arrays & NGX_ASYNC_JOB_FINGERPRINT) {
        p = ngx_cpymem(p, job->fingerprint, NGX_ASYNC_HASH_LEN);
    }

    for (i = 0; i < ngx_async_job_nelts(ngx_async_job_strings); i++) {
        str = ngx_async_job_string(job, i);

        p = ngx_async_job_write(p, str->len);

        if (str->len) {
            p = ngx_cpymem(p, str->data, str->len);
        }
    }

    return p;
}


ngx_int_t
ngx_async_job_decode(ngx_async_job_t *job, u_char *data, size_t len)
{
    ngx_str_t               *str;
    ngx_uint_t               i, arrays;
    ngx_async_job_reader_t   rd;

    rd.pos = data;
    rd.end = data + len;

    if (len < NGX_ASYNC_JOB_BYTES || *rd.pos++ != NGX_ASYNC_JOB_FORMAT) {
        return NGX_ERROR;
    }

    ngx_memzero(job, sizeof(ngx_async_job_t));

    arrays = *rd.pos++;

    if (arrays & ~NGX_ASYNC_JOB_ARRAYS
        || rd.pos[0] > NGX_ASYNC_CANCELED
        || rd.pos[1] > NGX_ASYNC_CALLBACK_FAILED
        || rd.pos[3] > 7)
    {
        return NGX_ERROR;
    }

    job->status = *rd.pos++ & 0x07;
    job->callback_status = *rd.pos++ & 0x07;
    job->flags = *rd.pos++;
    job->urgency = *rd.pos++ & 0x07;

    if (ngx_async_job_read_fixed(&rd, job, arrays) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < ngx_async_job_nelts(ngx_async_job_strings); i++) {
        str = ngx_async_job_string(job, i);

        str->len = (size_t) ngx_async_job_read(&rd);
        str->data = rd.pos;

        if (rd.pos == NULL || str->len > (size_t) (rd.end - rd.pos)) {
            return NGX_ERROR;
        }

        rd.pos += str->len;
    }

    return rd.pos == rd.end ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_async_job_change(ngx_async_job_t *job, ngx_uint_t status, uint64_t now)
{
    uint64_t  ttl;

    if (!ngx_async_job_legal(job->status, status)) {
        return NGX_ABORT;
    }

    switch (status) {

    case NGX_ASYNC_NOT_STARTED:
        job->finished = 0;
        job->expires = 0;
        break;

    case NGX_ASYNC_RUNNING:
        job->started = now;
        break;

    default:
        ttl = (status == NGX_ASYNC_SUCCEEDED) ? job->ttl : job->ttl_failed;

        /* 0 means "not set" in a record, and no sum may wrap around */

        job->finished = now ? now : 1;
        job->expires = (ttl < UINT64_MAX - job->finished)
                       ? job->finished + ttl : UINT64_MAX;
    }

    job->status = status & 0x07;
    job->version++;

    return NGX_OK;
}


static ngx_uint_t
ngx_async_job_legal(ngx_uint_t from, ngx_uint_t to)
{
    switch (from) {

    case NGX_ASYNC_NOT_STARTED:
        return to == NGX_ASYNC_RUNNING
               || to == NGX_ASYNC_FAILED
               || to == NGX_ASYNC_CANCELED;

    case NGX_ASYNC_RUNNING:
        return to == NGX_ASYNC_NOT_STARTED
               || to == NGX_ASYNC_SUCCEEDED
               || to == NGX_ASYNC_FAILED
               || to == NGX_ASYNC_CANCELED;

    case NGX_ASYNC_FAILED:
        return to == NGX_ASYNC_NOT_STARTED;

    default:
        return 0;
    }
}


static ngx_uint_t
ngx_async_job_arrays(const ngx_async_job_t *job)
{
    ngx_uint_t  arrays;

    arrays = 0;

    if (!ngx_async_job_is_zero(job->runner, NGX_ASYNC_RUNNER_LEN)) {
        arrays |= NGX_ASYNC_JOB_RUNNER;
    }

    if (!ngx_async_job_is_zero(job->key, NGX_ASYNC_HASH_LEN)) {
        arrays |= NGX_ASYNC_JOB_HASH;
    }

    if (!ngx_async_job_is_zero(job->fingerprint, NGX_ASYNC_HASH_LEN)) {
        arrays |= NGX_ASYNC_JOB_FINGERPRINT;
    }

    return arrays;
}


static ngx_uint_t
ngx_async_job_is_zero(const u_char *p, size_t len)
{
    /* the first byte is zero, and every other equals the one before it */

    return p[0] == 0 && ngx_memcmp(p, p + 1, len - 1) == 0;
}


static uint64_t
ngx_async_job_value(const ngx_async_job_t *job, ngx_uint_t i)
{
    const u_char  *field;

    field = (u_char *) job + ngx_async_job_numbers[i].offset;

    return (ngx_async_job_numbers[i].size == 4) ? *(uint32_t *) field
                                                : *(uint64_t *) field;
}


static size_t
ngx_async_job_number_len(uint64_t value)
{
    size_t  len;

    for (len = 1; value >= 0x80; len++) {
        value >>= 7;
    }

    return len;
}


/* seven bits in a byte, the low ones first: most numbers are small or zero */

static u_char *
ngx_async_job_write(u_char *p, uint64_t value)
{
    while (value >= 0x80) {
        *p++ = (u_char) (value | 0x80);
        value >>= 7;
    }

    *p++ = (u_char) value;

    return p;
}


/* past the end of the record pos becomes NULL, and stays it */

static uint64_t
ngx_async_job_read(ngx_async_job_reader_t *rd)
{
    u_char      c;
    uint64_t    value;
    ngx_uint_t  shift;

    value = 0;

    for (shift = 0; rd->pos && rd->pos < rd->end && shift < 64; shift += 7) {

        c = *rd->pos++;
        value |= (uint64_t) (c & 0x7f) << shift;

        if (c < 0x80) {
            return value;
        }
    }

    rd->pos = NULL;

    return 0;
}


static void
ngx_async_job_read_array(ngx_async_job_reader_t *rd, u_char *p, size_t len,
    ngx_uint_t present)
{
    if (!present || rd->pos == NULL) {
        return;
    }

    if ((size_t) (rd->end - rd->pos) < len) {
        rd->pos = NULL;
        return;
    }

    ngx_memcpy(p, rd->pos, len);
    rd->pos += len;
}


static ngx_int_t
ngx_async_job_read_fixed(ngx_async_job_reader_t *rd, ngx_async_job_t *job,
    ngx_uint_t arrays)
{
    size_t      size;
    u_char     *field;
    uint64_t    value;
    ngx_uint_t  i;

    for (i = 0; i < ngx_async_job_nelts(ngx_async_job_numbers); i++) {
        size = ngx_async_job_numbers[i].size;
        field = (u_char *) job + ngx_async_job_numbers[i].offset;

        value = ngx_async_job_read(rd);

        if (size == 4) {
            *(uint32_t *) field = (uint32_t) value;

        } else {
            *(uint64_t *) field = value;
        }
    }

    ngx_async_job_read_array(rd, job->id.bytes, NGX_ASYNC_ID_LEN, 1);

    ngx_async_job_read_array(rd, job->runner, NGX_ASYNC_RUNNER_LEN,
                             arrays & NGX_ASYNC_JOB_RUNNER);

    ngx_async_job_read_array(rd, job->key, NGX_ASYNC_HASH_LEN,
                             arrays & NGX_ASYNC_JOB_HASH);

    ngx_async_job_read_array(rd, job->fingerprint, NGX_ASYNC_HASH_LEN,
                             arrays & NGX_ASYNC_JOB_FINGERPRINT);

    return rd->pos ? NGX_OK : NGX_ERROR;
}
