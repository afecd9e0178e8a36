/* espalier-worker: options, the session with the coordinator, one task after the other, a clean stop. */
#include <cblas.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/log.h"
#include "worker/cache.h"
#include "worker/engine/engine.h"
#include "worker/job.h"
#include "worker/options.h"
#include "worker/scoring.h"
#include "worker/session.h"
#include "worker/training.h"
#include "worker/transfer.h"

enum { STOP_LIMIT_S = 5 }; /* for a piece of work that doesn't look up */

struct worker {
    struct options options;
    char cpu[RECIPE_NAME], kernels[2 * RECIPE_NAME], host[RECIPE_NAME];
    struct desk *desk;
    struct cache *cache;
    struct session *session;
    struct worker_state *state;
};

/* All that run since this machine's last start share its boot's id, in whatever container. */
static void find_host(char host[RECIPE_NAME])
{
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!f || !fgets(host, RECIPE_NAME, f))
        gethostname(host, RECIPE_NAME - 1);
    host[strcspn(host, "\n")] = '\0';
    if (f)
        fclose(f);
}

static void describe(struct worker *w)
{
    char line[512];
    strcpy(w->cpu, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof(line), f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(w->cpu, sizeof(w->cpu), "%s", colon + 1 + strspn(colon + 1, " "));
        break;
    }
    if (f)
        fclose(f);
    snprintf(w->kernels, sizeof(w->kernels), "%s %s", engine_describe(), openblas_get_corename());
    find_host(w->host);
}

/* Readable once SIGTERM or SIGINT came. A handler, not a signalfd: OpenBLAS has started threads before main that
 * don't block them. */
static int stop_event = -1;

static void on_stop(int sig)
{
    (void)sig;
    int was = errno;
    uint64_t one = 1;
    (void)!write(stop_event, &one, sizeof(one));
    errno = was;
}

static int catch_stop(struct err *e)
{
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART}, ignore = {.sa_handler = SIG_IGN};
    stop_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (stop_event < 0)
        return err_set(e, ERR_IO, "could not make an eventfd: %s", strerror(errno));
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    return 0;
}

static int worker_start(struct worker *w, struct err *e)
{
    const struct options *o = &w->options;
    int rc;
    describe(w);
    struct session_options s = {.endpoint = o->connect,
                                .name = o->name,
                                .cpu = w->cpu,
                                .kernels = w->kernels,
                                .host = w->host,
                                .threads = o->threads,
                                .kill_after_s = STOP_LIMIT_S};
    if ((rc = catch_stop(e)) < 0 || (rc = desk_new(&w->desk, e)) < 0 ||
        (rc = cache_new(&w->cache, o->cache, o->folders, o->n_folders, w->desk, e)) < 0 ||
        (rc = job_state_new(&w->state, o->threads, e)) < 0)
        return rc;
    job_state_name(w->state, w->cpu, w->kernels);
    job_state_memory(w->state, o->memory);
    s.stop_fd = stop_event;
    log_info("start", "name=%s threads=%d cache=\"%s\" cpu=\"%s\" kernels=\"%s\"", o->name, o->threads, o->cache,
             w->cpu, w->kernels);
    return session_start(&w->session, &s, w->desk, e);
}

static void worker_end(struct worker *w)
{
    session_join(w->session);
    job_state_free(w->state);
    cache_free(w->cache);
    desk_free(w->desk);
    options_release(&w->options);
}

static int host_blob(void *arg, const struct hash *h, uint64_t size, const char *data_name, const char *data_kind,
                     const char **path, struct err *e)
{
    struct worker *w = arg;
    return cache_get(w->cache, h, size, data_name, data_kind, path, e);
}

static const char *host_folder(void *arg, const char *data_kind, int nth)
{
    const struct worker *w = arg;
    return cache_folder(w->cache, data_kind, nth);
}

static int host_put(void *arg, const struct hash *h, const void *bytes, size_t n, struct err *e)
{
    struct worker *w = arg;
    return transfer_put(w->desk, h, bytes, n, e);
}

static int host_progress(void *arg, const char *stage, uint64_t done, uint64_t total, struct err *e)
{
    struct worker *w = arg;
    return desk_progress(w->desk, stage, done, total, e);
}

static int host_checkpoint(void *arg, const struct msg_checkpoint *k, const struct buf *bytes, struct err *e)
{
    struct worker *w = arg;
    int rc = transfer_checkpoint(w->desk, k, bytes, e);
    if (rc == 0)
        log_info("checkpoint", "search=%lld episode=%d epoch=%d loss=%.4f top1=%.4f lr=%.4g seconds=%.1f",
                 (long long)k->task.search, k->task.episode, k->epoch, k->loss, k->top1, k->lr, k->seconds);
    return rc;
}

static void report_failure(struct message *report, const struct task_id *task, const struct err *e)
{
    *report = (struct message){.type = MSG_FAILED};
    struct msg_failed *f = &report->u.failed;
    f->task = *task;
    f->permanent = e->code == ERR_INVALID || e->code == ERR_UNSUPPORTED || e->code == ERR_LIMIT;
    f->diverged = e->code == ERR_DIVERGED;
    snprintf(f->reason, sizeof(f->reason), "%.*s", (int)sizeof(f->reason) - 1, e->text);
    log_warn("failed", "search=%lld episode=%d permanent=%d diverged=%d error=\"%s\"", (long long)task->search,
             task->episode, f->permanent, f->diverged, e->text);
}

static void run_task(struct worker *w, const struct msg_work *work)
{
    struct job_host host = {
        .arg = w, .blob = host_blob, .folder = host_folder, .put = host_put, .progress = host_progress, .checkpoint = host_checkpoint};
    struct message report = {.type = MSG_RESULT};
    struct err e;
    int rc = job_run(w->state, work, &host, &report.u.result, &e);
    if (rc == 0)
        report.u.result.task = work->task;
    else if (rc != ERR_CANCELLED)
        report_failure(&report, &work->task, &e);
    desk_finish(w->desk, rc == ERR_CANCELLED ? NULL : &report);
    message_release(&report);
}

static int fail(const struct err *e, int status)
{
    fprintf(stderr, "espalier-worker: %s\n", e->text);
    return status;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "score") == 0)
        return scoring_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "train") == 0)
        return training_main(argc - 1, argv + 1);
    struct worker w = {0};
    struct err e;
    int rc = options_parse(&w.options, argc, argv, &e);
    if (rc != OPTIONS_RUN) {
        options_release(&w.options);
        return rc < 0 ? fail(&e, 2) : 0;
    }
    log_init("espalier-worker", w.options.verbose ? LOG_DEBUG : LOG_INFO);
    rc = worker_start(&w, &e);
    struct message work;
    while (rc == 0 && desk_take(w.desk, &work)) {
        run_task(&w, &work.u.work);
        message_release(&work);
    }
    worker_end(&w);
    return rc < 0 ? fail(&e, 1) : 0;
}
