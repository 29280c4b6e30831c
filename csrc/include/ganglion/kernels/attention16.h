/* Scaled dot-product attention on bfloat16 and float16, and on float by three bfloat16 products ("f32x3").
 *
 * The same operation as gn_sdpa of attention.h: its struct of sizes, mask, bias, causal rule, rows of zeros and NaN.
 * Sums, maxima and softmax are float; what differs is how q.k and the weighted sum of v multiply:
 *
 *     bf16    genoa: VDPBF16PS; sapphire: AMX tiles. Weights are rounded to bfloat16 before they meet v, subnormal
 *             bfloat16 count as zero. Other levels: as f16.
 *     f16     converted to float once, then gn_sdpa; its result is rounded.
 *     f32x3   sapphire: each float is the sum of two bfloat16, high and low; high high + high low + low high by tiles.
 *             An infinity in q or k makes NaN of the rows that see it. Other levels, and fewer than 256 keys: gn_sdpa
 *             itself, which is faster there and more accurate.
 *
 * Largest error against float64 for inputs of unit normal variates, n <= 2048, scale 1/sqrt(dim):
 * csrc/kernels/attention/HALVES.md, with how it was measured. Where a value is infinite or NaN, keys whose weight is
 * exactly zero keep it out of the row.
 */
#ifndef GANGLION_KERNELS_ATTENTION16_H
#define GANGLION_KERNELS_ATTENTION16_H
#include "ganglion/kernels/attention.h"

// <cdef>
enum gn_sdpa_type { GN_SDPA_BF16 = 0, GN_SDPA_F16 = 1, GN_SDPA_F32X3 = 2, GN_SDPA_TYPE_COUNT = 3 };

/* Bytes of scratch for that type, shape and number of threads, on any level; SIZE_MAX: too large, no such type. */
size_t gn_sdpa_typed_scratch(int type, const struct gn_sdpa *shape, int threads);

/* Whether the active level multiplies that type by units of its own (1), or as gn_sdpa does (0). */
int gn_sdpa_typed_native(int type);

/* gn_sdpa for uint16_t arrays q, k, v and out; mask and bias as there. Statuses as gn_sdpa's. */
int gn_sdpa_bf16(const struct gn_sdpa *shape, const uint16_t *q, const uint16_t *k, const uint16_t *v,
                 const uint8_t *mask, const float *bias, uint16_t *out, void *scratch, gn_pool *pool);
int gn_sdpa_f16(const struct gn_sdpa *shape, const uint16_t *q, const uint16_t *k, const uint16_t *v,
                const uint8_t *mask, const float *bias, uint16_t *out, void *scratch, gn_pool *pool);

/* gn_sdpa for floats, by three products where the level has tiles. Statuses as gn_sdpa's. */
int gn_sdpa_f32x3(const struct gn_sdpa *shape, const float *q, const float *k, const float *v, const uint8_t *mask,
                  const float *bias, float *out, void *scratch, gn_pool *pool);
// </cdef>
#endif
