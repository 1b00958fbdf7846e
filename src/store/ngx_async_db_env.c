
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"
#include "src/base/ngx_async_time.h"
#include <sys/file.h>


#define NGX_ASYNC_DB_FORMAT     "ngx_async"
#define NGX_ASYNC_DB_VERSION    4

#define NGX_ASYNC_DB_MIN_SIZE   (1024 * 1024)


static ngx_int_t ngx_async_db_start(ngx_async_db_t *db);
static int ngx_async_db_directory(ngx_async_db_t *db);
static ngx_int_t ngx_async_db_tables(ngx_async_db_t *db, ngx_uint_t create);
static int ngx_async_db_format_put(ngx_async_db_t *db, MDB_txn *mdb);
static void ngx_async_db_stop(ngx_async_db_t *db);


static char  ngx_async_db_no_memory[] = "no memory";
static char  ngx_async_db_why[512];

const char  *ngx_async_db_names[NGX_ASYNC_DB_TABLES] = {
    "meta", "jobs", "ready", "lines", "running", "due", "keys",
    "queues", "pers", "ranks"
};


ngx_async_db_t *
ngx_async_db_open(const char *path, size_t size, ngx_uint_t readers,
    const char **reason)
{
    ngx_async_db_t       *db;
    pthread_rwlockattr_t  attr;

    *reason = ngx_async_db_no_memory;

    db = calloc(1, sizeof(ngx_async_db_t));
    if (db == NULL) {
        return NULL;
    }

    db->path = strdup(path);
    if (db->path == NULL) {
        free(db);
        return NULL;
    }

    db->size = ngx_max(ngx_align(size, 65536), NGX_ASYNC_DB_MIN_SIZE);
    db->readers = readers;

    db->durable = &db->own_durable;
    db->steady = ngx_async_time_steady;
    db->boot = ngx_async_db_boot();

    (void) pthread_mutex_init(&db->mutex, NULL);

    /* readers follow each other closely: one that mends must not starve */

    (void) pthread_rwlockattr_init(&attr);
    (void) pthread_rwlockattr_setkind_np(&attr,
                                 PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void) pthread_rwlock_init(&db->lock, &attr);
    (void) pthread_rwlockattr_destroy(&attr);

    if (ngx_async_db_start(db) != NGX_OK) {
        ngx_memcpy(ngx_async_db_why, db->reason, sizeof(ngx_async_db_why));
        *reason = ngx_async_db_why;
        ngx_async_db_close(db);
        return NULL;
    }

    db->opened = 1;
    *reason = NULL;

    return db;
}


void
ngx_async_db_close(ngx_async_db_t *db)
{
    ngx_async_db_stop(db);
    ngx_async_db_rows_free(db);

    (void) pthread_rwlock_destroy(&db->lock);
    (void) pthread_mutex_destroy(&db->mutex);

    free(db->gone);
    free(db->record);
    free(db->path);
    free(db);
}


/*
 * Looking at the directory and opening the environment in it are one step
 * among processes that start together, under a lock on the directory itself,
 * which leaves no trace in it.
 */

static ngx_int_t
ngx_async_db_start(ngx_async_db_t *db)
{
    int         dir, dead;
    ngx_int_t   rc, found;

    dir = ngx_async_db_directory(db);

    if (dir == -1) {
        return NGX_ERROR;
    }

    found = ngx_async_db_look(db, dir);

    rc = NGX_ERROR;

    if (found == NGX_ASYNC_DB_EMPTY && db->opened) {

        /* jobs were in here: an empty store is not the answer to them */

        found = ngx_async_db_refuse(db, "data.mdb is gone");
    }

    if (found != NGX_ERROR) {
        rc = ngx_async_db_env(db, &db->env, MDB_NOTLS|MDB_NOMETASYNC);
    }

    if (rc == NGX_OK) {

        /* processes that were killed may have left no free reader */

        (void) mdb_reader_check(db->env, &dead);

        rc = ngx_async_db_tables(db, found == NGX_ASYNC_DB_EMPTY);
    }

    if (rc != NGX_OK) {
        ngx_async_db_stop(db);
    }

    (void) close(dir);

    return rc;
}


/* the descriptor of the locked directory; -1: refused */

static int
ngx_async_db_directory(ngx_async_db_t *db)
{
    int  dir;

    dir = open(db->path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (dir == -1) {
        (void) ngx_async_db_refuse(db, "cannot open the directory: %s",
                                   strerror(errno));
        return -1;
    }

    while (flock(dir, LOCK_EX) == -1) {
        if (errno != EINTR) {
            (void) ngx_async_db_refuse(db, "cannot lock the directory: %s",
                                       strerror(errno));
            (void) close(dir);
            return -1;
        }
    }

    return dir;
}


ngx_int_t
ngx_async_db_check(const char *path, const char **reason)
{
    int             dir;
    ngx_int_t       rc;
    struct stat     st;
    ngx_async_db_t  db;

    *reason = NULL;

    if (stat(path, &st) == -1 && errno == ENOENT) {
        return NGX_OK;
    }

    ngx_memzero(&db, sizeof(ngx_async_db_t));

    db.path = (char *) path;
    db.size = NGX_ASYNC_DB_MIN_SIZE;
    db.readers = 1;

    dir = ngx_async_db_directory(&db);

    if (dir == -1) {
        rc = NGX_ERROR;

    } else {
        rc = ngx_async_db_look(&db, dir);
        (void) close(dir);
    }

    if (rc == NGX_ERROR) {
        ngx_memcpy(ngx_async_db_why, db.reason, sizeof(ngx_async_db_why));
        *reason = ngx_async_db_why;
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_db_env(ngx_async_db_t *db, MDB_env **env, unsigned int flags)
{
    int          rc;
    size_t       size;
    MDB_stat     st;
    MDB_envinfo  info;

    rc = mdb_env_create(env);

    if (rc != MDB_SUCCESS) {
        *env = NULL;
        return ngx_async_db_refuse(db, "cannot create the environment: %s",
                                   mdb_strerror(rc));
    }

    if ((rc = mdb_env_set_mapsize(*env, db->size)) != MDB_SUCCESS
        || (rc = mdb_env_set_maxdbs(*env, NGX_ASYNC_DB_TABLES)) != MDB_SUCCESS
        || (rc = mdb_env_set_maxreaders(*env, db->readers)) != MDB_SUCCESS
        || (rc = mdb_env_open(*env, db->path, flags, 0600)) != MDB_SUCCESS)
    {
        mdb_env_close(*env);
        *env = NULL;

        return ngx_async_db_refuse(db, "cannot open the environment: %s",
                                   mdb_strerror(rc));
    }

    if (flags & MDB_RDONLY) {
        return NGX_OK;
    }

    /* the store was larger: what is in it needs room to end */

    (void) mdb_env_info(*env, &info);
    (void) mdb_env_stat(*env, &st);

    size = (info.me_last_pgno + 1) * st.ms_psize;

    if (size > db->size) {
        (void) mdb_env_set_mapsize(*env, size + ngx_async_db_to_end(size));
    }

    return NGX_OK;
}


/* opens the tables, or creates all of them in one transaction */

static ngx_int_t
ngx_async_db_tables(ngx_async_db_t *db, ngx_uint_t create)
{
    int         rc;
    MDB_txn    *mdb;
    ngx_int_t   ok;
    ngx_uint_t  i;

    rc = mdb_txn_begin(db->env, NULL, create ? 0 : MDB_RDONLY, &mdb);

    if (rc != MDB_SUCCESS) {
        return ngx_async_db_refuse(db, "cannot begin: %s", mdb_strerror(rc));
    }

    if (create) {
        ngx_async_db_extend(db);
    }

    for (i = 0; i < NGX_ASYNC_DB_TABLES; i++) {
        rc = mdb_dbi_open(mdb, ngx_async_db_names[i], create ? MDB_CREATE : 0,
                          &db->dbi[i]);
        if (rc != MDB_SUCCESS) {
            goto failed;
        }
    }

    if (create) {
        rc = ngx_async_db_format_put(db, mdb);

    } else {
        ok = ngx_async_db_format(db, mdb, db->dbi[NGX_ASYNC_DB_META]);

        if (ok != NGX_OK) {
            mdb_txn_abort(mdb);
            return ok;
        }
    }

    if (rc == MDB_SUCCESS) {
        rc = mdb_txn_commit(mdb);
        mdb = NULL;

        if (rc == MDB_SUCCESS && create) {
            rc = mdb_env_sync(db->env, 1);
        }
    }

    if (rc == MDB_SUCCESS) {
        return NGX_OK;
    }

failed:

    if (mdb) {
        mdb_txn_abort(mdb);
    }

    return ngx_async_db_refuse(db, "cannot %s the tables: %s",
                               create ? "create" : "open", mdb_strerror(rc));
}


static int
ngx_async_db_format_put(ngx_async_db_t *db, MDB_txn *mdb)
{
    u_char   version[4];
    MDB_val  key, val;

    key.mv_data = (void *) NGX_ASYNC_DB_FORMAT;
    key.mv_size = sizeof(NGX_ASYNC_DB_FORMAT) - 1;
    val.mv_data = version;
    val.mv_size = ngx_async_db_u32(version, NGX_ASYNC_DB_VERSION) - version;

    return mdb_put(mdb, db->dbi[NGX_ASYNC_DB_META], &key, &val, 0);
}


ngx_int_t
ngx_async_db_format(ngx_async_db_t *db, MDB_txn *mdb, MDB_dbi dbi)
{
    uint32_t  version;
    MDB_val   key, val;

    key.mv_data = (void *) NGX_ASYNC_DB_FORMAT;
    key.mv_size = sizeof(NGX_ASYNC_DB_FORMAT) - 1;

    if (mdb_get(mdb, dbi, &key, &val) != MDB_SUCCESS || val.mv_size != 4) {
        return ngx_async_db_refuse(db, "data.mdb is an LMDB environment of "
                                   "something else; give the store a "
                                   "directory of its own");
    }

    version = ngx_async_db_read_u32(val.mv_data);

    if (version != NGX_ASYNC_DB_VERSION) {
        return ngx_async_db_refuse(db, "the store has format %u, this module "
                                   "knows format %u; use the module that "
                                   "wrote it, or another directory",
                                   (unsigned) version, NGX_ASYNC_DB_VERSION);
    }

    return NGX_OK;
}


static void
ngx_async_db_stop(ngx_async_db_t *db)
{
    while (db->nidle) {
        mdb_txn_abort(db->idle[--db->nidle]);
    }

    if (db->env) {
        mdb_env_close(db->env);
        db->env = NULL;
    }

    db->file_size = 0;
    db->allocated = 0;
}


ngx_int_t
ngx_async_db_refuse(ngx_async_db_t *db, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(db->reason, sizeof(db->reason), fmt, args);
    va_end(args);

    return NGX_ERROR;
}


/*
 * Another process may have given the environment a larger map.  And after a
 * write to its first pages failed, LMDB refuses any further use of it: on
 * disk it is as it was before, so that it can be opened anew.  Never is it
 * created anew: what cannot be opened is left alone.
 */

ngx_int_t
ngx_async_db_mend(ngx_async_db_t *db, int err)
{
    ngx_int_t  rc;

    if (err != MDB_MAP_RESIZED && err != MDB_PANIC) {
        return NGX_ERROR;
    }

    (void) pthread_rwlock_wrlock(&db->lock);

    if (err == MDB_MAP_RESIZED && db->env) {
        rc = (mdb_env_set_mapsize(db->env, 0) == MDB_SUCCESS) ? NGX_OK
                                                              : NGX_ERROR;
    } else {
        ngx_async_db_stop(db);
        rc = ngx_async_db_start(db);
    }

    (void) pthread_rwlock_unlock(&db->lock);

    return rc;
}
