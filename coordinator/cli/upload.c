#include "coordinator/cli/upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "coordinator/cli/term.h"

int upload_init(struct upload *u, const char *path, const char *name, struct err *e)
{
    *u = (struct upload){.path = NULL};
    if (strlen(name) >= sizeof(u->file.name))
        return err_set(e, ERR_INVALID, "file name \"%.80s\" is too long", name);
    strcpy(u->file.name, name);
    int rc = hash_file(path, &u->file.hash, &u->file.size, e);
    if (rc == 0 && u->file.size == 0)
        rc = err_set(e, ERR_INVALID, "\"%s\" is empty", path);
    if (rc == 0)
        u->path = xstrdup(path);
    return rc;
}

void upload_release(struct upload *u)
{
    free(u->path);
    *u = (struct upload){.path = NULL};
}

struct bar {
    const char *name;
    int64_t shown_ns;
};

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct bar *b = arg;
    char has[TERM_TEXT], all[TERM_TEXT];
    int64_t now = clock_mono_ns();
    if (now - b->shown_ns < NS_PER_S / 10 && done < total)
        return;
    b->shown_ns = now;
    fprintf(stderr, "\r\033[Ksending %s: %sB of %sB", b->name, term_count(has, (double)done),
            term_count(all, (double)total));
}

static int send_one(struct client *cl, const struct upload *u, struct err *e)
{
    bool has, bar = term_is(STDERR_FILENO);
    int rc = client_has_blob(cl, &u->file.hash, &has, e);
    if (rc < 0 || has)
        return rc;
    struct bar b = {.name = u->file.name};
    rc = client_put_file(cl, u->path, &u->file.hash, u->file.size, bar ? on_progress : NULL, &b, e);
    if (bar)
        fputs("\r\033[K", stderr);
    return rc;
}

int upload_send(struct client *cl, const struct upload *u, int n, struct err *e)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < n; i++)
        rc = send_one(cl, &u[i], e);
    return rc;
}
