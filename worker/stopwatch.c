#include "worker/stopwatch.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "worker/measure/table.h"
#include "worker/train/precision.h"

#define PAIRS    61
#define PAIRS_NS (3 * NS_PER_S)
#define TRIAL_NS (NS_PER_S / 2) /* of each of the table's own candidates */

static struct measuring manner(const struct msg_work *w, const struct job_host *host, int batch, int64_t most_ns)
{
    return (struct measuring){.batch = batch,
                              .type = precision_dtype(w->recipe.precision),
                              .pairs = PAIRS,
                              .most_ns = most_ns,
                              .progress = host->progress,
                              .arg = host->arg};
}

static void name_table(struct latency *t, const struct msg_work *w, const struct measurer *by)
{
    snprintf(t->cpu, sizeof(t->cpu), "%s", by->cpu);
    snprintf(t->kernels, sizeof(t->kernels), "%s", by->kernels);
    snprintf(t->precision, sizeof(t->precision), "%s", precision_name(w->recipe.precision));
}

int stopwatch_table(const struct model *m, const struct msg_work *w, const struct measurer *by,
                    const struct job_host *host, struct msg_result *r, struct err *e)
{
    struct groups gs;
    struct latency t;
    struct buf bytes = {0};
    struct measuring how = manner(w, host, 1, TRIAL_NS);
    int rc = groups_find(&m->graph, &gs, e);
    if (rc < 0)
        return rc;
    rc = table_measure(m, &gs, &how, &t, e);
    groups_release(&gs);
    if (rc < 0)
        return rc;
    name_table(&t, w, by);
    latency_encode(&t, &bytes);
    latency_release(&t);
    if (bytes.n > PROTO_MAX_TABLE)
        rc = err_set(e, ERR_LIMIT, "the latency table has %zu bytes, more than %d", bytes.n, PROTO_MAX_TABLE);
    else if (!(r->table = mem_dup(bytes.p, bytes.n, 1)))
        rc = err_set(e, ERR_NOMEM, "no memory for a latency table of %zu bytes", bytes.n);
    else
        r->n_table = (uint32_t)bytes.n;
    buf_release(&bytes);
    return rc;
}

static int time_candidate(const struct msg_work *w, const struct job_host *host, const struct model *dense,
                          const struct model *m, struct msg_result *r, struct err *e)
{
    const int batches[PROTO_MAX_TIMES] = {1, w->batch};
    for (int i = 0; i < PROTO_MAX_TIMES; i++) {
        struct measuring how = manner(w, host, batches[i], PAIRS_NS);
        struct measured got;
        int rc = measure_latency(dense, m, &how, &got, e);
        if (rc < 0)
            return rc;
        r->times[r->n_times++] = (struct timing){batches[i], got.ms, got.dense_ms, got.ratio, got.spread};
    }
    return 0;
}

int stopwatch_candidate(const struct model *dense, const struct msg_work *w, const struct job_host *host,
                        struct msg_result *r, struct err *e)
{
    struct groups gs;
    struct model m;
    int rc = groups_find(&dense->graph, &gs, e);
    if (rc < 0)
        return rc;
    if ((int)w->n_keep != gs.n) {
        rc = err_set(e, ERR_INVALID, "the candidate has %u groups, the network %d", w->n_keep, gs.n);
    } else if ((rc = table_candidate(dense, &gs, w->keep, &m, e)) == 0) {
        rc = time_candidate(w, host, dense, &m, r, e);
        model_release(&m);
    }
    groups_release(&gs);
    return rc;
}
