/* The bank of patterns: what is worth keeping, and what is nearest. */
#include "adaptation/ops.h"
#include "base/pool.h"

#include <math.h>
#include <string.h>

enum { ROWS = 256 };

static int bank_status(const gn_patterns *bank)
{
    if (!bank)
        return GN_K_NULL;
    if (!bank->capacity || !bank->dim || gn_adapt_too_many(bank->capacity, bank->dim) || bank->count > bank->capacity ||
        bank->capacity > UINT32_MAX)
        return GN_K_SIZE;
    return bank->vectors && bank->quality && bank->uses && bank->born ? GN_K_OK : GN_K_NULL;
}

/* 1 / |v|, summed in float64 so that no finite vector overflows; NaN when v is not finite, infinite when it is zero. */
static double inverse_length(const float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return isfinite(sum) ? 1.0 / sqrt(sum) : (double)NAN;
}

static double worth(const gn_patterns *bank, size_t place)
{
    return (double)bank->quality[place] * (1.0 + log1p((double)bank->uses[place]));
}

/* A quality that became NaN is worth nothing. */
static size_t least(const gn_patterns *bank)
{
    size_t found = 0;
    double lowest = INFINITY;
    for (size_t i = 0; i < bank->count; i++) {
        double it = worth(bank, i);
        if (isnan(it))
            it = -1;
        if (it < lowest || (it == lowest && bank->born[i] < bank->born[found])) {
            lowest = it;
            found = i;
        }
    }
    return found;
}

int gn_patterns_add(gn_patterns *bank, const float *vector, float quality, size_t *place)
{
    int status = bank_status(bank);
    size_t at;
    double scale;
    if (status != GN_K_OK)
        return status;
    if (!vector)
        return GN_K_NULL;
    scale = inverse_length(vector, bank->dim);
    if (!isfinite(scale) || !isfinite(quality) || quality < 0)
        return GN_K_VALUE;
    if (gn_overlap(bank->vectors, bank->capacity * bank->dim * 4, vector, bank->dim * 4))
        return GN_K_OVERLAP;
    at = bank->count < bank->capacity ? bank->count++ : least(bank);
    for (size_t i = 0; i < bank->dim; i++)
        bank->vectors[at * bank->dim + i] = (float)((double)vector[i] * scale);
    bank->quality[at] = quality;
    bank->uses[at] = 0;
    bank->born[at] = ++bank->clock;
    if (place)
        *place = at;
    return GN_K_OK;
}

int gn_patterns_use(gn_patterns *bank, size_t place, float reward, float rate)
{
    int status = bank_status(bank);
    if (status != GN_K_OK)
        return status;
    if (place >= bank->count || !isfinite(reward) || reward < 0 || !(rate >= 0 && rate <= 1))
        return GN_K_VALUE;
    bank->uses[place] += bank->uses[place] < UINT32_MAX;
    bank->quality[place] += rate * (reward - bank->quality[place]);
    return GN_K_OK;
}

size_t gn_patterns_scratch(size_t count, size_t dim)
{
    return gn_adapt_too_many(count, 1) || gn_adapt_too_many(dim, 1) ? SIZE_MAX : (count + dim) * sizeof(float);
}

struct searching {
    const gn_patterns *bank;
    const float *query; /* of length 1 */
    float *found;
};

static void score_rows(void *argument, size_t part, int worker)
{
    const struct searching *job = argument;
    size_t first = part * ROWS, left = job->bank->count - first, rows = left < ROWS ? left : ROWS;
    float *found = job->found + first;
    (void)worker;
    gn_adaptation()->dots(job->bank->vectors + first * job->bank->dim, rows, job->bank->dim, job->query, found);
    for (size_t i = 0; i < rows; i++)
        found[i] = found[i] > 1 ? 1 : found[i] < -1 ? -1 : found[i];
}

/* Whether (a, i) comes behind (b, j): lower, or as high and later; NaN behind all. */
static int behind(float a, uint32_t i, float b, uint32_t j)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b) ? i > j : isnan(a);
    return a < b || (a == b && i > j);
}

/* The last of the k best stands on top of a heap in the caller's arrays. */
static void sink(uint32_t *place, float *cosine, size_t n)
{
    size_t i = 0;
    uint32_t p = place[0];
    float c = cosine[0];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && behind(cosine[child + 1], place[child + 1], cosine[child], place[child]))
            child++;
        if (!behind(cosine[child], place[child], c, p))
            break;
        place[i] = place[child];
        cosine[i] = cosine[child];
    }
    place[i] = p;
    cosine[i] = c;
}

static void rise(uint32_t *place, float *cosine, size_t i)
{
    uint32_t p = place[i];
    float c = cosine[i];
    for (; i && behind(c, p, cosine[(i - 1) / 2], place[(i - 1) / 2]); i = (i - 1) / 2) {
        place[i] = place[(i - 1) / 2];
        cosine[i] = cosine[(i - 1) / 2];
    }
    place[i] = p;
    cosine[i] = c;
}

static void choose(const float *found, size_t n, size_t k, uint32_t *place, float *cosine)
{
    for (size_t i = 0; i < n; i++) {
        if (i < k) {
            place[i] = (uint32_t)i;
            cosine[i] = found[i];
            rise(place, cosine, i);
        } else if (!(found[i] <= cosine[0]) && behind(cosine[0], place[0], found[i], (uint32_t)i)) {
            place[0] = (uint32_t)i;
            cosine[0] = found[i];
            sink(place, cosine, k);
        }
    }
    for (size_t last = k; last-- > 1;) {
        uint32_t p = place[0];
        float c = cosine[0];
        place[0] = place[last];
        cosine[0] = cosine[last];
        place[last] = p;
        cosine[last] = c;
        sink(place, cosine, last);
    }
}

int gn_patterns_search(const gn_patterns *bank, const float *query, size_t k, uint32_t *place, float *cosine,
                       void *scratch, gn_pool *pool)
{
    float *unit = scratch;
    struct searching job = {bank, unit, NULL};
    int status = bank_status(bank);
    double scale;
    if (status != GN_K_OK)
        return status;
    if (k > bank->count)
        return GN_K_SIZE;
    if (!query || (k && (!place || !cosine || !scratch)))
        return GN_K_NULL;
    scale = inverse_length(query, bank->dim);
    if (!isfinite(scale))
        return GN_K_VALUE;
    if (gn_overlap(place, k * 4, query, bank->dim * 4) || gn_overlap(cosine, k * 4, query, bank->dim * 4))
        return GN_K_OVERLAP;
    if (!k)
        return GN_K_OK;
    for (size_t i = 0; i < bank->dim; i++)
        unit[i] = (float)((double)query[i] * scale);
    job.found = unit + bank->dim;
    gn_pool_run(pool, score_rows, &job, (bank->count + ROWS - 1) / ROWS);
    choose(job.found, bank->count, k, place, cosine);
    return GN_K_OK;
}
