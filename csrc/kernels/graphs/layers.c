/* Layers over neighbours: aggregation, GCN, GraphSAGE. Threads take blocks of nodes; a node's sums are one thread's. */
#include "graphs/layers.h"

#include "base/pool.h"
#include "ganglion/kernels/matrix.h"

#include <math.h>

int gn_layer_check(const struct gn_csr *graph, const float *x, size_t in, const float *out, size_t width)
{
    size_t a, b;
    int status = gn_csr_check(graph);
    if (status != GN_K_OK)
        return status;
    if (__builtin_mul_overflow(graph->nodes, in, &a) || __builtin_mul_overflow(graph->nodes, width, &b) ||
        a > PTRDIFF_MAX / sizeof *x || b > PTRDIFF_MAX / sizeof *out)
        return GN_K_SIZE;
    if ((a && !x) || (b && !out))
        return GN_K_NULL;
    if (gn_overlap(out, b * sizeof *out, x, a * sizeof *x) ||
        gn_overlap(out, b * sizeof *out, graph->starts, (graph->nodes + 1) * sizeof *graph->starts) ||
        gn_overlap(out, b * sizeof *out, graph->targets, graph->edges * sizeof *graph->targets))
        return GN_K_OVERLAP;
    return GN_K_OK;
}

int gn_over(const float *out, size_t out_rows, size_t out_width, const float *in, size_t rows, size_t width)
{
    return gn_overlap(out, out_rows * out_width * sizeof *out, in, rows * width * sizeof *in);
}

struct aggregation {
    struct gn_csr graph;
    const float *weights, *scales, *x;
    float *out;
    size_t width;
    int kind;
    float own; /* with scales: GCN's own weight */
};

static float row_weight(const struct aggregation *it, int32_t from, int32_t to)
{
    float sum = 0;
    if (!it->weights)
        return (float)(to - from);
    for (int32_t e = from; e < to; e++)
        sum += it->weights[e];
    return sum;
}

static void aggregate_part(void *job, size_t part, int worker)
{
    const struct aggregation *it = job;
    const struct gn_graphs_ops *ops = gn_graphs();
    size_t end = (part + 1) * GN_NODES_PART < it->graph.nodes ? (part + 1) * GN_NODES_PART : it->graph.nodes;
    (void)worker;
    for (size_t i = part * GN_NODES_PART; i < end; i++) {
        int32_t from = it->graph.starts[i], to = it->graph.starts[i + 1];
        struct gn_row row = {it->graph.targets + from, it->weights ? it->weights + from : NULL, 1, it->scales,
                             (size_t)(to - from), it->x, it->width, it->width};
        float *out = it->out + i * it->width, times = 1, sum;
        if (it->kind == GN_AGGREGATE_MAX) {
            ops->max(&row, out);
        } else if (it->scales) {
            times = it->scales[i];
            if (times == 0) /* no degree, no sum: not 0 times whatever stands there */
                memset(out, 0, it->width * sizeof *out);
            else
                ops->sum(&row, it->own * times, it->x + i * it->width, times, out);
        } else {
            sum = it->kind == GN_AGGREGATE_MEAN ? row_weight(it, from, to) : 1;
            if (sum == 0)
                memset(out, 0, it->width * sizeof *out);
            else
                ops->sum(&row, 0, NULL, 1 / sum, out);
        }
    }
}

static void aggregate(struct aggregation *it, gn_pool *pool)
{
    if (it->width)
        gn_pool_run(pool, aggregate_part, it, (it->graph.nodes + GN_NODES_PART - 1) / GN_NODES_PART);
}

int gn_graph_aggregate(const int32_t *starts, const int32_t *targets, const float *weights, size_t nodes, size_t edges,
                       const float *x, size_t width, int aggregation, float *out, gn_pool *pool)
{
    struct aggregation it = {{starts, targets, nodes, edges}, weights, NULL, x, out, width, aggregation, 0};
    int status = gn_layer_check(&it.graph, x, width, out, width);
    if (status != GN_K_OK)
        return status;
    if (aggregation < GN_AGGREGATE_SUM || aggregation > GN_AGGREGATE_MAX)
        return GN_K_VALUE;
    if (gn_over(out, nodes, width, weights, edges, 1))
        return GN_K_OVERLAP;
    aggregate(&it, pool);
    return GN_K_OK;
}

/* a + b bytes at once: what the products of a layer need, the largest of them. */
static size_t product_scratch(size_t nodes, size_t in, size_t middle, size_t out, int threads)
{
    size_t most = 0, sizes[5][2] = {{out, in}, {out, middle}, {middle, in}, {0, 0}, {0, 0}};
    for (int i = 0; i < 3; i++) {
        size_t bytes = gn_matmul_scratch(nodes, sizes[i][0], sizes[i][1], threads);
        if (bytes > most)
            most = bytes;
    }
    return most;
}

size_t gn_graph_layer_scratch(size_t nodes, size_t edges, size_t in, size_t middle, size_t out, int threads)
{
    size_t sum = 0, product = product_scratch(nodes, in, middle, out, threads), widest = in > out ? in : out, rows;
    widest = widest > middle ? widest : middle;
    if (product == SIZE_MAX || nodes > INT32_MAX - 2 || edges > INT32_MAX ||
        __builtin_mul_overflow(nodes, widest, &rows))
        return SIZE_MAX;
    if (gn_graph_room(&sum, product, 1) || gn_graph_room(&sum, rows, sizeof(float)) || gn_graph_room(&sum, rows, sizeof(float)) ||
        gn_graph_room(&sum, nodes, sizeof(float)) || gn_graph_room(&sum, rows, sizeof(float)))
        return SIZE_MAX;
    return sum;
}

static void bias_part(void *job, size_t part, int worker)
{
    const struct gn_finish *it = job;
    const struct gn_graphs_ops *ops = gn_graphs();
    size_t end = (part + 1) * GN_NODES_PART < it->nodes ? (part + 1) * GN_NODES_PART : it->nodes;
    (void)worker;
    for (size_t i = part * GN_NODES_PART; i < end; i++) {
        float *y = it->y + i * it->width;
        if (it->relu)
            ops->relu(y, it->bias, it->width);
        else if (it->add || it->bias)
            ops->finish(y, 1, it->add ? it->add + i * it->width : NULL, it->bias, it->width);
        if (it->normalise) {
            float length = sqrtf(ops->dot(y, y, it->width));
            if (length != 0)
                ops->finish(y, 1 / length, NULL, NULL, it->width);
        }
    }
}

void gn_finish_rows(struct gn_finish *it, gn_pool *pool)
{
    gn_pool_run(pool, bias_part, it, (it->nodes + GN_NODES_PART - 1) / GN_NODES_PART);
}

/* D^-1/2 of each node. */
static void degrees(const struct aggregation *it, float own, float *scales)
{
    for (size_t i = 0; i < it->graph.nodes; i++) {
        float sum = row_weight(it, it->graph.starts[i], it->graph.starts[i + 1]) + own;
        scales[i] = sum > 0 ? 1 / sqrtf(sum) : sum <= 0 ? 0 : sum; /* NaN stays */
    }
}

int gn_gcn(const int32_t *starts, const int32_t *targets, const float *weights, size_t nodes, size_t edges,
           const float *x, size_t in, const float *w, const float *bias, size_t out_width, float self_weight,
           float *out, void *scratch, gn_pool *pool)
{
    struct aggregation it = {{starts, targets, nodes, edges}, weights, NULL, x, NULL, in, GN_AGGREGATE_SUM, self_weight};
    size_t size = gn_graph_layer_scratch(nodes, edges, in, 0, out_width, gn_pool_threads(pool));
    int status = gn_layer_check(&it.graph, x, in, out, out_width);
    char *at = scratch;
    float *scales, *between;
    if (status != GN_K_OK)
        return status;
    if (size == SIZE_MAX)
        return GN_K_SIZE;
    if (!nodes || !out_width)
        return GN_K_OK;
    if (!scratch || (!w && in))
        return GN_K_NULL;
    if (gn_over(out, nodes, out_width, w, out_width, in) || gn_over(out, nodes, out_width, bias, out_width, 1) ||
        gn_over(out, nodes, out_width, weights, edges, 1))
        return GN_K_OVERLAP;
    it.scales = scales = gn_take(&at, nodes * sizeof *scales);
    between = gn_take(&at, nodes * (in > out_width ? in : out_width) * sizeof *between);
    degrees(&it, self_weight, scales);
    if (in <= out_width) { /* the sums where rows are narrow */
        it.out = between;
        aggregate(&it, pool);
        status = gn_matmul_nt(between, nodes, w, out_width, in, out, at, pool);
    } else {
        status = gn_matmul_nt(x, nodes, w, out_width, in, between, at, pool);
        it.x = between;
        it.width = out_width;
        it.out = out;
        if (status == GN_K_OK)
            aggregate(&it, pool);
    }
    if (status == GN_K_OK && bias)
        gn_finish_rows(&(struct gn_finish){out, NULL, bias, nodes, out_width, 0, 0}, pool);
    return status;
}

struct sage {
    const float *w_neighbour, *pool_w, *pool_bias;
    size_t in, middle, out;
};

/* y[nodes, out] = the aggregated rows times w_neighbour^T; a linear aggregation may as well follow the product. */
static int sage_neighbours(struct aggregation *it, const struct sage *layer, float *y, char *at, gn_pool *pool)
{
    size_t nodes = it->graph.nodes, width = it->width;
    float *between = gn_take(&at, nodes * (layer->out > width ? layer->out : width) * sizeof *between);
    int status;
    if (it->kind == GN_AGGREGATE_MAX || width <= layer->out) {
        it->out = between;
        aggregate(it, pool);
        return gn_matmul_nt(between, nodes, layer->w_neighbour, layer->out, width, y, at, pool);
    }
    status = gn_matmul_nt(it->x, nodes, layer->w_neighbour, layer->out, width, between, at, pool);
    it->x = between;
    it->width = layer->out;
    it->out = y;
    if (status == GN_K_OK)
        aggregate(it, pool);
    return status;
}

static int sage_check(const struct gn_csr *graph, const struct sage *layer, const float *w_self, const float *weights,
                      const float *bias, float *out, int aggregation)
{
    size_t nodes = graph->nodes, width = layer->pool_w ? layer->middle : layer->in;
    if (aggregation < GN_AGGREGATE_SUM || aggregation > GN_AGGREGATE_MAX)
        return GN_K_VALUE;
    if ((layer->in && !w_self) || (width && !layer->w_neighbour))
        return GN_K_NULL;
    if (gn_over(out, nodes, layer->out, w_self, layer->out, layer->in) ||
        gn_over(out, nodes, layer->out, layer->w_neighbour, layer->out, width) ||
        gn_over(out, nodes, layer->out, layer->pool_w, layer->middle, layer->in) ||
        gn_over(out, nodes, layer->out, layer->pool_bias, layer->middle, 1) ||
        gn_over(out, nodes, layer->out, bias, layer->out, 1) || gn_over(out, nodes, layer->out, weights, graph->edges, 1))
        return GN_K_OVERLAP;
    return GN_K_OK;
}

int gn_sage(const int32_t *starts, const int32_t *targets, const float *weights, size_t nodes, size_t edges,
            const float *x, size_t in, const float *pool_w, const float *pool_bias, size_t middle, const float *w_self,
            const float *w_neighbour, const float *bias, size_t out_width, int aggregation, int normalise, float *out,
            void *scratch, gn_pool *pool)
{
    struct aggregation it = {{starts, targets, nodes, edges}, weights, NULL, x, NULL, in, aggregation, 0};
    struct sage layer = {w_neighbour, pool_w, pool_bias, in, pool_w ? middle : 0, out_width};
    size_t size = gn_graph_layer_scratch(nodes, edges, in, layer.middle, out_width, gn_pool_threads(pool));
    int status = gn_layer_check(&it.graph, x, in, out, out_width);
    char *at = scratch;
    float *y, *pooled;
    if (status != GN_K_OK)
        return status;
    if (size == SIZE_MAX)
        return GN_K_SIZE;
    status = sage_check(&it.graph, &layer, w_self, weights, bias, out, aggregation);
    if (status != GN_K_OK || !nodes || !out_width)
        return status;
    if (!scratch)
        return GN_K_NULL;
    y = gn_take(&at, nodes * out_width * sizeof *y);
    if (pool_w) {
        pooled = gn_take(&at, nodes * middle * sizeof *pooled);
        status = gn_matmul_nt(x, nodes, pool_w, middle, in, pooled, at, pool);
        gn_finish_rows(&(struct gn_finish){pooled, NULL, pool_bias, nodes, middle, 1, 0}, pool);
        it.x = pooled;
        it.width = middle;
    }
    if (status == GN_K_OK)
        status = sage_neighbours(&it, &layer, y, at, pool);
    if (status == GN_K_OK)
        status = gn_matmul_nt(x, nodes, w_self, out_width, in, out, at, pool);
    if (status == GN_K_OK)
        gn_finish_rows(&(struct gn_finish){out, y, bias, nodes, out_width, 0, normalise != 0}, pool);
    return status;
}
