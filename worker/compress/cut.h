/*
 * cut - a smaller network from the channels that stay: weights sliced, not masked, so nothing of a dropped channel
 * flows on.
 */
#ifndef WORKER_COMPRESS_CUT_H
#define WORKER_COMPRESS_CUT_H

#include "common/model/groups.h"
#include "common/model/weights.h"

/*
 * live: one bool a class of `gs` (groups_find of m->graph); fixed classes must be true. `out` has the same nodes in
 * the same order with fewer channels, weights as they were. ERR_INVALID when a value would be left without
 * channels.
 */
MUST_CHECK int cut(const struct model *m, const struct groups *gs, const bool *live, struct model *out,
                   struct err *e);

/* live (n_classes) of a candidate that keeps the first keep[g] of order[g] in every group; fixed classes live. */
void cut_live(const struct groups *gs, const int *keep, int *const *order, bool *live);

#endif
