/*
 * pictures - a set of JPEG and PNG files, decoded when they are asked for, to crops of the network's input size.
 *
 * The evaluation's crop: the shorter side resized to `resize` pixels and the other one in proportion, rounded (see
 * resize.h), the middle cut out, half a pixel to the upper left where it isn't whole. Such crops
 * are kept, first come first kept, until they take `memory` bytes; the others are decoded again each time. A
 * training chooses a rectangle itself, which is resized to the input's size. Any number of threads may ask at once.
 */
#ifndef WORKER_TRAIN_PICTURES_H
#define WORKER_TRAIN_PICTURES_H

#include "common/pictures/index.h"
#include "worker/engine/pool.h"
#include "worker/train/resize.h"

#define PICTURES_MEMORY (UINT64_C(1) << 30) /* bytes of crops, unless something else is asked for */

struct pictures;

struct pictures_view { /* what is made of each file */
    int H, W;          /* of the network's input */
    int resize;        /* shorter side in pixels, at least H and W; 0: the larger of H and W, divided by 0.875 */
    int offset;        /* is added to each class */
};

/*
 * Takes the index over, on success and on failure. `folder` (copied) has the files; NULL: `part` are the paths of
 * the index's parts, mapped until pictures_free. ERR_INVALID when `resize` is too small or a part hasn't its size.
 */
MUST_CHECK int pictures_open(struct pictures **p, struct picture_index *x, const char *folder,
                             const char *const *part, const struct pictures_view *v, uint64_t memory,
                             struct err *e);
void pictures_free(struct pictures *p); /* NULL is fine */

const struct picture_index *pictures_index(const struct pictures *p);
const struct pictures_view *pictures_view(const struct pictures *p);
int pictures_label(const struct pictures *p, int i); /* with the offset */
size_t pictures_bytes(const struct pictures *p);     /* of a crop: (H,W,3) */

/* The evaluation's crop: *crop is `scratch` (pictures_bytes), or is borrowed from what is kept. Errors name the
 * file. */
MUST_CHECK int pictures_crop(struct pictures *p, int i, uint8_t *scratch, const uint8_t **crop, struct err *e);

/* `choose` is told the image's size and says which rectangle of it becomes the crop. */
typedef void pictures_choose(void *arg, int H, int W, struct rect *from);
MUST_CHECK int pictures_cut(struct pictures *p, int i, pictures_choose *choose, void *arg, uint8_t *crop,
                            struct err *e);

/* Decodes the evaluation's crops of image place[0 ... n-1] (NULL: 0 ... n-1) ahead of their use, on all threads, as
 * far as they are kept. `progress` (NULL: none) as score_model's. */
MUST_CHECK int pictures_decode(struct pictures *p, struct pool *pool, const int *place, int n,
                               int (*progress)(void *arg, int done, int total), void *arg, struct err *e);

#endif
