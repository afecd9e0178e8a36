/*
 * images - a split of the synthetic data as an independent runtime wants it.
 *
 *   images --split test --seed 1 --mean 127.5 --std 54 -o FILE
 *
 * FILE gets n labels, one byte each, then n images of (C,H,W) 32-bit floats, x = (pixel - mean) / std, in the
 * machine's byte order; stdout gets "n C H W".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "worker/train/dataset.h"

static int write_all(const struct dataset *d, double mean, double std, FILE *f)
{
    size_t area = (size_t)d->C * (size_t)d->H * (size_t)d->W;
    const double means[] = {mean, mean, mean, mean}, stds[] = {std, std, std, std};
    float *x = xcalloc(area, sizeof(*x));
    bool ok = fwrite(d->labels, 1, (size_t)d->n, f) == (size_t)d->n;
    struct err e;
    for (int i = 0; i < d->n && ok; i++)
        ok = dataset_fill(d, &i, 1, means, stds, x, &e) == 0 && fwrite(x, sizeof(*x), area, f) == area;
    free(x);
    return ok ? 0 : -1;
}

int main(int argc, char **argv)
{
    const char *file = NULL, *split = "test";
    double mean = 0, std = 1;
    uint64_t seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "-o") == 0)
            file = argv[i + 1];
        else if (strcmp(argv[i], "--split") == 0)
            split = argv[i + 1];
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--mean") == 0)
            mean = strtod(argv[i + 1], NULL);
        else if (strcmp(argv[i], "--std") == 0)
            std = strtod(argv[i + 1], NULL);
    }
    struct dataset d;
    struct err e;
    if (!file ||
        dataset_load(&d, DATA_SYNTHETIC, strcmp(split, "train") ? SPLIT_TEST : SPLIT_TRAIN, NULL, seed, &e) < 0) {
        fprintf(stderr, "usage: images [--split test|train] [--seed N] [--mean M] [--std S] -o FILE\n");
        return 2;
    }
    FILE *f = fopen(file, "we");
    int rc = f ? write_all(&d, mean, std, f) : -1;
    if (f && fclose(f) != 0)
        rc = -1;
    if (rc < 0)
        fprintf(stderr, "images: could not write \"%s\"\n", file);
    else
        printf("%d %d %d %d\n", d.n, d.C, d.H, d.W);
    dataset_release(&d);
    return rc < 0;
}
