
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <arpa/inet.h>
#include "src/call/ngx_async_target.h"


typedef struct {
    u_char      bytes[16];
    ngx_uint_t  bits;
} ngx_async_target_net_t;

typedef struct {
    u_char      bytes[16];
    in_port_t   port;
} ngx_async_target_address_t;


static ngx_int_t ngx_async_target_normalize(struct sockaddr *sa,
    ngx_async_target_address_t *a);
static ngx_uint_t ngx_async_target_public(ngx_async_target_address_t *a);
static ngx_int_t ngx_async_target_check(ngx_async_target_address_t *a,
    ngx_array_t *allow);
static ngx_int_t ngx_async_target_read_address(ngx_async_target_t *t,
    ngx_async_target_address_t *a);
static ngx_uint_t ngx_async_target_literal(ngx_async_target_t *prefix,
    ngx_async_target_address_t *a);
static ngx_uint_t ngx_async_target_in(const ngx_async_target_net_t *net,
    const u_char *address);


/* all in the form of IPv6, IPv4 as mapped addresses */

#define ngx_async_target_net4(a, b, c, d, bits)                               \
    { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d }, 96 + bits }

static const ngx_async_target_net_t  ngx_async_target_private[] = {
    ngx_async_target_net4(0, 0, 0, 0, 8),           /* this network */
    ngx_async_target_net4(10, 0, 0, 0, 8),
    ngx_async_target_net4(100, 64, 0, 0, 10),       /* carrier-grade NAT */
    ngx_async_target_net4(127, 0, 0, 0, 8),
    ngx_async_target_net4(169, 254, 0, 0, 16),      /* link-local, metadata */
    ngx_async_target_net4(172, 16, 0, 0, 12),
    ngx_async_target_net4(192, 0, 0, 0, 24),        /* IETF protocols */
    ngx_async_target_net4(192, 0, 2, 0, 24),        /* documentation */
    ngx_async_target_net4(192, 88, 99, 0, 24),      /* 6to4 relays */
    ngx_async_target_net4(192, 168, 0, 0, 16),
    ngx_async_target_net4(198, 18, 0, 0, 15),       /* benchmarks */
    ngx_async_target_net4(198, 51, 100, 0, 24),     /* documentation */
    ngx_async_target_net4(203, 0, 113, 0, 24),      /* documentation */
    ngx_async_target_net4(224, 0, 0, 0, 4),         /* multicast */
    ngx_async_target_net4(240, 0, 0, 0, 4),         /* reserved, broadcast */
};

/* of IPv6 only this is assigned to hosts on the internet ... */

static const ngx_async_target_net_t  ngx_async_target_global =
    { { 0x20 }, 3 };

/* ... less these */

static const ngx_async_target_net_t  ngx_async_target_private6[] = {
    { { 0x20, 0x01, 0x00 }, 23 },                   /* Teredo, ORCHID ... */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32 },             /* documentation */
    { { 0x20, 0x02 }, 16 },                         /* 6to4: holds IPv4 */
    { { 0x3f, 0xff, 0x00 }, 20 },                   /* documentation */
};


ngx_int_t
ngx_async_target_address(struct sockaddr *sa, ngx_array_t *allow)
{
    ngx_async_target_address_t  a;

    if (ngx_async_target_normalize(sa, &a) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_async_target_check(&a, allow);
}


static ngx_int_t
ngx_async_target_check(ngx_async_target_address_t *a, ngx_array_t *allow)
{
    ngx_str_t           *prefix;
    const char          *why;
    ngx_uint_t           i;
    ngx_async_target_t   p;

    if (ngx_async_target_public(a)) {
        return NGX_OK;
    }

    if (allow == NULL) {
        return NGX_DECLINED;
    }

    prefix = allow->elts;

    for (i = 0; i < allow->nelts; i++) {
        if (ngx_async_target_parse(&p, &prefix[i], 1, &why) == NGX_OK
            && ngx_async_target_literal(&p, a))
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_async_target_normalize(struct sockaddr *sa, ngx_async_target_address_t *a)
{
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    ngx_memzero(a, sizeof(ngx_async_target_address_t));

    switch (sa->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) sa;

        a->bytes[10] = 0xff;
        a->bytes[11] = 0xff;
        ngx_memcpy(a->bytes + 12, &sin->sin_addr, 4);
        a->port = ntohs(sin->sin_port);

        return NGX_OK;

    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;

        ngx_memcpy(a->bytes, &sin6->sin6_addr, 16);
        a->port = ntohs(sin6->sin6_port);

        return NGX_OK;
    }

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_async_target_public(ngx_async_target_address_t *a)
{
    ngx_uint_t  i, n;

    static const ngx_async_target_net_t  mapped =
        ngx_async_target_net4(0, 0, 0, 0, 0);

    if (ngx_async_target_in(&mapped, a->bytes)) {

        n = sizeof(ngx_async_target_private)
            / sizeof(ngx_async_target_private[0]);

        for (i = 0; i < n; i++) {
            if (ngx_async_target_in(&ngx_async_target_private[i], a->bytes)) {
                return 0;
            }
        }

        return 1;
    }

    if (!ngx_async_target_in(&ngx_async_target_global, a->bytes)) {
        return 0;
    }

    n = sizeof(ngx_async_target_private6)
        / sizeof(ngx_async_target_private6[0]);

    for (i = 0; i < n; i++) {
        if (ngx_async_target_in(&ngx_async_target_private6[i], a->bytes)) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_async_target_in(const ngx_async_target_net_t *net, const u_char *address)
{
    u_char      mask;
    ngx_uint_t  n;

    n = net->bits / 8;

    if (ngx_memcmp(net->bytes, address, n) != 0) {
        return 0;
    }

    if (net->bits % 8 == 0) {
        return 1;
    }

    mask = (u_char) (0xff << (8 - net->bits % 8));

    return ((net->bytes[n] ^ address[n]) & mask) == 0;
}


/* the host of a prefix is this very address */

static ngx_uint_t
ngx_async_target_literal(ngx_async_target_t *prefix,
    ngx_async_target_address_t *a)
{
    ngx_async_target_address_t  literal;

    return !prefix->wildcard
           && prefix->port == a->port
           && ngx_async_target_read_address(prefix, &literal) == NGX_OK
           && ngx_memcmp(literal.bytes, a->bytes, 16) == 0;
}


ngx_int_t
ngx_async_target_host(ngx_async_target_t *t, ngx_array_t *allow)
{
    ngx_async_target_address_t  a;

    switch (ngx_async_target_read_address(t, &a)) {

    case NGX_OK:
        return ngx_async_target_check(&a, allow);

    case NGX_DECLINED:
        return NGX_OK;

    default:
        return NGX_DECLINED;
    }
}


/* NGX_DECLINED: the host is a name; NGX_ERROR: it is nothing at all */

static ngx_int_t
ngx_async_target_read_address(ngx_async_target_t *t,
    ngx_async_target_address_t *a)
{
    char  text[NGX_ASYNC_TARGET_HOST_MAX + 1];

    ngx_memzero(a, sizeof(ngx_async_target_address_t));

    a->port = t->port;

    if (inet_pton(AF_INET, (char *) t->host, a->bytes + 12) == 1) {
        a->bytes[10] = 0xff;
        a->bytes[11] = 0xff;

        return NGX_OK;
    }

    if (t->host[0] != '[') {
        return NGX_DECLINED;
    }

    /* less the brackets */

    (void) ngx_cpystrn((u_char *) text, t->host + 1, t->host_len - 1);

    return inet_pton(AF_INET6, text, a->bytes) == 1 ? NGX_OK : NGX_ERROR;
}
