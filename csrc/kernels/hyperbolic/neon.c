/* Hyperbolic space, AArch64. */
#if defined(__aarch64__)
#include "hyperbolic/ops.h"

#include "simd/neon.h"
#include "simd/math.h"

/* Others in work at once, points that share a reading of them, and vectors of a weighted sum's columns. */
enum { STEP = 4, MANY = 4, COMBINE = 4 };

/* Four rows to one register: lane i is the sum of the lanes of r[i]. */
SIMD vf step_sums(const vf *r) { return vpaddq_f32(vpaddq_f32(r[0], r[1]), vpaddq_f32(r[2], r[3])); }
SIMD vf join_sums(const vf *steps) { return steps[0]; }

#include "hyperbolic/distance_body.h"

#include "hyperbolic/mean_body.h"

const struct gn_hyperbolic_ops SIMD_NAME(gn_hyperbolic) = {poincare, lorentz, factors, weigh, combine, blend, dots, gather};
#include "simd/end.h"
#endif
