/* For the graphs' own files: the check of a graph, overlaps, scratch in parts, the order of a DAG. */
#ifndef GN_KERNELS_GRAPHS_GRAPH_H
#define GN_KERNELS_GRAPHS_GRAPH_H
#include "base/sizes.h"
#include "ganglion/kernels/graphs.h"
#include "graphs/ops.h"

#include <string.h>

#define GN_CUT_WEIGHT_MAX 1e298 /* sums of 2^31 of them stay finite */

struct gn_csr {
    const int32_t *starts, *targets;
    size_t nodes, edges;
};

int gn_csr_check(const struct gn_csr *graph);

static inline const struct gn_graphs_ops *gn_graphs(void)
{
    static const struct gn_graphs_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_graphs);
    return levels[gn_isa_level];
}

/* Parts of a scratch, each on a cache line. */
static inline void *gn_take(char **at, size_t bytes)
{
    char *here = *at;
    *at += (bytes + 63) / 64 * 64;
    return here;
}

/* Bytes for `count` things of `size`, added to *sum; 1 on overflow. */
static inline int gn_graph_room(size_t *sum, size_t count, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(count, size, &bytes) || __builtin_add_overflow(bytes, 63, &bytes) ||
           __builtin_add_overflow(*sum, bytes / 64 * 64, sum) || *sum > PTRDIFF_MAX;
}

/* order[nodes]: nodes by depth, those of a depth by number; depths[nodes]. *levels how many depths there are.
 * GN_K_VALUE: a cycle. work: nodes + 1 entries. */
int gn_dag_order(const struct gn_csr *graph, int32_t *order, int32_t *depths, int32_t *work, size_t *levels);

/* scores = raw / sum of raw, or all the same when the sum is 0; raw is finite and >= 0. */
void gn_dag_normal(const double *raw, size_t nodes, float *scores);

/* A flow network. Arc a leads to `to[a]` with `left[a]` capacity left; its opposite is mate[a]. Arcs of node v are
 * first[v] up to first[v + 1]. gn_flow_max needs level, next and queue (nodes entries each). */
struct gn_flow {
    size_t nodes, arcs;
    int32_t *first, *to, *mate;
    double *left;
    int32_t *level, *next, *queue;
};
size_t gn_flow_bytes(size_t nodes, size_t edges);
void gn_flow_place(struct gn_flow *it, size_t nodes, size_t edges, char **at);
/* Lays out the arcs of edges from -> to (capacity NULL: 1); `both`: as much room back, else none. */
void gn_flow_arcs(struct gn_flow *it, const int32_t *from, const int32_t *to, const double *capacity, size_t edges,
                  int both);
/* The maximum flow; level[v] >= 0 afterwards on the source's smallest side. */
double gn_flow_max(struct gn_flow *it, int32_t source, int32_t sink);

/* Ends are nodes, weights (NULL: 1) in 0..GN_CUT_WEIGHT_MAX. */
int gn_edges_check(const int32_t *sources, const int32_t *targets, const double *weights, size_t edges, size_t nodes);
#endif
