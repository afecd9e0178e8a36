#include "coordinator/cli/xml.h"

#include <stdbool.h>

/* Bytes of the character at s, 0: none that XML may hold. */
static int character(const unsigned char *s)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    int n = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
    unsigned c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    bool can = n > 0 && c >= least[n] && c != 0x7f && c < 0x110000 && !(c >= 0xd800 && c < 0xe000) &&
               (c & 0xfffe) != 0xfffe;
    return can && (c >= 0x20 || c == '\t' || c == '\n' || c == '\r') ? n : 0;
}

void xml_text(struct buf *out, const char *s, int most)
{
    for (int i = 0; *s; i++) {
        int n = character((const unsigned char *)s);
        const char *name = *s == '&'   ? "&amp;"
                           : *s == '<' ? "&lt;"
                           : *s == '>' ? "&gt;"
                           : *s == '"' ? "&quot;"
                                       : NULL;
        if (i == most) {
            buf_text(out, "\u2026");
            return;
        }
        if (name)
            buf_text(out, "%s", name);
        else if (n == 0)
            buf_text(out, "\ufffd");
        else
            buf_append(out, s, (size_t)n);
        s += n > 0 ? n : 1;
    }
}
