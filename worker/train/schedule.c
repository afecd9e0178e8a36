#include "worker/train/schedule.h"

#include <math.h>

/* An epoch need not be whole. */
static int64_t steps_of(double epochs, int64_t per_epoch)
{
    return llround(epochs * (double)per_epoch);
}

double schedule_rate(const struct training *t, int64_t step, int64_t steps, int64_t per_epoch)
{
    const double pi = 3.14159265358979323846;
    int64_t warm = steps_of(t->warmup, per_epoch);
    double rate = t->lr;
    if (step < warm)
        rate *= (double)(step + 1) / (double)warm;
    else if (t->schedule == SCHEDULE_COSINE)
        rate *= (1 + cos(pi * (double)(step - warm) / (double)(steps - warm))) / 2;
    if (t->schedule == SCHEDULE_STEP)
        for (int i = 0; i < t->n_drops; i++)
            if (step >= steps_of(t->drop_at[i], per_epoch))
                rate *= t->drop;
    return rate;
}
