/*
 * naming - what a file that is written calls its weights, and values that its nodes need in between. Values have their own
 * names (graph.h), and no two things end with one.
 *
 * A weight has the name of the source's that it comes from. Where two nodes' weights come from one, and are the same still,
 * they are one; where they became different, the first node's keeps the name. What has no name is VALUE.WHAT, after the
 * value that its node makes.
 */
#ifndef COMMON_ONNX_NAMING_H
#define COMMON_ONNX_NAMING_H

#include "common/model/weights.h"
#include "common/onnx/build.h"

struct claim;

struct naming {
    const struct graph *g; /* borrowed, as are the weights */
    const struct weights *w;
    const char **values; /* private: (g->n) their names, sorted */
    struct claim *claims; /* private: (n_claims) the weights' names of the source, sorted */
    int n_claims;
};

void naming_init(struct naming *s, const struct graph *g, const struct weights *w);
void naming_release(struct naming *s);

/* VALUE.WHAT in the arena of `b`, lengthened while a value or a weight is called so; `what` has neither dot nor underscore. */
const char *naming_between(const struct naming *s, struct build *b, const struct node *d, const char *what);

/* The name of parameter `which` (NAME_*) of node i, which it has; *here: it is node i that has to write
 * it, and not another that has the same numbers under that name. */
const char *naming_param(const struct naming *s, struct build *b, int i, int which, bool *here);

#endif
