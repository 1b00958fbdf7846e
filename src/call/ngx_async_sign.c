
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "src/call/ngx_async_sign.h"


ngx_int_t
ngx_async_sign_key(ngx_pool_t *pool, ngx_str_t *secret, ngx_str_t *key)
{
    ngx_str_t  text;

    if (secret->len <= sizeof("whsec_") - 1
        || ngx_strncmp(secret->data, "whsec_", sizeof("whsec_") - 1) != 0)
    {
        return NGX_DECLINED;
    }

    text.data = secret->data + sizeof("whsec_") - 1;
    text.len = secret->len - (sizeof("whsec_") - 1);

    key->data = ngx_pnalloc(pool, ngx_base64_decoded_length(text.len));
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    if (ngx_decode_base64(key, &text) != NGX_OK || key->len == 0) {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


u_char *
ngx_async_sign_write(u_char *p, ngx_array_t *keys, ngx_str_t *content)
{
    u_char         digest[EVP_MAX_MD_SIZE];
    ngx_str_t     *key;
    ngx_uint_t     i;
    unsigned int   len;

    /* EVP_EncodeBlock() ends what it writes with a zero byte */

    u_char         text[4 * ((EVP_MAX_MD_SIZE + 2) / 3) + 1];

    key = keys->elts;

    for (i = 0; i < keys->nelts; i++) {

        if (HMAC(EVP_sha256(), key[i].data, (int) key[i].len, content->data,
                 content->len, digest, &len)
            == NULL)
        {
            return NULL;
        }

        if (i) {
            *p++ = ' ';
        }

        *p++ = 'v';
        *p++ = '1';
        *p++ = ',';

        p = ngx_cpymem(p, text, EVP_EncodeBlock(text, digest, (int) len));
    }

    return p;
}
