/*
 * kept - what a candidate's file kept of its parent's, as JSON, for people who cut in their own framework.
 *
 * It follows from the two files: the child's metadata says which classes of each group stayed (worker/export.h), the
 * parent's graph says which channels of each layer these are (groups.h). What doesn't agree with the child's own shapes is
 * an error.
 *
 *   {cut search name episode budget stage parent_sha256 macs macs_ratio params params_ratio top1 top5 images
 *    test_top1 test_top5 test_images                                 those that the file has
 *    layers: [{node op value weight channels kept: [output channels], mask: [a bool for each of them],
 *              input_channels input_kept: [channels of what it reads]} ...]}
 *
 * Indices are into the parent's channels, ascending. `node`, `value` and `weight` are the parent's names, null where it has
 * none; input_* is for Conv and Gemm alone, a grouped or depthwise conv's over all groups; mask only where asked for.
 *
 * Of single weights (cut "fine") the file itself has the zeros in place, and the list says how many each layer kept:
 *
 *    layers: [{node op value weight weights nonzero density} ...]  Conv and Gemm
 */
#ifndef COORDINATOR_CLI_KEPT_H
#define COORDINATOR_CLI_KEPT_H

#include <jansson.h>
#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/hash.h"

/* The parent that a child's metadata names. */
MUST_CHECK int kept_parent(const struct buf *child, struct hash *h, struct err *e);

MUST_CHECK int kept_json(const struct buf *parent, const struct buf *child, bool masks, json_t **out, struct err *e);

#endif
