/*
 * view - how far a search or a training is, as text for people: from the coordinator's JSON, for `status`, `watch`
 * and `train`.
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
    bool round_auto; /* cut.round_to: auto */
    int done;        /* evaluated or given up; of a training its epochs */
    double left_s;   /* until all episodes or epochs are done, or -1 */
    bool training;
    int epochs;           /* of a training or a finalist; 0: told in steps, or not known */
    const json_t *worker; /* who is at the training: borrowed from what view_training was given; NULL: nobody */
    const json_t *point;  /* the last of its curve, or NULL */
};

/* status: what GET /v1/searches/ID answers. ERR_INVALID when it isn't that. */
MUST_CHECK int view_read(struct view *v, const json_t *status, struct err *e);
/* What a training's progress is told from besides: GET /v1/workers and GET /v1/searches/ID/curve, NULL when they
 * couldn't be had. Both must outlive the view. */
void view_training(struct view *v, const json_t *workers, const json_t *curve);
const char *view_noun(const struct view *v); /* "search" or "training" */
bool view_over(const struct view *v);        /* done, failed or cancelled */

/* Appends all of it, lines of at most `width` columns (0: as long as they get). */
void view_text(const struct view *v, int width, bool colour, struct buf *out);

/* ---- the parts that a training shows, for view.c ---- */
void view_append_bar(int done, int of,
                     struct buf *out); /* "37 of 100  [#####...]  37%", or "37" of an unknown number */
void view_append_training(const struct view *v, struct buf *out);
void view_append_training_line(const struct view *v, struct buf *out);

/* Appends what fits one line, without its end. */
void view_line(const struct view *v, struct buf *out);

#endif
