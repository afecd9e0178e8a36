/* A latency table as bytes: "ESPL", version, then each field in order, little-endian; reals as their IEEE 754 bits.
 */
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/latency.h"

#define MAGIC   UINT32_C(0x4c505345) /* "ESPL" */
#define VERSION 1

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

static void put_f64(struct buf *b, double x)
{
    uint64_t u;
    memcpy(&u, &x, 8);
    put_u32(b, (uint32_t)u);
    put_u32(b, (uint32_t)(u >> 32));
}

static void put_text(struct buf *b, const char *s)
{
    size_t n = strlen(s);
    put_u32(b, (uint32_t)n);
    buf_append(b, s, n);
}

static void put_axis(struct buf *b, const struct latency_axis *x)
{
    put_u32(b, (uint32_t)x->n);
    for (int i = 0; i < x->n; i++)
        put_u32(b, (uint32_t)x->at[i]);
    put_u32(b, (uint32_t)x->pitch);
    for (int a = 0; a < LATENCY_ALIGNS; a++)
        put_f32(b, x->factor[a]);
}

void latency_encode(const struct latency *t, struct buf *out)
{
    put_u32(out, MAGIC);
    put_u32(out, VERSION);
    put_u32(out, (uint32_t)t->n_nodes);
    put_u32(out, (uint32_t)t->n_shapes);
    for (int i = 0; i < t->n_nodes; i++) {
        put_f32(out, t->base[i]);
        put_u32(out, (uint32_t)(t->shape[i] + 1));
    }
    for (int s = 0; s < t->n_shapes; s++) {
        const struct latency_shape *x = &t->shapes[s];
        put_axis(out, &x->in);
        put_axis(out, &x->out);
        for (int i = 0; i < x->in.n * x->out.n; i++)
            put_f32(out, x->ns[i]);
    }
    put_f64(out, t->lost);
    put_u32(out, (uint32_t)t->fitted);
    put_u32(out, (uint32_t)t->checked);
    put_f64(out, t->error_median);
    put_f64(out, t->error_worst);
    put_f64(out, t->dense_ns);
    put_f64(out, t->seconds);
    put_u32(out, (uint32_t)t->batch);
    put_u32(out, (uint32_t)t->threads);
    put_text(out, t->cpu);
    put_text(out, t->kernels);
    put_text(out, t->precision);
}

/* Reads with a sticky complaint: after the first mistake everything is 0. */
struct reader {
    const uint8_t *p;
    size_t left;
    const char *wrong;
};

static void refuse(struct reader *r, const char *why)
{
    if (!r->wrong)
        r->wrong = why;
}

static uint32_t get_u32(struct reader *r)
{
    if (r->left < 4)
        refuse(r, "it is cut short");
    if (r->wrong)
        return 0;
    uint32_t x = (uint32_t)r->p[0] | (uint32_t)r->p[1] << 8 | (uint32_t)r->p[2] << 16 | (uint32_t)r->p[3] << 24;
    r->p += 4;
    r->left -= 4;
    return x;
}

static int get_within(struct reader *r, int least, int most, const char *wrong)
{
    uint32_t x = get_u32(r);
    if (!r->wrong && (x > INT32_MAX || (int)x < least || (int)x > most))
        refuse(r, wrong);
    return r->wrong ? least : (int)x;
}

/* A finite number of nanoseconds or a factor, 0 or more. */
static float get_f32(struct reader *r)
{
    uint32_t u = get_u32(r);
    float x;
    memcpy(&x, &u, 4);
    if (!r->wrong && !(x >= 0 && x <= 1e15F))
        refuse(r, "a time is out of range");
    return r->wrong ? 0 : x;
}

static double get_f64(struct reader *r, double least, double most)
{
    uint64_t u = get_u32(r);
    double x;
    u |= (uint64_t)get_u32(r) << 32;
    memcpy(&x, &u, 8);
    if (!r->wrong && !(x >= least && x <= most))
        refuse(r, "a number is out of range");
    return r->wrong ? least : x;
}

static void get_text(struct reader *r, char out[LATENCY_TEXT])
{
    int n = get_within(r, 0, LATENCY_TEXT - 1, "a text is too long");
    if ((size_t)n > r->left)
        refuse(r, "it is cut short");
    if (r->wrong)
        n = 0;
    for (int i = 0; i < n; i++) {
        out[i] = (char)r->p[i];
        if (r->p[i] < ' ' || r->p[i] > '~')
            refuse(r, "a text isn't printable");
    }
    out[n] = '\0';
    r->p += n;
    r->left -= (size_t)n;
}

static void get_axis(struct reader *r, struct latency_axis *x)
{
    x->n = get_within(r, 1, LATENCY_MAX_LEVELS, "an axis has too few or too many widths");
    for (int i = 0; i < x->n; i++)
        x->at[i] = get_within(r, i ? x->at[i - 1] + 1 : 1, GRAPH_MAX_DIM, "an axis isn't ascending");
    x->pitch = get_within(r, 1, GRAPH_MAX_DIM, "a pitch is out of range");
    for (int a = 0; a < LATENCY_ALIGNS; a++)
        x->factor[a] = get_f32(r);
}

static void get_shape(struct reader *r, struct latency_shape *s)
{
    get_axis(r, &s->in);
    get_axis(r, &s->out);
    if (r->wrong)
        return;
    size_t n = (size_t)s->in.n * (size_t)s->out.n;
    s->ns = mem_zalloc(n, sizeof *s->ns);
    if (!s->ns) {
        refuse(r, "there is no memory for it");
        return;
    }
    for (size_t i = 0; i < n; i++)
        s->ns[i] = get_f32(r);
}

static void get_rest(struct reader *r, struct latency *t)
{
    t->lost = get_f64(r, -0.5, 0.9);
    t->fitted = get_within(r, 0, 10000, "a count is out of range");
    t->checked = get_within(r, 0, 10000, "a count is out of range");
    t->error_median = get_f64(r, 0, 1e6);
    t->error_worst = get_f64(r, 0, 1e6);
    t->dense_ns = get_f64(r, 0, 1e15);
    t->seconds = get_f64(r, 0, 1e9);
    t->batch = get_within(r, 1, 1 << 20, "a batch is out of range");
    t->threads = get_within(r, 1, 1 << 20, "a number of threads is out of range");
    get_text(r, t->cpu);
    get_text(r, t->kernels);
    get_text(r, t->precision);
    if (!r->wrong && r->left > 0)
        refuse(r, "bytes are left over");
}

int latency_decode(const void *bytes, size_t n, struct latency *t, struct err *e)
{
    struct reader r = {.p = bytes, .left = n};
    *t = (struct latency){0};
    if (n > LATENCY_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "latency table of %zu bytes, more than %d", n, LATENCY_MAX_BYTES);
    if (get_u32(&r) != MAGIC)
        refuse(&r, "it isn't one");
    if (get_u32(&r) != VERSION)
        refuse(&r, "it is of another version");
    /* a node takes 8 bytes, a shape no fewer than 60 */
    int nodes =
        get_within(&r, 1, (int)(n / 8 < GRAPH_MAX_NODES ? n / 8 : GRAPH_MAX_NODES), "it has too many nodes");
    int shapes = get_within(&r, 0, (int)(n / 60), "it has too many shapes");
    if (!r.wrong && latency_new(t, nodes, shapes, e) < 0)
        return e->code;
    for (int i = 0; i < t->n_nodes && !r.wrong; i++) {
        t->base[i] = get_f32(&r);
        t->shape[i] = get_within(&r, 0, shapes, "a node has no such shape") - 1;
    }
    for (int s = 0; s < t->n_shapes && !r.wrong; s++)
        get_shape(&r, &t->shapes[s]);
    if (!r.wrong)
        get_rest(&r, t);
    if (!r.wrong)
        return 0;
    latency_release(t);
    return err_set(e, ERR_INVALID, "latency table can't be read: %s", r.wrong);
}

int latency_check(const struct latency *t, const struct graph *g, struct err *e)
{
    if (t->n_nodes != g->n)
        return err_set(e, ERR_INVALID, "latency table is of a network of %d nodes, the model has %d", t->n_nodes,
                       g->n);
    double sum = 0;
    for (int i = 0; i < g->n; i++) {
        sum += (double)t->base[i];
        if (t->shape[i] >= 0 && g->nodes[i].op != OP_CONV && g->nodes[i].op != OP_GEMM)
            return err_set(e, ERR_INVALID, "latency table takes node %d, %s, for a convolution", i,
                           op_name(g->nodes[i].op));
    }
    if (!(sum >= 1))
        return err_set(e, ERR_INVALID, "latency table says that the network takes no time");
    return 0;
}
