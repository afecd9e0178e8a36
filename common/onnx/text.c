#include "common/onnx/text.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes of the printable UTF-8 character at s (RFC 3629, section 4), or 0. */
static size_t character(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7f;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    uint32_t code = p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    static const uint32_t least[] = {[2] = 0xa0, [3] = 0x800, [4] = 0x10000}; /* 0x80 ... 0x9f are controls too */
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return n;
}

bool text_clean(const char *s)
{
    while (*s) {
        size_t n = character(s);
        if (n == 0)
            return false;
        s += n;
    }
    return true;
}

void text_scrub(char *s)
{
    while (*s) {
        size_t n = character(s);
        if (n == 0)
            *s = '?';
        s += n ? n : 1;
    }
}
