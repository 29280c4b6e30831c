/* escape.c - percent codes in parameter values. */
#include "ganglion/wire.h"

#include "wire/chars.h"

static const char digits[] = "0123456789ABCDEF";

static unsigned nibble(uint8_t hex)
{
    return hex <= '9' ? hex - 48u : (hex | 32u) - 87u; /* 48 is '0', 87 is 'a' - 10 */
}

ptrdiff_t gn_unescape(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t byte = src[i];

        if (byte == '%') {
            if (len - i < 3 || !gn_is(src[i + 1], GN_CHAR_HEX) || !gn_is(src[i + 2], GN_CHAR_HEX))
                return -1;
            byte = (uint8_t)(nibble(src[i + 1]) << 4 | nibble(src[i + 2]));
            i += 2;
        }
        if (out == cap)
            return -1;
        dst[out++] = byte;
    }
    return (ptrdiff_t)out;
}

ptrdiff_t gn_escape(const uint8_t *src, size_t len, uint8_t *dst, size_t cap)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        if (gn_is(src[i], GN_CHAR_PLAIN)) {
            if (out == cap)
                return -1;
            dst[out++] = src[i];
            continue;
        }
        if (cap - out < 3)
            return -1;
        dst[out++] = '%';
        dst[out++] = (uint8_t)digits[src[i] >> 4];
        dst[out++] = (uint8_t)digits[src[i] & 15];
    }
    return (ptrdiff_t)out;
}
