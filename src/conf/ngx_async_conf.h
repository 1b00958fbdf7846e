
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_CONF_H_INCLUDED_
#define _NGX_ASYNC_CONF_H_INCLUDED_


#include "src/ngx_async.h"


/*
 * The configuration: what each directive takes, how levels merge, and what
 * must hold for all of it together.  Every mistake is logged with the value
 * and what to write instead.
 */

#define NGX_ASYNC_QUEUE_CONCURRENCY  64
#define NGX_ASYNC_QUEUE_BACKLOG      100000
#define NGX_ASYNC_QUEUE_PAUSE        30000

#define NGX_ASYNC_MAX_RESPONSE       ((off_t) 1024 * 1024 * 1024)


void *ngx_async_conf_create_main(ngx_conf_t *cf);
char *ngx_async_conf_init_main(ngx_conf_t *cf, void *conf);
void *ngx_async_conf_create_srv(ngx_conf_t *cf);
void *ngx_async_conf_create_loc(ngx_conf_t *cf);
char *ngx_async_conf_merge_loc(ngx_conf_t *cf, void *parent, void *child);

/* directives */
char *ngx_async_conf_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_off(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_async(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_wait(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_set_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_async_conf_trusted_certificate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_async_conf_priority(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_retry(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_ttl(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_value_or_off(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_async_conf_owner(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_callback(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_callback_allow(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_async_conf_callback_secret(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_async_conf_header_name(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_async_conf_jobs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_jobs_uri(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_async_conf_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* NGX_ASYNC_COND_* of a word, or of several with commas; 0: not known, twice */
ngx_uint_t ngx_async_conf_cond(ngx_str_t *value);
ngx_uint_t ngx_async_conf_cond_list(ngx_str_t *list);

/*
 * Parameters of a directive, "name=value".  set() gets what is behind the "=";
 * if it fails, the value is logged with the hint.  The last one has no name,
 * and the hint for what is not known.
 */

typedef struct ngx_async_conf_param_s  ngx_async_conf_param_t;

struct ngx_async_conf_param_s {
    ngx_str_t    name;
    char      *(*set)(ngx_conf_t *cf, void *conf, ngx_str_t *value);
    size_t       offset;        /* of what is set in conf */
    const char  *hint;
};

char *ngx_async_conf_param(ngx_conf_t *cf, void *conf,
    ngx_async_conf_param_t *params, ngx_str_t *value);

/* setters: of ngx_uint_t and uint64_t, not 0; of ngx_msec_t */
char *ngx_async_conf_param_number(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);
char *ngx_async_conf_param_number64(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);
char *ngx_async_conf_param_msec(ngx_conf_t *cf, void *conf, ngx_str_t *value);
char *ngx_async_conf_param_msec_or_0(ngx_conf_t *cf, void *conf,
    ngx_str_t *value);

/* a value that may have variables */
char *ngx_async_conf_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t **cv);

/* logs the value and what it should be; NGX_CONF_ERROR */
char *ngx_async_conf_bad(ngx_conf_t *cf, ngx_str_t *value, const char *hint);

/* with the default limits; NULL: no memory */
ngx_async_queue_t *ngx_async_conf_add_queue(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf, ngx_str_t *name);

/* NULL: there is no such queue */
ngx_async_queue_t *ngx_async_conf_find_queue(ngx_async_main_conf_t *amcf,
    ngx_str_t *name);

/* NULL: there is no such location; the key is that of amcf->tree */
ngx_async_loc_conf_t *ngx_async_conf_find_location(
    ngx_async_main_conf_t *amcf, ngx_str_t *server, ngx_str_t *location);
ngx_rbtree_key_t ngx_async_conf_location_key(ngx_str_t *server,
    ngx_str_t *location);

/* bytes; NGX_ERROR */
ssize_t ngx_async_conf_size(ngx_str_t *s);

/*
 * In postconfiguration: names servers and locations, finds queues and jobs
 * locations, and refuses what cannot work.
 */
ngx_int_t ngx_async_conf_check(ngx_conf_t *cf, ngx_async_main_conf_t *amcf);

/* warns of queues that need more connections than the workers have */
void ngx_async_conf_check_connections(ngx_cycle_t *cycle,
    ngx_async_main_conf_t *amcf);

/* $async_* (ngx_async_variables.c) */
ngx_int_t ngx_async_variables_add(ngx_conf_t *cf);
ngx_int_t ngx_async_variables_index(ngx_conf_t *cf,
    ngx_async_main_conf_t *amcf);


#endif /* _NGX_ASYNC_CONF_H_INCLUDED_ */
