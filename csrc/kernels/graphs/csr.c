/* Graphs in CSR form: whether they are, and the order of a DAG. */
#include "graphs/graph.h"

int gn_csr_check(const struct gn_csr *graph)
{
    const int32_t *starts = graph->starts, *targets = graph->targets;
    int32_t wrong = 0;
    if (graph->nodes > INT32_MAX - 2 || graph->edges > INT32_MAX)
        return GN_K_SIZE;
    if (!starts || (!targets && graph->edges))
        return GN_K_NULL;
    if (starts[0] != 0 || starts[graph->nodes] != (int32_t)graph->edges)
        return GN_K_VALUE;
    for (size_t i = 0; i < graph->nodes; i++)
        wrong |= starts[i] > starts[i + 1];
    if (wrong)
        return GN_K_VALUE;
    for (size_t i = 0; i < graph->edges; i++)
        wrong |= (uint32_t)targets[i] >= (uint32_t)graph->nodes;
    return wrong ? GN_K_VALUE : GN_K_OK;
}

/* Nodes by depth, by a counting sort; within a depth they come in the order of their numbers. */
static void sort_depths(const struct gn_csr *graph, const int32_t *depths, size_t levels, int32_t *order, int32_t *work)
{
    memset(work, 0, (levels + 1) * sizeof *work);
    for (size_t i = 0; i < graph->nodes; i++)
        work[depths[i] + 1]++;
    for (size_t i = 0; i < levels; i++)
        work[i + 1] += work[i];
    for (size_t i = 0; i < graph->nodes; i++)
        order[work[depths[i]]++] = (int32_t)i;
}

/* Kahn 1962: `work` counts the edges that still lead to a node. */
int gn_dag_order(const struct gn_csr *graph, int32_t *order, int32_t *depths, int32_t *work, size_t *levels)
{
    size_t done = 0, found = 0, nodes = graph->nodes;
    int32_t deepest = -1;
    if (nodes)
        memset(work, 0, nodes * sizeof *work);
    for (size_t i = 0; i < graph->edges; i++)
        work[graph->targets[i]]++;
    for (size_t i = 0; i < nodes; i++) {
        depths[i] = 0;
        if (!work[i])
            order[found++] = (int32_t)i;
    }
    for (; done < found; done++) {
        int32_t v = order[done], next = depths[v] + 1;
        if (depths[v] > deepest)
            deepest = depths[v];
        for (int32_t e = graph->starts[v]; e < graph->starts[v + 1]; e++) {
            int32_t t = graph->targets[e];
            if (depths[t] < next)
                depths[t] = next;
            if (--work[t] == 0)
                order[found++] = t;
        }
    }
    *levels = (size_t)(deepest + 1);
    if (done < nodes)
        return GN_K_VALUE;
    sort_depths(graph, depths, *levels, order, work);
    return GN_K_OK;
}

void gn_dag_normal(const double *raw, size_t nodes, float *scores)
{
    double sum = 0;
    for (size_t i = 0; i < nodes; i++)
        sum += raw[i];
    for (size_t i = 0; i < nodes; i++)
        scores[i] = (float)(sum > 0 ? raw[i] / sum : 1.0 / (double)nodes);
}
