/* What policies and rewards are called in a spec; apart from the policies themselves, because the command line only needs this. */
#include <string.h>

#include "coordinator/policy/policy.h"

static const char *const policies[POLICY_KINDS] = {
    [POLICY_DDPG] = "ddpg",
    [POLICY_RANDOM] = "random",
    [POLICY_UNIFORM] = "uniform",
    [POLICY_SENSITIVITY] = "sensitivity",
};

static const char *const rewards[REWARD_KINDS] = {
    [REWARD_ACCURACY] = "accuracy",
    [REWARD_ERROR_FLOPS] = "error-flops",
    [REWARD_ERROR_PARAMS] = "error-params",
};

static int find(const char *const *names, int n, const char *s)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], s) == 0)
            return i;
    return -1;
}

const char *policy_name(enum policy_kind k)
{
    if ((unsigned)k >= POLICY_KINDS)
        BUG("policy %d", (int)k);
    return policies[k];
}

bool policy_from_name(const char *s, enum policy_kind *k)
{
    int i = find(policies, POLICY_KINDS, s);
    if (i >= 0)
        *k = (enum policy_kind)i;
    return i >= 0;
}

const char *reward_name(enum reward_kind k)
{
    if ((unsigned)k >= REWARD_KINDS)
        BUG("reward %d", (int)k);
    return rewards[k];
}

bool reward_from_name(const char *s, enum reward_kind *k)
{
    int i = find(rewards, REWARD_KINDS, s);
    if (i >= 0)
        *k = (enum reward_kind)i;
    return i >= 0;
}
