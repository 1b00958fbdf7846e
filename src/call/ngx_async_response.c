
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_response.h"
#include "src/call/ngx_async_compat.h"


#define NGX_ASYNC_RESPONSE_MAX  65536       /* bytes of a head */


static ngx_int_t ngx_async_response_status(ngx_async_response_t *rs,
    u_char *p, u_char *last, const char **why);
static ngx_int_t ngx_async_response_field(ngx_async_response_t *rs,
    u_char *p, u_char *last, const char **why);
static ngx_int_t ngx_async_response_continue(ngx_async_response_t *rs,
    u_char *p, u_char *last, const char **why);
static ngx_int_t ngx_async_response_finish(ngx_async_response_t *rs,
    const char **why);
static ngx_uint_t ngx_async_response_drop(ngx_async_response_t *rs,
    ngx_async_field_t *field, ngx_array_t *connection);
static ngx_int_t ngx_async_response_listed(ngx_async_response_t *rs,
    ngx_array_t *names);
static ngx_int_t ngx_async_response_copy(ngx_pool_t *pool, ngx_str_t *s,
    u_char *p, u_char *last);


/* of the connection, or what proxy_pass does not pass by default either */

static ngx_str_t  ngx_async_response_hidden[] = {
    ngx_string("Connection"),
    ngx_string("Keep-Alive"),
    ngx_string("Proxy-Connection"),
    ngx_string("TE"),
    ngx_string("Trailer"),
    ngx_string("Transfer-Encoding"),
    ngx_string("Upgrade"),
    ngx_string("Date"),
    ngx_string("Server"),
    ngx_string("X-Pad"),
    ngx_string("X-Accel-Expires"),
    ngx_string("X-Accel-Redirect"),
    ngx_string("X-Accel-Limit-Rate"),
    ngx_string("X-Accel-Buffering"),
    ngx_string("X-Accel-Charset"),
    ngx_null_string
};


ngx_int_t
ngx_async_response_init(ngx_async_response_t *rs, ngx_pool_t *pool)
{
    ngx_memzero(rs, sizeof(ngx_async_response_t));

    rs->pool = pool;

    return ngx_array_init(&rs->fields, pool, 16, sizeof(ngx_async_field_t));
}


ngx_int_t
ngx_async_response_line(ngx_async_response_t *rs, u_char *p, size_t n,
    const char **why)
{
    u_char  *last;

    if (rs->done) {
        return NGX_AGAIN;
    }

    rs->size += n;

    if (rs->size > NGX_ASYNC_RESPONSE_MAX) {
        *why = "The header of the response is too large.";
        return NGX_DECLINED;
    }

    last = p + n;

    if (last > p && last[-1] == LF) {
        last--;
    }

    if (last > p && last[-1] == CR) {
        last--;
    }

    /* clients may take it for the end of the line */

    if (ngx_strlchr(p, last, CR)) {
        *why = "The header of the response has a carriage return.";
        return NGX_DECLINED;
    }

    if (!rs->started) {
        return ngx_async_response_status(rs, p, last, why);
    }

    if (p == last) {
        return ngx_async_response_finish(rs, why);
    }

    if (*p == ' ' || *p == '\t') {
        return ngx_async_response_continue(rs, p, last, why);
    }

    return ngx_async_response_field(rs, p, last, why);
}


static ngx_int_t
ngx_async_response_status(ngx_async_response_t *rs, u_char *p, u_char *last,
    const char **why)
{
    ngx_int_t    status;
    ngx_uint_t   http2;

    *why = "The response is not valid HTTP.";

    if (last - p < 5 || ngx_strncmp(p, "HTTP/", 5) != 0) {
        return NGX_DECLINED;
    }

    http2 = (p[5] == '2');

    p = ngx_strlchr(p, last, ' ');

    if (p == NULL || last - p < 4) {
        return NGX_DECLINED;
    }

    p++;

    status = ngx_atoi(p, 3);

    if (status < 100 || status > 999 || (last - p > 3 && p[3] != ' ')) {
        return NGX_DECLINED;
    }

    rs->started = 1;
    rs->last = NULL;
    rs->fields.nelts = 0;
    rs->head.status = status;

    /* HTTP/2 has no reasons: nginx then writes its own */

    if (http2) {
        ngx_str_null(&rs->head.status_line);
        return NGX_AGAIN;
    }

    if (ngx_async_response_copy(rs->pool, &rs->head.status_line, p, last)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_async_response_field(ngx_async_response_t *rs, u_char *p, u_char *last,
    const char **why)
{
    u_char             *colon, *c;
    ngx_async_field_t  *field;

    *why = "The response has an invalid header field.";

    colon = ngx_strlchr(p, last, ':');

    if (colon == NULL || colon == p) {
        return NGX_DECLINED;
    }

    for (c = p; c < colon; c++) {
        if (*c <= ' ' || *c == 0x7f) {
            return NGX_DECLINED;
        }
    }

    field = ngx_array_push(&rs->fields);
    if (field == NULL) {
        return NGX_ERROR;
    }

    rs->last = field;
    rs->room = 0;

    if (ngx_async_response_copy(rs->pool, &field->key, p, colon) != NGX_OK) {
        return NGX_ERROR;
    }

    p = colon + 1;

    /* as nginx: a tab is a part of the value */

    while (p < last && *p == ' ') {
        p++;
    }

    while (last > p && last[-1] == ' ') {
        last--;
    }

    if (ngx_async_response_copy(rs->pool, &field->value, p, last) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


/* a folded line, which only old servers send, becomes one line */

static ngx_int_t
ngx_async_response_continue(ngx_async_response_t *rs, u_char *p, u_char *last,
    const char **why)
{
    size_t      n;
    u_char     *d;
    ngx_str_t  *value;

    *why = "The response has an invalid header field.";

    if (rs->last == NULL) {
        return NGX_DECLINED;
    }

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    value = &rs->last->value;
    n = 1 + (last - p);

    if (rs->room < n) {

        /* doubled: there may be thousands of such lines */

        rs->room = value->len + n;

        d = ngx_pnalloc(rs->pool, value->len + n + rs->room);
        if (d == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(d, value->data, value->len);

        value->data = d;
        rs->room += n;
    }

    d = value->data + value->len;
    *d++ = ' ';
    ngx_memcpy(d, p, last - p);

    value->len += n;
    rs->room -= n;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_async_response_finish(ngx_async_response_t *rs, const char **why)
{
    ngx_uint_t          i, n;
    ngx_array_t         connection;
    ngx_async_field_t  *field;

    if (rs->head.status < 200) {

        if (rs->head.status == 101) {
            *why = "The response switches to another protocol.";
            return NGX_DECLINED;
        }

        rs->started = 0;
        return NGX_AGAIN;
    }

    if (ngx_array_init(&connection, rs->pool, 1, sizeof(ngx_str_t)) != NGX_OK
        || ngx_async_response_listed(rs, &connection) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_str_null(&rs->head.content_type);
    rs->head.content_length = -1;
    rs->head.last_modified = -1;

    field = rs->fields.elts;
    n = 0;

    for (i = 0; i < rs->fields.nelts; i++) {
        if (!ngx_async_response_drop(rs, &field[i], &connection)) {
            field[n++] = field[i];
        }
    }

    if (rs->chunked) {
        rs->head.content_length = -1;
    }

    rs->head.nfields = n;
    rs->head.fields = field;
    rs->done = 1;

    return NGX_OK;
}


/* some fields are kept apart */

static ngx_uint_t
ngx_async_response_drop(ngx_async_response_t *rs, ngx_async_field_t *field,
    ngx_array_t *connection)
{
    if (ngx_async_field_is(&field->key, "Content-Type")) {

        if (rs->head.content_type.data == NULL || !NGX_ASYNC_FIRST_TYPE) {
            rs->head.content_type = field->value;
        }

        return 1;
    }

    if (ngx_async_field_is(&field->key, "Content-Length")) {
        rs->head.content_length = ngx_atoof(field->value.data,
                                            field->value.len);
        return 1;
    }

    if (ngx_async_field_is(&field->key, "Transfer-Encoding")) {
        rs->chunked = 1;
        return 1;
    }

    if (ngx_async_field_is(&field->key, "ETag")) {
        rs->etag = field->value;
        return 0;
    }

    return ngx_async_field_in(ngx_async_response_hidden, &field->key)
           || ngx_async_field_listed(connection, &field->key);
}


/* the names in Connection fields */

static ngx_int_t
ngx_async_response_listed(ngx_async_response_t *rs, ngx_array_t *names)
{
    ngx_uint_t          i;
    ngx_async_field_t  *field;

    field = rs->fields.elts;

    for (i = 0; i < rs->fields.nelts; i++) {

        if (ngx_async_field_is(&field[i].key, "Connection")
            && ngx_async_field_names(&field[i].value, names) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_response_copy(ngx_pool_t *pool, ngx_str_t *s, u_char *p,
    u_char *last)
{
    s->len = last - p;

    s->data = ngx_pnalloc(pool, s->len + 1);
    if (s->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(s->data, p, s->len);

    return NGX_OK;
}
