
/* sources: src/http/ngx_async_json.c src/base/ngx_async_time.c tests/unit/nginx_http.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "src/http/ngx_async_json.h"


static ngx_str_t
text(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = strlen(s);

    return str;
}


static void
check_string(const char *value, const char *expected)
{
    u_char            buf[256];
    size_t            len;
    ngx_str_t         s;
    ngx_async_json_t  j;

    s = text(value);

    memset(&j, 0, sizeof(j));
    ngx_async_json_string(&j, NULL, &s);
    len = j.len;

    memset(&j, 0, sizeof(j));
    j.pos = buf;
    ngx_async_json_string(&j, NULL, &s);

    assert_int_equal(j.len, len);
    assert_int_equal(j.pos - buf, (int) len);
    *j.pos = '\0';

    assert_string_equal((char *) buf, expected);
}


static void
test_escape(void **state)
{
    check_string("", "\"\"");
    check_string("plain", "\"plain\"");
    check_string("a\"b\\c/", "\"a\\\"b\\\\c/\"");
    check_string("\001\n\177", "\"\\u0001\\u000a\\u007f\"");
    check_string("\303\244\342\202\254\360\237\230\200",
                 "\"\303\244\342\202\254\360\237\230\200\"");
}


static void
test_not_utf8(void **state)
{
    check_string("\200x", "\"\\ufffdx\"");
    check_string("\303", "\"\\ufffd\"");
    check_string("\303x", "\"\\ufffdx\"");
    check_string("\300\200", "\"\\ufffd\\ufffd\"");
    check_string("\355\240\200", "\"\\ufffd\\ufffd\\ufffd\"");
    check_string("\340\200\257", "\"\\ufffd\\ufffd\\ufffd\"");
    check_string("\364\220\200\200", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
    check_string("\377", "\"\\ufffd\"");
}


static void
write_all(ngx_async_json_t *j)
{
    ngx_str_t  base, id;

    base = text("http://h/j/");
    id = text("ID");

    ngx_async_json_open(j, NULL, '{');
    ngx_async_json_number(j, "n", 18446744073709551615ULL);
    ngx_async_json_bool(j, "t", 1);
    ngx_async_json_bool(j, "f", 0);
    ngx_async_json_time(j, "none", 0);
    ngx_async_json_time(j, "time", 86400001);
    ngx_async_json_open(j, "empty", '{');
    ngx_async_json_close(j, '}');
    ngx_async_json_open(j, "list", '[');
    ngx_async_json_text(j, NULL, "a");
    ngx_async_json_text(j, NULL, "b");
    ngx_async_json_close(j, ']');
    ngx_async_json_link(j, "link", &base, &id, "/wait");
    ngx_async_json_close(j, '}');
}


static void
test_members(void **state)
{
    u_char            buf[512];
    size_t            len;
    ngx_async_json_t  j;

    memset(&j, 0, sizeof(j));
    write_all(&j);
    len = j.len;

    memset(&j, 0, sizeof(j));
    j.pos = buf;
    write_all(&j);

    assert_int_equal(j.pos - buf, (int) len);
    *j.pos = '\0';

    assert_string_equal((char *) buf,
        "{\"n\":18446744073709551615,\"t\":true,\"f\":false,"
        "\"time\":\"1970-01-02T00:00:00.001Z\",\"empty\":{},"
        "\"list\":[\"a\",\"b\"],\"link\":\"http://h/j/ID/wait\"}");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_members)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
