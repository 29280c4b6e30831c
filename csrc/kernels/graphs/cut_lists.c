/* Minimum cut on lists of neighbours: the search of cut_matrix.c for large sparse graphs, a pass in about O(edges).
 *
 * The order needs to tell keys apart only below `best` (Henzinger, Noe, Schulz 2019): vertices at or above
 * it wait in a stack, the others in a heap.
 */
#include "graphs/cut.h"

#include <math.h>

enum { AWAY = -1, STACKED = -2, TAKEN = -3 }; /* in `spot`, else a place in the heap */

struct half {
    int32_t *first, *to;
    double *weight;
};

struct lists {
    struct gn_cut *cut;
    struct half now, next; /* first[k + 1]; to and weight 2 * edges */
    double *keys, *degrees;
    int32_t *heap, *spot, *stack, *order, *place, *last;
    size_t k, heaped, stacked;
};

size_t gn_cut_lists_bytes(size_t nodes, size_t edges)
{
    size_t sum = 0;
    for (int i = 0; i < 2; i++)
        if (gn_graph_room(&sum, nodes + 2, sizeof(int32_t)) || gn_graph_room(&sum, 2 * edges, sizeof(int32_t)) ||
            gn_graph_room(&sum, 2 * edges, sizeof(double)) || gn_graph_room(&sum, nodes, sizeof(double)))
            return SIZE_MAX / 2;
    for (int i = 0; i < 6; i++)
        if (gn_graph_room(&sum, nodes, sizeof(int32_t)))
            return SIZE_MAX / 2;
    return sum;
}

static double edge_weight(const struct gn_cut_edges *edges, size_t i)
{
    double weight = edges->weights ? edges->weights[i] : 1;
    return edges->sources[i] == edges->targets[i] ? 0 : weight;
}

static void fill(struct lists *it, const struct gn_cut_edges *edges)
{
    int32_t *first = it->now.first, *next = it->heap;
    memset(first, 0, (it->k + 1) * sizeof *first);
    for (size_t i = 0; i < edges->count; i++)
        if (edge_weight(edges, i) > 0) {
            first[edges->sources[i] + 1]++;
            first[edges->targets[i] + 1]++;
        }
    for (size_t v = 0; v < it->k; v++) {
        first[v + 1] += first[v];
        next[v] = first[v];
    }
    for (size_t i = 0; i < edges->count; i++) {
        double weight = edge_weight(edges, i);
        if (weight > 0) {
            int32_t a = next[edges->sources[i]]++, b = next[edges->targets[i]]++;
            it->now.to[a] = edges->targets[i];
            it->now.to[b] = edges->sources[i];
            it->now.weight[a] = it->now.weight[b] = weight;
        }
    }
}

static void stars(struct lists *it)
{
    size_t least = 0;
    for (size_t v = 0; v < it->k; v++) {
        double sum = 0;
        for (int32_t e = it->now.first[v]; e < it->now.first[v + 1]; e++)
            sum += it->now.weight[e];
        it->degrees[v] = sum;
        if (sum < it->degrees[least])
            least = v;
    }
    gn_cut_star(it->cut, it->degrees[least], (int32_t)least);
}

static void rise(struct lists *it, int32_t v, size_t at)
{
    for (size_t up; at > 0; at = up) {
        up = (at - 1) / 2;
        if (!(it->keys[it->heap[up]] < it->keys[v]))
            break;
        it->heap[at] = it->heap[up];
        it->spot[it->heap[at]] = (int32_t)at;
    }
    it->heap[at] = v;
    it->spot[v] = (int32_t)at;
}

static void sink(struct lists *it, int32_t v, size_t at)
{
    for (size_t down; (down = 2 * at + 1) < it->heaped; at = down) {
        if (down + 1 < it->heaped && it->keys[it->heap[down]] < it->keys[it->heap[down + 1]])
            down++;
        if (!(it->keys[v] < it->keys[it->heap[down]]))
            break;
        it->heap[at] = it->heap[down];
        it->spot[it->heap[at]] = (int32_t)at;
    }
    it->heap[at] = v;
    it->spot[v] = (int32_t)at;
}

static void leave_heap(struct lists *it, size_t at)
{
    int32_t moved = it->heap[--it->heaped];
    if (at == it->heaped)
        return;
    if (at > 0 && it->keys[it->heap[(at - 1) / 2]] < it->keys[moved])
        rise(it, moved, at);
    else
        sink(it, moved, at);
}

static void raise_key(struct lists *it, int32_t v, double by, double bound)
{
    it->keys[v] += by;
    if (it->spot[v] == STACKED)
        return;
    if (it->keys[v] >= bound) {
        if (it->spot[v] >= 0)
            leave_heap(it, (size_t)it->spot[v]);
        it->spot[v] = STACKED;
        it->stack[it->stacked++] = v;
    } else {
        rise(it, v, it->spot[v] >= 0 ? (size_t)it->spot[v] : it->heaped++);
    }
}

/* The next of the order, or -1: the rest is not joined to what was taken. */
static int32_t take(struct lists *it)
{
    int32_t v;
    if (it->stacked)
        return it->stack[--it->stacked];
    if (!it->heaped)
        return -1;
    v = it->heap[0];
    leave_heap(it, 0);
    return v;
}

static void take_neighbours(struct lists *it, int32_t v, double bound)
{
    for (int32_t e = it->now.first[v]; e < it->now.first[v + 1]; e++) {
        int32_t t = it->now.to[e];
        if (it->spot[t] == TAKEN)
            continue;
        raise_key(it, t, it->now.weight[e], bound);
        it->last[t] = v;
        if (it->keys[t] >= bound)
            gn_cut_join(it->cut->parent, v, t);
    }
}

static double prefix_value(const struct lists *it, int32_t end)
{
    double sum = 0;
    for (int32_t i = 0; i < end; i++) {
        int32_t v = it->order[i];
        for (int32_t e = it->now.first[v]; e < it->now.first[v + 1]; e++)
            if (it->place[it->now.to[e]] >= end)
                sum += it->now.weight[e];
    }
    return sum;
}

static void scan(struct lists *it)
{
    double running = 0, least = INFINITY, bound = it->cut->best;
    int32_t v = 0, least_end = 1;
    it->heaped = it->stacked = 0;
    for (size_t i = 0; i < it->k; i++) {
        it->keys[i] = 0;
        it->spot[i] = AWAY;
        it->place[i] = INT32_MAX;
    }
    for (size_t i = 0; i < it->k; i++) {
        v = i ? take(it) : 0;
        if (v < 0) {
            gn_cut_prefix(it->cut, 0, it->place, INT32_MAX);
            return;
        }
        it->spot[v] = TAKEN;
        it->order[i] = v;
        it->place[v] = (int32_t)i;
        running += it->degrees[v] - 2 * it->keys[v];
        if (i + 1 < it->k && running < least) {
            least = running;
            least_end = (int32_t)i + 1;
        }
        take_neighbours(it, v, bound);
    }
    gn_cut_join(it->cut->parent, v, it->last[v]); /* its key is its star: at least best, whatever the rounding */
    gn_cut_prefix(it->cut, prefix_value(it, least_end), it->place, least_end);
}

static void join_pairs(struct lists *it)
{
    for (size_t v = 0; v < it->k; v++)
        it->spot[v] = AWAY;
    for (size_t v = 0; v < it->k; v++)
        for (int32_t e = it->now.first[v]; e < it->now.first[v + 1] && it->spot[v] == AWAY; e++) {
            int32_t t = it->now.to[e];
            double less = it->degrees[v] < it->degrees[t] ? it->degrees[v] : it->degrees[t];
            if (it->spot[t] == AWAY && 2 * it->now.weight[e] >= less) {
                it->spot[v] = it->spot[t] = TAKEN;
                gn_cut_join(it->cut->parent, (int32_t)v, t);
            }
        }
}

/* A new vertex's neighbours: those of its members, merged. at[t] is where t stands in the new list. */
static int32_t merge_members(struct lists *it, const int32_t *members, int32_t count, int32_t vertex, int32_t end)
{
    int32_t begin = end, *at = it->heap;
    for (int32_t i = 0; i < count; i++)
        for (int32_t e = it->now.first[members[i]]; e < it->now.first[members[i] + 1]; e++) {
            int32_t t = it->place[it->now.to[e]];
            if (t == vertex)
                continue;
            if (at[t] >= begin) {
                it->next.weight[at[t]] += it->now.weight[e];
            } else {
                at[t] = end;
                it->next.to[end] = t;
                it->next.weight[end++] = it->now.weight[e];
            }
        }
    return end;
}

/* place[] becomes the new name of each vertex, order[] the members one new vertex after another. */
static void contract(struct lists *it)
{
    struct gn_cut *cut = it->cut;
    struct half old = it->now;
    int32_t k = 0, end = 0, *from = it->stack;
    for (size_t v = 0; v < it->k; v++) {
        int32_t root = gn_cut_root(cut->parent, (int32_t)v);
        if (root == (int32_t)v)
            from[k++] = 0;
        it->place[v] = root == (int32_t)v ? k - 1 : it->place[root]; /* a root is the least of its set */
        from[it->place[v]]++;
    }
    for (int32_t i = 0, sum = 0; i < k; i++) {
        int32_t count = from[i];
        from[i] = sum;
        it->heap[i] = -1;
        sum += count;
    }
    for (size_t v = 0; v < it->k; v++)
        it->order[from[it->place[v]]++] = (int32_t)v;
    for (int32_t i = 0; i < k; i++) {
        int32_t begin = i ? from[i - 1] : 0;
        it->next.first[i] = end;
        end = merge_members(it, it->order + begin, from[i] - begin, i, end);
    }
    it->next.first[k] = end;
    for (size_t i = 0; i < cut->nodes; i++)
        cut->label[i] = it->place[cut->label[i]];
    it->now = it->next;
    it->next = old;
    it->k = (size_t)k;
}

static void place_half(struct half *it, size_t nodes, size_t edges, char **at)
{
    it->first = gn_take(at, (nodes + 2) * sizeof *it->first);
    it->to = gn_take(at, 2 * edges * sizeof *it->to);
    it->weight = gn_take(at, 2 * edges * sizeof *it->weight);
}

void gn_cut_lists(struct gn_cut *cut, const struct gn_cut_edges *edges, char *at)
{
    struct lists it = {.cut = cut, .k = cut->nodes};
    int32_t **arrays[6] = {&it.heap, &it.spot, &it.stack, &it.order, &it.place, &it.last};
    size_t before = 0;
    place_half(&it.now, it.k, edges->count, &at);
    place_half(&it.next, it.k, edges->count, &at);
    it.keys = gn_take(&at, it.k * sizeof *it.keys);
    it.degrees = gn_take(&at, it.k * sizeof *it.degrees);
    for (int i = 0; i < 6; i++)
        *arrays[i] = gn_take(&at, it.k * sizeof(int32_t));
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
