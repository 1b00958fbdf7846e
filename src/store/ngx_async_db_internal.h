
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_DB_INTERNAL_H_INCLUDED_
#define _NGX_ASYNC_DB_INTERNAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <lmdb.h>
#include <pthread.h>
#include "src/store/ngx_async_db.h"


/*
 * What the files of the LMDB store share.  All keys are big-endian, so that
 * they sort by their fields:
 *
 *     meta     "ngx_async" -> version of the format; "queues" -> number of
 *              the last one; "clock" -> see db_clock.c; "files" -> bytes of
 *              blobs that are in files; "fitting", queue -> key of "pers" to
 *              go on from, see db_line.c
 *     jobs     id -> record; id, part, n -> piece n of a blob, often on the
 *              page that the record is on; id, part, 2^32 - 1 -> nonce and
 *              size of the file that holds the blob instead
 *     ready    queue, urgency, turn, seq -> id     may be claimed; at the
 *                                  levels above NGX_ASYNC_DB_SHADOW: is parked,
 *                                  and waits for others of its per value
 *     lines    queue, value, urgency, parked, turn, seq -> id, turn in "ready"
 *     running  runner, id -> kind of the entry, see below
 *     due      class, time, kind, id -> nothing; name of the queue for a
 *              pause, and for another timeout
 *     keys     hash -> id
 *     queues   name -> row
 *     pers     queue, value -> counts and turns of a per value
 *     ranks    queue, urgency, turn, seq -> number of ready entries from this
 *              one on and before the next row
 *
 * A waiting job is ready, parked or delayed; a delayed one (not_before is
 * set) has only an entry in due.
 *
 * Functions return NGX_OK, NGX_DECLINED (no such entry), NGX_AGAIN (the map or
 * the disk is full) or NGX_ERROR (txn->err is set); the last two spoil a
 * transaction.
 */

typedef enum {
    NGX_ASYNC_DB_META = 0,
    NGX_ASYNC_DB_JOBS,
    NGX_ASYNC_DB_READY,
    NGX_ASYNC_DB_LINES,
    NGX_ASYNC_DB_RUNNING,
    NGX_ASYNC_DB_DUE,
    NGX_ASYNC_DB_KEYS,
    NGX_ASYNC_DB_QUEUES,
    NGX_ASYNC_DB_PERS,
    NGX_ASYNC_DB_RANKS,
    NGX_ASYNC_DB_TABLES
} ngx_async_db_table_e;


/* what an entry of "running" says of the job */
#define NGX_ASYNC_DB_RUNS           'r'
#define NGX_ASYNC_DB_STAGED         's'


/*
 * What is due.  The things of the first class make something go on, those of
 * the second take something away; when the clock jumps, the former must not
 * wait for it, and the latter not be hastened by it.
 */

typedef enum {
    NGX_ASYNC_DUE_TRASH = 0,        /* pieces to be dropped, by part */
    NGX_ASYNC_DUE_TRASH_RESPONSE,
    NGX_ASYNC_DUE_START,            /* a delayed attempt */
    NGX_ASYNC_DUE_PAUSE,            /* the end of a queue's pause */
    NGX_ASYNC_DUE_CALLBACK,
    NGX_ASYNC_DUE_RETIME,           /* jobs that wait, by another timeout */
    NGX_ASYNC_DUE_DEADLINE,         /* the end of the wait in a queue */
    NGX_ASYNC_DUE_REQUEST,          /* the end of a kept request */
    NGX_ASYNC_DUE_EXPIRE
} ngx_async_due_e;

#define NGX_ASYNC_DB_AT_ONCE        1

#define ngx_async_db_due_class(kind)  ((kind) >= NGX_ASYNC_DUE_DEADLINE)


#define NGX_ASYNC_DB_URGENCIES      8
#define NGX_ASYNC_DB_SHADOW         0x80

/* queue, urgency, turn, seq */
#define NGX_ASYNC_DB_PLACE_LEN      (4 + 1 + 8 + 8)
#define NGX_ASYNC_DB_LEVEL_LEN      (4 + 1)

/* id, part, number */
#define NGX_ASYNC_DB_PIECE_LEN      (NGX_ASYNC_ID_LEN + 1 + 4)

/* runner, id */
#define NGX_ASYNC_DB_RUNNING_LEN    (NGX_ASYNC_RUNNER_LEN + NGX_ASYNC_ID_LEN)

/* class, time, kind, id */
#define NGX_ASYNC_DB_DUE_LEN        (1 + 8 + 1 + NGX_ASYNC_ID_LEN)

/* queue, length, value; longer values are cut and end with a hash */
#define NGX_ASYNC_DB_VALUE_MAX      254
#define NGX_ASYNC_DB_PER_MAX        (4 + 1 + NGX_ASYNC_DB_VALUE_MAX)

/* LMDB takes keys of up to 511 bytes */
#define NGX_ASYNC_DB_NAME_MAX       255


/*
 * With one of so many claims, one of the less urgent levels that wait is
 * served instead of the most urgent one, so that none waits forever.
 */

#define NGX_ASYNC_DB_FAIR_CLAIMS  16

typedef struct ngx_async_db_row_s  ngx_async_db_row_t;

struct ngx_async_db_row_s {
    ngx_str_t            name;
    uint32_t             number;
    uint32_t             claims;        /* so far, for the bound of waiting */
    uint64_t             seq;           /* of the last accepted job */
    uint64_t             clock[NGX_ASYNC_DB_URGENCIES];
    uint64_t             ready[NGX_ASYNC_DB_URGENCIES];
    uint64_t             parked;
    uint64_t             delayed;
    uint64_t             running;
    uint64_t             per_concurrency;   /* as last told */
    uint64_t             timeout;       /* the same, 0: none */
    uint64_t             since;         /* what told them, see db_limits.c */
    uint32_t             since_boot;
    u_char               retimed[NGX_ASYNC_DB_PLACE_LEN];   /* 0: done */
    uint64_t             paused_until;  /* 0: open */
    uint64_t             pause_clock;   /* see db_clock.c */
    uint32_t             pause_boot;
    ngx_async_id_t       probe;
    unsigned             probing:1;     /* the probe is running */
    unsigned             half_open:1;   /* the pause is over, it may start */
    unsigned             fair:1;        /* has seen a per value */
    unsigned             fitting:1;     /* lines to another limit */
    unsigned             level:3;       /* of the last fair claim */

    /* not stored */
    unsigned             dirty:1;
    unsigned             changed:1;     /* since it was last reported */
    uint64_t             txnid;         /* that changed it */
    ngx_uint_t           serial;        /* of the batch that has read it */
    ngx_async_db_row_t  *next;
};


typedef struct {
    u_char               key[NGX_ASYNC_DB_PER_MAX];
    size_t               len;           /* of the key; 0: none loaded */
    uint32_t             running;
    uint32_t             delayed;
    uint32_t             ready[NGX_ASYNC_DB_URGENCIES];
    uint32_t             parked[NGX_ASYNC_DB_URGENCIES];
    uint64_t             turn[NGX_ASYNC_DB_URGENCIES];  /* the last given */
    uint64_t             ready_turn[NGX_ASYNC_DB_URGENCIES];
    unsigned             stored:1;
    unsigned             dirty:1;
} ngx_async_db_per_t;


struct ngx_async_db_txn_s {
    ngx_async_db_t      *db;
    MDB_txn             *mdb;
    MDB_cursor          *cursors[NGX_ASYNC_DB_TABLES];
    uint64_t             id;
    uint64_t             live;          /* pages, estimated; 0: not yet */
    uint64_t             files;         /* the same of files */
    uint64_t             taken;         /* pages, estimated, by this batch */
    ngx_uint_t           dropped;       /* pieces */
    ngx_uint_t           nseqs;         /* given to jobs */
    ngx_uint_t           moves;         /* of jobs, to another limit */
    ngx_async_db_per_t   per;           /* the one last used */
    ngx_err_t            err;
    ngx_uint_t           full;          /* with NGX_AGAIN: ngx_async_full_e */
};


/* an entry of "due" */

typedef struct {
    ngx_uint_t           kind;
    uint64_t             time;
    ngx_async_id_t       id;
    u_char               queue[NGX_ASYNC_DB_NAME_MAX];
    size_t               len;
} ngx_async_db_due_t;


/* how the wall clock has jumped: see db_clock.c */

typedef struct {
    uint32_t             boot;
    uint64_t             offset;        /* of the wall clock */
    uint64_t             from;          /* the review begins there */
    u_char               review[NGX_ASYNC_DB_DUE_LEN];
    unsigned             reviewing:1;
    unsigned             news:1;
} ngx_async_db_clock_t;


#define NGX_ASYNC_DB_IDLE_READERS   16

struct ngx_async_db_s {
    char                *path;
    size_t               size;
    ngx_uint_t           readers;

    /*
     * Held shared while a transaction is open, exclusively to map the
     * environment anew or to replace it; env is NULL if that failed.
     */
    pthread_rwlock_t     lock;
    MDB_env             *env;
    MDB_dbi              dbi[NGX_ASYNC_DB_TABLES];
    unsigned             opened:1;

    uint64_t           (*steady)(void); /* milliseconds since the boot */
    uint32_t             boot;

    pthread_mutex_t      mutex;         /* of idle[] */
    MDB_txn             *idle[NGX_ASYNC_DB_IDLE_READERS];
    ngx_uint_t           nidle;

    /* the writer's */
    ngx_async_db_txn_t   txn;
    ngx_uint_t           serial;
    ngx_async_db_row_t  *rows;
    u_char              *record;        /* the job at hand */
    size_t               record_size;
    size_t               page_size;
    uint64_t             map_size;
    uint64_t             next_page;     /* first never used one at begin */
    uint64_t             file_size;
    uint64_t             allocated;     /* bytes of the file that have blocks */
    unsigned             no_fallocate:1;

    /* the writer's: files whose entries were deleted; committed ones first */
    ngx_async_blob_t    *gone;
    ngx_uint_t           ngone;
    ngx_uint_t           gone_before;   /* this transaction */
    size_t               gone_size;

    /* the last transaction that is known to be on the disk, for any thread */
    uint64_t            *durable;
    uint64_t             own_durable;

    /* for any thread: bytes, as of the last batch */
    ngx_atomic_t         used;
    ngx_atomic_t         size_used_of;

    char                 reason[512];
};


/* db_table.c: entries of tables */

ngx_int_t ngx_async_db_fail(ngx_async_db_txn_t *txn, int rc);
ngx_int_t ngx_async_db_corrupt(ngx_async_db_txn_t *txn);
ngx_err_t ngx_async_db_errno(int rc);

ngx_int_t ngx_async_db_get(ngx_async_db_txn_t *txn, ngx_uint_t table,
    const void *key, size_t len, MDB_val *val);
ngx_int_t ngx_async_db_put(ngx_async_db_txn_t *txn, ngx_uint_t table,
    const void *key, size_t len, const void *data, size_t size);
ngx_int_t ngx_async_db_del(ngx_async_db_txn_t *txn, ngx_uint_t table,
    const void *key, size_t len);

/* the same as put, faster where the key comes behind all others */
ngx_int_t ngx_async_db_add(ngx_async_db_txn_t *txn, ngx_uint_t table,
    const void *key, size_t len, const void *data, size_t size);

/* NULL: rc is set; it lives as long as the transaction */
MDB_cursor *ngx_async_db_cursor(ngx_async_db_txn_t *txn, ngx_uint_t table,
    ngx_int_t *rc);
ngx_int_t ngx_async_db_seek(ngx_async_db_txn_t *txn, MDB_cursor *cursor,
    MDB_val *key, MDB_val *val, MDB_cursor_op op);

ngx_int_t ngx_async_db_running_put(ngx_async_db_txn_t *txn,
    const u_char *runner, const ngx_async_id_t *id, u_char kind);
ngx_int_t ngx_async_db_running_del(ngx_async_db_txn_t *txn,
    const u_char *runner, const ngx_async_id_t *id);

/* the first entry of a runner */
ngx_int_t ngx_async_db_running_first(ngx_async_db_txn_t *txn,
    const u_char *runner, ngx_async_id_t *id, u_char *kind);

/* *kind is 0 with NGX_DECLINED */
ngx_int_t ngx_async_db_running_kind(ngx_async_db_txn_t *txn,
    const u_char *runner, const ngx_async_id_t *id, u_char *kind);

/* adds the number of entries from "from" on and before "to", at most max */
ngx_int_t ngx_async_db_count(ngx_async_db_txn_t *txn, ngx_uint_t table,
    const u_char *from, const u_char *to, size_t len, ngx_uint_t max,
    uint64_t *n);

u_char *ngx_async_db_u32(u_char *p, uint32_t value);
u_char *ngx_async_db_u64(u_char *p, uint64_t value);
uint32_t ngx_async_db_read_u32(const u_char *p);
uint64_t ngx_async_db_read_u64(const u_char *p);

/* db.c: read transactions */

ngx_int_t ngx_async_db_reader(ngx_async_db_t *db, ngx_async_db_txn_t *txn);
void ngx_async_db_reader_done(ngx_async_db_txn_t *txn);

/* db_env.c: the environment */

/* mends what made mdb_txn_begin() fail; NGX_OK: it is to be tried again */
ngx_int_t ngx_async_db_mend(ngx_async_db_t *db, int rc);

extern const char  *ngx_async_db_names[];

ngx_int_t ngx_async_db_env(ngx_async_db_t *db, MDB_env **env,
    unsigned int flags);
ngx_int_t ngx_async_db_format(ngx_async_db_t *db, MDB_txn *mdb, MDB_dbi dbi);

/* sets db->reason, returns NGX_ERROR */
ngx_int_t ngx_async_db_refuse(ngx_async_db_t *db, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* db_look.c: what is in a directory, without touching it */

typedef enum {
    NGX_ASYNC_DB_EMPTY = 0,
    NGX_ASYNC_DB_USED
} ngx_async_db_found_e;

/* NGX_ERROR, or what was found */
ngx_int_t ngx_async_db_look(ngx_async_db_t *db, int dir);

/* db_space.c: pages of the map and of the file */

/* pages of all tables; bytes, with those of files */
uint64_t ngx_async_db_live(ngx_async_db_txn_t *txn);
uint64_t ngx_async_db_used(ngx_async_db_txn_t *txn);

/* to be called with the write lock held: looks at how far the file is used */
void ngx_async_db_extend(ngx_async_db_t *db);

ngx_uint_t ngx_async_db_disk_full(ngx_async_db_t *db);

/*
 * NGX_OK, or NGX_BUSY if that many bytes more, in the map and in a file,
 * would touch the reserve: op->full says of which
 */
ngx_int_t ngx_async_db_room(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    size_t bytes, uint64_t file);

/* bytes of a map of that size that are kept for ends */
uint64_t ngx_async_db_to_end(uint64_t size);

/* true if there is more in the store than its size, which was larger once */
ngx_uint_t ngx_async_db_shrinks(ngx_async_db_txn_t *txn);

/* how many pages, of so many, are free and not needed by ends of jobs */
uint64_t ngx_async_db_spare(ngx_async_db_txn_t *txn, uint64_t pages);

ngx_int_t ngx_async_db_response_room(ngx_async_db_txn_t *txn, size_t bytes);

/* db_row.c: queues */

ngx_int_t ngx_async_db_row(ngx_async_db_txn_t *txn, ngx_str_t *name,
    ngx_async_db_row_t **row);
ngx_int_t ngx_async_db_row_decode(ngx_async_db_row_t *row, MDB_val *val);
ngx_int_t ngx_async_db_rows_save(ngx_async_db_txn_t *txn);
void ngx_async_db_rows_free(ngx_async_db_t *db);
uint64_t ngx_async_db_row_ready(ngx_async_db_row_t *row);
uint64_t ngx_async_db_row_waiting(ngx_async_db_row_t *row);

ngx_uint_t ngx_async_db_paused(ngx_async_db_row_t *row, uint64_t now);

#define ngx_async_db_touch(row)  (row)->dirty = 1

#define ngx_async_db_equal(a, b)                                              \
    ((a)->len == (b)->len && ngx_memcmp((a)->data, (b)->data, (a)->len) == 0)

/* db_queue.c: places of jobs in queues */

/* NGX_OK, or NGX_BUSY with op->full */
ngx_int_t ngx_async_db_admit(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_op_t *op);

/* NGX_OK: the job may start at once; NGX_DECLINED: it has to wait */
ngx_int_t ngx_async_db_direct(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job, ngx_async_limits_t *limits,
    uint64_t now);

/*
 * Assigns the last turn of the job's level and value.  seq is kept if it is
 * set: else it is larger than any that was given before, in whatever queue.
 */
ngx_int_t ngx_async_db_enter(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job);

/* a notStarted job gets into, and out of, the indexes of its queue */
ngx_int_t ngx_async_db_wait(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job);
ngx_int_t ngx_async_db_unwait(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job);

/* the same for a running job; "over" is its status when it leaves */
ngx_int_t ngx_async_db_run(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job);
ngx_int_t ngx_async_db_unrun(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job);

/* true if the next claim is for a less urgent level */
ngx_uint_t ngx_async_db_fair(ngx_async_db_row_t *row);

/* the first ready job, whether it may start or not; NGX_DECLINED: none */
ngx_int_t ngx_async_db_foremost(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job);

/* the first job that may start; NGX_DECLINED: none; sets op->more */
ngx_int_t ngx_async_db_first(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_op_t *op, ngx_async_job_t *job);

ngx_int_t ngx_async_db_pause(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    uint64_t until, uint64_t now);
ngx_int_t ngx_async_db_pause_set(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, uint64_t until, uint64_t now);

u_char *ngx_async_db_place(u_char *p, ngx_async_db_row_t *row,
    ngx_async_job_t *job);

#define ngx_async_db_place_turn(place)                                        \
    ngx_async_db_read_u64((place) + NGX_ASYNC_DB_LEVEL_LEN)
#define ngx_async_db_place_set_turn(place, turn)                              \
    (void) ngx_async_db_u64((place) + NGX_ASYNC_DB_LEVEL_LEN, turn)

/* an entry of "ready" and its numbers; NGX_DECLINED: it is not there */
ngx_int_t ngx_async_db_place_put(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, const u_char *place, const u_char *id);
ngx_int_t ngx_async_db_place_del(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, const u_char *place);

/* db_limits.c: limits of queues */

ngx_int_t ngx_async_db_limits(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_limits_t *limits);
ngx_int_t ngx_async_db_tell(ngx_async_db_txn_t *txn, ngx_async_op_t *op);

/* of a job that waits for its first attempt, by the queue's timeout; or 0 */
uint64_t ngx_async_db_deadline(ngx_async_db_row_t *row, ngx_async_job_t *job);

/* jobs get their deadlines anew: some of those that wait, or one */
ngx_int_t ngx_async_db_retime(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_due_retime(ngx_async_db_txn_t *txn,
    ngx_async_db_due_t *due);
ngx_int_t ngx_async_db_retime_job(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job, uint64_t now);

/* a job has been parked: its places in "ready" before and now */
ngx_int_t ngx_async_db_retime_parked(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, const u_char *before, const u_char *now,
    const ngx_async_id_t *id);

/* db_per.c: values of a queue's per */

#define ngx_async_db_counted(job)  ((job)->turn != 0)

ngx_int_t ngx_async_db_per(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job, ngx_async_db_per_t **per);
ngx_int_t ngx_async_db_per_load(ngx_async_db_txn_t *txn, const u_char *key,
    size_t len);
ngx_int_t ngx_async_db_per_save(ngx_async_db_txn_t *txn);
uint64_t ngx_async_db_per_waiting(ngx_async_db_per_t *per);

/* db_line.c: jobs of a value in their line */

/* true if as many of them run as may */
ngx_uint_t ngx_async_db_line_full(ngx_async_db_row_t *row,
    ngx_async_db_per_t *per);

/* a job that has a value gets in, ready or parked, and out */
ngx_int_t ngx_async_db_line_add(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job);
ngx_int_t ngx_async_db_line_del(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job);

/* where its entry is in "ready"; NGX_DECLINED: it is in no line */
ngx_int_t ngx_async_db_line_place(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job, u_char *place);

/* to be called when a job of its value waits or runs no more, or runs now */
ngx_int_t ngx_async_db_fit(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job);

/* another limit: whether values are to be gone through; some of them */
ngx_int_t ngx_async_db_fitting(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_uint_t fitting);
ngx_int_t ngx_async_db_fit_all(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row);

/* true if there are more, and room for their moves */
ngx_uint_t ngx_async_db_fits_more(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row);

/* where the entry of a parked job is in "ready" */
void ngx_async_db_shadow(u_char *shadow, const u_char *place);

/* db_rank.c: numbers of ready jobs, for positions */

ngx_int_t ngx_async_db_rank_add(ngx_async_db_txn_t *txn, const u_char *place);
ngx_int_t ngx_async_db_rank_del(ngx_async_db_txn_t *txn, const u_char *place);
ngx_int_t ngx_async_db_position(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job, uint64_t *position);

/* db_job.c, db_end.c: jobs */

/* the record is copied: it and the strings of *job live until the next load */
ngx_int_t ngx_async_db_load(ngx_async_db_txn_t *txn, const ngx_async_id_t *id,
    ngx_async_job_t *job);
ngx_int_t ngx_async_db_save(ngx_async_db_txn_t *txn, ngx_async_job_t *job);

/* a copy of the job for the caller of op, with "room" bytes behind it */
ngx_int_t ngx_async_db_give(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_job_t *job, size_t room);

ngx_int_t ngx_async_db_accept(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_claim(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_move(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_retry(ngx_async_db_txn_t *txn, ngx_async_op_t *op);

ngx_int_t ngx_async_db_finish(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_requeue(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_cancel(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_forget(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_callback(ngx_async_db_txn_t *txn, ngx_async_op_t *op);

/* the running job ends as a failed one, or waits again */
ngx_int_t ngx_async_db_fail_job(ngx_async_db_txn_t *txn, ngx_async_job_t *job,
    uint64_t now, const char *code, const char *message);
ngx_int_t ngx_async_db_wait_again(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job, uint64_t now);

/* removes a finished job and all its entries */
ngx_int_t ngx_async_db_remove(ngx_async_db_txn_t *txn, ngx_async_job_t *job);

/* db_blob.c: pieces */

ngx_int_t ngx_async_db_append(ngx_async_db_txn_t *txn, ngx_async_op_t *op);

/* whether the runner may write that part: NGX_OK or NGX_ABORT */
ngx_int_t ngx_async_db_writable(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    u_char *kind);

/* notes a request as staged, unless it is already */
ngx_int_t ngx_async_db_stage(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    u_char kind);

ngx_int_t ngx_async_db_discard(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_piece_put(ngx_async_db_txn_t *txn,
    const ngx_async_id_t *id, ngx_uint_t part, uint64_t offset,
    ngx_str_t *piece);
ngx_int_t ngx_async_db_last_put(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_piece_get(ngx_async_db_txn_t *txn,
    const ngx_async_id_t *id, ngx_uint_t part, uint64_t n, MDB_val *val);

/* READ; and op->buf for a record with what GET wants of a blob behind it */
ngx_int_t ngx_async_db_get_blob(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_get_first(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_job_t *job, MDB_val *record);

/* drops a blob; what is too much for one step is left to the sweep */
ngx_int_t ngx_async_db_drop(ngx_async_db_txn_t *txn, const ngx_async_id_t *id,
    ngx_uint_t part);

/* drops all of it, so that the part can be written anew */
ngx_int_t ngx_async_db_drop_all(ngx_async_db_txn_t *txn,
    const ngx_async_id_t *id, ngx_uint_t part);

/* goes on with what drop() has left */
ngx_int_t ngx_async_db_drop_more(ngx_async_db_txn_t *txn,
    const ngx_async_id_t *id, ngx_uint_t part, ngx_uint_t *more);

/* db_file.c: blobs in files */

ngx_int_t ngx_async_db_file_reserve(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op);
ngx_int_t ngx_async_db_file_seal(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_file_get(ngx_async_db_txn_t *txn,
    const ngx_async_id_t *id, ngx_uint_t part, uint64_t *nonce,
    uint64_t *size);
ngx_int_t ngx_async_db_file_drop(ngx_async_db_txn_t *txn, MDB_cursor *cursor,
    const u_char *key);
uint64_t ngx_async_db_files(ngx_async_db_txn_t *txn);

ngx_int_t ngx_async_db_orphans(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_file_open(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    uint64_t total, int *fd);
ngx_int_t ngx_async_db_file_read(ngx_async_db_txn_t *txn, int fd, u_char *p,
    size_t len, uint64_t offset);

/* db_read.c: for read operations */

/* the strings of *job lie in the map */
ngx_int_t ngx_async_db_record(ngx_async_db_txn_t *txn,
    const ngx_async_id_t *id, MDB_val *val, ngx_async_job_t *job);
ngx_int_t ngx_async_db_alloc(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    size_t size);

/* db_due.c: what is due */

ngx_int_t ngx_async_db_due_put(ngx_async_db_txn_t *txn, ngx_uint_t kind,
    uint64_t time, const ngx_async_id_t *id);
ngx_int_t ngx_async_db_due_del(ngx_async_db_txn_t *txn, ngx_uint_t kind,
    uint64_t time, const ngx_async_id_t *id);
u_char *ngx_async_db_due_key(u_char *p, ngx_uint_t kind, uint64_t time,
    const ngx_async_id_t *id);

/* the entries of a job */
ngx_int_t ngx_async_db_dates_put(ngx_async_db_txn_t *txn,
    ngx_async_job_t *job);
ngx_int_t ngx_async_db_dates_del(ngx_async_db_txn_t *txn,
    ngx_async_job_t *job);
uint64_t ngx_async_db_keep_until(ngx_async_job_t *job);

/* the first entry from a key on */
ngx_int_t ngx_async_db_due_seek(ngx_async_db_txn_t *txn, const u_char *from,
    ngx_async_db_due_t *due);
void ngx_async_db_due_behind(u_char *key);

/* the first entry of a class that is due at "from" or later */
ngx_int_t ngx_async_db_due_next(ngx_async_db_txn_t *txn, ngx_uint_t class,
    uint64_t from, ngx_async_db_due_t *due);

/* db_sweep.c: doing it, and dead runners */

ngx_int_t ngx_async_db_sweep(ngx_async_db_txn_t *txn, ngx_async_op_t *op);
ngx_int_t ngx_async_db_recover(ngx_async_db_txn_t *txn, ngx_async_op_t *op);

/* db_clock.c: jumps of the clock */

uint32_t ngx_async_db_boot(void);

ngx_uint_t ngx_async_db_stamp(ngx_async_db_txn_t *txn, ngx_async_job_t *job,
    uint64_t now);
ngx_int_t ngx_async_db_redate(ngx_async_db_txn_t *txn, ngx_async_job_t *job,
    uint64_t now);

ngx_int_t ngx_async_db_clock(ngx_async_db_txn_t *txn, uint64_t now,
    ngx_async_db_clock_t *clock);
ngx_int_t ngx_async_db_clock_save(ngx_async_db_txn_t *txn,
    ngx_async_db_clock_t *clock);
ngx_int_t ngx_async_db_review(ngx_async_db_txn_t *txn,
    ngx_async_db_clock_t *clock, uint64_t now);


#endif /* _NGX_ASYNC_DB_INTERNAL_H_INCLUDED_ */
