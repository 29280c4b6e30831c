/* Attention over packed hypervectors: similarities are bit counts, the sum is over floats or a weighted vote.
 *
 * A part of the work is a query. With float values its keys go by in runs whose similarities fit the stack; with packed
 * values all its similarities lie in the scratch.
 */
#include "ganglion/kernels/hopfield.h"
#include "ganglion/kernels/hypervectors.h"

#include "base/isa.h"
#include "base/pool.h"
#include "base/sizes.h"
#include "hopfield/ops.h"

#include <math.h>
#include <string.h>

static const struct gn_hopfield_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_hopfield);

enum { RUN = 512, VOTE_WORDS = 8 };

struct lookup {
    const struct gn_hopfield_ops *ops;
    const uint64_t *queries, *keys, *votes;
    const float *values;
    size_t n, bits, words, width;
    float beta;
    float *out, *weight, *scores;
    uint64_t *packed;
    uint32_t *best;
};

static void attend_part(void *job, size_t part, int worker)
{
    const struct lookup *it = job;
    struct gn_hopfield_slot slot = {.acc = it->out + part * it->width, .max = -INFINITY, .best = UINT32_MAX};
    float near[RUN];
    (void)worker;
    if (it->width)
        memset(slot.acc, 0, it->width * sizeof *slot.acc);
    for (size_t j = 0; j < it->n; j += RUN) {
        size_t run = it->n - j < RUN ? it->n - j : RUN;
        gn_hv_similarity(it->queries + part * it->words, 1, it->keys + j * it->words, run, it->bits, near, NULL);
        it->ops->absorb(it->values + j * it->width, run, j, it->width, it->beta, near, &slot);
    }
    if (it->n)
        it->ops->scaled(slot.acc, slot.acc, 1 / slot.sum, it->width, 0);
    if (it->best)
        it->best[part] = slot.best;
    if (it->weight)
        it->weight[part] = it->n ? 1 / slot.sum : 0;
}

static int checked(const struct lookup *it, size_t m)
{
    if (!it->bits || it->bits > (size_t)1 << 31 || it->n >= UINT32_MAX ||
        gn_too_large(m, it->words, sizeof(uint64_t)) || gn_too_large(it->n, it->words, sizeof(uint64_t)))
        return GN_K_SIZE;
    if ((m && !it->queries) || (it->n && !it->keys))
        return GN_K_NULL;
    return it->beta >= 0 && it->beta < INFINITY ? GN_K_OK : GN_K_VALUE;
}

static int overlaps(const struct lookup *it, size_t m, const void *out, size_t bytes, const void *values, size_t values_bytes)
{
    return gn_overlap(out, bytes, it->queries, m * it->words * sizeof *it->queries) ||
           gn_overlap(out, bytes, it->keys, it->n * it->words * sizeof *it->keys) ||
           gn_overlap(out, bytes, values, values_bytes);
}

int gn_hdc_attention(const uint64_t *queries, size_t m, const uint64_t *keys, size_t n, size_t bits, const float *values,
                     size_t width, float beta, float *out, uint32_t *best, float *weight, gn_pool *pool)
{
    struct lookup it = {.ops = levels[gn_isa_level], .queries = queries, .keys = keys, .values = values, .n = n,
                        .bits = bits, .words = gn_hv_words(bits), .width = width, .beta = beta, .out = out,
                        .weight = weight, .best = best};
    int status = checked(&it, m);
    if (status)
        return status;
    if (gn_too_large(n, width, sizeof *values) || gn_too_large(m, width, sizeof *out))
        return GN_K_SIZE;
    if ((n && width && !values) || (m && width && !out))
        return GN_K_NULL;
    if (overlaps(&it, m, out, m * width * sizeof *out, values, n * width * sizeof *values))
        return GN_K_OVERLAP;
    gn_pool_run(pool, attend_part, &it, m);
    return GN_K_OK;
}

static void vote_part(void *job, size_t part, int worker)
{
    const struct lookup *it = job;
    float *weight = it->scores + part * it->n, sums[VOTE_WORDS * 64], top = -INFINITY, total = 0;
    uint64_t *out = it->packed + part * it->words;
    (void)worker;
    gn_hv_similarity(it->queries + part * it->words, 1, it->keys, it->n, it->bits, weight, NULL);
    for (size_t j = 0; j < it->n; j++)
        top = weight[j] > top ? weight[j] : top;
    it->ops->weights(weight, it->n, it->beta, top);
    for (size_t j = 0; j < it->n; j++)
        total += weight[j];
    for (size_t w = 0; w < it->words; w += VOTE_WORDS) {
        size_t words = it->words - w < VOTE_WORDS ? it->words - w : VOTE_WORDS;
        memset(sums, 0, sizeof sums);
        it->ops->vote(it->votes + w, it->n, it->words, words, weight, sums);
        for (size_t i = 0; i < words; i++) {
            uint64_t word = 0;
            for (int b = 0; b < 64; b++)
                word |= (uint64_t)(2 * sums[i * 64 + (size_t)b] > total) << b;
            out[w + i] = word;
        }
    }
    if (it->bits % 64)
        out[it->words - 1] &= ((uint64_t)1 << it->bits % 64) - 1;
}

size_t gn_hdc_vote_scratch(size_t m, size_t n)
{
    size_t size = 0;
    gn_room(&size, m, n, sizeof(float));
    return size;
}

int gn_hdc_vote(const uint64_t *queries, size_t m, const uint64_t *keys, const uint64_t *values, size_t n, size_t bits,
                float beta, uint64_t *out, void *scratch, gn_pool *pool)
{
    struct lookup it = {.ops = levels[gn_isa_level], .queries = queries, .keys = keys, .votes = values, .n = n,
                        .bits = bits, .words = gn_hv_words(bits), .beta = beta, .packed = out, .scores = scratch};
    int status = checked(&it, m);
    size_t size = gn_hdc_vote_scratch(m, n);
    if (status)
        return status;
    if (size == SIZE_MAX)
        return GN_K_SIZE;
    if ((n && !values) || (m && !out) || (size && !scratch))
        return GN_K_NULL;
    if (overlaps(&it, m, out, m * it.words * sizeof *out, values, n * it.words * sizeof *values))
        return GN_K_OVERLAP;
    gn_pool_run(pool, vote_part, &it, m);
    return GN_K_OK;
}
