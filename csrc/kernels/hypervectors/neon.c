/* vcnt counts in bytes: 31 vectors of at most 8 each before they are widened. */
#include "base/isa.h"
#ifdef GN_ARM
#include "simd/neon.h"

#include "hypervectors/ops.h"

enum { HB = 16, HP_MAX = 31 };
typedef uint8x16_t hb, hp;
typedef uint64x2_t hc;

SIMD hb hb_load(const uint8_t *p) { return vld1q_u8(p); }
SIMD hb hb_load_n(const uint8_t *p, size_t bytes)
{
    uint8_t whole[16] = {0};
    memcpy(whole, p, bytes);
    return hb_load(whole);
}
SIMD void hb_store(uint8_t *p, hb v) { vst1q_u8(p, v); }
SIMD void hb_store_n(uint8_t *p, hb v, size_t bytes)
{
    uint8_t whole[16];
    hb_store(whole, v);
    memcpy(p, whole, bytes);
}
SIMD hb hb_zero(void) { return vdupq_n_u8(0); }
SIMD hb hb_ones(void) { return vdupq_n_u8(255); }
SIMD hb hb_xor(hb a, hb b) { return veorq_u8(a, b); }
SIMD hb hb_and(hb a, hb b) { return vandq_u8(a, b); }
SIMD hb hb_or(hb a, hb b) { return vorrq_u8(a, b); }
SIMD hb hb_andnot(hb a, hb b) { return vbicq_u8(b, a); }
SIMD hb hb_sum3(hb a, hb b, hb c) { return hb_xor(hb_xor(a, b), c); }
SIMD hb hb_maj3(hb a, hb b, hb c) { return vbslq_u8(hb_xor(a, b), c, a); }
SIMD hp hp_zero(void) { return vdupq_n_u8(0); }
SIMD hp hp_add(hp sum, hb v) { return vaddq_u8(sum, vcntq_u8(v)); }
SIMD hc hc_zero(void) { return vdupq_n_u64(0); }
SIMD hc hc_add(hc a, hp b) { return vaddq_u64(a, vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(b)))); }
SIMD uint32_t hc_total(hc a) { return (uint32_t)vaddvq_u64(a); }

#include "hypervectors/popcount_body.h"

#include "hypervectors/bundle_body.h"

const struct gn_hypervectors_ops SIMD_NAME(gn_hypervectors) = HV_TABLE;
#include "simd/end.h"
#endif
