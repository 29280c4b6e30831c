/* The reference: eight bytes at a time, counted as Warren does ("Hacker's Delight", 5-1). */
#include "simd/serial.h"

#include "hypervectors/ops.h"

enum { HB = 8, HP_MAX = 1 << 20 };
typedef uint64_t hb, hp, hc;

SIMD hb hb_load_n(const uint8_t *p, size_t bytes)
{
    hb out = 0;
    memcpy(&out, p, bytes);
    return out;
}
SIMD hb hb_load(const uint8_t *p) { return hb_load_n(p, HB); }
SIMD void hb_store_n(uint8_t *p, hb v, size_t bytes) { memcpy(p, &v, bytes); }
SIMD void hb_store(uint8_t *p, hb v) { memcpy(p, &v, HB); }
SIMD hb hb_zero(void) { return 0; }
SIMD hb hb_ones(void) { return ~(hb)0; }
SIMD hb hb_xor(hb a, hb b) { return a ^ b; }
SIMD hb hb_and(hb a, hb b) { return a & b; }
SIMD hb hb_or(hb a, hb b) { return a | b; }
SIMD hb hb_andnot(hb a, hb b) { return ~a & b; }
SIMD hb hb_sum3(hb a, hb b, hb c) { return a ^ b ^ c; }
SIMD hb hb_maj3(hb a, hb b, hb c) { return (a & b) | (c & (a | b)); }
SIMD hp hp_zero(void) { return 0; }
SIMD hp hp_add(hp sum, hb v)
{
    v -= v >> 1 & 0x5555555555555555u;
    v = (v & 0x3333333333333333u) + (v >> 2 & 0x3333333333333333u);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return sum + (v * 0x0101010101010101u >> 56);
}
SIMD hc hc_zero(void) { return 0; }
SIMD hc hc_add(hc a, hp b) { return a + b; }
SIMD uint32_t hc_total(hc a) { return (uint32_t)a; }

#include "hypervectors/popcount_body.h"

#include "hypervectors/bundle_body.h"

const struct gn_hypervectors_ops SIMD_NAME(gn_hypervectors) = HV_TABLE;
#include "simd/end.h"
