/* The adaptation's loops: AVX-512. */
#include "base/isa.h"
#ifdef GN_X86
#include "simd/skylake.h"

#include "adaptation/ops.h"

#include "adaptation/adaptation_body.h"

/* Four accumulators to one register: block j of four lanes holds the partial sums of accumulator j. */
SIMD vf lora_fold(vf s, vf t, vf u, vf v)
{
    vf a = _mm512_add_ps(_mm512_shuffle_f32x4(s, t, 0x44), _mm512_shuffle_f32x4(s, t, 0xee));
    vf b = _mm512_add_ps(_mm512_shuffle_f32x4(u, v, 0x44), _mm512_shuffle_f32x4(u, v, 0xee));
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

/* Eight rows at once, added in the order of vf_sum. */
SIMD void lora_sums(const vf *s, size_t rows, float scale, float *even, float *odd)
{
    vf a, b, c, e, by = vf_set1(scale), sums;
    if (rows != 8) {
        for (size_t r = 0; r < rows; r++) {
            even[r] = vf_sum(s[2 * r]) * scale;
            odd[r] = vf_sum(s[2 * r + 1]) * scale;
        }
        return;
    }
    a = lora_fold(s[0], s[2], s[4], s[6]);
    b = lora_fold(s[8], s[10], s[12], s[14]);
    c = lora_fold(s[1], s[3], s[5], s[7]);
    e = lora_fold(s[9], s[11], s[13], s[15]);
    a = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    c = _mm512_add_ps(_mm512_unpacklo_ps(c, e), _mm512_unpackhi_ps(c, e));
    /* lanes of a block now: a0+a2 b0+b2 a1+a3 b1+b3, and the same of c and e */
    sums = _mm512_add_ps(_mm512_shuffle_ps(a, c, 0x44), _mm512_shuffle_ps(a, c, 0xee));
    sums = vf_mul(by, _mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), sums));
    _mm256_storeu_ps(even, _mm512_castps512_ps256(sums));
    _mm256_storeu_ps(odd, _mm512_extractf32x8_ps(sums, 1));
}
#define LORA_SUMS
#define LORA_SIDE 8

#include "adaptation/lora_body.h"

const struct gn_adaptation_ops SIMD_NAME(gn_adaptation) = ADAPTATION_TABLE;
#include "simd/end.h"
#endif
