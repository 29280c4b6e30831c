/* The vector layer on AVX-512 (F, BW, DQ, VL, VNNI, VPOPCNTDQ): 16 lanes, tails by mask registers.
 *
 * The name is the family's: the first processors with VPOPCNTDQ beside these are Ice Lake and Zen 4, and a Skylake-X
 * without it runs the haswell level.
 */
#ifndef GN_SIMD_SKYLAKE_H
#define GN_SIMD_SKYLAKE_H
#include "simd/simd.h"
#ifdef SIMD_GENOA
#define SIMD_TARGET_512 "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq,avx512bf16,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"
#else
#define SIMD_TARGET_512 "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq,avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"
#define SIMD_NAME(stem) stem##_skylake
#endif
#define SIMD_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define SIMD_TARGET_PUSHED 1
#define SIMD_TARGET(list) SIMD_PRAGMA(clang attribute push(__attribute__((target(list))), apply_to = function))
#else
#define SIMD_TARGET(list) SIMD_PRAGMA(GCC target(list))
#endif
#include <immintrin.h>
SIMD_TARGET(SIMD_TARGET_512)
#define SIMD_SKYLAKE 1

enum { VL = 16 };
typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;

SIMD vm vm_first(size_t n) { return (vm)((1u << n) - 1u); }
SIMD vm vm_and(vm a, vm b) { return (vm)(a & b); }
SIMD vm vm_or(vm a, vm b) { return (vm)(a | b); }
SIMD vm vm_not(vm a) { return (vm)~a; }
SIMD int vm_any(vm a) { return a != 0; }
SIMD unsigned vm_bits(vm a) { return a; }

SIMD vf vf_zero(void) { return _mm512_setzero_ps(); }
SIMD vf vf_set1(float x) { return _mm512_set1_ps(x); }
SIMD vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
SIMD vf vf_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(vm_first(n), p); }
SIMD vf vf_load_or(const float *p, size_t n, float x) { return _mm512_mask_loadu_ps(_mm512_set1_ps(x), vm_first(n), p); }
SIMD void vf_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
SIMD void vf_store_n(float *p, vf v, size_t n) { _mm512_mask_storeu_ps(p, vm_first(n), v); }
SIMD vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
SIMD vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
SIMD vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
SIMD vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
SIMD vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
SIMD vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
SIMD vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
SIMD vf vf_abs(vf a) { return _mm512_abs_ps(a); }
SIMD vf vf_neg(vf a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
SIMD vf vf_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
SIMD vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
SIMD vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
SIMD vm vf_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
SIMD vm vf_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
SIMD vm vf_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
SIMD vm vf_isnan(vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
SIMD vf vf_pick(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
SIMD float vf_sum(vf v) { return _mm512_reduce_add_ps(v); }
SIMD float vf_hmax(vf v) { return _mm512_reduce_max_ps(v); }
SIMD float vf_hmin(vf v) { return _mm512_reduce_min_ps(v); }
SIMD vf vf_scale2(vf v, vf n) { return _mm512_scalef_ps(v, n); }

SIMD vi vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
SIMD vi vi_iota(void) { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
SIMD vi vi_load(const int32_t *p) { return _mm512_loadu_si512(p); }
SIMD void vi_store(int32_t *p, vi v) { _mm512_storeu_si512(p, v); }
SIMD vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
SIMD vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
SIMD vi vi_and(vi a, vi b) { return _mm512_and_si512(a, b); }
SIMD vi vi_or(vi a, vi b) { return _mm512_or_si512(a, b); }
SIMD vi vi_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
SIMD vi vi_shl(vi a, int k) { return _mm512_sll_epi32(a, _mm_cvtsi32_si128(k)); }
SIMD vi vi_shr(vi a, int k) { return _mm512_srl_epi32(a, _mm_cvtsi32_si128(k)); }
SIMD vi vi_round(vf a) { return _mm512_cvtps_epi32(a); }
SIMD vf vf_from(vi a) { return _mm512_cvtepi32_ps(a); }
SIMD vi vi_bits(vf a) { return _mm512_castps_si512(a); }
SIMD vf vf_bits(vi a) { return _mm512_castsi512_ps(a); }
SIMD vf vf_gather(const float *p, vi i) { return _mm512_i32gather_ps(i, p, 4); }

SIMD vf vf_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
SIMD vf vf_load_f16_n(const uint16_t *p, size_t n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(vm_first(n), p)); }
SIMD __m256i vf_as_f16(vf v) { return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
SIMD void vf_store_f16(uint16_t *p, vf v) { _mm256_storeu_si256((__m256i *)p, vf_as_f16(v)); }
SIMD void vf_store_f16_n(uint16_t *p, vf v, size_t n) { _mm256_mask_storeu_epi16(p, vm_first(n), vf_as_f16(v)); }
SIMD vf vf_from_bf16(__m256i v) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16)); }
SIMD vf vf_load_bf16(const uint16_t *p) { return vf_from_bf16(_mm256_loadu_si256((const __m256i *)p)); }
SIMD vf vf_load_bf16_n(const uint16_t *p, size_t n) { return vf_from_bf16(_mm256_maskz_loadu_epi16(vm_first(n), p)); }
SIMD __m256i vf_as_bf16(vf v)
{
    vi bits = vi_bits(v), odd = vi_and(_mm512_srli_epi32(bits, 16), vi_set1(1));
    vi up = _mm512_srli_epi32(vi_add(bits, vi_add(odd, vi_set1(0x7fff))), 16);
    vi nan = vi_or(_mm512_srli_epi32(bits, 16), vi_set1(0x40));
    return _mm512_cvtepi32_epi16(_mm512_mask_blend_epi32(vf_isnan(v), up, nan));
}
SIMD void vf_store_bf16(uint16_t *p, vf v) { _mm256_storeu_si256((__m256i *)p, vf_as_bf16(v)); }
SIMD void vf_store_bf16_n(uint16_t *p, vf v, size_t n) { _mm256_mask_storeu_epi16(p, vm_first(n), vf_as_bf16(v)); }
SIMD vf vf_load_i8(const int8_t *p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p))); }
SIMD vf vf_load_i8_n(const int8_t *p, size_t n)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(vm_first(n), p)));
}
#endif
