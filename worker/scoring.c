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
#include "common/pictures/folder.h"
#include "proto/limits.h"
#include "worker/options.h"
#include "worker/train/precision.h"
#include "worker/train/score.h"

static const char usage[] =
    "usage: espalier-worker score FILE.onnx --data KIND:PATH [options]\n"
    "\n"
    "Runs the network over a data set and prints how many images it gets right.\n"
    "\n"
    "  --data KIND:PATH     cifar10, cifar100, idx or images, and the folder with its files; or synthetic\n"
    "  --split test|train   which part of it (default: test; of images without parts: all)\n"
    "  --mean R,G,B         x = (pixel - mean) / std, pixels 0..255; one number stands for all channels\n"
    "  --std R,G,B          (default: mean 0, std 1)\n"
    "  --labels NAME        images: the label file in that folder (default: labels.csv, where it is there)\n"
    "  --resize N           images: pixels of the shorter side before the crop (default: the network's / 0.875)\n"
    "  --offset N           images: added to each class; 1 where the first output is a background class (default: "
    "0)\n"
    "  --memory SIZE        images: for those that are kept decoded, such as 512M or 4G (default: 1G)\n"
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
    int split;        /* -1: not given */
    double mean[4], std[4];
    int n_mean, n_std;  /* numbers given */
    const char *labels; /* NULL: the usual name, where it is there */
    int resize, offset;
    uint64_t memory;
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
    case 'l':
        s->labels = optarg;
        return 0;
    case 'z':
        return options_number("--resize", optarg, 1, RECIPE_MAX_RESIZE, &s->resize, e);
    case 'o':
        return options_number("--offset", optarg, 0, RECIPE_MAX_OFFSET, &s->offset, e);
    case 'M':
        return options_bytes("--memory", optarg, &s->memory, e);
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
        {"labels", required_argument, NULL, 'l'},
        {"resize", required_argument, NULL, 'z'},
        {"offset", required_argument, NULL, 'o'},
        {"memory", required_argument, NULL, 'M'},
        {"seed", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"precision", required_argument, NULL, 'p'},
        {"format", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *s = (struct scoring){.split = -1, .seed = 1, .threads = options_cores(), .memory = PICTURES_MEMORY};
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
    if (s->kind != DATA_IMAGES && (s->labels || s->resize || s->offset))
        return err_set(e, ERR_INVALID, "%s is about images, not about %s",
                       s->labels   ? "--labels"
                       : s->resize ? "--resize"
                                   : "--offset",
                       data_kind_name(s->kind));
    s->model = argv[optind];
    return OPTIONS_RUN;
}

/* --- the work --- */

static int load_files(const struct scoring *s, struct dataset *d, struct err *e)
{
    int split = s->split < 0 ? SPLIT_TEST : s->split;
    const struct set_file *files = data_kind_files(s->kind, split == SPLIT_TEST);
    const char *paths[RECIPE_MAX_FILES];
    int n = 0;
    for (; files[n].name; n++)
        paths[n] = file_join(s->path, files[n].name);
    int rc = dataset_load(d, s->kind, split, paths, (uint64_t)s->seed, e);
    for (int i = 0; i < n; i++)
        free((char *)paths[i]);
    return rc;
}

/* The images of the part that was asked for; without parts, all of them. */
static int choose_part(const struct scoring *s, struct pictures *p, struct dataset *d, struct err *e)
{
    const struct picture_index *x = pictures_index(p);
    int n_train = x->n - x->n_test;
    if (s->split >= 0 && !x->split)
        return err_set(e, ERR_INVALID,
                       "--split %s: \"%s\" has no parts (train and test or val); leave it out for all of it",
                       s->split == SPLIT_TEST ? "test" : "train", s->path);
    if (!x->split || s->split == SPLIT_TRAIN)
        return dataset_of_pictures(d, p, NULL, n_train, e);
    int rc = 0, *place = mem_alloc((size_t)x->n_test, sizeof(*place));
    if (!place)
        return err_set(e, ERR_NOMEM, "no memory for %d images", x->n_test);
    for (int i = 0; i < x->n_test; i++)
        place[i] = n_train + i;
    rc = dataset_of_pictures(d, p, place, x->n_test, e);
    mem_free(place);
    return rc;
}

static int load_pictures(const struct scoring *s, const struct graph *g, struct pool *pool, struct pictures **p,
                         struct dataset *d, struct err *e)
{
    const struct node *in = &g->nodes[0], *out = &g->nodes[g->output];
    const struct pictures_view v = {.H = in->H, .W = in->W, .resize = s->resize, .offset = s->offset};
    struct picture_index x;
    int rc = picture_folder_scan(&x, s->path, s->labels, e);
    if (rc < 0)
        return rc;
    if ((rc = picture_index_suits(&x, s->offset, in->C, out->C, e)) < 0) {
        picture_index_release(&x);
        return rc;
    }
    if ((rc = pictures_open(p, &x, s->path, NULL, &v, s->memory, e)) < 0 || (rc = choose_part(s, *p, d, e)) < 0)
        return rc;
    return pictures_decode(*p, pool, d->place, d->n, NULL, NULL, e);
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
    struct pictures *p = NULL;
    struct pool *pool = NULL;
    double mean[4], std[4];
    int rc = onnx_load_file(s->model, &m, e);
    if (rc < 0)
        return rc;
    if ((rc = pool_new(&pool, s->threads, e)) < 0)
        goto out;
    rc = s->kind == DATA_IMAGES ? load_pictures(s, &m.graph, pool, &p, &d, e) : load_files(s, &d, e);
    if (rc < 0 || (rc = spread("--mean", s->mean, s->n_mean, 0, d.C, mean, e)) < 0 ||
        (rc = spread("--std", s->std, s->n_std, 1, d.C, std, e)) < 0)
        goto out;
    struct scored_set set = {.data = &d, .n = d.n, .mean = mean, .std = std};
    struct score r;
    rc = score_model(pool, &m.graph, &m.weights, precision_dtype(s->precision), &set, NULL, NULL, &r, e);
    if (rc == 0)
        print_score(s, &r);
out:
    pool_free(pool);
    dataset_release(&d);
    pictures_free(p);
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
