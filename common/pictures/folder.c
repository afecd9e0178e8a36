#include "common/pictures/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/pictures/labels.h"

/* --- listing --- */

struct names { /* of a folder's entries, sorted, hidden ones left out */
    char **of;
    int n;
};

static void names_release(struct names *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->of[i]);
    free(l->of);
    *l = (struct names){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_list(struct names *l, const char *dir, struct err *e)
{
    *l = (struct names){0};
    DIR *d = opendir(dir);
    if (!d)
        return err_set(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "could not open \"%s\": %s", dir,
                       strerror(errno));
    for (struct dirent *entry; (entry = readdir(d));) {
        if (entry->d_name[0] == '.')
            continue;
        if ((l->n & (l->n - 1)) == 0)
            l->of = xrealloc(l->of, (l->n ? 2 * (size_t)l->n : 1) * sizeof(*l->of));
        l->of[l->n++] = xstrdup(entry->d_name);
    }
    closedir(d);
    if (l->n > 0)
        qsort(l->of, (size_t)l->n, sizeof(*l->of), by_name);
    return 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool ends_in(const char *name, const char *const *endings)
{
    const char *dot = strrchr(name, '.');
    for (; dot && *endings; endings++)
        if (strcasecmp(dot + 1, *endings) == 0)
            return true;
    return false;
}

static bool is_picture(const char *name)
{
    static const char *const endings[] = {"jpg", "jpeg", "png", NULL};
    return ends_in(name, endings);
}

/* A picture that we can't read: to leave it out would be another data set. */
static bool is_other_picture(const char *name)
{
    static const char *const endings[] = {"webp", "gif", "bmp", "tif", "tiff", "avif",
                                          "heic", "jp2", "jxl", "ppm", NULL};
    return ends_in(name, endings);
}

/* --- the growing index --- */

struct scan {
    struct picture_index *x;
    const char *dir;    /* of the set */
    const char *labels; /* name asked for, or NULL */
    struct buf names;   /* with their NULs; the index points into it at the end */
    size_t room;
};

/* How a file begins is enough to know it: JPEG FF D8 FF, PNG 89 P N G. */
static int look_into(const char *path, uint32_t *size, struct err *e)
{
    static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, jpeg[] = {0xff, 0xd8, 0xff};
    uint8_t head[sizeof(png)] = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
    if (fd < 0)
        return err_set(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "could not open \"%s\": %s", path,
                       strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        rc = err_set(e, ERR_INVALID, "\"%s\" is not a regular file", path);
    else if (st.st_size == 0)
        rc = err_set(e, ERR_INVALID, "\"%s\" is empty", path);
    else if (st.st_size > PICTURES_MAX_FILE)
        rc = err_set(e, ERR_LIMIT, "\"%s\" has %lld bytes, at most %d are accepted", path, (long long)st.st_size,
                     PICTURES_MAX_FILE);
    else if (read(fd, head, sizeof(head)) < 0)
        rc = err_set(e, ERR_IO, "could not read \"%s\": %s", path, strerror(errno));
    else if (memcmp(head, png, sizeof(png)) != 0 && memcmp(head, jpeg, sizeof(jpeg)) != 0)
        rc = err_set(e, ERR_INVALID, "\"%s\" begins like neither a JPEG nor a PNG file", path);
    close(fd);
    *size = rc == 0 ? (uint32_t)st.st_size : 0;
    return rc;
}

/* name: relative to the set's folder. */
static int add(struct scan *s, const char *name, uint32_t label, struct err *e)
{
    struct picture_index *x = s->x;
    uint32_t size;
    if (!picture_name_is_plain(name))
        return err_set(e, ERR_INVALID,
                       "\"%.300s\" in \"%.100s\": names have 1 to %d bytes, none of them a control character", name,
                       s->dir, PICTURES_MAX_NAME - 1);
    char *path = file_join(s->dir, name);
    int rc = look_into(path, &size, e);
    free(path);
    if (rc < 0)
        return rc;
    if (x->n == PICTURES_MAX)
        return err_set(e, ERR_LIMIT, "\"%s\" has more than %d images", s->dir, PICTURES_MAX);
    if ((size_t)x->n == s->room) {
        s->room = s->room ? 2 * s->room : 64;
        x->pictures = xrealloc(x->pictures, s->room * sizeof(*x->pictures));
    }
    x->pictures[x->n++] = (struct picture){.size = size, .label = label};
    buf_append(&s->names, name, strlen(name) + 1);
    return 0;
}

/* --- a part of either form --- */

static char *under(const char *prefix, const char *name)
{
    return *prefix ? xasprintf("%s/%s", prefix, name) : xstrdup(name);
}

static int scan_class(struct scan *s, const char *folder, uint32_t label, struct err *e)
{
    char *path = file_join(s->dir, folder);
    struct names l;
    int before = s->x->n, rc = names_list(&l, path, e);
    for (int i = 0; i < l.n && rc == 0; i++) {
        char *name = under(folder, l.of[i]), *file = file_join(path, l.of[i]);
        if (is_picture(name))
            rc = add(s, name, label, e);
        else if (is_other_picture(name))
            rc = err_set(e, ERR_UNSUPPORTED, "\"%s\": only JPEG and PNG files are read", file);
        else if (is_folder(file))
            rc = err_set(e, ERR_INVALID, "\"%s\" is a folder inside of a class's folder", file);
        free(name);
        free(file);
    }
    if (rc == 0 && s->x->n == before)
        rc = err_set(e, ERR_INVALID, "\"%s\": a class's folder without a JPEG or PNG file", path);
    names_release(&l);
    free(path);
    return rc;
}

static int find_class(const struct names *classes, const char *name)
{
    char *const *at = bsearch(&name, classes->of, (size_t)classes->n, sizeof(*classes->of), by_name);
    return at ? (int)(at - classes->of) : -1;
}

/* prefix: "", "train" ...; `classes` are filled from the first part and hold for the second. */
static int scan_classes(struct scan *s, const char *prefix, struct names *classes, struct err *e)
{
    char *path = *prefix ? file_join(s->dir, prefix) : xstrdup(s->dir);
    struct names l, found = {0};
    int rc = names_list(&l, path, e);
    for (int i = 0; i < l.n && rc == 0; i++) {
        char *entry = file_join(path, l.of[i]);
        if (is_folder(entry)) {
            found.of = xrealloc(found.of, ((size_t)found.n + 1) * sizeof(*found.of));
            found.of[found.n++] = xstrdup(l.of[i]);
        } else if (is_picture(l.of[i]) || is_other_picture(l.of[i])) {
            rc = err_set(e, ERR_INVALID, "\"%s\" lies in no class's folder, and there is no label file \"%s\"",
                         entry, PICTURES_LABELS);
        }
        free(entry);
    }
    names_release(&l);
    if (rc == 0 && found.n == 0)
        rc = err_set(e, ERR_INVALID, "\"%s\" has neither classes' folders nor a label file \"%s\"", path,
                     PICTURES_LABELS);
    if (rc == 0 && found.n > PICTURES_MAX_CLASSES)
        rc = err_set(e, ERR_LIMIT, "\"%s\" has %d classes' folders, at most %d are accepted", path, found.n,
                     PICTURES_MAX_CLASSES);
    const struct names *order = classes->n > 0 ? classes : &found;
    for (int i = 0; i < found.n && rc == 0; i++) {
        int label = find_class(order, found.of[i]);
        char *folder = under(prefix, found.of[i]);
        rc = label < 0
                 ? err_set(e, ERR_INVALID, "\"%s/%s\": the training part has no such class", path, found.of[i])
                 : scan_class(s, folder, (uint32_t)label, e);
        free(folder);
    }
    free(path);
    if (rc == 0 && classes->n == 0) {
        s->x->folders = true;
        s->x->n_classes = found.n;
        *classes = found;
    } else {
        names_release(&found);
    }
    return rc;
}

static int scan_labels(struct scan *s, const char *prefix, const char *file, struct err *e)
{
    struct labels l;
    char *name = under(prefix, file), *path = file_join(s->dir, name);
    int rc = labels_read(&l, path, e);
    for (int i = 0; rc == 0 && i < l.n; i++) {
        char *picture = under(prefix, l.of[i].file);
        rc = add(s, picture, l.of[i].label, e);
        if (rc < 0)
            err_wrap(e, "\"%s\" line %d", path, l.of[i].line);
        if (rc == 0 && l.of[i].label >= (uint32_t)s->x->n_classes)
            s->x->n_classes = (int)l.of[i].label + 1;
        free(picture);
    }
    labels_release(&l);
    free(name);
    free(path);
    return rc;
}

static bool has_labels(const struct scan *s, const char *prefix)
{
    char *name = under(prefix, s->labels ? s->labels : PICTURES_LABELS), *path = file_join(s->dir, name);
    bool there = access(path, F_OK) == 0;
    free(name);
    free(path);
    return there;
}

static int scan_part(struct scan *s, const char *prefix, struct names *classes, struct err *e)
{
    int before = s->x->n;
    if (s->labels && !has_labels(s, prefix))
        return err_set(e, ERR_NOTFOUND, "\"%s%s%s\" has no label file \"%s\"", s->dir, *prefix ? "/" : "", prefix,
                       s->labels);
    int rc = has_labels(s, prefix) ? scan_labels(s, prefix, s->labels ? s->labels : PICTURES_LABELS, e)
                                   : scan_classes(s, prefix, classes, e);
    if (rc == 0 && before > 0 && s->x->folders != (classes->n > 0 && !has_labels(s, prefix)))
        rc = err_set(e, ERR_INVALID, "\"%s\": one of train and %s has a label file, the other classes' folders",
                     s->dir, prefix);
    return rc;
}

/* A part has folders or a label file in it; a class's folder of that name ("train" is a class, too) has pictures.
 */
static bool is_part(const struct scan *s, const char *name)
{
    struct names l;
    struct err e;
    bool is = has_labels(s, name);
    char *path = file_join(s->dir, name);
    if (!is && names_list(&l, path, &e) == 0) {
        for (int i = 0; i < l.n && !is; i++) {
            char *entry = file_join(path, l.of[i]);
            is = is_folder(entry);
            free(entry);
        }
        names_release(&l);
    }
    free(path);
    return is;
}

static int scan_set(struct scan *s, struct names *classes, struct err *e)
{
    bool train = is_part(s, "train"), test = is_part(s, "test"), val = is_part(s, "val");
    if (has_labels(s, "") || (!train && !test && !val))
        return scan_part(s, "", classes, e);
    if (!train)
        return err_set(e, ERR_INVALID, "\"%s\" has %s but no train: name \"%s/%s\" for that alone", s->dir,
                       test ? "test" : "val", s->dir, test ? "test" : "val");
    if (!test && !val)
        return err_set(e, ERR_INVALID,
                       "\"%s\" has train but neither test nor val: name \"%s/train\" for that alone", s->dir,
                       s->dir);
    s->x->split = true;
    int rc = scan_part(s, "train", classes, e), n_train = s->x->n;
    if (rc == 0)
        rc = scan_part(s, test ? "test" : "val", classes, e);
    s->x->n_test = s->x->n - n_train;
    return rc;
}

int picture_folder_scan(struct picture_index *x, const char *dir, const char *labels, struct err *e)
{
    struct scan s = {.x = x, .dir = dir, .labels = labels};
    struct names classes = {0};
    *x = (struct picture_index){0};
    if (labels && (!picture_name_is_plain(labels) || strchr(labels, '/')))
        return err_set(e, ERR_INVALID, "label file \"%.200s\": must be a plain file name", labels);
    int rc = is_folder(dir) ? scan_set(&s, &classes, e) : err_set(e, ERR_NOTFOUND, "\"%s\" is not a folder", dir);
    names_release(&classes);
    x->names = (char *)s.names.p;
    const char *name = x->names;
    for (int i = 0; i < x->n; i++, name += strlen(name) + 1)
        x->pictures[i].name = name;
    if (rc == 0)
        picture_index_share_out(x);
    else
        picture_index_release(x);
    return rc;
}

/* --- the files' bytes --- */

int picture_folder_read(const char *dir, const struct picture *p, struct buf *out, struct err *e)
{
    char *path = file_join(dir, p->name);
    size_t before = out->n;
    int rc = file_read(path, PICTURES_MAX_FILE, out, e);
    if (rc == 0 && out->n - before != p->size)
        rc = err_set(e, ERR_INVALID, "\"%s\" has %zu bytes now, not %u", path, out->n - before, p->size);
    free(path);
    return rc;
}

int picture_folder_part(const struct picture_index *x, const char *dir, int part, struct buf *out, struct err *e)
{
    const struct picture_part *p = &x->parts[part];
    buf_clear(out);
    int rc = buf_reserve(out, p->size, e);
    for (uint32_t i = 0; i < p->n && rc == 0; i++)
        rc = picture_folder_read(dir, &x->pictures[p->first + i], out, e);
    return rc;
}

int picture_folder_hash(struct picture_index *x, const char *dir, struct err *e)
{
    struct buf bytes = {0};
    int rc = 0;
    for (int i = 0; i < x->n_parts && rc == 0; i++)
        if ((rc = picture_folder_part(x, dir, i, &bytes, e)) == 0)
            x->parts[i].hash = hash_of(bytes.p, bytes.n);
    buf_release(&bytes);
    return rc;
}

int picture_folder_check(const struct picture_index *x, const char *dir, struct err *e)
{
    struct buf bytes = {0};
    int rc = 0;
    for (int i = 0; i < x->n_parts && rc == 0; i++) {
        rc = picture_folder_part(x, dir, i, &bytes, e);
        struct hash is = hash_of(bytes.p, bytes.n);
        if (rc == 0 && !hash_equal(&is, &x->parts[i].hash))
            rc = err_set(e, ERR_INVALID, "\"%s\": \"%s\" or one of the %u images from it on isn't the set's", dir,
                         x->pictures[x->parts[i].first].name, x->parts[i].n);
    }
    buf_release(&bytes);
    return rc;
}
