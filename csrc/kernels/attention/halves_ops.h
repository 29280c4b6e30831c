/* Attention on bfloat16 units: what a level that has such units (genoa, sapphire) offers to halves.c.
 *
 * K and V of each key-value head are packed once, then read by every query of its group:
 *   K  panels of 16 keys, each [padded dim / 2][16 keys][2]: row i holds elements 2i and 2i + 1 of the 16 keys
 *   V  [padded keys / 2][padded value dim][2]: row i holds keys 2i and 2i + 1 of each column
 * which is the operand B of both VDPBF16PS (a row is one or more registers) and TDPBF16PS (16 rows are a tile). With
 * three products (f32x3) an array is two planes, the high and the low bfloat16 of each float, the low one behind.
 * Padding is zero.
 */
#ifndef GN_ATTENTION_HALVES_OPS_H
#define GN_ATTENTION_HALVES_OPS_H
#include "ganglion/kernels/attention.h"

enum { GN_HALVES_PAD = 32 }; /* keys and both dims are padded to multiples of this */

/* One problem, checked. */
struct gn_halves_job {
    const struct gn_sdpa *is;
    const void *q, *k, *v; /* planes 1: bfloat16; 2: float. out is of the same type */
    void *out;
    const uint8_t *mask;
    const float *bias;
    int planes;
    size_t keys_padded, dim_padded, value_padded;
    uint16_t *packed_k, *packed_v; /* of all batch * kv_heads */
    uint8_t *odd;                  /* for each of those heads and each 32 keys: 1 if a value there is not finite */
    char *work;                    /* of the worker w: work + w * work_bytes */
    size_t work_bytes;
};

struct gn_halves_ops {
    size_t block_rows;                                     /* queries of one part of the work */
    size_t (*work_bytes)(const struct gn_halves_job *job); /* of one worker, a multiple of 64 */
    /* keys [first, first + 32) of key-value head `head` of batch * kv_heads; first is a multiple of 32 */
    void (*pack)(const struct gn_halves_job *job, size_t head, size_t first);
    /* queries [first, first + rows) of head `head` of batch * heads, rows <= block_rows */
    void (*block)(const struct gn_halves_job *job, size_t head, size_t first, size_t rows, char *work);
};

#if defined(__x86_64__)
extern const struct gn_halves_ops gn_halves_genoa, gn_halves_sapphire;
#endif
#endif
