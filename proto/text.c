#include "proto/text.h"

#include <stdbool.h>
#include <string.h>

size_t text_character(const uint8_t *s, size_t n)
{
    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] != 0x7f;
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    uint32_t first2 = (uint32_t)s[0] << 8 | s[1];
    bool overlong = (s[0] == 0xe0 && first2 < 0xe0a0) || (s[0] == 0xf0 && first2 < 0xf090);
    bool surrogate = s[0] == 0xed && first2 >= 0xeda0;
    bool beyond = s[0] == 0xf4 && first2 >= 0xf490;
    bool control = s[0] == 0xc2 && s[1] < 0xa0;
    return overlong || surrogate || beyond || control ? 0 : len;
}

void text_copy(char *to, size_t n, const char *from)
{
    const uint8_t *s = (const uint8_t *)from;
    size_t left = strlen(from), at = 0;
    while (left > 0) {
        size_t len = text_character(s, left), take = len ? len : 1;
        if (at + take >= n)
            break;
        if (len)
            memcpy(to + at, s, len);
        else
            to[at] = '?';
        at += take;
        s += take;
        left -= take;
    }
    to[at] = '\0';
}
