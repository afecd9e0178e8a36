#include "common/pictures/labels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/pictures/index.h"

void labels_release(struct labels *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->of[i].file);
    free(l->of);
    *l = (struct labels){0};
}

/* 0 ... PICTURES_MAX_CLASSES - 1, digits alone. */
static bool read_class(const char *s, uint32_t *out)
{
    char *end;
    if (*s < '0' || *s > '9')
        return false;
    errno = 0;
    unsigned long v = strtoul(s, &end, 10);
    *out = (uint32_t)v;
    return !*end && !errno && v < PICTURES_MAX_CLASSES;
}

static int take_line(struct labels *l, const char *path, char *line, int number, struct err *e)
{
    char *comma = strchr(line, ',');
    uint32_t label;
    if (!comma)
        return err_set(e, ERR_INVALID, "\"%s\" line %d: \"%.80s\": expected file,class", path, number, line);
    *comma = 0;
    char *class = comma + 1;
    class[strcspn(class, ",")] = 0;
    if (!read_class(class, &label)) {
        if (number == 1 && (*class < '0' || *class > '9') && *class != '-')
            return 0; /* a heading */
        return err_set(e, ERR_INVALID, "\"%s\" line %d: class \"%.40s\" of \"%.200s\" isn't a number from 0 to %d",
                       path, number, class, line, PICTURES_MAX_CLASSES - 1);
    }
    if (!picture_name_is_plain(line))
        return err_set(e, ERR_INVALID, "\"%s\" line %d: \"%.200s\" isn't the name of a file in its folder", path,
                       number, line);
    if (l->n == PICTURES_MAX)
        return err_set(e, ERR_LIMIT, "\"%s\" line %d: more than %d images", path, number, PICTURES_MAX);
    if ((l->n & (l->n - 1)) == 0)
        l->of = xrealloc(l->of, (l->n ? 2 * (size_t)l->n : 1) * sizeof(*l->of));
    l->of[l->n++] = (struct label){xstrdup(line), label, number};
    return 0;
}

static int by_file(const void *a, const void *b)
{
    const struct label *const *x = a, *const *y = b;
    int order = strcmp((*x)->file, (*y)->file);
    return order ? order : (*x)->line - (*y)->line;
}

static int check_once(const struct labels *l, const char *path, struct err *e)
{
    const struct label **sorted = xcalloc((size_t)l->n, sizeof(struct label *));
    int rc = 0;
    for (int i = 0; i < l->n; i++)
        sorted[i] = &l->of[i];
    qsort(sorted, (size_t)l->n, sizeof(struct label *), by_file);
    for (int i = 1; i < l->n && rc == 0; i++)
        if (strcmp(sorted[i]->file, sorted[i - 1]->file) == 0)
            rc = err_set(e, ERR_INVALID, "\"%s\" line %d: \"%.200s\" stands in line %d, too", path, sorted[i]->line,
                         sorted[i]->file, sorted[i - 1]->line);
    free(sorted);
    return rc;
}

int labels_read(struct labels *l, const char *path, struct err *e)
{
    struct buf text = {0};
    *l = (struct labels){0};
    int rc = file_read(path, PICTURES_MAX_INDEX, &text, e);
    if (rc == 0 && text.n && memchr(text.p, 0, text.n))
        rc = err_set(e, ERR_INVALID, "\"%s\" holds a zero byte", path);
    char *next = (char *)text.p;
    for (int number = 1; rc == 0 && next && *next; number++) {
        char *line = next;
        size_t n = strcspn(line, "\n");
        next = line + n + (line[n] == '\n');
        line[n] = 0;
        if (n && line[n - 1] == '\r')
            line[n - 1] = 0;
        if (*line)
            rc = take_line(l, path, line, number, e);
    }
    buf_release(&text);
    if (rc == 0 && l->n == 0)
        rc = err_set(e, ERR_INVALID, "\"%s\" names no image", path);
    if (rc == 0)
        rc = check_once(l, path, e);
    if (rc < 0)
        labels_release(l);
    return rc;
}
