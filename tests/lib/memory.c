#include <errno.h>
#include <stdlib.h>
#include <unistd.h>


void *__libc_malloc(size_t size);


/* There is no memory of MEMORY_SIZE bytes while there is a file MEMORY_LACKS */

void *
malloc(size_t size)
{
    static size_t  lacks;

    char  *s;

    if (lacks == 0) {
        s = getenv("MEMORY_SIZE");
        lacks = s ? (size_t) atol(s) : (size_t) -1;
    }

    if (size == lacks && access(getenv("MEMORY_LACKS"), F_OK) == 0) {
        errno = ENOMEM;
        return NULL;
    }

    return __libc_malloc(size);
}
