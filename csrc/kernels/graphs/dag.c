/* Scores of the nodes of a DAG that a pass or two along its order give. Sums are in double, so that levels agree. */
#include "graphs/dag.h"

#include <math.h>

size_t gn_dag_scratch(size_t nodes, size_t edges, size_t width)
{
    size_t sum = 0, ends;
    if (nodes > INT32_MAX - 2 || edges > INT32_MAX || __builtin_add_overflow(edges, 2 * nodes, &ends) ||
        ends > INT32_MAX / 2)
        return SIZE_MAX;
    if (gn_graph_room(&sum, nodes + 1, sizeof(int32_t)) || gn_graph_room(&sum, nodes + 1, sizeof(int32_t)) ||
        gn_graph_room(&sum, nodes + 2, sizeof(int32_t)) || gn_graph_room(&sum, nodes, sizeof(double)) ||
        gn_graph_room(&sum, nodes, sizeof(double)) || gn_graph_room(&sum, nodes, sizeof(double)) ||
        gn_graph_room(&sum, nodes, GN_CONE_WORDS * sizeof(uint64_t)) ||
        gn_graph_room(&sum, ends, 2 * sizeof(int32_t) + sizeof(double)) || gn_graph_room(&sum, gn_flow_bytes(nodes + 2, ends), 1) ||
        gn_graph_room(&sum, width, sizeof(double)))
        return SIZE_MAX;
    return sum + 512;
}

int gn_dag_begin(struct gn_dag *it, const void *out, size_t size, void *scratch)
{
    int status = gn_csr_check(&it->graph);
    size_t nodes = it->graph.nodes;
    char *at = scratch;
    if (status != GN_K_OK)
        return status;
    if (gn_dag_scratch(nodes, it->graph.edges, 0) == SIZE_MAX)
        return GN_K_SIZE;
    if (!scratch || (nodes && !out))
        return GN_K_NULL;
    if (gn_overlap(out, nodes * size, it->graph.starts, (nodes + 1) * sizeof(int32_t)) ||
        gn_overlap(out, nodes * size, it->graph.targets, it->graph.edges * sizeof(int32_t)))
        return GN_K_OVERLAP;
    it->order = gn_take(&at, (nodes + 1) * sizeof *it->order);
    it->depths = gn_take(&at, (nodes + 1) * sizeof *it->depths);
    it->work = gn_take(&at, (nodes + 2) * sizeof *it->work);
    it->raw = gn_take(&at, nodes * sizeof *it->raw);
    it->head = gn_take(&at, nodes * sizeof *it->head);
    it->tail = gn_take(&at, nodes * sizeof *it->tail);
    it->rest = at;
    return gn_dag_order(&it->graph, it->order, it->depths, it->work, &it->levels);
}

int gn_dag_over(const struct gn_dag *it, const float *scores, const void *in, size_t bytes)
{
    return gn_overlap(scores, it->graph.nodes * sizeof *scores, in, bytes);
}

int gn_dag_depths(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, int32_t *depths,
                  void *scratch)
{
    struct gn_dag it = {.graph = {starts, targets, nodes, edges}};
    int status = gn_dag_begin(&it, depths, sizeof *depths, scratch);
    if (status == GN_K_OK && nodes)
        memcpy(depths, it.depths, nodes * sizeof *depths);
    return status;
}

int gn_dag_cone(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, size_t node, uint8_t *cone,
                void *scratch)
{
    struct gn_dag it = {.graph = {starts, targets, nodes, edges}};
    int status = gn_dag_begin(&it, cone, sizeof *cone, scratch);
    if (status != GN_K_OK)
        return status;
    if (node >= nodes)
        return GN_K_VALUE;
    memset(cone, 0, nodes);
    cone[node] = 2;
    for (size_t i = 0; i < nodes; i++) { /* what follows: along the order */
        int32_t v = it.order[i];
        if (cone[v] == 2)
            for (int32_t e = starts[v]; e < starts[v + 1]; e++)
                cone[targets[e]] = 2;
    }
    cone[node] = 1;
    for (size_t i = nodes; i-- > 0;) { /* what comes before: against it */
        int32_t v = it.order[i];
        for (int32_t e = starts[v]; e < starts[v + 1]; e++)
            if (cone[targets[e]] == 1)
                cone[v] = 1;
    }
    cone[node] = 3;
    return GN_K_OK;
}

int gn_dag_topological(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, float decay,
                       float *scores, void *scratch)
{
    struct gn_dag it = {.graph = {starts, targets, nodes, edges}};
    int status = gn_dag_begin(&it, scores, sizeof *scores, scratch);
    if (status != GN_K_OK)
        return status;
    if (!isfinite(decay))
        return GN_K_VALUE;
    for (size_t i = 0; i < nodes; i++) {
        double depth = it.depths[i], best = decay < 0 ? (double)it.levels - 1 : 0;
        it.raw[i] = exp(-(double)decay * (depth - best));
    }
    gn_dag_normal(it.raw, nodes, scores);
    return GN_K_OK;
}

int gn_dag_costs(const struct gn_dag *it, const float *cost, const float *scores)
{
    if (!cost)
        return GN_K_OK;
    if (gn_dag_over(it, scores, cost, it->graph.nodes * sizeof *cost))
        return GN_K_OVERLAP;
    for (size_t i = 0; i < it->graph.nodes; i++)
        if (!(cost[i] >= 0 && isfinite(cost[i])))
            return GN_K_VALUE;
    return GN_K_OK;
}

/* tail[v]: the cost of the heaviest path that begins with v. */
static void tails(struct gn_dag *it, const float *cost)
{
    const struct gn_csr *g = &it->graph;
    for (size_t i = g->nodes; i-- > 0;) {
        int32_t v = it->order[i];
        double most = 0;
        for (int32_t e = g->starts[v]; e < g->starts[v + 1]; e++)
            most = it->tail[g->targets[e]] > most ? it->tail[g->targets[e]] : most;
        it->tail[v] = most + (cost ? (double)cost[v] : 1);
    }
}

int gn_dag_critical_path(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, const float *cost,
                         float sharpness, float *scores, float *slack, double *length, void *scratch)
{
    struct gn_dag it = {.graph = {starts, targets, nodes, edges}};
    int status = gn_dag_begin(&it, scores, sizeof *scores, scratch);
    double whole = 0;
    if (status == GN_K_OK)
        status = gn_dag_costs(&it, cost, scores);
    if (status != GN_K_OK)
        return status;
    if (!(sharpness >= 0 && isfinite(sharpness)))
        return GN_K_VALUE;
    if (slack && (gn_dag_over(&it, slack, scores, nodes * sizeof *scores) ||
                  (cost && gn_dag_over(&it, slack, cost, nodes * sizeof *cost)) ||
                  gn_dag_over(&it, slack, starts, (nodes + 1) * sizeof *starts) ||
                  gn_dag_over(&it, slack, targets, edges * sizeof *targets)))
        return GN_K_OVERLAP;
    tails(&it, cost);
    for (size_t i = 0; i < nodes; i++)
        it.head[i] = 0;
    for (size_t i = 0; i < nodes; i++) { /* head: the heaviest path that ends just before the node */
        int32_t v = it.order[i];
        double here = it.head[v] + (cost ? (double)cost[v] : 1);
        for (int32_t e = starts[v]; e < starts[v + 1]; e++)
            if (it.head[targets[e]] < here)
                it.head[targets[e]] = here;
        whole = it.head[v] + it.tail[v] > whole ? it.head[v] + it.tail[v] : whole;
    }
    for (size_t i = 0; i < nodes; i++) {
        double lost = whole - (it.head[i] + it.tail[i]);
        it.raw[i] = whole > 0 ? exp(-(double)sharpness * lost / whole) : 1;
        if (slack)
            slack[i] = (float)lost;
    }
    if (length)
        *length = whole;
    gn_dag_normal(it.raw, nodes, scores);
    return GN_K_OK;
}

/* share[v] = (tail[v] / the longest)^balance: ratios are what counts, and no power overflows. */
static void shares(struct gn_dag *it, float balance, double *share)
{
    double longest = 0;
    for (size_t i = 0; i < it->graph.nodes; i++)
        longest = it->tail[i] > longest ? it->tail[i] : longest;
    for (size_t i = 0; i < it->graph.nodes; i++)
        share[i] = balance == 0 ? 1 : longest > 0 ? pow(it->tail[i] / longest, balance) : 0;
}

static void split(const int32_t *to, size_t count, double mass, const double *share, double *raw)
{
    double whole = 0;
    for (size_t i = 0; i < count; i++)
        whole += share[to[i]];
    for (size_t i = 0; i < count; i++)
        raw[to[i]] += whole > 0 ? mass * (share[to[i]] / whole) : mass / (double)count;
}

int gn_dag_parallel_branch(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, const float *cost,
                           float balance, float *scores, void *scratch)
{
    struct gn_dag it = {.graph = {starts, targets, nodes, edges}};
    int status = gn_dag_begin(&it, scores, sizeof *scores, scratch);
    size_t roots = 0;
    if (status == GN_K_OK)
        status = gn_dag_costs(&it, cost, scores);
    if (status != GN_K_OK)
        return status;
    if (!(balance >= 0 && balance <= 16))
        return GN_K_VALUE;
    tails(&it, cost);
    shares(&it, balance, it.head);
    for (size_t i = 0; i < nodes; i++)
        it.raw[i] = 0;
    while (roots < nodes && it.depths[it.order[roots]] == 0)
        roots++;
    split(it.order, roots, 1, it.head, it.raw);
    for (size_t i = 0; i < nodes; i++) {
        int32_t v = it.order[i];
        split(targets + starts[v], (size_t)(starts[v + 1] - starts[v]), it.raw[v], it.head, it.raw);
    }
    gn_dag_normal(it.raw, nodes, scores);
    return GN_K_OK;
}

static double eligibility(double when, double now, double tau)
{
    return when <= now && when > -INFINITY ? exp((when - now) / tau) : 0;
}

static int temporal_values(const struct gn_dag *it, const double *when, const float *signal, const float *scores)
{
    if (it->graph.nodes && (!when || !signal))
        return GN_K_NULL;
    if (gn_dag_over(it, scores, when, it->graph.nodes * sizeof *when) ||
        gn_dag_over(it, scores, signal, it->graph.nodes * sizeof *signal))
        return GN_K_OVERLAP;
    for (size_t i = 0; i < it->graph.nodes; i++)
        if (!(signal[i] >= 0 && isfinite(signal[i])))
            return GN_K_VALUE;
    return GN_K_OK;
}

int gn_dag_temporal(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, const double *when,
                    const float *signal, double now, double tau, float gain, float discount, float *scores,
                    void *scratch)
{
    struct gn_dag it = {.graph = {starts, targets, nodes, edges}};
    int status = gn_dag_begin(&it, scores, sizeof *scores, scratch);
    if (status == GN_K_OK)
        status = temporal_values(&it, when, signal, scores);
    if (status != GN_K_OK)
        return status;
    if (!isfinite(now) || !(tau > 0 && isfinite(tau)) || !(gain >= 0 && isfinite(gain)) ||
        !(discount >= 0 && discount <= 1))
        return GN_K_VALUE;
    for (size_t i = nodes; i-- > 0;) {
        int32_t v = it.order[i];
        double credit = 0;
        for (int32_t e = starts[v]; e < starts[v + 1]; e++)
            credit = it.tail[targets[e]] > credit ? it.tail[targets[e]] : credit;
        credit *= discount;
        it.tail[v] = credit > (double)signal[v] ? credit : (double)signal[v];
        it.raw[v] = eligibility(when[v], now, tau) * (1 + (double)gain * it.tail[v]);
    }
    gn_dag_normal(it.raw, nodes, scores);
    return GN_K_OK;
}
