/*
 * view - how far a search is, as text for people: from the coordinator's JSON, for `status` and `watch`.
 */
#ifndef COORDINATOR_CLI_VIEW_H
#define COORDINATOR_CLI_VIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "common/base/buf.h"

struct view {
    const json_t *search, *live; /* borrowed from the status */
    long long id;
    const char *state;
    int episodes;    /* in all; 0: not known */
    int finals_most; /* finalists, at most */
    int done;        /* evaluated or given up */
    double left_s;   /* until all episodes are done, or -1 */
};

/* status: what GET /v1/searches/ID answers. ERR_INVALID when it isn't that. */
MUST_CHECK int view_read(struct view *v, const json_t *status, struct err *e);
bool view_over(const struct view *v); /* done, failed or cancelled */

/* Appends all of it, lines of at most `width` columns (0: as long as they get). */
void view_text(const struct view *v, int width, bool colour, struct buf *out);

/* Appends what fits one line, without its end. */
void view_line(const struct view *v, struct buf *out);

#endif
