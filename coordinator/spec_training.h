/*
 * spec_training - the sections of a spec that say how a network is trained: `finetune`, `finish` and `train`, all
 * with the same keys.
 */
#ifndef COORDINATOR_SPEC_TRAINING_H
#define COORDINATOR_SPEC_TRAINING_H

#include "coordinator/spec_tree.h"
#include "proto/training.h"

/*
 * Reads section `name` over the defaults that *t holds; an absent one (s NULL) leaves them. *teacher: the path of
 * distill.teacher, a copy that the caller frees, or NULL; t->distill.other says whether there is one, its hash is
 * the caller's to fill in.
 */
MUST_CHECK int spec_take_training(const char *name, const struct training_tree *s, struct training *t,
                                  char **teacher, struct err *e);

/* What `train` begins with: the usual recipe for CIFAR, lr 0.1 and the rest as training_none has it. */
struct training spec_training_from_scratch(void);

#endif
