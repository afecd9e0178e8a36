/*
 * options - the worker's command line.
 */
#ifndef WORKER_OPTIONS_H
#define WORKER_OPTIONS_H

#include "common/base/err.h"
#include "proto/recipe.h"
#include "worker/cache.h"

#define OPTIONS_MAX_FOLDERS 16

struct options {
    const char *connect; /* borrowed from argv */
    char name[RECIPE_NAME];
    char *cache;
    int threads;
    uint64_t memory; /* bytes of decoded images that are kept */
    bool verbose;
    struct cache_folder folders[OPTIONS_MAX_FOLDERS]; /* kinds owned, paths borrowed */
    int n_folders;
};

enum options_verdict { OPTIONS_RUN, OPTIONS_DONE /* --help, --version were answered */ };

/* An enum options_verdict, or ERR_INVALID, ERR_UNSUPPORTED with the line for the person who typed it. */
MUST_CHECK int options_parse(struct options *o, int argc, char **argv, struct err *e);
void options_release(struct options *o);

/* A whole number in least ... most; `what` is named in the error. */
MUST_CHECK int options_number(const char *what, const char *text, int least, int most, int *out, struct err *e);

/* "1000", "64K", "512M", "4G", "1T", in powers of 1024. */
MUST_CHECK int options_bytes(const char *what, const char *text, uint64_t *out, struct err *e);

/* "KIND:PATH", or "synthetic" with *path NULL; *path is borrowed from the text. */
MUST_CHECK int options_data(const char *text, enum data_kind *kind, const char **path, struct err *e);

/* What getopt_long's '?' or ':' was about, argv being where it stopped. */
int options_unknown(char **argv, int opt, struct err *e);

/* CPUs that this process may run on. */
int options_cores(void);

#endif
