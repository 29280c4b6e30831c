/* Graph attention: products, two numbers a node and head, then a softmax and a sum a node and head. */
#include "graphs/layers.h"

#include "base/pool.h"
#include "ganglion/kernels/matrix.h"

#include <math.h>

struct gat {
    struct gn_csr graph;
    const float *z, *a_self, *a_neighbour, *bias;
    float *own, *other, *out, *attention, *logits;
    size_t heads, each, logits_room;
    float slope;
    int self_loops, mean;
};

static void ends_part(void *job, size_t part, int worker)
{
    const struct gat *it = job;
    const struct gn_graphs_ops *ops = gn_graphs();
    size_t end = (part + 1) * GN_NODES_PART < it->graph.nodes ? (part + 1) * GN_NODES_PART : it->graph.nodes;
    (void)worker;
    for (size_t i = part * GN_NODES_PART * it->heads; i < end * it->heads; i++) {
        size_t h = i % it->heads;
        it->own[i] = ops->dot(it->z + i * it->each, it->a_self + h * it->each, it->each);
        it->other[i] = ops->dot(it->z + i * it->each, it->a_neighbour + h * it->each, it->each);
    }
}

static float leaky(const struct gat *it, float e) { return e < 0 ? it->slope * e : e; }

/* The weights of what node i reads, in e[]; when loops are ours, an edge to itself has the logit -infinity: no weight. */
static void node_weights(const struct gat *it, size_t i, size_t h, float *e)
{
    const int32_t *targets = it->graph.targets + it->graph.starts[i];
    size_t count = (size_t)(it->graph.starts[i + 1] - it->graph.starts[i]);
    float own = it->own[i * it->heads + h];
    for (size_t j = 0; j < count; j++)
        e[j] = leaky(it, own + it->other[(size_t)targets[j] * it->heads + h]);
    if (it->self_loops) {
        for (size_t j = 0; j < count; j++)
            if ((size_t)targets[j] == i)
                e[j] = -INFINITY;
        e[count++] = leaky(it, own + it->other[i * it->heads + h]);
    }
    gn_graphs()->softmax(e, count);
    if (it->attention)
        for (size_t j = 0; j < count - (size_t)(it->self_loops != 0); j++)
            it->attention[((size_t)it->graph.starts[i] + j) * it->heads + h] = e[j];
}

static void gat_node(const struct gat *it, size_t i, float *e, float *heads_out)
{
    const struct gn_graphs_ops *ops = gn_graphs();
    size_t all = it->heads * it->each, count = (size_t)(it->graph.starts[i + 1] - it->graph.starts[i]);
    float *out = it->mean ? it->out + i * it->each : it->out + i * all;
    for (size_t h = 0; h < it->heads; h++) {
        struct gn_row row = {it->graph.targets + it->graph.starts[i], e, NULL, count, it->z + h * it->each, all,
                             it->each};
        float *to = it->mean && h ? heads_out : it->mean ? out : out + h * it->each;
        node_weights(it, i, h, e);
        if (it->self_loops)
            ops->sum(&row, e[count], it->z + i * all + h * it->each, 1, to);
        else
            ops->sum(&row, 0, NULL, 1, to);
        if (it->mean && h)
            ops->finish(out, 1, heads_out, NULL, it->each);
    }
    if (it->mean)
        ops->finish(out, 1.0f / (float)it->heads, NULL, it->bias, it->each);
    else if (it->bias)
        ops->finish(out, 1, NULL, it->bias, all);
}

static void gat_part(void *job, size_t part, int worker)
{
    const struct gat *it = job;
    size_t end = (part + 1) * GN_NODES_PART < it->graph.nodes ? (part + 1) * GN_NODES_PART : it->graph.nodes;
    float *e = it->logits + (size_t)worker * it->logits_room;
    for (size_t i = part * GN_NODES_PART; i < end; i++)
        gat_node(it, i, e, e + it->logits_room - (it->each + 15) / 16 * 16);
}

static int gat_check(const struct gat *it, const float *x, size_t in, const float *w, size_t all, size_t width)
{
    int status = gn_layer_check(&it->graph, x, in, it->out, width);
    size_t rows = it->graph.nodes;
    if (status != GN_K_OK)
        return status;
    if ((in && all && !w) || (all && (!it->a_self || !it->a_neighbour)))
        return GN_K_NULL;
    if (gn_over(it->out, rows, width, w, all, in) || gn_over(it->out, rows, width, it->a_self, all, 1) ||
        gn_over(it->out, rows, width, it->a_neighbour, all, 1) || gn_over(it->out, rows, width, it->bias, width, 1))
        return GN_K_OVERLAP;
    if (it->attention) {
        const float *a = it->attention;
        size_t n = it->graph.edges * it->heads;
        if (gn_over(a, n, 1, it->out, rows, width) || gn_over(a, n, 1, x, rows, in) || gn_over(a, n, 1, w, all, in) ||
            gn_over(a, n, 1, it->a_self, all, 1) || gn_over(a, n, 1, it->a_neighbour, all, 1) ||
            gn_over(a, n, 1, it->bias, width, 1) ||
            gn_overlap(a, n * sizeof *a, it->graph.starts, (rows + 1) * sizeof(int32_t)) ||
            gn_overlap(a, n * sizeof *a, it->graph.targets, it->graph.edges * sizeof(int32_t)))
            return GN_K_OVERLAP;
    }
    return GN_K_OK;
}

int gn_gat(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, const float *x, size_t in,
           const float *w, const float *a_self, const float *a_neighbour, const float *bias, size_t heads, size_t each,
           float slope, int self_loops, int mean, float *out, float *attention, void *scratch, gn_pool *pool)
{
    struct gat it = {.graph = {starts, targets, nodes, edges}, .a_self = a_self, .a_neighbour = a_neighbour,
                     .bias = bias, .out = out, .attention = attention, .heads = heads, .each = each, .slope = slope,
                     .self_loops = self_loops != 0, .mean = mean != 0};
    size_t all, size, weights_all, parts = (nodes + GN_NODES_PART - 1) / GN_NODES_PART, longest = 0;
    char *at = scratch;
    float *z;
    int status;
    if (!heads || !each || __builtin_mul_overflow(heads, each, &all) || __builtin_mul_overflow(heads, edges, &weights_all))
        return GN_K_SIZE;
    size = gn_graph_layer_scratch(nodes, edges, in, 0, all, gn_pool_threads(pool));
    if (size == SIZE_MAX)
        return GN_K_SIZE;
    status = gat_check(&it, x, in, w, all, mean ? each : all);
    if (status != GN_K_OK)
        return status;
    if (!nodes)
        return GN_K_OK;
    if (!scratch)
        return GN_K_NULL;
    it.z = z = gn_take(&at, nodes * all * sizeof *z);
    it.own = gn_take(&at, nodes * heads * sizeof *z);
    it.other = gn_take(&at, nodes * heads * sizeof *z);
    for (size_t i = 0; i < nodes; i++)
        longest = (size_t)(starts[i + 1] - starts[i]) > longest ? (size_t)(starts[i + 1] - starts[i]) : longest;
    it.logits_room = (longest + 1 + each + 63) / 16 * 16;
    it.logits = gn_take(&at, it.logits_room * (size_t)gn_pool_threads(pool) * sizeof *z);
    status = gn_matmul_nt(x, nodes, w, all, in, z, at, pool);
    if (status != GN_K_OK)
        return status;
    gn_pool_run(pool, ends_part, &it, parts);
    gn_pool_run(pool, gat_part, &it, parts);
    return GN_K_OK;
}
