/*
 * evaluate - a candidate turned into a network and a score: cut, reconstruct, recalibrate, score; always from the
 * stored weights.
 */
#ifndef WORKER_COMPRESS_EVALUATE_H
#define WORKER_COMPRESS_EVALUATE_H

#include "common/model/fine.h"
#include "worker/compress/profile.h"

/* What every candidate of a search starts from, made once. */
struct dense {
    struct model model; /* with a BN behind every conv (unfold.h) */
    struct groups groups;
    struct fine layers; /* with their node in `model` */
};
/* ERR_INVALID when the profile isn't one of this network, for this kind of cut. */
MUST_CHECK int dense_new(struct dense *d, const struct model *m, const struct profile *p, enum cut_kind cut, struct err *e);
/* From what a profile begins with: the statistics of unfold_values. */
MUST_CHECK int dense_from(struct dense *d, const struct model *m, const struct stats_list *stats, struct err *e);
void dense_release(struct dense *d);

/* keep (groups, or layers): the candidate's network, cut, reconstructed and recalibrated as the recipe says (recalibrated in
 * its precision), still unfolded. */
MUST_CHECK int evaluate_make(const struct compress_work *cw, const struct dense *d, const struct profile *p,
                             const int *keep, struct model *out, struct err *e);

/* Its score on `set`, in the recipe's precision; `stage` names it in the progress. */
MUST_CHECK int evaluate_score(const struct compress_work *cw, const struct model *m, const struct scored_set *set,
                              const char *stage, struct metrics *out, struct err *e);

#endif
