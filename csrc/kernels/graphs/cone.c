/* The causal cone: for each node its distinct ancestors and descendants by distance in depth.
 *
 * Nodes are named by their place in the order of depth, so that a depth is a run of bits. A block of GN_CONE_WORDS * 64
 * places is followed through the graph at once: bits[v] is which of the block's nodes reach v. Ancestors at one depth
 * are then a popcount, weighed by a power of the discount computed once.
 */
#include "graphs/dag.h"

#include <math.h>

struct cone {
    struct gn_dag dag;
    uint64_t *bits;   /* [node][GN_CONE_WORDS] */
    int32_t *place;   /* of a node in the order */
    double *powers;   /* discount^gap */
    size_t begin, end; /* the block's places */
};

static void own_bit(struct cone *it, int32_t v, uint64_t *bits)
{
    size_t at = (size_t)it->place[v] - it->begin;
    bits[at / 64] |= (uint64_t)1 << at % 64;
}

static int in_block(const struct cone *it, int32_t v)
{
    return (size_t)it->place[v] >= it->begin && (size_t)it->place[v] < it->end;
}

/* Sum over the bits of discount^|depth of the bit less depth|; all of a word of one depth is one popcount. */
static double weigh(const struct cone *it, const uint64_t *bits, int32_t depth)
{
    double sum = 0;
    for (size_t at = it->begin, next; at < it->end; at = next) {
        size_t i = at - it->begin;
        uint64_t word = bits[i / 64] >> i % 64;
        int32_t level = it->dag.depths[it->dag.order[at]];
        next = at + (64 - i % 64);
        if (!word)
            continue;
        if ((size_t)it->dag.work[level + 1] < next)
            next = (size_t)it->dag.work[level + 1];
        if (next - at < 64)
            word &= ((uint64_t)1 << (next - at)) - 1;
        sum += it->powers[level < depth ? depth - level : level - depth] * __builtin_popcountll(word);
    }
    return sum;
}

static void clear(struct cone *it)
{
    memset(it->bits, 0, it->dag.graph.nodes * GN_CONE_WORDS * sizeof *it->bits);
}

/* The block's nodes as ancestors: bits go along the edges. Nothing before the block can be reached from it. */
static void past(struct cone *it, double weight)
{
    const struct gn_csr *g = &it->dag.graph;
    clear(it);
    for (size_t i = it->begin; i < g->nodes; i++) {
        int32_t v = it->dag.order[i];
        uint64_t mine[GN_CONE_WORDS];
        memcpy(mine, it->bits + (size_t)v * GN_CONE_WORDS, sizeof mine);
        it->dag.raw[v] += weight * weigh(it, mine, it->dag.depths[v]);
        if (in_block(it, v))
            own_bit(it, v, mine);
        for (int32_t e = g->starts[v]; e < g->starts[v + 1]; e++) {
            uint64_t *to = it->bits + (size_t)g->targets[e] * GN_CONE_WORDS;
            for (int w = 0; w < GN_CONE_WORDS; w++)
                to[w] |= mine[w];
        }
    }
}

/* The block's nodes as descendants: bits come back along the edges, from nodes at the block's end and before it. */
static void future(struct cone *it, double weight)
{
    const struct gn_csr *g = &it->dag.graph;
    clear(it);
    for (size_t i = it->end; i-- > 0;) {
        int32_t v = it->dag.order[i];
        uint64_t mine[GN_CONE_WORDS] = {0};
        for (int32_t e = g->starts[v]; e < g->starts[v + 1]; e++) {
            const uint64_t *from = it->bits + (size_t)g->targets[e] * GN_CONE_WORDS;
            for (int w = 0; w < GN_CONE_WORDS; w++)
                mine[w] |= from[w];
        }
        it->dag.raw[v] += weight * weigh(it, mine, it->dag.depths[v]);
        if (in_block(it, v))
            own_bit(it, v, mine);
        memcpy(it->bits + (size_t)v * GN_CONE_WORDS, mine, sizeof mine);
    }
}

/* work[level] becomes the place where a level begins; place and powers lie in head and tail. */
static void prepare(struct cone *it, float discount)
{
    struct gn_dag *dag = &it->dag;
    size_t level = 0;
    it->place = (int32_t *)dag->head;
    it->powers = dag->tail;
    it->bits = gn_take(&dag->rest, dag->graph.nodes * GN_CONE_WORDS * sizeof *it->bits);
    for (size_t i = 0; i < dag->graph.nodes; i++) {
        it->place[dag->order[i]] = (int32_t)i;
        while (level <= (size_t)dag->depths[dag->order[i]])
            dag->work[level++] = (int32_t)i;
        dag->raw[i] = 1;
    }
    dag->work[level] = (int32_t)dag->graph.nodes;
    for (size_t i = 0; i < dag->levels; i++)
        it->powers[i] = pow(discount, (double)i);
}

int gn_dag_causal_cone(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, float past_weight,
                       float future_weight, float discount, float *scores, void *scratch)
{
    struct cone it = {.dag = {.graph = {starts, targets, nodes, edges}}};
    int status = gn_dag_begin(&it.dag, scores, sizeof *scores, scratch);
    if (status != GN_K_OK)
        return status;
    if (!(past_weight >= 0 && isfinite(past_weight)) || !(future_weight >= 0 && isfinite(future_weight)) ||
        !(discount > 0 && discount <= 1))
        return GN_K_VALUE;
    prepare(&it, discount);
    for (it.begin = 0; it.begin < nodes; it.begin = it.end) {
        it.end = nodes - it.begin > 64 * GN_CONE_WORDS ? it.begin + 64 * GN_CONE_WORDS : nodes;
        if (past_weight > 0)
            past(&it, past_weight);
        if (future_weight > 0)
            future(&it, future_weight);
    }
    gn_dag_normal(it.dag.raw, nodes, scores);
    return GN_K_OK;
}
