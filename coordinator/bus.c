#include "coordinator/bus.h"

#include <stdarg.h>

#include "common/base/mem.h"
#include "proto/text.h"

/* A worker has one task and a few pieces of blobs under way, so few messages suffice; each may have
 * PROTO_MAX_BYTES. */
#define WAITING_IN  32
#define WAITING_OUT 64
#define BURST       64 /* messages until the loop gets a chance to do something else */

struct bus {
    zsock_t *sock;
    zloop_t *loop;
    struct bus_handler h;
    struct buf out;
    char endpoint[256];
};

int bus_open(struct bus **out, zloop_t *loop, const struct bus_handler *h, struct err *e)
{
    zsock_t *sock = zsock_new(ZMQ_ROUTER);
    if (!sock)
        return err_set(e, ERR_IO, "could not make a ZeroMQ socket: %s", zmq_strerror(zmq_errno()));
    zsock_set_linger(sock, 200); /* the last acknowledgements get a chance, no more */
    zsock_set_maxmsgsize(sock, PROTO_MAX_BYTES);
    zsock_set_rcvhwm(sock, WAITING_IN);
    zsock_set_sndhwm(sock, WAITING_OUT);
    zsock_set_router_mandatory(sock, 1);
    zsock_set_heartbeat_ivl(sock, 5000); /* takes down connections whose other end vanished without a word */
    zsock_set_heartbeat_timeout(sock, 20000);
    zsock_set_handshake_ivl(sock, 10000);
    struct bus *b = xcalloc(1, sizeof(*b));
    b->sock = sock;
    b->loop = loop;
    b->h = *h;
    *out = b;
    return 0;
}

void bus_close(struct bus *b)
{
    if (!b)
        return;
    zloop_reader_end(b->loop, b->sock);
    zsock_destroy(&b->sock);
    buf_release(&b->out);
    free(b);
}

const char *bus_endpoint(const struct bus *b)
{
    return b->endpoint;
}

/* Frames beyond the second are read and thrown away. Returns their number. */
static int drain(void *sock, zmq_msg_t *frame)
{
    int extra = 0;
    while (zmq_msg_more(frame) && zmq_msg_recv(frame, sock, ZMQ_DONTWAIT) >= 0)
        extra++;
    return extra;
}

static void hand_over(struct bus *b, const struct peer *from, zmq_msg_t *frame)
{
    struct message m;
    struct err e;
    if (message_decode(zmq_msg_data(frame), zmq_msg_size(frame), &m, &e) < 0) {
        b->h.on_bad(b->h.arg, from, e.text);
        return;
    }
    b->h.on_message(b->h.arg, from, &m);
    message_release(&m);
}

/* One whole message; false when none waits. */
static bool receive(struct bus *b, void *sock)
{
    zmq_msg_t id, body, rest;
    zmq_msg_init(&id);
    zmq_msg_init(&body);
    zmq_msg_init(&rest);
    bool got = zmq_msg_recv(&id, sock, ZMQ_DONTWAIT) >= 0;
    if (got) {
        struct peer from = {0};
        size_t n = zmq_msg_size(&id);
        bool has_body = zmq_msg_more(&id) && zmq_msg_recv(&body, sock, ZMQ_DONTWAIT) >= 0;
        int extra = 0;
        if (has_body && zmq_msg_more(&body) && zmq_msg_recv(&rest, sock, ZMQ_DONTWAIT) >= 0)
            extra = 1 + drain(sock, &rest);
        if (n > 0 && n <= PEER_MAX_ID) {
            from.n = (uint8_t)n;
            memcpy(from.id, zmq_msg_data(&id), n);
            if (!has_body)
                b->h.on_bad(b->h.arg, &from, "message without a frame");
            else if (extra)
                b->h.on_bad(b->h.arg, &from, "message of more than one frame");
            else
                hand_over(b, &from, &body);
        }
    }
    zmq_msg_close(&rest);
    zmq_msg_close(&body);
    zmq_msg_close(&id);
    return got;
}

static int on_readable(zloop_t *loop, zsock_t *reader, void *arg)
{
    (void)loop;
    void *sock = zsock_resolve(reader);
    for (int i = 0; i < BURST && receive(arg, sock); i++)
        ;
    return 0;
}

int bus_bind(struct bus *b, const char *endpoint, struct err *e)
{
    zsock_set_ipv6(b->sock, strchr(endpoint, '[') != NULL);
    if (zmq_bind(zsock_resolve(b->sock), endpoint) < 0)
        return err_set(e, ERR_IO, "could not listen on %s: %s", endpoint, zmq_strerror(zmq_errno()));
    size_t n = sizeof(b->endpoint);
    if (zmq_getsockopt(zsock_resolve(b->sock), ZMQ_LAST_ENDPOINT, b->endpoint, &n) < 0)
        return err_set(e, ERR_IO, "could not ask where %s is: %s", endpoint, zmq_strerror(zmq_errno()));
    if (zloop_reader(b->loop, b->sock, on_readable, b) < 0)
        return err_set(e, ERR_NOMEM, "could not add the bus to the loop");
    zloop_reader_set_tolerant(b->loop, b->sock);
    return 0;
}

bool bus_send(struct bus *b, const struct peer *to, const struct message *m)
{
    void *sock = zsock_resolve(b->sock);
    buf_clear(&b->out);
    message_encode(m, &b->out);
    if (zmq_send(sock, to->id, to->n, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return false;
    return zmq_send(sock, b->out.p, b->out.n, ZMQ_DONTWAIT) >= 0;
}

bool bus_refuse(struct bus *b, const struct peer *to, const char *fmt, ...)
{
    struct message m = {.type = MSG_REFUSE};
    char text[2 * PROTO_MAX_TEXT];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    text_copy(m.u.reason, sizeof(m.u.reason), text);
    return bus_send(b, to, &m);
}

static bool send_task(struct bus *b, const struct peer *to, enum message_type type, const struct task_id *t,
                      const char *reason)
{
    struct message m = {.type = type};
    m.u.task.task = *t;
    text_copy(m.u.task.reason, sizeof(m.u.task.reason), reason);
    return bus_send(b, to, &m);
}

bool bus_ack(struct bus *b, const struct peer *to, const struct task_id *t, const char *reason)
{
    return send_task(b, to, MSG_ACK, t, reason);
}

bool bus_cancel(struct bus *b, const struct peer *to, const struct task_id *t, const char *reason)
{
    return send_task(b, to, MSG_CANCEL, t, reason);
}
