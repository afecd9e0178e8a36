/*
 * loss - what training minimises, and its gradient with respect to the logits, as means over the batch; in double
 * inside.
 *
 *   labels   cross-entropy with label smoothing s: targets (1-s) onehot + s/K (Szegedy et al. 2016, section 7)
 *   KL       T^2 KL(softmax(teacher/T) || softmax(logits/T))  (Hinton et al. 2015, section 2)
 *   MSE      mean over classes of (logits - teacher)^2  (Ba and Caruana 2014, equation 1)
 *   DKD      T^2 (alpha TCKD + beta NCKD)  (Zhao et al. 2022, equation 7)
 *
 * total = (1 - weight) labels + weight term; DKD: labels + weight term.
 */
#ifndef WORKER_TRAIN_LOSS_H
#define WORKER_TRAIN_LOSS_H

#include "common/base/err.h"
#include "proto/training.h"

struct loss_value {
    double total, labels, teacher; /* means over the batch; not finite when the logits aren't */
    int top1;                      /* images whose largest logit is the label's; a tie counts for the lower class */
};

/* logits, teacher (NULL without distillation), dlogits (N,K); labels (N) in 0 ... K-1. */
void loss_of(const struct training *t, const float *logits, const float *teacher, const int *labels, int N, int K,
             float *dlogits, struct loss_value *out);

#endif
