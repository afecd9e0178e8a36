/* AMC's rewards: accuracy under a hard budget, or R_FLOPs and R_Param = -error * log(cost) (He et al., 2018,
 * section 3.5). */
#include <math.h>

#include "coordinator/policy/policy.h"

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
