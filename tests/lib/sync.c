
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>


/*
 * Fails while there is a file SYNC_FAILS, and waits while there is one
 * SYNC_WAITS, which is renamed to SYNC_WAITING then.  While there is a file
 * SYNC_SECOND, each second call fails.  While there is a file SYNC_BLOB, the
 * calls for files in a directory "blobs" fail, with the number that it has.
 */

static int
fails(void)
{
    static int  n;

    if (rename(getenv("SYNC_WAITS"), getenv("SYNC_WAITING")) == 0) {
        while (access(getenv("SYNC_WAITING"), F_OK) == 0) {
            usleep(1000);
        }
    }

    if (access(getenv("SYNC_SECOND"), F_OK) == 0 && n++ % 2) {
        return 1;
    }

    return access(getenv("SYNC_FAILS"), F_OK) == 0;
}


static int
blob_fails(int fd)
{
    int    number;
    char   path[4096] = "", link[64];
    FILE  *f;

    sprintf(link, "/proc/self/fd/%d", fd);

    if (readlink(link, path, sizeof(path) - 1) == -1
        || strstr(path, "/blobs/") == NULL)
    {
        return 0;
    }

    f = fopen(getenv("SYNC_BLOB"), "r");

    if (f == NULL) {
        return 0;
    }

    if (fscanf(f, "%d", &number) == 1) {
        errno = number;
    }

    fclose(f);

    return 1;
}


int
fdatasync(int fd)
{
    int (*next)(int);

    if (blob_fails(fd)) {
        return -1;
    }

    if (fails()) {
        errno = EIO;
        return -1;
    }

    next = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
    return next(fd);
}


int
fsync(int fd)
{
    int (*next)(int);

    if (fails()) {
        errno = EIO;
        return -1;
    }

    next = (int (*)(int)) dlsym(RTLD_NEXT, "fsync");
    return next(fd);
}


int
msync(void *p, size_t n, int flags)
{
    int (*next)(void *, size_t, int);

    if (fails()) {
        errno = EIO;
        return -1;
    }

    next = (int (*)(void *, size_t, int)) dlsym(RTLD_NEXT, "msync");
    return next(p, n, flags);
}
