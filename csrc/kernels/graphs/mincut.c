/* The global minimum cut: checks, and which form of the search. */
#include "graphs/cut.h"

#include <math.h>

/* Measured on random graphs of 32 to 1,600 nodes: the matrix wins above about nodes^2 / 16 edges, and later when it leaves
 * the second-level cache. */
enum { MATRIX_NODES_MAX = 8192, CACHED_NODES = 1024, CACHED_SHARE = 16, SHARE = 8 };

static int use_matrix(size_t nodes, size_t edges)
{
    return nodes <= MATRIX_NODES_MAX && nodes * nodes / (nodes <= CACHED_NODES ? CACHED_SHARE : SHARE) <= edges;
}

size_t gn_cut_search_bytes(size_t nodes, size_t edges)
{
    size_t sum = 0;
    if (nodes > INT32_MAX - 2 || edges > INT32_MAX / 2 || gn_graph_room(&sum, nodes, sizeof(int32_t)) ||
        gn_graph_room(&sum, nodes, sizeof(int32_t)) || gn_graph_room(&sum, nodes, 1) ||
        gn_graph_room(&sum, use_matrix(nodes, edges) ? gn_cut_matrix_bytes(nodes) : gn_cut_lists_bytes(nodes, edges), 1))
        return SIZE_MAX;
    return sum;
}

void gn_cut_search(struct gn_cut *it, const struct gn_cut_edges *edges, void *scratch)
{
    char *at = scratch;
    uint8_t *side;
    it->label = gn_take(&at, it->nodes * sizeof *it->label);
    it->parent = gn_take(&at, it->nodes * sizeof *it->parent);
    side = gn_take(&at, it->nodes);
    if (!it->side)
        it->side = side;
    it->found = 0;
    for (size_t i = 0; i < it->nodes; i++)
        it->label[i] = (int32_t)i;
    if (use_matrix(it->nodes, edges->count))
        gn_cut_matrix(it, edges, at);
    else
        gn_cut_lists(it, edges, at);
}

void gn_cut_star(struct gn_cut *it, double value, int32_t vertex)
{
    if (!(value < it->best))
        return;
    it->best = value;
    it->found = 1;
    for (size_t i = 0; i < it->nodes; i++)
        it->side[i] = it->label[i] == vertex;
}

void gn_cut_prefix(struct gn_cut *it, double value, const int32_t *place, int32_t end)
{
    if (!(value < it->best))
        return;
    it->best = value;
    it->found = 1;
    for (size_t i = 0; i < it->nodes; i++)
        it->side[i] = place[it->label[i]] < end;
}

size_t gn_min_cut_scratch(size_t nodes, size_t edges) { return gn_cut_search_bytes(nodes, edges); }

int gn_min_cut(const int32_t *sources, const int32_t *targets, const double *weights, size_t edges, size_t nodes,
               double *value, uint8_t *side, void *scratch)
{
    struct gn_cut cut = {.nodes = nodes, .best = INFINITY, .side = side};
    struct gn_cut_edges list = {sources, targets, weights, edges};
    int status = gn_edges_check(sources, targets, weights, edges, nodes);
    if (status != GN_K_OK)
        return status;
    if (nodes < 2 || gn_min_cut_scratch(nodes, edges) == SIZE_MAX)
        return GN_K_SIZE;
    if (!value || !scratch)
        return GN_K_NULL;
    if (gn_overlap(side, nodes, sources, edges * sizeof *sources) ||
        gn_overlap(side, nodes, targets, edges * sizeof *targets) ||
        gn_overlap(side, nodes, weights, edges * sizeof *weights))
        return GN_K_OVERLAP;
    gn_cut_search(&cut, &list, scratch);
    *value = cut.best;
    if (cut.side[0])
        for (size_t i = 0; i < nodes; i++)
            cut.side[i] ^= 1;
    return GN_K_OK;
}
