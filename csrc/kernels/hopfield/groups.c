/* The hierarchical form: an upper memory of prototypes chooses the groups of patterns that a query reads.
 *
 * A part of the work is a query; what it needs beside its result lies in its own piece of the scratch.
 */
#include "ganglion/kernels/hopfield.h"

#include "base/isa.h"
#include "base/pool.h"
#include "base/sizes.h"
#include "hopfield/steps.h"

#include <math.h>
#include <string.h>

static const struct gn_hopfield_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_hopfield);

struct plan {
    size_t scores_at, acc_at, held_at, active_at, chosen_at, shares_at, size;
};

struct descent {
    struct gn_hopfield_rounds rounds;
    struct plan plan;
    const float *patterns, *prototypes, *from;
    const uint32_t *offsets;
    size_t groups, k;
    float beta, beta_top;
    int mix;
    char *scratch;
    uint32_t *chosen; /* [m, k] */
    float *shares;    /* [m, k] */
};

static struct plan planned(size_t groups, size_t d, size_t m, size_t k)
{
    struct plan plan = {0};
    plan.scores_at = gn_room(&plan.size, m, groups, sizeof(float));
    plan.acc_at = gn_room(&plan.size, m, d, sizeof(float));
    plan.held_at = gn_room(&plan.size, m, d, sizeof(float));
    plan.active_at = gn_room(&plan.size, m, 1, sizeof(uint32_t));
    plan.chosen_at = gn_room(&plan.size, m, k, sizeof(uint32_t));
    plan.shares_at = gn_room(&plan.size, m, k, sizeof(float));
    return plan;
}

size_t gn_hopfield_groups_scratch(size_t groups, size_t d, size_t m, size_t k)
{
    return planned(groups, d, m, k).size;
}

static int offsets_checked(const uint32_t *offsets, size_t groups, size_t n)
{
    if (groups >= UINT32_MAX)
        return GN_K_SIZE;
    if (!offsets)
        return GN_K_NULL;
    if (offsets[0] != 0 || offsets[groups] != n)
        return GN_K_VALUE;
    for (size_t g = 0; g < groups; g++)
        if (offsets[g] > offsets[g + 1])
            return GN_K_VALUE;
    return GN_K_OK;
}

/* Whether group a goes before group b: a NaN score last, then the larger, then the lower index. */
static int before(const float *scores, uint32_t a, uint32_t b)
{
    float x = scores[a], y = scores[b];
    if (isnan(x) || isnan(y))
        return isnan(x) == isnan(y) ? a < b : isnan(y);
    return x != y ? x > y : a < b;
}

/* chosen[0..found): a heap of the k best so far with the worst on top, then sorted. Returns found. */
static void sift(const float *scores, uint32_t *heap, size_t count, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        uint32_t held;
        if (child >= count)
            return;
        if (child + 1 < count && before(scores, heap[child], heap[child + 1]))
            child++;
        if (before(scores, heap[child], heap[at]))
            return;
        held = heap[at];
        heap[at] = heap[child];
        heap[child] = held;
        at = child;
    }
}

static size_t choose(const struct descent *it, const float *scores, uint32_t *chosen)
{
    size_t found = 0;
    for (uint32_t g = 0; g < it->groups; g++) {
        if (it->offsets[g] == it->offsets[g + 1])
            continue;
        if (found < it->k) {
            chosen[found++] = g;
            if (found == it->k)
                for (size_t i = found / 2; i-- > 0;)
                    sift(scores, chosen, found, i);
        } else if (before(scores, g, chosen[0])) {
            chosen[0] = g;
            sift(scores, chosen, found, 0);
        }
    }
    if (found < it->k)
        for (size_t i = found / 2; i-- > 0;)
            sift(scores, chosen, found, i);
    for (size_t left = found; left > 1; left--) {
        uint32_t worst = chosen[0];
        chosen[0] = chosen[left - 1];
        chosen[left - 1] = worst;
        sift(scores, chosen, left - 1, 0);
    }
    return found;
}

static struct gn_hopfield_slot begun(const float *query, float *acc, size_t d)
{
    if (d)
        memset(acc, 0, d * sizeof *acc);
    return (struct gn_hopfield_slot){.query = query, .acc = acc, .max = -INFINITY, .best = UINT32_MAX};
}

static struct gn_hopfield_slot read_group(const struct descent *it, uint32_t g, const float *query, float *acc)
{
    size_t d = it->rounds.d, first = it->offsets[g];
    struct gn_hopfield_slot slot = begun(query, acc, d);
    it->rounds.ops->scan(it->patterns + first * d, it->offsets[g + 1] - first, first, d, it->beta, &slot, 1);
    return slot;
}

/* One softmax over the patterns of all groups chosen. shares: each group's part of the sum. */
static void joint(const struct descent *it, const float *query, const uint32_t *chosen, size_t found, float *shares,
                  float *acc, float *out)
{
    size_t d = it->rounds.d;
    struct gn_hopfield_slot all = begun(query, out, d);
    for (size_t i = 0; i < found; i++) {
        struct gn_hopfield_slot one = read_group(it, chosen[i], query, acc);
        float before_max = all.max;
        it->rounds.ops->merge(&all, &one, d);
        for (size_t j = 0; j < i && before_max != all.max; j++)
            shares[j] *= expf(before_max - all.max);
        shares[i] = one.sum * (one.max == all.max ? 1 : expf(one.max - all.max));
    }
    for (size_t i = 0; i < found; i++)
        shares[i] /= all.sum;
    if (found)
        it->rounds.ops->scaled(out, out, 1 / all.sum, d, 0);
}

/* Each group's own retrieval, weighed by the upper memory's softmax. */
static void gated(const struct descent *it, const float *query, const float *scores, const uint32_t *chosen,
                  size_t found, float *shares, float *acc, float *out)
{
    size_t d = it->rounds.d;
    float sum = 0;
    if (d)
        memset(out, 0, d * sizeof *out);
    for (size_t i = 0; i < found; i++) /* chosen[0] has the largest score */
        sum += shares[i] = expf(it->beta_top * scores[chosen[i]] - it->beta_top * scores[chosen[0]]);
    for (size_t i = 0; i < found; i++) {
        struct gn_hopfield_slot one = read_group(it, chosen[i], query, acc);
        shares[i] /= sum;
        it->rounds.ops->scaled(out, acc, shares[i] / one.sum, d, 1);
    }
}

static void descend_part(void *job, size_t part, int worker)
{
    struct descent *it = job;
    size_t d = it->rounds.d, query = it->rounds.active[part];
    float *scores = (float *)(it->scratch + it->plan.scores_at) + query * it->groups;
    float *acc = (float *)(it->scratch + it->plan.acc_at) + query * d, *shares = it->shares + query * it->k;
    const float *state = it->from + query * d;
    uint32_t *chosen = it->chosen + query * it->k;
    size_t found;
    (void)worker;
    it->rounds.ops->dots(it->prototypes, it->groups, d, state, scores);
    found = choose(it, scores, chosen);
    if (it->mix == GN_HOPFIELD_JOINT)
        joint(it, state, chosen, found, shares, acc, it->rounds.out + query * d);
    else
        gated(it, state, scores, chosen, found, shares, acc, it->rounds.out + query * d);
    for (size_t i = found; i < it->k; i++) {
        chosen[i] = UINT32_MAX;
        shares[i] = 0;
    }
}

struct descent_call {
    struct descent *it;
    gn_pool *pool;
};

static void descend_round(void *job, const float *from, size_t count)
{
    struct descent_call *call = job;
    call->it->from = from;
    gn_pool_run(call->pool, descend_part, call->it, count);
}

static int checked(const struct descent *it, size_t n)
{
    int status = offsets_checked(it->offsets, it->groups, n);
    size_t d = it->rounds.d, m = it->rounds.m, bytes;
    if (status)
        return status;
    if (gn_too_large(it->groups, d, sizeof(float)))
        return GN_K_SIZE;
    if (it->groups && d && !it->prototypes)
        return GN_K_NULL;
    if (!it->k || it->k > it->groups || !(it->beta_top >= 0 && it->beta_top < INFINITY) ||
        (it->mix != GN_HOPFIELD_JOINT && it->mix != GN_HOPFIELD_GATED))
        return GN_K_VALUE;
    bytes = it->groups * d * sizeof(float);
    return gn_overlap(it->rounds.out, m * d * sizeof(float), it->prototypes, bytes) ? GN_K_OVERLAP : GN_K_OK;
}

int gn_hopfield_groups(const float *patterns, size_t n, size_t d, const uint32_t *offsets, size_t groups,
                       const float *prototypes, const float *queries, size_t m, size_t k, float beta, float beta_top,
                       int mix, size_t steps_max, float tolerance, float *out, uint32_t *steps, uint32_t *chosen,
                       float *shares, void *scratch, gn_pool *pool)
{
    struct descent it = {.patterns = patterns, .prototypes = prototypes, .offsets = offsets, .groups = groups, .k = k,
                         .beta = beta, .beta_top = beta_top, .mix = mix, .scratch = scratch};
    struct descent_call call = {&it, pool};
    int status = gn_hopfield_checked(patterns, n, d, queries, m, beta);
    it.rounds = (struct gn_hopfield_rounds){.ops = levels[gn_isa_level], .d = d, .m = m, .steps_max = steps_max,
                                            .tolerance = tolerance, .queries = queries, .out = out, .steps = steps};
    if (!status)
        status = gn_hopfield_rounds_checked(&it.rounds, patterns, n);
    if (!status)
        status = checked(&it, n);
    if (status || !m)
        return status;
    it.plan = planned(groups, d, m, k);
    if (it.plan.size == SIZE_MAX)
        return GN_K_SIZE;
    if (!scratch)
        return GN_K_NULL;
    it.chosen = chosen ? chosen : (uint32_t *)(it.scratch + it.plan.chosen_at);
    it.shares = shares ? shares : (float *)(it.scratch + it.plan.shares_at);
    it.rounds.held = (float *)(it.scratch + it.plan.held_at);
    it.rounds.active = (uint32_t *)(it.scratch + it.plan.active_at);
    gn_hopfield_settle(&it.rounds, descend_round, &call);
    return GN_K_OK;
}

struct means {
    const struct gn_hopfield_ops *ops;
    const float *patterns;
    const uint32_t *offsets;
    size_t d;
    float *prototypes;
};

static void mean_part(void *job, size_t part, int worker)
{
    const struct means *it = job;
    size_t first = it->offsets[part], last = it->offsets[part + 1];
    float *mean = it->prototypes + part * it->d;
    (void)worker;
    memset(mean, 0, it->d * sizeof *mean);
    for (size_t i = first; i < last; i++)
        it->ops->scaled(mean, it->patterns + i * it->d, 1.0f / (float)(last - first), it->d, 1);
}

int gn_hopfield_prototypes(const float *patterns, size_t n, size_t d, const uint32_t *offsets, size_t groups,
                           float *prototypes, gn_pool *pool)
{
    struct means it = {levels[gn_isa_level], patterns, offsets, d, prototypes};
    int status = gn_hopfield_checked(patterns, n, d, NULL, 0, 0);
    if (!status)
        status = offsets_checked(offsets, groups, n);
    if (status)
        return status;
    if (gn_too_large(groups, d, sizeof(float)))
        return GN_K_SIZE;
    if (groups && d && !prototypes)
        return GN_K_NULL;
    if (gn_overlap(prototypes, groups * d * sizeof(float), patterns, n * d * sizeof(float)))
        return GN_K_OVERLAP;
    if (d)
        gn_pool_run(pool, mean_part, &it, groups);
    return GN_K_OK;
}
