/* K winners take all against a sort, on every level; arguments; arrays that end at a page nobody may touch. */
#include "kernel_check.h"

#include <float.h>

enum { BIG = 20000 };

static const float *sorting;

/* The order of competition, in words: larger, then the lower index, NaN last. */
static int before(const void *a, const void *b)
{
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    float x = sorting[i], y = sorting[j];
    if (isnan(x) != isnan(y))
        return isnan(x) ? 1 : -1;
    if (!isnan(x) && x != y)
        return x > y ? -1 : 1;
    return (i > j) - (i < j);
}

static int by_index(const void *a, const void *b)
{
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    return (i > j) - (i < j);
}

static void expect(const float *x, const uint8_t *mask, size_t n, size_t k, int sorted, int32_t *wins)
{
    int32_t *all = malloc((n + 1) * sizeof *all);
    size_t count = 0, numbers = 0;
    for (size_t i = 0; i < n; i++)
        if (!mask || mask[i])
            all[count++] = (int32_t)i;
    sorting = x;
    qsort(all, count, sizeof *all, before);
    for (size_t i = 0; i < k; i++) {
        wins[i] = i < count ? all[i] : -1;
        numbers += i < count && !isnan(x[all[i]]);
    }
    if (!sorted) /* numbers in order of index, then NaN in order of index */
        qsort(wins, numbers, sizeof *wins, by_index);
    free(all);
}

/* n random numbers of a kind that is hard in its own way. */
static void fill(float *x, size_t n, int kind)
{
    static const float odd[] = {0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN, 1e-45f, -1e-45f, FLT_MAX, -FLT_MAX};
    for (size_t i = 0; i < n; i++) {
        float v = random_normal();
        switch (kind) {
        case 0: x[i] = v; break;
        case 1: x[i] = (float)i; break;
        case 2: x[i] = -(float)i; break;
        case 3: x[i] = (float)(random_u64() % 3); break;
        case 4: x[i] = 7; break;
        case 5: x[i] = odd[random_u64() % 11]; break;
        case 6: x[i] = random_u64() % 2 ? NAN : v; break;
        case 7: x[i] = NAN; break;
        case 8: x[i] = random_u64() % 8 ? -INFINITY : v; break;
        case 9: x[i] = i % 64 == 5 ? 100 + v : v; break; /* the best in one lane */
        case 11: x[i] = random_u64() % 200 ? NAN : v; break; /* fewer numbers than winners */
        case 10: x[i] = i % 97 == 0 ? v * 1e30f : v * 1e-40f; break;
        default: x[i] = (float)i / (float)(1 + i % 5);
        }
    }
}
enum { KINDS = 13 };

static void compare(size_t n, size_t k, int kind, int masked, int sorted, size_t skew)
{
    struct guarded x = guarded_new(n * 4, skew), mask = guarded_new(n, skew), at = guarded_new(k * 4, skew),
                   won = guarded_new(k * 4, 0), dense = guarded_new(n * 4, 0);
    size_t bytes = gn_kwta_scratch(n, k, 1);
    struct guarded scratch = guarded_new(bytes, 0);
    int32_t *expected = malloc((k + 1) * sizeof *expected);
    const float *in = (const float *)x.data;
    const uint8_t *let = masked ? mask.data : NULL;
    fill((float *)x.data, n, kind);
    for (size_t i = 0; i < n; i++)
        mask.data[i] = random_u64() % 4 ? (uint8_t)(1 + random_u64() % 255) : 0;
    expect(in, let, n, k, sorted, expected);
    CHECK(gn_kwta(in, let, n, 1, n, k, sorted, (int32_t *)at.data, (float *)won.data, scratch.data, NULL) == GN_K_OK);
    CHECK(k == 0 || memcmp(at.data, expected, k * 4) == 0);
    for (size_t i = 0; i < k; i++) {
        const float *value = (const float *)won.data + i;
        CHECK(expected[i] < 0 ? isnan(*value) : memcmp(value, in + expected[i], 4) == 0);
    }
    CHECK(gn_kwta_dense(in, let, 0, 1, n, k, (float *)dense.data, scratch.data, NULL) == GN_K_OK);
    for (size_t i = 0; i < k; i++) /* what won is there; take it out and nothing is left */
        if (expected[i] >= 0) {
            CHECK(memcmp(dense.data + 4 * expected[i], x.data + 4 * expected[i], 4) == 0);
            memset(dense.data + 4 * expected[i], 0, 4);
        }
    for (size_t i = 0; i < 4 * n; i++)
        CHECK(dense.data[i] == 0);
    free(expected);
    guarded_free(&x), guarded_free(&mask), guarded_free(&at), guarded_free(&won), guarded_free(&dense);
    guarded_free(&scratch);
}

static size_t some_k(size_t n, int i)
{
    size_t ks[] = {1, n / 16, n / 3, n, 0, random_u64() % (n + 1)};
    return ks[i % 6] <= n ? ks[i % 6] : n;
}

static void every_size(void)
{
    int turn = 0;
    for (size_t n = 0; n <= 257; n++) {
        if (n > 68 && n < 126)
            n = 126;
        if (n > 131 && n < 254)
            n = 254;
        for (int kind = 0; kind < KINDS; kind++, turn++)
            compare(n, some_k(n, turn), kind, turn / 2 % 2, turn % 2, turn % 3 ? 0 : 4);
    }
}

/* Groups, samples and the sort of many winners are used from some thousand elements on. */
static void large(void)
{
    size_t sizes[] = {1000, 4097, BIG};
    for (int s = 0; s < 3; s++)
        for (int kind = 0; kind < KINDS; kind++) {
            compare(sizes[s], 32, kind, kind == 5, 1, 0);
            compare(sizes[s], some_k(sizes[s], kind + s), kind, kind == 3, kind % 2, 4);
        }
}

static void rows_and_threads(void)
{
    enum { ROWS = 37, N = 300, K = 9 };
    static float x[ROWS * N], won[2][ROWS * K];
    static int32_t at[2][ROWS * K];
    static uint8_t mask[N];
    gn_pool *pool = gn_pool_open(3);
    void *scratch = aligned_alloc(64, gn_kwta_scratch(N, K, 3));
    fill_normal(x, ROWS * N);
    for (size_t i = 0; i < N; i++)
        mask[i] = i % 3 != 0;
    CHECK(gn_kwta(x, mask, 0, ROWS, N, K, 1, at[0], won[0], scratch, NULL) == GN_K_OK);
    CHECK(gn_kwta(x, mask, 0, ROWS, N, K, 1, at[1], won[1], scratch, pool) == GN_K_OK);
    CHECK(memcmp(at[0], at[1], sizeof at[0]) == 0 && memcmp(won[0], won[1], sizeof won[0]) == 0);
    for (size_t row = 0; row < ROWS; row++) {
        int32_t expected[K];
        expect(x + row * N, mask, N, K, 1, expected);
        CHECK(memcmp(expected, at[1] + row * K, sizeof expected) == 0);
    }
    free(scratch);
    gn_pool_close(pool);
}

static void arguments(void)
{
    float x[8] = {0}, won[8];
    int32_t at[8];
    static char scratch[1 << 14] __attribute__((aligned(64)));
    CHECK(gn_kwta_scratch(8, 9, 1) == SIZE_MAX && gn_kwta_scratch((size_t)1 << 31, 1, 1) == SIZE_MAX);
    CHECK(gn_kwta_scratch(8, 1, 0) == SIZE_MAX && gn_kwta_scratch(8, 1, 257) == SIZE_MAX);
    CHECK(gn_kwta_scratch(8, 4, 1) <= sizeof scratch);
    CHECK(gn_kwta(x, NULL, 0, 1, 8, 9, 1, at, won, scratch, NULL) == GN_K_SIZE);
    CHECK(gn_kwta(x, NULL, 0, SIZE_MAX / 2, 8, 1, 1, at, won, scratch, NULL) == GN_K_SIZE);
    CHECK(gn_kwta(x, NULL, 0, 1, (size_t)1 << 31, 1, 1, at, won, scratch, NULL) == GN_K_SIZE);
    CHECK(gn_kwta(x, (uint8_t *)x, 7, 1, 8, 1, 1, at, won, scratch, NULL) == GN_K_SIZE);
    CHECK(gn_kwta(x, (uint8_t *)x, SIZE_MAX, 4, 2, 1, 1, at, won, scratch, NULL) == GN_K_SIZE);
    CHECK(gn_kwta(x, NULL, 0, 1, 8, 4, 2, at, won, scratch, NULL) == GN_K_VALUE);
    CHECK(gn_kwta(NULL, NULL, 0, 1, 8, 4, 1, at, won, scratch, NULL) == GN_K_NULL);
    CHECK(gn_kwta(x, NULL, 0, 1, 8, 4, 1, at, won, NULL, NULL) == GN_K_NULL);
    CHECK(gn_kwta(x, NULL, 0, 1, 8, 4, 1, at, x + 7, scratch, NULL) == GN_K_OVERLAP);
    CHECK(gn_kwta(x, NULL, 0, 1, 8, 4, 1, (int32_t *)won, won + 3, scratch, NULL) == GN_K_OVERLAP);
    CHECK(gn_kwta_dense(x, NULL, 0, 1, 8, 4, x, scratch, NULL) == GN_K_OVERLAP);
    CHECK(gn_kwta_dense(x, NULL, 0, 1, 8, 4, NULL, scratch, NULL) == GN_K_NULL);
    CHECK(gn_kwta(x, NULL, 0, 1, 8, 4, 1, NULL, NULL, scratch, NULL) == GN_K_OK);
    CHECK(gn_kwta(NULL, NULL, 0, 5, 0, 0, 1, NULL, NULL, NULL, NULL) == GN_K_OK);
    CHECK(gn_kwta(NULL, NULL, 0, 0, 8, 4, 1, NULL, NULL, NULL, NULL) == GN_K_OK);
}

int main(void)
{
    arguments();
    gn_isa_force(GN_ISA_SERIAL);
    every_size();
    large();
    FOR_LEVELS(level)
    {
        every_size();
        large();
        rows_and_threads();
    }
    printf("test_kernels_selection: ok\n");
    return 0;
}
