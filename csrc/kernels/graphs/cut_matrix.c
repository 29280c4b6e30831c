/* Minimum cut on a matrix of weights: a row is added to the keys in each step of an order, by vectors.
 *
 * Every pass takes vertices in maximum adjacency order: next is who is joined most strongly to those taken (Stoer and
 * Wagner 1997). When a vertex's key comes to `best` by the row of v, no cut below best separates it from v (Nagamochi
 * and Ibaraki 1992), so both become one; the last two of the order always may. Each star and each beginning of the order
 * is a cut that may lower best. A pass without much success also contracts disjoint pairs that hold at least half of
 * one end's weight (a test of Padberg and Rinaldi 1990: the stars being known, another minimum cut does not part them).
 */
#include "graphs/cut.h"

#include <math.h>

struct matrix {
    struct gn_cut *cut;
    const struct gn_graphs_ops *ops;
    double *w, *keys, *degrees, *sums;
    int32_t *order, *place, *crossed, *where;
    size_t k, stride;
};

static size_t padded(size_t k) { return (k + GN_CUT_LANES - 1) / GN_CUT_LANES * GN_CUT_LANES; }

size_t gn_cut_matrix_bytes(size_t nodes)
{
    size_t wide = padded(nodes), sum = 0;
    if (gn_graph_room(&sum, nodes * wide, sizeof(double)) || gn_graph_room(&sum, 3 * wide + 24, sizeof(double)) ||
        gn_graph_room(&sum, 4 * wide + 64, sizeof(int32_t)))
        return SIZE_MAX / 2;
    return sum;
}

static void fill(struct matrix *it, const struct gn_cut_edges *edges)
{
    memset(it->w, 0, it->k * it->stride * sizeof *it->w);
    for (size_t i = 0; i < edges->count; i++) {
        size_t a = (size_t)edges->sources[i], b = (size_t)edges->targets[i];
        double weight = edges->weights ? edges->weights[i] : 1;
        if (a != b) {
            it->w[a * it->stride + b] += weight;
            it->w[b * it->stride + a] += weight;
        }
    }
}

static void stars(struct matrix *it)
{
    size_t wide = padded(it->k), least = 0;
    memset(it->degrees, 0, wide * sizeof *it->degrees);
    for (size_t v = 0; v < it->k; v++)
        it->ops->cut_add(it->degrees, it->w + v * it->stride, wide);
    for (size_t v = 1; v < it->k; v++)
        if (it->degrees[v] < it->degrees[least])
            least = v;
    gn_cut_star(it->cut, it->degrees[least], (int32_t)least);
}

/* The weight between the first `end` of the order and the others. */
static double prefix_value(struct matrix *it, size_t end)
{
    double sum = 0;
    memset(it->sums, 0, padded(it->k) * sizeof *it->sums);
    for (size_t i = 0; i < end; i++)
        it->ops->cut_add(it->sums, it->w + (size_t)it->order[i] * it->stride, padded(it->k));
    for (size_t v = 0; v < it->k; v++)
        if ((size_t)it->place[v] >= end)
            sum += it->sums[v];
    return sum;
}

/* One order. The running cut of its beginnings is a difference of sums, so it only tells which one to add up anew. */
static void scan(struct matrix *it)
{
    int32_t *parent = it->cut->parent, v = 0;
    size_t wide = padded(it->k), least_end = 1, crossings;
    double running = 0, least = INFINITY, key = 0, bound = it->cut->best;
    for (size_t i = 0; i < wide; i++)
        it->keys[i] = i < it->k ? 0 : -INFINITY;
    for (size_t i = 0; i < it->k; i++) {
        const double *row = it->w + (size_t)v * it->stride;
        struct gn_cut_step step;
        it->order[i] = v;
        it->place[v] = (int32_t)i;
        it->keys[v] = -INFINITY;
        running += it->degrees[v] - 2 * key;
        if (i + 1 == it->k)
            break;
        if (running < least) {
            least = running;
            least_end = i + 1;
        }
        step = it->ops->cut_step(it->keys, row, wide, bound, it->crossed, &crossings);
        for (size_t c = 0; c < crossings; c++)
            gn_cut_join(parent, v, it->crossed[c]);
        if (!(step.largest > 0)) { /* nothing joins the others to these: two pieces */
            for (size_t u = 0; u < it->k; u++)
                it->place[u] = it->keys[u] > -INFINITY ? 1 : 0;
            gn_cut_prefix(it->cut, 0, it->place, 1);
            return;
        }
        if ((step.largest >= bound && row[step.at] > 0) || i + 2 == it->k)
            gn_cut_join(parent, v, (int32_t)step.at);
        v = (int32_t)step.at;
        key = step.largest;
    }
    gn_cut_prefix(it->cut, prefix_value(it, least_end), it->place, (int32_t)least_end);
}

static void join_pairs(struct matrix *it)
{
    uint8_t *taken = (uint8_t *)it->sums;
    memset(taken, 0, it->k);
    for (size_t a = 0; a < it->k; a++)
        for (size_t b = a + 1; b < it->k && !taken[a]; b++) {
            double less = it->degrees[a] < it->degrees[b] ? it->degrees[a] : it->degrees[b];
            if (!taken[b] && 2 * it->w[a * it->stride + b] >= less) {
                taken[a] = taken[b] = 1;
                gn_cut_join(it->cut->parent, (int32_t)a, (int32_t)b);
            }
        }
}

/* Row and column of `to` become those of `from`. */
static void copy_vertex(struct matrix *it, size_t from, size_t to)
{
    double *row = it->w + to * it->stride;
    if (from != to)
        memcpy(row, it->w + from * it->stride, it->k * sizeof *row);
    for (size_t i = 0; i < it->k; i++)
        it->w[i * it->stride + to] = row[i];
    row[to] = 0;
}

/* Sets become their root; the last vertex moves to a freed place. Later vertices first: the last is always a root. */
static void contract(struct matrix *it)
{
    struct gn_cut *cut = it->cut;
    for (size_t v = 0; v < it->k; v++) {
        it->where[v] = (int32_t)v;
        it->order[v] = (int32_t)v; /* who is at a place */
        cut->parent[v] = gn_cut_root(cut->parent, (int32_t)v);
    }
    for (size_t v = it->k; v-- > 1;) {
        size_t root = (size_t)cut->parent[v], last = it->k - 1;
        if (root == v)
            continue;
        it->ops->cut_add(it->w + root * it->stride, it->w + v * it->stride, padded(it->k));
        it->w[root * it->stride + root] = 0;
        copy_vertex(it, root, root);
        if (v != last) {
            copy_vertex(it, last, v);
            it->order[v] = it->order[last];
            it->where[it->order[v]] = (int32_t)v;
        }
        it->k = last;
    }
    for (size_t i = 0; i < cut->nodes; i++)
        cut->label[i] = it->where[cut->parent[cut->label[i]]];
}

void gn_cut_matrix(struct gn_cut *cut, const struct gn_cut_edges *edges, char *at)
{
    struct matrix it = {.cut = cut, .ops = gn_graphs(), .k = cut->nodes, .stride = padded(cut->nodes)};
    size_t before = 0;
    it.w = gn_take(&at, it.k * it.stride * sizeof *it.w);
    it.keys = gn_take(&at, it.stride * sizeof *it.keys);
    it.degrees = gn_take(&at, it.stride * sizeof *it.degrees);
    it.sums = gn_take(&at, it.stride * sizeof *it.sums);
    it.order = gn_take(&at, it.stride * sizeof *it.order);
    it.place = gn_take(&at, it.stride * sizeof *it.place);
    it.crossed = gn_take(&at, it.stride * sizeof *it.crossed);
    it.where = gn_take(&at, it.stride * sizeof *it.where);
    fill(&it, edges);
    for (;;) {
        stars(&it);
        if (it.k == 2 || cut->best <= cut->floor)
            return;
        for (size_t v = 0; v < it.k; v++)
            cut->parent[v] = (int32_t)v;
        if (before && it.k > before - before / 8)
            join_pairs(&it);
        scan(&it);
        if (cut->best <= cut->floor)
            return;
        before = it.k;
        contract(&it);
        if (it.k < 2)
            return;
    }
}
