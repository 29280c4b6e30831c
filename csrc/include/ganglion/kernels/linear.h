/* Linear attention: softmax attention estimated by positive random features, O(n) in the length (FAVOR+).
 *
 * Source: Choromanski et al., "Rethinking Attention with Performers", ICLR 2021 (Lemma 1, section 3.2). With s the
 * scale (1/sqrt(dim) for usual attention), x' = sqrt(s) x and w_1..w_r the rows of the projection,
 *
 *     exp(s q.k) = E[phi(q).phi(k)]     phi_i(x) = exp(w_i.x' - |x'|^2 / 2) / sqrt(r)
 *     out_i = sum_j (phi(q_i).phi(k_j)) v_j / sum_j phi(q_i).phi(k_j)
 *
 * Features are kept as logarithms with one maximum per feature over the keys and one per query, so that nothing
 * overflows and the normaliser cannot vanish; both maxima cancel exactly in the quotient.
 *
 * All arrays are float32. A NaN in a query makes that query's row NaN; a NaN in a key makes all rows NaN that see it.
 * Keys whose squared norm is infinite have no weight. A row that sees no key with weight is zeros.
 */
#ifndef GANGLION_KERNELS_LINEAR_H
#define GANGLION_KERNELS_LINEAR_H
#include "ganglion/kernels/base.h"

// <cdef>
/* projection[features][dim]: orthogonal random rows (section 3.3): blocks of dim rows at right angles, each row as
 * long as a normal vector of its own; the same seed gives the same rows. GN_K_NULL; GN_K_SIZE: the product overflows. */
int gn_favor_projection(size_t features, size_t dim, uint64_t seed, float *projection);

/* Bytes of scratch for gn_linear_attention on `threads` threads; SIZE_MAX when the sizes overflow. */
size_t gn_linear_scratch(size_t heads, size_t count, size_t dim, size_t value_dim, size_t features, int threads);

/* out[heads][rows][value_dim] from queries[heads][rows][dim], keys[heads][count][dim], values[heads][count][value_dim],
 * projection[features][dim]; every query sees every key. scale is finite and > 0; features >= 1.
 * GN_K_NULL, GN_K_SIZE, GN_K_VALUE (scale), GN_K_OVERLAP. */
int gn_linear_attention(const float *queries, size_t heads, size_t rows, const float *keys, size_t count, size_t dim,
                        const float *values, size_t value_dim, const float *projection, size_t features, float scale,
                        float *out, void *scratch, gn_pool *pool);

/* Floats of one head's running sums: features * (value_dim + 2), rows [features][value_dim], then the features'
 * sums, then their maxima. SIZE_MAX when that overflows. */
size_t gn_linear_state(size_t features, size_t value_dim);

/* state[heads][gn_linear_state()] of nothing seen yet. GN_K_NULL, GN_K_SIZE. */
int gn_linear_begin(size_t heads, size_t features, size_t value_dim, float *state);

/* Bytes of scratch for gn_linear_causal; SIZE_MAX when the sizes overflow. */
size_t gn_linear_causal_scratch(size_t dim, size_t value_dim, size_t features, int threads);

/* The prefix form: query i sees what the state has seen and keys 0..i of this call. The state is updated, so that a
 * sequence cut anywhere gives the same rows; one token at a time is length 1.
 * queries[heads][length][dim], keys the same, values and out [heads][length][value_dim]. Statuses as above. */
int gn_linear_causal(const float *queries, const float *keys, const float *values, size_t heads, size_t length,
                     size_t dim, size_t value_dim, const float *projection, size_t features, float scale, float *state,
                     float *out, void *scratch, gn_pool *pool);
// </cdef>
#endif
