
/* sources: src/base/ngx_async_id.c src/base/ngx_async_time.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "src/base/ngx_async_id.h"
#include "src/base/ngx_async_time.h"


/* nginx's own */
ngx_pid_t  ngx_pid;


static const char  example[] = "01981f3e-7a5c-7cc3-98c4-dc0c0c07398f";


static ngx_int_t
parse(ngx_async_id_t *id, const char *text)
{
    return ngx_async_id_parse(id, (const u_char *) text, strlen(text));
}


static void
text_is_read_and_written(void **state)
{
    u_char          text[NGX_ASYNC_ID_TEXT_LEN];
    ngx_async_id_t  id;

    assert_int_equal(parse(&id, example), NGX_OK);
    assert_int_equal(id.bytes[0], 0x01);
    assert_int_equal(id.bytes[15], 0x8f);

    assert_ptr_equal(ngx_async_id_format(text, &id), text + sizeof(text));
    assert_memory_equal(text, example, sizeof(text));
}


static void
either_case_is_read(void **state)
{
    ngx_async_id_t  a, b;

    assert_int_equal(parse(&a, example), NGX_OK);
    assert_int_equal(parse(&b, "01981F3E-7A5C-7CC3-98C4-DC0C0C07398F"),
                     NGX_OK);
    assert_int_equal(ngx_async_id_cmp(&a, &b), 0);
}


static void
anything_else_is_refused(void **state)
{
    size_t          i;
    char            text[sizeof(example)];
    ngx_async_id_t  id;

    static const char  *bad[] = {
        "",
        "01981f3e",
        "01981f3e-7a5c-7cc3-98c4-dc0c0c07398",
        "01981f3e-7a5c-7cc3-98c4-dc0c0c07398f0",
        "01981f3e7a5c-7cc3-98c4-dc0c0c07398f-",
        "01981f3e-7a5c-4cc3-98c4-dc0c0c07398f",     /* version 4 */
        "01981f3e-7a5c-7cc3-18c4-dc0c0c07398f",     /* variant 0 */
        "01981f3e-7a5c-7cc3-c8c4-dc0c0c07398f",
        "{1981f3e-7a5c-7cc3-98c4-dc0c0c07398}",
        "01981f3g-7a5c-7cc3-98c4-dc0c0c07398f"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse(&id, bad[i]), NGX_ERROR);
    }

    for (i = 0; i < sizeof(example) - 1; i++) {
        memcpy(text, example, sizeof(text));
        text[i] = ' ';
        assert_int_equal(parse(&id, text), NGX_ERROR);
    }
}


static void
ids_differ_and_follow_the_time(void **state)
{
    size_t          i;
    u_char          text[NGX_ASYNC_ID_TEXT_LEN];
    ngx_async_id_t  id[2], read;

    assert_int_equal(ngx_async_id_create(&id[1], 0x01981f3e7a5cULL), NGX_OK);

    assert_int_equal(id[1].bytes[0], 0x01);
    assert_int_equal(id[1].bytes[5], 0x5c);

    for (i = 0; i < 100; i++) {
        id[0] = id[1];

        assert_int_equal(ngx_async_id_create(&id[1], 0x01981f3e7a5dULL + i),
                         NGX_OK);
        assert_true(ngx_async_id_cmp(&id[0], &id[1]) < 0);
        assert_memory_not_equal(id[0].bytes + 8, id[1].bytes + 8, 8);

        ngx_async_id_format(text, &id[1]);
        assert_int_equal(ngx_async_id_parse(&read, text, sizeof(text)),
                         NGX_OK);
        assert_int_equal(ngx_async_id_cmp(&read, &id[1]), 0);
    }
}


static void
times_are_rfc_3339(void **state)
{
    size_t  i;
    u_char  text[NGX_ASYNC_TIME_TEXT_LEN];

    static const struct {
        uint64_t     msec;
        const char  *text;
    } times[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { 951782399999ULL, "2000-02-28T23:59:59.999Z" },
        { 951782400000ULL, "2000-02-29T00:00:00.000Z" },
        { 951868800001ULL, "2000-03-01T00:00:00.001Z" },
        { 1709164800000ULL, "2024-02-29T00:00:00.000Z" },
        { 1735689599000ULL, "2024-12-31T23:59:59.000Z" },
        { 4107542400000ULL, "2100-03-01T00:00:00.000Z" },
        { 253402300799999ULL, "9999-12-31T23:59:59.999Z" },
        { UINT64_MAX, "9999-12-31T23:59:59.999Z" }
    };

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        assert_ptr_equal(ngx_async_time_format(text, times[i].msec),
                         text + sizeof(text));
        assert_memory_equal(text, times[i].text, sizeof(text));
    }
}


static void
times_agree_with_the_c_library(void **state)
{
    char       expected[64];
    u_char     text[NGX_ASYNC_TIME_TEXT_LEN];
    time_t     sec;
    struct tm  tm;

    for (sec = 0; sec < 8000000000; sec += 86400 * 3 + 4567) {
        assert_non_null(gmtime_r(&sec, &tm));
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000Z", &tm);

        ngx_async_time_format(text, (uint64_t) sec * 1000);
        assert_memory_equal(text, expected, sizeof(text));
    }
}


static void
now_is_the_wall_clock(void **state)
{
    uint64_t  sec;

    sec = ngx_async_time_now() / 1000;

    assert_true(sec >= (uint64_t) time(NULL) - 1);
    assert_true(sec <= (uint64_t) time(NULL) + 1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(text_is_read_and_written),
        cmocka_unit_test(either_case_is_read),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(ids_differ_and_follow_the_time),
        cmocka_unit_test(times_are_rfc_3339),
        cmocka_unit_test(times_agree_with_the_c_library),
        cmocka_unit_test(now_is_the_wall_clock)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
