/* Hopfield memories: every level against serial and a float64 reference, laws of the hierarchical form, bad input. */
#include "kernel_check.h"

#include <float.h>

static const size_t sizes_n[] = {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 67, 129, 257};
static const size_t sizes_d[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 67, 127, 129, 257};

#define EACH(i, of) for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)

static void *room(size_t size)
{
    void *at = NULL;
    CHECK(size != SIZE_MAX && posix_memalign(&at, 64, size ? size : 64) == 0);
    memset(at, 0xA5, size);
    return at;
}

/* One step in float64. Returns the largest pattern element, the scale of the error bound. */
static double reference(const float *x, size_t n, size_t d, const float *q, float beta, float *out)
{
    double *s = room(n * sizeof *s), top = -INFINITY, sum = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        s[i] = 0;
        for (size_t j = 0; j < d; j++)
            s[i] += (double)x[i * d + j] * q[j];
        s[i] *= beta;
        top = fmax(top, s[i]);
    }
    for (size_t i = 0; i < n; i++)
        sum += s[i] = exp(s[i] - top);
    for (size_t j = 0; j < d; j++) {
        double acc = 0;
        for (size_t i = 0; i < n; i++) {
            acc += s[i] * x[i * d + j];
            largest = fmax(largest, fabs(x[i * d + j]));
        }
        out[j] = (float)(acc / sum);
    }
    free(s);
    return largest;
}

/* Dense sizes at one level: guarded arrays, several skews, in units of the largest element. */
static double step_error(size_t n, size_t d, size_t m, size_t skew)
{
    struct guarded x = guarded_new(n * d * 4, skew), q = guarded_new(m * d * 4, skew), o = guarded_new(m * d * 4, skew);
    struct guarded s = guarded_new(gn_hopfield_scratch(n, d, m), 0);
    float *want = room(d * 4), beta = 1 / sqrtf((float)d);
    double gap = 0;
    fill_normal((float *)x.data, n * d);
    fill_normal((float *)q.data, m * d);
    CHECK(gn_hopfield((float *)x.data, n, d, (float *)q.data, m, beta, 1, 0, (float *)o.data, NULL, NULL, NULL, s.data,
                      NULL) == GN_K_OK);
    for (size_t i = 0; i < m; i++) {
        double largest = reference((float *)x.data, n, d, (float *)q.data + i * d, beta, want);
        gap = fmax(gap, largest_gap(want, (float *)o.data + i * d, d) / largest);
    }
    free(want);
    guarded_free(&x);
    guarded_free(&q);
    guarded_free(&o);
    guarded_free(&s);
    return gap;
}

static void sizes(void)
{
    for (int level = GN_ISA_SERIAL; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        EACH(i, sizes_n)
        EACH(j, sizes_d)
            CHECK(step_error(sizes_n[i], sizes_d[j], 1 + (i + j) % 6, (i + 2 * j) % 3 * 4) < 1e-6);
        CHECK(step_error(1000, 9, 37, 0) < 1e-6);
    }
}

/* Many chunks: one query, several, many; one by one is the same, to the bit, and so is any number of threads. */
static void batches(void)
{
    size_t n = 1900, d = 300, m = 21;
    float *x = room(n * d * 4), *q = room(m * d * 4), *a = room(m * d * 4), *b = room(m * d * 4);
    uint32_t best[21], one;
    float weight[21], share;
    void *s = room(gn_hopfield_scratch(n, d, m));
    gn_pool *pool = gn_pool_open(3);
    fill_normal(x, n * d);
    for (size_t i = 0; i < m * d; i++)
        q[i] = x[i * 3] + 0.1f * random_normal();
    for (int level = GN_ISA_SERIAL; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        CHECK(gn_hopfield(x, n, d, q, m, 0.05f, 1, 0, a, NULL, best, weight, s, NULL) == GN_K_OK);
        CHECK(gn_hopfield(x, n, d, q, m, 0.05f, 1, 0, b, NULL, NULL, NULL, s, pool) == GN_K_OK);
        CHECK(memcmp(a, b, m * d * 4) == 0);
        for (size_t i = 0; i < m; i++) {
            CHECK(gn_hopfield(x, n, d, q + i * d, 1, 0.05f, 1, 0, b, NULL, &one, &share, s, i % 2 ? pool : NULL) == 0);
            CHECK(memcmp(a + i * d, b, d * 4) == 0 && one == best[i] && share == weight[i]);
        }
        CHECK(gn_hopfield(x, n, d, q, 7, 0.05f, 1, 0, b, NULL, NULL, NULL, s, pool) == GN_K_OK);
        CHECK(memcmp(a, b, 7 * d * 4) == 0);
    }
    gn_pool_close(pool);
    free(x), free(q), free(a), free(b), free(s);
}

/* A noisy pattern is recalled, its row and weight named, and the iteration ends by itself; the energy never grows. */
static void recall(void)
{
    enum { N = 200, D = 64, M = 19 };
    static float x[N * D], q[M * D], o[M * D], before[M], after[M], weight[M];
    uint32_t steps[M], best[M];
    void *s = room(gn_hopfield_scratch(N, D, M));
    fill_normal(x, N * D);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < D; j++)
            q[i * D + j] = x[i * 10 * D + j] + 0.5f * random_normal();
    for (int level = GN_ISA_SERIAL; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        CHECK(gn_hopfield(x, N, D, q, M, 1, 50, 1e-5f, o, steps, best, weight, s, NULL) == GN_K_OK);
        CHECK(gn_hopfield_energy(x, N, D, q, M, 1, before, s, NULL) == GN_K_OK);
        CHECK(gn_hopfield_energy(x, N, D, o, M, 1, after, s, NULL) == GN_K_OK);
        for (int i = 0; i < M; i++) {
            CHECK(best[i] == (uint32_t)i * 10 && weight[i] > 0.999f && steps[i] >= 2 && steps[i] < 10);
            CHECK(largest_gap(o + i * D, x + i * 10 * D, D) < 0.01);
            CHECK(after[i] <= before[i] && after[i] > -1e-3f);
        }
    }
    free(s);
}

/* Groups: all of them by one softmax are the flat memory; a single one is that group's own memory. */
static void groups(void)
{
    enum { N = 90, D = 33, M = 5, G = 6 };
    static float x[N * D], q[M * D], o[M * D], flat[M * D], p[G * D], shares[M * G], sum;
    static const uint32_t offsets[G + 1] = {0, 10, 10, 35, 36, 80, 90};
    uint32_t chosen[M * G];
    void *s = room(gn_hopfield_groups_scratch(G, D, M, G)), *s_flat = room(gn_hopfield_scratch(N, D, M));
    fill_normal(x, N * D);
    fill_normal(q, M * D);
    for (int level = GN_ISA_SERIAL; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        CHECK(gn_hopfield_prototypes(x, N, D, offsets, G, p, NULL) == GN_K_OK);
        CHECK(p[D] == 0 && p[2 * D - 1] == 0 && fabsf(p[3 * D] - x[35 * D]) < 1e-6f);
        CHECK(gn_hopfield(x, N, D, q, M, 0.3f, 3, 0, flat, NULL, NULL, NULL, s_flat, NULL) == GN_K_OK);
        CHECK(gn_hopfield_groups(x, N, D, offsets, G, p, q, M, G, 0.3f, 1, GN_HOPFIELD_JOINT, 3, 0, o, NULL, chosen,
                                 shares, s, NULL) == GN_K_OK);
        CHECK(largest_gap(o, flat, M * D) < 2e-6);
        for (int i = 0; i < M; i++) {
            CHECK(chosen[i * G + 5] == UINT32_MAX && shares[i * G + 5] == 0); /* group 1 is empty */
            sum = 0;
            for (int j = 0; j < 5; j++)
                sum += shares[i * G + j];
            CHECK(fabsf(sum - 1) < 1e-5f);
        }
        for (int mix = 0; mix < 2; mix++) {
            CHECK(gn_hopfield_groups(x, N, D, offsets, G, p, q, M, 1, 0.3f, 1, mix, 1, 0, o, NULL, chosen, shares, s,
                                     NULL) == GN_K_OK);
            for (int i = 0; i < M; i++) {
                uint32_t g = chosen[i];
                CHECK(shares[i] == 1);
                CHECK(gn_hopfield(x + offsets[g] * D, offsets[g + 1] - offsets[g], D, q + i * D, 1, 0.3f, 1, 0, flat,
                                  NULL, NULL, NULL, s_flat, NULL) == GN_K_OK);
                CHECK(largest_gap(o + i * D, flat, D) < 1e-6);
            }
        }
    }
    free(s), free(s_flat);
}

/* Values no memory should be fed: NaN stays with its query, huge scores do not overflow, ties go to the lowest row. */
static void adversarial(void)
{
    enum { N = 40, D = 20, M = 6 };
    static float x[N * D], q[M * D], o[M * D], weight[M];
    uint32_t best[M], steps[M];
    void *s = room(gn_hopfield_scratch(N, D, M));
    for (int level = GN_ISA_SERIAL; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        fill_normal(x, N * D);
        memcpy(x + 17 * D, x + 3 * D, D * 4);
        fill_normal(q, M * D);
        memcpy(q, x + 3 * D, D * 4);
        for (int j = 0; j < D; j++)
            q[D + j] *= 1e18f, q[2 * D + j] *= 1e-40f, q[3 * D + j] = -0.0f;
        q[4 * D + 7] = NAN;
        q[5 * D + 7] = INFINITY;
        CHECK(gn_hopfield(x, N, D, q, M, 4, 9, 0, o, steps, best, weight, s, NULL) == GN_K_OK);
        CHECK(best[0] == 3 && fabsf(weight[0] - 0.5f) < 1e-3f && largest_gap(o, x + 3 * D, D) < 1e-3);
        for (int j = 0; j < D; j++) {
            CHECK(isfinite(o[D + j]) && isfinite(o[2 * D + j]) && isfinite(o[3 * D + j]));
            CHECK(isnan(o[4 * D + j]) && isnan(o[5 * D + j]));
        }
        CHECK(steps[4] == 1 && steps[5] == 1);
        CHECK(gn_hopfield(x, N, D, q + 3 * D, 1, 4, 1, 0, o, NULL, best, weight, s, NULL) == GN_K_OK);
        CHECK(best[0] == 0 && fabsf(weight[0] - 1.0f / N) < 1e-7f); /* equal weights: the mean */
    }
    free(s);
}

/* One query over packed keys in double: weights, then the floats' sum and the votes. */
static void look_up(const uint64_t *q, const uint64_t *keys, size_t n, size_t bits, const float *v, size_t width,
                    const uint64_t *votes, double beta, double *out, uint8_t *vote)
{
    size_t words = gn_hv_words(bits);
    double *p = room(n * sizeof *p), sum = 0;
    for (size_t j = 0; j < n; j++) {
        size_t apart = 0;
        for (size_t i = 0; i < bits; i++)
            apart += (q[i / 64] ^ keys[j * words + i / 64]) >> i % 64 & 1;
        sum += p[j] = exp(beta * (1 - 2.0 * (double)apart / (double)bits));
    }
    for (size_t c = 0; c < width; c++) {
        out[c] = 0;
        for (size_t j = 0; j < n; j++)
            out[c] += p[j] / sum * v[j * width + c];
    }
    for (size_t i = 0; i < bits; i++) {
        double yes = 0;
        for (size_t j = 0; j < n; j++)
            yes += (votes[j * words + i / 64] >> i % 64 & 1) ? p[j] / sum : 0;
        vote[i] = fabs(yes - 0.5) < 1e-5 ? 2 : yes > 0.5; /* 2: too close to call */
    }
    free(p);
}

static void hypervectors(void)
{
    static const size_t bits_of[] = {1, 63, 64, 65, 700, 1000}, n_of[] = {1, 2, 7, 40, 530};
    EACH(b, bits_of)
    EACH(c, n_of) {
        size_t bits = bits_of[b], n = n_of[c], m = 3, width = 1 + b * 7, words = gn_hv_words(bits);
        struct guarded keys = guarded_new(n * words * 8, 0), values = guarded_new(n * width * 4, 0);
        struct guarded votes = guarded_new(n * words * 8, 0), q = guarded_new(m * words * 8, 0);
        struct guarded out = guarded_new(m * width * 4, 0), voted = guarded_new(m * words * 8, 0);
        struct guarded scratch = guarded_new(gn_hdc_vote_scratch(m, n), 0);
        uint64_t *k = (uint64_t *)keys.data, *w = (uint64_t *)votes.data, *a = (uint64_t *)voted.data;
        double want[64];
        uint8_t vote[1000];
        uint32_t best[3];
        float weight[3];
        fill_normal((float *)values.data, n * width);
        for (size_t i = 0; i < n * words; i++)
            k[i] = random_u64(), w[i] = random_u64();
        for (size_t i = 0; i < m * words; i++)
            ((uint64_t *)q.data)[i] = i < words ? k[i] : random_u64();
        for (int level = GN_ISA_SERIAL; level < GN_ISA_COUNT; level++) {
            if (gn_isa_force(level) != GN_K_OK)
                continue;
            CHECK(gn_hdc_attention((uint64_t *)q.data, m, k, n, bits, (float *)values.data, width, 8, (float *)out.data,
                                   best, weight, NULL) == GN_K_OK);
            CHECK(gn_hdc_vote((uint64_t *)q.data, m, k, w, n, bits, 8, a, scratch.data, NULL) == GN_K_OK);
            CHECK(bits < 100 || best[0] == 0);
            for (size_t i = 0; i < m; i++) {
                look_up((uint64_t *)q.data + i * words, k, n, bits, (float *)values.data, width, w, 8, want, vote);
                for (size_t j = 0; j < width; j++)
                    CHECK(fabs(want[j] - ((float *)out.data)[i * width + j]) < 4e-6);
                for (size_t j = 0; j < bits; j++)
                    CHECK(vote[j] == 2 || vote[j] == (a[i * words + j / 64] >> j % 64 & 1));
                CHECK(bits % 64 == 0 || a[(i + 1) * words - 1] >> bits % 64 == 0);
            }
        }
        guarded_free(&keys), guarded_free(&values), guarded_free(&votes), guarded_free(&q);
        guarded_free(&out), guarded_free(&voted), guarded_free(&scratch);
    }
}

static void refusals(void)
{
    float x[8] = {1}, q[2] = {1}, o[2] = {5, 5}, w;
    uint32_t best, steps, offsets[] = {0, 2, 4}, falling[] = {0, 3, 2}, chosen[2];
    char *s = room(4096);
    size_t huge = SIZE_MAX / 4;
#define STEP(x, n, d, q, m, beta, most, tol, o) gn_hopfield(x, n, d, q, m, beta, most, tol, o, &steps, &best, &w, s, NULL)
    CHECK(STEP(NULL, 4, 2, q, 1, 1, 1, 0, o) == GN_K_NULL && STEP(x, 4, 2, NULL, 1, 1, 1, 0, o) == GN_K_NULL);
    CHECK(STEP(x, 4, 2, q, 1, 1, 1, 0, NULL) == GN_K_NULL);
    CHECK(gn_hopfield(x, 4, 2, q, 1, 1, 1, 0, o, NULL, NULL, NULL, NULL, NULL) == GN_K_OK);
    CHECK(gn_hopfield(x, 4, 2, q, 1, 1, 2, 0, o, NULL, NULL, NULL, NULL, NULL) == GN_K_NULL);
    CHECK(gn_hopfield(x, 4, 1, q, 2, 1, 1, 0, o, NULL, NULL, NULL, NULL, NULL) == GN_K_NULL);
    CHECK(STEP(x, huge, huge, q, 1, 1, 1, 0, o) == GN_K_SIZE && STEP(x, 4, huge, q, 9, 1, 1, 0, o) == GN_K_SIZE);
    CHECK(STEP(x, UINT32_MAX, 0, q, 1, 1, 1, 0, o) == GN_K_SIZE && STEP(x, 4, 2, q, 1, 1, 0, 0, o) == GN_K_SIZE);
    CHECK(STEP(x, 4, 2, q, 1, NAN, 1, 0, o) == GN_K_VALUE && STEP(x, 4, 2, q, 1, -1, 1, 0, o) == GN_K_VALUE);
    CHECK(STEP(x, 4, 2, q, 1, INFINITY, 1, 0, o) == GN_K_VALUE && STEP(x, 4, 2, q, 1, 1, 1, NAN, o) == GN_K_VALUE);
    CHECK(STEP(x, 4, 2, q, 1, 1, 1, 0, q) == GN_K_OVERLAP && STEP(x, 4, 2, q, 1, 1, 1, 0, x + 7) == GN_K_OVERLAP);
    CHECK(gn_hopfield_energy(x, 4, 2, q, 1, 0, o, s, NULL) == GN_K_VALUE);
    CHECK(gn_hopfield_energy(x, 4, 2, q, 1, 1, q, s, NULL) == GN_K_OVERLAP);
    CHECK(gn_hopfield_scratch(huge, huge, 1) == SIZE_MAX && gn_hopfield_scratch(4, huge, 8) == SIZE_MAX);
    CHECK(gn_hopfield_groups_scratch(huge, 2, 8, 1) == SIZE_MAX);
    /* nothing there */
    CHECK(STEP(NULL, 0, 2, q, 1, 1, 5, 0, o) == GN_K_OK && o[0] == 0 && o[1] == 0 && best == UINT32_MAX && w == 0);
    CHECK(STEP(x, 4, 2, NULL, 0, 1, 1, 0, NULL) == GN_K_OK);
    CHECK(STEP(NULL, 4, 0, NULL, 1, 1, 1, 0, NULL) == GN_K_OK && best == 0 && w == 0.25f);
    CHECK(gn_hopfield_energy(NULL, 0, 2, q, 1, 1, o, s, NULL) == GN_K_OK && o[0] == 0.5f);
#define GROUPS(offsets, groups, k, top, mix) \
    gn_hopfield_groups(x, 4, 2, offsets, groups, x, q, 1, k, 1, top, mix, 1, 0, o, NULL, chosen, NULL, s, NULL)
    CHECK(GROUPS(NULL, 2, 1, 1, 0) == GN_K_NULL && GROUPS(falling, 2, 1, 1, 0) == GN_K_VALUE);
    CHECK(GROUPS(offsets, 1, 1, 1, 0) == GN_K_VALUE && GROUPS(offsets, 2, 3, 1, 0) == GN_K_VALUE);
    CHECK(GROUPS(offsets, 2, 0, 1, 0) == GN_K_VALUE && GROUPS(offsets, 2, 1, NAN, 0) == GN_K_VALUE);
    CHECK(GROUPS(offsets, 2, 1, 1, 2) == GN_K_VALUE && GROUPS(offsets, 2, 2, 1, 1) == GN_K_OK);
    CHECK(gn_hopfield_prototypes(x, 4, 2, falling, 2, o, NULL) == GN_K_VALUE);
    CHECK(gn_hopfield_prototypes(x, 4, 2, offsets, 2, x, NULL) == GN_K_OVERLAP);
    uint64_t hv[4] = {1, 2, 3, 4}, packed[4];
#define HDC(q, k, n, bits, v, beta, o) gn_hdc_attention(q, 1, k, n, bits, v, 2, beta, o, NULL, NULL, NULL)
    CHECK(HDC(hv, hv, 4, 0, x, 1, o) == GN_K_SIZE && HDC(hv, hv, huge, 64, x, 1, o) == GN_K_SIZE);
    CHECK(HDC(NULL, hv, 4, 64, x, 1, o) == GN_K_NULL && HDC(hv, NULL, 4, 64, x, 1, o) == GN_K_NULL);
    CHECK(HDC(hv, hv, 4, 64, NULL, 1, o) == GN_K_NULL && HDC(hv, hv, 4, 64, x, 1, NULL) == GN_K_NULL);
    CHECK(HDC(hv, hv, 4, 64, x, NAN, o) == GN_K_VALUE && HDC(hv, hv, 4, 64, x, 1, x) == GN_K_OVERLAP);
    CHECK(HDC(hv, NULL, 0, 64, NULL, 1, o) == GN_K_OK && o[0] == 0 && o[1] == 0);
    CHECK(gn_hdc_vote(hv, 1, hv, hv, 4, 64, 1, hv, s, NULL) == GN_K_OVERLAP);
    CHECK(gn_hdc_vote(hv, 1, hv, hv, 4, 64, 1, packed, NULL, NULL) == GN_K_NULL);
    CHECK(gn_hdc_vote(hv, 1, NULL, NULL, 0, 64, 1, packed, s, NULL) == GN_K_OK && packed[0] == 0);
    free(s);
}

int main(void)
{
    sizes();
    batches();
    recall();
    groups();
    adversarial();
    hypervectors();
    refusals();
    gn_isa_force(gn_isa_best());
    printf("test_kernels_hopfield: ok\n");
    return 0;
}
