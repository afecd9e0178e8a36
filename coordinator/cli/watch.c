/* `espalier search status` and `espalier search watch`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "coordinator/cli/args.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/term.h"
#include "coordinator/cli/view.h"

#define LOOK_NS   NS_PER_S
#define SILENCE_S 300 /* a coordinator that is away for so long isn't waited for any more */

/* --- a picture that is drawn over itself --- */

static int term_rows(void)
{
    struct winsize w;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 1 ? w.ws_row : 24;
}

/* Columns of the text as it shows: colours take none. */
static void put_line(const char *s, size_t n, int width)
{
    bool escape = false;
    for (size_t i = 0; i < n && width > 0; i++) {
        escape = escape || s[i] == '\033';
        width -= !escape && ((unsigned char)s[i] & 0xc0) != 0x80;
        fputc(s[i], stdout);
        if (escape && s[i] == 'm')
            escape = false;
    }
    fputs(width > 0 ? "\033[K\n" : "\033[0m\n", stdout);
}

static int draw(const struct buf *text, int lines_before)
{
    int lines = 0, most = term_rows() - 1, width = term_width();
    if (lines_before > 0)
        printf("\033[%dA", lines_before);
    for (const char *s = (const char *)text->p; *s && lines < most; lines++) {
        size_t n = strcspn(s, "\n");
        put_line(s, n, width);
        s += n + (s[n] == '\n');
    }
    fputs("\033[J", stdout);
    fflush(stdout);
    return lines;
}

/* --- watching --- */

struct watch {
    const struct cli *cli;
    long long id;
    bool live;        /* on a terminal */
    int lines;        /* of the picture that stands there */
    char *last;       /* line that was printed last, when piped */
    int64_t heard_ns; /* when the coordinator last answered */
    bool told_of_silence;
};

static void show(struct watch *w, const struct view *v)
{
    struct buf b = {0};
    if (w->live) {
        view_text(v, term_width(), term_colour(), &b);
        w->lines = draw(&b, w->lines);
    } else {
        view_line(v, &b);
        if (!w->last || strcmp(w->last, (char *)b.p) != 0) {
            puts((char *)b.p);
            fflush(stdout);
            free(w->last);
            w->last = xstrdup((char *)b.p);
        }
    }
    buf_release(&b);
}

/* The verdict of a search that is over. */
static int outcome(const struct view *v, struct err *e)
{
    if (strcmp(v->state, "failed") == 0)
        return err_set(e, ERR_STATE, "%s %lld failed: %s", view_noun(v), v->id, field_text(v->search, "reason"));
    if (strcmp(v->state, "cancelled") == 0)
        return err_set(e, ERR_STATE, "%s %lld was cancelled", view_noun(v), v->id);
    return 0;
}

/* What a training is told from besides its status, where it can be had. */
struct aside {
    json_t *workers, *curve;
};

static void look_aside(struct client *cl, struct view *v, struct aside *a)
{
    struct err ignored;
    if (!v->training)
        return;
    if (!view_over(v) && client_get(cl, &a->workers, &ignored, "workers") < 0)
        a->workers = NULL;
    if (client_get(cl, &a->curve, &ignored, "searches/%lld/curve", v->id) < 0)
        a->curve = NULL;
    view_training(v, a->workers, a->curve);
}

static void aside_release(struct aside *a)
{
    json_decref(a->workers);
    json_decref(a->curve);
}

/* One look: 1 when it is over and went well, 0 to look again. */
static int look(struct watch *w, struct client *cl, struct err *e)
{
    json_t *status = NULL;
    struct aside a = {NULL, NULL};
    struct view v;
    int rc = client_get(cl, &status, e, "searches/%lld", w->id);
    if (rc < 0)
        return rc;
    rc = view_read(&v, status, e);
    if (rc == 0) {
        look_aside(cl, &v, &a);
        show(w, &v);
        w->heard_ns = clock_mono_ns();
        w->told_of_silence = false;
        if (view_over(&v))
            rc = outcome(&v, e) < 0 ? e->code : 1;
    }
    aside_release(&a);
    json_decref(status);
    return rc;
}

/* A coordinator may be restarted meanwhile, even at another address. */
static bool worth_another_try(struct watch *w, const struct err *e)
{
    if ((e->code != ERR_IO && e->code != ERR_TIMEOUT && e->code != ERR_NOTFOUND) || !w->heard_ns ||
        clock_mono_ns() - w->heard_ns > SILENCE_S * NS_PER_S)
        return false;
    if (!w->told_of_silence)
        fprintf(stderr, "espalier: %s; trying again\n", e->text);
    w->lines = w->told_of_silence ? w->lines : 0; /* that line stands below the picture now */
    w->told_of_silence = true;
    return true;
}

int watch_search(const struct cli *c, long long id, struct err *e)
{
    struct watch w = {.cli = c, .id = id, .live = term_is(STDOUT_FILENO)};
    struct client *cl = NULL;
    int rc = 0;
    do {
        if (!cl)
            rc = client_open(&cl, c, e);
        if (rc == 0)
            rc = look(&w, cl, e);
        if (rc < 0 && worth_another_try(&w, e)) {
            client_close(cl);
            cl = NULL;
            rc = 0;
        }
        if (rc == 0)
            clock_sleep_ns(LOOK_NS);
    } while (rc == 0);
    client_close(cl);
    free(w.last);
    return rc < 0 ? rc : 0;
}

/* --- verbs --- */

int verb_watch(struct cli *c, int argc, char **argv, struct err *e)
{
    const struct usage u = {
        "search watch ID",
        "Shows the search or training until it ends: live on a terminal, a line a change when piped.\n"
        "Exits 0 when it is done, 1 when it failed or was cancelled.",
        NULL, 1, 1};
    const char *operand;
    long long id;
    int rc = args_parse(c, &u, argc, argv, &operand, e);
    if (rc == 0)
        rc = args_number(c, "search", operand, 1, &id, e);
    return rc != 0 ? rc : watch_search(c, id, e);
}

static int print_status(struct client *cl, const json_t *status, struct err *e)
{
    struct view v;
    struct aside a = {NULL, NULL};
    struct buf b = {0};
    int rc = view_read(&v, status, e);
    if (rc < 0)
        return rc;
    look_aside(cl, &v, &a);
    view_text(&v, isatty(STDOUT_FILENO) ? term_width() : 0, term_colour(), &b);
    fwrite(b.p, 1, b.n, stdout);
    buf_release(&b);
    aside_release(&a);
    return 0;
}

int verb_status(struct cli *c, int argc, char **argv, struct err *e)
{
    enum format format = FORMAT_TABLE;
    const char *name = NULL, *operand;
    const struct arg args[] = {
        {"--format", ARG_TEXT, "table|json", "json: the coordinator's answer as it is", &name, 0, 0}, {0}};
    const struct usage u = {"search status ID [--format table|json]",
                            "How far the search or training is, and what it has found.", args, 1, 1};
    struct client *cl = NULL;
    json_t *status = NULL;
    long long id;
    int rc = args_parse(c, &u, argc, argv, &operand, e);
    if (rc == 0)
        rc = args_number(c, "search", operand, 1, &id, e);
    if (rc == 0)
        rc = format_parse(c, name, FORMAT_JSON, &format, e);
    if (rc == 0)
        rc = client_open(&cl, c, e);
    if (rc == 0)
        rc = client_get(cl, &status, e, "searches/%lld", id);
    if (rc == 0)
        rc = format == FORMAT_JSON ? format_json(status, e) : print_status(cl, status, e);
    json_decref(status);
    client_close(cl);
    return rc;
}
