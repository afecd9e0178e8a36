/*
 * espalierd - the coordinator. One thread, one loop: workers' messages, PostgreSQL's answers, HTTP requests and
 * timers. Whatever must outlive it is in PostgreSQL, so it can be killed at any moment and started again, here or
 * elsewhere.
 */
#include <czmq.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/version.h"
#include "coordinator/config.h"
#include "coordinator/http/http.h"
#include "coordinator/reception.h"
#include "coordinator/revive.h"

#define TICK_MS    250
#define STANDBY_MS 2000 /* between looks at the signals while another coordinator is the writer */
#define FLUSH_MS   5000 /* for what is queued to commit at the end */
#define GRACE_NS   (10 * NS_PER_S)

struct daemon {
    struct config config;
    zloop_t *loop;
    struct store *store;
    struct fleet *fleet;
    struct bus *bus;
    struct scheduler *scheduler;
    struct blobs *blobs;
    struct service *service;
    struct http *http;
    struct revival *revival;
    struct reception reception;
    bool failed; /* the loop was left because of `why` */
    struct err why;
};

static int stop_loop(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    (void)arg;
    return -1;
}

/* From anywhere inside the loop. */
static void fail(struct daemon *d)
{
    if (d->scheduler)
        scheduler_stop(d->scheduler);
    d->failed = true;
    zloop_timer(d->loop, 0, 1, stop_loop, NULL);
}

static void on_lost(void *arg, const char *why)
{
    struct daemon *d = arg;
    err_set(&d->why, ERR_STATE, "%s", why);
    fail(d);
}

/* --- signals --- */

static int stop_event = -1; /* eventfd that the handler writes to */

/* A handler, because a signalfd would miss what is delivered to the threads that OpenBLAS starts before main. */
static void on_stop(int number)
{
    int was = errno;
    uint64_t one = 1;
    (void)number;
    if (write(stop_event, &one, sizeof(one)) < 0)
        _exit(1);
    errno = was;
}

static int watch_signals(struct err *e)
{
    struct sigaction a = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    zsys_handler_set(NULL); /* ours alone */
    if ((stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return err_set(e, ERR_IO, "could not make an event descriptor: %s", strerror(errno));
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGINT, &a, NULL);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

static bool told_to_stop(void)
{
    uint64_t n;
    return read(stop_event, &n, sizeof(n)) == (ssize_t)sizeof(n);
}

static int on_signal(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    struct daemon *d = arg;
    (void)loop;
    (void)item;
    if (!told_to_stop())
        return 0;
    log_info("stopping", "queued=%zu", store_queued(d->store));
    return -1;
}

/* --- start --- */

static enum log_level log_least(const struct daemon *d)
{
    return d->config.verbose ? LOG_DEBUG : LOG_INFO;
}

/* Once it stands by it stays, whatever happens to the database meanwhile. */
static int open_store(struct daemon *d, struct err *e)
{
    bool standby = false;
    int rc;
    while ((rc = store_open(&d->store, d->loop, d->config.db, standby ? STANDBY_MS : 0, on_lost, d, e)) ==
               ERR_TIMEOUT ||
           (standby && rc == ERR_DB)) {
        log_init("espalierd", LOG_WARN); /* it has been said who the writer is; once is enough */
        standby = true;
        if (rc == ERR_DB)
            clock_sleep_ns(STANDBY_MS * NS_PER_MS);
        if (told_to_stop()) {
            rc = err_set(e, ERR_CANCELLED, "stopped while standing by");
            break;
        }
    }
    log_init("espalierd", log_least(d));
    return rc;
}

static int write_state(const struct daemon *d, struct err *e)
{
    if (!d->config.state)
        return 0;
    struct buf b = {0};
    bool v6 = strchr(d->config.http_host, ':') != NULL;
    buf_text(&b, "{\"pid\": %d, \"http\": \"http://%s%s%s:%d\", \"bind\": \"%s\"}\n", (int)getpid(), v6 ? "[" : "",
             d->config.http_host, v6 ? "]" : "", http_port(d->http), bus_endpoint(d->bus));
    int rc = file_write(d->config.state, b.p, b.n, e);
    buf_release(&b);
    return rc;
}

static int on_tick(zloop_t *loop, int timer, void *arg)
{
    struct daemon *d = arg;
    (void)loop;
    (void)timer;
    scheduler_tick(d->scheduler, clock_mono_ns());
    return 0;
}

/* The searches are what they were: the doors open. */
static void on_ready(void *arg)
{
    struct daemon *d = arg;
    const struct config *c = &d->config;
    if (bus_bind(d->bus, c->endpoint, &d->why) < 0 ||
        http_open(&d->http, d->loop, c->http_host, c->http_port, d->service, &d->why) < 0 ||
        write_state(d, &d->why) < 0) {
        fail(d);
        return;
    }
    zloop_timer(d->loop, TICK_MS, 0, on_tick, d);
    log_info("ready", "bind=%s http=%s:%d pid=%d", bus_endpoint(d->bus), c->http_host, http_port(d->http),
             (int)getpid());
}

static int start(struct daemon *d, struct err *e)
{
    const struct config *c = &d->config;
    int rc = open_store(d, e);
    if (rc < 0)
        return rc;
    d->fleet = fleet_new(c->beat_seconds * NS_PER_S);
    const struct bus_handler handler = {&d->reception, reception_message, reception_bad};
    if ((rc = bus_open(&d->bus, d->loop, &handler, e)) < 0)
        return rc;
    const struct scheduler_options o = {
        .lease_ns = c->lease_seconds * NS_PER_S,
        .grace_ns = GRACE_NS,
        .short_grace_ns = 2 * c->beat_seconds * NS_PER_S,
        .attempts = c->attempts,
    };
    d->scheduler = scheduler_new(d->loop, d->store, d->fleet, d->bus, &o);
    d->blobs = blobs_new(d->store, d->fleet, d->bus);
    d->service = service_new(d->scheduler);
    d->reception = (struct reception){
        .scheduler = d->scheduler,
        .fleet = d->fleet,
        .blobs = d->blobs,
        .bus = d->bus,
        .beat_ms = (uint32_t)c->beat_seconds * 1000,
        .lease_ms = (uint32_t)c->lease_seconds * 1000,
    };
    zmq_pollitem_t item = {.fd = stop_event, .events = ZMQ_POLLIN};
    if (zloop_poller(d->loop, &item, on_signal, d) < 0)
        return err_set(e, ERR_NOMEM, "could not add the signals to the loop");
    return revive(&d->revival, d->loop, d->scheduler, GRACE_NS, on_ready, d, e);
}

/* In this order: no new work, what is queued commits and is answered, then the doors close. */
static void stop(struct daemon *d)
{
    if (d->scheduler)
        scheduler_stop(d->scheduler);
    if (d->store)
        store_close(d->store, d->failed ? 0 : FLUSH_MS);
    http_close(d->http);
    service_free(d->service);
    blobs_free(d->blobs);
    scheduler_free(d->scheduler);
    bus_close(d->bus);
    fleet_free(d->fleet);
    revival_free(d->revival);
    if (d->config.state)
        unlink(d->config.state);
}

static int run(struct daemon *d, struct err *e)
{
    int rc = watch_signals(e);
    if (rc < 0)
        return rc;
    d->loop = zloop_new();
    if (!d->loop)
        return err_set(e, ERR_NOMEM, "could not make the loop");
    zloop_set_nonstop(d->loop, true);
    if ((rc = start(d, e)) == 0) {
        zloop_start(d->loop);
        if (d->failed) {
            *e = d->why;
            rc = e->code;
        }
    }
    stop(d);
    zloop_destroy(&d->loop);
    close(stop_event);
    return rc;
}

int main(int argc, char **argv)
{
    struct daemon d = {0};
    struct err e;
    enum config_asks asks;
    if (config_parse(&d.config, &asks, argc, argv, &e) < 0) {
        fprintf(stderr, "espalierd: %s\n", e.text);
        return e.code == ERR_UNSUPPORTED ? 1 : 2;
    }
    if (asks == CONFIG_HELP)
        config_help(stdout);
    if (asks == CONFIG_VERSION)
        printf("espalierd %s, protocol %d\n", ESPALIER_VERSION, PROTO_VERSION);
    if (asks != CONFIG_RUN)
        return 0;
    log_init("espalierd", log_least(&d));
    if (run(&d, &e) < 0 && e.code != ERR_CANCELLED) {
        fprintf(stderr, "espalierd: %s\n", e.text);
        return 1;
    }
    return 0;
}
