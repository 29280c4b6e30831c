/* Hyperbolic space of curvature -c (c > 0): distances, exp and log maps, means, attention.
 *
 * Two models. Poincare: points p[dim] with c|p|^2 < 1. Lorentz: points p[dim], p[0] the time, with
 * <p,p> = -p[0]^2 + sum p[i]^2 = -1/c and p[0] > 0; dim counts the time, so it is one more than the Poincare point's.
 *
 *     Poincare   d(x,y) = arccosh(1 + 2c|x-y|^2 / ((1-c|x|^2)(1-c|y|^2))) / sqrt(c)     lambda_p = 2 / (1 - c|p|^2)
 *     Lorentz    d(x,y) = arccosh(1 + c<x-y,x-y>/2) / sqrt(c)
 *
 * Sources: Ganea, Becigneul, Hofmann, "Hyperbolic Neural Networks", 2018 (section 2: lambda, exp, log, Moebius sum);
 * Nickel and Kiela, "Learning Continuous Hierarchies in the Lorentz Model", 2018 (section 3); Gulcehre et al.,
 * "Hyperbolic Attention Networks", 2019 (section 3: weights by distance, Einstein midpoint); Karcher 1977 (the mean).
 *
 * float32 arrays. Values outside their model are answered, not repaired: a Poincare point on the sphere is infinitely
 * far, one outside it has distance NaN. gn_poincare_project brings points back inside.
 */
#ifndef GANGLION_KERNELS_HYPERBOLIC_H
#define GANGLION_KERNELS_HYPERBOLIC_H
#include "ganglion/kernels/base.h"

// <cdef>
enum gn_hyperbolic_model { GN_POINCARE = 0, GN_LORENTZ = 1 };
enum gn_hyperbolic_mean { GN_MEAN_EINSTEIN = 0, GN_MEAN_FRECHET = 1 };

/* out[rows][count]: distances of points[rows][dim] to others[count][dim]. curvature is c: finite, > 0.
 * GN_K_NULL, GN_K_SIZE (a product overflows; a Lorentz dim of 0), GN_K_VALUE (model, curvature), GN_K_OVERLAP. */
int gn_hyperbolic_distances(int model, const float *points, size_t rows, const float *others, size_t count, size_t dim,
                            float curvature, float *out, gn_pool *pool);

/* out[rows][dim] = exp_base(tangent): where the geodesic from base with that velocity is after one unit of time.
 * base is [rows][dim], or one point for all rows where base_rows is 1 (base_rows is rows or 1). In the Lorentz model
 * times (index 0) are not read but follow from the rest: a point's from the hyperboloid, a tangent's from the right
 * angle to base. out may be tangent itself. */
int gn_hyperbolic_exp(int model, const float *base, size_t base_rows, const float *tangent, size_t rows, size_t dim,
                      float curvature, float *out);

/* out[rows][dim] = log_base(point): the velocity that reaches point; the inverse of exp. out may be point itself. */
int gn_hyperbolic_log(int model, const float *base, size_t base_rows, const float *point, size_t rows, size_t dim,
                      float curvature, float *out);

/* out[rows][dim] = x (+) y, the Moebius sum of Poincare points. out may be x or y. */
int gn_moebius_add(const float *x, const float *y, size_t rows, size_t dim, float curvature, float *out);

/* Poincare points brought inside: c|p|^2 <= (1 - margin)^2, margin in (0, 1]; others are copied. NaN stays. In place
 * where out is points. */
int gn_poincare_project(const float *points, size_t rows, size_t dim, float curvature, float margin, float *out);

/* The isometry between the models: poincare[rows][dim], lorentz[rows][dim + 1]. */
int gn_poincare_to_lorentz(const float *poincare, size_t rows, size_t dim, float curvature, float *lorentz);
int gn_lorentz_to_poincare(const float *lorentz, size_t rows, size_t dim, float curvature, float *poincare);

/* out[dim] = the weighted mean of points[count][dim]; weights[count] >= 0 need not sum to 1. Einstein: the weighted
 * sum of the Lorentz points brought back to the hyperboloid (in Klein coordinates Einstein's midpoint), closed form.
 * Frechet: the point of least weighted squared distance, by Riemannian descent until a step is below 1e-7 / sqrt(c).
 * All weights 0, or count 0: the origin. NaN in a point or weight: NaN. GN_K_VALUE also for a weight < 0. */
int gn_hyperbolic_mean(int model, int mean, const float *points, size_t count, size_t dim, const float *weights,
                       float curvature, float *out, void *scratch);
size_t gn_hyperbolic_mean_scratch(size_t count, size_t dim);

/* Bytes of scratch for gn_hyperbolic_attention; SIZE_MAX when the sizes overflow. */
size_t gn_hyperbolic_attention_scratch(size_t count, size_t dim, size_t value_dim, int threads);

/* out[rows][value_dim]: for each query the mean of values[count][value_dim], points of the same model, under the weights
 * softmax(-d(query, key) / temperature); temperature finite, > 0. An infinitely far key has weight 0; count 0, or every
 * key infinitely far: the origin. Any NaN distance makes that row NaN. keys and values may be one array. */
int gn_hyperbolic_attention(int model, int mean, const float *queries, size_t rows, const float *keys, size_t count,
                            size_t dim, const float *values, size_t value_dim, float curvature, float temperature,
                            float *out, void *scratch, gn_pool *pool);
// </cdef>
#endif
