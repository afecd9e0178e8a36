#include "coordinator/peer.h"

#include <stdio.h>

void peer_text(const struct peer *p, char out[PEER_TEXT])
{
    out[0] = '\0';
    for (int i = 0; i < p->n; i++)
        snprintf(out + 2 * i, 3, "%02x", p->id[i]);
}
