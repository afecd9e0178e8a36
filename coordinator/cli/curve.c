/* `espalier curve`: a line an epoch of what was trained. */
#include <stdio.h>

#include "coordinator/cli/args.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/table.h"
#include "coordinator/cli/term.h"

static const char *const keys[] = {"episode", "epoch", "lr", "loss", "top1", "seconds", "worker", "recorded", NULL};

/* A training's points have no episode, and need no column for it. */
static void print_table(const json_t *points)
{
    const bool whose = json_is_number(json_object_get(json_array_get(points, 0), "episode"));
    static const struct column columns[] = {
        {"episode", COLUMN_NUMBER}, {"epoch", COLUMN_NUMBER},   {"rate", COLUMN_NUMBER},    {"loss", COLUMN_NUMBER},
        {"top-1", COLUMN_NUMBER},   {"seconds", COLUMN_NUMBER}, {"worker", COLUMN_FLEXIBLE}};
    struct table t = {.columns = columns + !whose, .n_columns = (int)(sizeof(columns) / sizeof(*columns)) - !whose};
    char s[TERM_TEXT];
    size_t i;
    json_t *p;
    json_array_foreach(points, i, p)
    {
        if (whose)
            table_cell(&t, "%.0f", field_number(p, "episode", -1));
        table_cell(&t, "%.0f", field_number(p, "epoch", 0));
        table_cell(&t, "%.4g", field_number(p, "lr", 0));
        table_cell(&t, "%.4f", field_number(p, "loss", 0));
        table_cell(&t, "%s", term_percent(s, field_number(p, "top1", -1)));
        table_cell(&t, "%.1f", field_number(p, "seconds", 0));
        table_cell(&t, "%s", field_text(p, "worker"));
    }
    if (t.n > 0)
        table_print(&t);
    else
        puts("none yet");
    table_release(&t);
}

static int fetch(struct client *cl, long long id, long long episode, json_t **points, struct err *e)
{
    if (episode >= 0)
        return client_get(cl, points, e, "searches/%lld/curve?episode=%lld", id, episode);
    return client_get(cl, points, e, "searches/%lld/curve", id);
}

int verb_curve(struct cli *c, int argc, char **argv, struct err *e)
{
    enum format format = FORMAT_TABLE;
    const char *name = NULL, *operand[2] = {NULL, NULL};
    const struct arg args[] = {{"--format", ARG_TEXT, "FORMAT", "table, csv or json (table)", &name, 0, 0}, {0}};
    const struct usage u = {
        "curve ID [EPISODE] [--format table|csv|json]",
        "A line an epoch of a training, or of a search's finalists (EPISODE: of one of them): the last learning\n"
        "rate, the mean loss, and the fraction of augmented training images that were right while they were\n"
        "trained on.",
        args, 1, 2};
    struct client *cl = NULL;
    json_t *points = NULL;
    long long id, episode = -1;
    int rc = args_parse(c, &u, argc, argv, operand, e);
    if (rc == 0)
        rc = args_number(c, "search", operand[0], 1, &id, e);
    if (rc == 0 && operand[1])
        rc = args_number(c, "episode", operand[1], 0, &episode, e);
    if (rc == 0)
        rc = format_parse(c, name, FORMAT_CSV, &format, e);
    if (rc == 0)
        rc = client_open(&cl, c, e);
    if (rc == 0)
        rc = fetch(cl, id, episode, &points, e);
    if (rc == 0 && format == FORMAT_JSON)
        rc = format_json(points, e);
    else if (rc == 0 && format == FORMAT_CSV)
        format_csv(points, keys);
    else if (rc == 0)
        print_table(points);
    json_decref(points);
    client_close(cl);
    return rc;
}
