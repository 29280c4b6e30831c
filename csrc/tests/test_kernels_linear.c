/* Linear attention: every level against serial and float64, pieces against the whole, bad input. */
#include "kernel_check.h"

#include <float.h>

/* One problem, its arrays against guard pages, and a result of each form. */
struct problem {
    size_t heads, rows, count, dim, value_dim, features;
    float scale;
    struct guarded q, k, v, w, full, causal, state;
    void *scratch;
};

static struct guarded floats(size_t n, int normal, double by, size_t skew)
{
    struct guarded it = guarded_new(n * sizeof(float), skew);
    for (size_t i = 0; i < n; i++) {
        float x = normal ? (float)(by * random_normal()) : 0;
        memcpy(it.data + 4 * i, &x, 4);
    }
    return it;
}

static float *at(const struct guarded *it) { return (float *)(void *)it->data; }

static struct problem problem_new(size_t heads, size_t rows, size_t count, size_t dim, size_t value_dim,
                                  size_t features, double size)
{
    struct problem p = {.heads = heads, .rows = rows, .count = count, .dim = dim, .value_dim = value_dim};
    size_t skew = 4 * (random_u64() % 5), a, b;
    p.features = features;
    p.scale = dim ? 1 / sqrtf((float)dim) : 1;
    p.q = floats(heads * rows * dim, 1, size, skew);
    p.k = floats(heads * count * dim, 1, size, skew);
    p.v = floats(heads * count * value_dim, 1, 1, skew);
    p.w = floats(features * dim, 0, 0, skew);
    CHECK(gn_favor_projection(features, dim, 7, at(&p.w)) == GN_K_OK);
    p.full = floats(heads * rows * value_dim, 0, 0, skew);
    p.causal = floats(heads * count * value_dim, 0, 0, skew);
    p.state = floats(heads * gn_linear_state(features, value_dim), 0, 0, skew);
    a = gn_linear_scratch(heads, count, dim, value_dim, features, 3);
    b = gn_linear_causal_scratch(dim, value_dim, features, 3);
    CHECK(a != SIZE_MAX && b != SIZE_MAX);
    p.scratch = aligned_alloc(64, (a > b ? a : b) + 64);
    CHECK(p.scratch);
    return p;
}

static void problem_free(struct problem *p)
{
    struct guarded *all[] = {&p->q, &p->k, &p->v, &p->w, &p->full, &p->causal, &p->state};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        guarded_free(all[i]);
    free(p->scratch);
}

static void run_full(struct problem *p, gn_pool *pool)
{
    CHECK(gn_linear_attention(at(&p->q), p->heads, p->rows, at(&p->k), p->count, p->dim, at(&p->v), p->value_dim,
                              at(&p->w), p->features, p->scale, at(&p->full), p->scratch, pool) == GN_K_OK);
}

/* The causal form over keys as queries too, in pieces of `piece` tokens (one head when it is cut). */
static void run_causal(struct problem *p, size_t piece, gn_pool *pool)
{
    CHECK(gn_linear_begin(p->heads, p->features, p->value_dim, at(&p->state)) == GN_K_OK);
    for (size_t i = 0; i < p->count; i += piece) {
        size_t n = p->count - i < piece ? p->count - i : piece;
        CHECK(gn_linear_causal(at(&p->k) + i * p->dim, at(&p->k) + i * p->dim, at(&p->v) + i * p->value_dim, p->heads,
                               n, p->dim, p->value_dim, at(&p->w), p->features, p->scale, at(&p->state),
                               at(&p->causal) + i * p->value_dim, p->scratch, pool) == GN_K_OK);
    }
}

/* ln of feature f of x, less nothing. */
static double feature(const struct problem *p, const float *x, size_t f)
{
    double sum = 0, norm = 0, root = sqrt(p->scale);
    for (size_t i = 0; i < p->dim; i++) {
        sum += root * at(&p->w)[f * p->dim + i] * x[i];
        norm += p->scale * (double)x[i] * x[i];
    }
    return sum - norm / 2;
}

/* The definition, in float64, of the row of `query` over keys [0, seen) of one head. */
static void reference(const struct problem *p, const float *query, const float *keys, const float *values, size_t seen,
                      double *out)
{
    double *most = calloc(seen + 1, sizeof *most), top = -INFINITY, total = 0;
    for (size_t j = 0; j < seen; j++) {
        double largest = -INFINITY, sum = 0;
        for (int pass = 0; pass < 2; pass++)
            for (size_t f = 0; f < p->features; f++) {
                double l = feature(p, query, f) + feature(p, keys + j * p->dim, f);
                if (pass)
                    sum += exp(l - largest);
                else if (l > largest)
                    largest = l;
            }
        most[j] = largest + log(sum);
        if (most[j] > top)
            top = most[j];
    }
    for (size_t i = 0; i < p->value_dim; i++)
        out[i] = 0;
    for (size_t j = 0; j < seen; j++) {
        double weight = exp(most[j] - top);
        total += weight;
        for (size_t i = 0; i < p->value_dim; i++)
            out[i] += weight * values[j * p->value_dim + i];
    }
    for (size_t i = 0; i < p->value_dim; i++)
        out[i] = seen ? out[i] / total : 0;
    free(most);
}

/* |error| <= 4e-6 (1 + the largest logarithm met): an exp of x errs by |x| 2^-24. */
static void against_reference(struct problem *p)
{
    double *want = calloc(p->value_dim + 1, sizeof *want);
    for (size_t r = 0; r < p->rows * p->heads; r += 1 + r / 3) {
        size_t head = r / p->rows;
        const float *keys = at(&p->k) + head * p->count * p->dim, *values = at(&p->v) + head * p->count * p->value_dim;
        reference(p, at(&p->q) + r * p->dim, keys, values, p->count, want);
        for (size_t i = 0; i < p->value_dim; i++)
            CHECK(fabs(want[i] - at(&p->full)[r * p->value_dim + i]) < 2e-5);
    }
    for (size_t r = 0; r < p->count; r += 1 + r / 3) {
        reference(p, at(&p->k) + r * p->dim, at(&p->k), at(&p->v), r + 1, want);
        for (size_t i = 0; i < p->value_dim; i++)
            CHECK(fabs(want[i] - at(&p->causal)[r * p->value_dim + i]) < 2e-5);
    }
    free(want);
}

static float *copy_of(const struct guarded *it, size_t n)
{
    float *copy = malloc(n * sizeof *copy + 1);
    memcpy(copy, it->data, n * sizeof *copy);
    return copy;
}

static void compare(size_t heads, size_t rows, size_t count, size_t dim, size_t value_dim, size_t features)
{
    struct problem p = problem_new(heads, rows, count, dim, value_dim, features, 1);
    size_t full = heads * rows * value_dim, causal = heads * count * value_dim;
    float *want, *follow;
    gn_isa_force(GN_ISA_SERIAL);
    run_full(&p, NULL);
    run_causal(&p, count + 1, NULL);
    against_reference(&p);
    want = copy_of(&p.full, full), follow = copy_of(&p.causal, causal);
    FOR_LEVELS(level)
    {
        run_full(&p, NULL);
        CHECK(largest_gap(want, at(&p.full), full) < 2e-5);
        run_causal(&p, count + 1, NULL);
        CHECK(largest_gap(follow, at(&p.causal), causal) < 2e-5);
    }
    gn_isa_force(gn_isa_best());
    free(want);
    free(follow);
    problem_free(&p);
}

static void sizes(void)
{
    static const size_t few[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 47, 48, 49, 63, 64, 65, 97, 130, 257};
    for (size_t i = 0; i < sizeof few / sizeof *few; i++) {
        compare(1, few[i], 5, 3, 2, 4);
        compare(1, 2, few[i], 4, 3, 5);
        if (few[i] < 130) {
            compare(1, 3, 4, few[i], 3, 6);
            compare(2, 3, 4, 3, few[i], 6);
        }
        if (few[i])
            compare(1, 3, 4, 5, 3, few[i]);
    }
    compare(2, 50, 60, 16, 24, 33);
    compare(1, 9, 600, 8, 8, 16); /* two segments */
}

/* A sequence cut anywhere, and any number of threads: the same rows. */
static void pieces_and_threads(void)
{
    struct problem p = problem_new(1, 120, 700, 12, 20, 37, 1), many = problem_new(3, 97, 130, 8, 8, 16, 1);
    gn_pool *pool = gn_pool_open(3);
    float *whole, *full;
    run_causal(&p, 700, NULL);
    whole = copy_of(&p.causal, 700 * 20);
    for (size_t piece = 1; piece < 700; piece = piece * 5 + 2) {
        run_causal(&p, piece, NULL);
        CHECK(largest_gap(whole, at(&p.causal), 700 * 20) < 1e-5);
    }
    free(whole);
    run_full(&p, NULL);
    full = copy_of(&p.full, 120 * 20);
    run_full(&p, pool);
    CHECK(memcmp(full, p.full.data, 120 * 20 * 4) == 0);
    free(full);
    run_causal(&many, 130, NULL);
    whole = copy_of(&many.causal, 3 * 130 * 8);
    run_causal(&many, 130, pool);
    CHECK(memcmp(whole, many.causal.data, 3 * 130 * 8 * 4) == 0);
    free(whole);
    gn_pool_close(pool);
    problem_free(&p);
    problem_free(&many);
}

/* Nothing leaks back in time: a token that is wild in any way leaves all rows before it as they were. */
static void wild_tokens(void)
{
    static const float wild[] = {NAN, INFINITY, -INFINITY, 1e30f, 3e18f, 40.0f};
    for (int level = -1; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level < 0 ? 0 : level) != GN_K_OK)
            continue;
        struct problem p = problem_new(1, 1, 70, 6, 5, 9, 1);
        float *calm;
        run_causal(&p, 70, NULL);
        calm = copy_of(&p.causal, 70 * 5);
        for (size_t i = 0; i < 2 * sizeof wild / sizeof *wild; i++) {
            float *slot = i % 2 ? at(&p.k) + 33 * 6 + 2 : at(&p.v) + 33 * 5 + 1, kept = *slot;
            *slot = wild[i / 2];
            run_causal(&p, 70, NULL);
            CHECK(largest_gap(calm, at(&p.causal), 33 * 5) < 1e-5);
            run_full(&p, NULL);
            if (i / 2 >= 3)
                for (size_t j = 0; j < 70 * 5; j++)
                    CHECK(isfinite(at(&p.causal)[j]));
            else
                CHECK(!isfinite(at(&p.causal)[69 * 5 + 1]) && !isfinite(at(&p.full)[1]));
            *slot = kept;
        }
        free(calm);
        problem_free(&p);
    }
    gn_isa_force(gn_isa_best());
}

/* A long key has small features (e^-|k|^2/2): when shorter ones follow, e^400 larger, it must not vanish for its own
 * row. */
static void shrinking_norms(void)
{
    for (int level = 0; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        struct problem p = problem_new(1, 3, 60, 8, 4, 16, 1);
        double want[4];
        for (size_t j = 0; j < 60; j++)
            for (size_t i = 0; i < 8; i++)
                at(&p.k)[j * 8 + i] *= (float)(19 - j % 20);
        run_causal(&p, 60, NULL);
        for (size_t r = 0; r < 60; r++) {
            reference(&p, at(&p.k) + r * 8, at(&p.k), at(&p.v), r + 1, want);
            for (size_t i = 0; i < 4; i++)
                CHECK(fabs(want[i] - at(&p.causal)[r * 4 + i]) < 1e-3);
        }
        problem_free(&p);
    }
    gn_isa_force(gn_isa_best());
}

static void projection(void)
{
    enum { DIM = 24, FEATURES = 60 };
    float w[FEATURES * DIM], again[FEATURES * DIM];
    double square = 0;
    CHECK(gn_favor_projection(FEATURES, DIM, 3, w) == GN_K_OK && gn_favor_projection(FEATURES, DIM, 3, again) == 0);
    CHECK(memcmp(w, again, sizeof w) == 0);
    CHECK(gn_favor_projection(FEATURES, DIM, 4, again) == 0 && memcmp(w, again, sizeof w) != 0);
    for (size_t a = 0; a < FEATURES; a++)
        for (size_t b = a / DIM * DIM; b <= a; b++) {
            double dot = 0;
            for (size_t i = 0; i < DIM; i++)
                dot += (double)w[a * DIM + i] * w[b * DIM + i];
            if (a != b)
                CHECK(fabs(dot) < 1e-5 * DIM);
            else
                square += dot;
        }
    CHECK(fabs(square / FEATURES - DIM) < 0.2 * DIM);
    CHECK(gn_favor_projection(SIZE_MAX, 2, 1, w) == GN_K_SIZE && gn_favor_projection(1, 1, 1, NULL) == GN_K_NULL);
    CHECK(gn_favor_projection(0, 5, 1, NULL) == GN_K_OK && gn_favor_projection(5, 0, 1, NULL) == GN_K_OK);
}

static void bad_input(void)
{
    struct problem p = problem_new(1, 4, 5, 3, 2, 4, 1);
    float *q = at(&p.q), *k = at(&p.k), *v = at(&p.v), *w = at(&p.w), *o = at(&p.full), *s = at(&p.state);
    CHECK(gn_linear_attention(NULL, 1, 4, k, 5, 3, v, 2, w, 4, 1, o, p.scratch, NULL) == GN_K_NULL);
    CHECK(gn_linear_attention(q, 1, 4, k, 5, 3, v, 2, w, 4, 1, o, NULL, NULL) == GN_K_NULL);
    CHECK(gn_linear_attention(q, 1, 4, k, 5, 3, v, 2, w, 0, 1, o, p.scratch, NULL) == GN_K_SIZE);
    CHECK(gn_linear_attention(q, SIZE_MAX / 2, 4, k, 5, 3, v, 2, w, 4, 1, o, p.scratch, NULL) == GN_K_SIZE);
    CHECK(gn_linear_attention(q, 1, 4, k, SIZE_MAX / 4, 3, v, 2, w, 4, 1, o, p.scratch, NULL) == GN_K_SIZE);
    CHECK(gn_linear_attention(q, 1, 4, k, 5, 3, v, 2, w, 4, 0, o, p.scratch, NULL) == GN_K_VALUE);
    CHECK(gn_linear_attention(q, 1, 4, k, 5, 3, v, 2, w, 4, NAN, o, p.scratch, NULL) == GN_K_VALUE);
    CHECK(gn_linear_attention(q, 1, 4, k, 5, 3, v, 2, w, 4, INFINITY, o, p.scratch, NULL) == GN_K_VALUE);
    CHECK(gn_linear_attention(q, 1, 4, k, 5, 3, v, 2, w, 4, 1, q + 2, p.scratch, NULL) == GN_K_OVERLAP);
    CHECK(gn_linear_causal(k, k, v, 1, 5, 3, 2, w, 4, 1, NULL, o, p.scratch, NULL) == GN_K_NULL);
    CHECK(gn_linear_causal(k, k, v, 1, 5, 3, 2, w, 4, 1, v, o, p.scratch, NULL) == GN_K_OVERLAP);
    CHECK(gn_linear_causal(k, k, v, 1, 5, SIZE_MAX, 2, w, 4, 1, s, o, p.scratch, NULL) == GN_K_SIZE);
    CHECK(gn_linear_state(SIZE_MAX, 2) == SIZE_MAX && gn_linear_begin(1, 4, 2, NULL) == GN_K_NULL);
    CHECK(gn_linear_begin(SIZE_MAX, 4, 2, s) == GN_K_SIZE);
    CHECK(gn_linear_scratch(1, 5, SIZE_MAX / 8, 2, 4, 1) == SIZE_MAX);
    CHECK(gn_linear_causal_scratch(3, SIZE_MAX / 8, 4, 1) == SIZE_MAX);
    problem_free(&p);
}

int main(void)
{
    sizes();
    pieces_and_threads();
    wild_tokens();
    shrinking_norms();
    projection();
    bad_input();
    printf("test_kernels_linear: ok\n");
    return 0;
}
