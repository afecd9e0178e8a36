/*
 * export - the ONNX file of a network that a task made, with what it is in its metadata: another program, or a person,
 * needs nothing but the file to know where it comes from.
 *
 * Keys: espalier.version, and of a candidate .search (id), .name, .episode, .budget, .stage (proxy, final), .macs,
 * .macs_ratio, .params, .params_ratio (as recorded; of the dense network), .top1, .top5 (fractions of the reward split) and
 * .images (of it), .test_top1, .test_top5, .test_images (of a final), .parent_sha256 (the dense network's file), .cut
 * (channels, fine), .kept (channels alone: the zeros of single weights are in the file); of a training .training (its name), .test_*, .trained_from.
 *
 * .kept says what of the parent stayed: for every group, in order (groups.h of the parent's graph), the classes that were
 * kept by their rank, as ranges: "0-3,5,7-9;0-15". With the parent's file it gives every layer's kept channels.
 */
#ifndef WORKER_EXPORT_H
#define WORKER_EXPORT_H

#include "common/base/buf.h"
#include "worker/compress/evaluate.h"

/* m: the candidate, still unfolded; r: what the task measured of it. Appends the file's bytes. */
MUST_CHECK int export_candidate(const struct model *m, const struct dense *d, const struct profile *p,
                                const struct msg_work *w, const struct msg_result *r, struct buf *out, struct err *e);

MUST_CHECK int export_trained(const struct model *m, const struct msg_work *w, const struct msg_result *r, struct buf *out,
                              struct err *e);

#endif
