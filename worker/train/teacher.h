/*
 * teacher - the logits of a trained network for a student's batches: computed once per image (and once more for its
 * mirror image) where augmentation allows it and they fit into a gigabyte, else for each batch as the student sees
 * it. Numbers are the same either way.
 */
#ifndef WORKER_TRAIN_TEACHER_H
#define WORKER_TRAIN_TEACHER_H

#include "common/model/weights.h"
#include "worker/engine/layout.h"
#include "worker/engine/pool.h"
#include "worker/train/feed.h"

struct teacher;

/* The model is only read here. images: size of the set that batches are drawn from. ERR_INVALID when its input or
 * its number of classes isn't the student's (C,H,W and K). A Softmax that ends it is left out. */
MUST_CHECK int teacher_new(struct teacher **t, const struct model *m, const struct graph *student, int batch,
                           int images, const struct augment *a, enum dtype type, struct pool *pool, struct err *e);
void teacher_free(struct teacher *t); /* NULL is fine */
/* logits (batch,K), borrowed until the next call. */
MUST_CHECK int teacher_logits(struct teacher *t, const struct feed_batch *b, const float **logits, struct err *e);

#endif
