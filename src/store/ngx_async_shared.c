
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_shared_internal.h"
#include <sys/random.h>


#define NGX_ASYNC_SHARED_MAGIC     0x6e67785f6173796eULL

/* the byte that is locked while a worker checks or sets up the file */
#define NGX_ASYNC_SHARED_SETUP     NGX_ASYNC_RUNNERS
#define NGX_ASYNC_SHARED_PATIENCE  5000     /* milliseconds */


static ngx_int_t ngx_async_shared_open(ngx_str_t *path, ngx_log_t *log);
static ngx_int_t ngx_async_shared_map(ngx_log_t *log);
static ngx_int_t ngx_async_shared_reset(ngx_log_t *log);
static ngx_int_t ngx_async_shared_new_row(ngx_log_t *log);
static ngx_int_t ngx_async_shared_free_row(void);
static ngx_int_t ngx_async_shared_flock(ngx_uint_t byte, short type);
static ngx_int_t ngx_async_shared_setup_lock(ngx_log_t *log);
static ngx_uint_t ngx_async_shared_row_alive(ngx_uint_t i);
static void ngx_async_shared_clear_row(ngx_async_shared_row_t *row);
static void ngx_async_shared_add_up(void);


u_char      ngx_async_runner[NGX_ASYNC_RUNNER_LEN];
ngx_uint_t  ngx_async_runner_row;


ngx_async_shared_t      *ngx_async_shared;
ngx_async_shared_row_t  *ngx_async_shared_own;

static int         ngx_async_shared_fd = -1;
static ngx_uint_t  ngx_async_shared_patience = NGX_ASYNC_SHARED_PATIENCE;

/* ids of the rows of dead runners that were noted, or 0 */
static uint64_t    ngx_async_shared_noted[NGX_ASYNC_RUNNERS];


/*
 * Workers of several cycles may start at once, and each may be killed at any
 * point.  All of the start is done under the lock of one byte.  A file that
 * nobody has a row of is set up anew, whatever it holds: a mutex that was
 * locked when the power went has no owner to die.
 */

ngx_int_t
ngx_async_shared_start(ngx_cycle_t *cycle, ngx_str_t *path)
{
    ngx_log_t  *log;

    log = cycle->log;

    if (ngx_async_shared_open(path, log) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_async_shared_setup_lock(log) != NGX_OK
        || ngx_async_shared_map(log) != NGX_OK
        || ngx_async_shared_new_row(log) != NGX_OK)
    {
        ngx_async_shared_stop(cycle);
        return NGX_ERROR;
    }

    (void) ngx_async_shared_flock(NGX_ASYNC_SHARED_SETUP, F_UNLCK);

    return NGX_OK;
}


/*
 * A row with slots that are still taken keeps its id: it is the row of a dead
 * runner then, whose jobs the others have to see to.
 */

void
ngx_async_shared_stop(ngx_cycle_t *cycle)
{
    ngx_uint_t               q;
    ngx_async_shared_row_t  *row;

    row = ngx_async_shared_own;

    if (row) {
        ngx_async_shared_lock();

        for (q = 0; q < NGX_ASYNC_QUEUES; q++) {
            if (row->taken[q]) {
                break;
            }
        }

        if (q == NGX_ASYNC_QUEUES) {
            ngx_async_shared_clear_row(row);
        }

        ngx_async_shared_unlock();

        ngx_async_shared_own = NULL;
    }

    if (ngx_async_shared) {
        if (munmap(ngx_async_shared, sizeof(ngx_async_shared_t)) == -1) {
            ngx_log_error(NGX_LOG_ERR, cycle->log, ngx_errno,
                          "munmap(" NGX_ASYNC_SHARED_FILE ") failed");
        }

        ngx_async_shared = NULL;
    }

    if (ngx_async_shared_fd != -1) {

        /* all locks go with the descriptor */

        if (close(ngx_async_shared_fd) == -1) {
            ngx_log_error(NGX_LOG_ERR, cycle->log, ngx_errno,
                          "close(" NGX_ASYNC_SHARED_FILE ") failed");
        }

        ngx_async_shared_fd = -1;
    }
}


static ngx_int_t
ngx_async_shared_open(ngx_str_t *path, ngx_log_t *log)
{
    u_char  *p, name[NGX_MAX_PATH];

    if (path->len + sizeof("/" NGX_ASYNC_SHARED_FILE) > NGX_MAX_PATH) {
        ngx_log_error(NGX_LOG_CRIT, log, 0,
                      "path of async_store \"%V\" is too long", path);
        return NGX_ERROR;
    }

    p = ngx_cpymem(name, path->data, path->len);
    ngx_memcpy(p, "/" NGX_ASYNC_SHARED_FILE,
               sizeof("/" NGX_ASYNC_SHARED_FILE));

    ngx_async_shared_fd = open((char *) name, O_RDWR|O_CREAT|O_CLOEXEC, 0600);

    if (ngx_async_shared_fd == -1) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_errno,
                      "open(\"%s\") failed", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_shared_map(ngx_log_t *log)
{
    int          rc;
    void        *p;
    ngx_uint_t   alone;
    struct stat  st;

    alone = !ngx_async_shared_held(0, NGX_ASYNC_RUNNERS);

    if (alone) {

        /* all of it: a hole that finds no room on the disk is a SIGBUS */

        rc = posix_fallocate(ngx_async_shared_fd, 0,
                             sizeof(ngx_async_shared_t));
        if (rc != 0) {
            ngx_log_error(NGX_LOG_CRIT, log, rc,
                          "posix_fallocate(" NGX_ASYNC_SHARED_FILE
                          ") failed");
            return NGX_ERROR;
        }
    }

    if (fstat(ngx_async_shared_fd, &st) == -1) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_errno,
                      "fstat(" NGX_ASYNC_SHARED_FILE ") failed");
        return NGX_ERROR;
    }

    if (st.st_size < (off_t) sizeof(ngx_async_shared_t)) {
        ngx_log_error(NGX_LOG_CRIT, log, 0,
                      "\"" NGX_ASYNC_SHARED_FILE "\" of async_store is too "
                      "small, but in use: stop all nginx that use the store");
        return NGX_ERROR;
    }

    p = mmap(NULL, sizeof(ngx_async_shared_t), PROT_READ|PROT_WRITE,
             MAP_SHARED, ngx_async_shared_fd, 0);

    if (p == MAP_FAILED) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_errno,
                      "mmap(" NGX_ASYNC_SHARED_FILE ") failed");
        return NGX_ERROR;
    }

    ngx_async_shared = p;

    if (alone) {
        return ngx_async_shared_reset(log);
    }

    if (ngx_async_shared->magic != NGX_ASYNC_SHARED_MAGIC
        || ngx_async_shared->size != sizeof(ngx_async_shared_t))
    {
        ngx_log_error(NGX_LOG_CRIT, log, 0,
                      "\"" NGX_ASYNC_SHARED_FILE "\" of async_store is in use "
                      "by an nginx of another build: stop that one first");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* of what the last runners left only the measured durations are of use */

static ngx_int_t
ngx_async_shared_reset(ngx_log_t *log)
{
    int                   rc;
    size_t                len;
    ngx_async_shared_t   *sh;
    pthread_mutexattr_t   attr;

    sh = ngx_async_shared;

    len = offsetof(ngx_async_shared_t, times);

    if (sh->magic != NGX_ASYNC_SHARED_MAGIC
        || sh->size != sizeof(ngx_async_shared_t))
    {
        len = sizeof(ngx_async_shared_t);
    }

    ngx_memzero(sh, len);

    rc = pthread_mutexattr_init(&attr);
    if (rc != 0) {
        goto failed;
    }

    rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);

    if (rc == 0) {
        rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    }

    if (rc == 0) {
        rc = pthread_mutex_init(&sh->mutex, &attr);
    }

    (void) pthread_mutexattr_destroy(&attr);

    if (rc != 0) {
        goto failed;
    }

    sh->size = sizeof(ngx_async_shared_t);
    ngx_async_set(&sh->magic, NGX_ASYNC_SHARED_MAGIC);

    return NGX_OK;

failed:

    ngx_log_error(NGX_LOG_CRIT, log, rc, "robust mutexes cannot be had");

    return NGX_ERROR;
}


static ngx_int_t
ngx_async_shared_new_row(ngx_log_t *log)
{
    uint64_t                 id[2];
    ngx_int_t                i;
    ngx_async_shared_row_t  *row;

    do {
        if (getrandom(id, sizeof(id), 0) != sizeof(id)) {
            ngx_log_error(NGX_LOG_CRIT, log, ngx_errno, "getrandom() failed");
            return NGX_ERROR;
        }

    } while (id[0] == 0);

    /*
     * What dead ones had taken is theirs until their jobs have been taken back,
     * unless there is no other room.
     */

    (void) ngx_async_shared_dead();

    i = ngx_async_shared_free_row();

    if (i == NGX_ERROR && ngx_async_shared_reclaim()) {
        i = ngx_async_shared_free_row();
    }

    if (i == NGX_ERROR) {
        ngx_log_error(NGX_LOG_CRIT, log, 0,
                      "all %d places for workers at async_store are taken",
                      NGX_ASYNC_RUNNERS);
        return NGX_ERROR;
    }

    row = &ngx_async_shared->rows[i];

    ngx_async_shared_lock();

    ngx_async_shared_clear_row(row);

    row->id[1] = id[1];
    ngx_async_set(&row->id[0], id[0]);

    if (ngx_async_shared->nrows <= (ngx_uint_t) i) {
        ngx_async_set(&ngx_async_shared->nrows, i + 1);
    }

    ngx_async_shared_unlock();

    /* recovery notes them anew */

    ngx_memzero(ngx_async_shared_noted, sizeof(ngx_async_shared_noted));

    ngx_memcpy(ngx_async_runner, id, NGX_ASYNC_RUNNER_LEN);
    ngx_async_runner_row = i;
    ngx_async_shared_own = row;

    return NGX_OK;
}


/*
 * Locks a row without an id: the row of a dead runner is not taken, so that it
 * is never seen as alive because its row is locked again.
 */

static ngx_int_t
ngx_async_shared_free_row(void)
{
    ngx_int_t  i;

    for (i = 0; i < NGX_ASYNC_RUNNERS; i++) {

        if (ngx_async_get(&ngx_async_shared->rows[i].id[0]) == 0
            && ngx_async_shared_flock(i, F_WRLCK) == NGX_OK)
        {
            return i;
        }
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_async_shared_flock(ngx_uint_t byte, short type)
{
    struct flock  fl;

    ngx_memzero(&fl, sizeof(struct flock));

    fl.l_type = type;
    fl.l_whence = SEEK_SET;
    fl.l_start = byte;
    fl.l_len = 1;

    if (fcntl(ngx_async_shared_fd, F_OFD_SETLK, &fl) == -1) {
        return (ngx_errno == NGX_EAGAIN || ngx_errno == NGX_EACCES)
               ? NGX_BUSY : NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_shared_setup_lock(ngx_log_t *log)
{
    ngx_int_t   rc;
    ngx_err_t   err;
    ngx_uint_t  n;

    for (n = 0; n < ngx_async_shared_patience; n++) {

        rc = ngx_async_shared_flock(NGX_ASYNC_SHARED_SETUP, F_WRLCK);

        if (rc == NGX_OK) {
            return NGX_OK;
        }

        if (rc == NGX_ERROR) {
            err = ngx_errno;
            ngx_log_error(NGX_LOG_CRIT, log, err,
                          "fcntl(" NGX_ASYNC_SHARED_FILE ", F_OFD_SETLK) "
                          "failed: async_store needs a local file system");
            return NGX_ERROR;
        }

        ngx_msleep(1);
    }

    /* once more it must not keep the event loop waiting */

    ngx_async_shared_patience = 1;

    ngx_log_error(NGX_LOG_CRIT, log, 0,
                  "\"" NGX_ASYNC_SHARED_FILE "\" of async_store is locked by "
                  "another process");

    return NGX_ERROR;
}


ngx_uint_t
ngx_async_shared_held(ngx_uint_t first, ngx_uint_t n)
{
    struct flock  fl;

    ngx_memzero(&fl, sizeof(struct flock));

    fl.l_type = F_WRLCK;
    fl.l_whence = SEEK_SET;
    fl.l_start = first;
    fl.l_len = n;

    if (fcntl(ngx_async_shared_fd, F_OFD_GETLK, &fl) == -1) {
        return 1;
    }

    return fl.l_type != F_UNLCK;
}


static ngx_uint_t
ngx_async_shared_row_alive(ngx_uint_t i)
{
    return &ngx_async_shared->rows[i] == ngx_async_shared_own
           || ngx_async_shared_held(i, 1);
}


/* under the mutex */

static void
ngx_async_shared_clear_row(ngx_async_shared_row_t *row)
{
    ngx_uint_t                 q;
    ngx_async_shared_queue_t  *queue;

    ngx_async_shared_drop_calls(row - ngx_async_shared->rows);

    for (q = 0; q < NGX_ASYNC_QUEUES; q++) {

        queue = &ngx_async_shared->queues[q];

        ngx_async_set(&queue->taken, queue->taken - row->taken[q]);
        row->taken[q] = 0;
    }

    /* last: a row without an id is not looked at if this process ends here */

    ngx_async_set(&row->id[0], 0);

    ngx_memzero(row, sizeof(ngx_async_shared_row_t));
}


void
ngx_async_shared_lock(void)
{
    int  rc;

    rc = pthread_mutex_lock(&ngx_async_shared->mutex);

    if (rc == EOWNERDEAD) {

        /* a process was killed in between: only the rows are right */

        ngx_async_shared_add_up();

        (void) pthread_mutex_consistent(&ngx_async_shared->mutex);
    }
}


void
ngx_async_shared_unlock(void)
{
    (void) pthread_mutex_unlock(&ngx_async_shared->mutex);

    /*
     * One worker announces a job and then looks for a free slot, another gives
     * back its slot and then looks for a job: one of them sees the other.
     */

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}


static void
ngx_async_shared_add_up(void)
{
    uint32_t             sum;
    ngx_uint_t           i, q;
    ngx_async_shared_t  *sh;

    sh = ngx_async_shared;

    for (q = 0; q < NGX_ASYNC_QUEUES; q++) {

        sum = 0;

        for (i = 0; i < sh->nrows; i++) {
            sum += sh->rows[i].taken[q];
        }

        ngx_async_set(&sh->queues[q].taken, sum);
    }
}


ngx_uint_t
ngx_async_shared_alive(const u_char *runner)
{
    if (ngx_async_shared == NULL) {

        /* cannot be known, and to say "no" would recover running jobs */

        return 1;
    }

    return ngx_async_shared_row(runner) != NGX_ERROR;
}


ngx_int_t
ngx_async_shared_row(const u_char *runner)
{
    uint64_t                 id[2];
    ngx_uint_t               i, n;
    ngx_async_shared_row_t  *row;

    if (ngx_async_shared == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(id, runner, NGX_ASYNC_RUNNER_LEN);

    if (id[0] == 0) {
        return NGX_ERROR;
    }

    n = ngx_async_get(&ngx_async_shared->nrows);

    for (i = 0; i < n; i++) {

        row = &ngx_async_shared->rows[i];

        if (ngx_async_get(&row->id[0]) == id[0]
            && ngx_async_get(&row->id[1]) == id[1])
        {
            return ngx_async_shared_row_alive(i) ? (ngx_int_t) i : NGX_ERROR;
        }
    }

    return NGX_ERROR;
}


ngx_uint_t
ngx_async_shared_rows(void)
{
    return ngx_async_shared ? ngx_async_get(&ngx_async_shared->nrows) : 0;
}


ngx_uint_t
ngx_async_shared_dead(void)
{
    uint64_t                 id;
    ngx_uint_t               i, n, dead;
    ngx_async_shared_row_t  *row;

    ngx_memzero(ngx_async_shared_noted, sizeof(ngx_async_shared_noted));

    if (ngx_async_shared == NULL) {
        return 0;
    }

    dead = 0;
    n = ngx_async_get(&ngx_async_shared->nrows);

    for (i = 0; i < n; i++) {

        row = &ngx_async_shared->rows[i];
        id = ngx_async_get(&row->id[0]);

        if (id == 0 || row == ngx_async_shared_own
            || ngx_async_shared_held(i, 1))
        {
            continue;
        }

        ngx_async_shared_lock();

        if (row->id[0] == id) {

            /* its queues need not keep their names for it */

            ngx_async_set(&row->retired, 1);

            ngx_async_shared_noted[i] = id;
            dead++;
        }

        ngx_async_shared_unlock();
    }

    return dead;
}


ngx_uint_t
ngx_async_shared_reclaim(void)
{
    ngx_uint_t               i, n;
    ngx_async_shared_row_t  *row;

    if (ngx_async_shared == NULL) {
        return 0;
    }

    n = 0;

    for (i = 0; i < NGX_ASYNC_RUNNERS; i++) {

        if (ngx_async_shared_noted[i] == 0) {
            continue;
        }

        row = &ngx_async_shared->rows[i];

        ngx_async_shared_lock();

        if (row->id[0] == ngx_async_shared_noted[i]) {
            ngx_async_shared_clear_row(row);
            n++;
        }

        ngx_async_shared_unlock();

        ngx_async_shared_noted[i] = 0;
    }

    return n;
}


void
ngx_async_shared_retire(void)
{
    if (ngx_async_shared_own) {
        ngx_async_set(&ngx_async_shared_own->retired, 1);
    }
}


void
ngx_async_shared_miss(ngx_uint_t row)
{
    if (ngx_async_shared && row < NGX_ASYNC_RUNNERS) {
        __atomic_store_n(&ngx_async_shared->rows[row].missed, 1,
                         __ATOMIC_SEQ_CST);
    }
}


ngx_uint_t
ngx_async_shared_missed(void)
{
    uint32_t  *missed;

    if (ngx_async_shared_own == NULL) {
        return 0;
    }

    missed = &ngx_async_shared_own->missed;

    return ngx_async_get(missed)
           && __atomic_exchange_n(missed, 0, __ATOMIC_SEQ_CST);
}


/*
 * The filter of a row is written by its own worker only.  A counter that has
 * reached its end stays there: it tells too much from then on, never less.
 */

#define ngx_async_shared_bucket(id)                                           \
    (((id)->bytes[14] << 8 | (id)->bytes[15]) % NGX_ASYNC_SHARED_WATCHES)


void
ngx_async_shared_watch(const ngx_async_id_t *id, ngx_int_t delta)
{
    uint16_t  *p;

    if (ngx_async_shared_own == NULL) {
        return;
    }

    p = &ngx_async_shared_own->watches[ngx_async_shared_bucket(id)];

    if (*p == 0xffff || (*p == 0 && delta < 0)) {
        return;
    }

    /* whoever adds a watch looks at the job next: not before this is seen */

    __atomic_store_n(p, *p + delta, __ATOMIC_SEQ_CST);
}


ngx_uint_t
ngx_async_shared_watched(ngx_uint_t row, const ngx_async_id_t *id)
{
    ngx_async_shared_row_t  *r;

    if (ngx_async_shared == NULL
        || row >= ngx_async_get(&ngx_async_shared->nrows))
    {
        return 0;
    }

    r = &ngx_async_shared->rows[row];

    return ngx_async_get(&r->id[0]) != 0
           && __atomic_load_n(&r->watches[ngx_async_shared_bucket(id)],
                              __ATOMIC_SEQ_CST)
              != 0;
}
