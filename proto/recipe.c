#include "proto/recipe.h"

#include <string.h>

#include "common/base/err.h"

static const char *const data_kinds[DATA_KINDS] = {
    [DATA_CIFAR10] = "cifar10",
    [DATA_CIFAR100] = "cifar100",
    [DATA_IDX] = "idx",
    [DATA_SYNTHETIC] = "synthetic",
};

static const char *const select_kinds[SELECT_KINDS] = {
    [SELECT_GRAM] = "gram",
    [SELECT_L1] = "l1",
};

static int find(const char *const *names, int n, const char *s)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], s) == 0)
            return i;
    return -1;
}

const char *data_kind_name(enum data_kind k)
{
    if ((unsigned)k >= DATA_KINDS)
        BUG("data kind %d", (int)k);
    return data_kinds[k];
}

bool data_kind_from_name(const char *s, enum data_kind *k)
{
    int i = find(data_kinds, DATA_KINDS, s);
    if (i >= 0)
        *k = (enum data_kind)i;
    return i >= 0;
}

const char *select_kind_name(enum select_kind k)
{
    if ((unsigned)k >= SELECT_KINDS)
        BUG("select kind %d", (int)k);
    return select_kinds[k];
}

bool select_kind_from_name(const char *s, enum select_kind *k)
{
    int i = find(select_kinds, SELECT_KINDS, s);
    if (i >= 0)
        *k = (enum select_kind)i;
    return i >= 0;
}
