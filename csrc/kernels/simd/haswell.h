/* The vector layer on AVX2, FMA and F16C: 8 lanes; a mask is a vector of all-ones and all-zeros lanes. */
#ifndef GN_SIMD_HASWELL_H
#define GN_SIMD_HASWELL_H
#include "simd/simd.h"
#define SIMD_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define SIMD_TARGET_PUSHED 1
#define SIMD_TARGET(list) SIMD_PRAGMA(clang attribute push(__attribute__((target(list))), apply_to = function))
#else
#define SIMD_TARGET(list) SIMD_PRAGMA(GCC target(list))
#endif
#include <immintrin.h>
SIMD_TARGET("avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt")
#define SIMD_HASWELL 1
#define SIMD_NAME(stem) stem##_haswell

enum { VL = 8 };
typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;

SIMD vi vi_iota(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
SIMD vi vi_first(size_t n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), vi_iota()); }
SIMD vm vm_first(size_t n) { return _mm256_castsi256_ps(vi_first(n)); }
SIMD vm vm_and(vm a, vm b) { return _mm256_and_ps(a, b); }
SIMD vm vm_or(vm a, vm b) { return _mm256_or_ps(a, b); }
SIMD vm vm_not(vm a) { return _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1))); }
SIMD unsigned vm_bits(vm a) { return (unsigned)_mm256_movemask_ps(a); }
SIMD int vm_any(vm a) { return _mm256_movemask_ps(a) != 0; }

SIMD vf vf_zero(void) { return _mm256_setzero_ps(); }
SIMD vf vf_set1(float x) { return _mm256_set1_ps(x); }
SIMD vf vf_pick(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
SIMD vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
SIMD vf vf_load_n(const float *p, size_t n) { return _mm256_maskload_ps(p, vi_first(n)); }
SIMD vf vf_load_or(const float *p, size_t n, float x) { return vf_pick(vm_first(n), vf_load_n(p, n), vf_set1(x)); }
SIMD void vf_store(float *p, vf v) { _mm256_storeu_ps(p, v); }
SIMD void vf_store_n(float *p, vf v, size_t n) { _mm256_maskstore_ps(p, vi_first(n), v); }
SIMD vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
SIMD vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
SIMD vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
SIMD vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
SIMD vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
SIMD vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
SIMD vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
SIMD vf vf_abs(vf a) { return _mm256_andnot_ps(vf_set1(-0.0f), a); }
SIMD vf vf_neg(vf a) { return _mm256_xor_ps(a, vf_set1(-0.0f)); }
SIMD vf vf_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
SIMD vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
SIMD vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
SIMD vm vf_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
SIMD vm vf_le(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
SIMD vm vf_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
SIMD vm vf_isnan(vf a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
SIMD float vf_sum(vf v)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
SIMD float vf_hmax(vf v)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
SIMD float vf_hmin(vf v)
{
    __m128 half = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_min_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_min_ss(half, _mm_movehdup_ps(half)));
}

SIMD vi vi_set1(int32_t x) { return _mm256_set1_epi32(x); }
SIMD vi vi_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
SIMD void vi_store(int32_t *p, vi v) { _mm256_storeu_si256((__m256i *)p, v); }
SIMD vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
SIMD vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
SIMD vi vi_and(vi a, vi b) { return _mm256_and_si256(a, b); }
SIMD vi vi_or(vi a, vi b) { return _mm256_or_si256(a, b); }
SIMD vi vi_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
SIMD vi vi_shl(vi a, int k) { return _mm256_sll_epi32(a, _mm_cvtsi32_si128(k)); }
SIMD vi vi_shr(vi a, int k) { return _mm256_srl_epi32(a, _mm_cvtsi32_si128(k)); }
SIMD vi vi_round(vf a) { return _mm256_cvtps_epi32(a); }
SIMD vf vf_from(vi a) { return _mm256_cvtepi32_ps(a); }
SIMD vi vi_bits(vf a) { return _mm256_castps_si256(a); }
SIMD vf vf_bits(vi a) { return _mm256_castsi256_ps(a); }
SIMD vf vf_gather(const float *p, vi i) { return _mm256_i32gather_ps(p, i, 4); }
/* In two steps, so that neither factor leaves the normal numbers and the result is rounded once. */
SIMD vf vf_scale2(vf v, vf n)
{
    vi all = vi_round(n), half = _mm256_srai_epi32(all, 1), bias = vi_set1(127);
    vf a = vf_bits(_mm256_slli_epi32(vi_add(half, bias), 23));
    vf b = vf_bits(_mm256_slli_epi32(vi_add(vi_sub(all, half), bias), 23));
    return vf_mul(vf_mul(v, a), b);
}

/* AVX2 has no masked 16-bit or 8-bit loads: a tail goes through a buffer of a vector's size. */
SIMD vf vf_load_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
SIMD vf vf_load_f16_n(const uint16_t *p, size_t n)
{
    uint16_t whole[8] = {0};
    memcpy(whole, p, n * sizeof *p);
    return vf_load_f16(whole);
}
SIMD void vf_store_f16(uint16_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
SIMD void vf_store_f16_n(uint16_t *p, vf v, size_t n)
{
    uint16_t whole[8];
    vf_store_f16(whole, v);
    memcpy(p, whole, n * sizeof *p);
}
SIMD vf vf_load_bf16(const uint16_t *p)
{
    return vf_bits(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
SIMD vf vf_load_bf16_n(const uint16_t *p, size_t n)
{
    uint16_t whole[8] = {0};
    memcpy(whole, p, n * sizeof *p);
    return vf_load_bf16(whole);
}
SIMD void vf_store_bf16(uint16_t *p, vf v)
{
    vi bits = vi_bits(v), odd = vi_and(_mm256_srli_epi32(bits, 16), vi_set1(1));
    vi up = _mm256_srli_epi32(vi_add(bits, vi_add(odd, vi_set1(0x7fff))), 16);
    vi nan = vi_or(_mm256_srli_epi32(bits, 16), vi_set1(0x40));
    vi all = _mm256_blendv_epi8(up, nan, vi_bits(vf_isnan(v)));
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(all, all), 0x08);
    _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(packed));
}
SIMD void vf_store_bf16_n(uint16_t *p, vf v, size_t n)
{
    uint16_t whole[8];
    vf_store_bf16(whole, v);
    memcpy(p, whole, n * sizeof *p);
}
SIMD vf vf_load_i8(const int8_t *p)
{
    return vf_from(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
SIMD vf vf_load_i8_n(const int8_t *p, size_t n)
{
    int8_t whole[8] = {0};
    memcpy(whole, p, n);
    return vf_load_i8(whole);
}
#endif
