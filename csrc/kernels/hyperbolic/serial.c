/* Hyperbolic space, plain C. */
#include "hyperbolic/ops.h"

#include "simd/serial.h"
#include "simd/math.h"

/* Others in work at once for one point and for many; vectors of a sum's columns. */
enum { STEP_ONE = 1, STEP_MANY = 1, COMBINE = 4 };

static vf sum_rows(const vf *rows) { return rows[0]; }

#include "hyperbolic/distance_body.h"

#include "hyperbolic/mean_body.h"

const struct gn_hyperbolic_ops SIMD_NAME(gn_hyperbolic) = {poincare, lorentz, factors, weigh, combine, dots, gather};
#include "simd/end.h"
