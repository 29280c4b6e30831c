/* Distances on AVX2: int8 widened to 16 bits and multiplied by pairs (VPMADDWD). */
#include "base/isa.h"
#ifdef GN_X86
#include "distances/ops.h"
#include "simd/haswell.h"

enum { VD = 4, VH = 16, KEYS_COSINE = 4 };
typedef __m256d vd;
typedef __m256i vh, vs;

SIMD void fold(const vf *sums, int n, float *out)
{
    for (int j = 0; j < n; j++)
        out[j] = vf_sum(sums[j]);
}
SIMD vd vd_zero(void) { return _mm256_setzero_pd(); }
SIMD vd vd_load(const float *p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
SIMD vd vd_load_n(const float *p, size_t n)
{
    return _mm256_cvtps_pd(_mm_maskload_ps(p, _mm256_castsi256_si128(vi_first(n))));
}
SIMD vd vd_sub(vd a, vd b) { return _mm256_sub_pd(a, b); }
SIMD vd vd_fma(vd a, vd b, vd c) { return _mm256_fmadd_pd(a, b, c); }
#define OWN_FOLD64 1
SIMD vd fold_four(const vd *s)
{
    vd a = _mm256_hadd_pd(s[0], s[1]), b = _mm256_hadd_pd(s[2], s[3]);
    return _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
}
SIMD void fold64(const vd *sums, int n, double *out)
{
    vd one[4] = {sums[0], sums[0], sums[0], sums[0]};
    if (n == 1)
        *out = _mm256_cvtsd_f64(fold_four(one));
    else
        for (int j = 0; j < n; j += 4)
            _mm256_storeu_pd(out + j, fold_four(sums + j));
}
SIMD vh vh_load(const int8_t *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)p)); }
SIMD vh vh_load_n(const int8_t *p, size_t n)
{
    int8_t whole[16] = {0};
    memcpy(whole, p, n);
    return vh_load(whole);
}
SIMD vh vh_sub(vh a, vh b) { return _mm256_sub_epi16(a, b); }
SIMD vs vs_zero(void) { return _mm256_setzero_si256(); }
SIMD vs vs_add(vs sum, vh a, vh b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
SIMD uint32_t vs_sum(vs a)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

#include "distances/floats_body.h"

#include "distances/doubles_body.h"

#include "distances/bytes_body.h"

const struct gn_distances_ops SIMD_NAME(gn_distances) = DISTANCES_TABLE;
#include "simd/end.h"
#endif
