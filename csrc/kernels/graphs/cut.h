/* A search for the global minimum cut: what its two forms (matrix, lists) share. */
#ifndef GN_KERNELS_GRAPHS_CUT_H
#define GN_KERNELS_GRAPHS_CUT_H
#include "graphs/graph.h"

struct gn_cut_edges {
    const int32_t *sources, *targets;
    const double *weights; /* NULL: all 1 */
    size_t count;
};

/* The search contracts vertices, never two that a cut below `best` separates, until one is left. */
struct gn_cut {
    size_t nodes;
    double best;     /* the least cut known; in: an upper bound, or infinity */
    double floor;    /* no cut is below: found, the search ends */
    int found;       /* a cut below the bound given was found, and side says which */
    uint8_t *side;   /* [nodes] */
    int32_t *label;  /* [nodes]: the vertex a node is in */
    int32_t *parent; /* [nodes]: vertices to be contracted into one; a root is its set's least */
};

/* Bytes for gn_cut_search, side included. */
size_t gn_cut_search_bytes(size_t nodes, size_t edges);
/* The least cut below it->best. it->side may be NULL: scratch is used. Edges are checked; nodes >= 2. */
void gn_cut_search(struct gn_cut *it, const struct gn_cut_edges *edges, void *scratch);

size_t gn_cut_matrix_bytes(size_t nodes);
void gn_cut_matrix(struct gn_cut *it, const struct gn_cut_edges *edges, char *at);
size_t gn_cut_lists_bytes(size_t nodes, size_t edges);
void gn_cut_lists(struct gn_cut *it, const struct gn_cut_edges *edges, char *at);

static inline int32_t gn_cut_root(int32_t *parent, int32_t v)
{
    while (parent[v] != v)
        v = parent[v] = parent[parent[v]];
    return v;
}

static inline void gn_cut_join(int32_t *parent, int32_t a, int32_t b)
{
    a = gn_cut_root(parent, a);
    b = gn_cut_root(parent, b);
    if (a < b)
        parent[b] = a;
    else
        parent[a] = b;
}

/* A cut of that value, if it is less: one vertex against the others, or those with place[v] < end. */
void gn_cut_star(struct gn_cut *it, double value, int32_t vertex);
void gn_cut_prefix(struct gn_cut *it, double value, const int32_t *place, int32_t end);
#endif
