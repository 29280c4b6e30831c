/* What a level gives the hypervectors, and whoever else counts bits: the distances' one-bit vectors use the same loops.
 *
 * Rows are bytes, `stride` bytes apart, without any alignment; nothing outside a row's `bytes` is read. Counts are
 * uint32_t: bytes < 2^29.
 */
#ifndef GN_HYPERVECTORS_OPS_H
#define GN_HYPERVECTORS_OPS_H
#include <stddef.h>
#include <stdint.h>

enum { GN_HV_BUNDLE_WORDS = 64, GN_HV_PLANES = 17, GN_HV_FAR = 24 << 20 };

/* A part of a bundle: `words` words (at most GN_HV_BUNDLE_WORDS) of n rows; majority: more than n / 2 say 1; tie:
 * exactly n / 2; parity: the XOR of all. tie and parity may be NULL, both or neither. */
struct gn_hv_part {
    const uint64_t *rows;
    size_t n, stride_words, words;
    uint64_t *majority, *tie, *parity;
};

struct gn_hypervectors_ops {
    /* out[i] = ones in (query ^ row i) */
    void (*hamming)(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, size_t stride, uint32_t *out);
    /* The same, for rows that no cache holds: n * stride of all of them above GN_HV_FAR, say */
    void (*hamming_far)(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, size_t stride, uint32_t *out);
    /* out[j * out_stride + i] = ones in (query j ^ row i); queries are `bytes` long and query_stride apart */
    void (*hamming_tile)(const uint8_t *queries, size_t m, size_t query_stride, const uint8_t *rows, size_t n,
                         size_t stride, size_t bytes, uint32_t *out, size_t out_stride);
    /* out[i] = ones in (query & row i) */
    void (*common)(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, size_t stride, uint32_t *out);
    /* out[i] = ones in row i */
    void (*ones)(const uint8_t *rows, size_t n, size_t bytes, size_t stride, uint32_t *out);
    void (*bind)(const uint64_t *a, const uint64_t *b, size_t words, uint64_t *out);
    void (*bundle)(const struct gn_hv_part *part);
};

extern const struct gn_hypervectors_ops gn_hypervectors_serial, gn_hypervectors_haswell, gn_hypervectors_skylake,
    gn_hypervectors_neon;

/* The table of the level in use. */
const struct gn_hypervectors_ops *gn_hypervectors(void);
#endif
