/* Between the mean and the attention: the parts of a weighted mean. */
#ifndef GN_KERNELS_HYPERBOLIC_MEAN_H
#define GN_KERNELS_HYPERBOLIC_MEAN_H
#include "hyperbolic/ops.h"

void gn_hyperbolic_origin(int model, size_t dim, float curvature, float *out);

/* sum[dim], the weighted sum of values (Poincare: of lambda times them), becomes their Einstein midpoint; time is the
 * sum of weights (lambda - 1), for Poincare only. */
void gn_einstein(int model, size_t dim, float curvature, double time, float *sum);

/* mean[dim], the Einstein midpoint, becomes the Frechet mean. weights have a sum above 0; factors[count] are the
 * Poincare values' lambda; work is 2 * count + 2 * dim doubles. */
void gn_frechet(const struct gn_hyperbolic_ops *ops, int model, const float *values, size_t count, size_t dim,
                const float *weights, const float *factors, float curvature, float *mean, double *work);
#endif
