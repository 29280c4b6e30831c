/* Modern Hopfield memories: patterns that a query is drawn to.
 *
 * Retrieval is the update rule of Ramsauer et al., "Hopfield Networks is All You Need" (2021), equation 3: with the
 * patterns as the rows of X,
 *
 *     state' = X^T softmax(beta X state)
 *
 * one step, or repeated until the state moves no more. It is computed in one pass over X (online softmax: Milakov and
 * Gimelshein, 2018). A query's result does not depend on the other queries of the call. NaN or an infinite score
 * makes that query's result NaN, and its iteration ends. No patterns: zeros.
 *
 * patterns[n, d], queries[m, d], out[m, d]: float32. n below 2^32. beta: finite and not negative, else GN_K_VALUE.
 */
#ifndef GANGLION_KERNELS_HOPFIELD_H
#define GANGLION_KERNELS_HOPFIELD_H
#include "ganglion/kernels/base.h"

// <cdef>
enum { GN_HOPFIELD_SMALL = 131072, GN_HOPFIELD_SMALL_ROWS = 4096 };
/* Bytes of scratch of gn_hopfield and gn_hopfield_energy; SIZE_MAX: a product of sizes overflows. gn_hopfield needs none
 * for one query and one step over at most GN_HOPFIELD_SMALL floats in at most GN_HOPFIELD_SMALL_ROWS rows. */
size_t gn_hopfield_scratch(size_t n, size_t d, size_t m);

/* out = the state after at most `steps_max` steps (1..), or after the first that moved it by no more than `tolerance`
 * (Euclidean length, not negative). Each may be NULL: steps[m], how many were taken; best[m], the row with the
 * largest weight in the last step (the lowest of equals, UINT32_MAX when there is none); weight[m], that weight.
 * GN_K_NULL, GN_K_SIZE (n >= 2^32, steps_max = 0, overflow), GN_K_VALUE (beta, tolerance), GN_K_OVERLAP. */
int gn_hopfield(const float *patterns, size_t n, size_t d, const float *queries, size_t m, float beta,
                size_t steps_max, float tolerance, float *out, uint32_t *steps, uint32_t *best, float *weight,
                void *scratch, gn_pool *pool);

/* energy[m] of states[m, d], equation 2 of the paper:
 *     -lse(beta X state) / beta + |state|^2 / 2 + ln(n) / beta + max |x|^2 / 2
 * (|state|^2 / 2 when there are no patterns). A step never makes it larger. beta > 0. Errors as above. */
int gn_hopfield_energy(const float *patterns, size_t n, size_t d, const float *states, size_t m, float beta,
                       float *energy, void *scratch, gn_pool *pool);

/* The hierarchical form: patterns lie in groups, group g being rows offsets[g] <= row < offsets[g + 1], and an upper
 * memory holds one prototype a group. A step asks the upper memory first and then reads only the `k` groups (1..groups)
 * whose prototypes have the largest p_g . state (the lowest of equals; empty groups are never chosen). */
enum gn_hopfield_mix {
    GN_HOPFIELD_JOINT = 0, /* one softmax over all patterns of the groups chosen: with k = groups, gn_hopfield itself */
    GN_HOPFIELD_GATED = 1  /* each group's own retrieval, weighed by softmax(beta_top p_g . state) over those chosen */
};

/* prototypes[groups, d] = the mean pattern of each group, zeros for an empty one.
 * GN_K_VALUE: offsets[groups + 1] do not begin at 0, go down, or do not end at n. */
int gn_hopfield_prototypes(const float *patterns, size_t n, size_t d, const uint32_t *offsets, size_t groups,
                           float *prototypes, gn_pool *pool);

size_t gn_hopfield_groups_scratch(size_t groups, size_t d, size_t m, size_t k);

/* As gn_hopfield, over groups. chosen[m, k] and shares[m, k] (each may be NULL): the groups read in the last step, the
 * largest p_g . state first, and how much each gave to the result (they sum to 1); UINT32_MAX and 0 where fewer than k
 * groups have patterns. GN_K_VALUE also: k, mix, offsets. */
int gn_hopfield_groups(const float *patterns, size_t n, size_t d, const uint32_t *offsets, size_t groups,
                       const float *prototypes, const float *queries, size_t m, size_t k, float beta, float beta_top,
                       int mix, size_t steps_max, float tolerance, float *out, uint32_t *steps, uint32_t *chosen,
                       float *shares, void *scratch, gn_pool *pool);

/* Attention over packed hypervectors (hypervectors.h: words a vector, tails): the same softmax with the similarity
 * 1 - 2 hamming / bits in place of the product, out[m, width] = softmax(beta similarity(query, key)) values[n, width].
 * Similarities of random pairs vary by 1 / sqrt(bits): beta = sqrt(bits) makes their scores' variance 1. best and
 * weight as gn_hopfield's. Threads share the queries. GN_K_SIZE: bits not in 1..2^31. */
int gn_hdc_attention(const uint64_t *queries, size_t m, const uint64_t *keys, size_t n, size_t bits, const float *values,
                     size_t width, float beta, float *out, uint32_t *best, float *weight, gn_pool *pool);

/* The same with packed values[n][words]: bit i of out[m][words] is 1 when the values that have it 1 hold more than half of
 * all weight, so a tie is 0, as is everything when n = 0. */
size_t gn_hdc_vote_scratch(size_t m, size_t n);
int gn_hdc_vote(const uint64_t *queries, size_t m, const uint64_t *keys, const uint64_t *values, size_t n, size_t bits,
                float beta, uint64_t *out, void *scratch, gn_pool *pool);
// </cdef>
#endif
