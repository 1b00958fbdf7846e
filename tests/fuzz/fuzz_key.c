
/* sources: src/base/ngx_async_prefer.c src/base/ngx_async_id.c tests/unit/nginx_http.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include "src/base/ngx_async_id.h"
#include "src/base/ngx_async_prefer.h"


void nginx_http_free(void);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* idempotency keys, and ids: what is read as an id is written as the same */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    u_char          text[NGX_ASYNC_ID_TEXT_LEN];
    ngx_int_t       rc;
    ngx_str_t       value, key;
    ngx_async_id_t  id;

    value.data = (u_char *) data;
    value.len = size;

    rc = ngx_async_prefer_key(NULL, &value, &key);

    if ((rc != NGX_OK && rc != NGX_DECLINED)
        || (rc == NGX_OK && key.len > size))
    {
        abort();
    }

    if (ngx_async_id_parse(&id, value.data, value.len) == NGX_OK) {

        if (ngx_async_id_format(text, &id) != text + NGX_ASYNC_ID_TEXT_LEN
            || ngx_strncasecmp(text, value.data, size) != 0)
        {
            abort();
        }
    }

    nginx_http_free();

    return 0;
}
