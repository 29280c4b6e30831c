/* What a level offers to the graphs. */
#ifndef GN_KERNELS_GRAPHS_OPS_H
#define GN_KERNELS_GRAPHS_OPS_H
#include "base/isa.h"

enum { GN_HEADS_SLACK = 16 };

/* One node's neighbours: rows of x, `stride` floats apart. */
struct gn_row {
    const int32_t *targets;
    const float *weights; /* those of neighbour i at i * step; NULL: all 1 */
    size_t step;
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
    size_t lanes; /* of a vector: heads of fewer columns are worth heads_sum */
    /* out = times * (sum of weight * scale * row + own * own_row) */
    void (*sum)(const struct gn_row *row, float own, const float *own_row, float times, float *out);
    /* The same of all heads at once: weights[i * heads + head_of[column]], own[head_of[column]]; heads = row->step.
     * head_of has GN_HEADS_SLACK entries behind the last column's. */
    void (*heads_sum)(const struct gn_row *row, const int32_t *head_of, const float *own, const float *own_row,
                      float *out);
    void (*max)(const struct gn_row *row, float *out);
    float (*dot)(const float *a, const float *b, size_t n);
    /* e[(count + loop) * heads]: for each head the softmax over neighbours of leaky(own + other[target * stride]), the
     * last with target `self` when `loop`; an edge to `self` then has none. */
    void (*attend)(const float *own, const float *other, size_t stride, const int32_t *targets, size_t count,
                   size_t heads, int32_t self, int loop, float slope, float *e);
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
