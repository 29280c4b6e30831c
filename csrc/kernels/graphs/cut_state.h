/* The kept minimum cut's arrays, inside the caller's state. */
#ifndef GN_KERNELS_GRAPHS_CUT_STATE_H
#define GN_KERNELS_GRAPHS_CUT_STATE_H
#include "graphs/cut.h"

struct gn_cut_header {
    uint64_t nodes, room, edges;
    double value, carry; /* their sum is the minimum: two parts, so that updates lose nothing (Knuth's two-sum) */
    uint32_t epoch, unused;
};

struct gn_cut_state {
    struct gn_cut_header *header;
    size_t nodes;
    double *weights, *flow; /* by edge; flow goes from source to target and is 0 between calls */
    int32_t *sources, *targets, *touched, *heads, *counts, *arcs, *queue, *next;
    uint32_t *stamps; /* by node: which search reached it, from which end */
    double *degrees;
    uint8_t *side;
};

/* The other end of a half edge. */
static inline int32_t gn_half_end(const struct gn_cut_state *it, int32_t half)
{
    return half & 1 ? it->sources[half / 2] : it->targets[half / 2];
}

/* Whether the least cut that parts u and v is below `bound`; then it->side is that cut and *value what it weighs. */
int gn_cut_flow(struct gn_cut_state *it, int32_t u, int32_t v, double bound, double *value);
#endif
