/* AMC's rewards: accuracy under a hard budget, or R_FLOPs and R_Param = -error * log(cost) (He et al., 2018, section 3.5). */
#include <math.h>
#include <string.h>

#include "coordinator/policy/policy.h"

static const char *const names[REWARD_KINDS] = {
    [REWARD_ACCURACY] = "accuracy",
    [REWARD_ERROR_FLOPS] = "error-flops",
    [REWARD_ERROR_PARAMS] = "error-params",
};

const char *reward_name(enum reward_kind k)
{
    return names[k];
}

bool reward_from_name(const char *s, enum reward_kind *k)
{
    for (int i = 0; i < REWARD_KINDS; i++)
        if (strcmp(s, names[i]) == 0) {
            *k = (enum reward_kind)i;
            return true;
        }
    return false;
}

double policy_reward(enum reward_kind k, double top1, const struct cost *cost)
{
    switch (k) {
    case REWARD_ACCURACY:
        return top1;
    case REWARD_ERROR_FLOPS:
        return -(1 - top1) * log((double)cost->of[COST_FLOPS]);
    case REWARD_ERROR_PARAMS:
        return -(1 - top1) * log((double)cost->of[COST_PARAMS]);
    default:
        BUG("reward %d", (int)k);
    }
}
