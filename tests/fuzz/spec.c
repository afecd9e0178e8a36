/* Any bytes as a spec: refused with one line, or taken with every number within its range. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_training(const struct training *t, const char *teacher)
{
    if ((t->epochs > 0 && t->steps > 0) || !(t->lr > 0) || t->batch < 1 || t->n_drops > TRAINING_MAX_DROPS ||
        t->distill.other != (teacher != NULL) || (t->distill.kind != DISTILL_DKD && t->distill.weight > 1))
        abort();
    for (int i = 1; i < t->n_drops; i++)
        if (!(t->drop_at[i - 1] < t->drop_at[i]))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct spec s;
    struct err e = {.text = ""};
    if (spec_parse((const char *)data, n, &s, &e) < 0) {
        if (!e.text[0] || strchr(e.text, '\n'))
            abort();
        return 0;
    }
    if (!s.model || (s.n_budgets < 1) != s.training || s.n_budgets > SPEC_MAX_BUDGETS || s.n_channels > 4 ||
        s.episodes < 1)
        abort();
    check_training(&s.finetune, s.finetune_teacher);
    check_training(&s.finish, s.finish_teacher);
    for (int i = 0; i < s.n_budgets; i++)
        if (!(s.budgets[i].frac > 0 && s.budgets[i].frac <= 1))
            abort();
    for (int c = 0; c < s.n_channels; c++)
        if (!(s.std[c] > 0))
            abort();
    spec_release(&s);
    return 0;
}
