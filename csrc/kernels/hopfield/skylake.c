/* The Hopfield memories with AVX-512: 32 registers of 16 lanes. */
#if defined(__x86_64__)
#include "simd/skylake.h"

#include "hopfield/ops.h"
#include "simd/math.h"

enum { ACCS = 16 };

/* Four accumulators to one register: block j of four lanes holds the partial sums of accumulator j. */
SIMD vf fold4(const vf *s)
{
    vf a = _mm512_add_ps(_mm512_shuffle_f32x4(s[0], s[1], 0x44), _mm512_shuffle_f32x4(s[0], s[1], 0xee));
    vf b = _mm512_add_ps(_mm512_shuffle_f32x4(s[2], s[3], 0x44), _mm512_shuffle_f32x4(s[2], s[3], 0xee));
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

SIMD void fold_accs(const vf *s, float *out)
{
    vf a = fold4(s), b = fold4(s + 4), c = fold4(s + 8), e = fold4(s + 12), sums;
    a = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    c = _mm512_add_ps(_mm512_unpacklo_ps(c, e), _mm512_unpackhi_ps(c, e));
    /* lanes of a block now: a0+a2 b0+b2 a1+a3 b1+b3, and the same of c and e */
    sums = _mm512_add_ps(_mm512_shuffle_ps(a, c, 0x44), _mm512_shuffle_ps(a, c, 0xee));
    _mm512_storeu_ps(out, _mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
                                                sums));
}

SIMD size_t head_lanes(const float *x, size_t d);

/* Sixteen rows at once: pointers to every fourth, and two strides, are what fits the integer registers. */
static void dots16(const float *x, size_t d, const float *q, float *out)
{
    vf sum[ACCS], at;
    size_t i = head_lanes(x, d), two = 2 * d, three = 3 * d;
    const float *a = x + i, *b = a + 4 * d, *c = a + 8 * d, *e = a + 12 * d;
    at = vf_load_n(q, i);
    for (int k = 0; k < ACCS; k++)
        sum[k] = i ? vf_mul(at, vf_load_n(x + (size_t)k * d, i)) : vf_zero();
#define FOUR(k, p, load) \
    sum[k] = vf_fma(at, load(p, 0), sum[k]); \
    sum[k + 1] = vf_fma(at, load(p, d), sum[k + 1]); \
    sum[k + 2] = vf_fma(at, load(p, two), sum[k + 2]); \
    sum[k + 3] = vf_fma(at, load(p, three), sum[k + 3])
#define ROWS(load) \
    FOUR(0, a, load); \
    FOUR(4, b, load); \
    FOUR(8, c, load); \
    FOUR(12, e, load)
#define WHOLE(p, by) vf_load(p + (by))
#define PART(p, by) vf_load_n(p + (by), d - i)
    for (; i + VL <= d; i += VL, a += VL, b += VL, c += VL, e += VL) {
        at = vf_load(q + i);
        ROWS(WHOLE);
    }
    if (i < d) {
        at = vf_load_n(q + i, d - i);
        ROWS(PART);
    }
#undef FOUR
#undef ROWS
#undef WHOLE
#undef PART
    fold_accs(sum, out);
}
#define DOTS_ACCS dots16

#include "hopfield/scan_body.h"

/* Lane i is true where bit i is 1. */
SIMD vm lanes(uint64_t bits) { return (vm)bits; }

#include "hopfield/vote_body.h"

const struct gn_hopfield_ops SIMD_NAME(gn_hopfield) = {scan, absorb, merge, scaled, row_dots, gap2, vote, weights};
#include "simd/end.h"
#endif
