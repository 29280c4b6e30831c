/* Experts behind a gate: who goes where, the rows of one expert together, and back. */
#include "ganglion/kernels/heads.h"
#include "heads/ops.h"

#include "base/isa.h"
#include "base/pool.h"
#include "base/sizes.h"

#include <math.h>
#include <string.h>

static const struct gn_heads_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_heads);

enum { TOKENS_PART = 32 };

/* Whether a goes before b: the larger; NaN last; the caller comes by rising index. */
static int above(float a, float b) { return isnan(b) ? !isnan(a) : a > b; }

/* The k largest of logits[n], best first. */
static void choose(const float *logits, size_t n, size_t k, uint32_t *index)
{
    size_t found = 0;
    for (size_t e = 0; e < n; e++) {
        size_t at = found < k ? found++ : k;
        if (at == k) {
            if (!above(logits[e], logits[index[k - 1]]))
                continue;
            at = k - 1;
        }
        for (; at && above(logits[e], logits[index[at - 1]]); at--)
            index[at] = index[at - 1];
        index[at] = (uint32_t)e;
    }
}

/* Weights of the chosen from the gates of all. Returns whether they are numbers. */
static int renormalise(const float *gates, const uint32_t *index, size_t k, float *weight)
{
    float sum = 0;
    for (size_t j = 0; j < k; j++)
        sum += weight[j] = gates[index[j]];
    for (size_t j = 0; j < k && sum != 0; j++)
        weight[j] /= sum;
    return !isnan(sum);
}

size_t gn_experts_scratch(size_t experts)
{
    size_t size = 0;
    gn_room(&size, experts, 2, sizeof(double));
    gn_room(&size, experts, 1, sizeof(float));
    return size;
}

static void report(const double *gates, const double *places, size_t tokens, size_t experts, size_t k, float *load,
                   float *importance, float *balance)
{
    double sum = 0;
    for (size_t e = 0; e < experts; e++) {
        double share = tokens ? places[e] / ((double)tokens * (double)k) : 0, mean = tokens ? gates[e] / (double)tokens : 0;
        sum += share * mean;
        if (load)
            load[e] = (float)share;
        if (importance)
            importance[e] = (float)mean;
    }
    if (balance)
        *balance = (float)(sum * (double)experts);
}

int gn_experts_route(const float *logits, size_t tokens, size_t experts, size_t k, uint32_t *index, float *weight,
                     float *load, float *importance, float *balance, void *scratch)
{
    const struct gn_heads_ops *ops = levels[gn_isa_level];
    size_t size = gn_experts_scratch(experts), bytes;
    double *sums = scratch;
    float *gates;
    if (!k || k > experts || experts >= UINT32_MAX || size == SIZE_MAX || gn_too_large(tokens, experts, sizeof(float)))
        return GN_K_SIZE;
    if ((tokens && (!logits || !index || !weight)) || !scratch)
        return GN_K_NULL;
    bytes = tokens * k * sizeof *weight;
    if (gn_overlap(index, bytes, logits, tokens * experts * sizeof *logits) ||
        gn_overlap(weight, bytes, logits, tokens * experts * sizeof *logits) || gn_overlap(index, bytes, weight, bytes))
        return GN_K_OVERLAP;
    gates = (float *)((char *)scratch + ((experts * 2 * sizeof(double) + 63) & ~(size_t)63));
    memset(sums, 0, 2 * experts * sizeof *sums);
    for (size_t t = 0; t < tokens; t++, logits += experts, index += k, weight += k) {
        ops->softmax(logits, experts, gates);
        choose(logits, experts, k, index);
        if (renormalise(gates, index, k, weight))
            for (size_t e = 0; e < experts; e++)
                sums[e] += gates[e];
        for (size_t j = 0; j < k; j++)
            sums[experts + index[j]] += 1;
    }
    report(sums, sums + experts, tokens, experts, k, load, importance, balance);
    return GN_K_OK;
}

int gn_experts_order(const uint32_t *index, size_t tokens, size_t k, size_t experts, uint32_t *offsets, uint32_t *row,
                     uint32_t *place)
{
    size_t places;
    uint32_t sum = 0;
    if (__builtin_mul_overflow(tokens, k, &places) || places >= UINT32_MAX || experts >= UINT32_MAX)
        return GN_K_SIZE;
    if (!offsets || (places && (!index || !row || !place)))
        return GN_K_NULL;
    memset(offsets, 0, (experts + 1) * sizeof *offsets);
    for (size_t i = 0; i < places; i++) {
        if (index[i] >= experts)
            return GN_K_VALUE;
        offsets[index[i]]++;
    }
    for (size_t e = 0; e <= experts; e++) { /* where each begins; moved on to where the next does by what follows */
        uint32_t here = offsets[e];
        offsets[e] = sum;
        sum += here;
    }
    for (size_t i = 0; i < places; i++) {
        place[i] = offsets[index[i]]++;
        row[place[i]] = (uint32_t)(i / k);
    }
    for (size_t e = experts; e > 0; e--)
        offsets[e] = offsets[e - 1];
    offsets[0] = 0;
    return GN_K_OK;
}

int gn_experts_gather(const float *x, size_t tokens, size_t d, const uint32_t *row, size_t places, float *out)
{
    if (gn_too_large(tokens, d, sizeof *x) || gn_too_large(places, d, sizeof *x))
        return GN_K_SIZE;
    if ((places && !row) || (places && d && (!x || !out)))
        return GN_K_NULL;
    for (size_t i = 0; i < places; i++)
        if (row[i] >= tokens)
            return GN_K_VALUE;
    if (gn_overlap(x, tokens * d * sizeof *x, out, places * d * sizeof *x))
        return GN_K_OVERLAP;
    for (size_t i = 0; d && i < places; i++)
        memcpy(out + i * d, x + row[i] * d, d * sizeof *x);
    return GN_K_OK;
}

struct combination {
    const struct gn_heads_ops *ops;
    const float *y, *weight;
    const uint32_t *place;
    size_t d, tokens, k;
    float *out;
};

static void combine_part(void *job, size_t part, int worker)
{
    const struct combination *it = job;
    size_t end = (part + 1) * TOKENS_PART < it->tokens ? (part + 1) * TOKENS_PART : it->tokens;
    (void)worker;
    for (size_t t = part * TOKENS_PART; t < end; t++) {
        int add = 0;
        for (size_t j = t * it->k; j < (t + 1) * it->k; j++)
            if (it->weight[j] != 0) {
                it->ops->weighted(it->out + t * it->d, it->y + it->place[j] * it->d, it->d, it->weight[j], add);
                add = 1;
            }
        if (!add)
            memset(it->out + t * it->d, 0, it->d * sizeof *it->out);
    }
}

int gn_experts_combine(const float *y, size_t places, size_t d, const uint32_t *place, const float *weight,
                       size_t tokens, size_t k, float *out, gn_pool *pool)
{
    struct combination it = {levels[gn_isa_level], y, weight, place, d, tokens, k, out};
    size_t choices;
    if (__builtin_mul_overflow(tokens, k, &choices) || gn_too_large(choices, 1, sizeof *weight) ||
        gn_too_large(places, d, sizeof *y) || gn_too_large(tokens, d, sizeof *out))
        return GN_K_SIZE;
    if ((choices && (!place || !weight)) || (places && d && !y) || (tokens && d && !out))
        return GN_K_NULL;
    for (size_t i = 0; i < choices; i++)
        if (place[i] >= places)
            return GN_K_VALUE;
    if (gn_overlap(out, tokens * d * sizeof *out, y, places * d * sizeof *y))
        return GN_K_OVERLAP;
    if (d)
        gn_pool_run(pool, combine_part, &it, (tokens + TOKENS_PART - 1) / TOKENS_PART);
    return GN_K_OK;
}
