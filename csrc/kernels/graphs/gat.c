/* Graph attention: a product for z, one for two numbers a node and head, then a softmax and a sum a node.
 *
 * a . z = a . (w x) = (w^T a) . x: the numbers come from x by 2 heads rows, which are made once.
 */
#include "graphs/layers.h"

#include "base/pool.h"
#include "ganglion/kernels/matrix.h"

struct gat {
    struct gn_csr graph;
    const float *z, *ends, *a_self, *a_neighbour, *bias; /* ends[node, 2, heads]: its own part, its part for others */
    const int32_t *head_of;
    float *out, *attention, *rooms;
    size_t heads, each, room;
    float slope;
    int self_loops, mean;
};

static size_t up(size_t n) { return (n + 15) / 16 * 16; }

size_t gn_gat_scratch(size_t nodes, size_t edges, size_t in, size_t heads, size_t each, int threads)
{
    size_t all, twice, room, sum = 0, workers = threads > 1 ? (size_t)threads : 1, product, ends;
    if (nodes > INT32_MAX - 2 || edges > INT32_MAX || __builtin_mul_overflow(heads, each, &all) || all > INT32_MAX ||
        __builtin_mul_overflow(heads, 2, &twice) || __builtin_mul_overflow(heads, edges + 1, &room) ||
        __builtin_add_overflow(room, 2 * all + 64, &room) || room > SIZE_MAX / sizeof(float))
        return SIZE_MAX;
    product = gn_matmul_scratch(nodes, all, in, threads);
    ends = gn_matmul_scratch(nodes, twice, in, threads);
    product = product > ends ? product : ends;
    if (product == SIZE_MAX || gn_graph_room(&sum, product, 1) || gn_graph_room(&sum, nodes * all, sizeof(float)) ||
        gn_graph_room(&sum, nodes * twice, sizeof(float)) || gn_graph_room(&sum, twice * in, sizeof(float)) ||
        gn_graph_room(&sum, all + GN_HEADS_SLACK, sizeof(int32_t)) || gn_graph_room(&sum, workers, room * sizeof(float)))
        return SIZE_MAX;
    return sum;
}

static void fold(const struct gat *it, const float *w, size_t in, float *folded)
{
    memset(folded, 0, 2 * it->heads * in * sizeof *folded);
    for (size_t k = 0; k < it->heads * it->each; k++) {
        float *own = folded + k / it->each * in, *other = own + it->heads * in, a = it->a_self[k], b = it->a_neighbour[k];
        for (size_t i = 0; i < in; i++) {
            own[i] += a * w[k * in + i];
            other[i] += b * w[k * in + i];
        }
    }
}

/* All heads of a node into `row`, which is heads * each wide. */
static void gat_row(const struct gat *it, size_t i, const float *e, float *row)
{
    const struct gn_graphs_ops *ops = gn_graphs();
    size_t all = it->heads * it->each, from = (size_t)it->graph.starts[i];
    size_t count = (size_t)it->graph.starts[i + 1] - from;
    const float *own = it->z + i * all, *share = e + count * it->heads;
    struct gn_row neighbours = {it->graph.targets + from, e, it->heads, NULL, count, it->z, all, all};
    if (it->each < ops->lanes) {
        ops->heads_sum(&neighbours, it->head_of, share, it->self_loops ? own : NULL, row);
        return;
    }
    neighbours.width = it->each;
    for (size_t h = 0; h < it->heads; h++) {
        neighbours.x = it->z + h * it->each;
        neighbours.weights = e + h;
        ops->sum(&neighbours, it->self_loops ? share[h] : 0, it->self_loops ? own + h * it->each : NULL, 1,
                 row + h * it->each);
    }
}

static void gat_node(const struct gat *it, size_t i, float *room)
{
    const struct gn_graphs_ops *ops = gn_graphs();
    size_t all = it->heads * it->each, from = (size_t)it->graph.starts[i];
    size_t count = (size_t)it->graph.starts[i + 1] - from, width = it->mean ? it->each : all;
    float *e = room + up(all), *out = it->out + i * width, *row = it->mean ? room : out;
    ops->attend(it->ends + i * 2 * it->heads, it->ends + it->heads, 2 * it->heads, it->graph.targets + from, count,
                it->heads, (int32_t)i, it->self_loops, it->slope, e);
    if (it->attention)
        memcpy(it->attention + from * it->heads, e, count * it->heads * sizeof *e);
    gat_row(it, i, e, row);
    if (it->mean) {
        memcpy(out, row, it->each * sizeof *out);
        for (size_t h = 1; h < it->heads; h++)
            ops->finish(out, 1, row + h * it->each, NULL, it->each);
        ops->finish(out, 1.0f / (float)it->heads, NULL, it->bias, it->each);
    } else if (it->bias) {
        ops->finish(out, 1, NULL, it->bias, all);
    }
}

static void gat_part(void *job, size_t part, int worker)
{
    const struct gat *it = job;
    size_t end = (part + 1) * GN_NODES_PART < it->graph.nodes ? (part + 1) * GN_NODES_PART : it->graph.nodes;
    for (size_t i = part * GN_NODES_PART; i < end; i++)
        gat_node(it, i, it->rooms + (size_t)worker * it->room);
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
    size_t all, size, longest = 0;
    char *at = scratch;
    float *z, *ends, *folded;
    int32_t *head_of;
    int status;
    size = gn_gat_scratch(nodes, edges, in, heads, each, gn_pool_threads(pool));
    if (!heads || !each || size == SIZE_MAX)
        return GN_K_SIZE;
    all = heads * each;
    status = gat_check(&it, x, in, w, all, mean ? each : all);
    if (status != GN_K_OK || !nodes)
        return status;
    if (!scratch)
        return GN_K_NULL;
    it.z = z = gn_take(&at, nodes * all * sizeof *z);
    it.ends = ends = gn_take(&at, nodes * 2 * heads * sizeof *ends);
    folded = gn_take(&at, 2 * heads * in * sizeof *folded);
    it.head_of = head_of = gn_take(&at, (all + GN_HEADS_SLACK) * sizeof *head_of);
    for (size_t k = 0; k < all + GN_HEADS_SLACK; k++)
        head_of[k] = (int32_t)((k < all ? k : all - 1) / each);
    for (size_t i = 0; i < nodes; i++)
        longest = (size_t)(starts[i + 1] - starts[i]) > longest ? (size_t)(starts[i + 1] - starts[i]) : longest;
    it.room = up(all) + up((longest + 1) * heads);
    it.rooms = gn_take(&at, it.room * (size_t)gn_pool_threads(pool) * sizeof *z);
    fold(&it, w, in, folded);
    status = gn_matmul_nt(x, nodes, w, all, in, z, at, pool);
    if (status == GN_K_OK)
        status = gn_matmul_nt(x, nodes, folded, 2 * heads, in, ends, at, pool);
    if (status == GN_K_OK)
        gn_pool_run(pool, gat_part, &it, (nodes + GN_NODES_PART - 1) / GN_NODES_PART);
    return status;
}
