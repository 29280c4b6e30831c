/* Maximum flow from one node to another (Dinic 1970): shortest paths over residual arcs, by levels; and what it cuts.
 *
 * Residual arcs go both ways: what an earlier path took may be given back. A path takes the least of its arcs, which is
 * then exactly 0, so every phase ends and the next has longer paths, whatever the rounding.
 */
#include "graphs/dag.h"

#include <math.h>

size_t gn_flow_bytes(size_t nodes, size_t edges)
{
    size_t sum = 0;
    if (edges > INT32_MAX / 2 || gn_graph_room(&sum, nodes + 1, sizeof(int32_t)) || gn_graph_room(&sum, nodes, sizeof(int32_t)) ||
        gn_graph_room(&sum, nodes, sizeof(int32_t)) || gn_graph_room(&sum, nodes, sizeof(int32_t)) ||
        gn_graph_room(&sum, 2 * edges, sizeof(int32_t)) || gn_graph_room(&sum, 2 * edges, sizeof(int32_t)) ||
        gn_graph_room(&sum, 2 * edges, sizeof(double)))
        return SIZE_MAX / 2;
    return sum;
}

void gn_flow_place(struct gn_flow *it, size_t nodes, size_t edges, char **at)
{
    it->nodes = nodes;
    it->arcs = 2 * edges;
    it->first = gn_take(at, (nodes + 1) * sizeof *it->first);
    it->level = gn_take(at, nodes * sizeof *it->level);
    it->next = gn_take(at, nodes * sizeof *it->next);
    it->queue = gn_take(at, nodes * sizeof *it->queue);
    it->to = gn_take(at, it->arcs * sizeof *it->to);
    it->mate = gn_take(at, it->arcs * sizeof *it->mate);
    it->left = gn_take(at, it->arcs * sizeof *it->left);
}

void gn_flow_arcs(struct gn_flow *it, const int32_t *from, const int32_t *to, const double *capacity, size_t edges,
                  int both)
{
    int32_t *first = it->first, *next = it->next;
    memset(first, 0, (it->nodes + 1) * sizeof *first);
    for (size_t i = 0; i < edges; i++) {
        first[from[i] + 1]++;
        first[to[i] + 1]++;
    }
    for (size_t v = 0; v < it->nodes; v++) {
        first[v + 1] += first[v];
        next[v] = first[v];
    }
    for (size_t i = 0; i < edges; i++) {
        int32_t there = next[from[i]]++, back = next[to[i]]++;
        double room = capacity ? capacity[i] : 1;
        it->to[there] = to[i];
        it->to[back] = from[i];
        it->mate[there] = back;
        it->mate[back] = there;
        it->left[there] = room;
        it->left[back] = both ? room : 0;
    }
}

/* Distances from the source, no further than the sink's; whether it has one. When not, all that can be reached has. */
static int levels_from(struct gn_flow *it, int32_t source, int32_t sink)
{
    size_t done = 0, found = 1;
    for (size_t v = 0; v < it->nodes; v++)
        it->level[v] = -1;
    it->level[source] = 0;
    it->queue[0] = source;
    for (; done < found && it->level[sink] < 0; done++) {
        int32_t v = it->queue[done];
        for (int32_t a = it->first[v]; a < it->first[v + 1]; a++)
            if (it->left[a] > 0 && it->level[it->to[a]] < 0) {
                it->level[it->to[a]] = it->level[v] + 1;
                it->queue[found++] = it->to[a];
            }
    }
    return it->level[sink] >= 0;
}

/* Sends the least capacity along the path of arcs in queue[0..length); returns it, and in *back the first arc it
 * filled: the search goes on from there. */
static double send(struct gn_flow *it, size_t length, size_t *back)
{
    double most = INFINITY;
    for (size_t i = length; i-- > 0;)
        most = it->left[it->queue[i]] < most ? it->left[it->queue[i]] : most;
    for (size_t i = length; i-- > 0;) {
        int32_t a = it->queue[i];
        it->left[a] -= most;
        it->left[it->mate[a]] += most;
        if (!(it->left[a] > 0))
            *back = i;
    }
    return most;
}

/* Fills every shortest path: depth first, the path's arcs in queue, each node's next arc remembered. */
static double fill_paths(struct gn_flow *it, int32_t source, int32_t sink)
{
    double sum = 0;
    size_t length = 0;
    int32_t v = source;
    memcpy(it->next, it->first, it->nodes * sizeof *it->next);
    for (;;) {
        if (v == sink) {
            sum += send(it, length, &length);
            v = it->to[it->mate[it->queue[length]]];
            continue;
        }
        int32_t a = it->next[v];
        while (a < it->first[v + 1] && !(it->left[a] > 0 && it->level[it->to[a]] == it->level[v] + 1))
            a++;
        it->next[v] = a;
        if (a < it->first[v + 1]) {
            it->queue[length++] = a;
            v = it->to[a];
        } else if (length) { /* nothing leads on from here: step back and pass this arc by */
            v = it->to[it->mate[it->queue[--length]]];
            it->next[v]++;
        } else {
            return sum;
        }
    }
}

double gn_flow_max(struct gn_flow *it, int32_t source, int32_t sink)
{
    double sum = 0;
    while (levels_from(it, source, sink))
        sum += fill_paths(it, source, sink);
    return sum;
}

/* The graph's edges, and one from a node before all roots, one to a node after all leaves, that nothing limits. */
static size_t network(const struct gn_dag *it, const double *capacity, double limit, int32_t *from, int32_t *to,
                      double *room)
{
    const struct gn_csr *g = &it->graph;
    size_t count = g->edges;
    int32_t source = (int32_t)g->nodes, sink = source + 1;
    for (size_t v = 0; v < g->nodes; v++) {
        int leaf = g->starts[v] == g->starts[v + 1];
        for (int32_t e = g->starts[v]; e < g->starts[v + 1]; e++) {
            from[e] = (int32_t)v;
            to[e] = g->targets[e];
            room[e] = capacity ? capacity[e] : 1;
        }
        if (leaf != (it->depths[v] == 0)) { /* a node that is both would carry without limit */
            from[count] = leaf ? (int32_t)v : source;
            to[count] = leaf ? sink : (int32_t)v;
            room[count++] = limit;
        }
    }
    return count;
}

static int capacities(const double *capacity, size_t edges, double *sum)
{
    *sum = capacity ? 0 : (double)edges;
    for (size_t i = 0; capacity && i < edges; i++) {
        if (!(capacity[i] >= 0 && capacity[i] <= GN_CUT_WEIGHT_MAX))
            return GN_K_VALUE;
        *sum += capacity[i];
    }
    return GN_K_OK;
}

/* What of the cut touches each node, by the most any has. */
static void gate(struct gn_dag *it, const struct gn_flow *flow, const double *capacity, float leak)
{
    const struct gn_csr *g = &it->graph;
    double most = 0;
    for (size_t v = 0; v < g->nodes; v++)
        it->raw[v] = 0;
    for (size_t v = 0; v < g->nodes; v++)
        for (int32_t e = g->starts[v]; e < g->starts[v + 1]; e++) {
            double room = capacity ? capacity[e] : 1;
            if (flow->level[v] >= 0 && flow->level[g->targets[e]] < 0) {
                it->raw[v] += room;
                it->raw[g->targets[e]] += room;
            }
        }
    for (size_t v = 0; v < g->nodes; v++)
        most = it->raw[v] > most ? it->raw[v] : most;
    for (size_t v = 0; v < g->nodes; v++)
        it->raw[v] = most > 0 ? leak + (1 - (double)leak) * (it->raw[v] / most) : 1;
}

int gn_dag_min_cut_gated(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges,
                         const double *capacity, float leak, float *scores, double *flow_value, uint8_t *side,
                         void *scratch)
{
    struct gn_dag it = {.graph = {starts, targets, nodes, edges}};
    struct gn_flow flow;
    int status = gn_dag_begin(&it, scores, sizeof *scores, scratch);
    size_t ends, count;
    double limit, sum, *room;
    int32_t *from, *to;
    if (status != GN_K_OK)
        return status;
    if (gn_dag_over(&it, scores, capacity, edges * sizeof *capacity) || gn_dag_over(&it, scores, side, nodes) ||
        gn_overlap(side, nodes, capacity, edges * sizeof *capacity) ||
        gn_overlap(side, nodes, targets, edges * sizeof *targets) ||
        gn_overlap(side, nodes, starts, (nodes + 1) * sizeof *starts))
        return GN_K_OVERLAP;
    if (capacities(capacity, edges, &limit) != GN_K_OK || !(leak >= 0 && leak <= 1))
        return GN_K_VALUE;
    ends = edges + 2 * nodes;
    from = gn_take(&it.rest, ends * sizeof *from);
    to = gn_take(&it.rest, ends * sizeof *to);
    room = gn_take(&it.rest, ends * sizeof *room);
    count = network(&it, capacity, 2 * limit + 1, from, to, room);
    gn_flow_place(&flow, nodes + 2, count, &it.rest);
    gn_flow_arcs(&flow, from, to, room, count, 0);
    sum = gn_flow_max(&flow, (int32_t)nodes, (int32_t)nodes + 1);
    gate(&it, &flow, capacity, leak);
    for (size_t v = 0; side && v < nodes; v++)
        side[v] = flow.level[v] >= 0;
    if (flow_value)
        *flow_value = sum;
    gn_dag_normal(it.raw, nodes, scores);
    return GN_K_OK;
}

int gn_edges_check(const int32_t *sources, const int32_t *targets, const double *weights, size_t edges, size_t nodes)
{
    int wrong = 0;
    double sum;
    if (nodes > INT32_MAX - 2 || edges > INT32_MAX / 2)
        return GN_K_SIZE;
    if (edges && (!sources || !targets))
        return GN_K_NULL;
    for (size_t i = 0; i < edges; i++)
        wrong |= (uint32_t)sources[i] >= (uint32_t)nodes || (uint32_t)targets[i] >= (uint32_t)nodes;
    return wrong ? GN_K_VALUE : capacities(weights, edges, &sum);
}

size_t gn_st_min_cut_scratch(size_t nodes, size_t edges)
{
    size_t bytes = nodes > INT32_MAX - 2 ? SIZE_MAX : gn_flow_bytes(nodes, edges);
    return bytes >= SIZE_MAX / 2 ? SIZE_MAX : bytes;
}

int gn_st_min_cut(const int32_t *sources, const int32_t *targets, const double *weights, size_t edges, size_t nodes,
                  size_t source, size_t sink, int directed, double *value, uint8_t *side, void *scratch)
{
    struct gn_flow flow;
    char *at = scratch;
    int status = gn_edges_check(sources, targets, weights, edges, nodes);
    if (status != GN_K_OK)
        return status;
    if (source >= nodes || sink >= nodes || source == sink)
        return GN_K_VALUE;
    if (!value || !scratch)
        return GN_K_NULL;
    if (gn_overlap(side, nodes, sources, edges * sizeof *sources) ||
        gn_overlap(side, nodes, targets, edges * sizeof *targets) ||
        gn_overlap(side, nodes, weights, edges * sizeof *weights))
        return GN_K_OVERLAP;
    gn_flow_place(&flow, nodes, edges, &at);
    gn_flow_arcs(&flow, sources, targets, weights, edges, !directed);
    *value = gn_flow_max(&flow, (int32_t)source, (int32_t)sink);
    for (size_t v = 0; side && v < nodes; v++)
        side[v] = flow.level[v] >= 0;
    return GN_K_OK;
}
