/* A minimum cut that is kept while edges change.
 *
 * What an edge u, v may do to the minimum, exactly:
 *   heavier, and the known cut does not part u and v: no cut got less, this one is what it was: kept.
 *   heavier, and it does: the minimum is not below the old one. A star elsewhere that has just that is the new cut: kept.
 *     Else a search, between the old minimum (where it may end) and what the known cut and the stars have now.
 *   lighter, and it does: this cut lost the whole difference, no other lost more: kept.
 *   lighter, and it does not: only a cut that parts u and v can have become the minimum, so their flow decides; it is
 *     searched from both ends and ends when it reaches the known minimum.
 *
 * The state holds offsets only, so it may be copied. Edges lie in arrays without gaps; half edge 2 e hangs in the list of
 * sources[e], 2 e + 1 in that of targets[e].
 */
#include "graphs/cut_state.h"

size_t gn_cut_state_bytes(size_t nodes, size_t edges_max)
{
    size_t sum = 0;
    if (nodes > INT32_MAX - 2 || edges_max > INT32_MAX / 4 || gn_graph_room(&sum, 1, sizeof(struct gn_cut_header)))
        return SIZE_MAX;
    for (int i = 0; i < 2; i++) /* weights, flow */
        if (gn_graph_room(&sum, edges_max, sizeof(double)))
            return SIZE_MAX;
    for (int i = 0; i < 3; i++) /* sources, targets, touched */
        if (gn_graph_room(&sum, edges_max, sizeof(int32_t)))
            return SIZE_MAX;
    for (int i = 0; i < 5; i++) /* heads, counts, stamps, arcs, queue */
        if (gn_graph_room(&sum, nodes, sizeof(int32_t)))
            return SIZE_MAX;
    if (gn_graph_room(&sum, 2 * edges_max, sizeof(int32_t)) || gn_graph_room(&sum, nodes, sizeof(double)) || gn_graph_room(&sum, nodes, 1))
        return SIZE_MAX;
    return sum;
}

size_t gn_cut_scratch(size_t nodes, size_t edges_max) { return gn_cut_search_bytes(nodes, edges_max); }

static struct gn_cut_state view(const void *state)
{
    struct gn_cut_state it;
    char *at = (char *)(uintptr_t)state;
    struct gn_cut_header *header = gn_take(&at, sizeof *header);
    size_t nodes = header->nodes, room = header->room;
    it.header = header;
    it.nodes = nodes;
    it.weights = gn_take(&at, room * sizeof *it.weights);
    it.flow = gn_take(&at, room * sizeof *it.flow);
    it.sources = gn_take(&at, room * sizeof *it.sources);
    it.targets = gn_take(&at, room * sizeof *it.targets);
    it.touched = gn_take(&at, room * sizeof *it.touched);
    it.heads = gn_take(&at, nodes * sizeof *it.heads);
    it.counts = gn_take(&at, nodes * sizeof *it.counts);
    it.stamps = gn_take(&at, nodes * sizeof *it.stamps);
    it.arcs = gn_take(&at, nodes * sizeof *it.arcs);
    it.queue = gn_take(&at, nodes * sizeof *it.queue);
    it.next = gn_take(&at, 2 * room * sizeof *it.next);
    it.degrees = gn_take(&at, nodes * sizeof *it.degrees);
    it.side = gn_take(&at, nodes);
    return it;
}

int gn_cut_open(void *state, size_t nodes, size_t edges_max)
{
    struct gn_cut_state it;
    if (nodes < 2 || gn_cut_state_bytes(nodes, edges_max) == SIZE_MAX ||
        gn_cut_scratch(nodes, edges_max) == SIZE_MAX)
        return GN_K_SIZE;
    if (!state)
        return GN_K_NULL;
    *(struct gn_cut_header *)state = (struct gn_cut_header){.nodes = nodes, .room = edges_max, .epoch = 2};
    it = view(state);
    for (size_t v = 0; v < nodes; v++) {
        it.heads[v] = -1;
        it.counts[v] = it.stamps[v] = 0;
        it.degrees[v] = 0;
        it.side[v] = v == 1;
    }
    return GN_K_OK;
}

static void hang(struct gn_cut_state *it, int32_t node, int32_t half)
{
    it->next[half] = it->heads[node];
    it->heads[node] = half;
    it->counts[node]++;
}

/* Where the number of that half edge stands. */
static int32_t *link_to(struct gn_cut_state *it, int32_t node, int32_t half)
{
    int32_t *at = &it->heads[node];
    while (*at != half)
        at = &it->next[*at];
    return at;
}

/* The edge of that pair, or -1: along the shorter list. */
static int32_t find(const struct gn_cut_state *it, int32_t u, int32_t v)
{
    int32_t from = it->counts[u] < it->counts[v] ? u : v, to = from == u ? v : u;
    for (int32_t h = it->heads[from]; h >= 0; h = it->next[h])
        if (gn_half_end(it, h) == to)
            return h / 2;
    return -1;
}

static void add_edge(struct gn_cut_state *it, int32_t u, int32_t v, double weight)
{
    int32_t e = (int32_t)it->header->edges++;
    it->sources[e] = u;
    it->targets[e] = v;
    it->weights[e] = weight;
    it->flow[e] = 0;
    hang(it, u, 2 * e);
    hang(it, v, 2 * e + 1);
}

static void remove_edge(struct gn_cut_state *it, int32_t e)
{
    int32_t last = (int32_t)it->header->edges - 1, ends[2] = {it->sources[e], it->targets[e]};
    for (int i = 0; i < 2; i++) {
        *link_to(it, ends[i], 2 * e + i) = it->next[2 * e + i];
        it->counts[ends[i]]--;
    }
    if (e != last) {
        int32_t moved[2] = {it->sources[last], it->targets[last]};
        for (int i = 0; i < 2; i++) {
            *link_to(it, moved[i], 2 * last + i) = 2 * e + i;
            it->next[2 * e + i] = it->next[2 * last + i];
        }
        it->sources[e] = moved[0];
        it->targets[e] = moved[1];
        it->weights[e] = it->weights[last];
        it->flow[e] = 0;
    }
    it->header->edges--;
}

/* Added up anew, so that nothing is left of weights that are gone. */
static void weigh_node(struct gn_cut_state *it, int32_t v)
{
    double sum = 0;
    for (int32_t h = it->heads[v]; h >= 0; h = it->next[h])
        sum += it->weights[h / 2];
    it->degrees[v] = sum;
}

static void change_value(struct gn_cut_header *header, double by)
{
    double sum = header->value + by, part = sum - header->value;
    header->carry += (header->value - (sum - part)) + (by - part);
    header->value = sum + header->carry;
    header->carry -= header->value - sum;
}

static void set_value(struct gn_cut_header *header, double value)
{
    header->value = value;
    header->carry = 0;
}

static void take_star(struct gn_cut_state *it, size_t v)
{
    memset(it->side, 0, it->nodes);
    it->side[v] = 1;
    set_value(it->header, it->degrees[v]);
}

/* From the known side and the stars, which bound it from above, down to `floor`. */
static void search(struct gn_cut_state *it, double floor, void *scratch)
{
    struct gn_cut cut = {.nodes = it->nodes, .best = it->header->value, .floor = floor, .side = it->side};
    struct gn_cut_edges edges = {it->sources, it->targets, it->weights, it->header->edges};
    gn_cut_search(&cut, &edges, scratch);
    if (cut.found)
        set_value(it->header, cut.best);
}

static size_t least_star(const struct gn_cut_state *it)
{
    size_t least = 0;
    for (size_t v = 1; v < it->nodes; v++)
        if (it->degrees[v] < it->degrees[least])
            least = v;
    return least;
}

static int after_heavier(struct gn_cut_state *it, int32_t u, int32_t v, double from, double to, void *scratch)
{
    double old = it->header->value;
    size_t star;
    if (it->side[u] == it->side[v])
        return GN_CUT_KEPT;
    change_value(it->header, to);
    change_value(it->header, -from);
    star = least_star(it);
    if (it->degrees[star] < it->header->value)
        take_star(it, star);
    if (it->header->value <= old)
        return GN_CUT_KEPT;
    search(it, old, scratch);
    return GN_CUT_SEARCH;
}

static int after_lighter(struct gn_cut_state *it, int32_t u, int32_t v, double from, double to)
{
    double found;
    if (it->side[u] != it->side[v]) {
        change_value(it->header, to);
        change_value(it->header, -from); /* one after the other: their difference would be rounded */
        if (it->header->value < 0) /* rounding alone */
            set_value(it->header, 0);
        return GN_CUT_KEPT;
    }
    if (gn_cut_flow(it, u, v, it->header->value, &found))
        set_value(it->header, found);
    return GN_CUT_FLOW;
}

int gn_cut_set(void *state, size_t u, size_t v, double weight, int *work, void *scratch)
{
    struct gn_cut_state it;
    int32_t a = (int32_t)u, b = (int32_t)v, e;
    double old;
    int took = GN_CUT_KEPT;
    if (!state || !scratch)
        return GN_K_NULL;
    it = view(state);
    if (u >= it.nodes || v >= it.nodes || u == v || !(weight >= 0 && weight <= GN_CUT_WEIGHT_MAX))
        return GN_K_VALUE;
    e = find(&it, a, b);
    old = e >= 0 ? it.weights[e] : 0;
    if (e < 0 && weight > 0) {
        if (it.header->edges == it.header->room)
            return GN_K_SIZE;
        add_edge(&it, a, b, weight);
    } else if (e >= 0 && weight > 0) {
        it.weights[e] = weight;
    } else if (e >= 0) {
        remove_edge(&it, e);
    }
    if (weight != old) {
        weigh_node(&it, a);
        weigh_node(&it, b);
        took = weight > old ? after_heavier(&it, a, b, old, weight, scratch) : after_lighter(&it, a, b, old, weight);
    }
    if (work)
        *work = took;
    return GN_K_OK;
}

int gn_cut_load(void *state, const int32_t *sources, const int32_t *targets, const double *weights, size_t edges,
                void *scratch)
{
    struct gn_cut_state it;
    size_t more = 0;
    int status;
    if (!state || !scratch)
        return GN_K_NULL;
    it = view(state);
    status = gn_edges_check(sources, targets, weights, edges, it.nodes);
    if (status != GN_K_OK)
        return status;
    for (size_t i = 0; i < edges; i++)
        more += sources[i] != targets[i] && (!weights || weights[i] > 0);
    if (more > it.header->room - it.header->edges)
        return GN_K_SIZE;
    for (size_t i = 0; i < edges; i++) {
        double weight = weights ? weights[i] : 1;
        int32_t e;
        if (sources[i] == targets[i] || !(weight > 0))
            continue;
        e = find(&it, sources[i], targets[i]);
        if (e >= 0)
            it.weights[e] += weight;
        else
            add_edge(&it, sources[i], targets[i], weight);
    }
    for (size_t v = 0; v < it.nodes; v++)
        weigh_node(&it, (int32_t)v);
    take_star(&it, least_star(&it));
    search(&it, 0, scratch);
    return GN_K_OK;
}

int gn_cut_read(const void *state, double *value, uint8_t *side)
{
    struct gn_cut_state it;
    if (!state || !value)
        return GN_K_NULL;
    it = view(state);
    *value = it.header->value;
    for (size_t v = 0; side && v < it.nodes; v++)
        side[v] = it.side[v] ^ it.side[0];
    return GN_K_OK;
}
