/* What a training shows (view.h). */
#include <math.h>
#include <string.h>

#include "coordinator/cli/format.h"
#include "coordinator/cli/term.h"
#include "coordinator/cli/view.h"

#define RECENT 5 /* epochs whose mean time tells how long the rest will take */

/* Seconds of one epoch, over the last of the curve; 0: nobody knows yet. */
static double epoch_seconds(const json_t *curve)
{
    size_t n = json_array_size(curve), from = n > RECENT ? n - RECENT : 0;
    double sum = 0;
    for (size_t i = from; i < n; i++)
        sum += field_number(json_array_get(curve, i), "seconds", 0);
    return n > from ? sum / (double)(n - from) : 0;
}

/* Of the epoch under way, what its worker says is done of it; stages other than training say nothing. */
static double epoch_fraction(const struct view *v)
{
    double done = field_number(v->worker, "done", 0), total = field_number(v->worker, "total", 0);
    if (strncmp(field_text(v->worker, "stage"), "train", 5) != 0 || total <= 0 || v->epochs <= 0)
        return 0;
    double epochs = done / total * v->epochs - v->done; /* the worker counts the images of all epochs */
    return epochs > 0 && epochs < 1 ? epochs : 0;
}

void view_training(struct view *v, const json_t *workers, const json_t *curve)
{
    size_t i, n = json_array_size(curve);
    json_t *w;
    json_array_foreach(workers, i, w) if ((long long)field_number(w, "search", 0) == v->id) v->worker = w;
    v->point = n > 0 ? json_array_get(curve, n - 1) : NULL;
    double seconds = epoch_seconds(curve);
    if (strcmp(v->state, "running") == 0 && seconds > 0 && v->epochs > v->done)
        v->left_s = seconds * (v->epochs - v->done - epoch_fraction(v));
}

void view_append_training(const struct view *v, struct buf *out)
{
    const json_t *test = json_object_get(v->search, "test");
    char s[TERM_TEXT], t[TERM_TEXT];
    buf_text(out, "epochs    ");
    view_append_bar(v->done, v->epochs, out);
    if (v->point)
        buf_text(out, "  %s an epoch", term_duration(s, field_number(v->point, "seconds", 0)));
    if (v->left_s >= 0)
        buf_text(out, ", %s left", term_duration(s, v->left_s));
    buf_text(out, "\n");
    if (v->point)
        buf_text(out, "last      rate %.4g, loss %.4f, top-1 %s of its augmented images\n",
                 field_number(v->point, "lr", 0), field_number(v->point, "loss", 0),
                 term_percent(s, field_number(v->point, "top1", -1)));
    if (v->worker && !view_over(v)) {
        double total = field_number(v->worker, "total", 0);
        buf_text(out, "worker    %s: %s", field_text(v->worker, "name"), field_text(v->worker, "stage"));
        if (total > 0)
            buf_text(out, " %s of %s", term_count(s, field_number(v->worker, "done", 0)), term_count(t, total));
        buf_text(out, "\n");
    }
    if (json_is_object(test))
        buf_text(out, "test      top-1 %s, top-5 %s, loss %.4f, %.0f images\n",
                 term_percent(s, field_number(test, "top1", -1)), term_percent(t, field_number(test, "top5", -1)),
                 field_number(test, "loss", 0), field_number(test, "n", 0));
}

void view_append_training_line(const struct view *v, struct buf *out)
{
    const json_t *test = json_object_get(v->search, "test");
    char s[TERM_TEXT];
    buf_text(out, "training %lld %s %d", v->id, v->state, v->done);
    if (v->epochs > 0)
        buf_text(out, "/%d", v->epochs);
    if (v->point)
        buf_text(out, " rate %.4g, loss %.4f, top-1 %s", field_number(v->point, "lr", 0),
                 field_number(v->point, "loss", 0), term_percent(s, field_number(v->point, "top1", -1)));
    if (json_is_object(test))
        buf_text(out, ", test top-1 %s", term_percent(s, field_number(test, "top1", -1)));
}
