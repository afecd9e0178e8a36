/*
 * architecture - one row of the zoo's table, and the families that the rows are of.
 */
#ifndef COMMON_ZOO_ARCHITECTURE_H
#define COMMON_ZOO_ARCHITECTURE_H

#include "common/zoo/builder.h"

struct architecture {
    const char *name;
    /* Everything behind the input x, for K classes; `large` as zoo.h says. Returns the logits. */
    int (*body)(struct builder *b, int x, int K, bool large, const struct architecture *a);
    /* Pixels that the shorter side must have, of images that aren't large and of those that are: the product of the
     * strides, so that each of them has something to step over. */
    int least[2];
    int blocks;     /* resnet_body: in each of the three stages */
    bool shortcuts; /* resnet_body */
};

int resnet_body(struct builder *b, int x, int K, bool large, const struct architecture *a);
int vgg_body(struct builder *b, int x, int K, bool large, const struct architecture *a);
int mobilenet_v1_body(struct builder *b, int x, int K, bool large, const struct architecture *a);
int mobilenet_v2_body(struct builder *b, int x, int K, bool large, const struct architecture *a);

#endif
