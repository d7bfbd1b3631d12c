/* Characters: which bytes are one, and which of those a line may show. Pure functions. */
#include "base/base.h"

/* The table of section 4 in RFC 3629. */
size_t tr_utf8_length(const char *text, size_t n) {
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) return 1;
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n < length) return 0;
    unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return length;
}

size_t tr_plain_length(const char *text, size_t n) {
    unsigned char c = (unsigned char)text[0];
    size_t length = tr_utf8_length(text, n);
    if (c < 0x20 || c == 0x7f) return 0;
    /* U+0080 to U+009F are controls, too; U+2028 to U+202E break lines or reverse their direction.
     */
    if (length == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0) return 0;
    if (length == 3 && c == 0xe2 && (unsigned char)text[1] == 0x80 &&
        (unsigned char)text[2] >= 0xa8 && (unsigned char)text[2] <= 0xae)
        return 0;
    return length;
}
