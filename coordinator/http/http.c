#include "coordinator/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "coordinator/http/origin.h"
#include "coordinator/http/reply.h"
#include "coordinator/http/stream.h"

#define CONNECTIONS  256
#define IDLE_S       30
#define ANSWER_NS    (60 * NS_PER_S) /* a request that waits longer for service or store is answered 503 */
#define SWEEP_MS     1000
#define POOL_BYTES   (64 << 10) /* of a connection: headers, and the piece of a body that is seen at once */
#define RUNS_AT_ONCE 8          /* of MHD_run before the rest of the loop has its turn */

struct http {
    zloop_t *loop;
    struct service *service; /* NULL: closing */
    struct MHD_Daemon *daemon;
    int port;
    int timer, sweeper;       /* zloop timers, -1: none */
    struct request *requests; /* all whose connection lives */
};

/* --- the loop --- */

static void run(struct http *h);

static int on_timer(zloop_t *loop, int timer, void *arg)
{
    struct http *h = arg;
    (void)loop;
    (void)timer;
    h->timer = -1; /* it was for once */
    run(h);
    return 0;
}

static int on_readable(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    (void)loop;
    (void)item;
    run(arg);
    return 0;
}

/* libmicrohttpd keeps what it already knows to be ready to itself and says so by a time to wait of 0. */
static void run(struct http *h)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;
    int has_timeout = MHD_NO;
    for (int i = 0; i < RUNS_AT_ONCE; i++) {
        MHD_run(h->daemon);
        has_timeout = MHD_get_timeout(h->daemon, &ms);
        if (has_timeout != MHD_YES || ms > 0)
            break;
    }
    if (h->timer >= 0)
        zloop_timer_end(h->loop, h->timer);
    h->timer = has_timeout == MHD_YES ? zloop_timer(h->loop, ms ? (size_t)ms : 1, 1, on_timer, h) : -1;
}

/* Under a loop of ours a resumed connection makes no descriptor readable: the library must be called. */
static void run_soon(struct http *h)
{
    if (h->timer >= 0)
        zloop_timer_end(h->loop, h->timer);
    h->timer = zloop_timer(h->loop, 1, 1, on_timer, h);
}

/* --- requests --- */

static struct request *request_new(struct http *h, struct MHD_Connection *c)
{
    struct request *r = xcalloc(1, sizeof(*r));
    r->http = h;
    r->service = h->service;
    r->c = c;
    r->next = h->requests;
    r->link = &h->requests;
    if (r->next)
        r->next->link = &r->next;
    h->requests = r;
    return r;
}

static void request_free(struct request *r)
{
    if (r->response)
        MHD_destroy_response(r->response);
    stream_free(r->stream);
    buf_release(&r->body);
    buf_release(&r->answer);
    free(r);
}

static void request_over(struct request *r)
{
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    r->http = NULL;
    r->c = NULL;
    if (r->owed == 0)
        request_free(r);
}

void request_expect(struct request *r)
{
    r->owed++;
}

bool request_arrived(struct request *r)
{
    r->owed--;
    if (r->c)
        return true;
    if (r->owed == 0)
        request_free(r);
    return false;
}

void request_sleep(struct request *r)
{
    r->suspended = true;
    r->deadline_ns = clock_mono_ns() + ANSWER_NS;
    MHD_suspend_connection(r->c);
}

void request_wake(struct request *r)
{
    if (!r->suspended)
        return;
    r->suspended = false;
    MHD_resume_connection(r->c);
    run_soon(r->http);
}

void request_answer(struct request *r, int status, const char *json, size_t n)
{
    if (r->status)
        return;
    r->status = status;
    buf_append(&r->answer, json, n);
    request_wake(r);
}

void request_fail(struct request *r, const struct err *e)
{
    struct buf b = {0};
    reply_error(&b, e->text);
    request_answer(r, reply_status(e->code), (const char *)b.p, b.n);
    buf_release(&b);
}

void request_respond(struct request *r, int status, struct MHD_Response *response)
{
    if (r->status) {
        MHD_destroy_response(response);
        return;
    }
    r->status = status;
    r->response = response;
    request_wake(r);
}

static int on_sweep(zloop_t *loop, int timer, void *arg)
{
    struct http *h = arg;
    struct err e;
    (void)loop;
    (void)timer;
    int64_t now = clock_mono_ns();
    err_set(&e, ERR_TIMEOUT, "no answer within %d s", (int)(ANSWER_NS / NS_PER_S));
    for (struct request *r = h->requests; r; r = r->next)
        if (r->suspended && now > r->deadline_ns) {
            r->late = true;
            request_fail(r, &e);
            request_wake(r); /* one that has its answer already, and sleeps in the middle of sending it */
        }
    return 0;
}

/* --- what libmicrohttpd calls --- */

static enum MHD_Result send_answer(struct request *r)
{
    struct MHD_Response *m = r->response;
    if (!m) {
        m = MHD_create_response_from_buffer(r->answer.n, r->answer.p, MHD_RESPMEM_MUST_COPY);
        if (!m)
            return MHD_NO;
        MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
        MHD_add_response_header(m, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    }
    r->response = NULL;
    enum MHD_Result rc = MHD_queue_response(r->c, (unsigned)r->status, m);
    MHD_destroy_response(m);
    return rc;
}

static void refuse(struct request *r, int status, const char *why)
{
    struct buf b = {0};
    reply_error(&b, why);
    request_answer(r, status, (const char *)b.p, b.n);
    buf_release(&b);
}

static const char *header(struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->c, MHD_HEADER_KIND, name);
}

static void check_origin(struct request *r)
{
    const char *host = header(r, MHD_HTTP_HEADER_HOST), *origin = header(r, MHD_HTTP_HEADER_ORIGIN);
    if (!host || !origin_host_is_local(host))
        refuse(r, 403, "the Host header must name this machine's loopback, such as localhost");
    else if (origin && !origin_is_same(origin, host))
        refuse(r, 403, "requests of other sites' pages aren't answered");
}

/* The headers are there. A refusal waits for the body's end, which is read and dropped, unless it is too long for
 * that. */
static enum MHD_Result begin(struct http *h, struct MHD_Connection *c, const char *method, const char *path,
                             void **state)
{
    struct request *r = *state = request_new(h, c);
    check_origin(r);
    if (!r->status && !h->service)
        refuse(r, 503, "the coordinator is stopping");
    if (!r->status)
        r->route = route_find(r, method, path);
    const char *length = header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t most = r->route && r->route->feed ? STREAM_MAX_BYTES : REQUEST_MAX_BODY;
    char why[64];
    if (!length || strtoull(length, NULL, 10) <= most)
        return MHD_YES;
    snprintf(why, sizeof(why), "the body may be at most %" PRIu64 " bytes", most);
    refuse(r, 413, why);
    return send_answer(r);
}

static enum MHD_Result take_body(struct request *r, const char *p, size_t *n)
{
    if (!r->status && r->route && r->route->feed) {
        if (!r->route->feed(r, (const uint8_t *)p, n))
            request_sleep(r);
        return MHD_YES;
    }
    r->seen += *n;
    if (r->seen > REQUEST_MAX_BODY && !r->stream)
        return MHD_NO; /* its length wasn't told beforehand: the connection ends */
    if (!r->status)
        buf_append(&r->body, p, *n);
    *n = 0;
    return MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *path, const char *method,
                                  const char *version, const char *body, size_t *n_body, void **state)
{
    struct request *r = *state;
    (void)version;
    if (!r)
        return begin(arg, c, method, path, state);
    if (*n_body > 0)
        return take_body(r, body, n_body);
    if (!r->started && !r->status) {
        r->started = true;
        r->route->start(r);
    }
    if (r->status)
        return send_answer(r);
    request_sleep(r);
    return MHD_YES;
}

static void on_over(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode how)
{
    (void)arg;
    (void)c;
    (void)how;
    if (*state)
        request_over(*state);
    *state = NULL;
}

static void on_log(void *arg, const char *fmt, va_list ap)
{
    char s[512];
    (void)arg;
    vsnprintf(s, sizeof(s), fmt, ap);
    log_debug("http", "message=\"%s\"", s);
}

/* --- open and close --- */

static int resolve(const char *host, int port, struct sockaddr_storage *out, bool *v6, struct err *e)
{
    struct sockaddr_in *a4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof(*out));
    *v6 = strchr(host, ':') != NULL;
    if (*v6) {
        a6->sin6_family = AF_INET6;
        a6->sin6_port = htons((uint16_t)port);
    } else {
        a4->sin_family = AF_INET;
        a4->sin_port = htons((uint16_t)port);
    }
    const char *address = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (inet_pton(*v6 ? AF_INET6 : AF_INET, address, *v6 ? (void *)&a6->sin6_addr : (void *)&a4->sin_addr) != 1)
        return err_set(e, ERR_INVALID, "HTTP address \"%s\" isn't an IP address or localhost", host);
    return 0;
}

static int start(struct http *h, const char *host, int port, struct err *e)
{
    struct sockaddr_storage address;
    bool v6;
    int rc = resolve(host, port, &address, &v6, e);
    if (rc < 0)
        return rc;
    errno = 0;
    h->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (v6 ? MHD_USE_IPv6 : 0), 0,
                         NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_SOCK_ADDR,
                         &address, MHD_OPTION_NOTIFY_COMPLETED, on_over, NULL, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_END);
    if (!h->daemon)
        return err_set(e, ERR_IO, "could not listen for HTTP on %s:%d: %s", host, port, strerror(errno));
    return 0;
}

static int join_loop(struct http *h, struct err *e)
{
    const union MHD_DaemonInfo *fd = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    const union MHD_DaemonInfo *port = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (!fd || !port)
        return err_set(e, ERR_IO, "libmicrohttpd doesn't tell its descriptor and port");
    h->port = port->port;
    zmq_pollitem_t item = {.fd = fd->epoll_fd, .events = ZMQ_POLLIN};
    if (zloop_poller(h->loop, &item, on_readable, h) < 0)
        return err_set(e, ERR_NOMEM, "could not add HTTP to the loop");
    zloop_poller_set_tolerant(h->loop, &item);
    h->sweeper = zloop_timer(h->loop, SWEEP_MS, 0, on_sweep, h);
    return 0;
}

int http_open(struct http **out, zloop_t *loop, const char *host, int port, struct service *s, struct err *e)
{
    struct http *h = xcalloc(1, sizeof(*h));
    h->loop = loop;
    h->service = s;
    h->timer = h->sweeper = -1;
    int rc = start(h, host, port, e);
    if (rc == 0)
        rc = join_loop(h, e);
    if (rc < 0) {
        http_close(h);
        return rc;
    }
    *out = h;
    return 0;
}

int http_port(const struct http *h)
{
    return h->port;
}

/* libmicrohttpd must not be stopped while a connection is suspended. Nobody is asked any more: the store may be
 * closed. */
static void let_go(struct http *h)
{
    struct err e;
    err_set(&e, ERR_CANCELLED, "the coordinator is stopping");
    h->service = NULL;
    for (struct request *r = h->requests; r; r = r->next) {
        r->service = NULL;
        request_fail(r, &e);
        request_wake(r);
    }
    for (int i = 0; i < RUNS_AT_ONCE; i++)
        MHD_run(h->daemon);
}

void http_close(struct http *h)
{
    if (!h)
        return;
    if (h->daemon) {
        const union MHD_DaemonInfo *fd = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        zmq_pollitem_t item = {.fd = fd ? fd->epoll_fd : -1, .events = ZMQ_POLLIN};
        zloop_poller_end(h->loop, &item);
        let_go(h);
        MHD_stop_daemon(h->daemon);
    }
    if (h->timer >= 0)
        zloop_timer_end(h->loop, h->timer);
    if (h->sweeper >= 0)
        zloop_timer_end(h->loop, h->sweeper);
    free(h);
}
