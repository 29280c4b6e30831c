/* Rows of bits packed for many Hamming distances at once, so that fewer counts are taken.
 *
 * Seven 64-bit words x1..x7 of a row are kept as x1, x2, s1 = x1^x2^x3, x4, s2 = s1^x4^x5, x6, s3 = s2^x6^x7. XOR is
 * linear, so the XOR of two packed rows is the packed XOR, and it holds a tree of adders with the sums already made:
 * the carries are c1 = majority(x1, x2, x3) = f(x1, x2, s1), c2 = f(s1, x4, s2), c3 = f(s2, x6, s3), and
 *
 *     ones in x1..x7 = ones(s3) + 2 ones(c1^c2^c3) + 4 ones(majority(c1, c2, c3))
 *
 * 7 XORs, 5 three-input functions, 3 counts and 3 additions for 7 words, where counting each takes 7 of three kinds.
 * (Carry-save counting: Harley and Seal, in Warren, "Hacker's Delight", 2nd ed., 5-1; the linear packing is ours.)
 */
#ifndef GN_KERNELS_DISTANCES_BITS_H
#define GN_KERNELS_DISTANCES_BITS_H
#include <stddef.h>
#include <stdint.h>

enum { GN_BITS_WORDS = 7, GN_BITS_KEYS = 8, GN_BITS_GROUP_BYTES = 8 * GN_BITS_WORDS };

static inline __attribute__((unused)) size_t gn_bits_groups(size_t bytes)
{
    return (bytes + GN_BITS_GROUP_BYTES - 1) / GN_BITS_GROUP_BYTES;
}

/* n rows; word w of row r goes to to[r / across * across * words + w * across + r % across]: across = 1 keeps rows
 * together, GN_BITS_KEYS stands eight rows side by side. Rows that are missing in the last eight are zeros. */
void gn_bits_pack(const uint8_t *rows, size_t n, size_t bytes, size_t across, uint64_t *to);
#endif
