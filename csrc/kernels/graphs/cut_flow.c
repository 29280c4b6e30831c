/* The flow between two nodes of a kept graph, no further than a bound.
 *
 * Paths are searched from both ends, the smaller front first (Edmonds and Karp's shortest paths, by bidirectional
 * breadth), so that a change in a graph without long ways looks at its surroundings only. Edges that carried flow are
 * noted and cleared: nothing here takes a pass over the whole graph unless a front does.
 */
#include "graphs/cut_state.h"

struct fronts {
    struct gn_cut_state *it;
    uint32_t mark[2];        /* stamps of what the two ends reached */
    size_t done[2], end[2];  /* queue: from u upwards at its front, from v downwards at its back */
    int32_t meeting[2];      /* the two ends of the half edge on which they met */
    int32_t arc;
    size_t touched;
};

/* What may still go along a half edge, from its own end to the other. */
static double left(const struct gn_cut_state *it, int32_t half)
{
    return half & 1 ? it->weights[half / 2] + it->flow[half / 2] : it->weights[half / 2] - it->flow[half / 2];
}

static void reach(struct fronts *f, int side, int32_t node, int32_t arc)
{
    f->it->stamps[node] = f->mark[side];
    f->it->arcs[node] = arc;
    f->it->queue[side ? f->it->nodes - 1 - f->end[side] : f->end[side]] = node;
    f->end[side]++;
}

static void begin(struct fronts *f, int32_t u, int32_t v)
{
    struct gn_cut_header *header = f->it->header;
    if (header->epoch > UINT32_MAX - 2) { /* stamps begin again */
        memset(f->it->stamps, 0, f->it->nodes * sizeof *f->it->stamps);
        header->epoch = 2;
    }
    for (int i = 0; i < 2; i++) {
        f->mark[i] = header->epoch++;
        f->done[i] = f->end[i] = 0;
    }
    reach(f, 0, u, -1);
    reach(f, 1, v, -1);
}

/* All nodes one step further from one end; 1 when that meets the other. An arc leads towards v on both sides. */
static int advance(struct fronts *f, int side)
{
    struct gn_cut_state *it = f->it;
    for (size_t end = f->end[side]; f->done[side] < end; f->done[side]++) {
        int32_t x = it->queue[side ? it->nodes - 1 - f->done[side] : f->done[side]];
        for (int32_t h = it->heads[x]; h >= 0; h = it->next[h]) {
            int32_t y = gn_half_end(it, h), arc = side ? h ^ 1 : h;
            if (it->stamps[y] == f->mark[side] || !(left(it, arc) > 0))
                continue;
            if (it->stamps[y] == f->mark[1 - side]) {
                f->arc = arc;
                f->meeting[side] = x;
                f->meeting[1 - side] = y;
                return 1;
            }
            reach(f, side, y, arc);
        }
    }
    return 0;
}

/* 1: a path; 0: none, and the front that ended is the side of a least cut: *ended. */
static int find_path(struct fronts *f, int *ended)
{
    for (;;) {
        size_t wide[2] = {f->end[0] - f->done[0], f->end[1] - f->done[1]};
        int side = wide[1] < wide[0];
        if (!wide[side]) {
            *ended = side;
            return 0;
        }
        if (advance(f, side))
            return 1;
    }
}

/* The node an arc comes from, for side 0; goes to, for side 1. */
static int32_t onward(const struct gn_cut_state *it, int32_t arc, int side)
{
    return gn_half_end(it, side ? arc : arc ^ 1);
}

static double least_on(const struct fronts *f)
{
    double least = left(f->it, f->arc);
    for (int side = 0; side < 2; side++)
        for (int32_t x = f->meeting[side]; f->it->arcs[x] >= 0; x = onward(f->it, f->it->arcs[x], side))
            least = left(f->it, f->it->arcs[x]) < least ? left(f->it, f->it->arcs[x]) : least;
    return least;
}

static void push(struct fronts *f, int32_t arc, double amount)
{
    struct gn_cut_state *it = f->it;
    if (it->flow[arc / 2] == 0 && f->touched < it->header->edges)
        it->touched[f->touched++] = arc / 2;
    it->flow[arc / 2] += arc & 1 ? -amount : amount;
}

static void push_path(struct fronts *f, double amount)
{
    push(f, f->arc, amount);
    for (int side = 0; side < 2; side++)
        for (int32_t x = f->meeting[side]; f->it->arcs[x] >= 0; x = onward(f->it, f->it->arcs[x], side))
            push(f, f->it->arcs[x], amount);
}

/* An edge may be noted twice when its flow went back to 0 between; if there is no room for that, all are cleared. */
static void clear_flow(struct fronts *f)
{
    struct gn_cut_state *it = f->it;
    if (f->touched == it->header->edges)
        for (size_t e = 0; e < it->header->edges; e++)
            it->flow[e] = 0;
    else
        for (size_t i = 0; i < f->touched; i++)
            it->flow[it->touched[i]] = 0;
}

static double reached_value(const struct fronts *f, uint32_t mark)
{
    const struct gn_cut_state *it = f->it;
    double sum = 0;
    for (size_t e = 0; e < it->header->edges; e++)
        if ((it->stamps[it->sources[e]] == mark) != (it->stamps[it->targets[e]] == mark))
            sum += it->weights[e];
    return sum;
}

int gn_cut_flow(struct gn_cut_state *it, int32_t u, int32_t v, double bound, double *value)
{
    struct fronts f = {.it = it};
    double sum = 0;
    int ended = 0, below = 0;
    while (sum < bound) {
        double amount;
        begin(&f, u, v);
        if (!find_path(&f, &ended)) {
            *value = reached_value(&f, f.mark[ended]);
            below = *value < bound;
            break;
        }
        amount = least_on(&f);
        push_path(&f, amount);
        sum += amount;
    }
    clear_flow(&f);
    for (size_t x = 0; below && x < it->nodes; x++)
        it->side[x] = it->stamps[x] == f.mark[ended];
    return below;
}
