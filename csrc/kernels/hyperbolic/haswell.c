/* Hyperbolic space, AVX2. */
#if defined(__x86_64__)
#include "hyperbolic/ops.h"

#include "simd/haswell.h"
#include "simd/math.h"

/* Others in work at once for one point and for many; vectors of a sum's columns. */
enum { STEP_ONE = 4, STEP_MANY = 2, COMBINE = 2 };

/* Lane i is the sum of the lanes of rows[i]. */
SIMD vf sum_rows(const vf *rows)
{
    vf a = _mm256_hadd_ps(_mm256_hadd_ps(rows[0], rows[1]), _mm256_hadd_ps(rows[2], rows[3]));
    vf b = _mm256_hadd_ps(_mm256_hadd_ps(rows[4], rows[5]), _mm256_hadd_ps(rows[6], rows[7]));
    return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

#include "hyperbolic/distance_body.h"

#include "hyperbolic/mean_body.h"

const struct gn_hyperbolic_ops SIMD_NAME(gn_hyperbolic) = {poincare, lorentz, factors, weigh, combine, dots, gather};
#include "simd/end.h"
#endif
