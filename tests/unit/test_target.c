
/* sources: src/call/ngx_async_target.c src/call/ngx_async_target_address.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "src/call/ngx_async_target.h"


/* what the sources need of nginx */

ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((char *) s1, (char *) s2, n);
}


u_char *
ngx_cpystrn(u_char *dst, u_char *src, size_t n)
{
    return dst + snprintf((char *) dst, n, "%s", src);
}


static ngx_str_t
str(const char *text)
{
    ngx_str_t  s;

    s.data = (u_char *) text;
    s.len = ngx_strlen(text);

    return s;
}


static const char *
parse(ngx_async_target_t *t, const char *text)
{
    ngx_str_t    url;
    const char  *why;

    url = str(text);
    why = NULL;

    if (ngx_async_target_parse(t, &url, 0, &why) == NGX_OK) {
        return NULL;
    }

    assert_non_null(why);

    return why;
}


static ngx_int_t
allowed(const char *text, const char *prefix)
{
    ngx_str_t           p;
    ngx_array_t         allow;
    ngx_async_target_t  t;

    if (parse(&t, text) != NULL) {
        return NGX_DECLINED;
    }

    p = str(prefix);
    allow.elts = &p;
    allow.nelts = 1;

    return ngx_async_target_allowed(&t, &allow);
}


static ngx_int_t
address(const char *text, int port, const char *prefix)
{
    ngx_str_t            p;
    ngx_array_t          allow;
    struct sockaddr_in   sin;
    struct sockaddr_in6  sin6;

    p = str(prefix ? prefix : "");
    allow.elts = &p;
    allow.nelts = prefix ? 1 : 0;

    ngx_memzero(&sin, sizeof(struct sockaddr_in));
    ngx_memzero(&sin6, sizeof(struct sockaddr_in6));

    if (inet_pton(AF_INET, text, &sin.sin_addr) == 1) {
        sin.sin_family = AF_INET;
        sin.sin_port = htons(port);
        return ngx_async_target_address((struct sockaddr *) &sin, &allow);
    }

    assert_int_equal(inet_pton(AF_INET6, text, &sin6.sin6_addr), 1);

    sin6.sin6_family = AF_INET6;
    sin6.sin6_port = htons(port);

    return ngx_async_target_address((struct sockaddr *) &sin6, &allow);
}


static void
test_parts(void **state)
{
    ngx_async_target_t  t;

    assert_null(parse(&t, "https://Hooks.Example.COM./a/b?c=d"));
    assert_true(t.https);
    assert_string_equal(t.host, "hooks.example.com");
    assert_int_equal(t.port, 443);
    assert_string_equal(t.path, "/a/b?c=d");

    assert_null(parse(&t, "http://example.com"));
    assert_false(t.https);
    assert_int_equal(t.port, 80);
    assert_string_equal(t.path, "/");

    assert_null(parse(&t, "http://[2606:4700::1]:8080/"));
    assert_string_equal(t.host, "[2606:4700::1]");
    assert_int_equal(t.port, 8080);
}


static void
test_refused(void **state)
{
    ngx_async_target_t  t;

    static const char  *urls[] = {
        "",
        "example.com/hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "http://",
        "http:///",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://good.example.com@evil.example.net/",
        "http://example.com/#fragment",
        "http://[fe80::1%25eth0]/",
        "http://example.com:99999/",
        "http://example.com:80a/",
        "http://exa mple.com/",
        "http://example.com/a b",
        "http://example.com/\r\nX: y",
        "http://example.com\\@evil.example.net/",
        "http://ex%0aample.com/",
        "http://ex\xc3\xa4mple.com/",
        "http://example.com/a/../b",
        "http://example.com/a/%2e%2E/b",
        "http://example.com/a/.%2e",
        "http://example.com/a/..%2fb",
        "http://example.com/a/..;/b",
        "http://example.com/.",
        NULL
    };

    ngx_uint_t  i;

    for (i = 0; urls[i]; i++) {
        if (parse(&t, urls[i]) == NULL) {
            fail_msg("\"%s\" was taken", urls[i]);
        }
    }
}


static void
test_too_long(void **state)
{
    char                url[NGX_ASYNC_TARGET_URL_MAX + 2];
    ngx_async_target_t  t;

    ngx_memset(url, 'a', sizeof(url) - 1);
    ngx_memcpy(url, "http://example.com/", sizeof("http://example.com/") - 1);

    url[NGX_ASYNC_TARGET_URL_MAX + 1] = '\0';
    assert_non_null(parse(&t, url));

    url[NGX_ASYNC_TARGET_URL_MAX] = '\0';
    assert_null(parse(&t, url));
}


/* other spellings of an address are that address */

static void
test_numeric_hosts(void **state)
{
    ngx_async_target_t  t;

    static const char  *urls[] = {
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        NULL
    };

    ngx_uint_t  i;

    for (i = 0; urls[i]; i++) {
        assert_null(parse(&t, urls[i]));
        assert_string_equal(t.host, "127.0.0.1");
    }
}


static void
test_prefixes(void **state)
{
    const char  *p;

    p = "https://hooks.example.com/in";

    assert_int_equal(allowed("https://hooks.example.com/in", p), NGX_OK);
    assert_int_equal(allowed("https://HOOKS.example.com:443/in", p), NGX_OK);
    assert_int_equal(allowed("https://hooks.example.com/in/1", p), NGX_OK);
    assert_int_equal(allowed("https://hooks.example.com/in?a=b", p), NGX_OK);

    assert_int_not_equal(allowed("https://hooks.example.com/inside", p),
                         NGX_OK);
    assert_int_not_equal(allowed("https://hooks.example.com/", p), NGX_OK);
    assert_int_not_equal(allowed("http://hooks.example.com/in", p), NGX_OK);
    assert_int_not_equal(allowed("https://hooks.example.com:8443/in", p),
                         NGX_OK);
    assert_int_not_equal(allowed("https://hooks.example.com.evil.net/in", p),
                         NGX_OK);
    assert_int_not_equal(allowed("https://hooks.example.com@evil.net/in", p),
                         NGX_OK);
    assert_int_not_equal(allowed("https://evil.net/hooks.example.com/in", p),
                         NGX_OK);
    assert_int_not_equal(allowed("https://xhooks.example.com/in", p), NGX_OK);
    assert_int_not_equal(allowed("https://hooks.example.com/in/../x", p),
                         NGX_OK);

    assert_int_equal(allowed("https://hooks.example.com/x",
                             "https://hooks.example.com"),
                     NGX_OK);
}


static void
test_subdomains(void **state)
{
    const char  *p;

    p = "https://*.example.com/";

    assert_int_equal(allowed("https://a.example.com/", p), NGX_OK);
    assert_int_equal(allowed("https://a.b.example.com/x", p), NGX_OK);

    assert_int_not_equal(allowed("https://example.com/", p), NGX_OK);
    assert_int_not_equal(allowed("https://aexample.com/", p), NGX_OK);
    assert_int_not_equal(allowed("https://.example.com/", p), NGX_OK);
    assert_int_not_equal(allowed("https://a.example.com.evil.net/", p),
                         NGX_OK);
    assert_int_not_equal(allowed("http://a.example.com/", p), NGX_OK);
    assert_int_not_equal(allowed("https://*.example.com/", p), NGX_OK);
}


static void
test_addresses(void **state)
{
    ngx_uint_t  i;

    static const char  *private[] = {
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1",
        "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255",
        "192.0.0.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
        "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
        "64:ff9b::7f00:1", "fe80::1", "fec0::1", "fc00::1", "fd12::1",
        "ff02::1", "2001::1", "2001:db8::1", "2002:7f00:1::1", NULL
    };

    static const char  *public[] = {
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255",
        "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255",
        "198.17.255.255", "198.20.0.0", "223.255.255.255",
        "::ffff:1.1.1.1", "2606:4700:4700::1111", "2a00:1450::1", NULL
    };

    for (i = 0; private[i]; i++) {
        if (address(private[i], 80, NULL) == NGX_OK) {
            fail_msg("%s is not public", private[i]);
        }
    }

    for (i = 0; public[i]; i++) {
        if (address(public[i], 80, NULL) != NGX_OK) {
            fail_msg("%s is public", public[i]);
        }
    }
}


static void
test_literal_addresses(void **state)
{
    assert_int_equal(address("127.0.0.1", 8080, "http://127.0.0.1:8080/"),
                     NGX_OK);
    assert_int_equal(address("::1", 8080, "http://[::1]:8080/hook"), NGX_OK);

    assert_int_not_equal(address("127.0.0.1", 80, "http://127.0.0.1:8080/"),
                         NGX_OK);
    assert_int_not_equal(address("127.0.0.2", 8080, "http://127.0.0.1:8080/"),
                         NGX_OK);
    assert_int_not_equal(address("127.0.0.1", 80, "http://localhost/"),
                         NGX_OK);
    assert_int_not_equal(address("::2", 8080, "http://[::1]:8080/"), NGX_OK);
}


static void
test_hosts(void **state)
{
    ngx_async_target_t  t;

    assert_null(parse(&t, "http://localhost/"));
    assert_int_equal(ngx_async_target_host(&t, NULL), NGX_OK);

    assert_null(parse(&t, "http://1.1.1.1/"));
    assert_int_equal(ngx_async_target_host(&t, NULL), NGX_OK);

    assert_null(parse(&t, "http://[2606:4700::1]/"));
    assert_int_equal(ngx_async_target_host(&t, NULL), NGX_OK);

    assert_null(parse(&t, "http://0x7f.1/"));
    assert_int_not_equal(ngx_async_target_host(&t, NULL), NGX_OK);

    assert_null(parse(&t, "http://[::1]/"));
    assert_int_not_equal(ngx_async_target_host(&t, NULL), NGX_OK);

    assert_null(parse(&t, "http://[::ffff:127.0.0.1]/"));
    assert_int_not_equal(ngx_async_target_host(&t, NULL), NGX_OK);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_numeric_hosts),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_subdomains),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_literal_addresses),
        cmocka_unit_test(test_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
