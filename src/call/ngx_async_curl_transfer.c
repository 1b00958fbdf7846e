
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <arpa/inet.h>
#include "src/call/ngx_async_curl.h"


#define NGX_ASYNC_CURL_BUFFER  16384L


static CURLcode ngx_async_curl_set_defaults(ngx_async_curl_t *t);
static CURLcode ngx_async_curl_set_callbacks(ngx_async_curl_t *t);

static size_t ngx_async_curl_header(char *p, size_t size, size_t n,
    void *data);
static size_t ngx_async_curl_body(char *p, size_t size, size_t n, void *data);
static size_t ngx_async_curl_read(char *p, size_t size, size_t n, void *data);
static int ngx_async_curl_seek(void *data, curl_off_t offset, int origin);
static curl_socket_t ngx_async_curl_socket(void *data, curlsocktype purpose,
    struct curl_sockaddr *address);
static int ngx_async_curl_ready(void *data, char *address, char *local,
    int port, int local_port);
static ngx_int_t ngx_async_curl_check_text(ngx_async_curl_t *t, char *address,
    int port);


ngx_async_curl_t *
ngx_async_curl_create(const ngx_async_curl_handlers_t *handlers, void *data)
{
    ngx_async_curl_t  *t;

    t = ngx_calloc(sizeof(ngx_async_curl_t), ngx_cycle->log);
    if (t == NULL) {
        return NULL;
    }

    t->easy = curl_easy_init();
    if (t->easy == NULL) {
        ngx_free(t);
        return NULL;
    }

    t->handlers = handlers;
    t->data = data;

    if (ngx_async_curl_set_defaults(t) != CURLE_OK
        || ngx_async_curl_set_callbacks(t) != CURLE_OK)
    {
        curl_easy_cleanup(t->easy);
        ngx_free(t);
        return NULL;
    }

    return t;
}


static CURLcode
ngx_async_curl_set_defaults(ngx_async_curl_t *t)
{
    CURL        *easy;
    CURLcode     rc;
    ngx_uint_t   i;

    static const struct {
        CURLoption   option;
        long         value;
    } longs[] = {
        { CURLOPT_NOSIGNAL, 1 },
        { CURLOPT_NOPROGRESS, 1 },
        { CURLOPT_FOLLOWLOCATION, 0 },
        { CURLOPT_NETRC, CURL_NETRC_IGNORED },
        { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
        { CURLOPT_HTTP_CONTENT_DECODING, 0 },
        { CURLOPT_HTTP09_ALLOWED, 0 },
        { CURLOPT_PATH_AS_IS, 1 },
        { CURLOPT_TCP_KEEPALIVE, 1 },
        { CURLOPT_BUFFERSIZE, NGX_ASYNC_CURL_BUFFER },
        { CURLOPT_UPLOAD_BUFFERSIZE, NGX_ASYNC_CURL_BUFFER },

        /* a resolver's thread is left to end alone, not waited for */
        { CURLOPT_QUICK_EXIT, 1 },
    };

    easy = t->easy;

    for (i = 0; i < sizeof(longs) / sizeof(longs[0]); i++) {
        rc = curl_easy_setopt(easy, longs[i].option, longs[i].value);
        if (rc != CURLE_OK) {
            return rc;
        }
    }

    rc = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    if (rc != CURLE_OK) {
        return rc;
    }

    /* the empty string: none from the environment, either */

    rc = curl_easy_setopt(easy, CURLOPT_PROXY, "");
    if (rc != CURLE_OK) {
        return rc;
    }

    rc = curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
    if (rc != CURLE_OK) {
        return rc;
    }

    return curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *) t);
}


static CURLcode
ngx_async_curl_set_callbacks(ngx_async_curl_t *t)
{
    CURL      *easy;
    CURLcode   rc;

    easy = t->easy;

    rc = curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, ngx_async_curl_header);
    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    }

    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION,
                              ngx_async_curl_body);
    }

    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    }

    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION,
                              ngx_async_curl_ready);
    }

    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_PREREQDATA, t);
    }

    if (t->handlers->read && rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_READFUNCTION, ngx_async_curl_read);

        if (rc == CURLE_OK) {
            rc = curl_easy_setopt(easy, CURLOPT_READDATA, t);
        }

        if (rc == CURLE_OK) {
            rc = curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION,
                                  ngx_async_curl_seek);
        }

        if (rc == CURLE_OK) {
            rc = curl_easy_setopt(easy, CURLOPT_SEEKDATA, t);
        }
    }

    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION,
                              ngx_async_curl_socket);

        if (rc == CURLE_OK) {
            rc = curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
        }
    }

    return rc;
}


CURLcode
ngx_async_curl_set_tls(ngx_async_curl_t *t, ngx_uint_t verify,
    ngx_str_t *trusted)
{
    CURLcode  rc;

    /*
     * Only here: without TLS libcurl would look for HTTP/2 in vain, and keep
     * others waiting for the first response.
     */

    rc = curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION,
                          (long) CURL_HTTP_VERSION_2TLS);

    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER,
                              verify ? 1L : 0L);
    }

    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYHOST,
                              verify ? 2L : 0L);
    }

    /* a directory would keep libcurl from keeping the certificates it read */

    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(t->easy, CURLOPT_CAPATH, NULL);
    }

    if (rc == CURLE_OK && trusted->len) {
        rc = curl_easy_setopt(t->easy, CURLOPT_CAINFO, trusted->data);
    }

    return rc;
}


/*
 * The callbacks of libcurl.  A transfer that was destroyed meanwhile is still
 * known to libcurl until it can be removed: its user must not hear of it.
 */

static size_t
ngx_async_curl_header(char *p, size_t size, size_t n, void *data)
{
    ngx_async_curl_t  *t = data;

    n *= size;

    if (ngx_async_curl_dead(t)
        || t->handlers->header(t, (u_char *) p, n) != NGX_OK)
    {
        return n + 1;
    }

    return n;
}


static size_t
ngx_async_curl_body(char *p, size_t size, size_t n, void *data)
{
    ngx_int_t          rc;
    ngx_async_curl_t  *t = data;

    n *= size;

    if (ngx_async_curl_dead(t)) {
        return n + 1;
    }

    rc = t->handlers->body(t, (u_char *) p, n);

    if (rc == NGX_OK) {
        return n;
    }

    return (rc == NGX_AGAIN) ? CURL_WRITEFUNC_PAUSE : n + 1;
}


static size_t
ngx_async_curl_read(char *p, size_t size, size_t n, void *data)
{
    ssize_t            len;
    ngx_async_curl_t  *t = data;

    if (ngx_async_curl_dead(t)) {
        return CURL_READFUNC_ABORT;
    }

    len = t->handlers->read(t, (u_char *) p, size * n);

    if (len == NGX_AGAIN) {
        return CURL_READFUNC_PAUSE;
    }

    return (len < 0) ? CURL_READFUNC_ABORT : (size_t) len;
}


static int
ngx_async_curl_seek(void *data, curl_off_t offset, int origin)
{
    ngx_async_curl_t  *t = data;

    if (ngx_async_curl_dead(t)
        || origin != SEEK_SET
        || t->handlers->seek(t, (off_t) offset) != NGX_OK)
    {
        return CURL_SEEKFUNC_FAIL;
    }

    return CURL_SEEKFUNC_OK;
}


static curl_socket_t
ngx_async_curl_socket(void *data, curlsocktype purpose,
    struct curl_sockaddr *address)
{
    ngx_async_curl_t  *t = data;

    curl_socket_t  s;

    if (ngx_async_curl_dead(t)) {
        return CURL_SOCKET_BAD;
    }

    if (t->handlers->check
        && t->handlers->check(t, &address->addr) != NGX_OK)
    {
        t->refused = 1;
        return CURL_SOCKET_BAD;
    }

    s = socket(address->family, address->socktype, address->protocol);

    if (s != CURL_SOCKET_BAD) {
        ngx_async_curl_opened(t, s);
    }

    return s;
}


/* there is a connection, a new or a kept one, and the request is next */

static int
ngx_async_curl_ready(void *data, char *address, char *local, int port,
    int local_port)
{
    ngx_async_curl_t  *t = data;

    if (ngx_async_curl_dead(t)) {
        return CURL_PREREQFUNC_ABORT;
    }

    if (t->handlers->check
        && ngx_async_curl_check_text(t, address, port) != NGX_OK)
    {
        t->refused = 1;
        return CURL_PREREQFUNC_ABORT;
    }

    if (t->sent && !t->repeatable) {
        t->repeated = 1;
        return CURL_PREREQFUNC_ABORT;
    }

    t->sent = 1;

    return CURL_PREREQFUNC_OK;
}


static ngx_int_t
ngx_async_curl_check_text(ngx_async_curl_t *t, char *address, int port)
{
    struct sockaddr_in    sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6   sin6;
#endif

    ngx_memzero(&sin, sizeof(struct sockaddr_in));

    if (inet_pton(AF_INET, address, &sin.sin_addr) == 1) {
        sin.sin_family = AF_INET;
        sin.sin_port = htons((in_port_t) port);

        return t->handlers->check(t, (struct sockaddr *) &sin);
    }

#if (NGX_HAVE_INET6)

    ngx_memzero(&sin6, sizeof(struct sockaddr_in6));

    if (inet_pton(AF_INET6, address, &sin6.sin6_addr) == 1) {
        sin6.sin6_family = AF_INET6;
        sin6.sin6_port = htons((in_port_t) port);

        return t->handlers->check(t, (struct sockaddr *) &sin6);
    }

#endif

    return NGX_DECLINED;
}


const char *
ngx_async_curl_error(ngx_async_curl_t *t, CURLcode rc, const char **message)
{
    *message = t->error[0] ? t->error : curl_easy_strerror(rc);

    if (ngx_async_curl_refused(t)) {
        *message = "the address of the host is a private one";
        return "address_refused";
    }

    if (t->starved) {
        *message = "worker_connections are not enough";
        return "connect_failed";
    }

    if (t->repeated) {
        *message = "the connection was closed before a response came";
        return "connection_lost";
    }

    switch (rc) {

    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return "tls_certificate";

    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
        return "tls_failed";

    case CURLE_COULDNT_RESOLVE_HOST:
        return "resolve_failed";

    case CURLE_COULDNT_CONNECT:
        return "connect_failed";

    case CURLE_OPERATION_TIMEDOUT:
        return t->sent ? "timeout" : "connect_failed";

    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_BAD_CONTENT_ENCODING:
        return "bad_response";

    case CURLE_URL_MALFORMAT:
        return "bad_url";

    default:
        return t->sent ? "connection_lost" : "connect_failed";
    }
}
