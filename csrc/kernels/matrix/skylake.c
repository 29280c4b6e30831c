/* Matrix products on AVX-512: 14 x 32 sums in 28 registers, 2 for b, 1 or 2 for elements of a. */
#if defined(__x86_64__)
#include "matrix/ops.h"
#include "simd/skylake.h"

enum { TILE_ROWS = 14 };
#define BLOCKS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

/* Lanes of 4 floats are transposed within themselves, then their 4 x 4 arrangement. */
SIMD void transpose_store(const float *from, size_t stride, size_t rows, size_t n, float *to, size_t width)
{
    vf r[16], t[16];
SIMD_UNROLL
    for (size_t i = 0; i < 16; i++)
        r[i] = i < rows ? vf_load_n(from + i * stride, n) : vf_zero();
SIMD_UNROLL
    for (int i = 0; i < 16; i += 4) {
        vf a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        vf c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm512_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
SIMD_UNROLL
    for (int i = 0; i < 4; i++) {
        vf a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88), b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
        vf c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88), d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
        r[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        r[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        r[i + 12] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
SIMD_UNROLL
    for (size_t p = 0; p < 16; p++)
        if (p < n)
            vf_store(to + p * width, r[p]);
}

#include "matrix/few_body.h"
#include "matrix/tile_body.h"

const struct gn_matrix_ops SIMD_NAME(gn_matrix) = {
    TILE_ROWS, TILE_COLUMNS, pack_rows, pack_columns, tile, tile_apart, few_nt, few_nn};
#include "simd/end.h"
#endif
