#include "worker/export.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/version.h"
#include "common/onnx/save.h"

#define MOST_LABELS 24

struct labels {
    struct onnx_meta of[MOST_LABELS];
    char *text[MOST_LABELS];
    int n;
};

static void labels_release(struct labels *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->text[i]);
}

static void take(struct labels *l, const char *key, char *text /* ours from now on */)
{
    if (l->n == MOST_LABELS)
        BUG("more than %d labels", MOST_LABELS);
    l->text[l->n] = text;
    l->of[l->n++] = (struct onnx_meta){key, text};
}

static void add(struct labels *l, const char *key, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void add(struct labels *l, const char *key, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    take(l, key, xstrdup(line));
}

static void add_score(struct labels *l, const char *top1, const char *top5, const char *images, const struct metrics *m)
{
    if (m->n <= 0)
        return;
    add(l, top1, "%.6g", (double)m->top1 / m->n);
    add(l, top5, "%.6g", (double)m->top5 / m->n);
    add(l, images, "%d", m->n);
}

static void add_cost(struct labels *l, const char *key, const char *ratio, int64_t cost, int64_t dense)
{
    if (dense <= 0)
        return;
    add(l, key, "%" PRId64, cost);
    add(l, ratio, "%.6g", (double)cost / (double)dense);
}

/* The ranks that are set, as ranges. */
static void write_ranges(struct buf *b, const bool *set, int n)
{
    const char *between = "";
    for (int from = 0; from < n; from++) {
        int to = from;
        if (!set[from])
            continue;
        while (to + 1 < n && set[to + 1])
            to++;
        if (to > from)
            buf_text(b, "%s%d-%d", between, from, to);
        else
            buf_text(b, "%s%d", between, from);
        between = ",";
        from = to;
    }
}

static void add_kept(struct labels *l, const struct dense *d, const struct profile *p, const int *keep)
{
    struct buf b = {0};
    for (int g = 0; g < d->groups.n; g++) {
        int n = d->groups.of[g].n;
        bool *set = xcalloc((size_t)n, sizeof(bool));
        for (int k = 0; k < keep[g]; k++)
            set[p->order[g][k]] = true;
        if (g > 0)
            buf_text(&b, ";");
        write_ranges(&b, set, n);
        free(set);
    }
    take(l, "espalier.kept", xstrdup((const char *)b.p));
    buf_release(&b);
}

int export_candidate(const struct model *m, const struct dense *d, const struct profile *p, const struct msg_work *w,
                     const struct msg_result *r, struct buf *out, struct err *e)
{
    const struct msg_about *a = &w->about;
    bool final = w->task.kind == TASK_FINAL;
    char parent[HASH_HEX];
    struct labels l = {.n = 0};
    struct model folded;
    int rc = fold(m, &folded, e);
    if (rc < 0)
        return rc;
    hash_to_hex(&w->recipe.model, parent);
    add(&l, "espalier.version", "%s", ESPALIER_VERSION);
    add(&l, "espalier.search", "%" PRId64, w->task.search);
    add(&l, "espalier.name", "%s", a->name);
    add(&l, "espalier.episode", "%d", w->task.episode);
    add(&l, "espalier.budget", "%s", a->budget);
    add(&l, "espalier.stage", "%s", final ? "final" : "proxy");
    add_cost(&l, "espalier.macs", "espalier.macs_ratio", a->macs, a->dense_macs);
    add_cost(&l, "espalier.params", "espalier.params_ratio", a->params, a->dense_params);
    add_score(&l, "espalier.top1", "espalier.top5", "espalier.images", final ? &r->reward : &a->reward);
    add_score(&l, "espalier.test_top1", "espalier.test_top5", "espalier.test_images", &r->test);
    add(&l, "espalier.parent_sha256", "%s", parent);
    add(&l, "espalier.cut", "%s", cut_kind_name(w->recipe.cut));
    if (w->recipe.cut == CUT_CHANNELS)
        add_kept(&l, d, p, w->keep);
    rc = onnx_save(&folded, l.of, l.n, out, e);
    labels_release(&l);
    model_release(&folded);
    return rc;
}

int export_trained(const struct model *m, const struct msg_work *w, const struct msg_result *r, struct buf *out,
                   struct err *e)
{
    char from[HASH_HEX];
    struct labels l = {.n = 0};
    hash_to_hex(&w->recipe.model, from);
    add(&l, "espalier.version", "%s", ESPALIER_VERSION);
    add(&l, "espalier.training", "%s", w->about.name);
    add_score(&l, "espalier.test_top1", "espalier.test_top5", "espalier.test_images", &r->test);
    add(&l, "espalier.trained_from", "%s", from);
    int rc = onnx_save(m, l.of, l.n, out, e);
    labels_release(&l);
    return rc;
}
