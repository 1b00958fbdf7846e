
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"
#include <dirent.h>


/* the data file as LMDB 0.9 writes it: two pages that begin like this */

#define NGX_ASYNC_DB_MAGIC      0xBEEFC0DE
#define NGX_ASYNC_DB_META_PAGE  0x08

typedef struct {
    size_t          number;
    uint16_t        pad;
    uint16_t        flags;
    uint32_t        bounds;

    uint32_t        magic;
    uint32_t        version;
    void           *address;
    size_t          map_size;

    struct {
        uint32_t    pad;                    /* of the first: the page size */
        uint16_t    flags;
        uint16_t    depth;
        size_t      branch_pages;
        size_t      leaf_pages;
        size_t      overflow_pages;
        size_t      entries;
        size_t      root;
    } tables[2];                            /* free pages, names of tables */

    size_t          last_page;
    size_t          txnid;
} ngx_async_db_header_t;


static ngx_int_t ngx_async_db_look_around(ngx_async_db_t *db, int dir);
static ngx_int_t ngx_async_db_look_inside(ngx_async_db_t *db, int fd,
    uint64_t size);
static ngx_int_t ngx_async_db_header(int fd, off_t offset,
    ngx_async_db_header_t *header);
static ngx_uint_t ngx_async_db_locked(int dir);
static ngx_int_t ngx_async_db_probe(ngx_async_db_t *db);


ngx_int_t
ngx_async_db_look(ngx_async_db_t *db, int dir)
{
    int          fd;
    ngx_int_t    rc;
    struct stat  st;

    fd = openat(dir, "data.mdb", O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        if (errno != ENOENT) {
            return ngx_async_db_refuse(db, "cannot open data.mdb: %s",
                                       strerror(errno));
        }

        return ngx_async_db_look_around(db, dir);
    }

    if (fstat(fd, &st) == -1) {
        rc = ngx_async_db_refuse(db, "cannot stat data.mdb: %s",
                                 strerror(errno));

    } else if (!S_ISREG(st.st_mode)) {
        rc = ngx_async_db_refuse(db, "data.mdb is not a regular file");

    } else if (st.st_size == 0) {

        /* a first start that did not get far */

        rc = ngx_async_db_look_around(db, dir);

    } else {
        rc = ngx_async_db_look_inside(db, fd, (uint64_t) st.st_size);
    }

    (void) close(fd);

    /*
     * LMDB writes to the lock file when it opens an environment, so that a
     * foreign one is recognized by other means, unless it is in use: then it
     * was recognized by its user, and cannot be read without locks.
     */

    if (rc == NGX_ASYNC_DB_USED && !ngx_async_db_locked(dir)) {
        rc = ngx_async_db_probe(db);
    }

    return rc;
}


static ngx_int_t
ngx_async_db_look_around(ngx_async_db_t *db, int dir)
{
    int             fd;
    DIR            *dp;
    ngx_int_t       rc;
    struct dirent  *de;

    fd = openat(dir, ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    dp = (fd == -1) ? NULL : fdopendir(fd);

    if (dp == NULL) {
        rc = ngx_async_db_refuse(db, "cannot read the directory: %s",
                                 strerror(errno));
        if (fd != -1) {
            (void) close(fd);
        }

        return rc;
    }

    rc = NGX_ASYNC_DB_EMPTY;

    while ((de = readdir(dp)) != NULL) {

        /* files of the store's other parts, or of the filesystem */

        if (strcmp(de->d_name, ".") == 0
            || strcmp(de->d_name, "..") == 0
            || strcmp(de->d_name, "data.mdb") == 0
            || strcmp(de->d_name, "lock.mdb") == 0
            || strcmp(de->d_name, "lost+found") == 0
            || strcmp(de->d_name, NGX_ASYNC_BLOB_DIR) == 0
            || strncmp(de->d_name, "shared.", 7) == 0
            || strncmp(de->d_name, "n.", 2) == 0)
        {
            continue;
        }

        rc = ngx_async_db_refuse(db, "the directory is not empty and holds no "
                                 "store (there is \"%s\"); give the store a "
                                 "directory of its own", de->d_name);
        break;
    }

    (void) closedir(dp);

    return rc;
}


static ngx_int_t
ngx_async_db_look_inside(ngx_async_db_t *db, int fd, uint64_t size)
{
    ngx_async_db_header_t  first, second, *newest;

    if (ngx_async_db_header(fd, 0, &first) != NGX_OK) {
        return ngx_async_db_refuse(db, "data.mdb is damaged or not an LMDB "
                                   "file; restore it, or move it away to "
                                   "start with an empty store");
    }

    if (first.version != 1) {
        return ngx_async_db_refuse(db, "data.mdb has LMDB's format %u, which "
                                   "this LMDB cannot read; use the version "
                                   "that wrote it", (unsigned) first.version);
    }

    db->page_size = first.tables[0].pad;

    if (db->page_size < 512 || db->page_size > 65536
        || ngx_async_db_header(fd, (off_t) db->page_size, &second) != NGX_OK)
    {
        return ngx_async_db_refuse(db, "data.mdb is damaged; restore it, or "
                                   "move it away to start with an empty "
                                   "store");
    }

    newest = (second.txnid > first.txnid) ? &second : &first;

    if (size / db->page_size <= newest->last_page) {
        return ngx_async_db_refuse(db, "data.mdb is damaged: it has %llu "
                                   "pages and should have %llu; restore it, "
                                   "or move it away to start with an empty "
                                   "store",
                                   (unsigned long long) size / db->page_size,
                                   (unsigned long long) newest->last_page + 1);
    }

    /* nothing in it yet: a first start that did not get to its commit */

    return newest->tables[1].entries ? NGX_ASYNC_DB_USED : NGX_ASYNC_DB_EMPTY;
}


static ngx_int_t
ngx_async_db_header(int fd, off_t offset, ngx_async_db_header_t *header)
{
    if (pread(fd, header, sizeof(ngx_async_db_header_t), offset)
        != (ssize_t) sizeof(ngx_async_db_header_t))
    {
        return NGX_ERROR;
    }

    if ((header->flags & NGX_ASYNC_DB_META_PAGE) == 0
        || header->magic != NGX_ASYNC_DB_MAGIC)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Whether another process has the environment open.  This process has not:
 * closing the descriptor would drop its locks on the file.
 */

static ngx_uint_t
ngx_async_db_locked(int dir)
{
    int           fd;
    ngx_uint_t    locked;
    struct flock  fl;

    fd = openat(dir, "lock.mdb", O_RDWR|O_CLOEXEC);
    if (fd == -1) {
        return 0;
    }

    ngx_memzero(&fl, sizeof(struct flock));
    fl.l_type = F_WRLCK;
    fl.l_whence = SEEK_SET;
    fl.l_len = 1;

    locked = (fcntl(fd, F_GETLK, &fl) == 0 && fl.l_type != F_UNLCK);

    (void) close(fd);

    return locked;
}


static ngx_int_t
ngx_async_db_probe(ngx_async_db_t *db)
{
    int         rc;
    MDB_env    *env;
    MDB_txn    *mdb;
    MDB_dbi     dbi;
    ngx_int_t   found;

    if (ngx_async_db_env(db, &env, MDB_RDONLY|MDB_NOLOCK) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &mdb);

    if (rc != MDB_SUCCESS) {
        mdb_env_close(env);
        return ngx_async_db_refuse(db, "cannot read data.mdb: %s",
                                   mdb_strerror(rc));
    }

    rc = mdb_dbi_open(mdb, ngx_async_db_names[NGX_ASYNC_DB_META], 0, &dbi);

    if (rc == MDB_SUCCESS) {
        found = ngx_async_db_format(db, mdb, dbi);

    } else {
        found = ngx_async_db_refuse(db, "data.mdb is an LMDB environment of "
                                    "something else; give the store a "
                                    "directory of its own");
    }

    mdb_txn_abort(mdb);
    mdb_env_close(env);

    return found == NGX_OK ? NGX_ASYNC_DB_USED : NGX_ERROR;
}
