/*
 * network - the untrained network of a training that names an architecture instead of a file: its ONNX file, in
 * memory alone, so that there is nothing to remove when anything is interrupted.
 */
#ifndef COORDINATOR_CLI_NETWORK_H
#define COORDINATOR_CLI_NETWORK_H

#include "coordinator/spec.h"

/*
 * Builds spec->model for the images in `folder` (NULL: synthetic), the same bytes for the same spec. classes: of data
 * whose kind doesn't say. *path opens it
 * as long as this process, or what it turns into by exec, lives; the caller frees it.
 */
MUST_CHECK int network_build(const struct spec *spec, const char *folder, int classes, char **path,
                             struct err *e);

/* A file's bytes that are in memory alone: a descriptor that stays open across exec, at the bytes' beginning. */
MUST_CHECK int network_hold(const char *name, const void *bytes, size_t n, int *fd, struct err *e);

#endif
