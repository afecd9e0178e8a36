/*
 * spec_images - whether a set of images, known by its index, and a network suit each other and what the spec asks
 * of them. Knows neither files nor blobs: the command line looks before anything is sent, the coordinator at what
 * came.
 */
#ifndef COORDINATOR_SPEC_IMAGES_H
#define COORDINATOR_SPEC_IMAGES_H

#include "common/model/graph.h"
#include "common/pictures/index.h"
#include "coordinator/spec.h"

/* ERR_INVALID with both numbers that don't go together. */
MUST_CHECK int spec_check_images(const struct spec *s, const struct picture_index *x, const struct graph *g,
                                 struct err *e);

#endif
