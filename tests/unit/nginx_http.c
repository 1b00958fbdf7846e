
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * What the parsers and writers of src/http need of nginx, for programs that
 * are not linked with it.  Memory of pools is the heap's, so that a sanitizer
 * sees every byte too far; nginx_http_free() frees all of it.
 */

void nginx_http_free(void);


ngx_pid_t          ngx_pid;

static void       *blocks[64];
static ngx_uint_t  nblocks;


void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    if (nblocks == 64) {
        abort();
    }

    p = malloc(size ? size : 1);
    blocks[nblocks++] = p;

    return p;
}


void
nginx_http_free(void)
{
    while (nblocks) {
        free(blocks[--nblocks]);
    }
}


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((char *) s1, (char *) s2, n);
}


ngx_int_t
ngx_http_arg(ngx_http_request_t *r, u_char *name, size_t len, ngx_str_t *value)
{
    u_char  *p, *last;

    p = r->args.data;
    last = p + r->args.len;

    for ( /* void */ ; p + len < last; p++) {

        if ((p == r->args.data || p[-1] == '&')
            && ngx_strncasecmp(p, name, len) == 0 && p[len] == '=')
        {
            value->data = p + len + 1;

            for (p = value->data; p < last && *p != '&'; p++) { /* void */ }

            value->len = p - value->data;

            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_atoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    if (n == 0) {
        return NGX_ERROR;
    }

    for (value = 0; n--; line++) {

        if (*line < '0' || *line > '9'
            || value > (NGX_MAX_INT_T_VALUE - (*line - '0')) / 10)
        {
            return NGX_ERROR;
        }

        value = value * 10 + (*line - '0');
    }

    return value;
}


/* the two formats of ngx_async_json.c */

u_char * ngx_cdecl
ngx_sprintf(u_char *buf, const char *fmt, ...)
{
    int      n;
    char     text[32];
    va_list  args;

    va_start(args, fmt);

    if (strcmp(fmt, "%uL") == 0) {
        n = snprintf(text, sizeof(text), "%" PRIu64, va_arg(args, uint64_t));

    } else if (strcmp(fmt, "\\u00%02xi") == 0) {
        n = snprintf(text, sizeof(text), "\\u00%02x",
                     (unsigned) va_arg(args, ngx_int_t));

    } else {
        abort();
    }

    va_end(args);

    /* without a zero at the end, as nginx's own */

    return ngx_cpymem(buf, text, n);
}
