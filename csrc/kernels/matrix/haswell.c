/* Matrix products on AVX2: 6 x 16 sums in 12 registers, 2 for b, 1 for an element of a. */
#if defined(__x86_64__)
#include "matrix/ops.h"
#include "simd/haswell.h"

enum { TILE_ROWS = 6 };
#define BLOCKS(X) X(1) X(2) X(3) X(4) X(5) X(6)

SIMD void pairs(const vf r[8], vf t[8])
{
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
}

SIMD void transpose_store(const float *from, size_t stride, size_t rows, size_t n, float *to, size_t width)
{
    vf r[8], t[8], q[8];
    for (size_t i = 0; i < 8; i++)
        r[i] = i >= rows ? vf_zero() : n >= 8 ? vf_load(from + i * stride) : vf_load_n(from + i * stride, n);
    pairs(r, t);
    for (int i = 0; i < 8; i += 4) {
        q[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        q[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        q[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        q[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(q[i], q[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(q[i], q[i + 4], 0x31);
    }
    for (size_t p = 0; p < 8; p++)
        if (p < n)
            vf_store(to + p * width, t[p]);
}

#include "matrix/few_body.h"
#include "matrix/tile_body.h"

const struct gn_matrix_ops SIMD_NAME(gn_matrix) = {
    TILE_ROWS, TILE_COLUMNS, pack_rows, pack_columns, tile, tile_apart, few_nt, few_nn};
#include "simd/end.h"
#endif
