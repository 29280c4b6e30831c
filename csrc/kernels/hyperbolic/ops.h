/* What a level offers to hyperbolic space. */
#ifndef GN_KERNELS_HYPERBOLIC_OPS_H
#define GN_KERNELS_HYPERBOLIC_OPS_H
#include "base/isa.h"

/* Queries that share one reading of the keys. */
enum { GN_HYPERBOLIC_ROWS = 4 };

struct gn_hyperbolic_ops {
    /* out[r * count + j]: distances of `rows` (at most GN_HYPERBOLIC_ROWS) points to others[count][dim]. */
    void (*poincare)(const float *points, size_t rows, const float *others, size_t count, size_t dim, float c,
                     float *out);
    void (*lorentz)(const float *points, size_t rows, const float *others, size_t count, size_t dim, float c,
                    float *out);
    /* factors[j] = lambda of Poincare point j, 2 / (1 - c |p|^2); NaN on the sphere and outside. */
    void (*factors)(const float *points, size_t count, size_t dim, float c, float *factors);
    /* Distances in `row` become weights exp((least - d) / temperature), times factors[j] where there are factors;
     * *plain is the sum of the weights, *whole with the factors. No distance finite: all 0. */
    void (*weigh)(float *row, size_t count, float temperature, const float *factors, float *plain, float *whole);
    /* out[dim] = sum of weights[j] * points[j] */
    void (*combine)(const float *weights, const float *points, size_t count, size_t dim, float *out);
    /* weigh's second half and combine in one reading of the points, for one query: weights become weights times
     * lambda, their sum is *whole, out[dim] the points' sum under them. The same operations as the two by themselves. */
    void (*blend)(float *weights, const float *points, size_t count, size_t dim, float c, float *whole, float *out);
    /* In float64, the same operations in the same order on every level: products[j] = points[j] . with, and
     * sum[dim] = the sum of weights[j] * points[j]. */
    void (*dots)(const float *points, size_t count, size_t dim, const double *with, double *products);
    void (*gather)(const double *weights, const float *points, size_t count, size_t dim, double *sum);
};

extern const struct gn_hyperbolic_ops gn_hyperbolic_serial, gn_hyperbolic_haswell, gn_hyperbolic_skylake,
    gn_hyperbolic_neon;
#endif
