/* Making hypervectors: random, bound, turned over, shifted, bundled. What is read and compared stands in search.c. */
#include "hypervectors/hypervectors.h"

#include "base/isa.h"
#include "base/pool.h"

#include <string.h>

static const struct gn_hypervectors_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_hypervectors);

const struct gn_hypervectors_ops *gn_hypervectors(void) { return levels[gn_isa_level]; }

size_t gn_hv_words(size_t bits) { return bits / 64 + (bits % 64 != 0); }

int gn_hv_check(size_t n, size_t bits)
{
    if (bits == 0 || bits > GN_HV_BITS_MAX || n > SIZE_MAX / 16 / gn_hv_words(bits))
        return GN_K_SIZE;
    return GN_K_OK;
}

static uint64_t tail_mask(size_t bits) { return bits % 64 ? ((uint64_t)1 << bits % 64) - 1 : ~(uint64_t)0; }

/* SplitMix64's finaliser (Steele, Lea, Flood 2014) of a counter: any word can be had without those before it. */
static uint64_t mixed(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int gn_hv_random(uint64_t seed, size_t n, size_t bits, uint64_t *out)
{
    size_t words = gn_hv_words(bits);
    uint64_t counter = mixed(seed + 0x9e3779b97f4a7c15u), mask = tail_mask(bits);
    int status = gn_hv_check(n, bits);
    if (status != GN_K_OK)
        return status;
    if (!out && n)
        return GN_K_NULL;
    for (size_t i = 0; i < n; i++, out += words) {
        for (size_t w = 0; w < words; w++)
            out[w] = mixed(counter += 0x9e3779b97f4a7c15u);
        out[words - 1] &= mask;
    }
    return GN_K_OK;
}

int gn_hv_bind(const uint64_t *a, size_t n, const uint64_t *b, size_t b_n, size_t bits, uint64_t *out)
{
    size_t words = gn_hv_words(bits);
    uint64_t mask = tail_mask(bits);
    int status = gn_hv_check(n, bits);
    if (status != GN_K_OK || (b_n != n && b_n != 1))
        return GN_K_SIZE;
    if (n && (!a || !b || !out))
        return GN_K_NULL;
    if ((n && gn_overlap(out, 8 * n * words, a, 8 * n * words) && out != a) ||
        (n && gn_overlap(out, 8 * n * words, b, 8 * b_n * words) && (out != b || b_n != n)))
        return GN_K_OVERLAP;
    for (size_t i = 0; i < n; i++) {
        gn_hypervectors()->bind(a + i * words, b + (b_n == n ? i * words : 0), words, out + i * words);
        out[i * words + words - 1] &= mask;
    }
    return GN_K_OK;
}

int gn_hv_complement(const uint64_t *a, size_t n, size_t bits, uint64_t *out)
{
    size_t words = gn_hv_words(bits);
    uint64_t mask = tail_mask(bits);
    int status = gn_hv_check(n, bits);
    if (status != GN_K_OK)
        return status;
    if (n && (!a || !out))
        return GN_K_NULL;
    if (out != a && gn_overlap(out, 8 * n * words, a, 8 * n * words))
        return GN_K_OVERLAP;
    for (size_t i = 0; i < n; i++) {
        for (size_t w = 0; w < words; w++)
            out[i * words + w] = ~a[i * words + w];
        out[i * words + words - 1] &= mask;
    }
    return GN_K_OK;
}

/* Word `at` of the `bits` bits of v read from bit `at` on, going round at the end; bits is more than 64 or at + 64 is
 * within it. */
static uint64_t word_from(const uint64_t *v, size_t bits, size_t at)
{
    size_t word = at / 64, skip = at % 64, left = bits - at;
    uint64_t out = v[word] >> skip;
    if (skip && word + 1 < gn_hv_words(bits))
        out |= v[word + 1] << (64 - skip);
    if (left < 64) { /* the end is reached: what follows is the beginning */
        out &= ((uint64_t)1 << left) - 1;
        out |= v[0] << left;
    }
    return out;
}

/* Vectors shorter than a word go round within it. */
static uint64_t turned(uint64_t v, size_t bits, size_t shift)
{
    uint64_t mask = tail_mask(bits);
    v &= mask;
    return shift ? (v << shift | v >> (bits - shift)) & mask : v;
}

int gn_hv_permute(const uint64_t *a, size_t n, size_t bits, int64_t shift, uint64_t *out)
{
    size_t words = gn_hv_words(bits), by;
    int status = gn_hv_check(n, bits);
    if (status != GN_K_OK)
        return status;
    if (n && (!a || !out))
        return GN_K_NULL;
    if (gn_overlap(out, 8 * n * words, a, 8 * n * words))
        return GN_K_OVERLAP;
    by = shift % (int64_t)bits < 0 ? bits - (size_t) - (shift % (int64_t)bits) : (size_t)(shift % (int64_t)bits);
    for (size_t i = 0; i < n; i++, a += words, out += words) {
        if (bits <= 64) {
            out[0] = turned(a[0], bits, by);
            continue;
        }
        for (size_t w = 0, at = by ? bits - by : 0; w < words; w++, at = at + 64 < bits ? at + 64 : at + 64 - bits)
            out[w] = word_from(a, bits, at);
        out[words - 1] &= tail_mask(bits);
    }
    return GN_K_OK;
}

struct bundling {
    const uint64_t *vectors;
    size_t n, bits, words;
    int ties;
    uint64_t *out;
};

/* Bit i of the XOR of all vectors. */
static uint64_t parity_of_bit(const struct bundling *job, size_t i)
{
    uint64_t sum = 0;
    for (size_t r = 0; r < job->n; r++)
        sum ^= job->vectors[r * job->words + i / 64] >> i % 64;
    return sum & 1;
}

static void bundle_words(void *argument, size_t part, int worker)
{
    const struct bundling *job = argument;
    size_t first = part * GN_HV_BUNDLE_WORDS, left = job->words - first;
    uint64_t tie[GN_HV_BUNDLE_WORDS], parity[GN_HV_BUNDLE_WORDS], below;
    struct gn_hv_part it = {.rows = job->vectors + first,
                            .n = job->n,
                            .stride_words = job->words,
                            .words = left < GN_HV_BUNDLE_WORDS ? left : GN_HV_BUNDLE_WORDS,
                            .majority = job->out + first};
    int ties = job->n % 2 == 0 && job->ties != GN_HV_TIES_ZERO;
    (void)worker;
    if (ties) {
        it.tie = tie;
        it.parity = parity;
    }
    gn_hypervectors()->bundle(&it);
    if (!ties)
        return;
    below = job->ties == GN_HV_TIES_NEIGHBOUR ? parity_of_bit(job, first ? first * 64 - 1 : job->bits - 1) : 0;
    for (size_t w = 0; w < it.words; w++) {
        uint64_t choice = job->ties == GN_HV_TIES_ONE ? ~(uint64_t)0 : parity[w] << 1 | below;
        it.majority[w] |= tie[w] & choice;
        below = parity[w] >> 63;
    }
}

int gn_hv_bundle(const uint64_t *vectors, size_t n, size_t bits, int ties, uint64_t *out, gn_pool *pool)
{
    struct bundling job = {vectors, n, bits, gn_hv_words(bits), ties, out};
    int status = gn_hv_check(n, bits);
    if (status != GN_K_OK || n > GN_HV_BUNDLE_MAX)
        return GN_K_SIZE;
    if (!out || (n && !vectors))
        return GN_K_NULL;
    if (ties < GN_HV_TIES_NEIGHBOUR || ties > GN_HV_TIES_ONE)
        return GN_K_VALUE;
    if (n && gn_overlap(out, 8 * job.words, vectors, 8 * n * job.words))
        return GN_K_OVERLAP;
    gn_pool_run(pool, bundle_words, &job, (job.words + GN_HV_BUNDLE_WORDS - 1) / GN_HV_BUNDLE_WORDS);
    out[job.words - 1] &= tail_mask(bits);
    return GN_K_OK;
}
