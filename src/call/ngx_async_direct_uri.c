
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_direct.h"


/*
 * What a URL of async_pass is made of.  nginx's own parser reads it, as for
 * proxy_pass; libcurl is given the parts, never the text to read once more.
 */

typedef struct {
    ngx_str_t    schema;        /* "http://" or "https://" */
    ngx_str_t    address;       /* what comes before the URI, as written */
    ngx_str_t    host;          /* what proxy_pass has as $proxy_host */
    ngx_str_t    name;          /* without a port */
    ngx_str_t    uri;
    unsigned     no_port:1;
    unsigned     local:1;       /* a unix domain socket */
    const char  *err;
} ngx_async_direct_url_t;


static ngx_int_t ngx_async_direct_parse(ngx_pool_t *pool, ngx_str_t *value,
    ngx_async_direct_url_t *u);
static ngx_int_t ngx_async_direct_find_host(ngx_pool_t *pool, ngx_url_t *url,
    ngx_async_direct_url_t *u);
static ngx_int_t ngx_async_direct_check_host(ngx_async_direct_url_t *u);
static ngx_int_t ngx_async_direct_target(ngx_http_request_t *r,
    ngx_async_loc_conf_t *alcf, ngx_async_direct_url_t *u, ngx_str_t *target);
static ngx_int_t ngx_async_direct_replace(ngx_http_request_t *r,
    ngx_str_t *uri, ngx_str_t *target);
static size_t ngx_async_direct_escape(u_char *dst, ngx_str_t *src);


ngx_int_t
ngx_async_direct_prepare(ngx_http_request_t *r, ngx_async_loc_conf_t *alcf,
    ngx_uint_t whole, ngx_str_t *url, ngx_array_t *fields)
{
    u_char                  *p;
    ngx_str_t                value, target;
    ngx_async_direct_url_t   u;

    if (ngx_http_complex_value(r, alcf->pass, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_async_direct_parse(r->pool, &value, &u) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "async: %s in \"async_pass\" URL \"%V\"", u.err, &value);
        return NGX_DECLINED;
    }

    if (ngx_async_direct_target(r, alcf, &u, &target) != NGX_OK) {
        return NGX_ERROR;
    }

    if (target.len == 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "async: zero length URI to pass to \"%V\"", &value);
        return NGX_DECLINED;
    }

    url->len = u.schema.len + u.address.len + target.len
               + ngx_async_direct_escape(NULL, &target);

    url->data = ngx_pnalloc(r->pool, url->len);
    if (url->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(url->data, u.schema.data, u.schema.len);
    p = ngx_cpymem(p, u.address.data, u.address.len);

    (void) ngx_async_direct_escape(p, &target);

    return ngx_async_direct_fields(r, alcf, whole, &u.host, fields);
}


static ngx_int_t
ngx_async_direct_parse(ngx_pool_t *pool, ngx_str_t *value,
    ngx_async_direct_url_t *u)
{
    size_t     add;
    u_char    *p;
    ngx_url_t  url;

    ngx_memzero(u, sizeof(ngx_async_direct_url_t));
    ngx_memzero(&url, sizeof(ngx_url_t));

    if (value->len > 7
        && ngx_strncasecmp(value->data, (u_char *) "http://", 7) == 0)
    {
        add = 7;
        url.default_port = 80;
        ngx_str_set(&u->schema, "http://");

    } else if (value->len > 8
               && ngx_strncasecmp(value->data, (u_char *) "https://", 8) == 0)
    {
        add = 8;
        url.default_port = 443;
        ngx_str_set(&u->schema, "https://");

    } else {
        u->err = "neither \"http://\" nor \"https://\" is at the start";
        return NGX_ERROR;
    }

    url.url.len = value->len - add;
    url.url.data = value->data + add;
    url.uri_part = 1;
    url.no_resolve = 1;

    for (p = url.url.data; p < value->data + value->len; p++) {

        if (*p == '/' || *p == '?') {
            break;
        }

        if (*p == '@') {
            u->err = "a user name, which \"async_set_header Authorization\" "
                     "can send,";
            return NGX_ERROR;
        }
    }

    if (ngx_parse_url(pool, &url) != NGX_OK) {
        u->err = url.err ? url.err : "no memory";
        return NGX_ERROR;
    }

    u->uri = url.uri;
    u->name = url.host;
    u->no_port = url.no_port;

    if (u->uri.len && u->uri.data[0] != '/') {

        /* a query alone */

        p = ngx_pnalloc(pool, u->uri.len + 1);
        if (p == NULL) {
            u->err = "no memory";
            return NGX_ERROR;
        }

        u->uri.data = p;
        *p++ = '/';
        ngx_memcpy(p, url.uri.data, url.uri.len);
        u->uri.len++;
    }

    return ngx_async_direct_find_host(pool, &url, u);
}


static ngx_int_t
ngx_async_direct_find_host(ngx_pool_t *pool, ngx_url_t *url,
    ngx_async_direct_url_t *u)
{
    if (url->family == AF_UNIX) {
        u->local = 1;
        ngx_str_set(&u->host, "localhost");

        /* "unix:path:", the last colon being there or not */

        u->address.len = sizeof("unix:") - 1 + url->host.len + 1;
        u->address.data = ngx_pnalloc(pool, u->address.len);
        if (u->address.data == NULL) {
            u->err = "no memory";
            return NGX_ERROR;
        }

        (void) ngx_sprintf(u->address.data, "unix:%V:", &url->host);

        return NGX_OK;
    }

    u->host = url->host;

    if (!url->no_port && url->port != url->default_port) {
        u->host.len += 1 + url->port_text.len;
    }

    u->address = u->host;

    return ngx_async_direct_check_host(u);
}


static ngx_int_t
ngx_async_direct_check_host(ngx_async_direct_url_t *u)
{
    u_char  *p, *last;

    last = u->host.data + u->host.len;

    for (p = u->host.data; p < last; p++) {

        if (*p <= ' ' || *p >= 0x7f || *p == '%' || *p == '\\') {
            u->err = "invalid host";
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* the URI that proxy_pass would send */

static ngx_int_t
ngx_async_direct_target(ngx_http_request_t *r, ngx_async_loc_conf_t *alcf,
    ngx_async_direct_url_t *u, ngx_str_t *target)
{
    if (u->uri.len && alcf->pass->lengths) {

        /* with variables: as it is */

        *target = u->uri;
        return NGX_OK;
    }

    if (u->uri.len == 0 && r->valid_unparsed_uri) {
        *target = r->unparsed_uri;
        return NGX_OK;
    }

    return ngx_async_direct_replace(r, &u->uri, target);
}


static ngx_int_t
ngx_async_direct_replace(ngx_http_request_t *r, ngx_str_t *uri,
    ngx_str_t *target)
{
    u_char                    *p;
    size_t                     prefix, escape;
    ngx_http_core_loc_conf_t  *clcf;

    prefix = 0;

    if (r->valid_location && uri->len) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
        prefix = ngx_min(clcf->name.len, r->uri.len);
    }

    escape = 0;

    if (r->quoted_uri || r->internal) {
        escape = 2 * ngx_escape_uri(NULL, r->uri.data + prefix,
                                    r->uri.len - prefix, NGX_ESCAPE_URI);
    }

    p = ngx_pnalloc(r->pool, uri->len + r->uri.len - prefix + escape
                             + sizeof("?") - 1 + r->args.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    target->data = p;

    if (r->valid_location) {
        p = ngx_copy(p, uri->data, uri->len);
    }

    if (escape) {
        ngx_escape_uri(p, r->uri.data + prefix, r->uri.len - prefix,
                       NGX_ESCAPE_URI);
        p += r->uri.len - prefix + escape;

    } else {
        p = ngx_copy(p, r->uri.data + prefix, r->uri.len - prefix);
    }

    if (r->args.len) {
        *p++ = '?';
        p = ngx_copy(p, r->args.data, r->args.len);
    }

    target->len = p - target->data;

    return NGX_OK;
}


/*
 * A variable may have brought in what would end the request line; with dst
 * NULL returns how many bytes more this takes.
 */

static size_t
ngx_async_direct_escape(u_char *dst, ngx_str_t *src)
{
    size_t               i, n;
    u_char               c;
    static const u_char  hex[] = "0123456789ABCDEF";

    n = 0;

    for (i = 0; i < src->len; i++) {
        c = src->data[i];

        if (c > ' ' && c != 0x7f) {

            if (dst) {
                *dst++ = c;
            }

            continue;
        }

        n += 2;

        if (dst) {
            *dst++ = '%';
            *dst++ = hex[c >> 4];
            *dst++ = hex[c & 0x0f];
        }
    }

    return n;
}


ngx_int_t
ngx_async_direct_check(ngx_conf_t *cf, ngx_str_t *value)
{
    ngx_async_direct_url_t     u;
    ngx_http_core_loc_conf_t  *clcf;

    if (ngx_http_script_variables_count(value)) {
        return NGX_OK;
    }

    if (ngx_async_direct_parse(cf->pool, value, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in \"async_pass\" URL \"%V\"", u.err, value);
        return NGX_ERROR;
    }

    if (u.uri.len == 0) {
        return NGX_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->named
#if (NGX_PCRE)
        || clcf->regex
#endif
        || clcf->noname)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"async_pass %V\" cannot have URI part in "
                           "location given by regular expression, "
                           "or inside named location, "
                           "or inside \"if\" statement, "
                           "or inside \"limit_except\" block: "
                           "remove \"%V\"", value, &u.uri);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_direct_check_upstream(ngx_conf_t *cf, ngx_str_t *value)
{
    ngx_uint_t                       i;
    ngx_async_direct_url_t           u;
    ngx_http_upstream_srv_conf_t   **uscfp;
    ngx_http_upstream_main_conf_t   *umcf;

    if (ngx_http_script_variables_count(value)
        || ngx_async_direct_parse(cf->pool, value, &u) != NGX_OK
        || u.local)
    {
        return NGX_OK;
    }

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if ((uscfp[i]->flags & NGX_HTTP_UPSTREAM_CREATE)
            && u.no_port
            && uscfp[i]->host.len == u.name.len
            && ngx_strncasecmp(uscfp[i]->host.data, u.name.data, u.name.len)
               == 0)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"async_pass %V\" names an upstream, which libcurl "
                          "cannot use: write \"proxy_pass %V\" instead; "
                          "upstream \"%V\" is in %s:%ui",
                          value, value, &u.name, uscfp[i]->file_name,
                          uscfp[i]->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
