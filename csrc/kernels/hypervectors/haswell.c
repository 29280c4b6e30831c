/* AVX2 has no count of bits: sixteen nibbles at a time by shuffle (Mula, Kurz, Lemire, "Faster population counts using
 * AVX2 instructions", Computer Journal 61, 2018), kept in bytes for up to 31 vectors of at most 8 each. */
#include "base/isa.h"
#ifdef GN_X86
#include "simd/haswell.h"

#include "hypervectors/ops.h"

enum { HB = 32, HP_MAX = 31 };
typedef __m256i hb, hp, hc;

SIMD hb hb_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
SIMD hb hb_load_n(const uint8_t *p, size_t bytes)
{
    uint8_t whole[32] = {0};
    if (bytes == HB)
        return hb_load(p);
    memcpy(whole, p, bytes);
    return hb_load(whole);
}
SIMD void hb_store(uint8_t *p, hb v) { _mm256_storeu_si256((__m256i *)p, v); }
SIMD void hb_store_n(uint8_t *p, hb v, size_t bytes)
{
    uint8_t whole[32];
    if (bytes == HB) {
        hb_store(p, v);
        return;
    }
    hb_store(whole, v);
    memcpy(p, whole, bytes);
}
SIMD hb hb_zero(void) { return _mm256_setzero_si256(); }
SIMD hb hb_ones(void) { return _mm256_set1_epi8(-1); }
SIMD hb hb_xor(hb a, hb b) { return _mm256_xor_si256(a, b); }
SIMD hb hb_and(hb a, hb b) { return _mm256_and_si256(a, b); }
SIMD hb hb_or(hb a, hb b) { return _mm256_or_si256(a, b); }
SIMD hb hb_andnot(hb a, hb b) { return _mm256_andnot_si256(a, b); }
SIMD hb hb_sum3(hb a, hb b, hb c) { return hb_xor(hb_xor(a, b), c); }
SIMD hb hb_maj3(hb a, hb b, hb c) { return hb_or(hb_and(a, b), hb_and(c, hb_xor(a, b))); }
SIMD hp hp_zero(void) { return _mm256_setzero_si256(); }
SIMD hp hp_add(hp sum, hb v)
{
    const __m256i nibbles = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1,
                                             2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15);
    hp a = _mm256_shuffle_epi8(nibbles, hb_and(v, low));
    hp b = _mm256_shuffle_epi8(nibbles, hb_and(_mm256_srli_epi16(v, 4), low));
    return _mm256_add_epi8(sum, _mm256_add_epi8(a, b));
}
SIMD hc hc_zero(void) { return _mm256_setzero_si256(); }
SIMD hc hc_add(hc a, hp b) { return _mm256_add_epi64(a, _mm256_sad_epu8(b, _mm256_setzero_si256())); }
SIMD uint32_t hc_total(hc a)
{
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    return (uint32_t)_mm_cvtsi128_si64(_mm_add_epi64(half, _mm_unpackhi_epi64(half, half)));
}

#include "hypervectors/popcount_body.h"

#include "hypervectors/bundle_body.h"

const struct gn_hypervectors_ops SIMD_NAME(gn_hypervectors) = HV_TABLE;
#include "simd/end.h"
#endif
