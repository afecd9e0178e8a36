/*
 * job_host - what a job needs around it, for tests: a host whose blobs are files in a folder of its own, a small
 * data set of the MNIST family there, and networks.
 */
#ifndef TESTS_UNIT_JOB_HOST_H
#define TESTS_UNIT_JOB_HOST_H

#include <stdlib.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/onnx/load.h"
#include "common/onnx/save.h"
#include "tests/unit/compress_net.h"
#include "worker/job.h"

enum { SURROUND_EPOCHS = 32 };

struct surroundings {
    char dir[64];
    struct job_host host;
    int calls, stop_at; /* of progress; stop_at 0: never */
    int fetched;        /* blobs that were asked for, data files too */
    char stages[512];   /* each stage once, in order, with a blank behind */
    struct msg_checkpoint kept[SURROUND_EPOCHS];
    int n_kept;
    int stop_after; /* the epoch after whose checkpoint the job is cancelled; 0: none */
};

static inline char *surround_place(const struct surroundings *s, const struct hash *h)
{
    char hex[HASH_HEX];
    hash_to_hex(h, hex);
    return file_join(s->dir, hex);
}

/* Data files lie there under their names. */
static inline int surround_blob(void *arg, const struct hash *h, uint64_t size, const char *data_name,
                                const char *data_kind, const char **path, struct err *e)
{
    static char last[RECIPE_MAX_FILES][256];
    static int at;
    struct surroundings *s = arg;
    char *place = data_name ? file_join(s->dir, data_name) : surround_place(s, h);
    char *to = last[at++ % RECIPE_MAX_FILES];
    snprintf(to, sizeof last[0], "%s", place);
    free(place);
    ck_assert(!data_name == !data_kind && (data_name || size == 0));
    if (access(to, R_OK) != 0)
        return err_set(e, ERR_NOTFOUND, "no such blob");
    s->fetched++;
    *path = to;
    return 0;
}

static inline int surround_put(void *arg, const struct hash *h, const void *bytes, size_t n, struct err *e)
{
    struct hash is = hash_of(bytes, n);
    char *at = surround_place(arg, h);
    ck_assert(hash_equal(&is, h));
    int rc = file_write(at, bytes, n, e);
    free(at);
    return rc;
}

static inline int surround_progress(void *arg, const char *stage, uint64_t done, uint64_t total, struct err *e)
{
    struct surroundings *s = arg;
    char word[64];
    ck_assert_uint_le(done, total);
    snprintf(word, sizeof word, "%s ", stage);
    if (!strstr(s->stages, word))
        strncat(s->stages, word, sizeof s->stages - strlen(s->stages) - 1);
    return ++s->calls == s->stop_at ? err_set(e, ERR_CANCELLED, "stopped in %s", stage) : 0;
}

static inline int surround_checkpoint(void *arg, const struct msg_checkpoint *k, const struct buf *bytes,
                                      struct err *e)
{
    struct surroundings *s = arg;
    ck_assert_int_lt(s->n_kept, SURROUND_EPOCHS);
    s->kept[s->n_kept++] = *k;
    int rc = surround_put(s, &k->blob, bytes->p, bytes->n, e);
    if (rc == 0 && k->epoch == s->stop_after)
        rc = err_set(e, ERR_CANCELLED, "stopped after epoch %d", k->epoch);
    return rc;
}

static inline void surroundings_init(struct surroundings *s)
{
    *s = (struct surroundings){.dir = "/tmp/espalier-job-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(s->dir));
    s->host = (struct job_host){.arg = s,
                                .blob = surround_blob,
                                .put = surround_put,
                                .progress = surround_progress,
                                .checkpoint = surround_checkpoint};
}

static inline void surroundings_release(struct surroundings *s)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", s->dir);
    ck_assert_int_eq(system(command), 0);
}

static inline struct hash surround_store(struct surroundings *s, const void *bytes, size_t n)
{
    struct err e;
    struct hash h = hash_of(bytes, n);
    must(surround_put(s, &h, bytes, n, &e), &e);
    return h;
}

static inline struct hash surround_model(struct surroundings *s, struct net *n)
{
    struct buf bytes = {0};
    struct err e;
    must(onnx_save(&n->m, NULL, 0, &bytes, &e), &e);
    struct hash h = surround_store(s, bytes.p, bytes.n);
    buf_release(&bytes);
    model_release(&n->m);
    return h;
}

/* ---- running ---- */

static inline struct worker_state *new_state(int threads)
{
    struct worker_state *st;
    struct err e;
    must(job_state_new(&st, threads, &e), &e);
    return st;
}

static inline void free_result(struct msg_result *r)
{
    free(r->n_curve);
    free(r->curve);
}

/* Runs it; the caller frees the result. */
static inline struct msg_result run(struct worker_state *st, const struct msg_work *w, struct surroundings *s)
{
    struct msg_result r;
    struct err e;
    s->stages[0] = 0;
    s->n_kept = 0;
    must(job_run(st, w, &s->host, &r, &e), &e);
    ck_assert(task_id_equal(&r.task, &w->task));
    ck_assert(r.seconds > 0);
    return r;
}

static inline void refuse(struct worker_state *st, const struct msg_work *w, struct surroundings *s, int code,
                          const char *line)
{
    struct msg_result r;
    struct err e = {.text = ""};
    ck_assert_int_eq(job_run(st, w, &s->host, &r, &e), code);
    ck_assert_str_eq(e.text, line);
    ck_assert(!r.has_blob && !r.curve && !r.n_curve && r.n_groups == 0 && r.reward.n == 0);
}

static inline void check_metrics(const struct metrics *a, const struct metrics *b)
{
    ck_assert(a->n == b->n && a->top1 == b->top1 && a->top5 == b->top5 && a->loss == b->loss);
}

/* ---- a small data set ---- */

enum { TINY_TRAIN = 240, TINY_TEST = 80, TINY_SIDE = 10, TINY_CLASSES = 4, TINY_REWARD = 60, TINY_CALIBRATE = 40 };

static inline void big_endian(struct buf *b, uint32_t v)
{
    const uint8_t p[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    buf_append(b, p, 4);
}

/* n pictures of bars, whose direction and place are their class, under noise; and their labels. */
static inline void tiny_files(struct surroundings *s, struct recipe *r, bool test, int n)
{
    const struct set_file *files = data_kind_files(DATA_IDX, test);
    struct buf b[2] = {0};
    struct rng rng;
    struct err e;
    rng_init(&rng, 1, "tiny", test);
    big_endian(&b[0], 0x803);
    big_endian(&b[0], (uint32_t)n);
    big_endian(&b[0], TINY_SIDE);
    big_endian(&b[0], TINY_SIDE);
    big_endian(&b[1], 0x801);
    big_endian(&b[1], (uint32_t)n);
    for (int i = 0; i < n; i++) {
        uint8_t label = (uint8_t)rng_below(&rng, TINY_CLASSES), pixels[TINY_SIDE * TINY_SIDE];
        for (int k = 0; k < TINY_SIDE * TINY_SIDE; k++) {
            int at = label % 2 ? k % TINY_SIDE : k / TINY_SIDE, from = label / 2 ? 6 : 2;
            double level = at >= from && at < from + 2 ? 150 : 90;
            pixels[k] = (uint8_t)fmin(255, fmax(0, level + 45 * rng_normal(&rng)));
        }
        buf_append(&b[0], pixels, sizeof pixels);
        buf_append(&b[1], &label, 1);
    }
    for (int i = 0; i < 2; i++) {
        struct data_file *f = &r->files[r->n_files++];
        char *path = file_join(s->dir, files[i].name);
        snprintf(f->name, sizeof f->name, "%s", files[i].name);
        f->hash = hash_of(b[i].p, b[i].n);
        f->size = b[i].n;
        must(file_write(path, b[i].p, b[i].n, &e), &e);
        free(path);
        buf_release(&b[i]);
    }
}

/* A residual net for it of three groups, one of whose convs has no BN. */
static inline struct hash tiny_model(struct surroundings *s, uint64_t seed)
{
    struct net n;
    net_init(&n, seed, "tiny");
    int a = relu(&n, bn(&n, conv(&n, input(&n, 1, TINY_SIDE, TINY_SIDE), 8, 3, 1)));
    int b = relu(&n, conv_win(&n, a, 10, window(3, 1, 1), 1, true));
    int c = relu(&n, sum(&n, bn(&n, conv(&n, b, 8, 3, 1)), a));
    tail(&n, relu(&n, bn(&n, conv(&n, c, 12, 3, 2))), TINY_CLASSES);
    draw_weights(&n);
    return surround_model(s, &n);
}

/* Of the tiny data, whose files are made; nothing is trained. */
static inline struct recipe tiny_recipe(struct surroundings *s, const struct hash *model)
{
    struct recipe r = {.seed = 5,
                       .model = *model,
                       .data = DATA_IDX,
                       .mean = {110},
                       .std = {50},
                       .n_channels = 1,
                       .reward = TINY_REWARD,
                       .calibrate = TINY_CALIBRATE,
                       .reconstruct = true,
                       .recalibrate = true,
                       .finetune = training_none(),
                       .finish = training_none()};
    tiny_files(s, &r, false, TINY_TRAIN);
    tiny_files(s, &r, true, TINY_TEST);
    return r;
}

/* Two files that differ in what they say of themselves alone. */
static inline void same_networks(const struct surroundings *s, const struct hash *a, const struct hash *b)
{
    struct model m[2];
    struct err e;
    for (int i = 0; i < 2; i++) {
        char *path = surround_place(s, i ? b : a);
        must(onnx_load_file(path, &m[i], &e), &e);
        free(path);
    }
    ck_assert_int_eq(m[0].graph.n, m[1].graph.n);
    for (int i = 0; i < m[0].graph.n; i++) {
        const struct params *x = &m[0].weights.of[i], *y = &m[1].weights.of[i];
        ck_assert_uint_eq(x->n_w, y->n_w);
        ck_assert(x->n_w == 0 || memcmp(x->w, y->w, x->n_w * sizeof(float)) == 0);
        ck_assert(!x->b || memcmp(x->b, y->b, x->n_b * sizeof(float)) == 0);
    }
    model_release(&m[0]);
    model_release(&m[1]);
}

#endif
