/* Hyperbolic space, AArch64. */
#if defined(__aarch64__)
#include "hyperbolic/ops.h"

#include "simd/neon.h"
#include "simd/math.h"

/* Others in work at once for one point and for many; vectors of a sum's columns. */
enum { STEP_ONE = 4, STEP_MANY = 4, COMBINE = 4 };

/* Lane i is the sum of the lanes of rows[i]. */
SIMD vf sum_rows(const vf *rows)
{
    return vpaddq_f32(vpaddq_f32(rows[0], rows[1]), vpaddq_f32(rows[2], rows[3]));
}

#include "hyperbolic/distance_body.h"

#include "hyperbolic/mean_body.h"

const struct gn_hyperbolic_ops SIMD_NAME(gn_hyperbolic) = {poincare, lorentz, factors, weigh, combine, dots, gather};
#include "simd/end.h"
#endif
