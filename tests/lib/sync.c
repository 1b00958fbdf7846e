
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/mman.h>


/*
 * Fails while there is a file SYNC_FAILS, and waits while there is one
 * SYNC_WAITS, which is renamed to SYNC_WAITING then.  While there is a file
 * SYNC_SECOND, each second call fails.
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


int
fdatasync(int fd)
{
    int (*next)(int);

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
