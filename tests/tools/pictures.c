/*
 * pictures - a folder of JPEG files with classes' folders, from the synthetic data set: something that a network
 * can learn.
 *
 *   pictures -o DIR [--train N] [--test N] [--scale K] [--seed N]
 *
 * DIR/train/CLASS/000.jpg ... and DIR/test/CLASS/...; without --test DIR/CLASS/... alone. K: pixels a pixel of the
 * 32x32.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "worker/train/dataset.h"

struct asked {
    const char *dir;
    int train, test, scale;
    uint64_t seed;
};

static int write_jpeg(const char *path, const struct dataset *d, int image, int scale)
{
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr errors;
    size_t area = (size_t)d->H * (size_t)d->W;
    const uint8_t *pixels = d->pixels + (size_t)image * 3 * area;
    uint8_t *row = xcalloc((size_t)(d->W * scale), 3);
    FILE *f = fopen(path, "wb");
    if (!f)
        return -1;
    j.err = jpeg_std_error(&errors);
    jpeg_create_compress(&j);
    jpeg_stdio_dest(&j, f);
    j.image_height = (JDIMENSION)(d->H * scale);
    j.image_width = (JDIMENSION)(d->W * scale);
    j.input_components = 3;
    j.in_color_space = JCS_RGB;
    jpeg_set_defaults(&j);
    jpeg_set_quality(&j, 92, TRUE);
    jpeg_start_compress(&j, TRUE);
    for (int h = 0; h < d->H * scale; h++) {
        JSAMPROW rows = row;
        for (int w = 0; w < d->W * scale; w++)
            for (size_t c = 0; c < 3; c++)
                row[(size_t)w * 3 + c] = pixels[c * area + (size_t)(h / scale * d->W + w / scale)];
        jpeg_write_scanlines(&j, &rows, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    free(row);
    return fclose(f);
}

static int write_part(const struct asked *a, const char *part, int split, int n)
{
    struct dataset d;
    struct err e;
    int rc = dataset_load(&d, DATA_SYNTHETIC, split, NULL, a->seed, &e);
    if (rc < 0)
        return rc;
    for (int i = 0; i < n && i < d.n && rc == 0; i++) {
        char *folder = xasprintf("%s/%s%sclass%d", a->dir, part, *part ? "/" : "", d.labels[i]);
        char *path = xasprintf("%s/%05d.jpg", folder, i);
        rc = file_mkdirs(folder, &e) < 0 ? -1 : write_jpeg(path, &d, i, a->scale);
        free(path);
        free(folder);
    }
    dataset_release(&d);
    return rc;
}

int main(int argc, char **argv)
{
    struct asked a = {.train = 100, .scale = 2, .seed = 1};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *v = argv[i + 1];
        if (strcmp(argv[i], "-o") == 0)
            a.dir = v;
        else if (strcmp(argv[i], "--train") == 0)
            a.train = atoi(v);
        else if (strcmp(argv[i], "--test") == 0)
            a.test = atoi(v);
        else if (strcmp(argv[i], "--scale") == 0)
            a.scale = atoi(v);
        else if (strcmp(argv[i], "--seed") == 0)
            a.seed = strtoull(v, NULL, 10);
        else
            a.dir = NULL;
    }
    if (!a.dir || argc % 2 == 0 || a.scale < 1) {
        fputs("usage: pictures -o DIR [--train N] [--test N] [--scale K] [--seed N]\n", stderr);
        return 2;
    }
    if (write_part(&a, a.test ? "train" : "", SPLIT_TRAIN, a.train) < 0 ||
        (a.test && write_part(&a, "test", SPLIT_TEST, a.test) < 0)) {
        fprintf(stderr, "pictures: could not write to \"%s\"\n", a.dir);
        return 1;
    }
    return 0;
}
