
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_snapshot_internal.h"


/* how a variable is treated when a snapshot is taken */
#define NGX_ASYNC_VAR_SSL           0   /* evaluated if the client uses TLS */
#define NGX_ASYNC_VAR_PROXY         1   /* evaluated with a PROXY header */
#define NGX_ASYNC_VAR_ALWAYS        2   /* evaluated */
#define NGX_ASYNC_VAR_NEVER         3   /* belongs to one request alone */
#define NGX_ASYNC_VAR_KINDS         4

typedef struct {
    ngx_str_t    name;
    ngx_uint_t   kind;
} ngx_async_var_name_t;


static ngx_async_var_name_t *ngx_async_snapshot_name(ngx_async_var_name_t *vn,
    ngx_str_t *name);
static ngx_int_t ngx_async_snapshot_add(ngx_async_main_conf_t *amcf,
    ngx_uint_t index, ngx_uint_t kind);
static void ngx_async_snapshot_evaluate(ngx_http_request_t *r);
static void ngx_async_snapshot_evaluate_all(ngx_http_request_t *r,
    ngx_array_t *indexes);
static ngx_uint_t ngx_async_snapshot_never(ngx_async_main_conf_t *amcf,
    ngx_uint_t index);


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
    ngx_hash_key_t             *keys;
    ngx_http_variable_t        *v;
    ngx_async_var_name_t       *vn;
    ngx_async_main_conf_t      *amcf;
    ngx_http_core_main_conf_t  *cmcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_async_module);
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    amcf->snapshot_vars = ngx_pcalloc(cf->pool, NGX_ASYNC_VAR_KINDS
                                                * sizeof(ngx_array_t));
    if (amcf->snapshot_vars == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_ASYNC_VAR_KINDS; i++) {
        if (ngx_array_init(&amcf->snapshot_vars[i], cf->pool, 8,
                           sizeof(ngx_uint_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        vn = ngx_async_snapshot_name(ngx_async_var_used, &v[i].name);

        if (vn && ngx_async_snapshot_add(amcf, i, vn->kind) != NGX_OK) {
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
            || ngx_async_snapshot_add(amcf, index, vn->kind) != NGX_OK)
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
ngx_async_snapshot_add(ngx_async_main_conf_t *amcf, ngx_uint_t index,
    ngx_uint_t kind)
{
    ngx_uint_t  *var;

    var = ngx_array_push(&amcf->snapshot_vars[kind]);
    if (var == NULL) {
        return NGX_ERROR;
    }

    *var = index;

    return NGX_OK;
}


ngx_int_t
ngx_async_snapshot_choose_vars(ngx_async_taking_t *t)
{
    ngx_uint_t                  i, *index;
    ngx_http_request_t         *r;
    ngx_http_variable_t        *v;
    ngx_async_main_conf_t      *amcf;
    ngx_http_core_main_conf_t  *cmcf;
    ngx_http_variable_value_t  *value;

    r = t->request;

    ngx_async_snapshot_evaluate(r);

    if (ngx_array_init(&t->vars, r->pool, 8, sizeof(ngx_uint_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    amcf = ngx_http_get_module_main_conf(r, ngx_async_module);
    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        value = &r->variables[i];

        if ((!value->valid && !value->not_found)
            || value->no_cacheable
            || (v[i].flags & NGX_HTTP_VAR_NOCACHEABLE)
            || ngx_async_snapshot_never(amcf, i))
        {
            continue;
        }

        index = ngx_array_push(&t->vars);
        if (index == NULL) {
            return NGX_ERROR;
        }

        *index = i;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_async_snapshot_never(ngx_async_main_conf_t *amcf, ngx_uint_t index)
{
    ngx_uint_t    i, *never;
    ngx_array_t  *indexes;

    indexes = &amcf->snapshot_vars[NGX_ASYNC_VAR_NEVER];
    never = indexes->elts;

    for (i = 0; i < indexes->nelts; i++) {
        if (never[i] == index) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_async_snapshot_evaluate(ngx_http_request_t *r)
{
    ngx_async_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_async_module);

#if (NGX_HTTP_SSL)
    if (r->connection->ssl) {
        ngx_async_snapshot_evaluate_all(r,
                                   &amcf->snapshot_vars[NGX_ASYNC_VAR_SSL]);
    }
#endif

    if (r->connection->proxy_protocol) {
        ngx_async_snapshot_evaluate_all(r,
                                   &amcf->snapshot_vars[NGX_ASYNC_VAR_PROXY]);
    }

    ngx_async_snapshot_evaluate_all(r,
                                  &amcf->snapshot_vars[NGX_ASYNC_VAR_ALWAYS]);
}


static void
ngx_async_snapshot_evaluate_all(ngx_http_request_t *r, ngx_array_t *indexes)
{
    ngx_uint_t  i, *index;

    index = indexes->elts;

    for (i = 0; i < indexes->nelts; i++) {
        (void) ngx_http_get_indexed_variable(r, index[i]);
    }
}
