#include "coordinator/http/reply.h"

int reply_status(enum err_code code)
{
    switch (code) {
    case ERR_INVALID:
    case ERR_UNSUPPORTED:
        return 400;
    case ERR_NOTFOUND:
        return 404;
    case ERR_STATE:
        return 409;
    case ERR_LIMIT:
        return 413;
    case ERR_IO:
    case ERR_NOMEM:
    case ERR_DB:
    case ERR_TIMEOUT:
    case ERR_CANCELLED:
    case ERR_DIVERGED:
        return 503;
    }
    return 503;
}

/* A line can end in half a UTF-8 sequence where it was cut; JSON must not. */
void reply_error(struct buf *out, const char *text)
{
    buf_text(out, "{\"error\": \"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            buf_text(out, "\\%c", c);
        else
            buf_text(out, "%c", c < ' ' || c > 126 ? '?' : c);
    }
    buf_text(out, "\"}\n");
}
