
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_snapshot.h"
#include "src/base/ngx_async_codec.h"
#include "src/call/ngx_async_compat.h"
#include "src/base/ngx_async_prefer.h"


#define NGX_ASYNC_SNAPSHOT_VERSION  1

/* how a variable is treated when a snapshot is taken */
#define NGX_ASYNC_VAR_SSL           1   /* evaluated if the client uses TLS */
#define NGX_ASYNC_VAR_PROXY         2   /* evaluated with a PROXY header */
#define NGX_ASYNC_VAR_ALWAYS        3   /* evaluated */
#define NGX_ASYNC_VAR_NEVER         4   /* belongs to one request alone */

typedef struct {
    ngx_str_t    name;
    ngx_uint_t   kind;
} ngx_async_var_name_t;

typedef struct {
    ngx_uint_t   index;
    ngx_uint_t   kind;
} ngx_async_var_t;

typedef struct {
    ngx_http_request_t  *request;
    ngx_uint_t           whole;
    ngx_uint_t           nheaders;
    ngx_uint_t           nvars;
    u_char              *vars;              /* bitmap: those to be saved */
    ngx_str_t            sockaddr;
    ngx_str_t            local_sockaddr;
    ngx_str_t            captures_data;
    ngx_str_t            body_file;
    ngx_str_t            direct_url;
    ngx_array_t         *direct_headers;    /* of ngx_async_field_t */
    ngx_str_t            handler;
    ngx_str_t            head;
} ngx_async_taking_t;


static ngx_async_var_name_t *ngx_async_snapshot_name(ngx_async_var_name_t *vn,
    ngx_str_t *name);
static ngx_int_t ngx_async_snapshot_add(ngx_array_t *vars, ngx_uint_t index,
    ngx_uint_t kind);
static ngx_int_t ngx_async_snapshot_prepare(ngx_async_taking_t *t);
static void ngx_async_snapshot_handler(ngx_async_taking_t *t);
static ngx_int_t ngx_async_snapshot_head(ngx_async_taking_t *t);
static void ngx_async_snapshot_evaluate(ngx_http_request_t *r);
static ngx_uint_t ngx_async_snapshot_drop(ngx_async_taking_t *t,
    ngx_table_elt_t *h);
static size_t ngx_async_snapshot_size(ngx_async_taking_t *t);
static u_char *ngx_async_snapshot_write(ngx_async_taking_t *t, u_char *p);
static u_char *ngx_async_snapshot_write_headers(ngx_async_taking_t *t,
    u_char *p);
static u_char *ngx_async_snapshot_write_vars(ngx_async_taking_t *t, u_char *p);
static u_char *ngx_async_snapshot_write_captures(ngx_http_request_t *r,
    u_char *p);
static ngx_int_t ngx_async_snapshot_read_captures(ngx_async_snapshot_t *s,
    ngx_pool_t *pool, ngx_async_reader_t *rd);
static ngx_uint_t ngx_async_snapshot_flags(ngx_http_request_t *r);


/*
 * Variables whose value comes from the client's connection or from a context
 * of another module.  Those that this nginx does not have are left out; the
 * others get an index, so that readers by name find the saved value, too.
 */

static ngx_async_var_name_t  ngx_async_var_names[] = {
    { ngx_string("ssl_protocol"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_cipher"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_ciphers"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_curve"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_curves"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_sigalg"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_session_id"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_session_reused"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_early_data"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_server_name"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_alpn_protocol"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_ech_status"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_ech_outer_server_name"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_cert"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_raw_cert"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_escaped_cert"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_s_dn"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_i_dn"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_s_dn_legacy"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_i_dn_legacy"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_serial"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_fingerprint"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_sigalg"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_verify"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_v_start"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_v_end"), NGX_ASYNC_VAR_SSL },
    { ngx_string("ssl_client_v_remain"), NGX_ASYNC_VAR_SSL },
    { ngx_string("https"), NGX_ASYNC_VAR_SSL },
    { ngx_string("scheme"), NGX_ASYNC_VAR_SSL },
    { ngx_string("http2"), NGX_ASYNC_VAR_ALWAYS },
    { ngx_string("http3"), NGX_ASYNC_VAR_ALWAYS },
    { ngx_string("realip_remote_addr"), NGX_ASYNC_VAR_ALWAYS },
    { ngx_string("realip_remote_port"), NGX_ASYNC_VAR_ALWAYS },
    { ngx_string("proxy_protocol_addr"), NGX_ASYNC_VAR_PROXY },
    { ngx_string("proxy_protocol_port"), NGX_ASYNC_VAR_PROXY },
    { ngx_string("proxy_protocol_server_addr"), NGX_ASYNC_VAR_PROXY },
    { ngx_string("proxy_protocol_server_port"), NGX_ASYNC_VAR_PROXY },
    { ngx_string("server_addr"), NGX_ASYNC_VAR_NEVER },
    { ngx_string("request_body"), NGX_ASYNC_VAR_NEVER },
    { ngx_string("request_body_file"), NGX_ASYNC_VAR_NEVER },
    { ngx_string("bytes_sent"), NGX_ASYNC_VAR_NEVER },
    { ngx_string("body_bytes_sent"), NGX_ASYNC_VAR_NEVER },
    { ngx_string("connection"), NGX_ASYNC_VAR_NEVER },
    { ngx_string("connection_requests"), NGX_ASYNC_VAR_NEVER },
    { ngx_string("pid"), NGX_ASYNC_VAR_NEVER },
    { ngx_null_string, 0 }
};

/* looked for among the variables that the configuration itself uses */

static ngx_async_var_name_t  ngx_async_var_used[] = {
    { ngx_string("request_id"), NGX_ASYNC_VAR_ALWAYS },
    { ngx_string("tcpinfo_rtt"), NGX_ASYNC_VAR_ALWAYS },
    { ngx_string("tcpinfo_rttvar"), NGX_ASYNC_VAR_ALWAYS },
    { ngx_string("tcpinfo_snd_cwnd"), NGX_ASYNC_VAR_ALWAYS },
    { ngx_string("tcpinfo_rcv_space"), NGX_ASYNC_VAR_ALWAYS },
    { ngx_string("secure_link_expires"), NGX_ASYNC_VAR_ALWAYS },
    { ngx_string("http_prefer"), NGX_ASYNC_VAR_NEVER },
    { ngx_string("http_range"), NGX_ASYNC_VAR_NEVER },
    { ngx_string("http_if_range"), NGX_ASYNC_VAR_NEVER },
    { ngx_string("http_if_none_match"), NGX_ASYNC_VAR_NEVER },
    { ngx_string("http_if_modified_since"), NGX_ASYNC_VAR_NEVER },
    { ngx_null_string, 0 }
};


ngx_int_t
ngx_async_snapshot_init(ngx_conf_t *cf)
{
    ngx_int_t                   index;
    ngx_uint_t                  i;
    ngx_array_t                *vars;
    ngx_hash_key_t             *keys;
    ngx_http_variable_t        *v;
    ngx_async_var_name_t       *vn;
    ngx_async_main_conf_t      *amcf;
    ngx_http_core_main_conf_t  *cmcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_async_module);
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    vars = &amcf->snapshot_vars;

    if (ngx_array_init(vars, cf->pool, 64, sizeof(ngx_async_var_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        vn = ngx_async_snapshot_name(ngx_async_var_used, &v[i].name);

        if (vn && ngx_async_snapshot_add(vars, i, vn->kind) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    keys = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {

        vn = ngx_async_snapshot_name(ngx_async_var_names, &keys[i].key);
        if (vn == NULL) {
            continue;
        }

        index = ngx_http_get_variable_index(cf, &vn->name);

        if (index == NGX_ERROR
            || ngx_async_snapshot_add(vars, index, vn->kind) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_async_var_name_t *
ngx_async_snapshot_name(ngx_async_var_name_t *vn, ngx_str_t *name)
{
    for ( /* void */ ; vn->name.len; vn++) {
        if (vn->name.len == name->len
            && ngx_strncmp(vn->name.data, name->data, name->len) == 0)
        {
            return vn;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_async_snapshot_add(ngx_array_t *vars, ngx_uint_t index, ngx_uint_t kind)
{
    ngx_async_var_t  *var;

    var = ngx_array_push(vars);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->index = index;
    var->kind = kind;

    return NGX_OK;
}


ngx_int_t
ngx_async_snapshot_take(ngx_http_request_t *r, ngx_uint_t whole,
    ngx_str_t *direct_url, ngx_array_t *direct_headers, size_t room,
    ngx_str_t *blob)
{
    size_t              size;
    u_char             *p;
    ngx_async_taking_t  t;

    ngx_memzero(&t, sizeof(ngx_async_taking_t));

    t.request = r;
    t.whole = whole;
    t.direct_headers = direct_headers;

    if (direct_url) {
        t.direct_url = *direct_url;
    }

    if (ngx_async_snapshot_prepare(&t) != NGX_OK) {
        return NGX_ERROR;
    }

    size = ngx_async_snapshot_size(&t);

    p = ngx_alloc(size + room, r->connection->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    blob->data = p;
    blob->len = ngx_async_snapshot_write(&t, p) - p;

    return NGX_OK;
}


static ngx_int_t
ngx_async_snapshot_prepare(ngx_async_taking_t *t)
{
    ngx_uint_t                  i;
    ngx_connection_t           *c;
    ngx_async_var_t            *var;
    ngx_http_request_t         *r;
    ngx_http_variable_t        *v;
    ngx_async_main_conf_t      *amcf;
    ngx_http_core_main_conf_t  *cmcf;

    r = t->request;
    c = r->connection;

    /* wildcard listeners: the address that the client connected to */

    if (ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    t->sockaddr.data = (u_char *) c->sockaddr;
    t->sockaddr.len = c->socklen;
    t->local_sockaddr.data = (u_char *) c->local_sockaddr;
    t->local_sockaddr.len = c->local_socklen;

#if (NGX_PCRE)
    if (ngx_async_ncaptures(r)) {

        for (i = 0; i < r->ncaptures; i++) {
            if (r->captures[i] > (int) t->captures_data.len) {
                t->captures_data.len = r->captures[i];
            }
        }

        t->captures_data.data = r->captures_data;
    }
#endif

    if (r->request_body && r->request_body->temp_file) {
        t->body_file = r->request_body->temp_file->file.name;
    }

    ngx_async_snapshot_handler(t);

    if (ngx_async_snapshot_head(t) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_async_snapshot_evaluate(r);

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    t->vars = ngx_pcalloc(r->pool, cmcf->variables.nelts);
    if (t->vars == NULL) {
        return NGX_ERROR;
    }

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {
        t->vars[i] = (r->variables[i].valid || r->variables[i].not_found)
                     && !r->variables[i].no_cacheable
                     && !(v[i].flags & NGX_HTTP_VAR_NOCACHEABLE);
    }

    amcf = ngx_http_get_module_main_conf(r, ngx_async_module);
    var = amcf->snapshot_vars.elts;

    for (i = 0; i < amcf->snapshot_vars.nelts; i++) {
        if (var[i].kind == NGX_ASYNC_VAR_NEVER) {
            t->vars[var[i].index] = 0;
        }
    }

    for (i = 0; i < cmcf->variables.nelts; i++) {
        t->nvars += t->vars[i];
    }

    return NGX_OK;
}


/*
 * In an "if" the content handler may be that of the location around it, or of
 * another "if" before: any location of this server that has it will do.
 */

static void
ngx_async_snapshot_handler(ngx_async_taking_t *t)
{
    ngx_uint_t                  i;
    ngx_http_request_t         *r;
    ngx_async_loc_conf_t       *alcf, **alcfp;
    ngx_async_main_conf_t      *amcf;
    ngx_http_core_loc_conf_t   *clcf;

    r = t->request;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->content_handler == NULL || r->content_handler == clcf->handler) {
        return;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);
    amcf = ngx_http_get_module_main_conf(r, ngx_async_module);
    alcfp = amcf->locations.elts;

    for (i = 0; i < amcf->locations.nelts; i++) {

        if (alcfp[i]->ascf != alcf->ascf) {
            continue;
        }

        clcf = alcfp[i]->ctx->loc_conf[ngx_http_core_module.ctx_index];

        if (clcf->handler == r->content_handler) {
            t->handler = alcfp[i]->location;
            return;
        }
    }
}


/* what modules of earlier phases have put into the response */

static ngx_int_t
ngx_async_snapshot_head(ngx_async_taking_t *t)
{
    ngx_http_request_t  *r;

    r = t->request;

    if (r->headers_out.headers.part.nelts == 0 && r->headers_out.status == 0
        && r->headers_out.content_type.len == 0)
    {
        return NGX_OK;
    }

    return ngx_async_head_encode(r, r->pool, &t->head);
}


static void
ngx_async_snapshot_evaluate(ngx_http_request_t *r)
{
    ngx_uint_t              i;
    ngx_async_var_t        *var;
    ngx_async_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_async_module);
    var = amcf->snapshot_vars.elts;

    for (i = 0; i < amcf->snapshot_vars.nelts; i++) {

        switch (var[i].kind) {

        case NGX_ASYNC_VAR_SSL:
#if (NGX_HTTP_SSL)
            if (r->connection->ssl) {
                break;
            }
#endif
            continue;

        case NGX_ASYNC_VAR_PROXY:
            if (r->connection->proxy_protocol) {
                break;
            }
            continue;

        case NGX_ASYNC_VAR_ALWAYS:
            break;

        default:
            continue;
        }

        (void) ngx_http_get_indexed_variable(r, var[i].index);
    }
}


static ngx_uint_t
ngx_async_snapshot_drop(ngx_async_taking_t *t, ngx_table_elt_t *h)
{
    ngx_http_request_t  *r;

    r = t->request;

    if (h->hash == 0) {
        return 1;
    }

    if (!t->whole) {
        return 0;
    }

    return h == r->headers_in.range
           || h == r->headers_in.if_range
           || h == r->headers_in.if_none_match
           || h == r->headers_in.if_modified_since;
}


static size_t
ngx_async_snapshot_size(ngx_async_taking_t *t)
{
    size_t                      size;
    ngx_uint_t                  i;
    ngx_list_part_t            *part;
    ngx_table_elt_t            *h;
    ngx_async_field_t          *field;
    ngx_http_request_t         *r;
    ngx_http_variable_t        *v;
    ngx_proxy_protocol_t       *pp;
    ngx_http_core_main_conf_t  *cmcf;

    r = t->request;

    /* the fixed part, generously */

    size = 256 + r->method_name.len + r->http_protocol.len
           + r->request_line.len + r->unparsed_uri.len + r->uri.len
           + r->args.len + r->exten.len + r->schema.len
           + r->headers_in.server.len + t->sockaddr.len
           + t->local_sockaddr.len + r->connection->addr_text.len
           + ngx_async_ncaptures(r) * 4 + t->captures_data.len
           + t->body_file.len + t->direct_url.len + t->handler.len
           + t->head.len;

    pp = r->connection->proxy_protocol;

    if (pp) {
        size += pp->src_addr.len + pp->dst_addr.len
                + ngx_async_proxy_tlvs_len(pp);
    }

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        size += 8 + h[i].key.len + h[i].value.len;
    }

    if (t->direct_headers) {
        field = t->direct_headers->elts;

        for (i = 0; i < t->direct_headers->nelts; i++) {
            size += 8 + field[i].key.len + field[i].value.len;
        }
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {
        if (t->vars[i]) {
            size += 16 + v[i].name.len + r->variables[i].len;
        }
    }

    return size;
}


static ngx_uint_t
ngx_async_snapshot_flags(ngx_http_request_t *r)
{
    ngx_uint_t  flags;

    flags = 0;

    if (r->valid_unparsed_uri) {
        flags |= NGX_ASYNC_SNAPSHOT_VALID_URI;
    }

    if (r->valid_location) {
        flags |= NGX_ASYNC_SNAPSHOT_VALID_LOCATION;
    }

    if (r->quoted_uri) {
        flags |= NGX_ASYNC_SNAPSHOT_QUOTED;
    }

    if (r->plus_in_uri) {
        flags |= NGX_ASYNC_SNAPSHOT_PLUS;
    }

    if (r->internal) {
        flags |= NGX_ASYNC_SNAPSHOT_INTERNAL;
    }

    if (r->add_uri_to_alias) {
        flags |= NGX_ASYNC_SNAPSHOT_ALIAS;
    }

    if (r->headers_in.chunked) {
        flags |= NGX_ASYNC_SNAPSHOT_CHUNKED;
    }

    if (r->keepalive) {
        flags |= NGX_ASYNC_SNAPSHOT_KEEPALIVE;
    }

    if (r->complex_uri) {
        flags |= NGX_ASYNC_SNAPSHOT_COMPLEX;
    }

    if (r->error_page) {
        flags |= NGX_ASYNC_SNAPSHOT_ERROR_PAGE;
    }

    if (r->empty_path_in_uri) {
        flags |= NGX_ASYNC_SNAPSHOT_EMPTY_PATH;
    }

    if (r->request_body && r->request_body->bufs) {
        flags |= NGX_ASYNC_SNAPSHOT_BODY;
    }

    return flags;
}


static u_char *
ngx_async_snapshot_write(ngx_async_taking_t *t, u_char *p)
{
    ngx_str_t              empty;
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_proxy_protocol_t  *pp;

    r = t->request;
    c = r->connection;
    pp = c->proxy_protocol;
    ngx_str_null(&empty);

    *p++ = NGX_ASYNC_SNAPSHOT_VERSION;

    p = ngx_async_put_uint(p, r->method, 4);
    p = ngx_async_put_uint(p, r->http_version, 4);
    p = ngx_async_put_uint(p, ngx_async_snapshot_flags(r), 4);
    p = ngx_async_put_uint(p, r->err_status, 4);
    p = ngx_async_put_uint(p, ngx_async_request_port(r), 2);
    p = ngx_async_put_uint(p, c->number, 8);
    p = ngx_async_put_uint(p, c->requests, 4);
    p = ngx_async_put_uint(p, (uint64_t) r->start_sec * 1000 + r->start_msec,
                           8);
    p = ngx_async_put_uint(p, ngx_async_time_now()
                              - (ngx_current_msec - c->start_time), 8);
    p = ngx_async_put_uint(p, r->limit_conn_status, 1);
    p = ngx_async_put_uint(p, r->limit_req_status, 1);
    p = ngx_async_put_uint(p, r->request_length, 8);
    p = ngx_async_put_uint(p, r->headers_in.content_length_n, 8);

    p = ngx_async_put_str(p, &r->method_name);
    p = ngx_async_put_str(p, &r->http_protocol);
    p = ngx_async_put_str(p, &r->request_line);
    p = ngx_async_put_str(p, &r->unparsed_uri);
    p = ngx_async_put_str(p, &r->uri);
    p = ngx_async_put_str(p, &r->args);
    p = ngx_async_put_str(p, &r->exten);
    p = ngx_async_put_str(p, &r->schema);
    p = ngx_async_put_str(p, &r->headers_in.server);
    p = ngx_async_put_str(p, &t->sockaddr);
    p = ngx_async_put_str(p, &t->local_sockaddr);
    p = ngx_async_put_str(p, &c->addr_text);
    p = ngx_async_snapshot_write_captures(r, p);
    p = ngx_async_put_str(p, &t->captures_data);
    p = ngx_async_put_str(p, &t->body_file);
    p = ngx_async_put_str(p, &t->direct_url);
    p = ngx_async_put_str(p, &t->handler);
    p = ngx_async_put_str(p, &t->head);

    p = ngx_async_put_str(p, pp ? &pp->src_addr : &empty);
    p = ngx_async_put_str(p, pp ? &pp->dst_addr : &empty);
    p = ngx_async_put_uint(p, pp ? pp->src_port : 0, 2);
    p = ngx_async_put_uint(p, pp ? pp->dst_port : 0, 2);
    p = ngx_async_put_proxy_tlvs(p, pp);

    p = ngx_async_snapshot_write_headers(t, p);

    return ngx_async_snapshot_write_vars(t, p);
}


static u_char *
ngx_async_snapshot_write_captures(ngx_http_request_t *r, u_char *p)
{
    p = ngx_async_put_uint(p, ngx_async_ncaptures(r), 4);

#if (NGX_PCRE)
    {
    ngx_uint_t  i;

    for (i = 0; i < ngx_async_ncaptures(r); i++) {
        p = ngx_async_put_uint(p, r->captures[i], 4);
    }
    }
#endif

    return p;
}


static u_char *
ngx_async_snapshot_write_headers(ngx_async_taking_t *t, u_char *p)
{
    u_char            *count;
    ngx_str_t          value;
    ngx_uint_t         i, n;
    ngx_list_part_t   *part;
    ngx_table_elt_t   *h;
    ngx_async_field_t *field;

    if (t->direct_headers) {
        field = t->direct_headers->elts;
        n = t->direct_headers->nelts;
        p = ngx_async_put_uint(p, n, 4);

        for (i = 0; i < n; i++) {
            p = ngx_async_put_str(p, &field[i].key);
            p = ngx_async_put_str(p, &field[i].value);
        }

        return p;
    }

    n = 0;
    count = p;
    p += 4;

    part = &t->request->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (ngx_async_snapshot_drop(t, &h[i])) {
            continue;
        }

        value = h[i].value;

        if (h[i].key.len == sizeof("Prefer") - 1
            && ngx_strncasecmp(h[i].key.data, (u_char *) "Prefer",
                               sizeof("Prefer") - 1)
               == 0)
        {
            if (ngx_async_prefer_strip(t->request->pool, &h[i].value, &value)
                != NGX_OK
                || value.len == 0)
            {
                continue;
            }
        }

        p = ngx_async_put_str(p, &h[i].key);
        p = ngx_async_put_str(p, &value);
        n++;
    }

    (void) ngx_async_put_uint(count, n, 4);

    return p;
}


static u_char *
ngx_async_snapshot_write_vars(ngx_async_taking_t *t, u_char *p)
{
    ngx_str_t                   value;
    ngx_uint_t                  i;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(t->request, ngx_http_core_module);
    v = cmcf->variables.elts;

    p = ngx_async_put_uint(p, t->nvars, 4);

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (!t->vars[i]) {
            continue;
        }

        value.data = t->request->variables[i].data;
        value.len = t->request->variables[i].valid
                    ? t->request->variables[i].len : 0;

        p = ngx_async_put_uint(p, i, 4);
        *p++ = (u_char) t->request->variables[i].not_found;
        p = ngx_async_put_str(p, &v[i].name);
        p = ngx_async_put_str(p, &value);
    }

    return p;
}


ngx_int_t
ngx_async_snapshot_read(ngx_async_snapshot_t *s, ngx_pool_t *pool,
    u_char *data, size_t len)
{
    ngx_uint_t          i;
    ngx_async_reader_t  rd;

    rd.pos = data;
    rd.last = data + len;
    rd.failed = 0;

    if (ngx_async_get_uint(&rd, 1) != NGX_ASYNC_SNAPSHOT_VERSION) {
        return NGX_ERROR;
    }

    s->method = ngx_async_get_uint(&rd, 4);
    s->http_version = ngx_async_get_uint(&rd, 4);
    s->flags = ngx_async_get_uint(&rd, 4);
    s->err_status = ngx_async_get_uint(&rd, 4);
    s->port = ngx_async_get_uint(&rd, 2);
    s->connection = ngx_async_get_uint(&rd, 8);
    s->requests = ngx_async_get_uint(&rd, 4);
    s->start = ngx_async_get_uint(&rd, 8);
    s->connection_start = ngx_async_get_uint(&rd, 8);
    s->limit_conn_status = ngx_async_get_uint(&rd, 1);
    s->limit_req_status = ngx_async_get_uint(&rd, 1);
    s->request_length = ngx_async_get_uint(&rd, 8);
    s->content_length = ngx_async_get_uint(&rd, 8);

    ngx_async_get_str(&rd, &s->method_name);
    ngx_async_get_str(&rd, &s->http_protocol);
    ngx_async_get_str(&rd, &s->request_line);
    ngx_async_get_str(&rd, &s->unparsed_uri);
    ngx_async_get_str(&rd, &s->uri);
    ngx_async_get_str(&rd, &s->args);
    ngx_async_get_str(&rd, &s->exten);
    ngx_async_get_str(&rd, &s->schema);
    ngx_async_get_str(&rd, &s->server);
    ngx_async_get_str(&rd, &s->sockaddr);
    ngx_async_get_str(&rd, &s->local_sockaddr);
    ngx_async_get_str(&rd, &s->addr_text);
    if (ngx_async_snapshot_read_captures(s, pool, &rd) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_async_get_str(&rd, &s->captures_data);
    ngx_async_get_str(&rd, &s->body_file);
    ngx_async_get_str(&rd, &s->direct_url);
    ngx_async_get_str(&rd, &s->handler);
    ngx_async_get_str(&rd, &s->head);
    ngx_async_get_str(&rd, &s->proxy_src);
    ngx_async_get_str(&rd, &s->proxy_dst);
    s->proxy_src_port = ngx_async_get_uint(&rd, 2);
    s->proxy_dst_port = ngx_async_get_uint(&rd, 2);
    ngx_async_get_str(&rd, &s->proxy_tlvs);

    s->nheaders = ngx_async_get_uint(&rd, 4);

    if (rd.failed || s->nheaders > len) {
        return NGX_ERROR;
    }

    s->headers = ngx_palloc(pool, (s->nheaders + 1)
                                  * sizeof(ngx_async_field_t));
    if (s->headers == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < s->nheaders; i++) {
        ngx_async_get_str(&rd, &s->headers[i].key);
        ngx_async_get_str(&rd, &s->headers[i].value);
    }

    s->nvars = ngx_async_get_uint(&rd, 4);

    if (rd.failed || s->nvars > len) {
        return NGX_ERROR;
    }

    s->vars = ngx_palloc(pool, (s->nvars + 1)
                               * sizeof(ngx_async_snapshot_var_t));
    if (s->vars == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < s->nvars; i++) {
        s->vars[i].index = ngx_async_get_uint(&rd, 4);
        s->vars[i].not_found = ngx_async_get_uint(&rd, 1) & 1;
        ngx_async_get_str(&rd, &s->vars[i].name);
        ngx_async_get_str(&rd, &s->vars[i].value);
    }

    return rd.failed ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_async_snapshot_read_captures(ngx_async_snapshot_t *s, ngx_pool_t *pool,
    ngx_async_reader_t *rd)
{
    ngx_uint_t  i;

    s->captures = NULL;
    s->ncaptures = ngx_async_get_uint(rd, 4);

    if (rd->failed || s->ncaptures > (ngx_uint_t) (rd->last - rd->pos) / 4) {
        return NGX_ERROR;
    }

    if (s->ncaptures == 0) {
        return NGX_OK;
    }

    s->captures = ngx_palloc(pool, s->ncaptures * sizeof(int));
    if (s->captures == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < s->ncaptures; i++) {
        s->captures[i] = (int) ngx_async_get_uint(rd, 4);
    }

    return NGX_OK;
}
