
/* sources: src/http/ngx_async_uri.c tests/unit/nginx_http.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "src/http/ngx_async_uri.h"


void nginx_http_free(void);


static void
check(const char *reference, const char *expected)
{
    ngx_str_t  origin, uri, ref, out;

    ngx_str_set(&origin, "http://a");
    ngx_str_set(&uri, "/b/c/d;p?q");

    ref.data = (u_char *) reference;
    ref.len = strlen(reference);

    assert_int_equal(ngx_async_uri_resolve(NULL, &origin, &uri, &ref, &out),
                     NGX_OK);

    if (out.len != strlen(expected)
        || memcmp(out.data, expected, out.len) != 0)
    {
        fail_msg("\"%s\": \"%.*s\"", reference, (int) out.len, out.data);
    }

    nginx_http_free();
}


/* the examples of RFC 3986, 5.4 */

static void
test_normal(void **state)
{
    check("g:h", "g:h");
    check("g", "http://a/b/c/g");
    check("./g", "http://a/b/c/g");
    check("g/", "http://a/b/c/g/");
    check("/g", "http://a/g");
    check("//g", "http://g");
    check("?y", "http://a/b/c/d;p?y");
    check("g?y", "http://a/b/c/g?y");
    check("#s", "http://a/b/c/d;p?q#s");
    check("g#s", "http://a/b/c/g#s");
    check("g?y#s", "http://a/b/c/g?y#s");
    check(";x", "http://a/b/c/;x");
    check("g;x?y#s", "http://a/b/c/g;x?y#s");
    check("", "http://a/b/c/d;p?q");
    check(".", "http://a/b/c/");
    check("./", "http://a/b/c/");
    check("..", "http://a/b/");
    check("../g", "http://a/b/g");
    check("../..", "http://a/");
    check("../../g", "http://a/g");
}


static void
test_abnormal(void **state)
{
    check("../../../g", "http://a/g");
    check("../../../../g", "http://a/g");
    check("/./g", "http://a/g");
    check("/../g", "http://a/g");
    check("g.", "http://a/b/c/g.");
    check("..g", "http://a/b/c/..g");
    check("./../g", "http://a/b/g");
    check("./g/.", "http://a/b/c/g/");
    check("g/./h", "http://a/b/c/g/h");
    check("g;x=1/../y", "http://a/b/c/y");
    check("g?y/./x", "http://a/b/c/g?y/./x");
    check("g#s/../x", "http://a/b/c/g#s/../x");
    check("/", "http://a/");
    check("/..", "http://a/");
    check(":x", "http://a/b/c/:x");
    check("1:x", "http://a/b/c/1:x");
    check("https://x/y/../z", "https://x/y/../z");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_abnormal)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
