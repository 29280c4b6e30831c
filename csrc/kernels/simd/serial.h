/* The vector layer with one lane: plain C, and the reference for every other level. */
#ifndef GN_SIMD_SERIAL_H
#define GN_SIMD_SERIAL_H
#ifdef __GNUC__
#ifndef __clang__
#pragma GCC optimize("no-tree-vectorize")
#endif
#endif
#include "simd/simd.h"
#define SIMD_SERIAL 1
#define SIMD_NAME(stem) stem##_serial

enum { VL = 1 };
typedef float vf;
typedef int32_t vi;
typedef int vm;

SIMD vf vf_zero(void) { return 0; }
SIMD vf vf_set1(float x) { return x; }
SIMD vf vf_load(const float *p) { return *p; }
SIMD vf vf_load_n(const float *p, size_t n) { return n ? *p : 0; }
SIMD vf vf_load_or(const float *p, size_t n, float x) { return n ? *p : x; }
SIMD void vf_store(float *p, vf v) { *p = v; }
SIMD void vf_store_n(float *p, vf v, size_t n)
{
    if (n)
        *p = v;
}
SIMD vf vf_add(vf a, vf b) { return a + b; }
SIMD vf vf_sub(vf a, vf b) { return a - b; }
SIMD vf vf_mul(vf a, vf b) { return a * b; }
SIMD vf vf_div(vf a, vf b) { return a / b; }
SIMD vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
SIMD vf vf_fnma(vf a, vf b, vf c) { return c - a * b; }
SIMD vf vf_sqrt(vf a) { return sqrtf(a); }
SIMD vf vf_abs(vf a) { return fabsf(a); }
SIMD vf vf_neg(vf a) { return -a; }
SIMD vf vf_round(vf a) { return rintf(a); }
SIMD vf vf_min(vf a, vf b) { return a < b ? a : b; }
SIMD vf vf_max(vf a, vf b) { return a > b ? a : b; }
SIMD vm vf_lt(vf a, vf b) { return a < b; }
SIMD vm vf_le(vf a, vf b) { return a <= b; }
SIMD vm vf_eq(vf a, vf b) { return a == b; }
SIMD vm vf_isnan(vf a) { return a != a; }
SIMD vf vf_pick(vm m, vf a, vf b) { return m ? a : b; }
SIMD float vf_sum(vf v) { return v; }
SIMD float vf_hmax(vf v) { return v; }
SIMD float vf_hmin(vf v) { return v; }
SIMD vf vf_scale2(vf v, vf n) { return n == n ? ldexpf(v, (int)n) : v; }

SIMD vi vi_set1(int32_t x) { return x; }
SIMD vi vi_iota(void) { return 0; }
SIMD vi vi_load(const int32_t *p) { return *p; }
SIMD void vi_store(int32_t *p, vi v) { *p = v; }
SIMD vi vi_add(vi a, vi b) { return (vi)((uint32_t)a + (uint32_t)b); }
SIMD vi vi_sub(vi a, vi b) { return (vi)((uint32_t)a - (uint32_t)b); }
SIMD vi vi_and(vi a, vi b) { return a & b; }
SIMD vi vi_or(vi a, vi b) { return a | b; }
SIMD vi vi_xor(vi a, vi b) { return a ^ b; }
SIMD vi vi_shl(vi a, int k) { return (vi)((uint32_t)a << k); }
SIMD vi vi_shr(vi a, int k) { return (vi)((uint32_t)a >> k); }
SIMD vi vi_round(vf a) { return a >= -0x1p31f && a < 0x1p31f ? (vi)rintf(a) : INT32_MIN; }
SIMD vf vf_from(vi a) { return (float)a; }
SIMD vi vi_bits(vf a)
{
    vi out;
    memcpy(&out, &a, sizeof out);
    return out;
}
SIMD vf vf_bits(vi a)
{
    vf out;
    memcpy(&out, &a, sizeof out);
    return out;
}
SIMD vf vf_gather(const float *p, vi i) { return p[i]; }

SIMD vm vm_first(size_t n) { return n > 0; }
SIMD vm vm_and(vm a, vm b) { return a & b; }
SIMD vm vm_or(vm a, vm b) { return a | b; }
SIMD vm vm_not(vm a) { return !a; }
SIMD int vm_any(vm a) { return a; }
SIMD unsigned vm_bits(vm a) { return (unsigned)a; }

SIMD vf vf_load_f16(const uint16_t *p) { return gn_f16_to_f32(*p); }
SIMD vf vf_load_f16_n(const uint16_t *p, size_t n) { return n ? gn_f16_to_f32(*p) : 0; }
SIMD void vf_store_f16(uint16_t *p, vf v) { *p = gn_f32_to_f16(v); }
SIMD void vf_store_f16_n(uint16_t *p, vf v, size_t n)
{
    if (n)
        *p = gn_f32_to_f16(v);
}
SIMD vf vf_load_bf16(const uint16_t *p) { return gn_bf16_to_f32(*p); }
SIMD vf vf_load_bf16_n(const uint16_t *p, size_t n) { return n ? gn_bf16_to_f32(*p) : 0; }
SIMD void vf_store_bf16(uint16_t *p, vf v) { *p = gn_f32_to_bf16(v); }
SIMD void vf_store_bf16_n(uint16_t *p, vf v, size_t n)
{
    if (n)
        *p = gn_f32_to_bf16(v);
}
SIMD vf vf_load_i8(const int8_t *p) { return *p; }
SIMD vf vf_load_i8_n(const int8_t *p, size_t n) { return n ? *p : 0; }
#endif
