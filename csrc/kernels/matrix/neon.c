/* Matrix products on Advanced SIMD: 12 x 8 sums in 24 registers. */
#if defined(__aarch64__)
#include "matrix/ops.h"
#include "simd/neon.h"

enum { TILE_ROWS = 12 };
#define BLOCKS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

SIMD void transpose_store(const float *from, size_t stride, size_t rows, size_t n, float *to, size_t width)
{
    vf r[4];
    for (size_t i = 0; i < 4; i++)
        r[i] = i >= rows ? vf_zero() : n >= 4 ? vf_load(from + i * stride) : vf_load_n(from + i * stride, n);
    float32x4x2_t low = vtrnq_f32(r[0], r[1]), high = vtrnq_f32(r[2], r[3]);
    vf t[4] = {vcombine_f32(vget_low_f32(low.val[0]), vget_low_f32(high.val[0])),
               vcombine_f32(vget_low_f32(low.val[1]), vget_low_f32(high.val[1])),
               vcombine_f32(vget_high_f32(low.val[0]), vget_high_f32(high.val[0])),
               vcombine_f32(vget_high_f32(low.val[1]), vget_high_f32(high.val[1]))};
    for (size_t p = 0; p < n; p++)
        vf_store(to + p * width, t[p]);
}

#include "matrix/few_body.h"
#include "matrix/tile_body.h"

const struct gn_matrix_ops SIMD_NAME(gn_matrix) = {
    TILE_ROWS, TILE_COLUMNS, pack_rows, pack_columns, tile, tile_apart, few_nt, few_nn};
#include "simd/end.h"
#endif
