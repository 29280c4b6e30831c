/* What the functions of this family check alike. */
#ifndef GN_KERNELS_HYPERBOLIC_CHECK_H
#define GN_KERNELS_HYPERBOLIC_CHECK_H
#include "ganglion/kernels/hyperbolic.h"

#include "base/sizes.h"

/* Results of exp, Moebius sums and conversions stay this far inside the ball, so that float32 does not put them on the
 * sphere: sqrt(c)|p| <= 1 - 2^-18, a distance of 13.2 / sqrt(c) from the origin. */
#define GN_BALL_MARGIN 0x1p-18

static inline __attribute__((unused)) int gn_bad_scalar(float x) { return !(x > 0) || x > 3.4e38f; }

/* GN_K_OK, or what is wrong with a model, its dim and its curvature. */
static inline __attribute__((unused)) int gn_check_model(int model, size_t dim, float curvature)
{
    if ((model != GN_POINCARE && model != GN_LORENTZ) || gn_bad_scalar(curvature))
        return GN_K_VALUE;
    return model == GN_LORENTZ && !dim ? GN_K_SIZE : GN_K_OK;
}

static inline __attribute__((unused)) int gn_missing(const float *p, size_t floats) { return floats && !p; }
#endif
