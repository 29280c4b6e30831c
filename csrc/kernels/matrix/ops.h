/* What a level offers to matrix products; other families with products inside (distances) may call it too. */
#ifndef GN_KERNELS_MATRIX_OPS_H
#define GN_KERNELS_MATRIX_OPS_H
#include "base/isa.h"

/* A panel holds `width` rows of an operand column by column: panel[p * width + r], rows that are missing zero.
 * Panels lie one after another; the last store of a packing may write up to GN_PANEL_SLACK floats behind the last. */
enum { GN_ROWS_BLOCK = 168, GN_COLUMNS_BLOCK = 768, GN_PANEL_SLACK = 16, GN_FEW_ROWS = 8 };

typedef void gn_tile_fn(const float *a, size_t rows, const float *b, size_t columns, size_t k, float *c, size_t stride,
                        int add);

struct gn_matrix_ops {
    size_t rows, columns; /* width of a panel of a, of b */
    /* Rows r of from, at from + r * stride, into panels of `width`. */
    void (*pack_rows)(const float *from, size_t stride, size_t rows, size_t k, float *to, size_t width);
    /* Columns of from[k, ...], whose rows are `stride` apart, into panels of ops->columns. */
    void (*pack_columns)(const float *from, size_t stride, size_t columns, size_t k, float *to);
    /* c[i * stride + j] = (add ? c : 0) + sum over p of a and b, both packed. */
    gn_tile_fn *tile;
    gn_tile_fn *tile_apart; /* sums of (a_p - b_p)^2 */
    /* At most GN_FEW_ROWS rows of a, nothing packed. */
    void (*few_nt)(const float *a, size_t m, const float *b, size_t n, size_t k, float *c, size_t stride);
    void (*few_nn)(const float *a, size_t m, const float *b, size_t stride, size_t n, size_t k, float *c);
};

extern const struct gn_matrix_ops gn_matrix_serial, gn_matrix_haswell, gn_matrix_skylake, gn_matrix_neon;
#endif
