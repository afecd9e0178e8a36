/*
 * meter - how a local training is getting on, for a person: a line for each epoch, and on a terminal a bar under
 * them that moves while an epoch is under way.
 *
 *   epoch 3/30  loss 0.913  train 67.4%  lr 0.0950  1,843 images/s  left 4:10
 */
#ifndef WORKER_METER_H
#define WORKER_METER_H

#include <stdio.h>

#include "proto/message.h"
#include "worker/train/fit.h"

struct meter {
    FILE *out; /* borrowed; NULL: nothing is shown */
    bool bar;
    int epochs;           /* of the whole training; 0: not known */
    struct fit_point now; /* of the epoch under way */
    uint64_t begun;       /* images done when it began */
    uint64_t done, total; /* images of the whole training; total 0: none yet */
    int width;            /* of what is on the terminal's last line */
};

void meter_init(struct meter *m, FILE *out, int epochs);
void meter_point(struct meter *m, const struct fit_point *so_far);
void meter_progress(struct meter *m, uint64_t done, uint64_t total); /* after the point that it belongs to */
void meter_epoch(struct meter *m, const struct msg_checkpoint *k);
void meter_clear(struct meter *m); /* takes the bar away, so that something else can be printed */

/* "1,234,567" into s[32]; returns s. */
char *meter_number(uint64_t n, char s[32]);

#endif
