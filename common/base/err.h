/*
 * err - how a function says that it failed.
 *
 * Functions that can fail return 0 or a negative enum err_code and take a `struct err *e` last, which
 * then holds one line for the person who owns the mistake: lower case, no full stop, what was attempted
 * and the value complained of. `e` is untouched on success and must not be NULL.
 *
 *   return err_set(e, ERR_IO, "could not open model \"%s\": %s", path, strerror(errno));
 *   if ((rc = graph_load(...)) < 0) return err_wrap(e, "search %d", id);
 *
 * A mistake of ours (an impossible state) is BUG(): it names the place and aborts.
 */
#ifndef COMMON_BASE_ERR_H
#define COMMON_BASE_ERR_H

enum err_code {
    ERR_INVALID = -1,     /* input, peer or file is wrong */
    ERR_UNSUPPORTED = -2, /* right, but not something that we do */
    ERR_IO = -3,          /* the operating system said no */
    ERR_NOMEM = -4,       /* something sized by a model or a message didn't fit */
    ERR_LIMIT = -5,       /* a stated limit was exceeded */
    ERR_NOTFOUND = -6,
    ERR_STATE = -7, /* not possible in the present state */
    ERR_DB = -8,
    ERR_TIMEOUT = -9,
    ERR_CANCELLED = -10,
    ERR_DIVERGED = -11, /* a training's numbers went out of hand */
};

struct err {
    enum err_code code;
    char text[512]; /* one line, always terminated; longer ones are cut */
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Sets the text and returns `code`. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "<formatted>: " before the text that is there; returns e->code. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define BUG(...) err_bug(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void err_bug(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
