/* Hyperbolic space, AVX-512. */
#if defined(__x86_64__)
#include "hyperbolic/ops.h"

#include "simd/skylake.h"
#include "simd/math.h"

/* Others in work at once for one point and for many; vectors of a sum's columns. */
enum { STEP_ONE = 4, STEP_MANY = 4, COMBINE = 4 };

/* Four rows to one register: in each 128 bits, the four rows' sums over those bits. */
SIMD vf sum_four(const vf *r)
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

/* Lane i is the sum of the lanes of rows[i]. */
SIMD vf sum_rows(const vf *rows)
{
    vf low = sum_quarters(sum_four(rows), sum_four(rows + 4)), high = sum_quarters(sum_four(rows + 8), sum_four(rows + 12));
    return sum_quarters(low, high);
}

#include "hyperbolic/distance_body.h"

#include "hyperbolic/mean_body.h"

const struct gn_hyperbolic_ops SIMD_NAME(gn_hyperbolic) = {poincare, lorentz, factors, weigh, combine, dots, gather};
#include "simd/end.h"
#endif
