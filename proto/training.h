/*
 * training - how a network is trained: in the recipe's finetune (inside each evaluation) and finish (finalists, and
 * training jobs). Fixed-size, so that it can be copied and compared.
 */
#ifndef PROTO_TRAINING_H
#define PROTO_TRAINING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/hash.h"

enum schedule_kind { SCHEDULE_COSINE, SCHEDULE_STEP, SCHEDULE_CONSTANT, SCHEDULE_KINDS };
enum distill_kind {
    DISTILL_NONE,
    DISTILL_KL,  /* softened targets, Hinton et al. 2015 */
    DISTILL_MSE, /* logits, Ba and Caruana 2014 */
    DISTILL_DKD, /* decoupled, Zhao et al. 2022 */
    DISTILL_KINDS
};
enum precision { PRECISION_FP32, PRECISION_BF16, PRECISION_KINDS };

#define TRAINING_MAX_DROPS  8
#define TRAINING_MAX_EPOCHS 10000
#define TRAINING_MAX_STEPS  100000000
#define TRAINING_MAX_BATCH  4096
#define TRAINING_MAX_PIXELS 1024
#define TRAINING_MAX_FACTOR 1000.0 /* rates, temperatures, weights */
#define TRAINING_MIN_TEMPERATURE 0.01

struct training {
    int epochs, steps; /* at most one of them above 0; both 0: no training */
    int batch;         /* images a step; the last, smaller batch of an epoch is left out */
    double lr;         /* highest */
    double momentum;
    bool nesterov;
    double weight_decay;
    bool decay_all; /* BN's scales and shifts and biases, too */
    enum schedule_kind schedule;
    double warmup;                        /* epochs of linear rise from 0 */
    int n_drops;                          /* STEP: after each of these epochs ... */
    double drop_at[TRAINING_MAX_DROPS];   /* ascending */
    double drop;                          /* ... the rate is multiplied by this */
    double smoothing;                     /* label smoothing, 0 ... 1 (Szegedy et al. 2016) */
    int pad;                              /* zeros around the image before a crop of its size; 0: no crop */
    bool flip;                            /* left-right, every other time */
    int cutout;                           /* side of a square of zeros, 0: none (DeVries and Taylor 2017) */
    double scale[2]; /* share of the image that a random rectangle of it has, least and most, which is resized to
                      * the network's input (Szegedy et al. 2015): images alone. 0, 0: the evaluation's crop */
    struct {
        enum distill_kind kind;
        double weight;      /* of the teacher's term; the labels' has 1 - weight (DKD: the labels' has 1) */
        double temperature; /* KL, DKD */
        double alpha, beta; /* DKD: of target and other classes */
        bool other;         /* the teacher is the blob `teacher`, an ONNX file; else the dense network */
        struct hash teacher;
    } distill;
};

/* No training at all, the other fields at their defaults: batch 128, lr 0.01, momentum 0.9, Nesterov, weight decay
 * 5e-4, cosine, drops by 0.1, crop with 4 pixels' padding, flip, no distillation (temperature 4, weight 0.9,
 * alpha 1, beta 2 where one is asked for). */
struct training training_none(void);
bool training_any(const struct training *t);

const char *schedule_kind_name(enum schedule_kind k); /* "cosine" "step" "constant" */
bool schedule_kind_from_name(const char *s, enum schedule_kind *k);
const char *distill_kind_name(enum distill_kind k); /* "none" "kl" "mse" "dkd" */
bool distill_kind_from_name(const char *s, enum distill_kind *k);
const char *precision_name(enum precision p); /* "fp32" "bf16" */
bool precision_from_name(const char *s, enum precision *p);

#endif
