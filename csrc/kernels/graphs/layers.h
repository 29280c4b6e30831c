/* What the layers share. */
#ifndef GN_KERNELS_GRAPHS_LAYERS_H
#define GN_KERNELS_GRAPHS_LAYERS_H
#include "graphs/graph.h"

enum { GN_NODES_PART = 64 }; /* nodes a thread takes at a time */

/* The graph, that nodes * in and nodes * width can be sizes, x and out present and apart. */
int gn_layer_check(const struct gn_csr *graph, const float *x, size_t in, const float *out, size_t width);
int gn_over(const float *out, size_t out_rows, size_t out_width, const float *in, size_t rows, size_t width);

/* Each row of y: + add + bias; or max(0, row + bias); then to length 1. */
struct gn_finish {
    float *y;
    const float *add, *bias;
    size_t nodes, width;
    int relu, normalise;
};
void gn_finish_rows(struct gn_finish *it, gn_pool *pool);
#endif
