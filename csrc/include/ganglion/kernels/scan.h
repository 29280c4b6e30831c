/* The selective state-space scan, and the block built on it (Mamba).
 *
 * Source: Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023 (algorithm 2, section
 * 3.3), with the exponential discretisation of A and the simplified one of B that its implementation uses:
 *
 *     A = -exp(a_log) < 0        dt = softplus(delta + delta_bias), or delta + delta_bias where softplus is 0
 *     h_t[n][c] = exp(dt_t[c] A[c][n]) h_{t-1}[n][c] + dt_t[c] B_t[n] x_t[c]
 *     y_t[c]    = (sum_n C_t[n] h_t[n][c] + skip[c] x_t[c]) * silu(gate_t[c])
 *
 * A is negative by construction, so with dt >= 0 no state can grow by itself. All arrays are float32; NaN spreads
 * within its channel and, through B and C, to all channels of its batch entry, never to another one.
 * A step is the same function with length 1, so decoding and the pass over a sequence agree.
 */
#ifndef GANGLION_KERNELS_SCAN_H
#define GANGLION_KERNELS_SCAN_H
#include "ganglion/kernels/base.h"

// <cdef>
/* Bytes of scratch for gn_selective_scan; SIZE_MAX when the sizes overflow. */
size_t gn_scan_scratch(size_t channels, size_t states);

/* out[batch][length][channels]
 *   x, delta     [batch][length][channels]
 *   a_log        [channels][states]
 *   b, c         [batch][length][states]
 *   skip         [channels], or NULL: 0
 *   gate         [batch][length][channels], or NULL: 1
 *   delta_bias   [channels], or NULL: 0
 *   state        [batch][states][channels]: read and written; NULL: begins at 0 and is not kept
 * GN_K_NULL, GN_K_SIZE, GN_K_OVERLAP (out or state with anything else). */
int gn_selective_scan(const float *x, const float *delta, const float *a_log, const float *b, const float *c,
                      const float *skip, const float *gate, const float *delta_bias, int softplus, size_t batch,
                      size_t length, size_t channels, size_t states, float *state, float *out, void *scratch,
                      gn_pool *pool);

/* Causal depthwise convolution, then silu where `silu` is not 0:
 *     out_t[c] = bias[c] + sum_k weight[k][c] x_{t - width + 1 + k}[c]
 * x, out [batch][length][channels]; weight[width][channels], width >= 1 (weight[width-1] meets the present token);
 * bias[channels] or NULL: 0; state[batch][width-1][channels], the tokens before (oldest first): read and written, or
 * NULL: zeros, not kept. GN_K_NULL, GN_K_SIZE, GN_K_OVERLAP. */
int gn_causal_conv(const float *x, const float *weight, const float *bias, int silu, size_t batch, size_t length,
                   size_t channels, size_t width, float *state, float *out, gn_pool *pool);

/* The weights of a Mamba block. All are the caller's and stay unchanged. inner = channels of the scan. */
struct gn_mamba {
    size_t dim, inner, states, rank, width; /* all >= 1 */
    const float *in;         /* [2 * inner][dim]: x, then gate */
    const float *conv;       /* [width][inner] */
    const float *conv_bias;  /* [inner] or NULL */
    const float *select;     /* [rank + 2 * states][inner]: delta's low rank part, then B, then C */
    const float *delta;      /* [inner][rank] */
    const float *delta_bias; /* [inner] or NULL */
    const float *a_log;      /* [inner][states] */
    const float *skip;       /* [inner] or NULL */
    const float *out;        /* [dim][inner] */
};

/* Floats of one sequence's state: (width - 1 + states) * inner; SIZE_MAX when that overflows. Zeros to begin with. */
size_t gn_mamba_state(const struct gn_mamba *block);

/* Bytes of scratch for gn_mamba_forward; SIZE_MAX when the sizes overflow. */
size_t gn_mamba_scratch(const struct gn_mamba *block, size_t batch, size_t length, int threads);

/* out[batch][length][dim] from x[batch][length][dim]; state[batch][gn_mamba_state()] is read and written, or NULL:
 * begins at 0 and is not kept. Length 1 is the step of decoding. GN_K_NULL, GN_K_SIZE, GN_K_OVERLAP. */
int gn_mamba_forward(const struct gn_mamba *block, const float *x, size_t batch, size_t length, float *state,
                     float *out, void *scratch, gn_pool *pool);
// </cdef>
#endif
