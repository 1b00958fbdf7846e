
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _DB_UTIL_H_INCLUDED_
#define _DB_UTIL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "src/store/ngx_async_db_internal.h"


#define MIB  (1024 * 1024)


/* a store in a directory of its own, and faults of its disk */

extern char             db_dir[64];
extern ngx_async_db_t  *db;
extern size_t           db_size;
extern uint64_t         now;        /* of every operation */
extern int64_t          jumped;     /* so much of it is no time that passed */

/* calls that write to the file, or sync it, still succeed so many times */
extern int              fail_write;
extern int              fail_sync;
extern int              fail_fallocate;
extern int              fail_errno;

int db_setup(void **state);
int db_setup_small(void **state);       /* and starts it with 16 MiB */
int db_setup_tiny(void **state);        /* with one */
int db_teardown(void **state);
void db_start(size_t size);
void db_stop(void);
void db_clear(void);

/* runs one operation in a transaction of its own, returns op->rc */
ngx_int_t db_run(ngx_async_op_t *op);

/* the same for read operations */
ngx_int_t db_ask(ngx_async_op_t *op);
void db_free(ngx_async_op_t *op);

/* operations; results are in the static op, valid until the next one */
extern ngx_async_op_t      op;
extern ngx_async_limits_t  limits;
extern ngx_async_sweep_t   sweep;

void db_job(ngx_async_job_t *job, const char *queue);
ngx_int_t db_accept(ngx_async_job_t *job, size_t len, ngx_uint_t claim,
    int runner);
ngx_int_t db_append(ngx_async_id_t *id, ngx_uint_t part, uint64_t offset,
    size_t len, int runner);
ngx_int_t db_discard(ngx_async_id_t *id, int runner);
ngx_int_t db_claim(const char *queue, int runner);
ngx_int_t db_finish(ngx_async_id_t *id, int runner, ngx_uint_t status,
    uint64_t len);
ngx_int_t db_requeue(ngx_async_id_t *id, int runner, uint64_t not_before);
ngx_int_t db_cancel(ngx_async_id_t *id);
ngx_int_t db_simple(ngx_uint_t type, ngx_async_id_t *id);
ngx_int_t db_move(const char *from, ngx_async_job_t *job, const char *to);
ngx_int_t db_sweep(void);
ngx_int_t db_recover(int runner);
ngx_int_t db_get(ngx_async_id_t *id);
ngx_int_t db_blob(ngx_async_id_t *id, ngx_uint_t part, uint64_t offset,
    size_t limit);

/* for operations that set more than these functions do */
void db_op(ngx_uint_t type, ngx_async_id_t *id, int runner);
void db_runner(u_char *p, int runner);
ngx_str_t db_str(const char *s);

/* the byte at an offset of a blob, the same for all bytes of a job's part */
u_char db_byte(const ngx_async_id_t *id, ngx_uint_t part, uint64_t offset);

/* steps of tests that must succeed */

ngx_async_id_t accept_job(const char *queue, const char *per,
    ngx_uint_t urgency);
void assert_claims(const char *queue, const ngx_async_id_t *id);
void assert_status(ngx_async_id_t *id, ngx_uint_t status);
void assert_bytes(ngx_async_id_t *id, ngx_uint_t part, uint64_t offset,
    size_t len);

/* fails the test if any table disagrees with another */
void db_check(void);


#endif /* _DB_UTIL_H_INCLUDED_ */
