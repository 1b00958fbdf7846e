
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_STORE_H_INCLUDED_
#define _NGX_ASYNC_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_thread_pool.h>
#include "src/base/ngx_async_job.h"


/*
 * The contract of the store.
 *
 * An operation is a structure that its caller owns and fills, and that must
 * stay where it is until its handler has been called on the event loop.
 * Every operation is completed exactly once, never from inside
 * ngx_async_store_submit().  Write operations take effect in the order of
 * their submission within a worker; all of one batch are durable on disk
 * before any of their handlers runs.  Nothing is guaranteed about the order
 * of a read relative to writes that have not completed yet.
 *
 * A blob is one of the two byte strings of a job, its request or its response.
 * It is stored in pieces: piece n holds its bytes from n * NGX_ASYNC_PIECE on,
 * and all pieces but the last are full.
 */

#define NGX_ASYNC_PIECE  (16 * 4096 - 16)       /* fills 16 pages of LMDB */

/*
 * A large blob lies in a file of the store instead: see ngx_async_store_file().
 * It is given to the store in the same pieces, and read as any other.
 */

#define NGX_ASYNC_FILE_MIN   (512 * 1024)       /* what is worth a file */

typedef enum {
    NGX_ASYNC_REQUEST = 0,
    NGX_ASYNC_RESPONSE
} ngx_async_part_e;

typedef enum {
    /* write operations */
    NGX_ASYNC_OP_APPEND = 0,
    NGX_ASYNC_OP_RESERVE,
    NGX_ASYNC_OP_DISCARD,
    NGX_ASYNC_OP_ACCEPT,
    NGX_ASYNC_OP_CLAIM,
    NGX_ASYNC_OP_FINISH,
    NGX_ASYNC_OP_REQUEUE,
    NGX_ASYNC_OP_CANCEL,
    NGX_ASYNC_OP_FORGET,
    NGX_ASYNC_OP_RETRY,
    NGX_ASYNC_OP_MOVE,
    NGX_ASYNC_OP_LIMITS,
    NGX_ASYNC_OP_CALLBACK,
    NGX_ASYNC_OP_SWEEP,
    NGX_ASYNC_OP_RECOVER,
    /* read operations */
    NGX_ASYNC_OP_GET,
    NGX_ASYNC_OP_READ,
    NGX_ASYNC_OP_LIST,
    NGX_ASYNC_OP_QUEUES,
    NGX_ASYNC_OP_RUNNING,
    NGX_ASYNC_OP_ORPHANS
} ngx_async_op_e;

#define ngx_async_op_is_read(op)  ((op)->type >= NGX_ASYNC_OP_GET)

typedef enum {
    NGX_ASYNC_FULL_NONE = 0,
    NGX_ASYNC_FULL_QUEUE,           /* the queue's backlog */
    NGX_ASYNC_FULL_PER,             /* per_backlog of the value */
    NGX_ASYNC_FULL_STORE,           /* the map */
    NGX_ASYNC_FULL_DISK
} ngx_async_full_e;


typedef struct {
    uint64_t    backlog;            /* 0: no limit, in all four */
    uint64_t    per_backlog;
    uint64_t    per_concurrency;
    ngx_msec_t  timeout;
    uint64_t    since;              /* when they were read: the last hold */
    unsigned    pauseless:1;        /* a pause of before is over */
    unsigned    fair:1;             /* values take turns, "" is one */
} ngx_async_limits_t;


#define NGX_ASYNC_SWEEP_MAX    64
#define NGX_ASYNC_SWEEP_QUEUE  104

/* a job that was ended, or removed, by the store itself */

typedef struct {
    size_t          len;
    u_char          queue[NGX_ASYNC_SWEEP_QUEUE];
    unsigned        expired:1;      /* it is gone; else it has failed */
} ngx_async_swept_t;

typedef struct {
    ngx_uint_t      nchanged;       /* jobs whose status changed */
    ngx_async_id_t  changed[NGX_ASYNC_SWEEP_MAX];
    ngx_uint_t      ncallbacks;     /* callbacks that are due and now leased */
    ngx_async_id_t  callbacks[NGX_ASYNC_SWEEP_MAX];
    ngx_uint_t      nexpired;       /* jobs that are gone */
    ngx_uint_t      nswept;
    ngx_async_swept_t  swept[NGX_ASYNC_SWEEP_MAX];
    uint64_t        next;           /* when the next thing is due, 0: nothing */
    unsigned        ready:1;        /* some queue may have got a job to run */
    unsigned        more:1;         /* stopped at a bound: sweep again */
} ngx_async_sweep_t;


typedef struct {
    ngx_str_t       owner;          /* only jobs of this owner, unless "any" */
    ngx_str_t       queue;          /* empty: any */
    ngx_str_t       server;         /* key of the server; empty: any */
    ngx_int_t       status;         /* -1: any */
    ngx_async_id_t  cursor;         /* jobs before this one; zeros: newest */
    ngx_uint_t      limit;          /* at most 1000 */
    unsigned        any_owner:1;
    /* out */
    ngx_uint_t      njobs;
    ngx_async_job_t *jobs;          /* newest first; in op->buf */
    unsigned        more:1;         /* there may be older ones */
    ngx_async_id_t  next;           /* cursor of the next page */
} ngx_async_list_t;


/* a blob in a file: its name, which is used once */

#define NGX_ASYNC_BLOB_DIR       "blobs"
#define NGX_ASYNC_BLOB_NAME_LEN  (NGX_ASYNC_ID_TEXT_LEN + 3 + 16)

typedef struct {
    ngx_async_id_t  id;
    ngx_uint_t      part;           /* ngx_async_part_e */
    uint64_t        nonce;          /* not 0 */
} ngx_async_blob_t;

typedef struct {
    ngx_async_blob_t  *blobs;
    ngx_uint_t         n;
} ngx_async_orphans_t;


typedef struct ngx_async_file_s  ngx_async_file_t;
typedef struct ngx_async_op_s  ngx_async_op_t;

typedef void (*ngx_async_op_pt)(ngx_async_op_t *op);

struct ngx_async_op_s {
    ngx_uint_t              type;           /* ngx_async_op_e */
    ngx_async_op_pt         handler;        /* on the event loop, when done */
    void                   *data;           /* the caller's */

    ngx_async_id_t          id;
    uint64_t                now;            /* wall clock of this change */

    ngx_async_job_t        *job;            /* in; the caller's */
    ngx_async_limits_t     *limits;         /* in; the caller's */
    u_char                  runner[NGX_ASYNC_RUNNER_LEN];
    ngx_str_t               queue_name;

    /* a piece of a blob */
    ngx_uint_t              part;           /* ngx_async_part_e */
    uint64_t                offset;         /* of the piece in the blob */
    ngx_str_t               piece;          /* in; the caller's */
    size_t                  limit;          /* how much to read at most */
    ngx_async_file_t       *file;           /* in; NULL: a blob of pieces */
    uint64_t                nonce;          /* the store's: of the file, or 0 */
    uint64_t                size;           /* of RESERVE */
    ngx_async_orphans_t    *orphans;

    uint64_t                not_before;
    uint64_t                pause_until;

    ngx_async_sweep_t      *sweep;
    ngx_async_list_t       *list;

    unsigned                claim:1;        /* in */
    unsigned                lazy:1;         /* in: the caller keeps piece */
    unsigned                brief:1;        /* in: found without strings */
    unsigned                want_position:1;    /* in */
    unsigned                want_request:1;     /* in: first piece, as blob */
    unsigned                want_response:1;    /* in: first piece, as blob */
    unsigned                cut:1;          /* in: the attempt was cut off */
    unsigned                unsent:1;       /* in: the attempt was not sent */

    /* results */
    ngx_int_t               rc;
    ngx_err_t               err;            /* errno-like, with NGX_ERROR */
    ngx_uint_t              full;           /* ngx_async_full_e */
    unsigned                claimed:1;
    unsigned                more:1;         /* of CLAIM, LIMITS, MOVE */
    unsigned                was_running:1;
    uint64_t                position;       /* 1..; 0: not queued */
    ngx_async_job_t         found;          /* strings in buf */
    ngx_str_t               blob;           /* bytes read; in buf */
    ngx_fd_t                fd;             /* if opened; see GET */
    unsigned                opened:1;
    ngx_str_t               buf;            /* malloc()ed by the store */

    ngx_queue_t             queue;          /* the store's */
};


/*
 * rc of every operation:
 *     NGX_OK        done, and durable if it writes
 *     NGX_DECLINED  there is no such job (or nothing to claim)
 *     NGX_ABORT     the job's state does not allow it; found is the job
 *     NGX_BUSY      no room, see full; nothing was changed
 *     NGX_ERROR     the store failed, see err; nothing was changed
 *
 * A job that waits is given with its paused_until, in found as in *job.  That
 * time may be over: then the queue waits for a job that probes.
 *
 * APPEND    Adds piece (at most NGX_ASYNC_PIECE bytes; offset a multiple of
 *           it) to the blob "part" of job "id".  For a request the job does not
 *           exist yet: the pieces are staged under runner and are dropped when
 *           it dies.  For a response the job must be running by runner.
 *           With file the piece goes there, and it need not be on the disk
 *           when the operation is completed; NGX_ERROR also if the file cannot
 *           be written, and then for all further ones of that file.
 * RESERVE   The store's own: notes that the blob is in a file that may grow to
 *           size.  It counts in full from now on.  offset: what was reserved
 *           before, 0: nothing, it is another file.  Results as APPEND.
 * DISCARD   Drops what was staged for the request of job "id".
 * ACCEPT    Adds *job with the last piece of its request blob (piece at offset)
 *           as notStarted at the end of its place in the queue; turn and seq
 *           are assigned.  With claim, and if nothing waits before it, the
 *           queue is not paused and per_concurrency allows it, it becomes
 *           running by runner at once (attempt 1; claimed is set and *job is
 *           updated).  A promise of a call that already runs has job->status
 *           NGX_ASYNC_RUNNING: it is stored as running by runner whatever the
 *           limits.  With lazy a job that runs at once is stored without its
 *           request (flags then lack NGX_ASYNC_JOB_REQUEST): only for one whose
 *           request is of no use when its runner dies, and of one piece.
 *           With file the blob is there, and on the disk with its last piece
 *           before the job is.
 *           NGX_ABORT: job->key exists, found is that job.
 *           NGX_BUSY: backlog, per_backlog or the store is full; *job has its
 *           paused_until.
 * CLAIM     Makes the first job that may start in queue_name running by runner
 *           and returns it in found, with the first piece of its request in
 *           blob.  Jobs of a "per" value at its limit are passed over.  A
 *           paused queue gives nothing until its time is over, and then one
 *           job that has NGX_ASYNC_JOB_PROBE set.  NGX_DECLINED: nothing.
 *           more: it stopped at a bound, with jobs of values left whose limit
 *           was changed, and another claim may find some that can start.
 * FINISH    Ends the attempt for good: job "id" must be running by runner
 *           (else NGX_ABORT, and its response pieces are gone).  *job carries
 *           the new status (succeeded, failed or canceled), response_* and
 *           error_*; piece at offset is the last one of the response blob
 *           (piece.len 0: none), in file if that is where the others are: it
 *           is on the disk before the record is, and NGX_BUSY if that cannot
 *           be, with full NONE and err if it is not for lack of room.  With
 *           response_status 0 all pieces of the response are dropped.  The
 *           request is dropped unless keep_request applies.  Expiry and
 *           callback become due.  pause_until pauses the queue; without it a
 *           probe that ends opens the queue again, unless it was not sent: then
 *           another one may probe.  found is the job as stored.
 * REQUEUE   Ends the attempt, but not the job: notStarted again, its pieces of
 *           a response dropped, to be started at not_before (0: at once, in
 *           its old place).  unsent: the attempt does not count; cut: cuts + 1.
 *           pause_until as above.  piece is the request of a job that was
 *           accepted without it.  NGX_ABORT as FINISH.
 * CANCEL    notStarted and running jobs become canceled (error_code and
 *           error_message from *job); was_running tells whether a call has to
 *           be aborted, found.runner by whom.  A canceled job that never
 *           started releases its key.  NGX_ABORT: already finished.
 * FORGET    Removes a finished job and all that belongs to it.  NGX_ABORT: it
 *           is not finished.
 * RETRY     failed -> notStarted in its queue, if its request is kept; the
 *           old response is dropped.  NGX_ABORT: anything else.
 * MOVE      Puts jobs that wait in queue_name into the queue of *job, at most
 *           NGX_ASYNC_SWEEP_MAX of them, the first ones first, while they are
 *           of its server and location.  Urgency and the order in which jobs
 *           came are kept; the limits of both queues do not count, but for
 *           the timeout of the new one (of limits, if it is set).  found is
 *           the first one that is left (with job NULL: none is moved);
 *           NGX_DECLINED: there is none, or with "more" none yet that does
 *           not wait for others of its value.  Jobs that wait for their next
 *           attempt are not looked at.
 * LIMITS    Tells the limits of queue_name, as ACCEPT and CLAIM do: a changed
 *           per_concurrency and timeout hold for the jobs that wait there.
 * CALLBACK  Stores callback_status, callback_attempts and callback_error of
 *           *job; not_before is when the next attempt is due (when PENDING).
 * SWEEP     Does what is due at now, at most NGX_ASYNC_SWEEP_MAX things:
 *           expires jobs, starts delayed attempts (back to their queue), fails
 *           jobs whose queue_deadline is over (queue_timeout), gives new ones
 *           where the timeout has changed, drops kept
 *           requests, leases due callbacks for a minute, ends pauses.  Starts
 *           no write when nothing is due.
 * RECOVER   For the dead runner in "runner", at most NGX_ASYNC_SWEEP_MAX jobs
 *           (sweep tells which changed, and more): an idempotent job is
 *           requeued as cut while cuts < NGX_ASYNC_MAX_CUTS, every other fails
 *           as "interrupted"; what was staged is dropped.
 *
 * GET       found; with want_position position; with
 *           want_request or want_response the first piece of that blob, or
 *           of a response in a file the head of it (at most a piece): then fd
 *           is open for reading on the whole blob.  It is closed by
 *           ngx_async_store_release() unless opened has been reset.
 * READ      blob: at most limit bytes of blob "part" of job "id" from offset
 *           on, to the end of the piece at least unless limit ends it.
 *           NGX_DECLINED: the job or the blob is gone, or with job set, its
 *           version is not that of *job any more: a response that goes on in
 *           another one after POST J/retry.  At the end blob is empty.
 * LIST      See ngx_async_list_t.  Looks at a bounded number of jobs.
 * QUEUES    blob is a list of the names of the queues that have waiting jobs,
 *           each ended by a zero byte; with "cut" set, of the runners that have
 *           running jobs or staged requests (NGX_ASYNC_RUNNER_LEN bytes each).
 * RUNNING   blob is a list of the ids of the jobs that run by runner, in their
 *           order.
 * ORPHANS   The store's own: leaves in the list what no job has.
 *
 * GET and READ of a blob whose file is not there (err is ENOENT), or not as
 * long as the record says (EUCLEAN), are NGX_ERROR: nothing of it is given out.
 */


typedef struct {
    ngx_str_t               path;           /* zero-terminated */
    size_t                  size;           /* of the map, bytes */
    ngx_uint_t              workers;
    ngx_thread_pool_t      *thread_pool;
    unsigned                apart:1;        /* see ngx_async_store_join() */
} ngx_async_store_conf_t;


/*
 * Opens the store in this worker; once in a process, in init_process, after
 * ngx_async_shared_start().
 * If it cannot be opened, that is logged, with what to do; the worker then runs
 * without a store, every operation completes with NGX_ERROR, and opening is
 * tried again from time to time.  A directory that is damaged or not a
 * store's is not touched.
 */
void ngx_async_store_start(ngx_cycle_t *cycle,
    ngx_async_store_conf_t *conf);

/*
 * A worker that has no row in what the workers share must not use the store:
 * with conf->apart it is not opened before this call.
 */
void ngx_async_store_join(void);

/*
 * For the configuration, before nginx creates the directory and gives it to
 * the user of the workers: NGX_ERROR, with a reason (static), if "path"
 * (zero-terminated) is something else than a store or a place for one.
 */
ngx_int_t ngx_async_store_inspect(const char *path, const char **reason);

/* in exit_process; operations that are under way are not completed */
void ngx_async_store_stop(ngx_cycle_t *cycle);

/* takes the operation; its handler follows later, whatever happens */
void ngx_async_store_submit(ngx_async_op_t *op);

/* frees what an operation returned, and closes fd; any number of times */
void ngx_async_store_release(ngx_async_op_t *op);

/*
 * A file for a large blob, to be set in all operations that write it; size is
 * the whole blob's, 0: not known yet.  Only the one that brings the last piece
 * (ACCEPT, FINISH) makes it a job's; closing it before that drops nothing, but
 * what ends the attempt does.  Close it after the last of its operations was
 * completed, or with some under way that are to be completed still.
 * NULL: no memory.
 */
ngx_async_file_t *ngx_async_store_file(const ngx_async_id_t *id,
    ngx_uint_t part, uint64_t size);
void ngx_async_store_file_close(ngx_async_file_t *file);

/* true if the store knows of it: it takes room there until it is dropped */
ngx_uint_t ngx_async_store_file_noted(ngx_async_file_t *file);

/*
 * What would block the event loop otherwise, as reading and writing a file
 * does: run() is called in one of the store's threads, handler() on the event
 * loop when that is done, always later.  The work is the caller's and may be
 * gone after its handler was called.  A worker that exits waits for it.
 */
typedef struct {
    void                  (*run)(void *data, ngx_log_t *log);
    void                  (*handler)(void *data);
    void                   *data;

    ngx_thread_task_t       task;           /* the store's */
    ngx_queue_t             queue;
} ngx_async_work_t;

void ngx_async_store_work(ngx_async_work_t *work);

/* operations and works that are not completed, for drain and metrics */
ngx_uint_t ngx_async_store_pending(void);

/*
 * The number of bytes that live data takes in the map and in files, and the
 * size of both together; as of this worker's last transaction.
 */
void ngx_async_store_usage(uint64_t *used, uint64_t *size);

/*
 * A submission or the response of a job (part: NGX_ASYNC_REQUEST or
 * NGX_ASYNC_RESPONSE) came to nothing because there was no room: logged at
 * once, and then once a minute with the number of them.
 */
void ngx_async_store_no_room(ngx_uint_t part);


#endif /* _NGX_ASYNC_STORE_H_INCLUDED_ */
