/* Packing rows of bits: see bits.h. */
#include "distances/bits.h"

#include <string.h>

static void pack_row(const uint8_t *row, size_t bytes, size_t across, uint64_t *to)
{
    for (size_t at = 0; at < bytes; at += GN_BITS_GROUP_BYTES, to += GN_BITS_WORDS * across) {
        uint64_t x[GN_BITS_WORDS] = {0}, s1, s2;
        memcpy(x, row + at, bytes - at < sizeof x ? bytes - at : sizeof x);
        s1 = x[0] ^ x[1] ^ x[2];
        s2 = s1 ^ x[3] ^ x[4];
        to[0] = x[0];
        to[across] = x[1];
        to[2 * across] = s1;
        to[3 * across] = x[3];
        to[4 * across] = s2;
        to[5 * across] = x[5];
        to[6 * across] = s2 ^ x[5] ^ x[6];
    }
}

void gn_bits_pack(const uint8_t *rows, size_t n, size_t bytes, size_t across, uint64_t *to)
{
    size_t words = gn_bits_groups(bytes) * GN_BITS_WORDS, whole = (n + across - 1) / across * across;
    if (n < whole)
        memset(to + (whole - across) * words, 0, across * words * sizeof *to);
    for (size_t r = 0; r < n; r++)
        pack_row(rows + r * bytes, bytes, across, to + r / across * across * words + r % across);
}
