
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_DB_H_INCLUDED_
#define _NGX_ASYNC_DB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/store/ngx_async_store.h"


/*
 * The store's operations as transactions on LMDB, synchronous, for the
 * threads of the store (and for unit tests): no event loop in here, no nginx
 * pools.  Reads and the writer may run in different threads at once; there is
 * one write transaction at a time in a process, begun and committed by the
 * same thread.
 */

typedef struct ngx_async_db_s      ngx_async_db_t;
typedef struct ngx_async_db_txn_s  ngx_async_db_txn_t;


/*
 * Opens the environment in the directory "path" (zero-terminated), creates
 * the tables if the directory is empty.  NULL: *reason is a text for the log
 * (static, or valid until the next call) and nothing was changed on disk.
 */
ngx_async_db_t *ngx_async_db_open(const char *path, size_t size,
    ngx_uint_t readers, const char **reason);

void ngx_async_db_close(ngx_async_db_t *db);

/*
 * Where all processes keep the last transaction that is known to be durable,
 * which readers look at: others wait for the disk themselves.
 */
void ngx_async_db_share(ngx_async_db_t *db, uint64_t *durable);

/*
 * Whether ngx_async_db_open() would take the directory, without touching it:
 * it is absent, empty, or holds a store that is whole as far as its first
 * pages tell.  Only in a process that has no environment open.  NGX_ERROR:
 * *reason is as above.
 */
ngx_int_t ngx_async_db_check(const char *path, const char **reason);


/*
 * A batch: begin, any number of ngx_async_db_write(), commit.  An operation
 * that fails with NGX_BUSY, NGX_DECLINED or NGX_ABORT leaves the transaction
 * as it was before.  NGX_ERROR or NGX_AGAIN from ngx_async_db_write() means
 * that the transaction is spoilt (NGX_AGAIN: because there is no room): the
 * caller aborts it and runs the operations of the batch one by one; an
 * operation that is alone and still meets a full map gets NGX_BUSY, which is
 * what op->rc and op->full say then.  What a batch that came to nothing has
 * changed in *op->job of an ACCEPT is to be restored before it is run again;
 * op->buf is freed by ngx_async_db_write().
 *
 * Completion operations (FINISH, CANCEL, REQUEUE, SWEEP ...) may use a reserve
 * of the map and of the disk that ACCEPT and APPEND may not.  A FINISH that
 * does not even fit there does so without its response: the job then is to be
 * ended as failed, "store_full", with response_status 0.
 *
 * Of the jobs that wait in a queue, the most urgent level goes first, in it
 * the values of "per" take turns, then seq decides.  Every 16th claim goes to
 * one of the less urgent levels that wait, and they take turns: with m of them,
 * the first job of each starts within 16 m claims, so within 112 in any case.
 */
ngx_async_db_txn_t *ngx_async_db_begin(ngx_async_db_t *db, ngx_err_t *err);
ngx_int_t ngx_async_db_write(ngx_async_db_txn_t *txn, ngx_async_op_t *op);

/*
 * NGX_OK: durable.  NGX_ERROR, or NGX_AGAIN because the map or the disk is
 * full: nothing of the batch happened.  NGX_ABORT: it did happen, others may
 * have seen it already, but the disk failed before it was durable: the caller
 * can tell nobody anything about it, and should die, as its successor finds
 * out what has become of its jobs.
 */
ngx_int_t ngx_async_db_commit(ngx_async_db_txn_t *txn, ngx_err_t *err);
void ngx_async_db_abort(ngx_async_db_txn_t *txn);

/* a read operation, in a read transaction of its own; sets op->rc */
void ngx_async_db_read(ngx_async_db_t *db, ngx_async_op_t *op);

/* true if SWEEP at "now" has something to do; *next is when it will, or 0 */
ngx_uint_t ngx_async_db_due(ngx_async_db_t *db, uint64_t now, uint64_t *next);


/*
 * Queues whose numbers a committed transaction changed, for the counters in
 * shared memory: calls handler for each with the number of jobs that could be
 * claimed, that of all that wait, and the id of the transaction (greater is
 * newer).  To be called after ngx_async_db_commit(), before the next batch
 * begins, and at start ("all").  A paused queue has nothing to be claimed until
 * SWEEP has ended the pause, and then one job.
 */
typedef void (*ngx_async_db_queue_pt)(void *data, ngx_str_t *queue,
    uint64_t ready, uint64_t waiting, ngx_uint_t paused, uint64_t txnid);

void ngx_async_db_changed_queues(ngx_async_db_t *db, ngx_uint_t all,
    ngx_async_db_queue_pt handler, void *data);

/* frees reader slots of dead processes; returns how many */
ngx_int_t ngx_async_db_check_readers(ngx_async_db_t *db);

/*
 * Files of blobs.  The name that a blob's file has in the directory
 * NGX_ASYNC_BLOB_DIR, ended by a zero; NGX_ERROR for what is no such name.
 */
u_char *ngx_async_db_file_name(u_char *p, const ngx_async_blob_t *blob);
ngx_int_t ngx_async_db_file_parse(ngx_async_blob_t *blob, const u_char *name);

/*
 * Files that committed transactions have left without a job, each once: they
 * are the caller's to unlink, and the list to free().  Returns their number.
 */
ngx_uint_t ngx_async_db_gone(ngx_async_db_t *db, ngx_async_blob_t **blobs);

void ngx_async_db_usage(ngx_async_db_t *db, uint64_t *used, uint64_t *size);


#endif /* _NGX_ASYNC_DB_H_INCLUDED_ */
