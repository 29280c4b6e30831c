/* What a level offers to distances: one query against rows of keys, and what the top-k and the packed form need. */
#ifndef GN_KERNELS_DISTANCES_OPS_H
#define GN_KERNELS_DISTANCES_OPS_H
#include "ganglion/kernels/distances.h"

#include "base/isa.h"

/* out[j] for keys[n, dim]. far: the keys come from beyond the second cache, read them in one stream (the results are
 * the same to the bit). scale is 1 / |q| for cosine. l2 is made of l2sq by the caller. */
typedef void gn_row_fn(const void *query, const void *keys, size_t n, size_t dim, int far, float scale, float *out);
typedef void gn_row64_fn(const float *query, const float *keys, size_t n, size_t dim, int far, double scale, double *out);

struct gn_distances_ops {
    gn_row_fn *row[GN_ELEMENT_B1][GN_METRIC_HAMMING]; /* by element and metric; none for l2 */
    gn_row64_fn *row64[GN_METRIC_HAMMING];
    double (*square64)(const float *row, size_t dim);                     /* sum of squares */
    void (*widen)(int element, const void *from, size_t n, float *to);    /* halves to float32 */
    void (*counts)(float *scores, size_t n);                              /* uint32_t in place, to float32 */
    void (*roots)(float *scores, size_t n);                               /* square roots in place */
    void (*scale)(float *scores, size_t n, float by, const float *each);  /* scores[j] = scores[j] * by * each[j] */
    /* Hamming distances of m packed queries (across 1) to n packed keys (across GN_BITS_KEYS): bits.h. May be NULL. */
    void (*bit_tile)(const uint64_t *queries, size_t m, const uint64_t *keys, size_t n, size_t groups, float *out,
                     size_t stride);
    /* Positions of the scores that are nearer than `bar`, ascending; returns how many. NaN is never nearer. */
    size_t (*nearer)(int smallest, const float *scores, size_t n, float bar, uint32_t *at);
};

extern const struct gn_distances_ops gn_distances_serial, gn_distances_haswell, gn_distances_skylake, gn_distances_neon;

/* 1 / |x| of a sum of squares, 0 for the zero vector. */
static inline __attribute__((unused)) float gn_inverse_norm(float squares)
{
    return squares == 0 ? 0 : 1 / __builtin_sqrtf(squares);
}

static inline __attribute__((unused)) double gn_inverse_norm64(double squares)
{
    return squares == 0 ? 0 : 1 / __builtin_sqrt(squares);
}
#endif
