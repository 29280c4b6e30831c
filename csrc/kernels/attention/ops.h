/* What a level of float32 attention offers: the state of a block of queries, and visits of key ranges. */
#ifndef GN_ATTENTION_OPS_H
#define GN_ATTENTION_OPS_H
#include "ganglion/kernels/attention.h"

/* Sizes every level keeps to, so that scratch does not depend on the level. */
enum {
    GN_SDPA_ROWS = 192,  /* most queries in a block */
    GN_SDPA_KEYS = 128,  /* keys of one visit; they begin at multiples of it, so that sums do not depend on the block */
    GN_SDPA_ROW_KEYS = 512,  /* the same for queries done one by one */
    GN_SDPA_LANES = 64   /* most queries in a panel */
};

#define GN_SDPA_NO_WINDOW ((size_t)-1)

/* One head's block of queries: all the pointers are at its first row. */
struct gn_sdpa_block {
    const float *q, *k, *v, *bias;
    const uint8_t *mask;
    float *out;
    size_t q_row, k_row, v_row, out_row, mask_row, bias_row; /* elements from row to row */
    size_t rows, keys, dim, value_dim;
    ptrdiff_t position; /* of row 0 among the keys; may be negative */
    float scale;
    int causal;
    float *scratch;
};

struct gn_attention_ops {
    void (*begin)(const struct gn_sdpa_block *block);
    /* Keys begin..end-1, of which a row at position p sees those within p - window..p + window. */
    void (*visit)(const struct gn_sdpa_block *block, size_t begin, size_t end, size_t window);
    void (*finish)(const struct gn_sdpa_block *block);
};

extern const struct gn_attention_ops gn_attention_serial, gn_attention_haswell, gn_attention_skylake,
    gn_attention_neon;
#endif
