/* The vector layer: what every level offers under the same names, so that a loop is written once.
 *
 * A level's header (serial.h, haswell.h, skylake.h, neon.h) sets the compiler's target, defines the types
 *
 *     vf  VL floats      vi  VL int32      vm  a mask of VL lanes      VL  the number of lanes (an int constant)
 *
 * and the operations listed below; math.h adds exp, log, tanh, sin and cos on top of them. A kernel's loops stand in
 * a *_body.h that includes nothing and is included by each level's file after its header:
 *
 *     #include "simd/haswell.h"
 *     #include "simd/math.h"
 *     #include "selection/kwta_body.h"
 *     const struct gn_selection_ops gn_selection_haswell = {...};
 *     #include "simd/end.h"
 *
 * What is worth writing by hand for one level stands in that level's file; the shared body tests for it with #ifdef
 * SIMD_SKYLAKE and the like. serial is the same text with VL = 1: the reference the other levels are held to.
 *
 *     vf_zero() vf_set1(x) vf_load(p) vf_store(p, v)         p needs no alignment
 *     vf_load_n(p, n) vf_load_or(p, n, x) vf_store_n(p, v, n)  n lanes, 0 <= n <= VL; others read 0 (or x), nothing
 *                                                            outside p[0..n) is touched
 *     vf_add vf_sub vf_mul vf_div vf_sqrt vf_abs vf_neg vf_round (to nearest, ties to even)
 *     vf_fma(a, b, c) = a*b + c      vf_fnma(a, b, c) = c - a*b      (one rounding on every level but serial's -O0)
 *     vf_min vf_max                  the second operand when either is NaN, as x86 has it
 *     vf_lt vf_le vf_eq              -> vm, false for NaN         vf_isnan(v) -> vm
 *     vf_pick(m, a, b)               a where m, else b
 *     vf_sum(v) vf_hmax(v) vf_hmin(v) -> float, over the lanes
 *     vf_scale2(v, n)                v * 2^n, n integral in [-252, 252]; rounds once, gradual underflow
 *     vf_gather(p, i)                p[i] for each lane of a vi
 *     vf_load_f16(p) vf_load_f16_n(p, n) vf_store_f16(p, v) vf_store_f16_n(p, v, n)   IEEE half, uint16_t *
 *     vf_load_bf16 ... vf_store_bf16_n                                                bfloat16, ties to even
 *     vf_load_i8(p) vf_load_i8_n(p, n)                                                int8_t *
 *     vi_set1 vi_load vi_store vi_add vi_sub vi_and vi_or vi_xor vi_shl(v, k) vi_shr(v, k) (logical) vi_iota()
 *     vi_round(vf) -> vi             vf_from(vi) -> vf           vi_bits(vf), vf_bits(vi)  the same bits
 *     vm_first(n)                    the first n lanes           vm_and vm_or vm_not vm_any vm_bits(m) -> unsigned
 */
#ifndef GN_SIMD_H
#define GN_SIMD_H
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SIMD static inline __attribute__((always_inline, unused))

/* Before a loop whose bounds are constants once its function is inlined: arrays of vectors that it indexes then become
 * registers. clang passes over GCC's form of it without a word. */
#ifdef __clang__
#define SIMD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 64")
#endif

/* The halves' scalar forms: the serial level, and what the tails of others fall back to. */
static inline __attribute__((unused)) float gn_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7fffu, bits;
    float out;
    if (rest >= 0x7c00u) {
        bits = 0x7f800000u | (rest & 0x3ffu) << 13 | (rest > 0x7c00u ? 0x400000u : 0);
    } else if (rest >= 0x400u) {
        bits = (rest << 13) + 0x38000000u;
    } else {
        out = (float)rest * 0x1p-24f;
        memcpy(&bits, &out, sizeof bits);
    }
    bits |= sign;
    memcpy(&out, &bits, sizeof out);
    return out;
}

static inline __attribute__((unused)) uint16_t gn_f32_to_f16(float x)
{
    uint32_t bits, sign, rest;
    memcpy(&bits, &x, sizeof bits);
    sign = bits >> 16 & 0x8000u;
    rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (rest >> 13 & 0x3ffu));
    if (rest >= 0x47800000u)
        return (uint16_t)(sign | 0x7c00u);
    if (rest < 0x38800000u) { /* below the normal halves: the addition rounds at 2^-24 */
        float small;
        memcpy(&small, &rest, sizeof small);
        small += 0.5f;
        memcpy(&rest, &small, sizeof rest);
        return (uint16_t)(sign | (rest - 0x3f000000u));
    }
    rest += 0xfffu + (rest >> 13 & 1u);
    rest -= 0x38000000u;
    rest >>= 13;
    return (uint16_t)(sign | (rest > 0x7c00u ? 0x7c00u : rest));
}

static inline __attribute__((unused)) float gn_bf16_to_f32(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

static inline __attribute__((unused)) uint16_t gn_f32_to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
#endif
