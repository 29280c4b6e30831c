/* What a level offers to linear attention, and the layout of what passes between. */
#ifndef GN_KERNELS_LINEAR_OPS_H
#define GN_KERNELS_LINEAR_OPS_H
#include "base/isa.h"

/* GN_LINEAR_CHUNK rows are worked on at a time: their features stay in the second cache. GN_LINEAR_PANEL is the widest
 * panel of any level, in floats; a row of features is that much padded, and 16 floats more against cache conflicts. */
enum { GN_LINEAR_CHUNK = 48, GN_LINEAR_PANEL = 64, GN_LINEAR_PAD = 16 };

/* One head's work. packed is the projection by gn_linear_ops.pack; half is scale / 2 * log2 e. */
struct gn_linear_shape {
    size_t dim, value_dim, features, row; /* row: floats from one row of features to the next */
    const float *packed;
    float half;
};

/* A head's running sums: sums[features][value_dim], total[features], most[features] (-infinity: nothing seen). */
struct gn_linear_sums {
    float *sums, *total, *most;
};

/* One thread's buffers: keys and queries [CHUNK][row], turned [features][CHUNK], scores [CHUNK][CHUNK], and
 * after[features]. turned and scores are for the causal form only. */
struct gn_linear_work {
    float *keys, *queries, *turned, *scores, *after;
};

struct gn_linear_ops {
    /* packed: panels of columns of root * projection^T, [panel][dim][width], missing columns zero. */
    void (*pack)(const float *projection, size_t features, size_t dim, float root, float *packed);
    /* Take `count` keys into the sums. */
    void (*learn)(const struct gn_linear_shape *shape, const float *keys, const float *values, size_t count,
                  const struct gn_linear_sums *sums, const struct gn_linear_work *work);
    /* out[rows][value_dim] from what the sums hold. */
    void (*answer)(const struct gn_linear_shape *shape, const float *queries, size_t rows,
                   const struct gn_linear_sums *sums, float *out, const struct gn_linear_work *work);
    /* Both, each row seeing what came before it and itself. */
    void (*follow)(const struct gn_linear_shape *shape, const float *queries, const float *keys, const float *values,
                   size_t length, const struct gn_linear_sums *sums, float *out, const struct gn_linear_work *work);
    /* into = into + from, as if into had seen what from has seen. */
    void (*merge)(const struct gn_linear_shape *shape, const struct gn_linear_sums *into,
                  const struct gn_linear_sums *from);
};

extern const struct gn_linear_ops gn_linear_serial, gn_linear_haswell, gn_linear_skylake, gn_linear_neon;
#endif
