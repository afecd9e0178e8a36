/* Any bytes as a profile: refused with one line, or taken and then encoded to the same bytes again. */
#include <stdlib.h>
#include <string.h>

#include "worker/compress/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct profile p;
    struct buf again = {0};
    struct err e = {.text = ""};
    if (profile_decode(data, n, &p, &e) < 0) {
        if (!e.text[0] || strchr(e.text, '\n'))
            abort();
        return 0;
    }
    profile_encode(&p, &again);
    if (again.n != n || memcmp(again.p, data, n) != 0)
        abort();
    buf_release(&again);
    profile_release(&p);
    return 0;
}
