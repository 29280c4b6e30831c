/* Hyperbolic space, plain C. */
#include "hyperbolic/ops.h"

#include "simd/serial.h"
#include "simd/math.h"

/* Others in work at once, points that share a reading of them, and vectors of a weighted sum's columns. */
enum { STEP = 1, MANY = 4, COMBINE = 4 };

SIMD vf step_sums(const vf *r) { return r[0]; }
SIMD vf join_sums(const vf *steps) { return steps[0]; }

#include "hyperbolic/distance_body.h"

#include "hyperbolic/mean_body.h"

const struct gn_hyperbolic_ops SIMD_NAME(gn_hyperbolic) = {poincare, lorentz, factors, weigh, combine, blend, dots, gather};
#include "simd/end.h"
