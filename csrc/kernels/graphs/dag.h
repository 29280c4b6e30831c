/* What the scores of a DAG share: the checked graph, its order, and arrays of the scratch. */
#ifndef GN_KERNELS_GRAPHS_DAG_H
#define GN_KERNELS_GRAPHS_DAG_H
#include "graphs/graph.h"

enum { GN_CONE_WORDS = 8 }; /* of 64 nodes each, that the causal cone follows at a time */

struct gn_dag {
    struct gn_csr graph;
    int32_t *order, *depths, *work;
    double *raw, *head, *tail;
    char *rest; /* the scratch that is left */
    size_t levels;
};

/* Fills in all but the graph, which is given; out is where the results go, `size` bytes a node. */
int gn_dag_begin(struct gn_dag *it, const void *out, size_t size, void *scratch);
int gn_dag_over(const struct gn_dag *it, const float *scores, const void *in, size_t bytes);
/* GN_K_OK, GN_K_OVERLAP or GN_K_VALUE: costs are finite and >= 0. */
int gn_dag_costs(const struct gn_dag *it, const float *cost, const float *scores);
#endif
