/* Flat retrieval and the energy: checks, the split over threads.
 *
 * The patterns are cut into chunks by their sizes alone; every query's result is the chunks' partial results, merged
 * in order. Few queries: a part of the work is a chunk for all of them. Many: a part is a tile of queries that goes
 * over all chunks. The sums are the same.
 */
#include "ganglion/kernels/hopfield.h"

#include "base/isa.h"
#include "base/pool.h"
#include "base/sizes.h"
#include "hopfield/steps.h"

#include <math.h>
#include <string.h>

static const struct gn_hopfield_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_hopfield);

/* A chunk holds GN_HOPFIELD_SMALL floats, and no more rows than a float32 sum in order can take. */
enum { CHUNKS_MAX = 64, CHUNK_UNIT = 16, QUERIES_TILE = 16 };

struct plan {
    size_t chunk, chunks, partials;
    size_t running_at, partial_at, acc_at, held_at, active_at, size;
};

struct retrieval {
    struct gn_hopfield_rounds rounds;
    struct plan plan;
    const float *patterns, *from;
    size_t n, count;
    float beta;
    int scores_only;
    struct gn_hopfield_slot *running, *partial;
    float *acc;
    uint32_t *best;
    float *weight;
    gn_pool *pool;
    struct gn_hopfield_slot one;
    uint32_t one_active;
};

static size_t up(size_t n, size_t to) { return (n + to - 1) / to * to; }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static struct plan planned(size_t n, size_t d, size_t m)
{
    struct plan plan = {0};
    size_t rows = least(up(GN_HOPFIELD_SMALL / (d ? d : 1) + 1, CHUNK_UNIT), GN_HOPFIELD_SMALL_ROWS);
    if (n / rows >= CHUNKS_MAX)
        rows = up(n / CHUNKS_MAX + 1, CHUNK_UNIT);
    plan.chunk = rows;
    plan.chunks = n / rows + (n % rows != 0);
    plan.partials = m <= QUERIES_TILE && plan.chunks > 1 ? plan.chunks * m : m;
    plan.running_at = gn_room(&plan.size, m, 1, sizeof(struct gn_hopfield_slot));
    plan.partial_at = gn_room(&plan.size, plan.partials, 1, sizeof(struct gn_hopfield_slot));
    plan.acc_at = gn_room(&plan.size, plan.partials, d, sizeof(float));
    plan.held_at = gn_room(&plan.size, m, d, sizeof(float));
    plan.active_at = gn_room(&plan.size, m, 1, sizeof(uint32_t));
    return plan;
}

size_t gn_hopfield_scratch(size_t n, size_t d, size_t m)
{
    return n >= UINT32_MAX || gn_too_large(n, d, sizeof(float)) ? SIZE_MAX : planned(n, d, m).size;
}

static void carve(struct retrieval *it, void *scratch)
{
    char *at = scratch;
    it->running = (struct gn_hopfield_slot *)(at + it->plan.running_at);
    it->partial = (struct gn_hopfield_slot *)(at + it->plan.partial_at);
    it->acc = (float *)(at + it->plan.acc_at);
    it->rounds.held = (float *)(at + it->plan.held_at);
    it->rounds.active = (uint32_t *)(at + it->plan.active_at);
}

static void begin(struct gn_hopfield_slot *slot, const float *query, float *acc, size_t d)
{
    *slot = (struct gn_hopfield_slot){.query = query, .acc = acc, .max = -INFINITY, .best = UINT32_MAX};
    if (acc && d)
        memset(acc, 0, d * sizeof *acc);
}

static void scan_chunk(const struct retrieval *it, size_t chunk, struct gn_hopfield_slot *slots, size_t count)
{
    size_t d = it->rounds.d, first = chunk * it->plan.chunk;
    it->rounds.ops->scan(it->patterns + first * d, least(it->plan.chunk, it->n - first), first, d, it->beta, slots,
                         count);
}

static void begin_partials(struct retrieval *it, struct gn_hopfield_slot *partial, size_t at, size_t first,
                           size_t count)
{
    size_t d = it->rounds.d;
    for (size_t i = 0; i < count; i++)
        begin(partial + i, it->running[first + i].query, it->scores_only ? NULL : it->acc + (at + i) * d, d);
}

static void chunk_part(void *job, size_t part, int worker)
{
    struct retrieval *it = job;
    size_t at = part * it->count;
    (void)worker;
    begin_partials(it, it->partial + at, at, 0, it->count);
    scan_chunk(it, part, it->partial + at, it->count);
}

static void tile_part(void *job, size_t part, int worker)
{
    struct retrieval *it = job;
    size_t first = part * QUERIES_TILE, count = least(QUERIES_TILE, it->count - first);
    (void)worker;
    if (it->plan.chunks == 1) {
        scan_chunk(it, 0, it->running + first, count);
        return;
    }
    for (size_t chunk = 0; chunk < it->plan.chunks; chunk++) {
        begin_partials(it, it->partial + first, first, first, count);
        scan_chunk(it, chunk, it->partial + first, count);
        for (size_t i = 0; i < count; i++)
            it->rounds.ops->merge(it->running + first + i, it->partial + first + i, it->rounds.d);
    }
}

/* running[0..count) = the online softmax of every query over all patterns. */
static void pass(struct retrieval *it)
{
    if (it->plan.chunks == 1 || it->rounds.m > QUERIES_TILE) {
        gn_pool_run(it->pool, tile_part, it, (it->count + QUERIES_TILE - 1) / QUERIES_TILE);
        return;
    }
    gn_pool_run(it->pool, chunk_part, it, it->plan.chunks);
    for (size_t chunk = 0; chunk < it->plan.chunks; chunk++)
        for (size_t i = 0; i < it->count; i++)
            it->rounds.ops->merge(it->running + i, it->partial + chunk * it->count + i, it->rounds.d);
}

static void retrieve_round(void *job, const float *from, size_t count)
{
    struct retrieval *it = job;
    size_t d = it->rounds.d;
    it->count = count;
    for (size_t i = 0; i < count; i++) {
        size_t query = it->rounds.active[i];
        begin(it->running + i, from + query * d, it->rounds.out + query * d, d);
    }
    pass(it);
    for (size_t i = 0; i < count; i++) {
        const struct gn_hopfield_slot *slot = it->running + i;
        size_t query = it->rounds.active[i];
        if (it->n)
            it->rounds.ops->scaled(slot->acc, slot->acc, 1 / slot->sum, d, 0);
        if (it->best)
            it->best[query] = slot->best;
        if (it->weight)
            it->weight[query] = it->n ? 1 / slot->sum : 0;
    }
}

/* One query, one step, one chunk: what it needs is small enough to come along with the call. */
static int small(struct retrieval *it)
{
    it->running = &it->one;
    it->rounds.active = &it->one_active;
    return it->rounds.m == 1 && it->rounds.steps_max == 1 && it->plan.chunks <= 1;
}

int gn_hopfield(const float *patterns, size_t n, size_t d, const float *queries, size_t m, float beta,
                size_t steps_max, float tolerance, float *out, uint32_t *steps, uint32_t *best, float *weight,
                void *scratch, gn_pool *pool)
{
    struct retrieval it = {.patterns = patterns, .n = n, .beta = beta, .best = best, .weight = weight, .pool = pool};
    int status = gn_hopfield_checked(patterns, n, d, queries, m, beta);
    it.rounds = (struct gn_hopfield_rounds){.ops = levels[gn_isa_level], .d = d, .m = m, .steps_max = steps_max,
                                            .tolerance = tolerance, .queries = queries, .out = out, .steps = steps};
    if (!status)
        status = gn_hopfield_rounds_checked(&it.rounds, patterns, n);
    if (status || !m)
        return status;
    it.plan = planned(n, d, m);
    if (it.plan.size == SIZE_MAX)
        return GN_K_SIZE;
    if (!scratch && !small(&it))
        return GN_K_NULL;
    if (scratch)
        carve(&it, scratch);
    gn_hopfield_settle(&it.rounds, retrieve_round, &it);
    return GN_K_OK;
}

static float largest_norm2(const struct retrieval *it)
{
    float largest = 0, norm2;
    for (size_t i = 0; i < it->n; i++) {
        const float *x = it->patterns + i * it->rounds.d;
        it->rounds.ops->dots(x, 1, it->rounds.d, x, &norm2);
        if (!(norm2 <= largest)) /* NaN stays */
            largest = norm2;
    }
    return largest;
}

int gn_hopfield_energy(const float *patterns, size_t n, size_t d, const float *states, size_t m, float beta,
                       float *energy, void *scratch, gn_pool *pool)
{
    struct retrieval it = {.patterns = patterns, .n = n, .beta = beta, .pool = pool, .scores_only = 1};
    int status = gn_hopfield_checked(patterns, n, d, states, m, beta);
    double constant;
    if (status)
        return status;
    if (!(beta > 0))
        return GN_K_VALUE;
    it.plan = planned(n, d, m);
    if (!m)
        return GN_K_OK;
    if (it.plan.size == SIZE_MAX)
        return GN_K_SIZE;
    if (!energy || !scratch)
        return GN_K_NULL;
    if (gn_overlap(energy, m * sizeof *energy, patterns, n * d * sizeof *patterns) ||
        gn_overlap(energy, m * sizeof *energy, states, m * d * sizeof *states))
        return GN_K_OVERLAP;
    it.rounds = (struct gn_hopfield_rounds){.ops = levels[gn_isa_level], .d = d, .m = m};
    it.count = m;
    carve(&it, scratch);
    for (size_t i = 0; i < m; i++)
        begin(it.running + i, states + i * d, NULL, d);
    pass(&it);
    constant = n ? log((double)n) / beta + largest_norm2(&it) * 0.5 : 0;
    for (size_t i = 0; i < m; i++) {
        const struct gn_hopfield_slot *slot = it.running + i;
        double lse = n ? ((double)slot->max + log((double)slot->sum)) / beta : 0;
        float norm2;
        it.rounds.ops->dots(slot->query, 1, d, slot->query, &norm2);
        energy[i] = (float)(0.5 * norm2 - lse + constant);
    }
    return GN_K_OK;
}
