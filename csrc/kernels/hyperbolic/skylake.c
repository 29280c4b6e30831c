/* Hyperbolic space, AVX-512. */
#if defined(__x86_64__)
#include "hyperbolic/ops.h"

#include "simd/skylake.h"
#include "simd/math.h"

/* Others in work at once, points that share a reading of them, and vectors of a weighted sum's columns. */
enum { STEP = 4, MANY = 4, COMBINE = 4 };

/* Four rows to one register: in each quarter, the four rows' sums over that quarter. */
SIMD vf step_sums(const vf *r)
{
    vf a = _mm512_add_ps(_mm512_unpacklo_ps(r[0], r[1]), _mm512_unpackhi_ps(r[0], r[1]));
    vf b = _mm512_add_ps(_mm512_unpacklo_ps(r[2], r[3]), _mm512_unpackhi_ps(r[2], r[3]));
    __m512d c = _mm512_castps_pd(a), d = _mm512_castps_pd(b);
    return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(c, d)), _mm512_castpd_ps(_mm512_unpackhi_pd(c, d)));
}

/* Neighbouring quarters added: those of a, then those of b. */
SIMD vf sum_quarters(vf a, vf b)
{
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

/* Lane i is the sum of row i of sixteen. */
SIMD vf join_sums(const vf *steps)
{
    return sum_quarters(sum_quarters(steps[0], steps[1]), sum_quarters(steps[2], steps[3]));
}

#include "hyperbolic/distance_body.h"

#include "hyperbolic/mean_body.h"

const struct gn_hyperbolic_ops SIMD_NAME(gn_hyperbolic) = {poincare, lorentz, factors, weigh, combine, blend, dots, gather};
#include "simd/end.h"
#endif
