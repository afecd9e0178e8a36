#include "worker/scoring.h"

#include <cblas.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "proto/limits.h"
#include "worker/options.h"
#include "worker/train/precision.h"
#include "worker/train/score.h"

static const char usage[] =
    "usage: espalier-worker score FILE.onnx --data KIND:PATH [options]\n"
    "\n"
    "Runs the network over a data set and prints how many images it gets right.\n"
    "\n"
    "  --data KIND:PATH     cifar10, cifar100 or idx, and the folder with its files; or synthetic\n"
    "  --split test|train   which part of it (default: test)\n"
    "  --mean R,G,B         x = (pixel - mean) / std, pixels 0..255; one number stands for all channels\n"
    "  --std R,G,B          (default: mean 0, std 1)\n"
    "  --seed N             of the synthetic data (default: 1)\n"
    "  --threads N          compute threads (default: all CPUs)\n"
    "  --precision P        fp32 or bf16: what it computes in (default: fp32)\n"
    "  --format text|json   (default: text)\n"
    "  --help\n";

struct scoring {
    const char *model; /* borrowed from argv, like `path` */
    bool has_data;
    enum data_kind kind;
    const char *path; /* NULL: synthetic */
    int split;
    double mean[4], std[4];
    int n_mean, n_std; /* numbers given */
    int seed, threads;
    enum precision precision;
    bool json;
};

/* --- the command line --- */

static int set_numbers(const char *what, const char *text, double *out, int *n, struct err *e)
{
    const char *p = text;
    for (*n = 0; *n < 4; p++) {
        char *end;
        errno = 0;
        out[*n] = strtod(p, &end);
        if (end == p || errno || !isfinite(out[*n]))
            break;
        ++*n;
        p = end;
        if (!*p)
            return 0;
        if (*p != ',')
            break;
    }
    return err_set(e, ERR_INVALID, "%s \"%s\" isn't one to four numbers with commas between them", what, text);
}

static int choose(const char *what, const char *text, const char *zero, const char *one, int *out, struct err *e)
{
    *out = strcmp(text, one) == 0;
    if (!*out && strcmp(text, zero) != 0)
        return err_set(e, ERR_INVALID, "%s \"%s\" isn't %s or %s", what, text, zero, one);
    return 0;
}

static int take(struct scoring *s, int opt, char **argv, struct err *e)
{
    int rc, train, json;
    switch (opt) {
    case 'd':
        s->has_data = true;
        return options_data(optarg, &s->kind, &s->path, e);
    case 's':
        rc = choose("--split", optarg, "test", "train", &train, e);
        s->split = train ? SPLIT_TRAIN : SPLIT_TEST;
        return rc;
    case 'm':
        return set_numbers("--mean", optarg, s->mean, &s->n_mean, e);
    case 'S':
        rc = set_numbers("--std", optarg, s->std, &s->n_std, e);
        for (int c = 0; rc == 0 && c < s->n_std; c++)
            if (s->std[c] <= 0)
                rc = err_set(e, ERR_INVALID, "--std \"%s\" isn't above 0", optarg);
        return rc;
    case 'r':
        return options_number("--seed", optarg, 0, INT32_MAX, &s->seed, e);
    case 't':
        return options_number("--threads", optarg, 1, PROTO_MAX_THREADS, &s->threads, e);
    case 'p':
        if (!precision_from_name(optarg, &s->precision))
            return err_set(e, ERR_INVALID, "--precision \"%s\" isn't fp32 or bf16", optarg);
        return 0;
    case 'f':
        rc = choose("--format", optarg, "text", "json", &json, e);
        s->json = json;
        return rc;
    case 'h':
        fputs(usage, stdout);
        return OPTIONS_DONE;
    default:
        return options_unknown(argv, opt, e);
    }
}

static int parse(struct scoring *s, int argc, char **argv, struct err *e)
{
    static const struct option known[] = {
        {"data", required_argument, NULL, 'd'},
        {"split", required_argument, NULL, 's'},
        {"mean", required_argument, NULL, 'm'},
        {"std", required_argument, NULL, 'S'},
        {"seed", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"precision", required_argument, NULL, 'p'},
        {"format", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *s = (struct scoring){.split = SPLIT_TEST, .seed = 1, .threads = options_cores()};
    opterr = 0;
    for (int opt; (opt = getopt_long(argc, argv, ":", known, NULL)) != -1;) {
        int rc = take(s, opt, argv, e);
        if (rc != 0)
            return rc;
    }
    if (argc - optind != 1)
        return err_set(e, ERR_INVALID, "%d files are named, not one (--help says more)", argc - optind);
    if (!s->has_data)
        return err_set(e, ERR_INVALID, "--data KIND:PATH is missing (--help says more)");
    s->model = argv[optind];
    return OPTIONS_RUN;
}

/* --- the work --- */

static int load_data(const struct scoring *s, struct dataset *d, struct err *e)
{
    const struct set_file *files = data_kind_files(s->kind, s->split == SPLIT_TEST);
    const char *paths[RECIPE_MAX_FILES];
    int n = 0;
    for (; files[n].name; n++)
        paths[n] = file_join(s->path, files[n].name);
    int rc = dataset_load(d, s->kind, s->split, paths, (uint64_t)s->seed, e);
    for (int i = 0; i < n; i++)
        free((char *)paths[i]);
    return rc;
}

/* A number a channel of the data, from those that were given. */
static int spread(const char *what, const double *given, int n, double standard, int C, double *out, struct err *e)
{
    if (n > 1 && n != C)
        return err_set(e, ERR_INVALID, "%s has %d numbers, the images have %d channels", what, n, C);
    for (int c = 0; c < C; c++)
        out[c] = n == 0 ? standard : given[n == 1 ? 0 : c];
    return 0;
}

static void print_score(const struct scoring *s, const struct score *r)
{
    const char *kernels = engine_describe(), *blas = openblas_get_corename();
    const char *precision = precision_name(s->precision);
    if (s->json)
        printf("{\"n\": %d, \"top1\": %d, \"top5\": %d, \"loss\": %.9g, \"images_s\": %.1f, \"threads\": %d, "
               "\"precision\": \"%s\", \"kernels\": \"%s %s\"}\n",
               r->n, r->top1, r->top5, r->loss, r->images_s, s->threads, precision, kernels, blas);
    else
        printf(
            "top1 %d of %d (%.2f%%)  top5 %d (%.2f%%)  loss %.4f  images/s %.0f\nkernels %s %s, %s, %d threads\n",
            r->top1, r->n, 100.0 * r->top1 / r->n, r->top5, 100.0 * r->top5 / r->n, r->loss, r->images_s, kernels,
            blas, precision, s->threads);
}

static int run(const struct scoring *s, struct err *e)
{
    struct model m = {0};
    struct dataset d = {0};
    struct pool *pool = NULL;
    double mean[4], std[4];
    int rc = onnx_load_file(s->model, &m, e);
    if (rc < 0)
        return rc;
    if ((rc = load_data(s, &d, e)) < 0 || (rc = spread("--mean", s->mean, s->n_mean, 0, d.C, mean, e)) < 0 ||
        (rc = spread("--std", s->std, s->n_std, 1, d.C, std, e)) < 0 || (rc = pool_new(&pool, s->threads, e)) < 0)
        goto out;
    struct scored_set set = {.data = &d, .n = d.n, .mean = mean, .std = std};
    struct score r;
    rc = score_model(pool, &m.graph, &m.weights, precision_dtype(s->precision), &set, NULL, NULL, &r, e);
    if (rc == 0)
        print_score(s, &r);
out:
    pool_free(pool);
    dataset_release(&d);
    model_release(&m);
    return rc;
}

int scoring_main(int argc, char **argv)
{
    struct scoring s;
    struct err e;
    int rc = parse(&s, argc, argv, &e);
    if (rc < 0) {
        fprintf(stderr, "espalier-worker score: %s\n", e.text);
        return 2;
    }
    if (rc == OPTIONS_RUN && run(&s, &e) < 0) {
        fprintf(stderr, "espalier-worker score: %s\n", e.text);
        return 1;
    }
    return 0;
}
