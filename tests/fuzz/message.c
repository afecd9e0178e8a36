/* Any bytes as a message: refused with a line, or the same after being packed and read again. */
#include <stdlib.h>
#include <string.h>

#include "proto/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct message m, again;
    struct err e = {.text = ""};
    struct buf first = {0}, second = {0};
    if (message_decode(data, n, &m, &e) < 0) {
        if (!e.text[0])
            abort();
        return 0;
    }
    message_encode(&m, &first);
    if (message_decode(first.p, first.n, &again, &e) < 0)
        BUG("packed message was refused: %s", e.text);
    message_encode(&again, &second);
    if (again.type != m.type || first.n != second.n || memcmp(first.p, second.p, first.n) != 0)
        BUG("%s changed on its way", message_name(m.type));
    message_release(&m);
    message_release(&again);
    buf_release(&first);
    buf_release(&second);
    return 0;
}
