
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_delivery.h"
#include "src/call/ngx_async_sign.h"
#include "src/call/ngx_async_target.h"


#define NGX_ASYNC_DELIVERY_CONNECT   10000L     /* ms */
#define NGX_ASYNC_DELIVERY_RESPONSE  65536      /* what a receiver may send */
#define NGX_ASYNC_DELIVERY_BACKOFF   1000       /* ms, doubled up to ... */
#define NGX_ASYNC_DELIVERY_LONGEST   3600000


typedef struct {
    ngx_str_t   id;             /* webhook-id, the same for all attempts */
    ngx_str_t   timestamp;
    ngx_str_t   content;        /* "id.timestamp.body": what is signed */
    ngx_str_t   body;           /* the end of it */
} ngx_async_delivery_message_t;


static ngx_int_t ngx_async_delivery_compose(ngx_async_delivery_t *d,
    ngx_async_delivery_message_t *m);
static ngx_int_t ngx_async_delivery_set_headers(ngx_async_delivery_t *d,
    ngx_async_delivery_message_t *m);
static ngx_int_t ngx_async_delivery_set_signature(ngx_async_delivery_t *d,
    ngx_async_delivery_message_t *m);
static ngx_int_t ngx_async_delivery_add(ngx_async_delivery_t *d,
    const char *name, u_char *value, size_t len);
static ngx_int_t ngx_async_delivery_set_options(ngx_async_delivery_t *d,
    ngx_async_delivery_message_t *m);

static ngx_int_t ngx_async_delivery_header(ngx_async_curl_t *t, u_char *p,
    size_t n);
static ngx_int_t ngx_async_delivery_body(ngx_async_curl_t *t, u_char *p,
    size_t n);
static ngx_int_t ngx_async_delivery_check(ngx_async_curl_t *t,
    struct sockaddr *sa);
static void ngx_async_delivery_end(ngx_async_curl_t *t, CURLcode rc);
static void ngx_async_delivery_postpone(ngx_async_delivery_t *d);
static void ngx_async_delivery_cleanup(ngx_async_delivery_t *d);


static const ngx_async_curl_handlers_t  ngx_async_delivery_handlers = {
    ngx_async_delivery_end,
    ngx_async_delivery_header,
    ngx_async_delivery_body,
    NULL,
    NULL,
    ngx_async_delivery_check
};


ngx_int_t
ngx_async_delivery_start(ngx_async_delivery_t *d)
{
    ngx_async_delivery_message_t  m;

    d->received = 0;
    d->retry_after = -1;
    d->headers = NULL;

    d->transfer = ngx_async_curl_create(&ngx_async_delivery_handlers, d);
    if (d->transfer == NULL) {
        return NGX_ERROR;
    }

    /* webhook-id tells the receiver that it has seen this one before */

    d->transfer->repeatable = 1;

    if (ngx_async_delivery_compose(d, &m) != NGX_OK
        || ngx_async_delivery_set_headers(d, &m) != NGX_OK
        || ngx_async_delivery_set_options(d, &m) != NGX_OK)
    {
        ngx_async_delivery_cleanup(d);
        return NGX_ERROR;
    }

    ngx_async_curl_start(d->transfer);

    return NGX_OK;
}


static ngx_int_t
ngx_async_delivery_compose(ngx_async_delivery_t *d,
    ngx_async_delivery_message_t *m)
{
    u_char     *p;
    size_t      len;
    ngx_str_t  *type;

    type = &ngx_async_job_status_names[d->job->status];

    len = NGX_ASYNC_ID_TEXT_LEN + 1 + NGX_INT32_LEN + 1 + NGX_TIME_T_LEN + 1
          + sizeof("{\"type\":\"job.\",\"timestamp\":\"\",\"data\":}") - 1
          + type->len + NGX_ASYNC_TIME_TEXT_LEN + d->document->len;

    p = ngx_pnalloc(d->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    m->content.data = p;

    /* a job that is run once more after it failed ends once more */

    m->id.data = p;
    p = ngx_async_id_format(p, &d->job->id);
    p = ngx_sprintf(p, "-%uD", d->job->attempt);
    m->id.len = p - m->id.data;

    *p++ = '.';

    m->timestamp.data = p;
    p = ngx_sprintf(p, "%T", (time_t) (ngx_async_time_now() / 1000));
    m->timestamp.len = p - m->timestamp.data;

    *p++ = '.';

    m->body.data = p;
    p = ngx_sprintf(p, "{\"type\":\"job.%V\",\"timestamp\":\"", type);
    p = ngx_async_time_format(p, d->job->finished);
    p = ngx_cpymem(p, "\",\"data\":", sizeof("\",\"data\":") - 1);
    p = ngx_cpymem(p, d->document->data, d->document->len);
    *p++ = '}';
    m->body.len = p - m->body.data;

    m->content.len = p - m->content.data;

    return NGX_OK;
}


static ngx_int_t
ngx_async_delivery_set_headers(ngx_async_delivery_t *d,
    ngx_async_delivery_message_t *m)
{
    ngx_uint_t  i;

    /* names alone: what libcurl would add of its own */

    static const struct {
        const char  *name;
        ngx_str_t    value;
    } fixed[] = {
        { "Content-Type", ngx_string("application/json") },
        { "User-Agent", ngx_string("ngx_async") },
        { "Accept", ngx_null_string },
        { "Expect", ngx_null_string },
    };

    for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        if (ngx_async_delivery_add(d, fixed[i].name, fixed[i].value.data,
                                   fixed[i].value.len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_async_delivery_add(d, "webhook-id", m->id.data, m->id.len)
        != NGX_OK
        || ngx_async_delivery_add(d, "webhook-timestamp", m->timestamp.data,
                                  m->timestamp.len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_async_delivery_set_signature(d, m);
}


static ngx_int_t
ngx_async_delivery_set_signature(ngx_async_delivery_t *d,
    ngx_async_delivery_message_t *m)
{
    u_char       *p, *last;
    ngx_array_t  *keys;

    keys = d->alcf->callback_secrets;

    if (keys == NULL || keys->nelts == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(d->pool, keys->nelts * (NGX_ASYNC_SIGN_LEN + 1));
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = ngx_async_sign_write(p, keys, &m->content);
    if (last == NULL) {
        return NGX_ERROR;
    }

    return ngx_async_delivery_add(d, "webhook-signature", p, last - p);
}


static ngx_int_t
ngx_async_delivery_add(ngx_async_delivery_t *d, const char *name,
    u_char *value, size_t len)
{
    u_char             *line;
    struct curl_slist  *headers;

    line = ngx_pnalloc(d->pool, ngx_strlen(name) + sizeof(": ") + len);
    if (line == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_sprintf(line, "%s:%s%*s%Z", name, len ? " " : "", len,
                       len ? value : (u_char *) "");

    headers = curl_slist_append(d->headers, (char *) line);
    if (headers == NULL) {
        return NGX_ERROR;
    }

    d->headers = headers;

    return NGX_OK;
}


static ngx_int_t
ngx_async_delivery_set_options(ngx_async_delivery_t *d,
    ngx_async_delivery_message_t *m)
{
    CURL    *easy;
    u_char  *url;

    easy = d->transfer->easy;

    url = ngx_pnalloc(d->pool, d->job->callback_url.len + 1);
    if (url == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_cpystrn(url, d->job->callback_url.data,
                       d->job->callback_url.len + 1);

    if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_POST, 1L) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                            (curl_off_t) m->body.len)
           != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_POSTFIELDS, m->body.data)
           != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_HTTPHEADER, d->headers) != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                            NGX_ASYNC_DELIVERY_CONNECT)
           != CURLE_OK
        || curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                            NGX_ASYNC_DELIVERY_TIMEOUT)
           != CURLE_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_strncasecmp(url, (u_char *) "https", sizeof("https") - 1) == 0
        && ngx_async_curl_set_tls(d->transfer, d->alcf->ssl_verify,
                                  &d->alcf->ssl_trusted_certificate)
           != CURLE_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_delivery_header(ngx_async_curl_t *t, u_char *p, size_t n)
{
    u_char                *last;
    time_t                 now, when;
    ngx_async_delivery_t  *d;

    d = t->data;

    d->received += n;

    if (d->received > NGX_ASYNC_DELIVERY_RESPONSE) {
        return NGX_ERROR;
    }

    if (n < sizeof("Retry-After:")
        || ngx_strncasecmp(p, (u_char *) "Retry-After:",
                           sizeof("Retry-After:") - 1)
           != 0)
    {
        return NGX_OK;
    }

    last = p + n;
    p += sizeof("Retry-After:") - 1;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    while (last > p && last[-1] <= ' ') {
        last--;
    }

    d->retry_after = ngx_atotm(p, last - p);

    if (d->retry_after == NGX_ERROR) {

        when = ngx_parse_http_time(p, last - p);
        now = (time_t) (ngx_async_time_now() / 1000);

        d->retry_after = (when == NGX_ERROR) ? -1
                         : (when > now) ? when - now : 0;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_delivery_body(ngx_async_curl_t *t, u_char *p, size_t n)
{
    ngx_async_delivery_t  *d;

    d = t->data;

    /* nobody reads it, but the connection can be kept after a short one */

    d->received += n;

    return d->received > NGX_ASYNC_DELIVERY_RESPONSE ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_async_delivery_check(ngx_async_curl_t *t, struct sockaddr *sa)
{
    ngx_async_delivery_t  *d;

    d = t->data;

    if (d->fixed) {
        return NGX_OK;
    }

    return ngx_async_target_address(sa, d->alcf->callback_allow);
}


static void
ngx_async_delivery_end(ngx_async_curl_t *t, CURLcode rc)
{
    long                   status;
    u_char                *p;
    const char            *code, *message;
    ngx_async_delivery_t  *d;

    d = t->data;

    status = 0;
    (void) curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);

    /* the status decides, whatever happened to the body after it */

    if (status >= 200 && status < 300) {
        d->status = NGX_ASYNC_CALLBACK_DELIVERED;
        d->not_before = 0;
        ngx_str_null(&d->error);

    } else if (status >= 200) {
        p = ngx_sprintf(d->text, "the receiver answered %ui",
                        (ngx_uint_t) status);

        d->error.data = d->text;
        d->error.len = p - d->text;

        if (status == 410) {
            d->status = NGX_ASYNC_CALLBACK_FAILED;

        } else {
            ngx_async_delivery_postpone(d);
        }

    } else {
        code = ngx_async_curl_error(t, rc, &message);
        ngx_async_delivery_fail(d, code, message, ngx_async_curl_refused(t));
    }

    ngx_async_delivery_cleanup(d);

    d->handler(d);
}


void
ngx_async_delivery_fail(ngx_async_delivery_t *d, const char *code,
    const char *message, ngx_uint_t final)
{
    u_char  *p;

    p = ngx_snprintf(d->text, NGX_ASYNC_DELIVERY_ERROR_LEN, "%s: %s", code,
                     message);

    d->error.data = d->text;
    d->error.len = p - d->text;

    if (final) {
        d->status = NGX_ASYNC_CALLBACK_FAILED;
        return;
    }

    ngx_async_delivery_postpone(d);
}


/* "job->callback_attempts" does not have this attempt yet */

static void
ngx_async_delivery_postpone(ngx_async_delivery_t *d)
{
    uint64_t    now, delay, last;
    ngx_uint_t  n;

    now = ngx_async_time_now();
    last = d->job->finished + NGX_ASYNC_DELIVERY_PERIOD;

    if (d->retry_after >= 0) {

        /* any number of seconds; whatever is beyond the period ends it */

        delay = (uint64_t) ngx_max(d->retry_after, 1);
        delay = ngx_min(delay, NGX_ASYNC_DELIVERY_PERIOD / 1000 + 1) * 1000;

    } else {
        n = ngx_min(d->job->callback_attempts, 20);

        delay = (uint64_t) NGX_ASYNC_DELIVERY_BACKOFF << n;
        delay = ngx_min(delay, NGX_ASYNC_DELIVERY_LONGEST);

        /* half of it by chance: receivers come back for many at once */

        delay = delay / 2 + (uint64_t) ngx_random() % (delay / 2 + 1);
    }

    d->not_before = now + delay;
    d->status = (d->not_before > last) ? NGX_ASYNC_CALLBACK_FAILED
                                       : NGX_ASYNC_CALLBACK_PENDING;
}


static void
ngx_async_delivery_cleanup(ngx_async_delivery_t *d)
{
    if (d->transfer) {
        ngx_async_curl_destroy(d->transfer);
        d->transfer = NULL;
    }

    curl_slist_free_all(d->headers);
    d->headers = NULL;
}
