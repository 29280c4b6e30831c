/* What a level offers to the graphs. */
#ifndef GN_KERNELS_GRAPHS_OPS_H
#define GN_KERNELS_GRAPHS_OPS_H
#include "base/isa.h"

/* One node's neighbours: rows of x, `stride` floats apart. */
struct gn_row {
    const int32_t *targets;
    const float *weights; /* NULL: all 1 */
    const float *scales;  /* by target; NULL: all 1 */
    size_t count;
    const float *x;
    size_t stride, width;
};

/* A step of a maximum adjacency order on a matrix: keys[j] += row[j]. keys and row have room up to a multiple of
 * GN_CUT_LANES; keys that are -infinity stay. */
enum { GN_CUT_LANES = 8 };
struct gn_cut_step {
    double largest;
    size_t at; /* of the largest key, the first of equals */
};

struct gn_graphs_ops {
    /* out = times * (sum of weight * scale * row + own * own_row) */
    void (*sum)(const struct gn_row *row, float own, const float *own_row, float times, float *out);
    void (*max)(const struct gn_row *row, float *out);
    float (*dot)(const float *a, const float *b, size_t n);
    void (*softmax)(float *e, size_t n); /* in place */
    /* y = y * times + (add ? add : 0) + (bias ? bias : 0) */
    void (*finish)(float *y, float times, const float *add, const float *bias, size_t n);
    void (*relu)(float *y, const float *bias, size_t n);
    /* crossed gets the columns whose key came to `bound` or above in this step; *crossings how many. */
    struct gn_cut_step (*cut_step)(double *keys, const double *row, size_t n, double bound, int32_t *crossed,
                                   size_t *crossings);
    void (*cut_add)(double *to, const double *from, size_t n);
};

extern const struct gn_graphs_ops gn_graphs_serial, gn_graphs_haswell, gn_graphs_skylake, gn_graphs_neon;
#endif
