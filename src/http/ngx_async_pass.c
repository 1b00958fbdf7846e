
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_submit_internal.h"
#include "src/http/ngx_async_ask.h"
#include "src/http/ngx_async_http.h"


static void ngx_async_submit_pass(ngx_http_request_t *r);


/*
 * The content handler of a location with async_pass, for a request that does
 * not become a job: the same call, held to its end.
 */

ngx_int_t
ngx_async_pass_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_async_submit_t    *s;
    ngx_async_loc_conf_t  *alcf;

    if (r != r->main) {
        return NGX_HTTP_NOT_FOUND;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);

    s = ngx_pcalloc(r->pool, sizeof(ngx_async_submit_t));
    if (s == NULL || ngx_async_held_init(&s->held, r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s->request = r;
    s->alcf = alcf;
    s->wait = NGX_MAX_INT_T_VALUE;
    s->declined = 1;
    s->held.ended = ngx_async_submit_ended;
    s->held.data = s;

    ngx_http_set_ctx(r, s, ngx_async_module);

    s->held.entering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_async_submit_pass);

    s->held.entering = 0;

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
ngx_async_submit_pass(ngx_http_request_t *r)
{
    ngx_async_run_t     *run;
    ngx_async_submit_t  *s;

    s = ngx_http_get_module_ctx(r, ngx_async_module);

    run = ngx_async_run_create(s->alcf, r->connection->log);

    if (run == NULL || ngx_async_submit_fill(s, run) != NGX_OK) {

        if (run) {
            ngx_async_run_free(run);
        }

        ngx_async_submit_finalize(s, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_async_held_attach(&s->held, run);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_async_ask_writing;

    ngx_async_run_start(run);
}
