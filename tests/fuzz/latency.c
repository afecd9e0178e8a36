/* Any bytes as a latency table: refused with one line, or taken and then encoded to the same bytes again. */
#include <stdlib.h>
#include <string.h>

#include "common/model/latency.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct latency t;
    struct buf again = {0};
    struct err e = {.text = ""};
    if (latency_decode(data, n, &t, &e) < 0) {
        if (!e.text[0] || strchr(e.text, '\n'))
            abort();
        return 0;
    }
    for (int s = 0; s < t.n_shapes; s++)
        for (int w = 1; w < 70; w += 23)
            if (!(latency_at(&t.shapes[s], w, 70 - w) >= 0))
                abort();
    latency_encode(&t, &again);
    if (again.n != n || memcmp(again.p, data, n) != 0)
        abort();
    buf_release(&again);
    latency_release(&t);
    return 0;
}
