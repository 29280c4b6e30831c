/* Distances and similarities of m queries to n keys, all of them or the k nearest of each query.
 *
 *     dot      sum q_i k_i                       largest is nearest
 *     cosine   dot / (|q| |k|), 0 when a norm is 0    largest is nearest
 *     l2       sqrt(sum (q_i - k_i)^2)           smallest is nearest
 *     l2sq     sum (q_i - k_i)^2                 smallest is nearest
 *     hamming  bits that differ                  smallest is nearest     (b1 only)
 *     jaccard  1 - |q and k| / |q or k|, 0 when both are empty           (b1 only)
 *
 * Types: float32; float16 and bfloat16 (products and sums in float32); int8 (sums exact in 32 bits, so at most 65,536
 * elements; the result is rounded once); b1: bits in bytes, all of which count, at most 2^24 bits. Results are float32
 * and in the f64 form float64. Differences are squared as they are, never by |q|^2 + |k|^2 - 2 q.k, so near vectors
 * keep their digits. Float sums: |error| <= (dim + 4) 2^-24 sum |terms|, in the f64 form (dim + 4) 2^-53.
 *
 * Nearest: NaN comes last, ties go to the lowest index, whatever the number of threads.
 */
#ifndef GANGLION_KERNELS_DISTANCES_H
#define GANGLION_KERNELS_DISTANCES_H
#include "ganglion/kernels/base.h"

// <cdef>
enum gn_metric {
    GN_METRIC_DOT = 0,
    GN_METRIC_COSINE = 1,
    GN_METRIC_L2 = 2,
    GN_METRIC_L2SQ = 3,
    GN_METRIC_HAMMING = 4,
    GN_METRIC_JACCARD = 5,
    GN_METRIC_COUNT = 6
};
enum gn_element {
    GN_ELEMENT_F32 = 0,
    GN_ELEMENT_F16 = 1,
    GN_ELEMENT_BF16 = 2,
    GN_ELEMENT_I8 = 3,
    GN_ELEMENT_B1 = 4, /* dim counts bytes */
    GN_ELEMENT_COUNT = 5
};

/* Bytes of scratch for gn_distances with a pool of that many threads; SIZE_MAX: a size overflows. */
size_t gn_distances_scratch(int metric, int element, size_t m, size_t n, size_t dim, int threads);

/* out[m, n]: query i to key j. queries[m, dim], keys[n, dim] of that element.
 * GN_K_VALUE: no such metric or element; GN_K_UNSUPPORTED: not for this element; GN_K_SIZE, GN_K_NULL, GN_K_OVERLAP. */
int gn_distances(int metric, int element, const void *queries, size_t m, const void *keys, size_t n, size_t dim,
                 float *out, void *scratch, gn_pool *pool);

/* The same of float32 with sums and results in float64: dot, cosine, l2, l2sq. No scratch. */
int gn_distances_f64(int metric, const float *queries, size_t m, const float *keys, size_t n, size_t dim, double *out,
                     gn_pool *pool);

size_t gn_nearest_scratch(int metric, int element, size_t m, size_t n, size_t dim, size_t k, int threads);

/* The k nearest keys of each query, nearest first: scores[m, k] and their numbers indices[m, k]. The scores of other
 * keys are never written out. k <= n < 2^32, else GN_K_SIZE; errors as above. */
int gn_nearest(int metric, int element, const void *queries, size_t m, const void *keys, size_t n, size_t dim, size_t k,
               float *scores, int64_t *indices, void *scratch, gn_pool *pool);
// </cdef>
#endif
