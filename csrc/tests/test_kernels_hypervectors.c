/* Hypervectors: every level against counting bit by bit, on guarded arrays. */
#include "kernel_check.h"

#include "hypervectors/ops.h"

static int bit(const uint64_t *v, size_t i) { return (int)(v[i / 64] >> i % 64 & 1); }

static void fill_random(void *p, size_t bytes)
{
    unsigned char *at = p;
    for (size_t i = 0; i < bytes; i++)
        at[i] = (unsigned char)random_u64();
}

static unsigned count(const uint8_t *a, const uint8_t *b, size_t bytes, int how)
{
    unsigned sum = 0;
    for (size_t i = 0; i < bytes * 8; i++) {
        int x = a[i / 8] >> i % 8 & 1, y = b[i / 8] >> i % 8 & 1;
        sum += (unsigned)(how == 0 ? x ^ y : how == 1 ? x & y : y);
    }
    return sum;
}

/* The loops others use: any number of bytes, any address, any stride. */
static void rows(void)
{
    enum { MOST = 19 };
    for (size_t bytes = 0; bytes < 258; bytes = bytes < 68 ? bytes + 1 : bytes + 63)
        for (size_t n = 0; n <= MOST; n += n < 2 ? 1 : 8) {
            size_t stride = bytes + n % 3, m = n % 7;
            struct guarded q = guarded_new(bytes * (m + 1), bytes % 3);
            struct guarded r = guarded_new(n ? (n - 1) * stride + bytes : 0, n % 5);
            uint32_t out[MOST + 1], tile[7 * (MOST + 1)];
            const struct gn_hypervectors_ops *ops = gn_hypervectors();
            fill_random(q.data, bytes * (m + 1));
            fill_random(r.data, n ? (n - 1) * stride + bytes : 0);
            ops->hamming(q.data, r.data, n, bytes, stride, out);
            for (size_t i = 0; i < n; i++)
                CHECK(out[i] == count(q.data, r.data + i * stride, bytes, 0));
            ops->hamming_far(q.data, r.data, n, bytes, stride, out);
            for (size_t i = 0; i < n; i++)
                CHECK(out[i] == count(q.data, r.data + i * stride, bytes, 0));
            ops->common(q.data, r.data, n, bytes, stride, out);
            for (size_t i = 0; i < n; i++)
                CHECK(out[i] == count(q.data, r.data + i * stride, bytes, 1));
            ops->ones(r.data, n, bytes, stride, out);
            for (size_t i = 0; i < n; i++)
                CHECK(out[i] == count(q.data, r.data + i * stride, bytes, 2));
            ops->hamming_tile(q.data, m, bytes, r.data, n, stride, bytes, tile, MOST + 1);
            for (size_t j = 0; j < m; j++)
                for (size_t i = 0; i < n; i++)
                    CHECK(tile[j * (MOST + 1) + i] == count(q.data + j * bytes, r.data + i * stride, bytes, 0));
            guarded_free(&q);
            guarded_free(&r);
        }
}

/* Long rows of ones: no partial count overflows. */
static void full(void)
{
    enum { BYTES = 20011 };
    uint8_t *a = malloc(BYTES), *b = calloc(BYTES, 1);
    uint32_t out;
    memset(a, 255, BYTES);
    gn_hypervectors()->hamming(b, a, 1, BYTES, BYTES, &out);
    CHECK(out == BYTES * 8);
    gn_hypervectors()->common(a, a, 1, BYTES, BYTES, &out);
    CHECK(out == BYTES * 8);
    free(a);
    free(b);
}

static void bundle_equals(size_t n, size_t bits, int ties)
{
    size_t words = gn_hv_words(bits), wrong = 0;
    struct guarded v = guarded_new(n * words * 8, 0), out = guarded_new(words * 8, 0);
    uint64_t *rows = (uint64_t *)(void *)v.data, *got = (uint64_t *)(void *)out.data;
    fill_random(v.data, n * words * 8);
    CHECK(gn_hv_bundle(rows, n, bits, ties, got, NULL) == GN_K_OK);
    for (size_t i = 0; i < bits; i++) {
        size_t ones = 0, below = 0, before = i ? i - 1 : bits - 1;
        for (size_t r = 0; r < n; r++) {
            ones += (size_t)bit(rows + r * words, i);
            below += (size_t)bit(rows + r * words, before);
        }
        int tie = ties == GN_HV_TIES_NEIGHBOUR ? (int)(below & 1) : ties == GN_HV_TIES_ONE;
        wrong += bit(got, i) != (2 * ones > n || (2 * ones == n && tie));
    }
    CHECK(wrong == 0);
    CHECK(bits % 64 == 0 || got[words - 1] >> bits % 64 == 0);
    guarded_free(&v);
    guarded_free(&out);
}

static void bundles(void)
{
    for (size_t n = 0; n < 36; n++)
        for (int ties = 0; ties < 3; ties++)
            bundle_equals(n, 1 + 97 * n % 1100, ties);
    for (size_t bits = 1; bits < 131; bits += 3)
        bundle_equals(6, bits, GN_HV_TIES_NEIGHBOUR);
    bundle_equals(8, 64 * 64 + 1, GN_HV_TIES_NEIGHBOUR); /* the neighbour stands in another part */
    bundle_equals(300, 515, GN_HV_TIES_NEIGHBOUR);
    bundle_equals(1024, 200, GN_HV_TIES_ONE);
}

/* The most there may be, one bit over and at the half. */
static void bundle_most(void)
{
    enum { MOST = 65536 };
    uint64_t *v = calloc(MOST + 1, 8), out;
    for (size_t i = 0; i < MOST; i++)
        v[i] = (i < MOST / 2 + 1) | (uint64_t)(i >= MOST / 2) << 1 | (uint64_t)(i < MOST / 2 - 1) << 2 | 8;
    CHECK(gn_hv_bundle(v, MOST, 40, GN_HV_TIES_ZERO, &out, NULL) == GN_K_OK && out == 9);
    CHECK(gn_hv_bundle(v, MOST, 40, GN_HV_TIES_ONE, &out, NULL) == GN_K_OK && out == 11);
    CHECK(gn_hv_bundle(v, MOST - 1, 40, GN_HV_TIES_ONE, &out, NULL) == GN_K_OK && out == 9);
    CHECK(gn_hv_bundle(v, MOST + 1, 40, GN_HV_TIES_ONE, &out, NULL) == GN_K_SIZE);
    free(v);
}

static void moved(size_t bits, int64_t shift)
{
    size_t words = gn_hv_words(bits);
    struct guarded a = guarded_new(words * 8, 0), b = guarded_new(words * 8, 0);
    uint64_t *in = (uint64_t *)(void *)a.data, *out = (uint64_t *)(void *)b.data;
    fill_random(a.data, words * 8);
    CHECK(gn_hv_permute(in, 1, bits, shift, out) == GN_K_OK);
    for (size_t i = 0; i < bits; i++) {
        int64_t to = ((int64_t)i + shift % (int64_t)bits + (int64_t)bits) % (int64_t)bits;
        CHECK(bit(out, (size_t)to) == bit(in, i));
    }
    CHECK(bits % 64 == 0 || out[words - 1] >> bits % 64 == 0);
    guarded_free(&a);
    guarded_free(&b);
}

static void permutes(void)
{
    for (size_t bits = 1; bits < 258; bits++)
        for (int64_t shift = -3; shift <= 3; shift++)
            moved(bits, shift * 29);
    moved(10000, INT64_MIN);
    moved(10000, INT64_MAX);
    moved(129, 128);
}

/* Garbage in the tails changes nothing: a complement is -1, a vector to itself 1. */
static void compared(size_t bits, size_t m, size_t n, gn_pool *pool)
{
    size_t words = gn_hv_words(bits), k = n < 5 ? n : 5;
    struct guarded q = guarded_new(m * words * 8, 0), keys = guarded_new(n * words * 8, 0);
    uint64_t *a = (uint64_t *)(void *)q.data, *b = (uint64_t *)(void *)keys.data;
    float *s = malloc(m * n * 4 + 4), *best = malloc(m * k * 4 + 4);
    uint32_t *h = malloc(m * n * 4 + 4), *index = malloc(m * k * 4 + 4);
    fill_random(q.data, m * words * 8);
    fill_random(keys.data, n * words * 8);
    for (size_t w = 0; m && n && w < words; w++) {
        b[w] = a[w] ^ (w == words - 1 && bits % 64 ? ~(uint64_t)0 << bits % 64 : 0);
        b[(n - 1) * words + w] = ~a[w];
    }
    CHECK(gn_hv_hamming(a, m, b, n, bits, h, pool) == GN_K_OK);
    CHECK(gn_hv_similarity(a, m, b, n, bits, s, pool) == GN_K_OK);
    CHECK(gn_hv_search(a, m, b, n, bits, k, index, best, pool) == GN_K_OK);
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i < n; i++) {
            uint32_t sum = 0;
            for (size_t x = 0; x < bits; x++)
                sum += (uint32_t)(bit(a + j * words, x) ^ bit(b + i * words, x));
            CHECK(h[j * n + i] == sum);
            CHECK(s[j * n + i] == (float)(((double)bits - 2.0 * sum) / (double)bits));
        }
    CHECK(!m || n < 2 || (s[0] == 1 && s[n - 1] == -1));
    for (size_t j = 0; j < m; j++)
        for (size_t r = 0; r < k; r++) {
            uint32_t i = index[j * k + r], before = r ? index[j * k + r - 1] : 0, rank = 0;
            for (size_t x = 0; x < n; x++)
                rank += h[j * n + x] < h[j * n + i] || (h[j * n + x] == h[j * n + i] && x < i);
            CHECK(i < n && rank == r && best[j * k + r] == s[j * n + i]);
            CHECK(!r || h[j * n + before] <= h[j * n + i]);
        }
    guarded_free(&q);
    guarded_free(&keys);
    free(s);
    free(best);
    free(h);
    free(index);
}

static void comparisons(void)
{
    gn_pool *pool = gn_pool_open(3);
    for (size_t bits = 1; bits < 140; bits += 7)
        compared(bits, bits % 4, 1 + bits % 23, NULL);
    compared(2500, 18, 21, pool);
    compared(70, 3, 700, pool);
    compared(10000, 1, 9, NULL);
    for (size_t bits = 950; bits < 1600; bits += 59) /* 64 rows and more of one query, at every place in a cache line */
        compared(bits, 1, 60 + bits % 83, NULL);
    compared(3, 1, 600, NULL); /* ties everywhere */
    gn_pool_close(pool);
}

static void binds(void)
{
    for (size_t bits = 1; bits < 1300; bits += 61) {
        size_t words = gn_hv_words(bits);
        struct guarded a = guarded_new(3 * words * 8, 0), b = guarded_new(3 * words * 8, 0), o = guarded_new(3 * words * 8, 0);
        uint64_t *x = (uint64_t *)(void *)a.data, *y = (uint64_t *)(void *)b.data, *z = (uint64_t *)(void *)o.data;
        fill_random(y, 3 * words * 8);
        CHECK(gn_hv_random(bits, 3, bits, x) == GN_K_OK);
        CHECK(gn_hv_bind(x, 3, y, 1, bits, z) == GN_K_OK);
        CHECK(gn_hv_bind(z, 3, y, 1, bits, z) == GN_K_OK); /* twice is not at all */
        CHECK(memcmp(x, z, 3 * words * 8) == 0);
        CHECK(gn_hv_bind(x, 3, y, 3, bits, z) == GN_K_OK);
        for (size_t i = 0; i < 3; i++)
            for (size_t t = 0; t < bits; t++)
                CHECK(bit(z + i * words, t) == (bit(x + i * words, t) ^ bit(y + i * words, t)));
        CHECK(gn_hv_complement(x, 3, bits, z) == GN_K_OK);
        CHECK(bits % 64 == 0 || (z[words - 1] >> bits % 64 == 0 && x[words - 1] >> bits % 64 == 0));
        guarded_free(&a);
        guarded_free(&b);
        guarded_free(&o);
    }
}

static void refusals(void)
{
    uint64_t v[8] = {0}, out[8];
    uint32_t index[4];
    float s[4];
    CHECK(gn_hv_random(0, 1, 0, v) == GN_K_SIZE && gn_hv_random(0, SIZE_MAX, 64, v) == GN_K_SIZE);
    CHECK(gn_hv_random(0, 1, SIZE_MAX, v) == GN_K_SIZE && gn_hv_random(0, 1, 64, NULL) == GN_K_NULL);
    CHECK(gn_hv_bind(v, 3, v, 2, 64, out) == GN_K_SIZE && gn_hv_bind(v, 2, v + 2, 2, 128, v + 1) == GN_K_OVERLAP);
    CHECK(gn_hv_bind(v, 2, out, 1, 64, out) == GN_K_OVERLAP && gn_hv_bind(NULL, 0, NULL, 0, 64, NULL) == GN_K_OK);
    CHECK(gn_hv_permute(v, 1, 64, 1, v) == GN_K_OVERLAP && gn_hv_permute(v, 1, 64, 1, NULL) == GN_K_NULL);
    CHECK(gn_hv_complement(v, 2, 64, v + 1) == GN_K_OVERLAP && gn_hv_complement(v, 2, 64, v) == GN_K_OK);
    CHECK(gn_hv_bundle(v, 2, 64, 3, out, NULL) == GN_K_VALUE && gn_hv_bundle(v, 2, 64, -1, out, NULL) == GN_K_VALUE);
    CHECK(gn_hv_bundle(v, 2, 64, 0, v, NULL) == GN_K_OVERLAP && gn_hv_bundle(NULL, 2, 64, 0, out, NULL) == GN_K_NULL);
    CHECK(gn_hv_search(v, 1, v, 4, 64, 5, index, s, NULL) == GN_K_SIZE);
    CHECK(gn_hv_search(v, 1, v, 4, 64, 2, NULL, s, NULL) == GN_K_NULL);
    CHECK(gn_hv_search(v, 1, v, 4, 64, 2, index, NULL, NULL) == GN_K_NULL);
    CHECK(gn_hv_search(v, 1, v, 4, 64, 0, index, s, NULL) == GN_K_OK);
    CHECK(gn_hv_similarity(v, 1, v, 4, 64, NULL, NULL) == GN_K_NULL);
    CHECK(gn_hv_similarity(v, 1, v, 4, 64, (float *)(void *)v, NULL) == GN_K_OVERLAP);
    CHECK(gn_hv_similarity(v, SIZE_MAX / 64, v, SIZE_MAX / 64, 64, s, NULL) == GN_K_SIZE);
    CHECK(gn_hv_hamming(NULL, 0, v, 4, 64, NULL, NULL) == GN_K_OK);
}

static void all(void)
{
    rows();
    full();
    bundles();
    permutes();
    comparisons();
    binds();
}

int main(void)
{
    gn_isa_force(GN_ISA_SERIAL);
    all();
    FOR_LEVELS(level) { all(); }
    gn_isa_force(gn_isa_best());
    bundle_most();
    refusals();
    printf("test_kernels_hypervectors: ok\n");
    return 0;
}
