/* Matrix products: every level against a float64 sum, at sizes round the edges of its blocks and against guard pages. */
#include "kernel_check.h"

typedef int product_fn(const float *, size_t, const float *, size_t, size_t, float *, void *, gn_pool *);

static float at(const float *b, int nt, size_t j, size_t p, size_t n, size_t k) { return nt ? b[j * k + p] : b[p * n + j]; }

static void *scratch_for(size_t m, size_t n, size_t k, int threads, struct guarded *room)
{
    size_t size = gn_matmul_scratch(m, n, k, threads);
    CHECK(size != SIZE_MAX);
    *room = guarded_new(size, (64 - size % 64) % 64); /* begins aligned */
    return room->data;
}

static void one(int nt, size_t m, size_t n, size_t k, size_t skew, gn_pool *pool)
{
    product_fn *product = nt ? gn_matmul_nt : gn_matmul_nn;
    struct guarded a = guarded_new(m * k * 4, skew), b = guarded_new(n * k * 4, skew), c = guarded_new(m * n * 4, skew);
    struct guarded room;
    float *x = (float *)a.data, *y = (float *)b.data, *z = (float *)c.data;
    fill_normal(x, m * k);
    fill_normal(y, n * k);
    for (size_t i = 0; i < m * n; i++)
        z[i] = NAN;
    CHECK(product(x, m, y, n, k, z, scratch_for(m, n, k, gn_pool_threads(pool), &room), pool) == GN_K_OK);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (size_t p = 0; p < k; p++) {
                double term = (double)x[i * k + p] * at(y, nt, j, p, n, k);
                sum += term;
                size += fabs(term);
            }
            CHECK(fabs(z[i * n + j] - sum) <= (double)(k + 2) * 0x1p-24 * size);
        }
    guarded_free(&a);
    guarded_free(&b);
    guarded_free(&c);
    guarded_free(&room);
}

static void sizes(gn_pool *pool)
{
    static const size_t rows[] = {1, 2, 3, 4, 5, 7, 8, 9, 13, 14, 15, 29}, columns[] = {1, 2, 7, 15, 16, 17, 31, 32, 33, 65};
    static const size_t depths[] = {1, 2, 15, 16, 17, 33, 67};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < sizeof columns / sizeof *columns; j++)
            for (size_t p = 0; p < sizeof depths / sizeof *depths; p++)
                for (int nt = 0; nt < 2; nt++)
                    one(nt, rows[i], columns[j], depths[p], (i + j + p) % 3 * 4, pool);
    for (int nt = 0; nt < 2; nt++) { /* past one block of each size */
        one(nt, 171, 40, 20, 0, pool);
        one(nt, 7, 801, 9, 0, pool);
        one(nt, 20, 20, 385, 0, pool);
        one(nt, 3, 300, 401, 4, pool);
    }
}

/* What is special in one row or column reaches its sums and no others. */
static void specials(void)
{
    enum { M = 15, N = 33, K = 17 };
    static float a[M * K], b[N * K], c[M * N];
    struct guarded room;
    void *scratch = scratch_for(M, N, K, 1, &room);
    for (int i = 0; i < M * K; i++)
        a[i] = 1;
    for (int i = 0; i < N * K; i++)
        b[i] = 2;
    a[3 * K + 5] = NAN;
    a[4 * K] = INFINITY;
    b[8 * K + 16] = -INFINITY;
    b[9 * K] = 0;
    CHECK(gn_matmul_nt(a, M, b, N, K, c, scratch, NULL) == GN_K_OK);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            float got = c[i * N + j];
            if (i == 3 || (i == 4 && (j == 8 || j == 9)))
                CHECK(isnan(got));
            else if (i == 4)
                CHECK(got == INFINITY);
            else
                CHECK(got == (j == 8 ? -INFINITY : j == 9 ? 2 * (K - 1) : 2 * K));
        }
    guarded_free(&room);
}

/* The same bits with any number of threads. */
static void threads(void)
{
    enum { M = 181, N = 130, K = 70 };
    static float a[M * K], b[N * K], alone[M * N], many[M * N];
    struct guarded room;
    void *scratch = scratch_for(M, N, K, 3, &room);
    gn_pool *pool = gn_pool_open(3);
    fill_normal(a, M * K);
    fill_normal(b, N * K);
    for (size_t m = 1; m <= M; m += 45)
        for (int nt = 0; nt < 2; nt++) {
            product_fn *product = nt ? gn_matmul_nt : gn_matmul_nn;
            memset(many, 0xff, sizeof many);
            CHECK(product(a, m, b, N, K, alone, scratch, NULL) == GN_K_OK);
            CHECK(product(a, m, b, N, K, many, scratch, pool) == GN_K_OK);
            CHECK(memcmp(alone, many, m * N * sizeof *many) == 0);
        }
    gn_pool_close(pool);
    guarded_free(&room);
}

static void refusals(void)
{
    float a[8] = {1, 2, 3, 4, 5, 6, 7, 8}, b[8] = {1, 1, 1, 1, 1, 1, 1, 1}, c[4] = {7, 7, 7, 7};
    CHECK(gn_matmul_nt(a, 2, b, 2, 0, c, NULL, NULL) == GN_K_OK && c[0] == 0 && c[3] == 0);
    CHECK(gn_matmul_nt(NULL, 0, b, 2, 4, NULL, NULL, NULL) == GN_K_OK);
    CHECK(gn_matmul_nn(a, 2, NULL, 0, 4, NULL, NULL, NULL) == GN_K_OK);
    CHECK(gn_matmul_nt(NULL, 2, b, 2, 4, c, NULL, NULL) == GN_K_NULL);
    CHECK(gn_matmul_nt(a, 2, NULL, 2, 4, c, NULL, NULL) == GN_K_NULL);
    CHECK(gn_matmul_nt(a, 2, b, 2, 4, NULL, NULL, NULL) == GN_K_NULL);
    CHECK(gn_matmul_nt(a, 9, b, 2, 1, a, NULL, NULL) == GN_K_NULL); /* more than a few rows need scratch */
    CHECK(gn_matmul_nt(a, 2, b, 2, 2, a + 3, NULL, NULL) == GN_K_OVERLAP);
    CHECK(gn_matmul_nn(a, 2, b, 2, 2, b, NULL, NULL) == GN_K_OVERLAP);
    CHECK(gn_matmul_nn(a, SIZE_MAX / 2, b, 2, 3, c, NULL, NULL) == GN_K_SIZE);
    CHECK(gn_matmul_nn(a, 1, b, SIZE_MAX / 2, 3, c, NULL, NULL) == GN_K_SIZE);
    CHECK(gn_matmul_scratch(SIZE_MAX, 2, 2, 1) == SIZE_MAX && gn_matmul_scratch(4, 100, 100, 1) == 0);
}

int main(void)
{
    gn_pool *pool = gn_pool_open(2);
    gn_isa_force(GN_ISA_SERIAL);
    refusals();
    specials();
    one(1, 9, 9, 400, 0, NULL);
    FOR_LEVELS(level)
    {
        gn_isa_force(level);
        if (level <= GN_ISA_SKYLAKE || level == GN_ISA_NEON) {
            sizes(pool);
            specials();
            threads();
            refusals();
        }
    }
    FOR_LEVELS(level)
    {
        gn_isa_force(level); /* alone: the scratch is worker 0's to its last byte */
        one(1, 29, 33, 40, 0, NULL);
        one(0, 157, 33, 40, 0, NULL);
    }
    gn_isa_force(GN_ISA_SERIAL);
    sizes(NULL);
    gn_pool_close(pool);
    printf("test_kernels_matrix: ok\n");
    return 0;
}
