/* Hypervectors: long random bit vectors that are bound, bundled, permuted and compared (Kanerva, "Hyperdimensional
 * Computing", Cognitive Computation 1, 2009).
 *
 * A hypervector of `bits` bits is gn_hv_words(bits) uint64_t; bit i is bit i % 64 of word i / 64. Bits behind the last
 * are the tail: every function clears the tail of what it writes and ignores the tail of what it reads, so that a
 * vector and its complement differ in exactly `bits` places. `bits` is in 1..2^31 everywhere (GN_K_SIZE).
 * Everything is exact: results are equal on every level and with any number of threads.
 */
#ifndef GANGLION_KERNELS_HYPERVECTORS_H
#define GANGLION_KERNELS_HYPERVECTORS_H
#include "ganglion/kernels/base.h"

// <cdef>
enum gn_hv_ties {
    GN_HV_TIES_NEIGHBOUR = 0, /* bit i - 1 (cyclic) of the XOR of all vectors: no order, no bias, no pattern in common */
    GN_HV_TIES_ZERO = 1,
    GN_HV_TIES_ONE = 2
};

size_t gn_hv_words(size_t bits); /* (bits + 63) / 64 */

/* out[n][words]: random vectors, each bit 0 or 1 with even odds; the same for the same seed on every machine. */
int gn_hv_random(uint64_t seed, size_t n, size_t bits, uint64_t *out);

/* out[i] = a[i] XOR b[i], or a[i] XOR b[0] when b_n is 1; b_n is n or 1 (GN_K_SIZE). out may be a, or b when b_n is n. */
int gn_hv_bind(const uint64_t *a, size_t n, const uint64_t *b, size_t b_n, size_t bits, uint64_t *out);

/* out[i] = NOT a[i]; out may be a. */
int gn_hv_complement(const uint64_t *a, size_t n, size_t bits, uint64_t *out);

/* Cyclic shift: bit j of a[i] becomes bit (j + shift) mod bits of out[i]; a negative shift undoes a positive one. */
int gn_hv_permute(const uint64_t *a, size_t n, size_t bits, int64_t shift, uint64_t *out);

/* out[words]: the majority of n vectors, bit by bit, exact for n <= 65536 (more: GN_K_SIZE). Where as many say 1 as 0,
 * `ties` (enum gn_hv_ties, else GN_K_VALUE) decides. n = 0 is a tie in every bit. */
int gn_hv_bundle(const uint64_t *vectors, size_t n, size_t bits, int ties, uint64_t *out, gn_pool *pool);

/* out[m][n]: in how many bits each of m queries differs from each of n keys. */
int gn_hv_hamming(const uint64_t *queries, size_t m, const uint64_t *keys, size_t n, size_t bits, uint32_t *out,
                  gn_pool *pool);

/* out[m][n] = 1 - 2 hamming / bits, computed in float64: 1 for equal vectors, -1 for complements, near 0 for random pairs. */
int gn_hv_similarity(const uint64_t *queries, size_t m, const uint64_t *keys, size_t n, size_t bits, float *out,
                     gn_pool *pool);

/* The k keys most similar to each query, best first, ties to the lowest index: index[m][k], similarity[m][k]. k <= n,
 * n < 2^32 (GN_K_SIZE). Threads share the queries. */
int gn_hv_search(const uint64_t *queries, size_t m, const uint64_t *keys, size_t n, size_t bits, size_t k,
                 uint32_t *index, float *similarity, gn_pool *pool);
// </cdef>
#endif
