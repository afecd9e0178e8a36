#include "proto/recipe.h"

#include <string.h>

#include "common/base/err.h"

static const char *const data_kinds[DATA_KINDS] = {
    [DATA_CIFAR10] = "cifar10",
    [DATA_CIFAR100] = "cifar100",
    [DATA_IDX] = "idx",
    [DATA_SYNTHETIC] = "synthetic",
};

static const char *const files[DATA_KINDS][RECIPE_MAX_FILES + 1] = {
    [DATA_CIFAR10] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
                      "test_batch.bin"},
    [DATA_CIFAR100] = {"train.bin", "test.bin"},
    [DATA_IDX] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"},
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

const char *const *data_kind_files(enum data_kind k)
{
    if ((unsigned)k >= DATA_KINDS)
        BUG("data kind %d", (int)k);
    return files[k];
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
