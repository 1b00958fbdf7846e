
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


typedef ngx_int_t (*ngx_async_db_op_pt)(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op);


static ngx_int_t ngx_async_db_settle(ngx_async_db_txn_t *txn);
static void ngx_async_db_done(ngx_async_db_txn_t *txn);
static MDB_txn *ngx_async_db_idle_reader(ngx_async_db_t *db, int *rc);


/* by ngx_async_op_e */

static const ngx_async_db_op_pt  ngx_async_db_ops[] = {
    ngx_async_db_append,
    ngx_async_db_file_reserve,
    ngx_async_db_discard,
    ngx_async_db_accept,
    ngx_async_db_claim,
    ngx_async_db_finish,
    ngx_async_db_requeue,
    ngx_async_db_cancel,
    ngx_async_db_forget,
    ngx_async_db_retry,
    ngx_async_db_move,
    ngx_async_db_tell,
    ngx_async_db_callback,
    ngx_async_db_sweep,
    ngx_async_db_recover
};


ngx_async_db_txn_t *
ngx_async_db_begin(ngx_async_db_t *db, ngx_err_t *err)
{
    int                  rc;
    ngx_uint_t           tries;
    ngx_async_db_txn_t  *txn;

    txn = &db->txn;
    ngx_memzero(txn, sizeof(ngx_async_db_txn_t));
    txn->db = db;

    rc = MDB_PANIC;

    for (tries = 0; tries < 3; tries++) {

        (void) pthread_rwlock_rdlock(&db->lock);

        rc = db->env ? mdb_txn_begin(db->env, NULL, 0, &txn->mdb) : MDB_PANIC;

        if (rc == MDB_SUCCESS) {
            txn->id = mdb_txn_id(txn->mdb);
            db->serial++;
            db->gone_before = db->ngone;
            ngx_async_db_extend(db);

            return txn;
        }

        (void) pthread_rwlock_unlock(&db->lock);

        if (ngx_async_db_mend(db, rc) != NGX_OK) {
            break;
        }
    }

    *err = ngx_async_db_errno(rc);

    return NULL;
}


ngx_int_t
ngx_async_db_write(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    ngx_int_t  rc;

    if (op->buf.data) {

        /* of an earlier run, in a batch that was spoilt */

        free(op->buf.data);
        ngx_str_null(&op->buf);
    }

    ngx_str_null(&op->blob);
    op->full = NGX_ASYNC_FULL_NONE;
    op->claimed = 0;
    op->more = 0;
    op->was_running = 0;
    op->err = 0;
    txn->err = 0;

    rc = ngx_async_db_ops[op->type](txn, op);

    if (rc == NGX_AGAIN) {

        /* what the operation gets if there is nobody to make room for it */

        op->rc = NGX_BUSY;
        op->full = txn->full;

        return NGX_AGAIN;
    }

    op->rc = rc;

    if (rc == NGX_ERROR) {
        op->err = txn->err;
    }

    return rc;
}


ngx_int_t
ngx_async_db_commit(ngx_async_db_txn_t *txn, ngx_err_t *err)
{
    int                  rc;
    ngx_int_t            ok;
    ngx_async_db_t      *db;
    ngx_async_db_row_t  *row;

    db = txn->db;

    ok = ngx_async_db_per_save(txn);

    if (ok == NGX_OK) {
        ok = ngx_async_db_rows_save(txn);
    }

    if (ok != NGX_OK) {
        *err = txn->err;
        ngx_async_db_abort(txn);
        return ok;
    }

    db->used = (ngx_atomic_t) ngx_async_db_used(txn);
    db->size_used_of = (ngx_atomic_t) db->map_size;

    rc = mdb_txn_commit(txn->mdb);

    if (rc == EIO && ngx_async_db_disk_full(db)) {

        /* LMDB's word for a write of which only a part was done */

        rc = ENOSPC;
    }

    if (rc != MDB_SUCCESS) {
        ngx_async_db_done(txn);

        db->ngone = db->gone_before;
        ok = ngx_async_db_fail(txn, rc);
        *err = txn->err;
        return ok;
    }

    /*
     * The pages are on the disk, the root that leads to them may be not: it
     * is synced here, where the next writer has the lock already.
     */

    ok = ngx_async_db_settle(txn);
    *err = txn->err;

    ngx_async_db_done(txn);

    if (ok != NGX_OK) {
        return NGX_ABORT;
    }

    for (row = db->rows; row; row = row->next) {
        if (row->serial == db->serial && row->dirty) {
            row->dirty = 0;
            row->changed = 1;
            row->txnid = txn->id;
        }
    }

    return NGX_OK;
}


/*
 * Sees that what the transaction did, or a reader sees, is on the disk.  A
 * transaction without changes has the id that the next one gets.
 */

static ngx_int_t
ngx_async_db_settle(ngx_async_db_txn_t *txn)
{
    int              rc;
    uint64_t         id, known;
    MDB_envinfo      info;
    ngx_async_db_t  *db;

    db = txn->db;
    known = __atomic_load_n(db->durable, __ATOMIC_ACQUIRE);

    if (txn->id <= known) {
        return NGX_OK;
    }

    (void) mdb_env_info(db->env, &info);
    id = info.me_last_txnid;

    if (id <= known) {
        return NGX_OK;
    }

    rc = mdb_env_sync(db->env, 1);

    if (rc != MDB_SUCCESS) {
        (void) ngx_async_db_fail(txn, rc);
        return NGX_ERROR;
    }

    while (known < id
           && !__atomic_compare_exchange_n(db->durable, &known, id, 0,
                                           __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    { /* void */ }

    return NGX_OK;
}


void
ngx_async_db_share(ngx_async_db_t *db, uint64_t *durable)
{
    db->durable = durable;
}


void
ngx_async_db_abort(ngx_async_db_txn_t *txn)
{
    mdb_txn_abort(txn->mdb);

    txn->db->ngone = txn->db->gone_before;

    ngx_async_db_done(txn);
}


static void
ngx_async_db_done(ngx_async_db_txn_t *txn)
{
    /* LMDB has freed the cursors */

    ngx_memzero(txn->cursors, sizeof(txn->cursors));
    txn->mdb = NULL;

    (void) pthread_rwlock_unlock(&txn->db->lock);
}


ngx_int_t
ngx_async_db_reader(ngx_async_db_t *db, ngx_async_db_txn_t *txn)
{
    int         rc, dead;
    ngx_uint_t  tries;

    ngx_memzero(txn, sizeof(ngx_async_db_txn_t));
    txn->db = db;

    rc = MDB_PANIC;

    for (tries = 0; tries < 3; tries++) {

        (void) pthread_rwlock_rdlock(&db->lock);

        txn->mdb = ngx_async_db_idle_reader(db, &rc);

        if (txn->mdb) {
            txn->id = mdb_txn_id(txn->mdb);

            /* nobody is told what a crash could undo */

            if (ngx_async_db_settle(txn) == NGX_OK) {
                return NGX_OK;
            }

            ngx_async_db_reader_done(txn);
            return NGX_ERROR;
        }

        if (rc == MDB_READERS_FULL) {

            /* processes that were killed may have left theirs */

            rc = mdb_reader_check(db->env, &dead);

            (void) pthread_rwlock_unlock(&db->lock);

            if (rc != MDB_SUCCESS || dead == 0) {
                rc = MDB_READERS_FULL;
                break;
            }

            continue;
        }

        (void) pthread_rwlock_unlock(&db->lock);

        if (ngx_async_db_mend(db, rc) != NGX_OK) {
            break;
        }
    }

    (void) ngx_async_db_fail(txn, rc);

    return NGX_ERROR;
}


static MDB_txn *
ngx_async_db_idle_reader(ngx_async_db_t *db, int *rc)
{
    MDB_txn  *mdb;

    if (db->env == NULL) {
        *rc = MDB_PANIC;
        return NULL;
    }

    (void) pthread_mutex_lock(&db->mutex);

    mdb = db->nidle ? db->idle[--db->nidle] : NULL;

    (void) pthread_mutex_unlock(&db->mutex);

    if (mdb == NULL) {
        *rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &mdb);
        return *rc == MDB_SUCCESS ? mdb : NULL;
    }

    *rc = mdb_txn_renew(mdb);

    if (*rc != MDB_SUCCESS) {
        mdb_txn_abort(mdb);
        return NULL;
    }

    return mdb;
}


void
ngx_async_db_reader_done(ngx_async_db_txn_t *txn)
{
    ngx_uint_t       i;
    ngx_async_db_t  *db;

    db = txn->db;

    for (i = 0; i < NGX_ASYNC_DB_TABLES; i++) {
        if (txn->cursors[i]) {
            mdb_cursor_close(txn->cursors[i]);
        }
    }

    mdb_txn_reset(txn->mdb);

    (void) pthread_mutex_lock(&db->mutex);

    if (db->nidle < NGX_ASYNC_DB_IDLE_READERS) {
        db->idle[db->nidle++] = txn->mdb;
        txn->mdb = NULL;
    }

    (void) pthread_mutex_unlock(&db->mutex);

    if (txn->mdb) {
        mdb_txn_abort(txn->mdb);
    }

    (void) pthread_rwlock_unlock(&db->lock);
}


void
ngx_async_db_changed_queues(ngx_async_db_t *db, ngx_uint_t all,
    ngx_async_db_queue_pt handler, void *data)
{
    MDB_val              key, val;
    ngx_str_t            name;
    ngx_int_t            rc;
    MDB_cursor          *cursor;
    ngx_async_db_row_t  *row, stored;
    ngx_async_db_txn_t   txn;

    for (row = db->rows; row; row = row->next) {
        if (row->changed) {
            row->changed = 0;

            if (!all) {
                handler(data, &row->name, ngx_async_db_row_ready(row),
                        ngx_async_db_row_waiting(row),
                        row->paused_until != 0, row->txnid);
            }
        }
    }

    if (!all || ngx_async_db_reader(db, &txn) != NGX_OK) {
        return;
    }

    cursor = ngx_async_db_cursor(&txn, NGX_ASYNC_DB_QUEUES, &rc);

    while (rc == NGX_OK) {
        rc = ngx_async_db_seek(&txn, cursor, &key, &val, MDB_NEXT);

        if (rc == NGX_OK && ngx_async_db_row_decode(&stored, &val) == NGX_OK) {
            name.data = key.mv_data;
            name.len = key.mv_size;

            handler(data, &name, ngx_async_db_row_ready(&stored),
                    ngx_async_db_row_waiting(&stored),
                    stored.paused_until != 0, txn.id);
        }
    }

    ngx_async_db_reader_done(&txn);
}


ngx_int_t
ngx_async_db_check_readers(ngx_async_db_t *db)
{
    int  dead;

    dead = 0;

    (void) pthread_rwlock_rdlock(&db->lock);

    if (db->env && mdb_reader_check(db->env, &dead) != MDB_SUCCESS) {
        dead = 0;
    }

    (void) pthread_rwlock_unlock(&db->lock);

    return dead;
}


void
ngx_async_db_usage(ngx_async_db_t *db, uint64_t *used, uint64_t *size)
{
    ngx_async_db_txn_t  txn;

    if (db->size_used_of == 0 && ngx_async_db_reader(db, &txn) == NGX_OK) {

        /* no batch yet */

        *used = ngx_async_db_used(&txn);
        *size = db->size;

        ngx_async_db_reader_done(&txn);
        return;
    }

    *used = db->used;
    *size = db->size_used_of;
}
