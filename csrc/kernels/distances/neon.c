/* Distances on Advanced SIMD: int8 widened to 16 bits, products summed in 32. */
#include "base/isa.h"
#ifdef GN_ARM
#include "distances/ops.h"
#include "simd/neon.h"

enum { VD = 4, VH = 8, KEYS_COSINE = 8 };
typedef struct {
    float64x2_t low, high;
} vd;
typedef int16x8_t vh;
typedef int32x4_t vs;

SIMD void fold(const vf *sums, int n, float *out)
{
    for (int j = 0; j < n; j++)
        out[j] = vf_sum(sums[j]);
}
SIMD vd vd_of(float32x4_t v) { return (vd){vcvt_f64_f32(vget_low_f32(v)), vcvt_high_f64_f32(v)}; }
SIMD vd vd_zero(void) { return (vd){vdupq_n_f64(0), vdupq_n_f64(0)}; }
SIMD vd vd_load(const float *p) { return vd_of(vld1q_f32(p)); }
SIMD vd vd_load_n(const float *p, size_t n) { return vd_of(vf_load_n(p, n)); }
SIMD vd vd_sub(vd a, vd b) { return (vd){vsubq_f64(a.low, b.low), vsubq_f64(a.high, b.high)}; }
SIMD vd vd_fma(vd a, vd b, vd c) { return (vd){vfmaq_f64(c.low, a.low, b.low), vfmaq_f64(c.high, a.high, b.high)}; }
SIMD double vd_sum(vd a) { return vaddvq_f64(vaddq_f64(a.low, a.high)); }
SIMD vh vh_load(const int8_t *p) { return vmovl_s8(vld1_s8(p)); }
SIMD vh vh_load_n(const int8_t *p, size_t n)
{
    int8_t whole[8] = {0};
    memcpy(whole, p, n);
    return vh_load(whole);
}
SIMD vh vh_sub(vh a, vh b) { return vsubq_s16(a, b); }
SIMD vs vs_zero(void) { return vdupq_n_s32(0); }
SIMD vs vs_add(vs sum, vh a, vh b) { return vmlal_high_s16(vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b)), a, b); }
SIMD uint32_t vs_sum(vs a) { return (uint32_t)vaddvq_s32(a); }

#include "distances/floats_body.h"

#include "distances/doubles_body.h"

#include "distances/bytes_body.h"

const struct gn_distances_ops SIMD_NAME(gn_distances) = DISTANCES_TABLE;
#include "simd/end.h"
#endif
