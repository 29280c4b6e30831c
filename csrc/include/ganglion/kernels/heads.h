/* Attention as a layer: heads with projections, differential heads, experts behind a gate. float32.
 *
 * Weights are matrices [outputs, inputs], one row per output (y = W x + b), so that a trained layer's go in as they
 * are. Scores, masks and positions are gn_sdpa's (attention.h): a mask is honoured by every head it is given for, a
 * query that sees nothing has zeros from its heads.
 */
#ifndef GANGLION_KERNELS_HEADS_H
#define GANGLION_KERNELS_HEADS_H
#include "ganglion/kernels/base.h"

// <cdef>
/* Differential attention (Ye et al. 2024, "Differential Transformer", section 2): a head subtracts a second softmax
 * from its first, and is normalised by itself,
 *     head = out_scale * gain * rms_norm((softmax(s q1 k1^T) - lambda softmax(s q2 k2^T)) v)
 * rms_norm(y) = y / sqrt(mean(y^2) + epsilon), over the head's value_dim. The paper's out_scale is 1 - lambda_init. */
struct gn_differential {
    const float *lambda; /* [heads] */
    const float *gain;   /* [value_dim], or NULL: ones */
    float out_scale, epsilon;
};

/* lambda = exp(q1.k1) - exp(q2.k2) + init, equation 2, of vectors [dim]; summed in float64. */
float gn_differential_lambda(const float *q1, const float *k1, const float *q2, const float *k2, size_t dim, float init);

struct gn_heads {
    size_t batch, queries, keys;
    size_t width, context_width, out_width; /* of x, of context, of the result */
    size_t heads, kv_heads;                 /* kv_heads divides heads (grouped queries, Ainslie et al. 2023) */
    size_t dim, value_dim;                  /* of a head's keys and values */
    size_t mask_strides[3], bias_strides[3]; /* of batch, heads, rows, in elements; keys are adjacent */
    float scale;                            /* of q.k, finite; 1/sqrt(dim) as a rule */
    int causal;                             /* not 0: query i sees keys up to i + keys - queries */
};

struct gn_projections { /* a bias may be NULL: zeros. With differential heads q and k are twice as tall: */
    const float *q, *q_bias;     /* [heads * dim, width]                 [heads][2][dim] */
    const float *k, *k_bias;     /* [kv_heads * dim, context_width]      [kv_heads][2][dim] */
    const float *v, *v_bias;     /* [kv_heads * value_dim, context_width] */
    const float *out, *out_bias; /* [out_width, heads * value_dim] */
};

/* Bytes for gn_multi_head on that many threads (gn_pool_threads); SIZE_MAX: too large. */
size_t gn_multi_head_scratch(const struct gn_heads *shape, int differential, int threads);

/* out[batch, queries, out_width] = W_out concat(heads of softmax(scale Q K^T + bias) V), Q = W_q x, K = W_k context,
 * V = W_v context (Vaswani et al. 2017, section 3.2.2). x[batch, queries, width], context[batch, keys, context_width];
 * context may be x. mask: bytes, not 0 = may see, or NULL; bias: floats added to scores, or NULL. differential: NULL,
 * or what makes its heads such. GN_K_NULL, GN_K_SIZE (overflow, kv_heads does not divide heads), GN_K_VALUE (scale,
 * epsilon or out_scale not finite, epsilon below 0), GN_K_OVERLAP. */
int gn_multi_head(const struct gn_heads *shape, const struct gn_projections *weights,
                  const struct gn_differential *differential, const float *x, const float *context,
                  const uint8_t *mask, const float *bias, float *out, void *scratch, gn_pool *pool);

/* Differential attention of projected q[batch, heads, 2, queries, dim], k[batch, kv_heads, 2, keys, dim],
 * v[batch, kv_heads, keys, value_dim]: out[batch, heads, queries, value_dim]. width and the like are not read. */
size_t gn_differential_scratch(const struct gn_heads *shape, int threads);
int gn_differential(const struct gn_heads *shape, const struct gn_differential *differential, const float *q,
                    const float *k, const float *v, const uint8_t *mask, const float *bias, float *out, void *scratch,
                    gn_pool *pool);

/* Experts behind a softmax gate (Shazeer et al. 2017; the figure of balance: Fedus et al. 2021, "Switch", equation 4;
 * Lepikhin et al. 2020, GShard, section 2.2). For each of `tokens` rows of logits[tokens, experts]:
 *     index[tokens, k]   the k largest, best first; ties to the lowest index, NaN last
 *     weight[tokens, k]  their softmax over all experts, renormalised over the k (sums to 1; a row with NaN: NaN; a row
 *                        of -infinity: zeros)
 * Over all tokens, each may be NULL: load[experts], the share of the tokens * k places that an expert got;
 * importance[experts], its mean gate over tokens; balance[1], experts * sum load importance, 1 when even. Rows of NaN
 * count in load only. GN_K_SIZE (k not in 1..experts, experts >= 2^32, overflow). */
size_t gn_experts_scratch(size_t experts);
int gn_experts_route(const float *logits, size_t tokens, size_t experts, size_t k, uint32_t *index, float *weight,
                     float *load, float *importance, float *balance, void *scratch);

/* The tokens of each expert together: expert e has places offsets[e]..offsets[e + 1] of tokens * k; row[place] is the
 * token there (ascending for an expert) and place[tokens, k] is where a token's choices went. GN_K_VALUE: an index is
 * not below experts. GN_K_SIZE: tokens * k >= 2^32. */
int gn_experts_order(const uint32_t *index, size_t tokens, size_t k, size_t experts, uint32_t *offsets, uint32_t *row,
                     uint32_t *place);

/* out[places, d] = x[row[place], :]. GN_K_VALUE: a row is not below tokens. */
int gn_experts_gather(const float *x, size_t tokens, size_t d, const uint32_t *row, size_t places, float *out);

/* out[tokens, d] = sum over j of weight[token, j] y[place[token, j], :]; a weight of 0 takes nothing of its row.
 * GN_K_VALUE: a place is not below places. */
int gn_experts_combine(const float *y, size_t places, size_t d, const uint32_t *place, const float *weight,
                       size_t tokens, size_t k, float *out, gn_pool *pool);
// </cdef>
#endif
