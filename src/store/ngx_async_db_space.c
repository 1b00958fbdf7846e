
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"
#include <sys/stat.h>
#include <sys/statvfs.h>


/*
 * Completions of accepted jobs must fit when nothing else does.  Hence a
 * reserve that new jobs and pieces may not touch, of pages in the map and of
 * blocks on the disk: the file is allocated ahead of its use.
 *
 * The bytes of blobs in files count as if they were in the map, so that the
 * map is never the one that is short.
 *
 * Pages that a transaction has freed can be used again two transactions
 * later, and every change copies the pages on its path: the reserve also
 * covers these.
 */

#define NGX_ASYNC_DB_RESERVE       (1024 * 1024)
#define NGX_ASYNC_DB_RESERVE_DISK  (16 * 1024 * 1024)

/* pages by which the file's size is ahead of its use; a batch is smaller */
#define NGX_ASYNC_DB_AHEAD         16384

/* pages that a new job or piece may take besides its bytes */
#define NGX_ASYNC_DB_EXTRA         2

/* of LMDB itself: the table of free pages, and that of the tables' names */
#define NGX_ASYNC_DB_OWN_TABLES    2
#define NGX_ASYNC_DB_OWN_PAGES     2


static ngx_int_t ngx_async_db_disk(ngx_async_db_t *db, uint64_t ahead,
    uint64_t need, uint64_t reserve);
static uint64_t ngx_async_db_pages(ngx_async_db_txn_t *txn, MDB_dbi dbi);
static uint64_t ngx_async_db_reserve(ngx_async_db_t *db);
static uint64_t ngx_async_db_spare_map(ngx_async_db_txn_t *txn);
static uint64_t ngx_async_db_file_pages(ngx_async_db_txn_t *txn);


uint64_t
ngx_async_db_live(ngx_async_db_txn_t *txn)
{
    uint64_t    live;
    ngx_uint_t  i;

    live = NGX_ASYNC_DB_OWN_PAGES;

    for (i = 0; i < NGX_ASYNC_DB_OWN_TABLES; i++) {
        live += ngx_async_db_pages(txn, (MDB_dbi) i);
    }

    for (i = 0; i < NGX_ASYNC_DB_TABLES; i++) {
        live += ngx_async_db_pages(txn, txn->db->dbi[i]);
    }

    return live;
}


static uint64_t
ngx_async_db_pages(ngx_async_db_txn_t *txn, MDB_dbi dbi)
{
    MDB_stat  st;

    if (mdb_stat(txn->mdb, dbi, &st) != MDB_SUCCESS) {
        return 0;
    }

    return (uint64_t) st.ms_branch_pages + st.ms_leaf_pages
           + st.ms_overflow_pages;
}


static uint64_t
ngx_async_db_file_pages(ngx_async_db_txn_t *txn)
{
    size_t  size;

    size = txn->db->page_size;

    return (ngx_async_db_files(txn) + size - 1) / size;
}


uint64_t
ngx_async_db_used(ngx_async_db_txn_t *txn)
{
    return (ngx_async_db_live(txn) + ngx_async_db_file_pages(txn))
           * txn->db->page_size;
}


/*
 * The file is kept longer than the last page that is used (the rest of it is
 * a hole), so that a file that has lost its end can be told from a whole one.
 */

void
ngx_async_db_extend(ngx_async_db_t *db)
{
    uint64_t      size;
    MDB_stat      env;
    MDB_envinfo   info;
    struct stat   st;
    mdb_filehandle_t  fd;

    (void) mdb_env_info(db->env, &info);
    (void) mdb_env_stat(db->env, &env);

    db->page_size = env.ms_psize;
    db->map_size = info.me_mapsize;
    db->next_page = (uint64_t) info.me_last_pgno + 1;

    size = ngx_min((db->next_page + NGX_ASYNC_DB_AHEAD) * db->page_size,
                   db->map_size);

    if (db->file_size >= size) {
        return;
    }

    (void) mdb_env_get_fd(db->env, &fd);

    if (fstat(fd, &st) == -1) {
        return;
    }

    db->file_size = (uint64_t) st.st_size;

    if (db->file_size >= size) {
        return;
    }

    size = ngx_min(size + NGX_ASYNC_DB_AHEAD * db->page_size, db->map_size);

    if (ftruncate(fd, (off_t) size) == 0) {
        db->file_size = size;
    }
}


ngx_int_t
ngx_async_db_room(ngx_async_db_txn_t *txn, ngx_async_op_t *op, size_t bytes,
    uint64_t file)
{
    uint64_t         pages, reserve, all;
    ngx_async_db_t  *db;

    db = txn->db;

    pages = (bytes + db->page_size - 1) / db->page_size + NGX_ASYNC_DB_EXTRA;
    file = (file + db->page_size - 1) / db->page_size;
    all = db->map_size / db->page_size;

    reserve = ngx_async_db_reserve(db);

    /* what earlier operations took is estimated until it seems too much */

    if (txn->live == 0
        || txn->live + txn->files + pages + file + reserve > all)
    {
        txn->live = ngx_async_db_live(txn);
        txn->files = ngx_async_db_file_pages(txn);

        if (txn->live + txn->files + pages + file + reserve > all) {
            op->full = NGX_ASYNC_FULL_STORE;
            return NGX_BUSY;
        }
    }

    reserve = ngx_min(reserve, NGX_ASYNC_DB_RESERVE_DISK / db->page_size);

    if (ngx_async_db_disk(db, txn->taken + pages + reserve,
                          txn->live + pages + reserve, reserve)
        != NGX_OK)
    {
        op->full = NGX_ASYNC_FULL_DISK;
        return NGX_BUSY;
    }

    txn->live += pages;
    txn->files += file;
    txn->taken += pages;

    return NGX_OK;
}


/*
 * LMDB opens a map that is large enough for what is in it, whatever it is
 * told: new jobs wait until that has become less.  Those that were accepted
 * go on as in the larger store.
 */

ngx_uint_t
ngx_async_db_shrinks(ngx_async_db_txn_t *txn)
{
    return txn->db->map_size > txn->db->size
           && ngx_async_db_used(txn) > txn->db->size;
}


uint64_t
ngx_async_db_to_end(uint64_t size)
{
    return ngx_min(ngx_max(size / 64, NGX_ASYNC_DB_RESERVE), size / 4);
}


static uint64_t
ngx_async_db_reserve(ngx_async_db_t *db)
{
    return ngx_async_db_to_end(db->map_size) / db->page_size;
}


/*
 * Ends of jobs need half of the reserve, the other half is for what helps: so
 * many pages, or what there are of them in the map and on the disk.
 */

uint64_t
ngx_async_db_spare(ngx_async_db_txn_t *txn, uint64_t pages)
{
    uint64_t         live, reserve, all, taken;
    ngx_async_db_t  *db;

    db = txn->db;

    live = ngx_async_db_live(txn);
    pages = ngx_min(pages, ngx_async_db_spare_map(txn));

    reserve = ngx_min(ngx_async_db_reserve(db),
                      NGX_ASYNC_DB_RESERVE_DISK / db->page_size);

    if (ngx_async_db_disk(db, txn->taken + pages + reserve,
                          live + pages + reserve, reserve)
        == NGX_OK)
    {
        return pages;
    }

    all = db->allocated / db->page_size;
    taken = live + reserve / 2;

    return taken < all ? ngx_min(pages, all - taken) : 0;
}


static uint64_t
ngx_async_db_spare_map(ngx_async_db_txn_t *txn)
{
    uint64_t         all, taken;
    ngx_async_db_t  *db;

    db = txn->db;

    all = db->map_size / db->page_size;
    taken = ngx_async_db_live(txn) + ngx_async_db_reserve(db) / 2;

    return taken < all ? all - taken : 0;
}


/*
 * NGX_OK, or NGX_AGAIN if a response of that many bytes would take what the
 * ends of other jobs need.  Small ones are part of that.
 */

ngx_int_t
ngx_async_db_response_room(ngx_async_db_txn_t *txn, size_t bytes)
{
    size_t    size;
    uint64_t  pages;

    size = txn->db->page_size;
    pages = (bytes + size - 1) / size;

    if (pages <= 1 || pages <= ngx_async_db_spare_map(txn)) {
        return NGX_OK;
    }

    return ngx_async_db_fail(txn, MDB_MAP_FULL);
}


/*
 * Sees that the file has blocks for so many pages "ahead" of its use.  On a
 * full disk it will do if there are blocks for all the pages that are needed:
 * the others of them are free ones in the middle of the file.
 */

static ngx_int_t
ngx_async_db_disk(ngx_async_db_t *db, uint64_t ahead, uint64_t need,
    uint64_t reserve)
{
    uint64_t          from, want;
    struct stat       st;
    mdb_filehandle_t  fd;

    from = db->next_page * db->page_size;
    want = (db->next_page + ahead) * db->page_size;
    want = ngx_min(want, db->map_size);

    if (want <= db->allocated || db->no_fallocate) {
        return NGX_OK;
    }

    (void) mdb_env_get_fd(db->env, &fd);

    if (fstat(fd, &st) == 0) {
        db->allocated = (uint64_t) st.st_blocks * 512;

        if (want <= db->allocated) {
            return NGX_OK;
        }
    }

    /* as much again as the reserve, to be here rarely */

    want = ngx_min(want + reserve * db->page_size, db->map_size);

    if (fallocate(fd, 0, (off_t) from, (off_t) (want - from)) == 0) {
        db->allocated = want;
        db->file_size = ngx_max(db->file_size, want);
        return NGX_OK;
    }

    if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG) {

        /* not supported: the commit will tell */

        db->no_fallocate = 1;
        return NGX_OK;
    }

    return need * db->page_size <= db->allocated ? NGX_OK : NGX_BUSY;
}


ngx_uint_t
ngx_async_db_disk_full(ngx_async_db_t *db)
{
    struct statvfs    st;
    mdb_filehandle_t  fd;

    (void) mdb_env_get_fd(db->env, &fd);

    return fstatvfs(fd, &st) == 0
           && (uint64_t) st.f_bavail * st.f_frsize < NGX_ASYNC_DB_RESERVE;
}
