/* Graphs: every level against serial on guarded arrays, cuts against all cuts, and input from nowhere. */
#include "kernel_check.h"

struct graph {
    struct guarded starts, targets, weights;
    size_t nodes, edges;
};

static int32_t below(size_t n) { return (int32_t)(random_u64() % n); }

/* `acyclic`: edges lead to higher numbers only. Weights are 0.25 to 2.25. */
static struct graph graph_new(size_t nodes, size_t edges, int acyclic, size_t skew)
{
    struct graph it = {.nodes = nodes, .edges = nodes > 1 || (nodes && !acyclic) ? edges : 0};
    int32_t *starts, *targets;
    it.starts = guarded_new((nodes + 1) * 4, skew);
    it.targets = guarded_new(it.edges * 4, skew);
    it.weights = guarded_new(it.edges * 4, skew);
    starts = (int32_t *)it.starts.data;
    targets = (int32_t *)it.targets.data;
    for (size_t i = 0, left = it.edges; i <= nodes; i++) {
        starts[i] = (int32_t)(it.edges - left);
        if (i < nodes && (i + 1 < nodes || !acyclic)) {
            size_t mine = i + 1 + (acyclic != 0) == nodes ? left : (size_t)below(2 * left / (nodes - i) + 1);
            for (size_t e = it.edges - left, end = e + mine; e < end; e++)
                targets[e] = acyclic ? (int32_t)(i + 1) + below(nodes - i - 1) : below(nodes);
            left -= mine;
        }
    }
    for (size_t e = 0; e < it.edges; e++)
        ((float *)it.weights.data)[e] = (float)(0.25 + 2 * random_unit());
    return it;
}

static void graph_free(struct graph *it)
{
    guarded_free(&it->starts);
    guarded_free(&it->targets);
    guarded_free(&it->weights);
}

#define GRAPH(g) (const int32_t *)(g).starts.data, (const int32_t *)(g).targets.data
#define WEIGHTS(g) (const float *)(g).weights.data
#define F(array) ((float *)(array).data)

static void *scratch_new(size_t bytes)
{
    void *at = NULL;
    CHECK(bytes != SIZE_MAX && posix_memalign(&at, 64, bytes ? bytes : 64) == 0);
    memset(at, 0xA5, bytes);
    return at;
}

struct layer {
    struct guarded x, w, other, bias, out, first, attention;
    size_t in, heads, each;
};

enum { KINDS = 9 };

static void layer_run(const struct graph *g, struct layer *it, int kind, gn_pool *pool)
{
    size_t out = it->heads * it->each;
    int threads = gn_pool_threads(pool);
    void *scratch = scratch_new(kind < 7 ? gn_graph_layer_scratch(g->nodes, g->edges, it->in, out, out, threads)
                                         : gn_gat_scratch(g->nodes, g->edges, it->in, it->heads, it->each, threads));
    int status;
    if (kind < 3)
        status = gn_graph_aggregate(GRAPH(*g), WEIGHTS(*g), g->nodes, g->edges, F(it->x), it->in, kind, F(it->out), pool);
    else if (kind == 3)
        status = gn_gcn(GRAPH(*g), WEIGHTS(*g), g->nodes, g->edges, F(it->x), it->in, F(it->w), F(it->bias), out, 1,
                        F(it->out), scratch, pool);
    else if (kind < 7)
        status = gn_sage(GRAPH(*g), WEIGHTS(*g), g->nodes, g->edges, F(it->x), it->in, kind == 6 ? F(it->w) : NULL,
                         kind == 6 ? F(it->bias) : NULL, out, F(it->w), kind == 6 ? F(it->other) : F(it->w),
                         F(it->bias), out, kind == 6 ? GN_AGGREGATE_MAX : kind - 4, kind == 5, F(it->out), scratch, pool);
    else
        status = gn_gat(GRAPH(*g), g->nodes, g->edges, F(it->x), it->in, F(it->w), F(it->other), F(it->other) + out,
                        F(it->bias), it->heads, it->each, 0.2f, kind == 7, kind == 8, F(it->out), F(it->attention),
                        scratch, pool);
    CHECK(status == GN_K_OK);
    free(scratch);
}

static size_t out_size(const struct graph *g, const struct layer *it, int kind)
{
    return g->nodes * (kind < 3 ? it->in : kind == 8 ? it->each : it->heads * it->each);
}

/* The same sums in the same order: only fused and unfused products differ, and exp. */
static void layer_levels(size_t nodes, size_t edges, size_t in, size_t heads, size_t each, size_t skew)
{
    struct graph g = graph_new(nodes, edges, 0, skew);
    size_t out = heads * each;
    gn_pool *pool = gn_pool_open(3);
    for (int kind = 0; kind < KINDS; kind++) {
        struct layer it = {.in = in, .heads = heads, .each = each};
        size_t size = out_size(&g, &it, kind);
        it.x = guarded_new(nodes * in * 4, skew);
        it.w = guarded_new(out * in * 4, skew);
        it.other = guarded_new((out > 2 ? out : 2) * out * 4, skew);
        it.bias = guarded_new(out * 4, skew);
        it.out = guarded_new(size * 4, skew);
        it.first = guarded_new(size * 4, 0);
        it.attention = guarded_new(g.edges * heads * 4, skew);
        fill_normal(F(it.x), nodes * in);
        fill_normal(F(it.w), out * in);
        fill_normal(F(it.other), (out > 2 ? out : 2) * out);
        fill_normal(F(it.bias), out);
        for (size_t i = 0; i < out * in; i++)
            F(it.w)[i] /= sqrtf((float)in);
        gn_isa_force(GN_ISA_SERIAL);
        layer_run(&g, &it, kind, NULL);
        memcpy(it.first.data, it.out.data, size * 4);
        FOR_LEVELS(level) {
            struct guarded alone = guarded_new(size * 4, 0);
            layer_run(&g, &it, kind, NULL);
            CHECK(largest_gap(F(it.first), F(it.out), size) < 1e-4);
            memcpy(alone.data, it.out.data, size * 4);
            layer_run(&g, &it, kind, pool);
            CHECK(memcmp(alone.data, it.out.data, size * 4) == 0);
            guarded_free(&alone);
        }
        gn_isa_force(gn_isa_best());
        struct guarded *all[] = {&it.x, &it.w, &it.other, &it.bias, &it.out, &it.first, &it.attention};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            guarded_free(all[i]);
    }
    gn_pool_close(pool);
    graph_free(&g);
}

static void layers(void)
{
    static const size_t widths[] = {1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 48, 63, 64, 65, 80};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        layer_levels(12 + i, 60, widths[i], 1 + i % 3, widths[sizeof widths / sizeof *widths - 1 - i], 4 * (i % 4));
    for (size_t nodes = 0; nodes < 5; nodes++)
        layer_levels(nodes, nodes * nodes, 5, 2, 3, 0);
    layer_levels(200, 1500, 20, 4, 8, 4);
    layer_levels(30, 200, 9, 40, 2, 0);
    layer_levels(3, 40, 129, 1, 257, 0);
}

/* Every score, on scratch that begins as rubbish and arrays that end at a page: sum 1, and the same on every level. */
static void scores_of(size_t nodes, size_t edges)
{
    struct graph g = graph_new(nodes, edges, 1, 0);
    struct guarded features = guarded_new(nodes * 6 * 4, 0), cost = guarded_new(nodes * 4, 0), out[8];
    struct guarded when = guarded_new(nodes * 8, 0), room = guarded_new(g.edges * 8, 0), side = guarded_new(nodes, 0);
    size_t bytes = gn_dag_scratch(nodes, g.edges, 6), n = nodes, m = g.edges;
    void *scratch = scratch_new(bytes);
    double length, flow;
    fill_normal(F(features), nodes * 6);
    for (size_t i = 0; i < nodes; i++) {
        F(cost)[i] = (float)random_unit();
        ((double *)when.data)[i] = -random_unit();
    }
    for (size_t i = 0; i < m; i++)
        ((double *)room.data)[i] = (double)(random_u64() % 5);
    for (int i = 0; i < 8; i++)
        out[i] = guarded_new(nodes * 4, 0);
    CHECK(gn_dag_topological(GRAPH(g), n, m, 0.5f, F(out[0]), scratch) == GN_K_OK);
    CHECK(gn_dag_causal_cone(GRAPH(g), n, m, 1, 0.5f, 0.9f, F(out[1]), scratch) == GN_K_OK);
    CHECK(gn_dag_critical_path(GRAPH(g), n, m, F(cost), 4, F(out[2]), F(out[7]), &length, scratch) == GN_K_OK);
    CHECK(gn_dag_parallel_branch(GRAPH(g), n, m, F(cost), 1, F(out[3]), scratch) == GN_K_OK);
    CHECK(gn_dag_lorentz(GRAPH(g), n, m, F(features), 6, NULL, 3, 1, 1, F(out[4]), scratch) == GN_K_OK);
    CHECK(gn_dag_temporal(GRAPH(g), n, m, (double *)when.data, F(cost), 0, 1, 1, 0.5f, F(out[5]), scratch) == GN_K_OK);
    CHECK(gn_dag_min_cut_gated(GRAPH(g), n, m, (double *)room.data, 0.1f, F(out[6]), &flow, side.data, scratch) == GN_K_OK);
    for (int i = 0; i < 7; i++) {
        double sum = 0;
        for (size_t v = 0; v < nodes; v++)
            sum += F(out[i])[v];
        CHECK(!nodes || fabs(sum - 1) < 1e-5);
    }
    CHECK(gn_dag_depths(GRAPH(g), n, m, (int32_t *)out[0].data, scratch) == GN_K_OK);
    if (nodes)
        CHECK(gn_dag_cone(GRAPH(g), n, m, nodes / 2, side.data, scratch) == GN_K_OK && side.data[nodes / 2] == 3);
    CHECK(gn_dag_cone(GRAPH(g), n, m, nodes, side.data, scratch) == GN_K_VALUE);
    for (int i = 0; i < 8; i++)
        guarded_free(&out[i]);
    free(scratch);
    guarded_free(&features);
    guarded_free(&cost);
    guarded_free(&when);
    guarded_free(&room);
    guarded_free(&side);
    graph_free(&g);
}

struct edges {
    struct guarded s, t, w;
    size_t count, nodes;
};

static struct edges edges_new(size_t nodes, size_t count, int unit)
{
    struct edges it = {guarded_new(count * 4, 0), guarded_new(count * 4, 0), guarded_new(count * 8, 0), count, nodes};
    for (size_t i = 0; i < count; i++) {
        ((int32_t *)it.s.data)[i] = below(nodes);
        ((int32_t *)it.t.data)[i] = below(nodes);
        ((double *)it.w.data)[i] = unit ? 1 : (double)below(7);
    }
    return it;
}

static void edges_free(struct edges *it)
{
    guarded_free(&it->s);
    guarded_free(&it->t);
    guarded_free(&it->w);
}

#define EDGES(e) (int32_t *)(e).s.data, (int32_t *)(e).t.data, (double *)(e).w.data, (e).count, (e).nodes

static double across(const struct edges *it, const uint8_t *side)
{
    double sum = 0;
    for (size_t i = 0; i < it->count; i++)
        if (side[((int32_t *)it->s.data)[i]] != side[((int32_t *)it->t.data)[i]])
            sum += ((double *)it->w.data)[i];
    return sum;
}

static double least_of_all(const struct edges *it)
{
    double least = INFINITY;
    for (unsigned set = 1; set < 1u << (it->nodes - 1); set++) {
        uint8_t side[16];
        double value;
        for (size_t v = 0; v < it->nodes; v++)
            side[v] = v && (set >> (v - 1) & 1);
        value = across(it, side);
        least = value < least ? value : least;
    }
    return least;
}

static double cut_of(const struct edges *it)
{
    struct guarded side = guarded_new(it->nodes, 0);
    void *scratch = scratch_new(gn_min_cut_scratch(it->nodes, it->count));
    double value, other;
    CHECK(gn_min_cut(EDGES(*it), &value, side.data, scratch) == GN_K_OK);
    CHECK(side.data[0] == 0 && memchr(side.data, 1, it->nodes) && across(it, side.data) == value);
    CHECK(gn_min_cut(EDGES(*it), &other, NULL, scratch) == GN_K_OK && other == value);
    free(scratch);
    guarded_free(&side);
    return value;
}

/* Small graphs against all their cuts; larger ones, matrix and lists, against n - 1 flows. */
static void cuts(void)
{
    for (int i = 0; i < 300; i++) {
        struct edges it = edges_new(2 + (size_t)below(9), (size_t)below(30), i % 2);
        double least = least_of_all(&it);
        CHECK(cut_of(&it) == least);
        FOR_LEVELS(level) CHECK(cut_of(&it) == least);
        gn_isa_force(gn_isa_best());
        edges_free(&it);
    }
    for (int i = 0; i < 12; i++) {
        size_t nodes = i % 2 ? 98 + (size_t)below(40) : 20 + (size_t)below(30);
        struct edges it = edges_new(nodes, (i % 3 ? 3 : 10) * nodes, i % 4 < 2);
        void *scratch = scratch_new(gn_st_min_cut_scratch(nodes, it.count));
        double least = INFINITY, value;
        for (size_t v = 1; v < nodes; v++) {
            CHECK(gn_st_min_cut(EDGES(it), 0, v, 0, &value, NULL, scratch) == GN_K_OK);
            least = value < least ? value : least;
        }
        gn_isa_force(GN_ISA_SERIAL);
        CHECK(cut_of(&it) == least);
        FOR_LEVELS(level) CHECK(cut_of(&it) == least);
        gn_isa_force(gn_isa_best());
        free(scratch);
        edges_free(&it);
    }
}

/* Kept cuts against fresh ones; the state lies at the end of a page and moves between changes. */
static void kept_cuts(size_t nodes, size_t room, int changes)
{
    size_t bytes = gn_cut_state_bytes(nodes, room);
    void *state = scratch_new(bytes), *scratch = scratch_new(gn_cut_scratch(nodes, room));
    double *matrix = calloc(nodes * nodes, sizeof *matrix), value;
    uint8_t *side = malloc(nodes);
    int times[GN_CUT_WORK_COUNT] = {0};
    CHECK(gn_cut_open(state, nodes, room) == GN_K_OK);
    for (int i = 0; i < changes; i++) {
        size_t u = (size_t)below(nodes), v = (u + 1 + (size_t)below(nodes - 1)) % nodes, a = u < v ? u : v, count = 0;
        double weight = below(3) ? (double)below(5) : 0;
        void *moved = scratch_new(bytes);
        struct edges now = edges_new(nodes, room, 1);
        int work;
        CHECK(gn_cut_set(state, u, v, weight, &work, scratch) == GN_K_OK);
        times[work]++;
        memcpy(moved, state, bytes);
        free(state);
        state = moved;
        matrix[a * nodes + (u + v - a)] = weight;
        for (size_t e = 0; e < nodes * nodes; e++)
            if (matrix[e] > 0) {
                ((int32_t *)now.s.data)[count] = (int32_t)(e / nodes);
                ((int32_t *)now.t.data)[count] = (int32_t)(e % nodes);
                ((double *)now.w.data)[count++] = matrix[e];
            }
        now.count = count;
        CHECK(gn_cut_read(state, &value, side) == GN_K_OK && side[0] == 0 && memchr(side, 1, nodes));
        CHECK(value == cut_of(&now) && across(&now, side) == value);
        edges_free(&now);
    }
    CHECK(times[GN_CUT_KEPT] && (nodes < 5 || (times[GN_CUT_FLOW] && times[GN_CUT_SEARCH])));
    free(matrix);
    free(side);
    free(state);
    free(scratch);
}

static void bad_layers(void)
{
    int32_t starts[4] = {0, 1, 2, 3}, targets[3] = {1, 2, 0}, wild[3] = {1, 3, 0}, falling[4] = {0, 2, 1, 3};
    int32_t under[3] = {-1, 0, 0}, late[4] = {1, 1, 2, 3};
    float x[6] = {0}, out[6], w[4] = {0};
    void *scratch = scratch_new(gn_graph_layer_scratch(3, 3, 2, 2, 2, 1));
    CHECK(gn_graph_aggregate(starts, targets, NULL, 3, 3, x, 2, 0, out, NULL) == GN_K_OK);
    CHECK(gn_graph_aggregate(starts, wild, NULL, 3, 3, x, 2, 0, out, NULL) == GN_K_VALUE);
    CHECK(gn_graph_aggregate(starts, under, NULL, 3, 3, x, 2, 0, out, NULL) == GN_K_VALUE);
    CHECK(gn_graph_aggregate(falling, targets, NULL, 3, 3, x, 2, 0, out, NULL) == GN_K_VALUE);
    CHECK(gn_graph_aggregate(late, targets, NULL, 3, 3, x, 2, 0, out, NULL) == GN_K_VALUE);
    CHECK(gn_graph_aggregate(starts, targets, NULL, 3, 2, x, 2, 0, out, NULL) == GN_K_VALUE);
    CHECK(gn_graph_aggregate(starts, targets, NULL, 3, 3, x, 2, 3, out, NULL) == GN_K_VALUE);
    CHECK(gn_graph_aggregate(starts, targets, NULL, 3, 3, x, 2, 0, x + 1, NULL) == GN_K_OVERLAP);
    CHECK(gn_graph_aggregate(NULL, targets, NULL, 3, 3, x, 2, 0, out, NULL) == GN_K_NULL);
    CHECK(gn_graph_aggregate(starts, NULL, NULL, 3, 3, x, 2, 0, out, NULL) == GN_K_NULL);
    CHECK(gn_graph_aggregate(starts, targets, NULL, 3, 3, NULL, 2, 0, out, NULL) == GN_K_NULL);
    CHECK(gn_graph_aggregate(starts, targets, NULL, 3, 3, x, SIZE_MAX / 2, 0, out, NULL) == GN_K_SIZE);
    CHECK(gn_graph_aggregate(starts, targets, NULL, SIZE_MAX, 3, x, 2, 0, out, NULL) == GN_K_SIZE);
    CHECK(gn_graph_layer_scratch(1u << 30, 3, SIZE_MAX / 8, 0, 2, 1) == SIZE_MAX);
    CHECK(gn_gcn(starts, targets, NULL, 3, 3, x, 2, w, NULL, 2, 1, out, NULL, NULL) == GN_K_NULL);
    CHECK(gn_gcn(starts, targets, NULL, 3, 3, x, 2, w, NULL, 2, 1, w, scratch, NULL) == GN_K_OVERLAP);
    CHECK(gn_gat(starts, targets, 3, 3, x, 2, w, w, w, NULL, 0, 2, 0, 1, 0, out, NULL, scratch, NULL) == GN_K_SIZE);
    CHECK(gn_gat(starts, targets, 3, 3, x, 2, w, w, w, NULL, 1, 2, 0, 1, 0, out, x, scratch, NULL) == GN_K_OVERLAP);
    free(scratch);
}

static void bad_dags_and_cuts(void)
{
    int32_t starts[4] = {0, 1, 2, 3}, ring[3] = {1, 2, 0}, s[1] = {0}, t[1] = {1};
    float out[3];
    double w[1] = {-1}, value;
    void *scratch = scratch_new(gn_dag_scratch(3, 3, 0)), *cut = scratch_new(gn_min_cut_scratch(2, 1));
    CHECK(gn_dag_topological(starts, ring, 3, 3, 1, out, scratch) == GN_K_VALUE);
    CHECK(gn_dag_min_cut_gated(starts, ring, 3, 3, NULL, 0, out, NULL, NULL, scratch) == GN_K_VALUE);
    CHECK(gn_dag_topological(starts, ring, 3, 3, 1, out, NULL) == GN_K_NULL);
    CHECK(gn_dag_scratch(SIZE_MAX, 1, 0) == SIZE_MAX && gn_dag_scratch(1, SIZE_MAX, 0) == SIZE_MAX);
    CHECK(gn_dag_scratch(1, 1, SIZE_MAX) == SIZE_MAX && gn_min_cut_scratch(2, SIZE_MAX) == SIZE_MAX);
    CHECK(gn_min_cut(s, t, w, 1, 2, &value, NULL, cut) == GN_K_VALUE);
    w[0] = NAN;
    CHECK(gn_min_cut(s, t, w, 1, 2, &value, NULL, cut) == GN_K_VALUE);
    CHECK(gn_min_cut(s, t, NULL, 1, 1, &value, NULL, cut) == GN_K_VALUE);
    CHECK(gn_min_cut(s, s, NULL, 1, 1, &value, NULL, cut) == GN_K_SIZE);
    CHECK(gn_min_cut(s, t, NULL, 1, 2, NULL, NULL, cut) == GN_K_NULL);
    CHECK(gn_min_cut(s, t, NULL, 1, 2, &value, NULL, cut) == GN_K_OK && value == 1);
    CHECK(gn_st_min_cut(s, t, NULL, 1, 2, 0, 0, 0, &value, NULL, cut) == GN_K_VALUE);
    CHECK(gn_cut_state_bytes(SIZE_MAX, 1) == SIZE_MAX && gn_cut_open(scratch, 1, 1) == GN_K_SIZE);
    free(scratch);
    free(cut);
}

int main(void)
{
    layers();
    for (size_t nodes = 0; nodes < 40; nodes++)
        scores_of(nodes, nodes * 2);
    scores_of(257, 900);
    scores_of(1100, 2500);
    cuts();
    kept_cuts(2, 1, 30);
    kept_cuts(7, 21, 400);
    kept_cuts(14, 91, 300);
    bad_layers();
    bad_dags_and_cuts();
    printf("test_kernels_graphs: ok\n");
    return 0;
}
