/*
 * espalier - the operator's command line. It speaks the coordinator's HTTP API and, for `up`, `down`, `model`,
 * `score` and `train` without --job, works on this machine alone.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "common/base/version.h"
#include "coordinator/cli/cli.h"
#include "proto/limits.h"

static const struct verb {
    const char *name; /* one word, or two */
    verb_fn *run;
    const char *help;
} verbs[] = {
    {"up", verb_up, "start a database, a coordinator and workers on this machine"},
    {"down", verb_down, "stop them"},
    {"workers", verb_workers, "who is connected, doing what, at what rate"},
    {"train", verb_train, "train a network from a spec, here or as a job"},
    {"search start", verb_start, "begin a search from a spec; prints its id"},
    {"search list", verb_list, "all searches and trainings"},
    {"search status", verb_status, "how far one is"},
    {"search watch", verb_watch, "likewise, live, until it ends"},
    {"search pause", verb_pause, "hand out no more work"},
    {"search resume", verb_resume, "go on"},
    {"search cancel", verb_cancel, "end it; what was found stays"},
    {"pareto", verb_pareto, "the front of accuracy against cost"},
    {"candidates", verb_candidates, "everything that was evaluated"},
    {"show", verb_show, "one candidate"},
    {"curve", verb_curve, "how a training or a finalist's fine-tuning went"},
    {"digest", verb_digest, "a hash over all results, for comparing searches"},
    {"export", verb_export, "a candidate as an ONNX file"},
    {"model", verb_model, "layers, groups and cost of an ONNX file or an architecture"},
    {"score", verb_score, "correct counts of an ONNX file on a data set"},
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void help(FILE *f)
{
    fputs("usage: espalier [--url URL | --dir DIR] VERB ...\n\n"
          "Finds smaller versions of a trained CNN that fit a budget, and trains CNNs.\n\n",
          f);
    for (size_t i = 0; i < VERBS; i++)
        fprintf(f, "  %-15s %s\n", verbs[i].name, verbs[i].help);
    fputs("\nespalier VERB --help says more. The coordinator is found by --url, else ESPALIER_URL, else in the\n"
          "folder of `espalier up` (--dir, .espalier).\n",
          f);
}

/* How many words of argv are the verb's name; 0: it isn't this one. */
static int words(const struct verb *v, int argc, char **argv)
{
    size_t n = strcspn(v->name, " ");
    if (argc < 1 || strlen(argv[0]) != n || strncmp(v->name, argv[0], n) != 0)
        return 0;
    if (!v->name[n])
        return 1;
    return argc > 1 && strcmp(v->name + n + 1, argv[1]) == 0 ? 2 : 0;
}

/* --url and --dir may stand before the verb. Returns how many words they took, or -1. */
static int leading_options(struct cli *c, int argc, char **argv)
{
    static const char *const names[] = {"--url", "--dir"};
    const char **to[] = {&c->url, &c->dir};
    int i = 0;
    while (i < argc && argv[i][0] == '-') {
        int o = 0;
        size_t n = strcspn(argv[i], "=");
        while (o < 2 && (strlen(names[o]) != n || strncmp(names[o], argv[i], n) != 0))
            o++;
        if (o == 2)
            return i;
        if (!argv[i][n] && i + 1 == argc)
            return -1;
        *to[o] = argv[i][n] ? argv[i] + n + 1 : argv[++i];
        i++;
    }
    return i;
}

static int usage_error(const char *word)
{
    if (word)
        fprintf(stderr, "espalier: unknown verb \"%s\"; espalier --help lists them\n", word);
    else
        help(stderr);
    return 2;
}

static int run_verb(const struct verb *v, struct cli *c, int argc, char **argv)
{
    struct err e = {.text = ""};
    int rc = v->run(c, argc, argv, &e);
    if (rc >= 0 && fflush(stdout) != 0)
        rc = err_set(&e, ERR_IO, "could not write to standard output");
    if (rc < 0)
        fprintf(stderr, "espalier: %s\n", e.text);
    return rc >= 0 ? 0 : c->usage ? 2 : 1;
}

int main(int argc, char **argv)
{
    struct cli c = {.url = NULL};
    int skip = leading_options(&c, argc - 1, argv + 1);
    if (skip < 0)
        return usage_error(NULL);
    argc -= 1 + skip;
    argv += 1 + skip;
    if (argc < 1)
        return usage_error(NULL);
    if (strcmp(argv[0], "--version") == 0) {
        printf("espalier %s, protocol %d\n", ESPALIER_VERSION, PROTO_VERSION);
        return 0;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "help") == 0) {
        help(stdout);
        return 0;
    }
    for (size_t i = 0; i < VERBS; i++) {
        int n = words(&verbs[i], argc, argv);
        if (n == 0)
            continue;
        curl_global_init(CURL_GLOBAL_DEFAULT);
        int code = run_verb(&verbs[i], &c, argc - n, argv + n);
        curl_global_cleanup();
        return code;
    }
    if (strcmp(argv[0], "search") == 0 && argc > 1 && argv[1][0] != '-')
        return usage_error(argv[1]);
    if (strcmp(argv[0], "search") == 0)
        return usage_error(NULL);
    if (strcmp(argv[0], "keygen") == 0) {
        fputs("espalier: keygen isn't there yet in this version: coordinator and workers meet on one machine\n",
              stderr);
        return 1;
    }
    return usage_error(argv[0]);
}
