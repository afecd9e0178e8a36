/* An image index: what is accepted is the same when it is encoded again, and its parts and names stay in bounds. */
#include <stdlib.h>
#include <string.h>

#include "common/pictures/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct picture_index x;
    struct err e;
    struct buf again = {0};
    if (picture_index_decode(&x, p, n, &e) < 0)
        return 0;
    picture_index_encode(&x, &again);
    if (again.n != n || memcmp(again.p, p, n) != 0)
        abort();
    for (int i = 0; i < x.n; i++) {
        const struct picture *q = &x.pictures[i];
        if (!picture_name_is_plain(q->name) || q->part >= (uint32_t)x.n_parts ||
            q->offset + q->size > x.parts[q->part].size || q->label >= (uint32_t)x.n_classes)
            abort();
    }
    buf_release(&again);
    picture_index_release(&x);
    return 0;
}
