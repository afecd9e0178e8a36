/* profile as bytes: "ESPF", version, then each field in order, little-endian; a symmetric matrix as its upper
 * triangle. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "worker/compress/profile.h"

#define MAGIC   "ESPF"
#define VERSION 1

void profile_release(struct profile *p)
{
    for (int g = 0; g < p->n_groups; g++) {
        free(p->order ? p->order[g] : NULL);
        free(p->curve ? p->curve[g] : NULL);
    }
    free(p->size);
    free(p->order);
    free(p->curve);
    stats_list_release(&p->stats);
    gram_list_release(&p->grams);
    *p = (struct profile){0};
}

static void put_u32(struct buf *b, uint32_t x)
{
    uint8_t p[4] = {(uint8_t)x, (uint8_t)(x >> 8), (uint8_t)(x >> 16), (uint8_t)(x >> 24)};
    buf_append(b, p, 4);
}

static void put_f32(struct buf *b, float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    put_u32(b, u);
}

static void put_floats(struct buf *b, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_f32(b, x[i]);
}

static void put_gram(struct buf *b, const struct gram *gr)
{
    size_t n = (size_t)gr->n;
    put_u32(b, (uint32_t)gr->node);
    put_u32(b, (uint32_t)gr->n);
    put_u32(b, (uint32_t)gr->groups);
    put_floats(b, gr->mean, n * (size_t)gr->groups);
    for (int cg = 0; cg < gr->groups; cg++)
        for (size_t i = 0; i < n; i++)
            put_floats(b, gr->cov + ((size_t)cg * n + i) * n + i, n - i);
}

void profile_encode(const struct profile *p, struct buf *out)
{
    uint64_t loss;
    memcpy(&loss, &p->dense.loss, 8);
    buf_append(out, MAGIC, 4);
    put_u32(out, VERSION);
    put_u32(out, (uint32_t)p->dense.n);
    put_u32(out, (uint32_t)p->dense.top1);
    put_u32(out, (uint32_t)p->dense.top5);
    put_u32(out, (uint32_t)loss);
    put_u32(out, (uint32_t)(loss >> 32));
    put_u32(out, (uint32_t)p->n_groups);
    for (int g = 0; g < p->n_groups; g++) {
        put_u32(out, (uint32_t)p->size[g]);
        for (int k = 0; k < p->size[g]; k++)
            put_u32(out, (uint32_t)p->order[g][k]);
        put_floats(out, p->curve[g], (size_t)p->size[g] + 1);
    }
    put_u32(out, (uint32_t)p->stats.n);
    for (int i = 0; i < p->stats.n; i++) {
        put_u32(out, (uint32_t)p->stats.of[i].node);
        put_u32(out, (uint32_t)p->stats.of[i].C);
        put_floats(out, p->stats.of[i].mean, (size_t)p->stats.of[i].C);
        put_floats(out, p->stats.of[i].var, (size_t)p->stats.of[i].C);
    }
    put_u32(out, (uint32_t)p->grams.n);
    for (int i = 0; i < p->grams.n; i++)
        put_gram(out, &p->grams.of[i]);
}

/* Reads with a sticky error: after the first mistake everything is 0. */
struct reader {
    const uint8_t *p;
    size_t left;
    bool bad;
};

static uint32_t get_u32(struct reader *r)
{
    if (r->bad || r->left < 4) {
        r->bad = true;
        return 0;
    }
    uint32_t x = (uint32_t)r->p[0] | (uint32_t)r->p[1] << 8 | (uint32_t)r->p[2] << 16 | (uint32_t)r->p[3] << 24;
    r->p += 4;
    r->left -= 4;
    return x;
}

static int get_int(struct reader *r)
{
    uint32_t x = get_u32(r);
    r->bad = r->bad || x > INT32_MAX;
    return r->bad ? 0 : (int)x;
}

/* A count of things of which each takes at least `bytes` more. */
static int get_count(struct reader *r, size_t bytes)
{
    uint32_t n = get_u32(r);
    if (n > r->left / bytes || n > (uint32_t)GRAPH_MAX_DIM)
        r->bad = true;
    return r->bad ? 0 : (int)n;
}

/* n floats into memory of their own; NULL and bad when they aren't there or aren't finite. */
static void fill_floats(struct reader *r, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t u = get_u32(r);
        memcpy(&x[i], &u, 4);
        r->bad = r->bad || !isfinite(x[i]);
    }
}

static float *get_floats(struct reader *r, size_t n)
{
    float *x = r->bad || n > r->left / 4 ? NULL : mem_alloc(n, sizeof(float));
    if (x)
        fill_floats(r, x, n);
    else
        r->bad = true;
    return x;
}

static void get_metrics(struct reader *r, struct metrics *m)
{
    m->n = get_int(r);
    m->top1 = get_int(r);
    m->top5 = get_int(r);
    uint64_t loss = get_u32(r);
    loss |= (uint64_t)get_u32(r) << 32;
    memcpy(&m->loss, &loss, 8);
    r->bad = r->bad || m->top1 > m->top5 || m->top5 > m->n || !isfinite(m->loss);
}

static void get_orders(struct reader *r, struct profile *p)
{
    p->n_groups = get_count(r, 12);
    p->size = xcalloc((size_t)p->n_groups, sizeof(*p->size));
    p->order = xcalloc((size_t)p->n_groups, sizeof(*p->order));
    p->curve = xcalloc((size_t)p->n_groups, sizeof(*p->curve));
    for (int g = 0; !r->bad && g < p->n_groups; g++) {
        int n = p->size[g] = get_count(r, 8);
        bool *seen = xcalloc((size_t)n, sizeof(bool));
        p->order[g] = xcalloc((size_t)n, sizeof(int));
        for (int k = 0; k < n; k++) {
            uint32_t c = get_u32(r);
            if (c >= (uint32_t)n || seen[c])
                r->bad = true;
            else
                seen[c] = true;
            p->order[g][k] = r->bad ? 0 : (int)c;
        }
        free(seen);
        p->curve[g] = get_floats(r, (size_t)n + 1);
    }
}

static void get_stats(struct reader *r, struct profile *p)
{
    int n = get_count(r, 16);
    p->stats.of = xcalloc((size_t)n, sizeof(*p->stats.of));
    for (; !r->bad && p->stats.n < n; p->stats.n++) {
        struct channel_stats *s = &p->stats.of[p->stats.n];
        s->node = get_int(r);
        s->C = get_count(r, 8);
        s->mean = get_floats(r, (size_t)s->C);
        s->var = get_floats(r, (size_t)s->C);
        for (int c = 0; !r->bad && c < s->C; c++)
            r->bad = s->var[c] < 0;
    }
}

static void get_gram(struct reader *r, struct gram *gr)
{
    gr->node = get_int(r);
    gr->n = get_count(r, 4);
    gr->groups = get_count(r, 4);
    size_t n = (size_t)gr->n, groups = (size_t)gr->groups;
    if (n > GRAM_MOST || (n + 1) * n / 2 > r->left / 4 / (groups ? groups : 1))
        r->bad = true;
    gr->mean = get_floats(r, n * groups);
    gr->cov = r->bad ? NULL : mem_alloc(n * n, groups * sizeof(float));
    if (!gr->cov) {
        r->bad = true;
        return;
    }
    for (size_t cg = 0; cg < groups; cg++) {
        float *cov = gr->cov + cg * n * n;
        for (size_t i = 0; i < n; i++) {
            fill_floats(r, cov + i * n + i, n - i);
            for (size_t j = i + 1; j < n; j++)
                cov[j * n + i] = cov[i * n + j];
        }
    }
}

int profile_decode(const void *bytes, size_t n, struct profile *p, struct err *e)
{
    struct reader r = {bytes, n, false};
    *p = (struct profile){0};
    if (n < 8 || memcmp(bytes, MAGIC, 4) != 0)
        return err_set(e, ERR_INVALID, "not a profile: %zu bytes without its magic", n);
    r.p += 4;
    r.left -= 4;
    uint32_t version = get_u32(&r);
    if (version != VERSION)
        return err_set(e, ERR_UNSUPPORTED, "profile of version %u, this program reads %d", version, VERSION);
    get_metrics(&r, &p->dense);
    get_orders(&r, p);
    get_stats(&r, p);
    int grams = get_count(&r, 12);
    p->grams.of = xcalloc((size_t)grams, sizeof(*p->grams.of));
    for (; !r.bad && p->grams.n < grams; p->grams.n++)
        get_gram(&r, &p->grams.of[p->grams.n]);
    if (r.bad || r.left > 0) {
        int rc = err_set(e, ERR_INVALID, "profile of %zu bytes is damaged at byte %zu", n, n - r.left);
        profile_release(p);
        return rc;
    }
    return 0;
}
