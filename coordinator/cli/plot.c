#include "coordinator/cli/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/cli/xml.h"

/* The sheet, in its own units: pixels where nobody scales it. */
#define WIDTH   800
#define LEFT    76
#define RIGHT   28
#define HEAD    78 /* title and legend */
#define INSIDE  380
#define FOOT    58 /* ticks and the title of the x axis */
#define ROW     14 /* of budgets' labels, above the frame */
#define ROWS    4
#define GLYPH   6.3 /* how wide a character of a label is taken to be; fonts differ */
#define LABELS  60  /* with more points than this the episodes aren't written beside them */
#define TITLE   60  /* characters of a text that fit */
#define INK     "#222222"
#define FAINT   "#e6e6e6"
#define MUTED   "#666666"
#define FRONT   "#1f6fb2"
#define FINALS  "#d1495b"
#define BUDGETS "#8a6d1d"

struct axis {
    double lo, hi, step; /* of what is shown; both ends are multiples of step */
    double from, to;     /* where they lie on the sheet */
    int digits;          /* of a tick's number */
};

struct box {
    double x0, y0, x1, y1;
};

struct drawing {
    const struct plot *p;
    struct buf *out;
    struct axis x, y;
    struct plot_point *points; /* (n) those that can be drawn: the front's by ratio, then the finalists */
    int n, n_front;
    int row[64]; /* of each budget's label, -1: there is no room for one */
    int rows;
    double bottom;
};

/* --- axes --- */

static double at(const struct axis *a, double v)
{
    return a->from + (v - a->lo) / (a->hi - a->lo) * (a->to - a->from);
}

/* Round numbers around lo..hi with a little room, at least `span` apart and within 0..most. */
static void axis_fit(struct axis *a, double lo, double hi, double span, double most)
{
    double room = fmax(0.04 * (hi - lo), (span - (hi - lo)) / 2);
    lo = fmax(0, lo - room);
    hi = fmin(most, hi + room);
    double raw = (hi - lo) / 7, unit = pow(10, floor(log10(raw)));
    a->step = raw <= unit ? unit : raw <= 2 * unit ? 2 * unit : raw <= 5 * unit ? 5 * unit : 10 * unit;
    a->lo = a->step * floor(lo / a->step + 1e-9);
    a->hi = a->step * ceil(hi / a->step - 1e-9);
    a->digits = a->step < 0.99 ? (int)ceil(-log10(a->step) - 1e-9) : 0;
}

static void widen(double v, double *lo, double *hi)
{
    *lo = fmin(*lo, v);
    *hi = fmax(*hi, v);
}

/* The dense network is on the sheet always: what was given up, and for how much, is what it shows. */
static void fit_axes(struct drawing *d)
{
    double x0 = 1, x1 = 1, y0 = INFINITY, y1 = -INFINITY;
    for (int i = 0; i < d->p->n_budgets; i++)
        widen(d->p->budgets[i], &x0, &x1);
    for (int i = 0; i < d->n; i++) {
        widen(d->points[i].ratio, &x0, &x1);
        widen(100 * d->points[i].top1, &y0, &y1);
    }
    if (isfinite(d->p->dense))
        widen(100 * d->p->dense, &y0, &y1);
    if (y0 > y1)
        y0 = 0, y1 = 100;
    axis_fit(&d->x, x0, x1, 0.05, INFINITY);
    axis_fit(&d->y, y0, y1, 1, 100);
    d->x.from = LEFT;
    d->x.to = WIDTH - RIGHT;
}

static void put_axes(struct drawing *d)
{
    const struct axis *x = &d->x, *y = &d->y;
    buf_text(d->out, "<g id=\"x-ticks\" text-anchor=\"middle\" fill=\"" INK "\">\n");
    for (int i = 0, n = (int)lround((x->hi - x->lo) / x->step); i <= n; i++) {
        double v = x->lo + i * x->step;
        buf_text(d->out,
                 "<path d=\"M%.2f %.2fV%.2f\" stroke=\"" FAINT "\"/><text x=\"%.2f\" y=\"%.2f\">%.*f</text>\n",
                 at(x, v), y->to, y->from, at(x, v), y->from + 18, x->digits, v);
    }
    buf_text(d->out, "</g>\n<g id=\"y-ticks\" text-anchor=\"end\" fill=\"" INK "\">\n");
    for (int i = 0, n = (int)lround((y->hi - y->lo) / y->step); i <= n; i++) {
        double v = y->lo + i * y->step;
        buf_text(d->out,
                 "<path d=\"M%.2f %.2fH%.2f\" stroke=\"" FAINT "\"/><text x=\"%.2f\" y=\"%.2f\">%.*f</text>\n",
                 x->from, at(y, v), x->to, x->from - 8, at(y, v) + 4, y->digits, v);
    }
    buf_text(d->out,
             "</g>\n<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"none\" stroke=\"" MUTED
             "\"/>\n",
             x->from, y->to, x->to - x->from, y->from - y->to);
    buf_text(d->out, "<text x=\"%.2f\" y=\"%.2f\" font-size=\"13\" text-anchor=\"middle\" fill=\"" INK "\">",
             (x->from + x->to) / 2, y->from + 44);
    xml_text(d->out, d->p->cost, TITLE);
    buf_text(d->out,
             "</text>\n<text transform=\"translate(24 %.2f) rotate(-90)\" font-size=\"13\" text-anchor=\"middle\" "
             "fill=\"" INK "\">top-1 accuracy, %%</text>\n",
             (y->from + y->to) / 2);
}

/* --- budgets --- */

static double label_width(const struct plot *p, double budget)
{
    return GLYPH * (double)(strlen(p->budget_kind) + 1 + (size_t)snprintf(NULL, 0, "%g", budget));
}

/* Each label goes into the lowest row in which it covers no other. */
static void place_budgets(struct drawing *d)
{
    const struct plot *p = d->p;
    d->rows = 0;
    for (int i = 0; i < p->n_budgets && i < 64; i++) {
        double x = at(&d->x, p->budgets[i]), half = label_width(p, p->budgets[i]) / 2 + 4;
        bool covers = true;
        d->row[i] = -1;
        for (int row = 0; row < ROWS && covers; row++) {
            covers = false;
            for (int k = 0; k < i; k++)
                covers |= d->row[k] == row &&
                          fabs(at(&d->x, p->budgets[k]) - x) < half + label_width(p, p->budgets[k]) / 2 + 4;
            if (!covers)
                d->row[i] = row;
        }
        d->rows = d->row[i] >= d->rows ? d->row[i] + 1 : d->rows;
    }
}

static void put_budgets(struct drawing *d)
{
    const struct plot *p = d->p;
    if (p->n_budgets == 0)
        return;
    buf_text(d->out, "<g id=\"budgets\" text-anchor=\"middle\" fill=\"" BUDGETS "\" stroke-width=\"1\">\n");
    for (int i = 0; i < p->n_budgets && i < 64; i++) {
        double x = at(&d->x, p->budgets[i]), top = d->y.to - 6 - ROW * d->row[i];
        buf_text(d->out, "<path d=\"M%.2f %.2fV%.2f\" stroke=\"" BUDGETS "\"><title>budget: ", x, d->y.to,
                 d->y.from);
        xml_text(d->out, p->budget_kind, TITLE);
        buf_text(d->out, " %g</title></path>", p->budgets[i]);
        if (d->row[i] >= 0) {
            buf_text(d->out, "<text x=\"%.2f\" y=\"%.2f\">", x, top);
            xml_text(d->out, p->budget_kind, TITLE);
            buf_text(d->out, " %g</text>", p->budgets[i]);
        }
        buf_text(d->out, "\n");
    }
    buf_text(d->out, "</g>\n");
}

/* --- marks --- */

static int by_ratio(const void *a, const void *b)
{
    const struct plot_point *p = a, *q = b;
    if (p->final != q->final)
        return p->final - q->final;
    if (p->ratio != q->ratio)
        return p->ratio < q->ratio ? -1 : 1;
    return p->top1 != q->top1 ? (p->top1 < q->top1 ? -1 : 1)
                              : (p->episode > q->episode) - (p->episode < q->episode);
}

static void take_points(struct drawing *d)
{
    d->points = xcalloc((size_t)d->p->n + 1, sizeof(*d->points));
    for (int i = 0; i < d->p->n; i++)
        if (isfinite(d->p->points[i].ratio) && isfinite(d->p->points[i].top1)) {
            d->points[d->n++] = d->p->points[i];
            d->n_front += !d->p->points[i].final;
        }
    qsort(d->points, (size_t)d->n, sizeof(*d->points), by_ratio);
}

/* A diamond is hollow: the candidate below it, if there is one, stays to be seen. */
static void mark(struct buf *out, bool final, double x, double y)
{
    if (final)
        buf_text(out,
                 "<path d=\"M%.2f %.2fl8 8l-8 8l-8 -8z\" fill=\"none\" stroke=\"" FINALS "\" stroke-width=\"2\" "
                 "pointer-events=\"all\">",
                 x, y - 8);
    else
        buf_text(out, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"4.5\" fill=\"" FRONT "\" stroke=\"#ffffff\">", x, y);
}

static void dense_mark(struct buf *out, double x, double y)
{
    buf_text(out,
             "<rect x=\"%.2f\" y=\"%.2f\" width=\"10\" height=\"10\" fill=\"#ffffff\" stroke=\"" INK
             "\" stroke-width=\"1.5\">",
             x - 5, y - 5);
}

static void put_dense(struct drawing *d)
{
    if (!isfinite(d->p->dense))
        return;
    double y = at(&d->y, 100 * d->p->dense);
    buf_text(d->out, "<g id=\"dense\"><path d=\"M%.2f %.2fH%.2f\" stroke=\"" INK "\" stroke-dasharray=\"6 4\"/>",
             d->x.from, y, d->x.to);
    dense_mark(d->out, at(&d->x, 1), y);
    buf_text(d->out, "<title>dense network: top-1 %.2f%% on the reward split</title></rect></g>\n",
             100 * d->p->dense);
}

/* What a cost buys: flat until the next point of the front is paid for. */
static void put_staircase(struct drawing *d)
{
    if (d->n_front < 2)
        return;
    buf_text(d->out, "<path id=\"front\" d=\"M%.2f %.2f", at(&d->x, d->points[0].ratio),
             at(&d->y, 100 * d->points[0].top1));
    for (int i = 1; i < d->n_front; i++)
        buf_text(d->out, "H%.2fV%.2f", at(&d->x, d->points[i].ratio), at(&d->y, 100 * d->points[i].top1));
    buf_text(d->out, "\" fill=\"none\" stroke=\"" FRONT "\" stroke-width=\"1.8\" stroke-linejoin=\"round\"/>\n");
}

static void put_points(struct drawing *d)
{
    buf_text(d->out, "<g id=\"points\">\n");
    for (int i = 0; i < d->n; i++) {
        const struct plot_point *p = &d->points[i];
        mark(d->out, p->final, at(&d->x, p->ratio), at(&d->y, 100 * p->top1));
        buf_text(d->out, "<title>%sepisode %lld, budget ", p->final ? "finalist, " : "", p->episode);
        xml_text(d->out, p->budget ? p->budget : "", TITLE);
        buf_text(d->out, ": top-1 %.2f%% on the %s, ratio %.4f</title></%s>\n", 100 * p->top1,
                 p->final ? "test set" : "reward split", p->ratio, p->final ? "path" : "circle");
    }
    buf_text(d->out, "</g>\n");
}

static bool overlap(const struct box *a, const struct box *b)
{
    return a->x0 < b->x1 && b->x0 < a->x1 && a->y0 < b->y1 && b->y0 < a->y1;
}

/* Episodes beside the points, where they cover neither a mark nor another's number. */
static void put_episodes(struct drawing *d)
{
    struct box taken[2 * LABELS + 1];
    int n = 0;
    if (d->n > LABELS)
        return;
    for (int i = 0; i < d->n; i++) {
        double x = at(&d->x, d->points[i].ratio), y = at(&d->y, 100 * d->points[i].top1);
        taken[n++] = (struct box){x - 7, y - 7, x + 7, y + 7};
    }
    if (isfinite(d->p->dense))
        taken[n++] = (struct box){at(&d->x, 1) - 6, at(&d->y, 100 * d->p->dense) - 6, at(&d->x, 1) + 6,
                                  at(&d->y, 100 * d->p->dense) + 6};
    buf_text(d->out,
             "<g id=\"episodes\" font-size=\"11\">\n<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"end\" fill=\"" MUTED
             "\">numbers are episodes</text>\n",
             d->x.to, d->y.from + 44);
    for (int i = 0; i < d->n; i++) {
        double x = at(&d->x, d->points[i].ratio), y = at(&d->y, 100 * d->points[i].top1);
        double w = GLYPH * snprintf(NULL, 0, "%lld", d->points[i].episode);
        const double places[][2] = {{x - 9 - w, y - 5}, {x + 9, y + 13}, {x + 9, y - 5}, {x - 9 - w, y + 13}};
        for (int k = 0; k < 4; k++) {
            struct box b = {places[k][0], places[k][1] - 9, places[k][0] + w, places[k][1]};
            bool free = b.x0 > d->x.from && b.x1 < d->x.to && b.y0 > d->y.to && b.y1 < d->y.from;
            for (int j = 0; free && j < n; j++)
                free = !overlap(&b, &taken[j]);
            if (!free)
                continue;
            taken[n++] = b;
            buf_text(d->out, "<text x=\"%.2f\" y=\"%.2f\" fill=\"%s\">%lld</text>\n", places[k][0], places[k][1],
                     d->points[i].final ? FINALS : FRONT, d->points[i].episode);
            break;
        }
    }
    buf_text(d->out, "</g>\n");
}

/* --- the sheet --- */

static double legend_text(struct buf *out, double x, const char *s)
{
    buf_text(out, "<text x=\"%.2f\" y=\"58\">%s</text>\n", x, s);
    return x + GLYPH * (double)strlen(s) + 24;
}

static void put_legend(struct drawing *d)
{
    double x = LEFT + 8;
    buf_text(d->out, "<g id=\"legend\" fill=\"" INK "\">\n");
    if (d->n_front > 0) {
        mark(d->out, false, x, 54);
        buf_text(d->out, "</circle>");
        x = legend_text(d->out, x + 12, "front, reward split");
    }
    if (d->n > d->n_front) {
        mark(d->out, true, x, 54);
        buf_text(d->out, "</path>");
        x = legend_text(d->out, x + 14, "finalists, test set");
    }
    if (isfinite(d->p->dense)) {
        char s[80];
        snprintf(s, sizeof(s), "dense network, reward split: %.2f%%", 100 * d->p->dense);
        buf_text(d->out, "<path d=\"M%.2f 54h28\" stroke=\"" INK "\" stroke-dasharray=\"6 4\"/>", x - 8);
        dense_mark(d->out, x + 6, 54);
        buf_text(d->out, "</rect>");
        x = legend_text(d->out, x + 26, s);
    }
    buf_text(d->out, "</g>\n");
}

static void put_head(struct drawing *d, int height)
{
    buf_text(d->out,
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
             "height=\"%d\" "
             "viewBox=\"0 0 %d %d\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" "
             "role=\"img\">\n<title>",
             WIDTH, height, WIDTH, height);
    xml_text(d->out, d->p->title, -1);
    buf_text(d->out,
             "</title>\n<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n"
             "<text x=\"%d\" y=\"30\" font-size=\"16\" font-weight=\"bold\" fill=\"" INK "\">",
             WIDTH, height, LEFT);
    xml_text(d->out, d->p->title, TITLE);
    buf_text(d->out, "</text>\n");
}

void plot_svg(const struct plot *p, struct buf *out)
{
    struct drawing d = {.p = p, .out = out};
    take_points(&d);
    fit_axes(&d);
    place_budgets(&d);
    d.y.to = HEAD + ROW * d.rows;
    d.y.from = d.y.to + INSIDE;
    put_head(&d, (int)d.y.from + FOOT);
    put_legend(&d);
    put_axes(&d);
    put_budgets(&d);
    put_dense(&d);
    put_staircase(&d);
    put_points(&d);
    put_episodes(&d);
    buf_text(out, "</svg>\n");
    free(d.points);
}
