
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/base/ngx_async_prefer.h"
#include "src/base/ngx_async_field.h"


#define NGX_ASYNC_PREFER_WAIT_LIMIT  1000000


/* one element of a list: name, its value, and all of it */
typedef struct {
    ngx_str_t   name;
    ngx_str_t   value;              /* without quotes, escapes kept */
    ngx_str_t   text;               /* trimmed */
    unsigned    malformed:1;
} ngx_async_prefer_element_t;


static u_char *ngx_async_prefer_element(ngx_async_prefer_element_t *e,
    u_char *p, u_char *last);
static u_char *ngx_async_prefer_element_end(u_char *p, u_char *last);
static u_char *ngx_async_prefer_pair(ngx_str_t *name, ngx_str_t *value,
    u_char *p, u_char *last);
static u_char *ngx_async_prefer_quoted(u_char *p, u_char *last);
static u_char *ngx_async_prefer_token(u_char *p, u_char *last);
static u_char *ngx_async_prefer_space(u_char *p, u_char *last);
static void ngx_async_prefer_trim(ngx_str_t *s);
static ngx_int_t ngx_async_prefer_level(ngx_str_t *s);
static ngx_uint_t ngx_async_prefer_incremental(ngx_str_t *s);
static ngx_uint_t ngx_async_prefer_seconds(ngx_str_t *value, ngx_uint_t *n);
static ngx_uint_t ngx_async_prefer_contains(ngx_str_t *s, const char *name);


void
ngx_async_prefer_parse(ngx_http_request_t *r, ngx_async_prefer_t *p)
{
    ngx_table_elt_t         *h;
    ngx_async_field_each_t   each;

    ngx_memzero(p, sizeof(ngx_async_prefer_t));

    ngx_async_field_first(&each, &r->headers_in.headers);

    while ((h = ngx_async_field_next(&each)) != NULL) {

        if (ngx_async_field_is(&h->key, "prefer")) {
            ngx_async_prefer_parse_value(p, h->value.data, h->value.len);
        }
    }
}


void
ngx_async_prefer_parse_value(ngx_async_prefer_t *p, u_char *data, size_t len)
{
    u_char                      *last;
    ngx_uint_t                   wait;
    ngx_async_prefer_element_t   e;

    last = data + len;

    while (data < last) {

        data = ngx_async_prefer_element(&e, data, last);

        if (e.malformed) {
            continue;
        }

        if (ngx_async_field_is(&e.name, "respond-async")) {

            /* no value is defined for it: one that has it is another */

            if (e.value.len == 0) {
                p->respond_async = 1;
            }

        } else if (ngx_async_field_is(&e.name, "wait") && !p->wait_set
                   && ngx_async_prefer_seconds(&e.value, &wait))
        {
            p->wait_set = 1;
            p->wait = wait;
        }
    }
}


ngx_int_t
ngx_async_prefer_strip(ngx_pool_t *pool, ngx_str_t *value, ngx_str_t *out)
{
    u_char                      *p, *last, *data, *start;
    ngx_uint_t                   removed;
    ngx_async_prefer_element_t   e;

    data = ngx_pnalloc(pool, value->len + 1);
    if (data == NULL) {
        return NGX_ERROR;
    }

    out->data = data;
    removed = 0;

    p = value->data;
    last = p + value->len;

    while (p < last) {

        start = p;
        p = ngx_async_prefer_element(&e, p, last);

        /* the value may be malformed: an upstream may be more lenient */

        if (ngx_async_field_is(&e.name, "respond-async")
            || ngx_async_field_is(&e.name, "wait"))
        {
            removed = 1;
            continue;
        }

        if (e.text.len == 0) {
            continue;
        }

        /* with the spaces that it has: the value must not grow */

        if (data != out->data) {
            *data++ = ',';
            data = ngx_cpymem(data, start, e.text.data - start);
        }

        data = ngx_cpymem(data, e.text.data, e.text.len);
    }

    out->len = data - out->data;

    if (!removed) {
        *out = *value;
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_prefer_key(ngx_pool_t *pool, ngx_str_t *value, ngx_str_t *key)
{
    u_char     *p, *last, *data;
    ngx_str_t   s;

    s = *value;
    ngx_async_prefer_trim(&s);

    if (s.len == 0 || s.data[0] != '"') {
        *key = s;
        return NGX_OK;
    }

    data = ngx_pnalloc(pool, s.len);
    if (data == NULL) {
        return NGX_ERROR;
    }

    key->data = data;

    last = s.data + s.len;

    for (p = s.data + 1; p < last && *p != '"'; p++) {

        if (*p < 0x20 || *p > 0x7e) {
            return NGX_DECLINED;
        }

        if (*p == '\\') {
            p++;

            if (p == last || (*p != '"' && *p != '\\')) {
                return NGX_DECLINED;
            }
        }

        *data++ = *p;
    }

    key->len = data - key->data;

    if (p == last || key->len == 0) {
        return NGX_DECLINED;
    }

    /* parameters of the item have no meaning here */

    p = ngx_async_prefer_space(p + 1, last);

    if (p == last) {
        return NGX_OK;
    }

    if (*p != ';') {
        return NGX_DECLINED;
    }

    p = ngx_async_prefer_space(p + 1, last);

    return (p < last && ((*p >= 'a' && *p <= 'z') || *p == '*'))
           ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
ngx_async_prefer_urgency(ngx_str_t *value)
{
    u_char                      *p, *last;
    ngx_str_t                    s;
    ngx_int_t                    level;
    ngx_async_prefer_element_t   e;

    s = *value;
    ngx_async_prefer_trim(&s);

    level = ngx_async_prefer_level(&s);

    if (level != NGX_ERROR) {
        return level;
    }

    p = s.data;
    last = p + s.len;

    /* the last of a name wins in a dictionary of RFC 8941 */

    while (p < last) {
        p = ngx_async_prefer_element(&e, p, last);

        if (!e.malformed && e.name.len == 1 && e.name.data[0] == 'u') {
            level = ngx_async_prefer_level(&e.value);
        }
    }

    return (level == NGX_ERROR) ? 3 : level;
}


ngx_uint_t
ngx_async_prefer_is_urgency(ngx_str_t *value)
{
    u_char                      *p, *last;
    ngx_str_t                    s;
    ngx_uint_t                   n;
    ngx_async_prefer_element_t   e;

    s = *value;
    ngx_async_prefer_trim(&s);

    if (ngx_async_prefer_level(&s) != NGX_ERROR) {
        return 1;
    }

    p = s.data;
    last = p + s.len;
    n = 0;

    while (p < last) {
        p = ngx_async_prefer_element(&e, p, last);

        if (ngx_async_prefer_incremental(&e.text)) {
            continue;
        }

        if (e.malformed || e.name.len != 1 || e.name.data[0] != 'u'
            || ngx_async_prefer_level(&e.value) == NGX_ERROR)
        {
            return 0;
        }

        n++;
    }

    return n == 1;
}


ngx_uint_t
ngx_async_prefer_navigation(ngx_http_request_t *r)
{
    ngx_uint_t               fetch, html, xhtml;
    ngx_table_elt_t         *h;
    ngx_async_field_each_t   each;

    fetch = 0;
    html = 0;
    xhtml = 0;

    ngx_async_field_first(&each, &r->headers_in.headers);

    while ((h = ngx_async_field_next(&each)) != NULL) {

        if (ngx_async_field_is(&h->key, "sec-fetch-mode")) {
            return ngx_async_field_is(&h->value, "navigate");
        }

        if (h->key.len > 10
            && ngx_strncasecmp(h->key.data, (u_char *) "sec-fetch-", 10) == 0)
        {
            fetch = 1;
            continue;
        }

        if (ngx_async_field_is(&h->key, "accept")) {
            html |= ngx_async_prefer_contains(&h->value, "text/html");
            xhtml |= ngx_async_prefer_contains(&h->value,
                                               "application/xhtml+xml");
        }
    }

    return !fetch && html && xhtml;
}


ngx_str_t *
ngx_async_prefer_field(ngx_http_request_t *r, const char *name)
{
    ngx_table_elt_t         *h;
    ngx_async_field_each_t   each;

    ngx_async_field_first(&each, &r->headers_in.headers);

    while ((h = ngx_async_field_next(&each)) != NULL) {
        if (ngx_async_field_is(&h->key, name)) {
            return &h->value;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_async_prefer_wait_arg(ngx_http_request_t *r, ngx_uint_t *wait)
{
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) "wait", 4, &value) != NGX_OK) {
        return 0;
    }

    return ngx_async_prefer_seconds(&value, wait);
}


ngx_uint_t
ngx_async_prefer_last_event(ngx_http_request_t *r, uint32_t *version)
{
    u_char     *p;
    size_t      i;
    uint64_t    n;
    ngx_str_t  *value;

    value = ngx_async_prefer_field(r, "last-event-id");

    if (value == NULL || value->len == 0 || value->len > 10) {
        return 0;
    }

    p = value->data;
    n = 0;

    for (i = 0; i < value->len; i++) {

        if (p[i] < '0' || p[i] > '9') {
            return 0;
        }

        n = n * 10 + (p[i] - '0');
    }

    if (n > 0xffffffff) {
        return 0;
    }

    *version = (uint32_t) n;

    return 1;
}


/*
 * Reads one element of a comma-separated list and returns where the next one
 * begins.  Whatever is wrong in an element ends with it.
 */

static u_char *
ngx_async_prefer_element(ngx_async_prefer_element_t *e, u_char *p,
    u_char *last)
{
    u_char     *end, *next;
    ngx_str_t   name, value;

    end = ngx_async_prefer_element_end(p, last);
    next = (end < last) ? end + 1 : last;

    ngx_memzero(e, sizeof(ngx_async_prefer_element_t));

    e->text.data = p;
    e->text.len = end - p;
    ngx_async_prefer_trim(&e->text);

    p = e->text.data;
    end = p + e->text.len;

    p = ngx_async_prefer_pair(&e->name, &e->value, p, end);

    while (p != NULL && p < end) {

        if (*p != ';') {
            p = NULL;
            break;
        }

        p = ngx_async_prefer_space(p + 1, end);

        if (p < end && *p != ';') {
            p = ngx_async_prefer_pair(&name, &value, p, end);
        }
    }

    e->malformed = (p == NULL);

    return next;
}


/*
 * The comma after an element, or last.  A quote counts where a value may
 * begin; one that is never closed does not hide the elements behind it.
 */

static u_char *
ngx_async_prefer_element_end(u_char *p, u_char *last)
{
    u_char      *q;
    ngx_uint_t   value;

    value = 0;

    while (p < last && *p != ',') {

        if (*p == '"' && value) {
            q = ngx_async_prefer_quoted(p, last);

            if (q != NULL) {
                p = q;
                value = 0;
                continue;
            }
        }

        if (*p != ' ' && *p != '\t') {
            value = (*p == '=');
        }

        p++;
    }

    return p;
}


/* token [ "=" ( token / quoted-string ) ] and spaces; NULL if malformed */

static u_char *
ngx_async_prefer_pair(ngx_str_t *name, ngx_str_t *value, u_char *p,
    u_char *last)
{
    u_char  *q;

    ngx_str_null(value);

    q = ngx_async_prefer_token(p, last);

    name->data = p;
    name->len = q - p;

    if (name->len == 0) {
        return NULL;
    }

    p = ngx_async_prefer_space(q, last);

    if (p == last || *p != '=') {
        return p;
    }

    p = ngx_async_prefer_space(p + 1, last);

    if (p < last && *p == '"') {

        q = ngx_async_prefer_quoted(p, last);
        if (q == NULL) {
            return NULL;
        }

        value->data = p + 1;
        value->len = q - p - 2;

    } else {
        q = ngx_async_prefer_token(p, last);

        value->data = p;
        value->len = q - p;
    }

    return ngx_async_prefer_space(q, last);
}


/* "p" is at the opening quote; NULL if there is no closing one */

static u_char *
ngx_async_prefer_quoted(u_char *p, u_char *last)
{
    for (p++; p < last; p++) {

        if (*p == '"') {
            return p + 1;
        }

        if (*p == '\\') {
            p++;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_async_prefer_is_token(ngx_str_t *s)
{
    u_char  *last;

    last = s->data + s->len;

    return s->len && ngx_async_prefer_token(s->data, last) == last;
}


static u_char *
ngx_async_prefer_token(u_char *p, u_char *last)
{
    static u_char  special[] = "!#$%&'*+-.^_`|~";

    while (p < last
           && ((*p >= '0' && *p <= '9')
               || (*p >= 'A' && *p <= 'Z')
               || (*p >= 'a' && *p <= 'z')
               || (*p != '\0' && ngx_strchr(special, *p) != NULL)))
    {
        p++;
    }

    return p;
}


static u_char *
ngx_async_prefer_space(u_char *p, u_char *last)
{
    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p;
}


static void
ngx_async_prefer_trim(ngx_str_t *s)
{
    u_char  *p;

    p = ngx_async_prefer_space(s->data, s->data + s->len);

    s->len -= p - s->data;
    s->data = p;

    while (s->len
           && (s->data[s->len - 1] == ' ' || s->data[s->len - 1] == '\t'))
    {
        s->len--;
    }
}


/* 0..7, or NGX_ERROR */

static ngx_int_t
ngx_async_prefer_level(ngx_str_t *s)
{
    return (s->len == 1 && s->data[0] >= '0' && s->data[0] <= '7')
           ? s->data[0] - '0' : NGX_ERROR;
}


static ngx_uint_t
ngx_async_prefer_incremental(ngx_str_t *s)
{
    return (s->len == 1 && s->data[0] == 'i')
           || (s->len == 4
               && (ngx_strncmp(s->data, "i=?0", 4) == 0
                   || ngx_strncmp(s->data, "i=?1", 4) == 0));
}


static ngx_uint_t
ngx_async_prefer_seconds(ngx_str_t *value, ngx_uint_t *n)
{
    size_t      i;
    ngx_uint_t  seconds;

    if (value->len == 0) {
        return 0;
    }

    seconds = 0;

    for (i = 0; i < value->len; i++) {

        if (value->data[i] < '0' || value->data[i] > '9') {
            return 0;
        }

        seconds = seconds * 10 + (value->data[i] - '0');

        if (seconds > NGX_ASYNC_PREFER_WAIT_LIMIT) {
            seconds = NGX_ASYNC_PREFER_WAIT_LIMIT;
        }
    }

    *n = seconds;

    return 1;
}


static ngx_uint_t
ngx_async_prefer_contains(ngx_str_t *s, const char *name)
{
    size_t  len;
    u_char  *p, *last;

    len = ngx_strlen(name);

    if (s->len < len) {
        return 0;
    }

    last = s->data + s->len - len;

    for (p = s->data; p <= last; p++) {
        if (ngx_strncasecmp(p, (u_char *) name, len) == 0) {
            return 1;
        }
    }

    return 0;
}
