/* Hyperbolic space: every level against serial and float64, maps that invert each other, means, bad input. */
#include "kernel_check.h"

static struct guarded floats(size_t n, size_t skew)
{
    struct guarded it = guarded_new(n * sizeof(float), skew);
    memset(it.data, 0, n * sizeof(float));
    return it;
}

static float *at(const struct guarded *it) { return (float *)(void *)it->data; }

/* Poincare points of radius up to `far` of the ball's, every seventh the origin. */
static void fill_ball(float *p, size_t rows, size_t dim, double c, double far)
{
    for (size_t r = 0; r < rows; r++, p += dim) {
        double square = 0, by;
        fill_normal(p, dim);
        for (size_t i = 0; i < dim; i++)
            square += (double)p[i] * p[i];
        by = far * random_unit() / sqrt(c * square);
        for (size_t i = 0; i < dim; i++)
            p[i] = r % 7 == 6 ? 0 : (float)(by * p[i]);
    }
}

static double poincare64(const float *a, const float *b, size_t dim, double c)
{
    double d = 0, x = 0, y = 0, u;
    for (size_t i = 0; i < dim; i++) {
        d += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        x += (double)a[i] * a[i];
        y += (double)b[i] * b[i];
    }
    u = 2 * c * d / ((1 - c * x) * (1 - c * y));
    return log1p(u + sqrt(u * (u + 2))) / sqrt(c);
}

struct problem {
    size_t rows, count, dim;
    float c;
    struct guarded q, k, v, lq, lk, d, ld, out, lout;
    void *scratch;
};

static struct problem problem_new(size_t rows, size_t count, size_t dim, float c)
{
    size_t skew = 4 * (random_u64() % 4);
    struct problem p = {.rows = rows, .count = count, .dim = dim, .c = c};
    p.q = floats(rows * dim, skew), p.k = floats(count * dim, skew), p.v = floats(count * dim, skew);
    p.lq = floats(rows * (dim + 1), skew), p.lk = floats(count * (dim + 1), skew);
    p.d = floats(rows * count, skew), p.ld = floats(rows * count, skew);
    p.out = floats(rows * dim, skew), p.lout = floats(rows * (dim + 1), skew);
    fill_ball(at(&p.q), rows, dim, c, 0.9);
    fill_ball(at(&p.k), count, dim, c, 0.9);
    fill_ball(at(&p.v), count, dim, c, 0.9);
    CHECK(gn_poincare_to_lorentz(at(&p.q), rows, dim, c, at(&p.lq)) == GN_K_OK);
    CHECK(gn_poincare_to_lorentz(at(&p.k), count, dim, c, at(&p.lk)) == GN_K_OK);
    p.scratch = aligned_alloc(64, (gn_hyperbolic_attention_scratch(count, dim + 1, dim + 1, 3) + 127) / 64 * 64);
    return p;
}

static void problem_free(struct problem *p)
{
    struct guarded *all[] = {&p->q, &p->k, &p->v, &p->lq, &p->lk, &p->d, &p->ld, &p->out, &p->lout};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        guarded_free(all[i]);
    free(p->scratch);
}

static void run(struct problem *p, int mean, gn_pool *pool)
{
    CHECK(gn_hyperbolic_distances(GN_POINCARE, at(&p->q), p->rows, at(&p->k), p->count, p->dim, p->c, at(&p->d), pool) ==
          GN_K_OK);
    CHECK(gn_hyperbolic_distances(GN_LORENTZ, at(&p->lq), p->rows, at(&p->lk), p->count, p->dim + 1, p->c, at(&p->ld),
                                  pool) == GN_K_OK);
    CHECK(gn_hyperbolic_attention(GN_POINCARE, mean, at(&p->q), p->rows, at(&p->k), p->count, p->dim, at(&p->v), p->dim,
                                  p->c, 0.7f, at(&p->out), p->scratch, pool) == GN_K_OK);
    CHECK(gn_hyperbolic_attention(GN_LORENTZ, mean, at(&p->lq), p->rows, at(&p->lk), p->count, p->dim + 1, at(&p->lk),
                                  p->dim + 1, p->c, 0.7f, at(&p->lout), p->scratch, pool) == GN_K_OK);
}

/* 1 - c|p|^2 >= 0.19: float32 of it errs by 1e-6, a distance by 1e-5. */
static void against_reference(const struct problem *p)
{
    for (size_t i = 0; i < p->rows; i++)
        for (size_t j = 0; j < p->count; j++) {
            double want = poincare64(at(&p->q) + i * p->dim, at(&p->k) + j * p->dim, p->dim, p->c);
            CHECK(fabs(want - at(&p->d)[i * p->count + j]) * sqrt(p->c) < 1e-5);
            /* Lorentz points of near pairs are told apart by their rounding: 1e-3 = sqrt(1e-6) at distance 0. */
            CHECK(fabs(want - at(&p->ld)[i * p->count + j]) * sqrt(p->c) < (want * sqrt(p->c) < 0.1 ? 5e-3 : 1e-4));
        }
    for (size_t i = 0; i < p->rows && p->count; i++) { /* the Einstein mean of values, in Klein coordinates */
        double total = 0, *sum = calloc(p->dim + 1, sizeof *sum), square = 0;
        for (size_t j = 0; j < p->count; j++) {
            double w = exp(-poincare64(at(&p->q) + i * p->dim, at(&p->k) + j * p->dim, p->dim, p->c) / 0.7f), x = 0;
            for (size_t a = 0; a < p->dim; a++)
                x += (double)p->c * at(&p->v)[j * p->dim + a] * at(&p->v)[j * p->dim + a];
            double gamma = (1 + x) / (1 - x);
            total += w * gamma;
            for (size_t a = 0; a < p->dim; a++)
                sum[a] += w * gamma * 2 / (1 + x) * at(&p->v)[j * p->dim + a];
        }
        for (size_t a = 0; a < p->dim; a++)
            square += p->c * (sum[a] / total) * (sum[a] / total);
        for (size_t a = 0; a < p->dim; a++)
            CHECK(fabs(sum[a] / total / (1 + sqrt(1 - square)) - at(&p->out)[i * p->dim + a]) * sqrt(p->c) < 2e-6);
        free(sum);
    }
}

static float *copy_of(const struct guarded *it, size_t n)
{
    float *copy = malloc(n * sizeof *copy + 1);
    memcpy(copy, it->data, n * sizeof *copy);
    return copy;
}

static void compare(size_t rows, size_t count, size_t dim, float c)
{
    struct problem p = problem_new(rows, count, dim, c);
    float *want[4];
    gn_isa_force(GN_ISA_SERIAL);
    run(&p, GN_MEAN_EINSTEIN, NULL);
    against_reference(&p);
    want[0] = copy_of(&p.d, rows * count), want[1] = copy_of(&p.out, rows * dim);
    want[2] = copy_of(&p.lout, rows * (dim + 1));
    run(&p, GN_MEAN_FRECHET, NULL);
    want[3] = copy_of(&p.out, rows * dim);
    FOR_LEVELS(level)
    {
        run(&p, GN_MEAN_EINSTEIN, NULL);
        CHECK(largest_gap(want[0], at(&p.d), rows * count) * sqrt(c) < 1e-5);
        CHECK(largest_gap(want[1], at(&p.out), rows * dim) * sqrt(c) < 2e-6);
        CHECK(largest_gap(want[2], at(&p.lout), rows * (dim + 1)) * sqrt(c) < 1e-4);
        run(&p, GN_MEAN_FRECHET, NULL);
        CHECK(largest_gap(want[3], at(&p.out), rows * dim) * sqrt(c) < 2e-6);
    }
    gn_isa_force(gn_isa_best());
    for (int i = 0; i < 4; i++)
        free(want[i]);
    problem_free(&p);
}

static void sizes(void)
{
    static const size_t some[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47, 63, 64, 65, 127, 129, 257};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        compare(2, 5, some[i], 1);
        compare(1, some[i], 6, 0.5f);
        if (some[i] < 33)
            compare(some[i], 3, 4, 4);
    }
    compare(5, 40, 64, 1);
}

/* The Frechet mean: no direction lowers the weighted squared distance, seen in float64. */
static double spread(const float *points, size_t count, size_t dim, const float *w, const float *p, float c)
{
    double sum = 0;
    for (size_t j = 0; j < count; j++) {
        double d = poincare64(p, points + j * dim, dim, c);
        sum += w[j] * d * d;
    }
    return sum;
}

static void means(void)
{
    enum { COUNT = 20, DIM = 5 };
    float points[COUNT * DIM], lorentz[COUNT * (DIM + 1)], w[COUNT], mean[DIM], other[DIM], back[DIM], big[DIM + 1];
    double scratch[4 * COUNT + 4 * DIM + 8];
    CHECK(gn_hyperbolic_mean_scratch(COUNT, DIM + 1) <= sizeof scratch);
    for (int run = 0; run < 20; run++) {
        float c = run % 2 ? 1 : 0.3f;
        fill_ball(points, COUNT, DIM, c, run < 10 ? 0.5 : 0.95);
        CHECK(gn_poincare_to_lorentz(points, COUNT, DIM, c, lorentz) == GN_K_OK);
        for (int j = 0; j < COUNT; j++)
            w[j] = j % 5 ? (float)random_unit() : 0;
        for (int level = 0; level < GN_ISA_COUNT; level++) {
            double least;
            if (gn_isa_force(level) != GN_K_OK)
                continue;
            CHECK(gn_hyperbolic_mean(GN_POINCARE, GN_MEAN_FRECHET, points, COUNT, DIM, w, c, mean, scratch) == GN_K_OK);
            least = spread(points, COUNT, DIM, w, mean, c);
            for (int way = 0; way < 2 * DIM; way++) {
                memcpy(other, mean, sizeof mean);
                other[way / 2] += way % 2 ? 1e-3f : -1e-3f;
                CHECK(spread(points, COUNT, DIM, w, other, c) > least);
            }
            for (int kind = 0; kind < 2; kind++) { /* both models, one answer */
                CHECK(gn_hyperbolic_mean(GN_POINCARE, kind, points, COUNT, DIM, w, c, mean, scratch) == GN_K_OK);
                CHECK(gn_hyperbolic_mean(GN_LORENTZ, kind, lorentz, COUNT, DIM + 1, w, c, big, scratch) == GN_K_OK);
                CHECK(gn_lorentz_to_poincare(big, 1, DIM, c, back) == GN_K_OK);
                CHECK(largest_gap(mean, back, DIM) < 2e-5);
            }
        }
        gn_isa_force(gn_isa_best());
    }
    memset(w, 0, sizeof w);
    w[3] = 2;
    CHECK(gn_hyperbolic_mean(GN_POINCARE, GN_MEAN_FRECHET, points, COUNT, DIM, w, 1, mean, scratch) == GN_K_OK);
    CHECK(largest_gap(mean, points + 3 * DIM, DIM) < 1e-6); /* one point's mean is itself */
    w[3] = 0;
    CHECK(gn_hyperbolic_mean(GN_LORENTZ, GN_MEAN_FRECHET, lorentz, COUNT, DIM + 1, w, 4, big, scratch) == GN_K_OK);
    CHECK(big[0] == 0.5f && big[1] == 0);
    w[2] = -1;
    CHECK(gn_hyperbolic_mean(GN_POINCARE, 0, points, COUNT, DIM, w, 1, mean, scratch) == GN_K_VALUE);
    CHECK(gn_hyperbolic_mean(GN_POINCARE, 2, points, COUNT, DIM, w, 1, mean, scratch) == GN_K_VALUE);
    CHECK(gn_hyperbolic_mean(GN_POINCARE, 0, points, COUNT, DIM, w, 1, points, scratch) == GN_K_OVERLAP);
    w[2] = NAN;
    CHECK(gn_hyperbolic_mean(GN_POINCARE, 1, points, COUNT, DIM, w, 1, mean, scratch) == GN_K_OK && isnan(mean[0]));
}

static void maps(void)
{
    enum { ROWS = 40, DIM = 4 };
    float p[ROWS * DIM], y[ROWS * DIM], v[ROWS * DIM], z[ROWS * DIM];
    float lp[ROWS * (DIM + 1)], ly[ROWS * (DIM + 1)], lv[ROWS * (DIM + 1)], lz[ROWS * (DIM + 1)];
    for (int run = 0; run < 20; run++) {
        float c = run % 2 ? 1 : 2.5f;
        fill_ball(p, ROWS, DIM, c, 0.95);
        fill_ball(y, ROWS, DIM, c, 0.95);
        CHECK(gn_hyperbolic_log(GN_POINCARE, p, ROWS, y, ROWS, DIM, c, v) == GN_K_OK);
        for (size_t r = 0; r < ROWS; r++) { /* the length of log is the distance: lambda |v| */
            double pp = 0, vv = 0;
            for (size_t i = r * DIM; i < (r + 1) * DIM; i++)
                pp += (double)p[i] * p[i], vv += (double)v[i] * v[i];
            CHECK(fabs(2 / (1 - c * pp) * sqrt(vv) - poincare64(p + r * DIM, y + r * DIM, DIM, c)) < 1e-5);
        }
        CHECK(gn_hyperbolic_exp(GN_POINCARE, p, ROWS, v, ROWS, DIM, c, z) == GN_K_OK);
        CHECK(largest_gap(y, z, ROWS * DIM) < 1e-6);
        CHECK(gn_hyperbolic_exp(GN_POINCARE, p, 1, v, ROWS, DIM, c, v) == GN_K_OK); /* in place */
        CHECK(gn_poincare_to_lorentz(p, ROWS, DIM, c, lp) == 0 && gn_poincare_to_lorentz(y, ROWS, DIM, c, ly) == 0);
        CHECK(gn_hyperbolic_log(GN_LORENTZ, lp, ROWS, ly, ROWS, DIM + 1, c, lv) == GN_K_OK);
        CHECK(gn_hyperbolic_exp(GN_LORENTZ, lp, ROWS, lv, ROWS, DIM + 1, c, lz) == GN_K_OK);
        CHECK(gn_lorentz_to_poincare(lz, ROWS, DIM, c, z) == GN_K_OK);
        CHECK(largest_gap(y, z, ROWS * DIM) < 3e-5);
        for (size_t i = 0; i < ROWS * DIM; i++)
            v[i] = -p[i];
        CHECK(gn_moebius_add(p, v, ROWS, DIM, c, z) == GN_K_OK);
        for (size_t i = 0; i < ROWS * DIM; i++)
            CHECK(fabsf(z[i]) < 1e-6f);
    }
    for (size_t i = 0; i < ROWS * DIM; i++)
        v[i] = 1e6f * random_normal();
    CHECK(gn_hyperbolic_exp(GN_POINCARE, p, ROWS, v, ROWS, DIM, 1, z) == GN_K_OK);
    CHECK(gn_hyperbolic_distances(GN_POINCARE, z, 1, z, ROWS, DIM, 1, v, NULL) == GN_K_OK);
    for (size_t i = 0; i < ROWS; i++)
        CHECK(isfinite(v[i]));
    for (size_t i = 0; i < ROWS * DIM; i++)
        v[i] = 3 * random_normal();
    CHECK(gn_poincare_project(v, ROWS, DIM, 1, 1e-3f, v) == GN_K_OK);
    CHECK(gn_hyperbolic_distances(GN_POINCARE, v, 1, v, ROWS, DIM, 1, z, NULL) == GN_K_OK);
    for (size_t i = 0; i < ROWS; i++)
        CHECK(isfinite(z[i]));
    CHECK(gn_poincare_project(v, ROWS, DIM, 1, 0, v) == GN_K_VALUE);
    CHECK(gn_hyperbolic_exp(GN_POINCARE, p, 2, v, ROWS, DIM, 1, z) == GN_K_SIZE);
    CHECK(gn_hyperbolic_log(GN_LORENTZ, p, 1, v, 1, 0, 1, z) == GN_K_SIZE);
    CHECK(gn_hyperbolic_log(7, p, 1, v, 1, DIM, 1, z) == GN_K_VALUE);
    CHECK(gn_hyperbolic_log(0, p, 1, v, 1, DIM, -1, z) == GN_K_VALUE);
    CHECK(gn_hyperbolic_log(0, p, 1, v, 1, DIM, NAN, z) == GN_K_VALUE);
    CHECK(gn_hyperbolic_log(0, NULL, 1, v, 1, DIM, 1, z) == GN_K_NULL);
    CHECK(gn_hyperbolic_log(0, p, ROWS, v, ROWS, DIM, 1, p) == GN_K_OVERLAP);
}

/* On the sphere: infinitely far, no weight. Outside: NaN. NaN: NaN. In all levels. */
static void outside(void)
{
    enum { COUNT = 19, DIM = 3 };
    float keys[COUNT * DIM], q[DIM] = {0.1f, 0, 0}, d[COUNT], out[DIM], calm[DIM];
    char scratch[8192] __attribute__((aligned(64)));
    CHECK(gn_hyperbolic_attention_scratch(COUNT, DIM, DIM, 1) <= sizeof scratch);
    for (int level = 0; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        fill_ball(keys, COUNT, DIM, 1, 0.8);
        keys[6] = 1, keys[7] = keys[8] = 0;
        CHECK(gn_hyperbolic_distances(0, q, 1, keys, COUNT, DIM, 1, d, NULL) == GN_K_OK && isinf(d[2]));
        CHECK(gn_hyperbolic_attention(0, 0, q, 1, keys, COUNT, DIM, keys, DIM, 1, 1, calm, scratch, NULL) == GN_K_OK);
        CHECK(isfinite(calm[0]));
        keys[6] = 1.5f;
        CHECK(gn_hyperbolic_distances(0, q, 1, keys, COUNT, DIM, 1, d, NULL) == GN_K_OK && isnan(d[2]) && d[3] == d[3]);
        for (int mean = 0; mean < 2; mean++) {
            CHECK(gn_hyperbolic_attention(0, mean, q, 1, keys, COUNT, DIM, keys, DIM, 1, 1, out, scratch, NULL) == 0);
            CHECK(isnan(out[0]));
        }
        for (size_t i = 0; i < COUNT; i++)
            keys[i * DIM] = 1, keys[i * DIM + 1] = keys[i * DIM + 2] = 0;
        CHECK(gn_hyperbolic_attention(0, 0, q, 1, keys, COUNT, DIM, keys, DIM, 1, 1, out, scratch, NULL) == GN_K_OK);
        CHECK(out[0] == 0 && out[1] == 0); /* every key infinitely far: the origin */
        CHECK(gn_hyperbolic_attention(0, 0, q, 1, keys, 0, DIM, keys, DIM, 1, 1, out, NULL, NULL) == GN_K_OK);
        CHECK(out[0] == 0);
        fill_ball(keys, COUNT, DIM, 1, 0.8);
        CHECK(gn_hyperbolic_attention(0, 0, keys, 1, keys, COUNT, DIM, keys, DIM, 1, 1e-42f, out, scratch, NULL) == 0);
        CHECK(largest_gap(out, keys, DIM) < 1e-6); /* the coldest softmax takes the nearest: itself */
    }
    gn_isa_force(gn_isa_best());
}

static void threads(void)
{
    struct problem p = problem_new(37, 50, 12, 1);
    gn_pool *pool = gn_pool_open(3);
    float *want;
    for (int mean = 0; mean < 2; mean++) {
        run(&p, mean, NULL);
        want = copy_of(&p.out, 37 * 12);
        run(&p, mean, pool);
        CHECK(memcmp(want, p.out.data, 37 * 12 * 4) == 0);
        free(want);
    }
    gn_pool_close(pool);
    problem_free(&p);
}

static void bad_input(void)
{
    struct problem p = problem_new(2, 3, 4, 1);
    float *q = at(&p.q), *k = at(&p.k), *o = at(&p.out);
    void *s = p.scratch;
    CHECK(gn_hyperbolic_distances(0, q, 2, k, 3, 4, 0, o, NULL) == GN_K_VALUE);
    CHECK(gn_hyperbolic_distances(3, q, 2, k, 3, 4, 1, o, NULL) == GN_K_VALUE);
    CHECK(gn_hyperbolic_distances(1, q, 2, k, 3, 0, 1, o, NULL) == GN_K_SIZE);
    CHECK(gn_hyperbolic_distances(0, q, SIZE_MAX / 2, k, 3, 4, 1, o, NULL) == GN_K_SIZE);
    CHECK(gn_hyperbolic_distances(0, NULL, 2, k, 3, 4, 1, o, NULL) == GN_K_NULL);
    CHECK(gn_hyperbolic_distances(0, q, 2, k, 3, 4, 1, q + 1, NULL) == GN_K_OVERLAP);
    CHECK(gn_hyperbolic_attention(0, 0, q, 2, k, 3, 4, k, 4, 1, 0, o, s, NULL) == GN_K_VALUE);
    CHECK(gn_hyperbolic_attention(0, 0, q, 2, k, 3, 4, k, 4, 1, INFINITY, o, s, NULL) == GN_K_VALUE);
    CHECK(gn_hyperbolic_attention(0, 5, q, 2, k, 3, 4, k, 4, 1, 1, o, s, NULL) == GN_K_VALUE);
    CHECK(gn_hyperbolic_attention(0, 0, q, 2, k, 3, 4, NULL, 4, 1, 1, o, s, NULL) == GN_K_NULL);
    CHECK(gn_hyperbolic_attention(0, 0, q, 2, k, 3, 4, k, 4, 1, 1, o, NULL, NULL) == GN_K_NULL);
    CHECK(gn_hyperbolic_attention(0, 0, q, 2, k, 3, 4, k, 4, 1, 1, k, s, NULL) == GN_K_OVERLAP);
    CHECK(gn_hyperbolic_attention(0, 0, q, 2, k, SIZE_MAX / 4, 4, k, 4, 1, 1, o, s, NULL) == GN_K_SIZE);
    CHECK(gn_hyperbolic_attention_scratch(SIZE_MAX / 4, 4, 4, 1) == SIZE_MAX);
    problem_free(&p);
}

int main(void)
{
    sizes();
    means();
    maps();
    outside();
    threads();
    bad_input();
    printf("test_kernels_hyperbolic: ok\n");
    return 0;
}
