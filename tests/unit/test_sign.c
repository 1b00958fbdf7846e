
/* sources: src/call/ngx_async_sign.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include "src/call/ngx_async_sign.h"


/* what the sources need of nginx */

void *
ngx_pnalloc(ngx_pool_t *pool, size_t size)
{
    return test_malloc(size);
}


ngx_int_t
ngx_decode_base64(ngx_str_t *dst, ngx_str_t *src)
{
    int  n;

    if (src->len % 4) {
        return NGX_ERROR;
    }

    n = EVP_DecodeBlock(dst->data, src->data, src->len);
    if (n < 0) {
        return NGX_ERROR;
    }

    while (src->len && src->data[src->len - 1] == '=') {
        src->len--;
        n--;
    }

    dst->len = n;

    return NGX_OK;
}


static ngx_int_t
key_of(const char *text, ngx_str_t *key)
{
    ngx_int_t  rc;
    ngx_str_t  secret;

    secret.data = (u_char *) text;
    secret.len = ngx_strlen(text);
    key->data = NULL;

    rc = ngx_async_sign_key(NULL, &secret, key);

    if (rc != NGX_OK && key->data) {
        test_free(key->data);
    }

    return rc;
}


static void
sign(ngx_str_t *keys, ngx_uint_t n, const char *content, char *out)
{
    u_char       *p;
    ngx_str_t     text;
    ngx_array_t   array;

    array.elts = keys;
    array.nelts = n;

    text.data = (u_char *) content;
    text.len = ngx_strlen(content);

    p = ngx_async_sign_write((u_char *) out, &array, &text);
    assert_non_null(p);

    *p = '\0';
}


/* the example of the specification */

#define CONTENT                                                               \
    "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}"

#define SIGNATURE  "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


static void
test_example(void **state)
{
    char       out[256];
    ngx_str_t  key;

    assert_int_equal(key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &key),
                     NGX_OK);
    assert_int_equal(key.len, 24);

    sign(&key, 1, CONTENT, out);

    assert_string_equal(out, SIGNATURE);
    assert_int_equal(ngx_strlen(out), NGX_ASYNC_SIGN_LEN);

    test_free(key.data);
}


static void
test_rotation(void **state)
{
    char       out[256], second[256];
    ngx_str_t  keys[2];

    assert_int_equal(key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                            &keys[0]),
                     NGX_OK);
    assert_int_equal(key_of("whsec_c2Vjb25kIHNlY3JldA==", &keys[1]), NGX_OK);
    assert_int_equal(keys[1].len, sizeof("second secret") - 1);

    sign(&keys[1], 1, CONTENT, second);
    sign(keys, 2, CONTENT, out);

    assert_true(ngx_strncmp(out, SIGNATURE " ", sizeof(SIGNATURE)) == 0);
    assert_string_equal(out + sizeof(SIGNATURE), second);

    test_free(keys[0].data);
    test_free(keys[1].data);
}


static void
test_bad_secrets(void **state)
{
    ngx_str_t  key;

    assert_int_equal(key_of("", &key), NGX_DECLINED);
    assert_int_equal(key_of("whsec_", &key), NGX_DECLINED);
    assert_int_equal(key_of("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &key),
                     NGX_DECLINED);
    assert_int_equal(key_of("whsec_!!!!", &key), NGX_DECLINED);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_bad_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
