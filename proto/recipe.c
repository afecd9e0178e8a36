#include "proto/recipe.h"

#include <string.h>

#include "common/base/err.h"

static const char *const data_kinds[DATA_KINDS] = {
    [DATA_CIFAR10] = "cifar10",
    [DATA_CIFAR100] = "cifar100",
    [DATA_IDX] = "idx",
    [DATA_SYNTHETIC] = "synthetic",
    [DATA_IMAGES] = "images",
};

static const struct set_file files[DATA_KINDS][2][RECIPE_MAX_FILES + 1] = {
    /* [test] */
    [DATA_CIFAR10] = {{{"data_batch_1.bin", 30730000},
                       {"data_batch_2.bin", 30730000},
                       {"data_batch_3.bin", 30730000},
                       {"data_batch_4.bin", 30730000},
                       {"data_batch_5.bin", 30730000}},
                      {{"test_batch.bin", 30730000}}},
    [DATA_CIFAR100] = {{{"train.bin", 153700000}}, {{"test.bin", 30740000}}},
    [DATA_IDX] = {{{"train-images-idx3-ubyte", 0}, {"train-labels-idx1-ubyte", 0}},
                  {{"t10k-images-idx3-ubyte", 0}, {"t10k-labels-idx1-ubyte", 0}}},
    [DATA_IMAGES] = {{{"images.index", 0}}, {{"images.index", 0}}},
};

static const int train_images[DATA_KINDS] = {
    [DATA_CIFAR10] = 50000, [DATA_CIFAR100] = 50000, [DATA_SYNTHETIC] = 10000};

static const char *const select_kinds[SELECT_KINDS] = {
    [SELECT_GRAM] = "gram",
    [SELECT_L1] = "l1",
};

static const char *const cut_kinds[CUT_KINDS] = {
    [CUT_CHANNELS] = "channels",
    [CUT_FINE] = "fine",
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

const struct set_file *data_kind_files(enum data_kind k, bool test)
{
    if ((unsigned)k >= DATA_KINDS)
        BUG("data kind %d", (int)k);
    return files[k][test];
}

int data_kind_images(enum data_kind k)
{
    if ((unsigned)k >= DATA_KINDS)
        BUG("data kind %d", (int)k);
    return train_images[k];
}

const char *cut_kind_name(enum cut_kind k)
{
    if ((unsigned)k >= CUT_KINDS)
        BUG("cut kind %d", (int)k);
    return cut_kinds[k];
}

bool cut_kind_from_name(const char *s, enum cut_kind *k)
{
    int i = find(cut_kinds, CUT_KINDS, s);
    if (i >= 0)
        *k = (enum cut_kind)i;
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
