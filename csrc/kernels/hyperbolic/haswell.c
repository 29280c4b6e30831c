/* Hyperbolic space, AVX2. */
#if defined(__x86_64__)
#include "hyperbolic/ops.h"

#include "simd/haswell.h"
#include "simd/math.h"

/* Others in work at once, points that share a reading of them, and vectors of a weighted sum's columns. */
enum { STEP = 4, MANY = 2, COMBINE = 2 };

/* Four rows to one register: in each half, the four rows' sums over that half. */
SIMD vf step_sums(const vf *r) { return _mm256_hadd_ps(_mm256_hadd_ps(r[0], r[1]), _mm256_hadd_ps(r[2], r[3])); }

/* Halves added: lane i is the sum of row i of eight. */
SIMD vf join_sums(const vf *steps)
{
    vf low = _mm256_permute2f128_ps(steps[0], steps[1], 0x20), high = _mm256_permute2f128_ps(steps[0], steps[1], 0x31);
    return _mm256_add_ps(low, high);
}

#include "hyperbolic/distance_body.h"

#include "hyperbolic/mean_body.h"

const struct gn_hyperbolic_ops SIMD_NAME(gn_hyperbolic) = {poincare, lorentz, factors, weigh, combine, blend, dots, gather};
#include "simd/end.h"
#endif
