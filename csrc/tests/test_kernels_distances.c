/* Distances: every metric, element and level against float64, at sizes round the edges and against guard pages. */
#include "kernel_check.h"


static double as_double(int element, const void *rows, size_t at)
{
    const uint16_t *half = rows;
    float f;
    uint32_t bits;
    if (element == GN_ELEMENT_F32)
        return ((const float *)rows)[at];
    if (element == GN_ELEMENT_I8)
        return ((const int8_t *)rows)[at];
    if (element == GN_ELEMENT_BF16) {
        bits = (uint32_t)half[at] << 16;
        memcpy(&f, &bits, sizeof f);
        return f;
    }
    f = ldexpf((float)(half[at] & 0x3ff) + ((half[at] & 0x7c00) ? 1024 : 0),
               ((half[at] >> 10 & 31) ? (half[at] >> 10 & 31) : 1) - 25);
    return half[at] & 0x8000 ? -f : f;
}

static size_t bytes_of(int element) { return element == GN_ELEMENT_F32 ? 4 : element <= GN_ELEMENT_BF16 ? 2 : 1; }

/* Finite values of every sign; halves between 2^-8 and 4. */
static void fill(int element, void *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t r = random_u64();
        if (element == GN_ELEMENT_F32)
            ((float *)rows)[i] = random_normal();
        else if (element == GN_ELEMENT_F16)
            ((uint16_t *)rows)[i] = (uint16_t)((r & 0x83ff) | (7 + r / 65536 % 10) << 10);
        else if (element == GN_ELEMENT_BF16)
            ((uint16_t *)rows)[i] = (uint16_t)((r & 0x807f) | (119 + r / 65536 % 10) << 7);
        else
            ((uint8_t *)rows)[i] = (uint8_t)r;
    }
}

struct sums {
    double dot, apart, q, k, size; /* size: sum |q_i k_i| */
};

static struct sums sums_of(int element, const void *q, size_t i, const void *k, size_t j, size_t dim)
{
    struct sums s = {0, 0, 0, 0, 0};
    for (size_t p = 0; p < dim; p++) {
        double a = as_double(element, q, i * dim + p), b = as_double(element, k, j * dim + p);
        s.dot += a * b;
        s.size += fabs(a * b);
        s.apart += (a - b) * (a - b);
        s.q += a * a;
        s.k += b * b;
    }
    return s;
}

static double wanted(int metric, const struct sums *s, size_t dim, double eps, double *bound)
{
    double e = (double)(dim + 4) * eps, norms = sqrt(s->q * s->k);
    switch (metric) {
    case GN_METRIC_DOT:
        *bound = e * s->size;
        return s->dot;
    case GN_METRIC_COSINE:
        *bound = 2 * e;
        return norms > 0 ? s->dot / norms : 0;
    case GN_METRIC_L2:
        *bound = e * sqrt(s->apart);
        return sqrt(s->apart);
    default:
        *bound = 2 * e * s->apart; /* the difference is rounded too */
        return s->apart;
    }
}

static void *scratch_of(size_t size, struct guarded *room)
{
    CHECK(size != SIZE_MAX);
    *room = guarded_new(size, (64 - size % 64) % 64);
    return room->data;
}

static void check_f64(int metric, const float *q, size_t m, const float *k, size_t n, size_t dim, gn_pool *pool)
{
    struct guarded out = guarded_new(m * n * 8, 0);
    double *got = (double *)(void *)out.data, bound;
    CHECK(gn_distances_f64(metric, q, m, k, n, dim, got, pool) == GN_K_OK);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            struct sums s = sums_of(GN_ELEMENT_F32, q, i, k, j, dim);
            double want = wanted(metric, &s, dim, 0x1p-52, &bound);
            CHECK(fabs(got[i * n + j] - want) <= bound + 1e-300);
        }
    guarded_free(&out);
}

/* The k nearest are those of a full sort by (score, index), to the bit. */
static void check_nearest(int metric, int element, const void *q, size_t m, const void *keys, size_t n, size_t dim,
                          const float *all, size_t k, gn_pool *pool)
{
    struct guarded scores = guarded_new(m * k * 4, 0), indices = guarded_new(m * k * 8, 0), room;
    int small = metric != GN_METRIC_DOT && metric != GN_METRIC_COSINE;
    void *scratch = scratch_of(gn_nearest_scratch(metric, element, m, n, dim, k, gn_pool_threads(pool)), &room);
    float *score = (float *)scores.data;
    int64_t *index = (int64_t *)(void *)indices.data;
    CHECK(gn_nearest(metric, element, q, m, keys, n, dim, k, score, index, scratch, pool) == GN_K_OK);
    for (size_t i = 0; i < m; i++) {
        const float *row = all + i * n;
        for (size_t r = 0; r < k; r++) {
            int64_t at = index[i * k + r];
            size_t before = 0;
            CHECK(at >= 0 && (size_t)at < n);
            CHECK(score[i * k + r] == row[at] || (isnan(score[i * k + r]) && isnan(row[at])));
            for (size_t j = 0; j < n; j++) /* how many come before it */
                before += isnan(row[at]) ? !isnan(row[j]) || j < (size_t)at
                                         : (small ? row[j] < row[at] : row[j] > row[at]) ||
                                               (row[j] == row[at] && j < (size_t)at);
            CHECK(before == r);
        }
    }
    guarded_free(&scores);
    guarded_free(&indices);
    guarded_free(&room);
}

static void one(int metric, int element, size_t m, size_t n, size_t dim, size_t skew, gn_pool *pool)
{
    size_t each = bytes_of(element);
    struct guarded q = guarded_new(m * dim * each, skew), k = guarded_new(n * dim * each, skew);
    struct guarded out = guarded_new(m * n * 4, 0), room;
    float *got = (float *)out.data;
    double bound;
    void *scratch = scratch_of(gn_distances_scratch(metric, element, m, n, dim, gn_pool_threads(pool)), &room);
    fill(element, q.data, m * dim);
    fill(element, k.data, n * dim);
    CHECK(gn_distances(metric, element, q.data, m, k.data, n, dim, got, scratch, pool) == GN_K_OK);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            struct sums s = sums_of(element, q.data, i, k.data, j, dim);
            double want = wanted(metric, &s, element == GN_ELEMENT_I8 ? 2 : dim, 0x1p-24, &bound);
            CHECK(fabs(got[i * n + j] - want) <= bound + 1e-37);
        }
    check_nearest(metric, element, q.data, m, k.data, n, dim, got, n < 5 ? n : 5, pool);
    if (element == GN_ELEMENT_F32)
        check_f64(metric, (float *)q.data, m, (float *)k.data, n, dim, pool);
    guarded_free(&q);
    guarded_free(&k);
    guarded_free(&out);
    guarded_free(&room);
}

static void floats(gn_pool *pool)
{
    static const size_t dims[] = {0, 1, 3, 8, 15, 16, 17, 33, 64, 67, 129};
    for (int element = GN_ELEMENT_F32; element <= GN_ELEMENT_I8; element++)
        for (int metric = GN_METRIC_DOT; metric <= GN_METRIC_L2SQ; metric++)
            for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
                size_t skew = (d % 4) * bytes_of(element);
                one(metric, element, 1, 1 + d * 3, dims[d], skew, NULL);
                one(metric, element, 3, 20, dims[d], skew, NULL);
                one(metric, element, 7 + d, 9 + d * 5, dims[d], skew, pool);
            }
    for (int metric = GN_METRIC_DOT; metric <= GN_METRIC_L2SQ; metric++) { /* past blocks of depth, of rows, of keys */
        one(metric, GN_ELEMENT_F32, 9, 11, 400, 0, NULL);
        one(metric, GN_ELEMENT_F16, 9, 5, 400, 0, NULL);
        one(metric, GN_ELEMENT_F32, 175, 100, 3, 4, NULL);
        one(metric, GN_ELEMENT_F32, 1, 1100, 2, 4, pool);
        for (size_t skew = 0; skew < 64; skew += 4)
            one(metric, GN_ELEMENT_F32, 1, 9, 48, skew, NULL);
    }
}

static void bits_one(size_t m, size_t n, size_t bytes, gn_pool *pool)
{
    struct guarded q = guarded_new(m * bytes, 0), k = guarded_new(n * bytes, 0), out = guarded_new(m * n * 4, 0), room;
    float *got = (float *)out.data;
    fill(GN_ELEMENT_B1, q.data, m * bytes);
    fill(GN_ELEMENT_B1, k.data, n * bytes);
    for (int metric = GN_METRIC_HAMMING; metric <= GN_METRIC_JACCARD; metric++) {
        size_t size = gn_distances_scratch(metric, GN_ELEMENT_B1, m, n, bytes, gn_pool_threads(pool));
        CHECK(gn_distances(metric, GN_ELEMENT_B1, q.data, m, k.data, n, bytes, got, scratch_of(size, &room), pool) == 0);
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                unsigned differ = 0, both = 0, either = 0;
                for (size_t p = 0; p < bytes; p++) {
                    unsigned a = q.data[i * bytes + p], b = k.data[j * bytes + p];
                    differ += (unsigned)__builtin_popcount(a ^ b);
                    both += (unsigned)__builtin_popcount(a & b);
                    either += (unsigned)__builtin_popcount(a | b);
                }
                if (metric == GN_METRIC_HAMMING)
                    CHECK(got[i * n + j] == (float)differ);
                else
                    CHECK(fabs(got[i * n + j] - (either ? 1 - (double)both / either : 0)) <= 0x1p-23);
            }
        check_nearest(metric, GN_ELEMENT_B1, q.data, m, k.data, n, bytes, got, n < 4 ? n : 4, pool);
        guarded_free(&room);
    }
    guarded_free(&q);
    guarded_free(&k);
    guarded_free(&out);
}

static void bits(gn_pool *pool)
{
    static const size_t bytes[] = {0, 1, 7, 8, 31, 33, 64, 65, 127, 200};
    for (size_t b = 0; b < sizeof bytes / sizeof *bytes; b++) {
        bits_one(1, 1 + b, bytes[b], NULL);
        bits_one(5, 17 + b, bytes[b], NULL);
        bits_one(19, 11 + b, bytes[b], pool);
    }
}

/* Ties by the lowest index and NaN last, with any number of threads; more k than numbers that are no NaN. */
static void ties_and_nan(gn_pool *pool)
{
    enum { N = 3000 };
    static float keys[N * 2], all[N];
    float query[2] = {1, 0};
    static const size_t k[] = {1, 3, 50, N};
    for (int holes = 0; holes < 3; holes++) {
        for (size_t i = 0; i < N; i++) {
            keys[2 * i] = (float)(random_u64() % 7) - 3;
            keys[2 * i + 1] = 0;
            if (holes == 2 || (holes == 1 && i % 3))
                keys[2 * i] = NAN;
        }
        for (int metric = GN_METRIC_DOT; metric <= GN_METRIC_L2SQ; metric++) {
            struct guarded room;
            size_t size = gn_distances_scratch(metric, GN_ELEMENT_F32, 1, N, 2, 1);
            CHECK(gn_distances(metric, GN_ELEMENT_F32, query, 1, keys, N, 2, all, scratch_of(size, &room), NULL) == 0);
            guarded_free(&room);
            for (size_t i = 0; i < sizeof k / sizeof *k; i++) {
                if (k[i] == N && metric != GN_METRIC_DOT)
                    continue;
                check_nearest(metric, GN_ELEMENT_F32, query, 1, keys, N, 2, all, k[i], NULL);
                check_nearest(metric, GN_ELEMENT_F32, query, 1, keys, N, 2, all, k[i], pool);
            }
        }
    }
}

/* int8 at its extremes and its longest row: sums that just fit. */
static void bytes_exact(void)
{
    enum { DIM = 1 << 16 };
    static int8_t low[DIM], high[DIM];
    float out;
    memset(low, -128, sizeof low);
    memset(high, 127, sizeof high);
    CHECK(gn_distances(GN_METRIC_DOT, GN_ELEMENT_I8, low, 1, low, 1, DIM, &out, NULL, NULL) == 0);
    CHECK(out == 128.0f * 128 * DIM);
    CHECK(gn_distances(GN_METRIC_DOT, GN_ELEMENT_I8, low, 1, high, 1, DIM, &out, NULL, NULL) == 0);
    CHECK(out == -128.0f * 127 * DIM);
    CHECK(gn_distances(GN_METRIC_L2SQ, GN_ELEMENT_I8, low, 1, high, 1, DIM, &out, NULL, NULL) == 0);
    CHECK(out == 255.0f * 255 * DIM);
    CHECK(gn_distances(GN_METRIC_DOT, GN_ELEMENT_I8, low, 1, high, 1, DIM + 1, &out, NULL, NULL) == GN_K_SIZE);
}

static void refusals(void)
{
    float a[8] = {1}, out[8];
    int64_t index[8];
    _Alignas(64) char room[4096];
    CHECK(gn_distances(-1, 0, a, 1, a, 1, 1, out, room, NULL) == GN_K_VALUE);
    CHECK(gn_distances(GN_METRIC_COUNT, 0, a, 1, a, 1, 1, out, room, NULL) == GN_K_VALUE);
    CHECK(gn_distances(0, GN_ELEMENT_COUNT, a, 1, a, 1, 1, out, room, NULL) == GN_K_VALUE);
    CHECK(gn_distances(GN_METRIC_HAMMING, 0, a, 1, a, 1, 1, out, room, NULL) == GN_K_UNSUPPORTED);
    CHECK(gn_distances(GN_METRIC_DOT, GN_ELEMENT_B1, a, 1, a, 1, 1, out, room, NULL) == GN_K_UNSUPPORTED);
    CHECK(gn_distances(0, 0, NULL, 1, a, 1, 1, out, room, NULL) == GN_K_NULL);
    CHECK(gn_distances(0, 0, a, 1, NULL, 1, 1, out, room, NULL) == GN_K_NULL);
    CHECK(gn_distances(0, 0, a, 1, a, 1, 1, NULL, room, NULL) == GN_K_NULL);
    CHECK(gn_distances(GN_METRIC_COSINE, 0, a, 1, a, 1, 1, out, NULL, NULL) == GN_K_NULL);
    CHECK(gn_distances(0, 0, a, 1, a, 1, 1, a, room, NULL) == GN_K_OVERLAP);
    CHECK(gn_distances(0, 0, a, SIZE_MAX / 4, a, 3, 2, out, room, NULL) == GN_K_SIZE);
    CHECK(gn_distances(0, 0, a, 1, a, SIZE_MAX / 2, 3, out, room, NULL) == GN_K_SIZE);
    CHECK(gn_distances_scratch(0, 0, 1, 1, SIZE_MAX, 1) == SIZE_MAX);
    CHECK(gn_distances(0, 0, NULL, 0, a, 2, 4, NULL, NULL, NULL) == GN_K_OK);
    CHECK(gn_distances(0, 0, a, 2, NULL, 0, 4, NULL, NULL, NULL) == GN_K_OK);
    CHECK(gn_distances(0, 0, NULL, 1, NULL, 2, 0, out, room, NULL) == GN_K_OK && out[0] == 0 && out[1] == 0);
    CHECK(gn_distances_f64(GN_METRIC_HAMMING, a, 1, a, 1, 1, (double *)(void *)room, NULL) == GN_K_UNSUPPORTED);
    CHECK(gn_nearest(0, 0, a, 1, a + 4, 2, 1, 3, out, index, room, NULL) == GN_K_SIZE);
    CHECK(gn_nearest(0, 0, a, 1, a + 4, 2, 1, 0, NULL, NULL, NULL, NULL) == GN_K_OK);
    CHECK(gn_nearest(0, 0, a, 1, a + 4, 2, 1, 1, NULL, index, room, NULL) == GN_K_NULL);
    CHECK(gn_nearest(0, 0, a, 1, a + 4, 2, 1, 1, out, index, NULL, NULL) == GN_K_NULL);
    CHECK(gn_nearest(0, 0, a, 1, a + 4, 2, 1, 1, a, index, room, NULL) == GN_K_OVERLAP);
    CHECK(gn_nearest_scratch(0, 0, 1, 2, 1, 3, 1) == SIZE_MAX);
}

int main(void)
{
    gn_pool *pool = gn_pool_open(2);
    for (int level = GN_ISA_SERIAL; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK || level == GN_ISA_SAPPHIRE)
            continue;
        floats(pool);
        bits(pool);
        ties_and_nan(pool);
        bytes_exact();
        refusals();
    }
    gn_pool_close(pool);
    puts("test_kernels_distances: ok");
    return 0;
}
