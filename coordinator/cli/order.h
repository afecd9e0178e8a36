/*
 * order - what `search start` and `train` ask for: a spec with the command line's settings over it, and the files
 * that it names.
 */
#ifndef COORDINATOR_CLI_ORDER_H
#define COORDINATOR_CLI_ORDER_H

#include "common/base/buf.h"
#include "coordinator/cli/args.h"
#include "coordinator/cli/pack.h"
#include "coordinator/cli/upload.h"
#include "coordinator/spec.h"

struct order { /* zeroed is empty */
    char *dir; /* the spec's folder */
    struct buf yaml;
    struct spec spec;
    struct upload model, finetune_teacher, finish_teacher; /* a path of NULL: none */
    struct upload data[RECIPE_MAX_FILES];
    int n_data;
    struct pack images;  /* of images, whose one data file is its index */
    struct graph graph;  /* of the model */
};

/* The spec at `path` with each --set. Paths in it are relative to its folder, those of --set to where we are. */
MUST_CHECK int order_read(struct order *o, const char *path, const struct many *set, struct err *e);
void order_release(struct order *o);

/* Where a file lies that the spec names; the caller frees it. */
char *order_path(const struct order *o, const char *name);
/* The data's folder, without a slash at its end; NULL for synthetic data. The caller frees it. */
char *order_data_folder(const struct order *o);

/* The ONNX files; each is loaded once, for its errors. */
MUST_CHECK int order_add_model(struct order *o, const char *path, struct err *e);
MUST_CHECK int order_add_teachers(struct order *o, struct err *e);
/* Of images: what is in their folder, in o->images.index. Nothing of other kinds. */
MUST_CHECK int order_look_at_data(struct order *o, struct err *e);
/* After the model, which images must suit. */
MUST_CHECK int order_add_data(struct order *o, struct err *e);

/* Brings the coordinator all files that it lacks, and asks. */
MUST_CHECK int order_submit(const struct order *o, const struct cli *c, long long *id, struct err *e);

#endif
