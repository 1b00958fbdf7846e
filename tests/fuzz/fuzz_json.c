
/* sources: src/http/ngx_async_json.c src/base/ngx_async_time.c tests/unit/nginx_http.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/http/ngx_async_json.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* a string is as long as was counted, and has nothing raw that it must not */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char            *p;
    size_t             i;
    ngx_str_t          value;
    ngx_async_json_t   j;

    value.data = (u_char *) data;
    value.len = size;

    memset(&j, 0, sizeof(j));
    ngx_async_json_string(&j, NULL, &value);

    p = malloc(j.len);

    memset(&j, 0, sizeof(j));
    j.pos = p;
    ngx_async_json_string(&j, NULL, &value);

    if (j.pos != p + j.len || p[0] != '"' || p[j.len - 1] != '"') {
        abort();
    }

    for (i = 1; i + 1 < j.len; i++) {
        if (p[i] < 0x20 || p[i] == '"') {
            abort();
        }

        if (p[i] == '\\') {
            i++;
        }
    }

    free(p);

    return 0;
}
