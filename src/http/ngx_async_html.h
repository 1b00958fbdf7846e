
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_HTML_H_INCLUDED_
#define _NGX_ASYNC_HTML_H_INCLUDED_


#include "src/ngx_async.h"


/*
 * Writes a page twice with the same code, as ngx_async_json.h does.
 */

typedef struct {
    u_char  *pos;
    size_t   len;
} ngx_async_html_t;

typedef void (*ngx_async_html_pt)(ngx_async_html_t *h, void *data);


void ngx_async_html_raw(ngx_async_html_t *h, const char *text);
void ngx_async_html_text(ngx_async_html_t *h, ngx_str_t *text);
void ngx_async_html_number(ngx_async_html_t *h, uint64_t n);

/* so many bytes, in the largest unit that they fill */
void ngx_async_html_size(ngx_async_html_t *h, uint64_t n);

/* a time of the store, as a time element */
void ngx_async_html_time(ngx_async_html_t *h, uint64_t msec);

/* from the doctype to the style; the rest of the head and the body follow */
void ngx_async_html_begin(ngx_async_html_t *h, const char *title);

/* the script of pages about one job */
void ngx_async_html_script(ngx_async_html_t *h);

/* sends the page that "write" makes, with its policy */
ngx_int_t ngx_async_html_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_async_html_pt write, void *data);


/* the only script and style of all pages: ngx_async_html_assets.c */
extern ngx_str_t  ngx_async_html_assets_script;
extern ngx_str_t  ngx_async_html_assets_style;


#endif /* _NGX_ASYNC_HTML_H_INCLUDED_ */
