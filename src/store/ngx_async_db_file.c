
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"
#include <sys/stat.h>


/*
 * Blobs in files.  The entry that names a file is committed before the file
 * is created, and a name is never used again: a file without an entry is
 * nobody's, whenever one looks.
 */

#define NGX_ASYNC_DB_FILE_N    UINT32_MAX   /* behind all pieces */
#define NGX_ASYNC_DB_FILE_LEN  (8 + 8)      /* nonce, bytes */

#define NGX_ASYNC_DB_GONE      16           /* names, at first */

static const char  ngx_async_db_files_key[] = "files";


static u_char *ngx_async_db_file_key(u_char *p, const ngx_async_id_t *id,
    ngx_uint_t part);
static ngx_int_t ngx_async_db_file_put(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, uint64_t from, uint64_t to);
static ngx_int_t ngx_async_db_files_move(ngx_async_db_txn_t *txn,
    uint64_t from, uint64_t to);
static ngx_int_t ngx_async_db_file_path(ngx_async_db_t *db,
    ngx_async_blob_t *blob, char *path, size_t size);


u_char *
ngx_async_db_file_name(u_char *p, const ngx_async_blob_t *blob)
{
    p = ngx_async_id_format(p, &blob->id);

    return p + sprintf((char *) p, ".%c.%016llx",
                       blob->part == NGX_ASYNC_REQUEST ? 'q' : 'a',
                       (unsigned long long) blob->nonce);
}


ngx_int_t
ngx_async_db_file_parse(ngx_async_blob_t *blob, const u_char *name)
{
    int                 end;
    char                part;
    size_t              len;
    u_char              again[NGX_ASYNC_BLOB_NAME_LEN + 1];
    unsigned long long  nonce;

    len = strlen((char *) name);

    if (len != NGX_ASYNC_BLOB_NAME_LEN
        || ngx_async_id_parse(&blob->id, name, NGX_ASYNC_ID_TEXT_LEN)
           != NGX_OK
        || sscanf((char *) name + NGX_ASYNC_ID_TEXT_LEN, ".%c.%16llx%n",
                  &part, &nonce, &end)
           != 2)
    {
        return NGX_ERROR;
    }

    blob->part = (part == 'q') ? NGX_ASYNC_REQUEST : NGX_ASYNC_RESPONSE;
    blob->nonce = nonce;

    /* nothing but what is written here */

    (void) ngx_async_db_file_name(again, blob);

    return ngx_memcmp(again, name, len) == 0 ? NGX_OK : NGX_ERROR;
}


static u_char *
ngx_async_db_file_key(u_char *p, const ngx_async_id_t *id, ngx_uint_t part)
{
    p = ngx_cpymem(p, id->bytes, NGX_ASYNC_ID_LEN);
    *p++ = (u_char) part;

    return ngx_async_db_u32(p, NGX_ASYNC_DB_FILE_N);
}


ngx_int_t
ngx_async_db_file_get(ngx_async_db_txn_t *txn, const ngx_async_id_t *id,
    ngx_uint_t part, uint64_t *nonce, uint64_t *size)
{
    u_char     key[NGX_ASYNC_DB_PIECE_LEN];
    MDB_val    val;
    ngx_int_t  rc;

    ngx_async_db_file_key(key, id, part);

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_JOBS, key, sizeof(key), &val);

    if (rc != NGX_OK) {
        return rc;
    }

    if (val.mv_size != NGX_ASYNC_DB_FILE_LEN) {
        return ngx_async_db_corrupt(txn);
    }

    *nonce = ngx_async_db_read_u64(val.mv_data);
    *size = ngx_async_db_read_u64((u_char *) val.mv_data + 8);

    return NGX_OK;
}


static ngx_int_t
ngx_async_db_file_put(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    uint64_t from, uint64_t to)
{
    u_char     key[NGX_ASYNC_DB_PIECE_LEN], entry[NGX_ASYNC_DB_FILE_LEN];
    ngx_int_t  rc;

    ngx_async_db_file_key(key, &op->id, op->part);
    ngx_async_db_u64(ngx_async_db_u64(entry, op->nonce), to);

    rc = ngx_async_db_put(txn, NGX_ASYNC_DB_JOBS, key, sizeof(key), entry,
                          sizeof(entry));

    return rc == NGX_OK ? ngx_async_db_files_move(txn, from, to) : rc;
}


ngx_int_t
ngx_async_db_file_reserve(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    u_char     kind;
    uint64_t   nonce, size;
    ngx_int_t  rc;

    rc = ngx_async_db_writable(txn, op, &kind);

    if (rc != NGX_OK) {
        return rc;
    }

    size = 0;

    if (op->offset) {
        rc = ngx_async_db_file_get(txn, &op->id, op->part, &nonce, &size);

        if (rc == NGX_DECLINED || (rc == NGX_OK && nonce != op->nonce)) {
            return NGX_ABORT;
        }

        if (rc != NGX_OK || op->size <= size) {
            return rc;
        }
    }

    if (ngx_async_db_room(txn, op, 0, op->size - size) != NGX_OK) {
        return NGX_BUSY;
    }

    if (op->offset == 0) {

        /* what was there was dropped with its attempt, or is now */

        rc = ngx_async_db_drop_all(txn, &op->id, op->part);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_async_db_stage(txn, op, kind);

    return rc == NGX_OK ? ngx_async_db_file_put(txn, op, size, op->size) : rc;
}


/* the blob is whole and on the disk: its entry gets its true size */

ngx_int_t
ngx_async_db_file_seal(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    uint64_t   nonce, size;
    ngx_int_t  rc;

    rc = ngx_async_db_file_get(txn, &op->id, op->part, &nonce, &size);

    if (rc == NGX_DECLINED || (rc == NGX_OK && nonce != op->nonce)) {
        return ngx_async_db_corrupt(txn);
    }

    return rc == NGX_OK
           ? ngx_async_db_file_put(txn, op, size, op->offset + op->piece.len)
           : rc;
}


/* the number of bytes that all files together may have */

uint64_t
ngx_async_db_files(ngx_async_db_txn_t *txn)
{
    MDB_val  val;

    if (ngx_async_db_get(txn, NGX_ASYNC_DB_META, ngx_async_db_files_key,
                         sizeof(ngx_async_db_files_key) - 1, &val)
        != NGX_OK
        || val.mv_size != 8)
    {
        return 0;
    }

    return ngx_async_db_read_u64(val.mv_data);
}


static ngx_int_t
ngx_async_db_files_move(ngx_async_db_txn_t *txn, uint64_t from, uint64_t to)
{
    u_char    buf[8];
    uint64_t  sum;

    sum = ngx_async_db_files(txn) + to;
    sum = (sum > from) ? sum - from : 0;

    ngx_async_db_u64(buf, sum);

    return ngx_async_db_put(txn, NGX_ASYNC_DB_META, ngx_async_db_files_key,
                            sizeof(ngx_async_db_files_key) - 1, buf,
                            sizeof(buf));
}


/*
 * The cursor is at an entry that is about to be deleted: if it is that of a
 * file, remembers its name.  A name that is lost for want of memory is found
 * again by those who look for files of nobody.
 */

ngx_int_t
ngx_async_db_file_drop(ngx_async_db_txn_t *txn, MDB_cursor *cursor,
    const u_char *key)
{
    int                err;
    size_t             n;
    u_char            *p;
    MDB_val            k, val;
    ngx_async_db_t    *db;
    ngx_async_blob_t  *blob;

    if (ngx_async_db_read_u32(key + NGX_ASYNC_ID_LEN + 1)
        != NGX_ASYNC_DB_FILE_N)
    {
        return NGX_OK;
    }

    err = mdb_cursor_get(cursor, &k, &val, MDB_GET_CURRENT);

    if (err != MDB_SUCCESS) {
        return ngx_async_db_fail(txn, err);
    }

    if (val.mv_size != NGX_ASYNC_DB_FILE_LEN) {
        return ngx_async_db_corrupt(txn);
    }

    db = txn->db;

    if (db->ngone == db->gone_size) {
        n = db->gone_size ? 2 * db->gone_size : NGX_ASYNC_DB_GONE;

        p = realloc(db->gone, n * sizeof(ngx_async_blob_t));

        if (p) {
            db->gone = (ngx_async_blob_t *) p;
            db->gone_size = n;
        }
    }

    if (db->ngone < db->gone_size) {
        blob = &db->gone[db->ngone++];

        ngx_memcpy(blob->id.bytes, key, NGX_ASYNC_ID_LEN);
        blob->part = key[NGX_ASYNC_ID_LEN];
        blob->nonce = ngx_async_db_read_u64(val.mv_data);
    }

    return ngx_async_db_files_move(txn,
                        ngx_async_db_read_u64((u_char *) val.mv_data + 8), 0);
}


ngx_uint_t
ngx_async_db_gone(ngx_async_db_t *db, ngx_async_blob_t **blobs)
{
    ngx_uint_t  n;

    *blobs = db->gone;
    n = db->ngone;

    db->gone = NULL;
    db->ngone = 0;
    db->gone_size = 0;
    db->gone_before = 0;

    if (n == 0) {
        free(*blobs);
        *blobs = NULL;
    }

    return n;
}


/* leaves in the list what has no entry */

ngx_int_t
ngx_async_db_orphans(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    uint64_t              nonce, size;
    ngx_int_t             rc;
    ngx_uint_t            i, n;
    ngx_async_blob_t     *blob;
    ngx_async_orphans_t  *orphans;

    orphans = op->orphans;

    for (i = 0, n = 0; i < orphans->n; i++) {

        blob = &orphans->blobs[i];
        rc = ngx_async_db_file_get(txn, &blob->id, blob->part, &nonce, &size);

        if (rc == NGX_DECLINED || (rc == NGX_OK && nonce != blob->nonce)) {
            orphans->blobs[n++] = *blob;

        } else if (rc != NGX_OK) {
            return rc;
        }
    }

    orphans->n = n;

    return NGX_OK;
}


static ngx_int_t
ngx_async_db_file_path(ngx_async_db_t *db, ngx_async_blob_t *blob,
    char *path, size_t size)
{
    u_char  name[NGX_ASYNC_BLOB_NAME_LEN + 1];

    (void) ngx_async_db_file_name(name, blob);

    return snprintf(path, size, "%s/" NGX_ASYNC_BLOB_DIR "/%s", db->path,
                    name)
           < (int) size
           ? NGX_OK : NGX_ERROR;
}


/*
 * NGX_DECLINED: the blob is not in a file.  NGX_AGAIN: the file is not there,
 * which may be because the entry is not any more, either.
 */

ngx_int_t
ngx_async_db_file_open(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    uint64_t total, int *fd)
{
    char              path[PATH_MAX];
    uint64_t          size;
    ngx_int_t         rc;
    struct stat       st;
    ngx_async_blob_t  blob;

    /* most blobs are of one piece that is not full */

    if (total < NGX_ASYNC_PIECE) {
        return NGX_DECLINED;
    }

    blob.id = op->id;
    blob.part = op->part;

    rc = ngx_async_db_file_get(txn, &op->id, op->part, &blob.nonce, &size);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_async_db_file_path(txn->db, &blob, path, sizeof(path)) != NGX_OK) {
        txn->err = ENAMETOOLONG;
        return NGX_ERROR;
    }

    *fd = open(path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);

    if (*fd == -1) {
        txn->err = errno;
        return errno == ENOENT ? NGX_AGAIN : NGX_ERROR;
    }

    if (fstat(*fd, &st) == -1) {
        txn->err = errno;

    } else if (S_ISREG(st.st_mode) && (uint64_t) st.st_size == total) {
        return NGX_OK;

    } else {
        /* what is not the whole of it is not given out */
        txn->err = EUCLEAN;
    }

    (void) close(*fd);

    return NGX_ERROR;
}


ngx_int_t
ngx_async_db_file_read(ngx_async_db_txn_t *txn, int fd, u_char *p, size_t len,
    uint64_t offset)
{
    ssize_t  n;

    while (len) {
        n = pread(fd, p, len, (off_t) offset);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            txn->err = (n == -1) ? errno : EIO;
            return NGX_ERROR;
        }

        p += n;
        offset += n;
        len -= n;
    }

    return NGX_OK;
}
