#include "coordinator/store/link.h"

#include <sodium.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define CONNECT_NS (10 * NS_PER_S)

/* What a conninfo that doesn't say otherwise gets: the later entry wins, and the conninfo is the last. */
#define KEYS 9
static const char *const keys[KEYS + 1] = {
    "connect_timeout",     "keepalives",       "keepalives_idle",
    "keepalives_interval", "keepalives_count", "tcp_user_timeout",
    "application_name",    "client_encoding",  "dbname",
};
static const char *const values[KEYS] = {"10", "1", "10", "5", "3", "20000", "espalierd", "UTF8"};

static void notice(void *arg, const char *text)
{
    (void)arg;
    log_debug("database", "%s", text);
}

static PGconn *connect_with(const char *conninfo, PGconn *(*how)(const char *const *, const char *const *, int))
{
    const char *v[KEYS + 1] = {NULL};
    memcpy(v, values, sizeof(values));
    v[KEYS - 1] = conninfo;
    PGconn *c = how(keys, v, 1);
    if (c)
        PQsetNoticeProcessor(c, notice, NULL);
    return c;
}

PGconn *link_dial(const char *conninfo, struct err *e)
{
    PGconn *c = connect_with(conninfo, PQconnectdbParams);
    if (c && PQstatus(c) == CONNECTION_OK)
        return c;
    const char *text = c ? PQerrorMessage(c) : "out of memory";
    err_set(e, ERR_DB, "could not connect to the database: %.*s", (int)strcspn(text, "\n"), text);
    PQfinish(c);
    return NULL;
}

PGPing link_ping(const char *conninfo)
{
    const char *v[KEYS + 1] = {NULL};
    memcpy(v, values, sizeof(values));
    v[KEYS - 1] = conninfo;
    return PQpingParams(keys, v, 1);
}

int64_t link_backoff_ns(int failures)
{
    int64_t ms = failures > 5 ? 5000 : 100 << (failures > 0 ? failures - 1 : 0);
    return ms * NS_PER_MS / 2 + (int64_t)randombytes_uniform((uint32_t)ms * 1000) * 1000;
}

void link_init(struct link *l, zloop_t *loop, const char *conninfo, zloop_fn *on_event, void *arg)
{
    *l = (struct link){.loop = loop, .on_event = on_event, .arg = arg, .conninfo = conninfo, .item = {.fd = -1}};
}

static void watch(struct link *l, short events)
{
    int fd = PQsocket(l->conn);
    if (fd == l->item.fd && events == l->item.events)
        return;
    if (l->item.fd >= 0)
        zloop_poller_end(l->loop, &l->item);
    l->item = (zmq_pollitem_t){.fd = fd, .events = events};
    if (fd < 0)
        return;
    if (zloop_poller(l->loop, &l->item, l->on_event, l->arg) < 0)
        BUG("zloop doesn't take descriptor %d", fd);
    zloop_poller_set_tolerant(l->loop, &l->item);
}

void link_wait(struct link *l, bool more_to_write)
{
    watch(l, (short)(more_to_write ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN));
}

void link_close(struct link *l)
{
    if (l->item.fd >= 0)
        zloop_poller_end(l->loop, &l->item);
    l->item = (zmq_pollitem_t){.fd = -1};
    PQfinish(l->conn);
    l->conn = NULL;
    l->state = LINK_DOWN;
}

void link_drop(struct link *l, const char *reason)
{
    bool was_up = l->state == LINK_UP;
    char why[300];
    snprintf(why, sizeof(why), "%.*s", (int)strcspn(reason, "\n"), reason); /* it may be the connection's */
    link_close(l);
    l->failures++;
    int64_t wait = link_backoff_ns(l->failures);
    l->due_ns = clock_mono_ns() + wait;
    if (was_up || l->failures == 1 || l->failures % 20 == 0)
        log_warn("database", "lost retry_ms=%lld failures=%d reason=\"%s\"", (long long)(wait / NS_PER_MS),
                 l->failures, why);
}

void link_good(struct link *l)
{
    if (l->failures)
        log_info("database", "connected again failures=%d", l->failures);
    l->failures = 0;
}

static bool go_up(struct link *l)
{
    if (PQsetnonblocking(l->conn, 1) < 0 || PQenterPipelineMode(l->conn) != 1)
        return false;
    l->state = LINK_UP;
    link_wait(l, true);
    return true;
}

int link_adopt(struct link *l, PGconn *conn, struct err *e)
{
    l->conn = conn;
    if (go_up(l))
        return 0;
    l->conn = NULL;
    return err_set(e, ERR_DB, "could not enter pipeline mode: %s", PQerrorMessage(conn));
}

static void begin(struct link *l)
{
    l->conn = connect_with(l->conninfo, PQconnectStartParams);
    if (!l->conn || PQstatus(l->conn) == CONNECTION_BAD) {
        link_drop(l, l->conn ? PQerrorMessage(l->conn) : "out of memory");
        return;
    }
    l->state = LINK_CONNECTING;
    l->due_ns = clock_mono_ns() + CONNECT_NS;
    watch(l, ZMQ_POLLOUT);
}

static bool advance(struct link *l)
{
    switch (PQconnectPoll(l->conn)) {
    case PGRES_POLLING_READING:
        watch(l, ZMQ_POLLIN);
        return false;
    case PGRES_POLLING_WRITING:
        watch(l, ZMQ_POLLOUT);
        return false;
    case PGRES_POLLING_OK:
        if (go_up(l))
            return true;
        break;
    default:
        break;
    }
    link_drop(l, PQerrorMessage(l->conn));
    return false;
}

/* Called for its socket's events and by the clock. PQconnectPoll must run for the former alone, or it would block.
 */
bool link_step(struct link *l)
{
    int64_t now = clock_mono_ns();
    if (l->state == LINK_DOWN && now >= l->due_ns) {
        begin(l);
    } else if (l->state == LINK_CONNECTING) {
        zmq_pollitem_t ready = l->item;
        if (zmq_poll(&ready, 1, 0) > 0)
            return advance(l);
        if (now >= l->due_ns)
            link_drop(l, "no answer while connecting");
    }
    return false;
}
