/* Scaled dot-product attention in float32: softmax(scale q k^T + bias) v, tiled, with memory O(n) ("flash").
 *
 * One loop is behind everything here: key blocks are visited one after another, each row keeps a running maximum, sum
 * and weighted sum (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax", algorithm 3; Rabe and
 * Staats 2021; Dao et al. 2022, FlashAttention, algorithm 1). What differs is which key blocks a query visits.
 *
 * Positions: query i stands at position i + keys - queries among the keys: the last query at the last key. That is
 * what `causal` and windows are measured from, so one query after a long prefix sees all of it.
 *
 * What a query may not see contributes nothing, whatever its key and value hold (NaN and infinities too). A row that
 * sees no key, or whose scores are all -infinity, is zeros. A NaN or +infinity among the scores a row sees makes that
 * row NaN, as softmax has it.
 *
 * Accuracy, against float64: see csrc/kernels/attention/README.md.
 */
#ifndef GANGLION_KERNELS_ATTENTION_H
#define GANGLION_KERNELS_ATTENTION_H
#include "ganglion/kernels/base.h"

// <cdef>
struct gn_sdpa {
    size_t batch, heads, kv_heads;   /* kv_heads divides heads: head h reads kv head h / (heads / kv_heads) */
    size_t queries, keys, dim, value_dim;
    /* Distances in elements between batches, heads and rows; within a row elements are adjacent. 0 repeats an input.
     * gn_sdpa_dense sets those of q, k, v and out for dense [batch][heads][rows][dim]. */
    size_t q_strides[3], k_strides[3], v_strides[3], out_strides[3];
    size_t mask_strides[3], bias_strides[3];
    float scale;                     /* of q.k, finite; 1/sqrt(dim) as a rule */
    int causal;                      /* not 0: a query sees keys up to its own position */
};

void gn_sdpa_dense(struct gn_sdpa *shape); /* from the sizes; sets mask_strides and bias_strides to 0 */

/* Bytes for any of the functions below with that shape on that many threads (gn_pool_threads); SIZE_MAX: too large. */
size_t gn_sdpa_scratch(const struct gn_sdpa *shape, int threads);

/* out[b,h,i,:] = sum_j softmax_j(scale q[b,h,i,:].k[b,g,j,:] + bias[b,h,i,j]) v[b,g,j,:].
 *
 * mask: bytes [b,h,i,j], not 0 = may see, or NULL. bias: floats [b,h,i,j], or NULL. Statuses: GN_K_NULL (an array with
 * elements is missing, or scratch), GN_K_SIZE (kv_heads does not divide heads, sizes overflow, out's rows overlap),
 * GN_K_VALUE (scale is not finite), GN_K_OVERLAP (out with an input). */
int gn_sdpa(const struct gn_sdpa *shape, const float *q, const float *k, const float *v, const uint8_t *mask,
            const float *bias, float *out, void *scratch, gn_pool *pool);

/* Local and global attention (Beltagy et al. 2020, Longformer, section 3.1): a query at position p sees keys
 * p - window..p + window and keys 0..globals-1; a query at a position below `globals` sees all keys. `causal` holds
 * besides. Work is O(queries * (window + globals)). Statuses as gn_sdpa's. */
int gn_sdpa_local(const struct gn_sdpa *shape, size_t window, size_t globals, const float *q, const float *k,
                  const float *v, const uint8_t *mask, const float *bias, float *out, void *scratch, gn_pool *pool);

/* Block-sparse attention (Child et al. 2019; Zaheer et al. 2020, BigBird): rows of `block` queries see key blocks of
 * `block` keys. Query block r sees columns[starts[r]..starts[r+1]), ascending, each below ceil(keys / block); starts
 * has ceil(queries / block) + 1 entries, from 0, not falling. All heads share the layout. Statuses as gn_sdpa's, and
 * GN_K_SIZE (block is 0), GN_K_VALUE (a start falls, a column is out of range or out of order). */
int gn_sdpa_blocks(const struct gn_sdpa *shape, size_t block, const uint32_t *starts, const uint32_t *columns,
                   const float *q, const float *k, const float *v, const uint8_t *mask, const float *bias, float *out,
                   void *scratch, gn_pool *pool);

/* A layout of `blocks` rows and columns in the manner of BigBird (Zaheer et al. 2020, section 2): row r sees columns
 * r - window..r + window, the first `globals` columns, and `randoms` further ones chosen by `seed` without repetition
 * (all that are left, if fewer); the first `globals` rows see all. starts has blocks + 1 entries; columns may be NULL:
 * then only starts is written, and starts[blocks] is how many columns there are. blocks <= 65535, else GN_K_SIZE. */
int gn_bigbird_layout(size_t blocks, size_t window, size_t globals, size_t randoms, uint64_t seed, uint32_t *starts,
                      uint32_t *columns);
// </cdef>
#endif
