/* Adaptation: associations made at once (BTSP), learning by eligibility traces (e-prop), low-rank adapters (MicroLoRA)
 * that elastic weight consolidation holds to what they knew, the record of what was done, and the nearest pattern in it.
 *
 * float32 arrays, dense and row-major. Sums are float32 unless said. Results do not depend on the number of threads.
 */
#ifndef GANGLION_KERNELS_ADAPTATION_H
#define GANGLION_KERNELS_ADAPTATION_H
#include "ganglion/kernels/base.h"

// <cdef>
/* Behavioural time scale plasticity: inputs leave traces of seconds; a plateau associates what the traces hold with a
 * target, in one shot. After Bittner et al., Science 357 (2017) and Milstein et al., eLife 10 (2021); the amount is the
 * normalised delta rule (Widrow, Hoff 1960), so that one plateau at rate 1 recalls its target, whatever it is. */

/* trace[n] = decay * trace + x; decay is exp(-dt / tau), in 0..1 (GN_K_VALUE). */
int gn_btsp_step(float *trace, const float *x, size_t n, float decay);

/* out[m] = weights[m][n] . x[n] */
int gn_btsp_recall(const float *weights, size_t m, size_t n, const float *x, float *out, gn_pool *pool);

/* weights[j] += rate * (targets[j] - weights[j] . trace) / |trace|^2 * trace for each j with plateau[j] != 0 (all of them
 * when plateau is NULL). Weights have no bounds. A trace of zeros changes nothing. rate in 0..1 (GN_K_VALUE). */
int gn_btsp_plateau(float *weights, size_t m, size_t n, const float *trace, const float *targets,
                    const uint8_t *plateau, float rate, gn_pool *pool);

/* E-prop: learning in spiking networks without going back in time (Bellec et al., Nature Communications 11, 2020).
 * Leaky integrate-and-fire units; 12 bytes a synapse: weight, filtered eligibility, gradient. */
typedef struct gn_eprop_rule {
    float membrane;   /* alpha = exp(-dt / tau_m), 0..1: what remains of (v - rest) after a step */
    float filter;     /* kappa, 0..1: the low-pass filter of the eligibilities, the readout's own decay */
    float rest;       /* where the membrane stays without input */
    float threshold;  /* above rest */
    float dampening;  /* gamma of the surrogate derivative, >= 0; the paper uses 0.3 */
} gn_eprop_rule;

/* One time step of m units on n inputs, in one pass over the synapses:
 *     gradient[j][i]    += signal[j] * eligibility[j][i]                           (signal: of the step before; NULL: none)
 *     v[j]               = rest + membrane * (v[j] - rest) - (threshold - rest) * spikes[j] + weights[j] . x
 *     spikes[j]          = v[j] >= threshold
 *     psi                = dampening * max(0, 1 - |v[j] - threshold| / (threshold - rest)) / (threshold - rest)
 *     input_trace[i]     = membrane * input_trace[i] + x[i]
 *     eligibility[j][i]  = filter * eligibility[j][i] + psi * input_trace[i]
 * The learning signal of a step is known after its spikes, so it is given to the next call; a last call of
 * gn_eprop_flush takes the last one. Recurrent synapses are inputs whose x are the spikes of the step before. */
int gn_eprop_step(const gn_eprop_rule *rule, size_t m, size_t n, const float *weights, float *eligibility,
                  float *gradient, const float *x, float *input_trace, const float *signal, float *v, float *spikes,
                  gn_pool *pool);
/* gradient += signal * eligibility, as the first line above. */
int gn_eprop_flush(size_t m, size_t n, const float *eligibility, float *gradient, const float *signal, gn_pool *pool);
/* weights -= rate * gradient; gradient = 0. count is m * n. */
int gn_eprop_apply(float *weights, float *gradient, size_t count, float rate);

/* MicroLoRA: y = base + scale * up^T (down x), base x itself when NULL (Hu et al., LoRA, 2021). down[rank][d_in] is A,
 * up[rank][d_out] is B transposed, so that both are read in rows. Any rank and size. */

/* x[n][d_in], base and out [n][d_out]; out may be base, or x when base is NULL. base NULL wants d_in = d_out (GN_K_SIZE). */
int gn_lora_forward(const float *x, size_t n, size_t d_in, size_t d_out, size_t rank, const float *down,
                    const float *up, float scale, const float *base, float *out, gn_pool *pool);
/* The same for an adapter that is kept: out = x + scale * up^T (down x), on the calling thread; d_in = d_out (GN_K_SIZE). */
typedef struct gn_lora {
    size_t d_in, d_out, rank;
    const float *down, *up;
    float scale;
} gn_lora;
int gn_lora_apply(const gn_lora *adapter, const float *x, size_t n, float *out);
size_t gn_lora_scratch(size_t n, size_t rank);
/* Adds the gradients of a loss whose gradient by y is grad[n][d_out]: d_down[rank][d_in] += scale * (up grad) x^T,
 * d_up[rank][d_out] += scale * (down x) grad^T, summed over the n rows. grad_x[n][d_in], if not NULL, is
 * grad (only if identity != 0 and d_in = d_out) + scale * down^T (up grad). */
int gn_lora_gradient(const float *x, const float *grad, size_t n, size_t d_in, size_t d_out, size_t rank,
                     const float *down, const float *up, float scale, float *d_down, float *d_up, int identity,
                     float *grad_x, void *scratch);
/* The same gradient, applied: down -= rate * d_down, up -= rate * d_up, both from the weights before. */
int gn_lora_learn(const float *x, const float *grad, size_t n, size_t d_in, size_t d_out, size_t rank, float *down,
                  float *up, float scale, float rate, void *scratch);

/* Elastic weight consolidation (Kirkpatrick et al., PNAS 114, 2017; the running form: Schwarz et al., ICML 2018). */

/* fisher[n] = keep * fisher + (1 - keep) * gradient^2, the diagonal of the Fisher information. keep in 0..1. */
int gn_ewc_fisher(float *fisher, const float *gradient, size_t n, float keep);
/* *out = strength / 2 * sum fisher * (parameters - anchor)^2, summed in float64. */
int gn_ewc_penalty(const float *parameters, const float *anchor, const float *fisher, size_t n, float strength,
                   double *out);
/* parameters -= rate * (gradient + strength * fisher * (parameters - anchor)); gradient NULL: the penalty alone. */
int gn_ewc_step(float *parameters, const float *gradient, const float *anchor, const float *fisher, size_t n, float rate,
                float strength);

/* A ring of records that one writer fills and any number of threads or processes read without a lock: each record stands
 * under a sequence lock, so that what is read is whole or refused (Boehm, "Can seqlocks get along with programming
 * language memory models?", MSPC 2012). The memory is the caller's and may be shared; it begins on 8 bytes. */
size_t gn_ring_bytes(size_t slots, size_t record_bytes); /* 0: a size is 0, or they overflow */
int gn_ring_init(void *ring, size_t bytes, size_t slots, size_t record_bytes);
/* What another made: GN_K_FORMAT when it is not a ring of this version that fits in `bytes`. */
int gn_ring_check(const void *ring, size_t bytes, size_t *slots, size_t *record_bytes);
/* Only one thread at a time writes. *number, if not NULL, is the record's: 0, 1, 2... */
int gn_ring_push(void *ring, size_t bytes, const void *record, size_t record_bytes, uint64_t *number);
/* How many records were ever pushed: the youngest is one less. */
int gn_ring_count(const void *ring, size_t bytes, uint64_t *count);
/* Record `number` into out. GN_K_VALUE: not written yet, or written over (also while it was read). */
int gn_ring_read(const void *ring, size_t bytes, uint64_t number, void *out, size_t record_bytes);

/* Patterns: unit vectors, the nearest by cosine. The bank is the caller's arrays; a vacant place has born = 0. */
typedef struct gn_patterns {
    size_t capacity, dim;
    size_t count;     /* places in use: 0..count - 1 */
    uint64_t clock;   /* of the last addition */
    float *vectors;   /* [capacity][dim], each of length 1 */
    float *quality;   /* [capacity], >= 0 */
    uint32_t *uses;   /* [capacity]: how often gn_patterns_use named it */
    uint64_t *born;   /* [capacity]: the clock when it came */
} gn_patterns;

/* Adds vector[dim], normalised, in a vacant place, or, when there is none, in that of the pattern of least worth:
 * quality * (1 + ln(1 + uses)); of equals the oldest. *place, if not NULL, says where. GN_K_VALUE: a vector that is not
 * finite or has no length, a quality that is negative or not finite. */
int gn_patterns_add(gn_patterns *bank, const float *vector, float quality, size_t *place);
/* A pattern helped: one use more, and quality moves by `rate` (0..1) towards `reward` (>= 0). GN_K_VALUE: no such place. */
int gn_patterns_use(gn_patterns *bank, size_t place, float reward, float rate);
size_t gn_patterns_scratch(size_t count, size_t dim);
/* The k <= count places nearest to query[dim] and their cosines, best first, ties to the lowest place. GN_K_VALUE: a query
 * that is not finite or has no length. A stored vector that holds NaN comes last. */
int gn_patterns_search(const gn_patterns *bank, const float *query, size_t k, uint32_t *place, float *cosine,
                       void *scratch, gn_pool *pool);
// </cdef>
#endif
