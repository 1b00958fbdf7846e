
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


/*
 * A queue is a row of "queues".  Rows are kept from one batch to the next,
 * read again by the first operation of a batch that needs them, and written
 * once, when it is committed.
 */

#define NGX_ASYNC_DB_ROW_FORMAT   2

#define NGX_ASYNC_DB_ROW_LEN      (2 + 4 + 4 + 8                              \
                                   + 16 * NGX_ASYNC_DB_URGENCIES              \
                                   + 6 * 8 + 4 + NGX_ASYNC_ID_LEN             \
                                   + 8 + 8 + 4 + NGX_ASYNC_DB_PLACE_LEN)

#define NGX_ASYNC_DB_ROW_PROBING    0x01
#define NGX_ASYNC_DB_ROW_HALF_OPEN  0x02
#define NGX_ASYNC_DB_ROW_FAIR       0x04
#define NGX_ASYNC_DB_ROW_FITTING    0x08
#define NGX_ASYNC_DB_ROW_LEVEL      4       /* shift */


static ngx_int_t ngx_async_db_row_read(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row);
static ngx_int_t ngx_async_db_row_new(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row);
static size_t ngx_async_db_row_encode(u_char *buf, ngx_async_db_row_t *row);


ngx_int_t
ngx_async_db_row(ngx_async_db_txn_t *txn, ngx_str_t *name,
    ngx_async_db_row_t **found)
{
    ngx_int_t            rc;
    ngx_async_db_t      *db;
    ngx_async_db_row_t  *row;

    db = txn->db;

    for (row = db->rows; row; row = row->next) {
        if (row->name.len == name->len
            && ngx_memcmp(row->name.data, name->data, name->len) == 0)
        {
            break;
        }
    }

    if (row == NULL) {
        if (name->len == 0 || name->len > NGX_ASYNC_DB_NAME_MAX) {
            txn->err = EINVAL;
            return NGX_ERROR;
        }

        row = calloc(1, sizeof(ngx_async_db_row_t) + name->len);
        if (row == NULL) {
            txn->err = ENOMEM;
            return NGX_ERROR;
        }

        row->name.len = name->len;
        row->name.data = (u_char *) (row + 1);
        ngx_memcpy(row->name.data, name->data, name->len);

        row->next = db->rows;
        db->rows = row;
    }

    if (row->serial != db->serial) {
        rc = ngx_async_db_row_read(txn, row);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    *found = row;

    return NGX_OK;
}


static ngx_int_t
ngx_async_db_row_read(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row)
{
    MDB_val    val;
    ngx_int_t  rc;

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_QUEUES, row->name.data,
                          row->name.len, &val);

    if (rc == NGX_OK) {
        if (ngx_async_db_row_decode(row, &val) != NGX_OK) {
            return ngx_async_db_corrupt(txn);
        }

    } else if (rc == NGX_DECLINED) {
        rc = ngx_async_db_row_new(txn, row);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    row->dirty = 0;
    row->serial = txn->db->serial;

    return NGX_OK;
}


/* numbers are never used again: entries of a queue cannot become another's */

static ngx_int_t
ngx_async_db_row_new(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row)
{
    u_char         buf[4];
    uint32_t       number;
    MDB_val        val;
    ngx_int_t      rc;
    static u_char  key[] = "queues";

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_META, key, sizeof(key) - 1, &val);

    if (rc == NGX_OK && val.mv_size == sizeof(buf)) {
        number = ngx_async_db_read_u32(val.mv_data) + 1;

    } else if (rc == NGX_DECLINED) {
        number = 1;

    } else {
        return rc == NGX_OK ? ngx_async_db_corrupt(txn) : rc;
    }

    ngx_async_db_u32(buf, number);

    ngx_memzero(&row->number, offsetof(ngx_async_db_row_t, serial)
                              - offsetof(ngx_async_db_row_t, number));
    row->number = number;

    return ngx_async_db_put(txn, NGX_ASYNC_DB_META, key, sizeof(key) - 1, buf,
                            sizeof(buf));
}


static size_t
ngx_async_db_row_encode(u_char *buf, ngx_async_db_row_t *row)
{
    u_char      *p;
    ngx_uint_t   i;

    p = buf;

    *p++ = NGX_ASYNC_DB_ROW_FORMAT;
    *p++ = (row->probing ? NGX_ASYNC_DB_ROW_PROBING : 0)
           | (row->half_open ? NGX_ASYNC_DB_ROW_HALF_OPEN : 0)
           | (row->fair ? NGX_ASYNC_DB_ROW_FAIR : 0)
           | (row->fitting ? NGX_ASYNC_DB_ROW_FITTING : 0)
           | (row->level << NGX_ASYNC_DB_ROW_LEVEL);

    p = ngx_async_db_u32(p, row->number);
    p = ngx_async_db_u32(p, row->claims);
    p = ngx_async_db_u64(p, row->seq);

    for (i = 0; i < NGX_ASYNC_DB_URGENCIES; i++) {
        p = ngx_async_db_u64(p, row->clock[i]);
        p = ngx_async_db_u64(p, row->ready[i]);
    }

    p = ngx_async_db_u64(p, row->parked);
    p = ngx_async_db_u64(p, row->delayed);
    p = ngx_async_db_u64(p, row->running);
    p = ngx_async_db_u64(p, row->per_concurrency);
    p = ngx_async_db_u64(p, row->paused_until);
    p = ngx_async_db_u64(p, row->pause_clock);
    p = ngx_async_db_u32(p, row->pause_boot);
    p = ngx_cpymem(p, row->probe.bytes, NGX_ASYNC_ID_LEN);

    p = ngx_async_db_u64(p, row->timeout);
    p = ngx_async_db_u64(p, row->since);
    p = ngx_async_db_u32(p, row->since_boot);
    p = ngx_cpymem(p, row->retimed, NGX_ASYNC_DB_PLACE_LEN);

    return p - buf;
}


ngx_int_t
ngx_async_db_row_decode(ngx_async_db_row_t *row, MDB_val *val)
{
    u_char      *p;
    ngx_uint_t   i;

    p = val->mv_data;

    if (val->mv_size != NGX_ASYNC_DB_ROW_LEN || *p++ != NGX_ASYNC_DB_ROW_FORMAT)
    {
        return NGX_ERROR;
    }

    row->probing = (*p & NGX_ASYNC_DB_ROW_PROBING) != 0;
    row->half_open = (*p & NGX_ASYNC_DB_ROW_HALF_OPEN) != 0;
    row->fair = (*p & NGX_ASYNC_DB_ROW_FAIR) != 0;
    row->fitting = (*p & NGX_ASYNC_DB_ROW_FITTING) != 0;
    row->level = (*p++ >> NGX_ASYNC_DB_ROW_LEVEL) & 0x07;

    row->number = ngx_async_db_read_u32(p);
    row->claims = ngx_async_db_read_u32(p + 4);
    row->seq = ngx_async_db_read_u64(p + 8);
    p += 16;

    for (i = 0; i < NGX_ASYNC_DB_URGENCIES; i++) {
        row->clock[i] = ngx_async_db_read_u64(p);
        row->ready[i] = ngx_async_db_read_u64(p + 8);
        p += 16;
    }

    row->parked = ngx_async_db_read_u64(p);
    row->delayed = ngx_async_db_read_u64(p + 8);
    row->running = ngx_async_db_read_u64(p + 16);
    row->per_concurrency = ngx_async_db_read_u64(p + 24);
    row->paused_until = ngx_async_db_read_u64(p + 32);
    row->pause_clock = ngx_async_db_read_u64(p + 40);
    row->pause_boot = ngx_async_db_read_u32(p + 48);
    ngx_memcpy(row->probe.bytes, p + 52, NGX_ASYNC_ID_LEN);
    p += 52 + NGX_ASYNC_ID_LEN;

    row->timeout = ngx_async_db_read_u64(p);
    row->since = ngx_async_db_read_u64(p + 8);
    row->since_boot = ngx_async_db_read_u32(p + 16);
    ngx_memcpy(row->retimed, p + 20, NGX_ASYNC_DB_PLACE_LEN);

    return NGX_OK;
}


ngx_int_t
ngx_async_db_rows_save(ngx_async_db_txn_t *txn)
{
    size_t               len;
    u_char               buf[NGX_ASYNC_DB_ROW_LEN];
    ngx_int_t            rc;
    ngx_async_db_row_t  *row;

    for (row = txn->db->rows; row; row = row->next) {

        if (row->serial != txn->db->serial || !row->dirty) {
            continue;
        }

        len = ngx_async_db_row_encode(buf, row);

        rc = ngx_async_db_put(txn, NGX_ASYNC_DB_QUEUES, row->name.data,
                              row->name.len, buf, len);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


void
ngx_async_db_rows_free(ngx_async_db_t *db)
{
    ngx_async_db_row_t  *row;

    while ((row = db->rows) != NULL) {
        db->rows = row->next;
        free(row);
    }
}


uint64_t
ngx_async_db_row_waiting(ngx_async_db_row_t *row)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = row->parked + row->delayed;

    for (i = 0; i < NGX_ASYNC_DB_URGENCIES; i++) {
        n += row->ready[i];
    }

    return n;
}


/* what can be claimed: of a queue that is paused nothing, then a probe */

uint64_t
ngx_async_db_row_ready(ngx_async_db_row_t *row)
{
    uint64_t  n;

    n = ngx_async_db_row_waiting(row) - row->parked - row->delayed;

    if (row->paused_until == 0) {
        return n;
    }

    return (row->half_open && !row->probing && n) ? 1 : 0;
}


ngx_uint_t
ngx_async_db_paused(ngx_async_db_row_t *row, uint64_t now)
{
    if (row->paused_until == 0) {
        return 0;
    }

    return row->probing || (!row->half_open && now < row->paused_until);
}
