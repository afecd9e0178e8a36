#include "coordinator/reception.h"

#include <inttypes.h>

#include "common/base/clock.h"
#include "common/base/log.h"

static void complain(struct reception *r, const struct peer *from, const char *why)
{
    int64_t now_ns = clock_mono_ns();
    if (r->complained_ns != 0 && now_ns - r->complained_ns < NS_PER_S)
        return; /* a stranger mustn't fill the disk with our log */
    char id[PEER_TEXT];
    peer_text(from, id);
    r->complained_ns = now_ns;
    log_warn("stranger refused", "peer=%s reason=\"%s\"", id, why);
}

static void hello(struct reception *r, const struct peer *from, const struct msg_hello *h)
{
    struct worker *w, *replaces;
    struct err e;
    bool known = fleet_find(r->fleet, from) != NULL;
    if (h->version != PROTO_VERSION) {
        err_set(&e, ERR_UNSUPPORTED, "worker speaks version %" PRIu32 " of the protocol, the coordinator %d",
                h->version, PROTO_VERSION);
        complain(r, from, e.text);
        bus_refuse(r->bus, from, "%s", e.text);
        return;
    }
    if (fleet_hello(r->fleet, from, h, clock_mono_ns(), &w, &replaces, &e) < 0) {
        complain(r, from, e.text);
        bus_refuse(r->bus, from, "%s", e.text);
        return;
    }
    log_line(known ? LOG_DEBUG : LOG_INFO, "worker", "worker=%s threads=%" PRIu32 " cpu=\"%s\" kernels=\"%s\"",
             w->name, w->threads, w->cpu, w->kernels);
    struct message m = {.type = MSG_WELCOME};
    m.u.welcome = (struct msg_welcome){.version = PROTO_VERSION, .beat_ms = r->beat_ms, .lease_ms = r->lease_ms};
    bus_send(r->bus, from, &m);
    scheduler_hello(r->scheduler, w, replaces, h);
}

static void goodbye(struct reception *r, struct worker *w, const char *reason)
{
    log_info("worker left", "worker=%s reason=\"%s\"", w->name, reason);
    scheduler_lost(r->scheduler, w, "the worker left");
    fleet_drop(r->fleet, w);
    scheduler_wake(r->scheduler);
}

/* Shut out: its task goes to another, and what it sends is dropped unread until it has been silent for a while. */
static void misbehaved(struct reception *r, struct worker *w, const char *why)
{
    log_warn("bad message", "worker=%s count=%d reason=\"%s\"", w->name, ++w->bad, why);
    if (w->bad < FLEET_PATIENT)
        return;
    log_warn("worker shut out", "worker=%s", w->name);
    bus_refuse(r->bus, &w->peer, "shut out after %d bad messages, the last: %s", w->bad, why);
    scheduler_lost(r->scheduler, w, "the worker was shut out");
    fleet_ban(r->fleet, w);
    scheduler_wake(r->scheduler);
}

static void beat(struct reception *r, struct worker *w, const struct msg_beat *b)
{
    struct message m = {.type = MSG_ALIVE};
    bus_send(r->bus, &w->peer, &m);
    scheduler_beat(r->scheduler, w, b);
}

void reception_message(void *arg, const struct peer *from, struct message *m)
{
    struct reception *r = arg;
    struct worker *w = fleet_find(r->fleet, from);
    if (w) {
        w->heard_ns = clock_mono_ns();
        if (w->banned)
            return;
    }
    if (m->type == MSG_HELLO) {
        hello(r, from, &m->u.hello);
        return;
    }
    if (!w) {
        if (m->type != MSG_BYE)
            bus_refuse(r->bus, from, "say hello first");
        return;
    }
    switch (m->type) {
    case MSG_BEAT:
        beat(r, w, &m->u.beat);
        break;
    case MSG_RESULT:
        scheduler_result(r->scheduler, w, m);
        break;
    case MSG_FAILED:
        scheduler_failed(r->scheduler, w, &m->u.failed);
        break;
    case MSG_CHECKPOINT:
        scheduler_checkpoint(r->scheduler, w, m);
        break;
    case MSG_GET:
        blobs_get(r->blobs, w, &m->u.get);
        break;
    case MSG_PUT:
        blobs_put(r->blobs, w, &m->u.piece);
        break;
    case MSG_BYE:
        goodbye(r, w, m->u.reason);
        break;
    default:
        misbehaved(r, w, "a message that only the coordinator sends");
    }
}

void reception_bad(void *arg, const struct peer *from, const char *why)
{
    struct reception *r = arg;
    struct worker *w = fleet_find(r->fleet, from);
    if (!w) {
        complain(r, from, why);
        bus_refuse(r->bus, from, "say hello first");
        return;
    }
    w->heard_ns = clock_mono_ns();
    if (!w->banned)
        misbehaved(r, w, why);
}
