/* The vector layer on AArch64's Advanced SIMD: 4 lanes; tails go through a buffer of a vector's size. */
#ifndef GN_SIMD_NEON_H
#define GN_SIMD_NEON_H
#include "simd/simd.h"
#include <arm_neon.h>
#define SIMD_NEON 1
#define SIMD_NAME(stem) stem##_neon

enum { VL = 4 };
typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32x4_t vm;

SIMD vi vi_iota(void)
{
    static const int32_t lanes[4] = {0, 1, 2, 3};
    return vld1q_s32(lanes);
}
SIMD vm vm_first(size_t n) { return vcltq_s32(vi_iota(), vdupq_n_s32((int)n)); }
SIMD vm vm_and(vm a, vm b) { return vandq_u32(a, b); }
SIMD vm vm_or(vm a, vm b) { return vorrq_u32(a, b); }
SIMD vm vm_not(vm a) { return vmvnq_u32(a); }
SIMD int vm_any(vm a) { return vmaxvq_u32(a) != 0; }
SIMD unsigned vm_bits(vm a)
{
    static const uint32_t weights[4] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(a, vld1q_u32(weights)));
}

SIMD vf vf_zero(void) { return vdupq_n_f32(0); }
SIMD vf vf_set1(float x) { return vdupq_n_f32(x); }
SIMD vf vf_pick(vm m, vf a, vf b) { return vbslq_f32(m, a, b); }
SIMD vf vf_load(const float *p) { return vld1q_f32(p); }
SIMD vf vf_load_or(const float *p, size_t n, float x)
{
    float whole[4] = {x, x, x, x};
    memcpy(whole, p, n * sizeof *p);
    return vld1q_f32(whole);
}
SIMD vf vf_load_n(const float *p, size_t n) { return vf_load_or(p, n, 0); }
SIMD void vf_store(float *p, vf v) { vst1q_f32(p, v); }
SIMD void vf_store_n(float *p, vf v, size_t n)
{
    float whole[4];
    vst1q_f32(whole, v);
    memcpy(p, whole, n * sizeof *p);
}
SIMD vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
SIMD vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
SIMD vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
SIMD vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
SIMD vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
SIMD vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
SIMD vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
SIMD vf vf_abs(vf a) { return vabsq_f32(a); }
SIMD vf vf_neg(vf a) { return vnegq_f32(a); }
SIMD vf vf_round(vf a) { return vrndnq_f32(a); }
SIMD vm vf_lt(vf a, vf b) { return vcltq_f32(a, b); }
SIMD vm vf_le(vf a, vf b) { return vcleq_f32(a, b); }
SIMD vm vf_eq(vf a, vf b) { return vceqq_f32(a, b); }
SIMD vm vf_isnan(vf a) { return vmvnq_u32(vceqq_f32(a, a)); }
SIMD vf vf_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
SIMD vf vf_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
SIMD float vf_sum(vf v) { return vaddvq_f32(v); }
SIMD float vf_hmax(vf v) { return vmaxvq_f32(v); }
SIMD float vf_hmin(vf v) { return vminvq_f32(v); }

SIMD vi vi_set1(int32_t x) { return vdupq_n_s32(x); }
SIMD vi vi_load(const int32_t *p) { return vld1q_s32(p); }
SIMD void vi_store(int32_t *p, vi v) { vst1q_s32(p, v); }
SIMD vi vi_add(vi a, vi b) { return vaddq_s32(a, b); }
SIMD vi vi_sub(vi a, vi b) { return vsubq_s32(a, b); }
SIMD vi vi_and(vi a, vi b) { return vandq_s32(a, b); }
SIMD vi vi_or(vi a, vi b) { return vorrq_s32(a, b); }
SIMD vi vi_xor(vi a, vi b) { return veorq_s32(a, b); }
SIMD vi vi_shl(vi a, int k) { return vshlq_s32(a, vdupq_n_s32(k)); }
SIMD vi vi_shr(vi a, int k) { return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-k))); }
SIMD vi vi_round(vf a) { return vcvtnq_s32_f32(a); }
SIMD vf vf_from(vi a) { return vcvtq_f32_s32(a); }
SIMD vi vi_bits(vf a) { return vreinterpretq_s32_f32(a); }
SIMD vf vf_bits(vi a) { return vreinterpretq_f32_s32(a); }
SIMD vf vf_gather(const float *p, vi i)
{
    float whole[4] = {p[vgetq_lane_s32(i, 0)], p[vgetq_lane_s32(i, 1)], p[vgetq_lane_s32(i, 2)], p[vgetq_lane_s32(i, 3)]};
    return vld1q_f32(whole);
}
/* In two steps, so that neither factor leaves the normal numbers and the result is rounded once. */
SIMD vf vf_scale2(vf v, vf n)
{
    vi all = vi_round(n), half = vshrq_n_s32(all, 1), bias = vi_set1(127);
    vf a = vf_bits(vshlq_n_s32(vi_add(half, bias), 23));
    vf b = vf_bits(vshlq_n_s32(vi_add(vi_sub(all, half), bias), 23));
    return vf_mul(vf_mul(v, a), b);
}

SIMD vf vf_load_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
SIMD vf vf_load_f16_n(const uint16_t *p, size_t n)
{
    uint16_t whole[4] = {0};
    memcpy(whole, p, n * sizeof *p);
    return vf_load_f16(whole);
}
SIMD void vf_store_f16(uint16_t *p, vf v) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
SIMD void vf_store_f16_n(uint16_t *p, vf v, size_t n)
{
    uint16_t whole[4];
    vf_store_f16(whole, v);
    memcpy(p, whole, n * sizeof *p);
}
SIMD vf vf_load_bf16(const uint16_t *p) { return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(p)), 16)); }
SIMD vf vf_load_bf16_n(const uint16_t *p, size_t n)
{
    uint16_t whole[4] = {0};
    memcpy(whole, p, n * sizeof *p);
    return vf_load_bf16(whole);
}
SIMD void vf_store_bf16(uint16_t *p, vf v)
{
    uint32x4_t bits = vreinterpretq_u32_f32(v), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    uint32x4_t up = vshrq_n_u32(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16);
    uint32x4_t nan = vorrq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(0x40));
    vst1_u16(p, vmovn_u32(vbslq_u32(vf_isnan(v), nan, up)));
}
SIMD void vf_store_bf16_n(uint16_t *p, vf v, size_t n)
{
    uint16_t whole[4];
    vf_store_bf16(whole, v);
    memcpy(p, whole, n * sizeof *p);
}
SIMD vf vf_load_i8(const int8_t *p)
{
    int8_t whole[8] = {p[0], p[1], p[2], p[3]};
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vld1_s8(whole)))));
}
SIMD vf vf_load_i8_n(const int8_t *p, size_t n)
{
    int8_t whole[8] = {0};
    memcpy(whole, p, n);
    return vf_load_i8(whole);
}
#endif
