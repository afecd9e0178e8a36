#include "common/model/classes.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/model/sets.h"

struct walk {
    const struct graph *g;
    int **of;         /* (nodes)(C): numbers of `sets`, its sets the classes once all nodes are seen */
    struct sets sets; /* of the channels that start somewhere; the others repeat them */
    int next;         /* the first of those that is unused */
};

static bool is_depthwise(const struct graph *g, const struct node *d)
{
    return d->op == OP_CONV && d->u.conv.groups > 1 && d->u.conv.groups == g->nodes[d->in[0]].C;
}

/* How many channels of node i's value belong to no class of its inputs. */
static int fresh(const struct graph *g, int i)
{
    const struct node *d = &g->nodes[i];
    switch (d->op) {
    case OP_INPUT:
    case OP_GEMM:
        return d->C;
    case OP_CONV:
        return is_depthwise(g, d) ? 0 : d->C / d->u.conv.groups;
    case OP_PAD:
        return d->u.pad.front + d->u.pad.back;
    default:
        return 0;
    }
}

static int take_fresh(struct walk *w, int *to, int n)
{
    for (int c = 0; c < n; c++)
        to[c] = w->next++;
    return n;
}

static void walk_conv(struct walk *w, const struct node *d, int *to, const int *from)
{
    int groups = d->u.conv.groups, C = w->g->nodes[d->in[0]].C / groups, K = d->C / groups;
    if (is_depthwise(w->g, d)) {
        for (int k = 0; k < d->C; k++)
            to[k] = from[k / K];
        return;
    }
    for (int c = C; c < C * groups; c++)
        sets_join(&w->sets, from[c], from[c % C]);
    take_fresh(w, to, K);
    for (int k = K; k < d->C; k++)
        to[k] = to[k - K];
}

static void walk_add(struct walk *w, const struct node *d, int *to, const int *from)
{
    const int *other = w->of[d->in[1]];
    for (int c = 0; c < d->C; c++) {
        sets_join(&w->sets, from[c], other[c]);
        to[c] = from[c];
    }
}

/* Every group of the shuffle keeps the same positions, so that it stays a shuffle. */
static void walk_shuffle(struct walk *w, const struct node *d, int *to, const int *from)
{
    int groups = d->u.shuffle.groups, each = d->C / groups;
    for (int i = 0; i < groups; i++)
        for (int j = 0; j < each; j++) {
            sets_join(&w->sets, from[i * each + j], from[j]);
            to[j * groups + i] = from[i * each + j];
        }
}

static void walk_flatten(const struct walk *w, const struct node *d, int *to, const int *from)
{
    int C = w->g->nodes[d->in[0]].C, pixels = d->C / C;
    for (int c = 0; c < d->C; c++)
        to[c] = from[d->u.flatten.last ? c % C : c / pixels];
}

static void walk_concat(const struct walk *w, const struct node *d, int *to)
{
    for (int j = 0; j < d->n_in; j++) {
        int C = w->g->nodes[d->in[j]].C;
        memcpy(to, w->of[d->in[j]], (size_t)C * sizeof *to);
        to += C;
    }
}

static void walk_pad(struct walk *w, const struct node *d, int *to, const int *from)
{
    int C = w->g->nodes[d->in[0]].C;
    to += take_fresh(w, to, d->u.pad.front);
    memcpy(to, from, (size_t)C * sizeof *to);
    take_fresh(w, to + C, d->u.pad.back);
}

static void join_values(struct walk *w, int i, int j)
{
    for (int c = 0; c < w->g->nodes[i].C; c++)
        sets_join(&w->sets, w->of[i][c], w->of[j][c]);
}

/* One weight has one set of rows and columns: those that share it keep the same outputs and inputs. */
static void walk_shares(struct walk *w, int i)
{
    const struct node *d = &w->g->nodes[i], *first = &w->g->nodes[d->shares];
    if (d->shares == 0)
        return;
    join_values(w, d->shares, i);
    join_values(w, first->in[0], d->in[0]);
}

/* Writes node i's channels as numbers of w->sets. */
static void walk_node(struct walk *w, int i)
{
    const struct node *d = &w->g->nodes[i];
    int *to = w->of[i];
    const int *from = d->n_in > 0 ? w->of[d->in[0]] : NULL;
    switch (d->op) {
    case OP_INPUT:
    case OP_GEMM:
        take_fresh(w, to, d->C);
        break;
    case OP_CONV:
        walk_conv(w, d, to, from);
        break;
    case OP_ADD:
    case OP_MUL:
        walk_add(w, d, to, from);
        break;
    case OP_CONCAT:
        walk_concat(w, d, to);
        break;
    case OP_PAD:
        walk_pad(w, d, to, from);
        break;
    case OP_SLICE:
        for (int c = 0; c < d->C; c++)
            to[c] = from[d->u.slice.c.begin + c * d->u.slice.c.step];
        break;
    case OP_FLATTEN:
        walk_flatten(w, d, to, from);
        break;
    case OP_SHUFFLE:
        walk_shuffle(w, d, to, from);
        break;
    default: /* BN, elementwise operators, pools, LRN, Unflatten, Softmax */
        memcpy(to, from, (size_t)d->C * sizeof *to);
    }
}

/* A place for each channel's class; *starts: how many channels begin one. */
static int table_new(const struct graph *g, struct classes *cs, int *starts, struct err *e)
{
    int64_t channels = 0;
    *starts = 0;
    for (int i = 0; i < g->n; i++) {
        channels += g->nodes[i].C;
        if (channels > CLASSES_MAX_CHANNELS)
            return err_set(e, ERR_LIMIT, "the values up to \"%s\" have more than %d channels together",
                           g->nodes[i].name, CLASSES_MAX_CHANNELS);
        *starts += fresh(g, i);
    }
    int *all = mem_alloc((size_t)channels, sizeof *all);
    cs->of = mem_alloc((size_t)g->n, sizeof *cs->of);
    if (!cs->of || !all) {
        mem_free(all);
        mem_free(cs->of);
        cs->of = NULL;
        return err_set(e, ERR_NOMEM, "no memory for the classes of %lld channels", (long long)channels);
    }
    for (int i = 0; i < g->n; i++) {
        cs->of[i] = all;
        all += g->nodes[i].C;
    }
    return 0;
}

/* Turns the numbers that the walk left in cs->of into those of classes. */
static int number(struct walk *w, struct classes *cs, struct err *e)
{
    int starts = w->sets.n, *class_of = mem_alloc((size_t)starts, sizeof *class_of);
    if (!class_of)
        return err_set(e, ERR_NOMEM, "no memory for the classes of %d channels", starts);
    memset(class_of, -1, (size_t)starts * sizeof *class_of);
    for (int i = 0; i < w->g->n; i++)
        for (int c = 0; c < w->g->nodes[i].C; c++) {
            int *class = &class_of[sets_find(&w->sets, cs->of[i][c])];
            if (*class < 0)
                *class = cs->n++;
            cs->of[i][c] = *class;
        }
    mem_free(class_of);
    return 0;
}

static const char *const texts[FIXED_REASONS] = {
    [FIXED_NOT] = "can be cut", [FIXED_INPUT] = "input",         [FIXED_OUTPUT] = "output",
    [FIXED_LRN] = "LRN",        [FIXED_STEPS] = "strided slice", [FIXED_NO_WEIGHTS] = "no weights",
};

const char *fixed_why_text(enum fixed_why d)
{
    if ((int)d < 0 || d >= FIXED_REASONS)
        BUG("reason %d", (int)d);
    return texts[d];
}

/* Channels [begin, end) of the value stay, for the reason that comes first. */
static void fix(struct classes *cs, enum fixed_why why, int node, int begin, int end)
{
    for (int c = begin; c < end; c++) {
        enum fixed_why *d = &cs->fixed[cs->of[node][c]];
        if (*d == FIXED_NOT || why < *d)
            *d = why;
    }
}

static void fix_node(const struct graph *g, struct classes *cs, int i)
{
    const struct node *d = &g->nodes[i];
    if (d->op == OP_INPUT)
        fix(cs, FIXED_INPUT, i, 0, d->C);
    if (i == g->output)
        fix(cs, FIXED_OUTPUT, i, 0, d->C);
    if (d->op == OP_LRN)
        fix(cs, FIXED_LRN, i, 0, d->C);
    if (d->op == OP_SLICE && d->u.slice.c.step > 1)
        fix(cs, FIXED_STEPS, d->in[0], d->u.slice.c.begin, d->u.slice.c.end);
}

static int find_fixed(const struct graph *g, struct classes *cs, struct err *e)
{
    size_t n = (size_t)cs->n;
    cs->first = mem_alloc(n, sizeof *cs->first);
    cs->fixed = mem_zalloc(n, sizeof *cs->fixed);
    if (!cs->first || !cs->fixed)
        return err_set(e, ERR_NOMEM, "no memory for %zu classes", n);
    memset(cs->first, -1, n * sizeof *cs->first);
    for (int i = 0; i < g->n; i++) {
        const struct node *d = &g->nodes[i];
        fix_node(g, cs, i);
        if (d->op == OP_CONV || d->op == OP_GEMM)
            for (int c = 0; c < d->C; c++)
                if (cs->first[cs->of[i][c]] < 0)
                    cs->first[cs->of[i][c]] = i;
    }
    for (size_t c = 0; c < n; c++)
        if (cs->first[c] < 0 && cs->fixed[c] == FIXED_NOT)
            cs->fixed[c] = FIXED_NO_WEIGHTS;
    return 0;
}

int classes_find(const struct graph *g, struct classes *out, struct err *e)
{
    *out = (struct classes){0};
    if (g->output < 0 || g->output >= g->n)
        return err_set(e, ERR_INVALID, "the graph's output is node %d of %d", g->output, g->n);
    struct walk w = {.g = g};
    int starts, rc = table_new(g, out, &starts, e);
    if (rc == 0)
        rc = sets_init(&w.sets, starts, e);
    if (rc < 0)
        goto out;
    w.of = out->of;
    for (int i = 0; i < g->n; i++) {
        walk_node(&w, i);
        walk_shares(&w, i);
    }
    rc = number(&w, out, e);
    if (rc == 0)
        rc = find_fixed(g, out, e);
out:
    sets_release(&w.sets);
    if (rc < 0)
        classes_release(out);
    return rc;
}

void classes_release(struct classes *cs)
{
    if (cs->of)
        mem_free(cs->of[0]);
    mem_free(cs->of);
    mem_free(cs->first);
    mem_free(cs->fixed);
    *cs = (struct classes){0};
}
