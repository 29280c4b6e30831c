/* The gate: arguments. The loop: predictive_body.h. */
#include "predictive/ops.h"

#include "ganglion/kernels/predictive.h"

#include "base/sizes.h"

#include <float.h>
#include <math.h>

static const struct gn_predictive_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_predictive);

int gn_gate(const float *x, float *prediction, size_t n, float threshold, float rate, float *residual, int *sent,
            float *rms)
{
    struct gate gate = {.rate = rate, .residual = residual};
    size_t bytes = n * sizeof *x;
    double limit = (double)threshold * threshold * (double)n;
    if (n > SIZE_MAX / sizeof *x)
        return GN_K_SIZE;
    if (!sent || (n && (!x || !prediction)))
        return GN_K_NULL;
    if (!(threshold >= 0) || !(rate >= 0 && rate <= 1))
        return GN_K_VALUE;
    if (gn_overlap(x, bytes, prediction, bytes) || gn_overlap(x, bytes, residual, bytes) ||
        gn_overlap(prediction, bytes, residual, bytes))
        return GN_K_OVERLAP;
    gate.limit = limit < DBL_MAX ? limit : DBL_MAX; /* an infinite sum is a surprise at any threshold */
    *sent = levels[gn_isa_level]->gate(x, prediction, n, &gate);
    if (rms)
        *rms = n ? (float)sqrt(gate.sum / (double)n) : 0;
    return GN_K_OK;
}
