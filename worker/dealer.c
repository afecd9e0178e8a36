#include "worker/dealer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

struct dealer {
    void *ctx, *sock; /* sock: NULL before the first dealer_connect */
    char *endpoint;
    zmq_msg_t frame; /* the last one received */
};

static bool host_is_local(const char *host)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}

int dealer_check(const char *endpoint, struct err *e)
{
    char host[256];
    if (strncmp(endpoint, "ipc://", 6) == 0 && endpoint[6])
        return 0;
    const char *colon = strrchr(endpoint, ':'), *start = endpoint + 6;
    if (strncmp(endpoint, "tcp://", 6) != 0 || colon <= start || (size_t)(colon - start) >= sizeof(host))
        return err_set(e, ERR_INVALID, "\"%s\" isn't an address like tcp://127.0.0.1:7700", endpoint);
    char *end;
    long port = strtol(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end || port < 1 || port > 65535)
        return err_set(e, ERR_INVALID, "port in \"%s\" isn't a number from 1 to 65535", endpoint);
    memcpy(host, start, (size_t)(colon - start));
    host[colon - start] = 0;
    if (!host_is_local(host))
        return err_set(e, ERR_UNSUPPORTED,
                       "could not connect to \"%s\": only this machine is reached without keys, which come with a "
                       "later release",
                       endpoint);
    return 0;
}

int dealer_new(struct dealer **out, const char *endpoint, struct err *e)
{
    int rc = dealer_check(endpoint, e);
    if (rc < 0)
        return rc;
    struct dealer *d = xcalloc(1, sizeof(*d));
    d->ctx = zmq_ctx_new();
    if (!d->ctx) {
        free(d);
        return err_set(e, ERR_IO, "could not start ZeroMQ: %s", zmq_strerror(errno));
    }
    d->endpoint = xstrdup(endpoint);
    zmq_msg_init(&d->frame);
    *out = d;
    return 0;
}

void dealer_free(struct dealer *d)
{
    if (!d)
        return;
    zmq_msg_close(&d->frame);
    if (d->sock)
        zmq_close(d->sock);
    while (zmq_ctx_term(d->ctx) < 0 && errno == EINTR)
        ;
    free(d->endpoint);
    free(d);
}

static void set(void *sock, int option, int value)
{
    if (zmq_setsockopt(sock, option, &value, sizeof(value)) < 0)
        BUG("ZeroMQ option %d = %d: %s", option, value, zmq_strerror(errno));
}

static void set_options(void *sock)
{
    int64_t most = PROTO_MAX_BYTES;
    if (zmq_setsockopt(sock, ZMQ_MAXMSGSIZE, &most, sizeof(most)) < 0)
        BUG("ZeroMQ option MAXMSGSIZE: %s", zmq_strerror(errno));
    set(sock, ZMQ_LINGER, 300);
    set(sock, ZMQ_IMMEDIATE, 1);
    set(sock, ZMQ_IPV6, 1);
    set(sock, ZMQ_RECONNECT_IVL, 100);
    set(sock, ZMQ_RECONNECT_IVL_MAX, 2000);
    set(sock, ZMQ_HANDSHAKE_IVL, 5000);
    /* A host that vanished without a FIN is noticed; that the coordinator's loop turns, ALIVE says. */
    set(sock, ZMQ_HEARTBEAT_IVL, 2000);
    set(sock, ZMQ_HEARTBEAT_TIMEOUT, 6000);
    set(sock, ZMQ_HEARTBEAT_TTL, 6000);
}

int dealer_connect(struct dealer *d, struct err *e)
{
    if (d->sock)
        zmq_close(d->sock);
    d->sock = zmq_socket(d->ctx, ZMQ_DEALER);
    if (!d->sock)
        return err_set(e, ERR_IO, "could not make a socket: %s", zmq_strerror(errno));
    set_options(d->sock);
    if (zmq_connect(d->sock, d->endpoint) < 0)
        return err_set(e, ERR_IO, "could not connect to \"%s\": %s", d->endpoint, zmq_strerror(errno));
    return 0;
}

bool dealer_connected(struct dealer *d)
{
    int events = 0;
    size_t n = sizeof(events);
    return d->sock && zmq_getsockopt(d->sock, ZMQ_EVENTS, &events, &n) == 0 && (events & ZMQ_POLLOUT);
}

bool dealer_send(struct dealer *d, const struct buf *frame)
{
    return d->sock && zmq_send(d->sock, frame->p, frame->n, ZMQ_DONTWAIT) >= 0;
}

int dealer_receive(struct dealer *d, struct message *m, struct err *e)
{
    memset(m, 0, sizeof(*m));
    if (!d->sock || zmq_msg_recv(&d->frame, d->sock, ZMQ_DONTWAIT) < 0)
        return 0;
    if (!zmq_msg_more(&d->frame)) {
        int rc = message_decode(zmq_msg_data(&d->frame), zmq_msg_size(&d->frame), m, e);
        return rc < 0 ? rc : 1;
    }
    int parts = 1;
    for (; zmq_msg_more(&d->frame) && zmq_msg_recv(&d->frame, d->sock, ZMQ_DONTWAIT) >= 0; parts++)
        ;
    return err_set(e, ERR_INVALID, "message of %d frames", parts);
}

void dealer_wait(struct dealer *d, bool to_send, int fd, int other_fd, int ms)
{
    zmq_pollitem_t items[3] = {
        {.fd = fd, .events = ZMQ_POLLIN},
        {.fd = other_fd, .events = ZMQ_POLLIN},
        {.socket = d->sock, .events = (short)(ZMQ_POLLIN | (to_send ? ZMQ_POLLOUT : 0))},
    };
    zmq_pollitem_t *first = items;
    int n = d->sock ? 3 : 2;
    if (other_fd < 0) {
        items[1] = items[0];
        first++;
        n--;
    }
    /* An interrupted wait is a short one. Anything else would turn the loop into a busy one. */
    if (zmq_poll(first, n, ms) < 0 && errno != EINTR)
        BUG("zmq_poll: %s", zmq_strerror(errno));
}
