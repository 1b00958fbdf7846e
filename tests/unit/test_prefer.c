
/* sources: src/base/ngx_async_prefer.c tests/unit/nginx_http.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "src/base/ngx_async_prefer.h"


void nginx_http_free(void);


typedef struct {
    const char  *key;
    const char  *value;
} field_t;


/* a copy without a zero at its end, so that reading too far is seen */

static ngx_str_t
text(const char *s)
{
    ngx_str_t  str;

    str.len = strlen(s);
    str.data = ngx_pnalloc(NULL, str.len);
    memcpy(str.data, s, str.len);

    return str;
}


static int
teardown(void **state)
{
    nginx_http_free();

    return 0;
}


static void
check_prefer(const char *value, int respond_async, int wait)
{
    ngx_str_t           s;
    ngx_async_prefer_t  p;

    memset(&p, 0, sizeof(p));
    s = text(value);

    ngx_async_prefer_parse_value(&p, s.data, s.len);

    if (p.respond_async != (unsigned) respond_async
        || p.wait_set != (wait >= 0)
        || (wait >= 0 && p.wait != (ngx_uint_t) wait))
    {
        fail_msg("Prefer: %s: respond-async %u, wait %u %lu", value,
                 p.respond_async, p.wait_set, (unsigned long) p.wait);
    }

    nginx_http_free();
}


static void
test_prefer(void **state)
{
    check_prefer("", 0, -1);
    check_prefer(",, ,", 0, -1);
    check_prefer("respond-async", 1, -1);
    check_prefer(" Respond-ASYNC ", 1, -1);
    check_prefer("respond-asyncx", 0, -1);
    check_prefer("respond-async, wait=10", 1, 10);
    check_prefer("wait=10,respond-async", 1, 10);
    check_prefer("wait = 10 , respond-async", 1, 10);
    check_prefer("WAIT=\"10\"", 0, 10);
    check_prefer("wait=0", 0, 0);
    check_prefer("wait=5, wait=9", 0, 5);
    check_prefer("wait=99999999999999999999999999", 0, 1000000);
    check_prefer("return=minimal; foo=\"some parameter\", respond-async", 1,
                 -1);
    check_prefer("respond-async; foo; bar=1, wait=3; x=\"a,b\"", 1, 3);
    check_prefer("respond-async=\"\"", 1, -1);
    check_prefer("respond-async;", 1, -1);
}


static void
test_prefer_malformed(void **state)
{
    check_prefer("wait", 0, -1);
    check_prefer("wait=", 0, -1);
    check_prefer("wait=-1", 0, -1);
    check_prefer("wait=1.5", 0, -1);
    check_prefer("wait=x, wait=7", 0, 7);
    check_prefer("wait 5, respond-async", 1, -1);
    check_prefer("respond-async=no", 0, -1);
    check_prefer("respond-async foo, wait=1", 0, 1);
    check_prefer("=, respond-async", 1, -1);
    check_prefer("a=b=c, respond-async", 1, -1);
    check_prefer("a\"b, respond-async, c\"d", 1, -1);
    check_prefer("a=\"b, respond-async", 1, -1);
    check_prefer("a=\"b, respond-async\"", 0, -1);
    check_prefer("a=\"b\\\", respond-async\", wait=2", 0, 2);
    check_prefer("a=\"b\\", 0, -1);
    check_prefer("respond-async;;x, wait=4", 1, 4);
    check_prefer("respond-async;=x, wait=4", 0, 4);
}


static void
check_strip(const char *value, const char *expected)
{
    ngx_str_t  in, out;

    in = text(value);

    assert_int_equal(ngx_async_prefer_strip(NULL, &in, &out), NGX_OK);

    if (out.len != strlen(expected)
        || memcmp(out.data, expected, out.len) != 0)
    {
        fail_msg("\"%s\" became \"%.*s\"", value, (int) out.len, out.data);
    }

    if (out.len > in.len) {
        fail_msg("\"%s\" has grown", value);
    }

    nginx_http_free();
}


static void
test_strip(void **state)
{
    check_strip("", "");
    check_strip("respond-async", "");
    check_strip("respond-async, wait=10", "");
    check_strip("a ,b", "a ,b");
    check_strip("return=minimal,respond-async", "return=minimal");
    check_strip("respond-async;x=1, handling=lenient; a=\"b,c\", Wait=5",
                "handling=lenient; a=\"b,c\"");
    check_strip("a,b,c,d,e,f,g,wait", "a,b,c,d,e,f,g");
    check_strip("wait=1, a, b,\tc , respond-async,d", "a, b,\tc,d");
    check_strip("wait=broken, bad=\"x", "bad=\"x");
}


static void
check_key(const char *value, ngx_int_t rc, const char *expected)
{
    ngx_int_t  got;
    ngx_str_t  in, key;

    in = text(value);
    got = ngx_async_prefer_key(NULL, &in, &key);

    if (got != rc
        || (rc == NGX_OK
            && (key.len != strlen(expected)
                || memcmp(key.data, expected, key.len) != 0)))
    {
        fail_msg("key %s: %ld", value, (long) got);
    }

    nginx_http_free();
}


static void
test_key(void **state)
{
    check_key("k", NGX_OK, "k");
    check_key("\"k\"", NGX_OK, "k");
    check_key("  \"k\"\t", NGX_OK, "k");
    check_key(" 8e03978e-40d5 ", NGX_OK, "8e03978e-40d5");
    check_key("", NGX_OK, "");
    check_key("   ", NGX_OK, "");
    check_key("\"a\\\"b\\\\\"", NGX_OK, "a\"b\\");
    check_key("\"k\";a=1", NGX_OK, "k");
    check_key("k\"", NGX_OK, "k\"");

    check_key("\"\"", NGX_DECLINED, NULL);
    check_key("\"", NGX_DECLINED, NULL);
    check_key("\"k", NGX_DECLINED, NULL);
    check_key("\"k\\", NGX_DECLINED, NULL);
    check_key("\"k\\x\"", NGX_DECLINED, NULL);
    check_key("\"k\"x", NGX_DECLINED, NULL);
    check_key("\"k\";", NGX_DECLINED, NULL);
    check_key("\"k\", \"l\"", NGX_DECLINED, NULL);
    check_key("\"k\001\"", NGX_DECLINED, NULL);
    check_key("\"k\303\244\"", NGX_DECLINED, NULL);
}


static void
test_urgency(void **state)
{
    ngx_uint_t  i;
    ngx_str_t   s;

    static struct {
        const char  *value;
        ngx_uint_t   urgency;
    } cases[] = {
        { "", 3 }, { "0", 0 }, { "7", 7 }, { "8", 3 }, { "10", 3 },
        { "u=0", 0 }, { "u=5, i", 5 }, { "i, u=2", 2 }, { "u=9", 3 },
        { "u=1, u=6", 6 }, { " u=4;x=1 ", 4 }, { "u", 3 }, { "U=1", 3 },
        { "x", 3 }, { "-1", 3 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = text(cases[i].value);

        if (ngx_async_prefer_urgency(&s) != cases[i].urgency) {
            fail_msg("urgency of \"%s\"", cases[i].value);
        }
    }
}


static void
test_is_urgency(void **state)
{
    ngx_uint_t  i;
    ngx_str_t   s;

    static struct {
        const char  *value;
        ngx_uint_t   is;
    } cases[] = {
        { "0", 1 }, { "7", 1 }, { "u=0", 1 }, { "u=7", 1 }, { " u=4;x=1 ", 1 },
        { "u=5, i", 1 }, { "i,u=2", 1 }, { "u=1, i=?1", 1 }, { "i=?0,u=1", 1 },
        { "", 0 }, { "8", 0 }, { "10", 0 }, { "-1", 0 }, { "x", 0 }, { "i", 0 },
        { "u", 0 }, { "U=1", 0 }, { "u=8", 0 }, { "u=", 0 }, { "u=1 2", 0 },
        { "u=1, u=6", 0 }, { "u=1, x", 0 }, { "u=1,, i", 0 }, { "3, i", 0 },
        { "u=1 i", 0 }, { "u=1, i=2", 0 }, { "u=1, i=?2", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = text(cases[i].value);

        if (ngx_async_prefer_is_urgency(&s) != cases[i].is) {
            fail_msg("\"%s\" as an urgency", cases[i].value);
        }
    }
}


static void
request(ngx_http_request_t *r, ngx_table_elt_t *headers, const field_t *fields,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    memset(r, 0, sizeof(ngx_http_request_t));
    memset(headers, 0, n * sizeof(ngx_table_elt_t));

    for (i = 0; i < n; i++) {
        headers[i].hash = 1;
        headers[i].key = text(fields[i].key);
        headers[i].value = text(fields[i].value);
    }

    r->headers_in.headers.part.elts = headers;
    r->headers_in.headers.part.nelts = n;
    r->headers_in.headers.last = &r->headers_in.headers.part;
}


static void
test_lines(void **state)
{
    ngx_table_elt_t     headers[3];
    ngx_http_request_t  r;
    ngx_async_prefer_t  p;

    static const field_t  fields[] = {
        { "prefer", "wait=4" }, { "Accept", "*/*" },
        { "Prefer", "wait=9, respond-async" }
    };

    request(&r, headers, fields, 3);
    ngx_async_prefer_parse(&r, &p);

    assert_true(p.respond_async);
    assert_true(p.wait_set);
    assert_int_equal(p.wait, 4);
}


static void
check_navigation(const field_t *fields, ngx_uint_t n, ngx_uint_t expected)
{
    ngx_table_elt_t     headers[4];
    ngx_http_request_t  r;

    request(&r, headers, fields, n);
    assert_int_equal(ngx_async_prefer_navigation(&r), expected);
}


static void
test_navigation(void **state)
{
    static const field_t  navigate[] = {
        { "Accept", "*/*" }, { "sec-fetch-mode", "navigate" }
    };
    static const field_t  fetch[] = {
        { "Accept", "text/html,application/xhtml+xml" },
        { "Sec-Fetch-Mode", "cors" }
    };
    static const field_t  site[] = {
        { "Accept", "text/html,application/xhtml+xml" },
        { "Sec-Fetch-Site", "none" }
    };
    static const field_t  old[] = {
        { "Accept", "Text/HTML, application/xhtml+xml;q=0.9, */*;q=0.8" }
    };
    static const field_t  html[] = { { "Accept", "text/html" } };

    check_navigation(navigate, 2, 1);
    check_navigation(fetch, 2, 0);
    check_navigation(site, 2, 0);
    check_navigation(old, 1, 1);
    check_navigation(html, 1, 0);
    check_navigation(NULL, 0, 0);
}


static void
test_wait_arg(void **state)
{
    ngx_uint_t          wait;
    ngx_http_request_t  r;

    memset(&r, 0, sizeof(r));

    r.args = text("a=1&wait=30");
    assert_true(ngx_async_prefer_wait_arg(&r, &wait));
    assert_int_equal(wait, 30);

    r.args = text("wait=");
    assert_false(ngx_async_prefer_wait_arg(&r, &wait));

    r.args = text("wait=1s");
    assert_false(ngx_async_prefer_wait_arg(&r, &wait));

    r.args = text("");
    assert_false(ngx_async_prefer_wait_arg(&r, &wait));
}


static void
test_last_event(void **state)
{
    uint32_t            version;
    ngx_uint_t          i;
    ngx_table_elt_t     header;
    ngx_http_request_t  r;

    static const field_t  good[] = {
        { "Last-Event-ID", "0" }, { "last-event-id", "4294967295" }
    };
    static const field_t  bad[] = {
        { "Last-Event-ID", "" }, { "Last-Event-ID", "-1" },
        { "Last-Event-ID", "4294967296" }, { "Last-Event-ID", "1 " },
        { "Last-Event-ID", "99999999999999999999" }, { "Last-Event", "1" }
    };

    request(&r, &header, &good[0], 1);
    assert_true(ngx_async_prefer_last_event(&r, &version));
    assert_int_equal(version, 0);

    request(&r, &header, &good[1], 1);
    assert_true(ngx_async_prefer_last_event(&r, &version));
    assert_int_equal(version, 0xffffffff);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        request(&r, &header, &bad[i], 1);
        assert_false(ngx_async_prefer_last_event(&r, &version));
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_teardown(test_prefer, teardown),
        cmocka_unit_test_teardown(test_prefer_malformed, teardown),
        cmocka_unit_test_teardown(test_strip, teardown),
        cmocka_unit_test_teardown(test_key, teardown),
        cmocka_unit_test_teardown(test_urgency, teardown),
        cmocka_unit_test_teardown(test_is_urgency, teardown),
        cmocka_unit_test_teardown(test_lines, teardown),
        cmocka_unit_test_teardown(test_navigation, teardown),
        cmocka_unit_test_teardown(test_wait_arg, teardown),
        cmocka_unit_test_teardown(test_last_event, teardown)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
