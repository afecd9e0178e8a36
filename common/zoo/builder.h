/*
 * builder - appends nodes to a graph and keeps the first error, so that an architecture reads like its paper's
 * table.
 *
 * Every function returns the index of the value it made. After an error nothing more is added and 0 is returned:
 * what was built is then of no use, and rc and *e say why. A node's name is what builder_at set, the operator's
 * short name and `which`: "layer1.0." + "conv" + "1".
 */
#ifndef COMMON_ZOO_BUILDER_H
#define COMMON_ZOO_BUILDER_H

#include "common/model/graph.h"

#define BUILDER_NAME 64 /* bytes of a name, NUL included */

struct builder {
    struct graph *g; /* borrowed */
    struct err *e;   /* borrowed */
    int rc;          /* 0 or the first error */
    char at[BUILDER_NAME / 2];
};

struct filter { /* of a convolution; square, padded so that stride 1 keeps the size where R is odd; no bias */
    int K, R, stride;
    bool depthwise; /* one filter a channel: K is the input's channels */
};

/* What the names of the nodes to come begin with, such as "layer%d.%d."; "" at first. */
void builder_at(struct builder *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Channels of value x; 1 after an error. */
int builder_channels(const struct builder *b, int x);

int builder_input(struct builder *b, int C, int H, int W);
int builder_conv_bn(struct builder *b, const char *which, int x, struct filter f); /* BN with eps 1e-5 */
int builder_relu(struct builder *b, const char *which, int x);
int builder_relu6(struct builder *b, const char *which, int x);
int builder_conv_bn_relu(struct builder *b, const char *which, int x, struct filter f);
int builder_conv_bn_relu6(struct builder *b, const char *which, int x, struct filter f);
int builder_maxpool(struct builder *b, int x, int R, int stride); /* padded as a convolution */
int builder_add(struct builder *b, int x, int y);
int builder_gemm(struct builder *b, const char *which, int x, int K); /* with bias */

/* Every second pixel, and zero channels on both sides up to K: He et al. 2016, section 4.2, option A. */
int builder_option_a(struct builder *b, int x, int K);

int builder_mean(struct builder *b, int x);    /* over height and width; flat */
int builder_flatten(struct builder *b, int x); /* all of it; flat */

#endif
