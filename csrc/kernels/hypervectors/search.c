/* Comparing hypervectors: distances, similarities, and the nearest in an item memory without a table of all of them. */
#include "base/pool.h"
#include "hypervectors/hypervectors.h"

#include <string.h>

enum { BLOCK = 256 };

struct comparing {
    const uint64_t *queries, *keys;
    size_t m, n, bits, words, blocks;
    uint32_t *distance;
    float *similarity;
    size_t k;
    uint32_t *index;
};

/* Only whole bytes are counted apart: what the last byte's tail, which may hold anything, added is taken off again. */
static void take_tail_off(const struct comparing *job, const uint64_t *query, const uint64_t *keys, size_t n,
                          uint32_t *out)
{
    size_t last = job->words - 1;
    uint64_t tail = job->bits % 8 ? (uint64_t)(0xff << job->bits % 8 & 0xff) << job->bits / 8 % 8 * 8 : 0;
    if (!tail)
        return;
    for (size_t i = 0; i < n; i++)
        out[i] -= (uint32_t)__builtin_popcountll((query[last] ^ keys[i * job->words + last]) & tail);
}

/* In float64, then rounded: one step of rounding away from the quotient at worst, and exact at 1 and -1. The distance, up
 * to 2^31, goes through an int32 so that the loop needs no 64-bit conversion, which SSE2 has not. */
static void similar(const uint32_t *distance, size_t n, size_t bits, float *out)
{
    double each = 1.0 / (double)bits, top = (double)bits - 0x1p31;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((top - 2.0 * (double)(int32_t)(distance[i] - 0x40000000u)) * each);
}

/* Keys [first, first + n) against queries [j, j + m): m rows of BLOCK distances. */
static void distances(const struct comparing *job, size_t j, size_t m, size_t first, size_t n, uint32_t *out,
                      size_t out_stride)
{
    const uint64_t *queries = job->queries + j * job->words, *keys = job->keys + first * job->words;
    size_t stride = job->words * 8, bytes = (job->bits + 7) / 8;
    if (m == 1 && job->n > GN_HV_FAR / stride)
        gn_hypervectors()->hamming_far((const uint8_t *)queries, (const uint8_t *)keys, n, bytes, stride, out);
    else if (m == 1)
        gn_hypervectors()->hamming((const uint8_t *)queries, (const uint8_t *)keys, n, bytes, stride, out);
    else
        gn_hypervectors()->hamming_tile((const uint8_t *)queries, m, stride, (const uint8_t *)keys, n, stride, bytes,
                                        out, out_stride);
    for (size_t q = 0; q < m; q++)
        take_tail_off(job, queries + q * job->words, keys, n, out + q * out_stride);
}

enum { QUERIES = 16 };

/* One part: up to QUERIES queries against one block of keys. */
static void compare_block(void *argument, size_t part, int worker)
{
    const struct comparing *job = argument;
    uint32_t found[QUERIES * BLOCK];
    size_t j = part / job->blocks * QUERIES, first = part % job->blocks * BLOCK;
    size_t m = job->m - j < QUERIES ? job->m - j : QUERIES, n = job->n - first < BLOCK ? job->n - first : BLOCK;
    (void)worker;
    if (job->distance) {
        distances(job, j, m, first, n, job->distance + j * job->n + first, job->n);
        return;
    }
    distances(job, j, m, first, n, found, BLOCK);
    for (size_t q = 0; q < m; q++)
        similar(found + q * BLOCK, n, job->bits, job->similarity + (j + q) * job->n + first);
}

static int comparable(const struct comparing *job, const void *out)
{
    if (gn_hv_check(job->m, job->bits) != GN_K_OK || gn_hv_check(job->n, job->bits) != GN_K_OK ||
        (job->n && job->m > SIZE_MAX / 8 / job->n))
        return GN_K_SIZE;
    if (job->m && job->n && (!job->queries || !job->keys || !out))
        return GN_K_NULL;
    return GN_K_OK;
}

/* Whether `count` four-byte results share a byte with an input. */
static int overlapping(const struct comparing *job, const void *out, size_t count)
{
    return gn_overlap(out, count * 4, job->queries, job->m * job->words * 8) ||
           gn_overlap(out, count * 4, job->keys, job->n * job->words * 8);
}

static int compare_all(struct comparing *job, const void *out, gn_pool *pool)
{
    int status = comparable(job, out);
    if (status != GN_K_OK || !job->m || !job->n)
        return status;
    if (overlapping(job, out, job->m * job->n))
        return GN_K_OVERLAP;
    job->blocks = (job->n + BLOCK - 1) / BLOCK;
    gn_pool_run(pool, compare_block, job, job->blocks * ((job->m + QUERIES - 1) / QUERIES));
    return GN_K_OK;
}

int gn_hv_hamming(const uint64_t *queries, size_t m, const uint64_t *keys, size_t n, size_t bits, uint32_t *out,
                  gn_pool *pool)
{
    struct comparing job = {queries, keys, m, n, bits, gn_hv_words(bits), 0, out, NULL, 0, NULL};
    return compare_all(&job, out, pool);
}

int gn_hv_similarity(const uint64_t *queries, size_t m, const uint64_t *keys, size_t n, size_t bits, float *out,
                     gn_pool *pool)
{
    struct comparing job = {queries, keys, m, n, bits, gn_hv_words(bits), 0, NULL, out, 0, NULL};
    return compare_all(&job, out, pool);
}

/* The k best so far are a heap with the worst on top, in the caller's outputs: until they are sorted, the bits of a
 * distance stand where its similarity will. */
struct best {
    uint32_t *index;
    float *slot;
    size_t kept;
};

static uint32_t held(const struct best *b, size_t i)
{
    uint32_t distance;
    memcpy(&distance, &b->slot[i], sizeof distance);
    return distance;
}

static void hold(const struct best *b, size_t i, uint32_t index, uint32_t distance)
{
    b->index[i] = index;
    memcpy(&b->slot[i], &distance, sizeof distance);
}

static int worse(const struct best *b, size_t i, size_t j)
{
    uint32_t a = held(b, i), c = held(b, j);
    return a > c || (a == c && b->index[i] > b->index[j]);
}

static void exchange(const struct best *b, size_t i, size_t j)
{
    uint32_t index = b->index[i], distance = held(b, i);
    hold(b, i, b->index[j], held(b, j));
    hold(b, j, index, distance);
}

static void sink(const struct best *b, size_t i, size_t n)
{
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && worse(b, child + 1, child))
            child++;
        if (!worse(b, child, i))
            return;
        exchange(b, i, child);
    }
}

static void offer(struct best *b, size_t k, uint32_t index, uint32_t distance)
{
    if (b->kept < k) {
        size_t i = b->kept++;
        hold(b, i, index, distance);
        for (; i && worse(b, i, (i - 1) / 2); i = (i - 1) / 2)
            exchange(b, i, (i - 1) / 2);
    } else { /* better than the worst: keys come in order of index, so an equal distance is a later key */
        hold(b, 0, index, distance);
        sink(b, 0, k);
    }
}

static void search_one(void *argument, size_t part, int worker)
{
    const struct comparing *job = argument;
    uint32_t found[BLOCK];
    struct best b = {job->index + part * job->k, job->similarity + part * job->k, 0};
    uint32_t limit = UINT32_MAX;
    (void)worker;
    for (size_t first = 0; first < job->n; first += BLOCK) {
        size_t n = job->n - first < BLOCK ? job->n - first : BLOCK;
        distances(job, part, 1, first, n, found, BLOCK);
        for (size_t i = 0; i < n; i++)
            if (found[i] < limit) {
                offer(&b, job->k, (uint32_t)(first + i), found[i]);
                limit = b.kept < job->k ? UINT32_MAX : held(&b, 0);
            }
    }
    for (size_t n = job->k; n > 1; n--) {
        exchange(&b, 0, n - 1);
        sink(&b, 0, n - 1);
    }
    for (size_t i = 0; i < job->k; i++) {
        uint32_t distance = held(&b, i);
        similar(&distance, 1, job->bits, &b.slot[i]);
    }
}

int gn_hv_search(const uint64_t *queries, size_t m, const uint64_t *keys, size_t n, size_t bits, size_t k,
                 uint32_t *index, float *similarity, gn_pool *pool)
{
    struct comparing job = {queries, keys, m, n, bits, gn_hv_words(bits), 0, NULL, similarity, k, index};
    int status = comparable(&job, index);
    if (status != GN_K_OK)
        return status;
    if (k > n || n > UINT32_MAX)
        return GN_K_SIZE;
    if (!m || !k)
        return GN_K_OK;
    if (!index || !similarity)
        return GN_K_NULL;
    if (overlapping(&job, index, m * k) || overlapping(&job, similarity, m * k))
        return GN_K_OVERLAP;
    gn_pool_run(pool, search_one, &job, m);
    return GN_K_OK;
}
