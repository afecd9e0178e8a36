/*
 * plot - accuracy against cost as a picture: an SVG document that needs nothing from outside it and runs nothing.
 *
 * Points of the front are circles joined by the front's staircase, finalists diamonds; the dense network is a
 * dashed line at its accuracy, and a square at ratio 1; budgets are thin upright lines. The background is white,
 * whatever the viewer's.
 */
#ifndef COORDINATOR_CLI_PLOT_H
#define COORDINATOR_CLI_PLOT_H

#include <stdbool.h>

#include "common/base/buf.h"

struct plot_point {
    double ratio; /* of its cost to the dense network's */
    double top1;  /* 0 to 1 */
    long long episode;
    const char *budget; /* borrowed; such as "flops 0.5" */
    bool final;         /* a finalist, scored on the test set; else of the front, on the reward split */
};

struct plot {                /* all borrowed */
    const char *title;       /* texts: any bytes; what XML can't hold is shown as U+FFFD */
    const char *cost;        /* the x axis: "MACs, ratio to the dense network's 126M" */
    const char *budget_kind; /* before each of the budgets: "flops" */
    const struct plot_point *points;
    int n;                 /* in any order; those whose numbers aren't finite are left out */
    double dense;          /* top-1 of the dense network on the reward split; NAN: not known */
    const double *budgets; /* as ratios */
    int n_budgets;
};

/* Appends the document; of no points it has the axes, budgets and the dense network alone. */
void plot_svg(const struct plot *p, struct buf *out);

#endif
