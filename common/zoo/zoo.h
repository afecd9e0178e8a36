/*
 * zoo - architectures by name, with weights to begin a training from.
 *
 *   plain-20                        He et al. 2016 (CVPR), section 4.2, without shortcuts
 *   resnet-20 -32 -44 -56           likewise with option-A shortcuts (every second pixel, zero channels)
 *   vgg-16-bn                       Simonyan and Zisserman 2015, table 1 D, with BN
 *   mobilenet-v1                    Howard et al. 2017, table 1
 *   mobilenet-v2                    Sandler et al. 2018, table 2
 *
 * Images of up to 64 pixels on their longer side get the variant that is usual for CIFAR (no early strides, one
 * classifier layer), larger ones that of ImageNet: for plain and resnet a 7x7 convolution with stride 2 and a max
 * pooling before the three stages.
 */
#ifndef COMMON_ZOO_ZOO_H
#define COMMON_ZOO_ZOO_H

#include "common/model/weights.h"

/* Whether `name` is one of them. */
bool zoo_knows(const char *name);
/* "plain-20, resnet-20, ...", static text. */
const char *zoo_names(void);

/*
 * The network without its weights, for images (C,H,W) and K classes, under the architecture's name.
 * ERR_UNSUPPORTED: no such name; ERR_INVALID: the images are too small for its strides; ERR_LIMIT: they are too
 * large for graph.h.
 */
MUST_CHECK int zoo_graph(const char *name, int C, int H, int W, int K, struct graph *g, struct err *e);

/*
 * The network for images (C,H,W) and K classes; convolutions drawn as He et al. 2015 (fan out, normal), classifiers
 * uniform in +-1/sqrt(fan in), BN at scale 1, shift 0; draws from (seed, "init", node). Errors as zoo_graph's.
 */
MUST_CHECK int zoo_build(const char *name, int C, int H, int W, int K, uint64_t seed, struct model *m,
                         struct err *e);

#endif
