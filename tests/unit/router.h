/*
 * router - the coordinator's end of a real socket, played by a test: a ROUTER on 127.0.0.1 with one worker at a
 * time.
 */
#ifndef TESTS_UNIT_ROUTER_H
#define TESTS_UNIT_ROUTER_H

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "common/base/clock.h"
#include "proto/message.h"

struct router {
    void *ctx, *sock;
    char endpoint[64]; /* where it is bound; kept over router_close, so that it can be opened again there */
    uint8_t peer[256]; /* who sent the last message */
    size_t n_peer;
    zmq_msg_t frame; /* the last message */
};

static inline void router_option(struct router *r, int option, int value)
{
    ck_assert_int_eq(zmq_setsockopt(r->sock, option, &value, sizeof(value)), 0);
}

static inline void router_open(struct router *r)
{
    bool again = r->endpoint[0];
    size_t n = sizeof(r->endpoint);
    r->ctx = zmq_ctx_new();
    r->sock = zmq_socket(r->ctx, ZMQ_ROUTER);
    zmq_msg_init(&r->frame);
    router_option(r, ZMQ_LINGER, 0);
    /* The port may be in use for a moment after the last close. */
    int tries = 0;
    while (zmq_bind(r->sock, again ? r->endpoint : "tcp://127.0.0.1:*") < 0 && tries++ < 100)
        clock_sleep_ns(20 * NS_PER_MS);
    ck_assert_int_eq(zmq_getsockopt(r->sock, ZMQ_LAST_ENDPOINT, r->endpoint, &n), 0);
}

static inline void router_close(struct router *r)
{
    zmq_msg_close(&r->frame);
    zmq_close(r->sock);
    zmq_ctx_term(r->ctx);
    r->sock = NULL;
}

static inline void router_send(struct router *r, const struct message *m)
{
    struct buf b = {0};
    message_encode(m, &b);
    ck_assert_int_ge(zmq_send(r->sock, r->peer, r->n_peer, ZMQ_SNDMORE), 0);
    ck_assert_int_ge(zmq_send(r->sock, b.p, b.n, 0), 0);
    buf_release(&b);
}

/* The next message within ms; false when none came. Its bytes are borrowed until the next call. */
static inline bool router_next(struct router *r, struct message *m, int ms)
{
    struct err e;
    router_option(r, ZMQ_RCVTIMEO, ms);
    int n = zmq_recv(r->sock, r->peer, sizeof(r->peer), 0);
    if (n < 0)
        return false;
    r->n_peer = (size_t)n;
    ck_assert_int_ge(zmq_msg_recv(&r->frame, r->sock, 0), 0);
    ck_assert(!zmq_msg_more(&r->frame));
    ck_assert_msg(message_decode(zmq_msg_data(&r->frame), zmq_msg_size(&r->frame), m, &e) == 0, "%s", e.text);
    return true;
}

/* The next message that isn't a beat, which must be of that type; beats are answered. */
static inline void router_expect(struct router *r, enum message_type type, struct message *m)
{
    static const struct message alive = {.type = MSG_ALIVE};
    for (int64_t until = clock_mono_ns() + 5 * NS_PER_S; clock_mono_ns() < until; message_release(m)) {
        if (!router_next(r, m, 5000))
            break;
        if (m->type == type)
            return;
        ck_assert_msg(m->type == MSG_BEAT, "%s came, %s was expected", message_name(m->type), message_name(type));
        router_send(r, &alive);
    }
    ck_abort_msg("no %s came", message_name(type));
}

static inline void router_welcome(struct router *r, uint32_t beat_ms, uint32_t lease_ms, struct message *hello)
{
    struct message m = {.type = MSG_WELCOME};
    m.u.welcome = (struct msg_welcome){PROTO_VERSION, beat_ms, lease_ms};
    router_expect(r, MSG_HELLO, hello);
    router_send(r, &m);
}

static inline struct message router_work(int32_t episode)
{
    static int32_t keep[1] = {3};
    struct message m = {.type = MSG_WORK};
    m.u.work.task = (struct task_id){TASK_EVALUATE, 1, episode, 1};
    m.u.work.n_keep = 1;
    m.u.work.keep = keep;
    m.u.work.recipe.finetune = m.u.work.recipe.finish = training_none();
    m.u.work.lr_scale = 1;
    return m;
}

static inline struct message router_verdict(enum message_type type, struct task_id task, const char *reason)
{
    struct message m = {.type = type};
    m.u.task.task = task;
    snprintf(m.u.task.reason, sizeof(m.u.task.reason), "%s", reason);
    return m;
}

#endif
