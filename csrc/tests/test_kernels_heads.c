/* Heads with projections, differential heads, experts: every level against arithmetic in double, and bad input. */
#include "kernel_check.h"

#define EACH_LEVEL \
    for (int level = GN_ISA_SERIAL; level < GN_ISA_COUNT; level++) \
        if (gn_isa_force(level) == GN_K_OK)

static void *room(size_t size)
{
    void *at = NULL;
    CHECK(size != SIZE_MAX && posix_memalign(&at, 64, size ? size : 64) == 0);
    memset(at, 0xA5, size);
    return at;
}

static float *normals(size_t n)
{
    float *p = room(n * sizeof *p);
    fill_normal(p, n);
    return p;
}

/* [rows][columns] as a layer starts out: of variance 1 / columns. */
static float *weights(size_t rows, size_t columns)
{
    float *p = normals(rows * columns);
    for (size_t i = 0; i < rows * columns; i++)
        p[i] /= sqrtf((float)columns);
    return p;
}

/* y[m][n] = x W^T + b in double */
static double *affine(const double *x, size_t m, size_t k, const float *w, const float *b, size_t n)
{
    double *y = room(m * n * sizeof *y);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = b ? b[j] : 0;
            for (size_t p = 0; p < k; p++)
                sum += x[i * k + p] * w[j * k + p];
            y[i * n + j] = sum;
        }
    return y;
}

static double *widened(const float *x, size_t n)
{
    double *y = room(n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i];
    return y;
}

/* out[vd] += by softmax(scale q.k + bias) v over the keys that `mask` and causality show; rows are strided. */
static void attend(const struct gn_heads *s, const double *q, const double *k, size_t k_step, const double *v,
                   size_t v_step, size_t i, const uint8_t *mask, const float *bias, double by, double *out)
{
    double p[64], top = -INFINITY, sum = 0;
    for (size_t j = 0; j < s->keys; j++) {
        p[j] = bias ? bias[j] : 0;
        for (size_t c = 0; c < s->dim; c++)
            p[j] += s->scale * q[c] * k[j * k_step + c];
        if ((mask && !mask[j]) || (s->causal && j + s->queries > i + s->keys))
            p[j] = -INFINITY;
        top = fmax(top, p[j]);
    }
    for (size_t j = 0; j < s->keys && top > -INFINITY; j++)
        sum += p[j] = exp(p[j] - top);
    for (size_t j = 0; j < s->keys && sum > 0; j++)
        for (size_t c = 0; c < s->value_dim; c++)
            out[c] += by * p[j] / sum * v[j * v_step + c];
}

static void normalise(const struct gn_differential *rule, double *y, size_t n)
{
    double square = 0;
    for (size_t c = 0; c < n; c++)
        square += y[c] * y[c] / (double)n;
    for (size_t c = 0; c < n; c++)
        y[c] *= rule->out_scale * (rule->gain ? rule->gain[c] : 1) / sqrt(square + rule->epsilon);
}

/* The whole layer in double. mask, bias: [batch][heads][queries][keys] or NULL. */
static double *layer(const struct gn_heads *s, const struct gn_projections *w, const struct gn_differential *rule,
                     const float *x, const float *context, const uint8_t *mask, const float *bias)
{
    size_t pair = rule ? 2 : 1, qw = s->heads * pair * s->dim, kw = s->kv_heads * pair * s->dim;
    size_t vw = s->kv_heads * s->value_dim, ow = s->heads * s->value_dim;
    double *wx = widened(x, s->batch * s->queries * s->width), *out;
    double *wc = widened(context, s->batch * s->keys * s->context_width);
    double *q = affine(wx, s->batch * s->queries, s->width, w->q, w->q_bias, qw);
    double *k = affine(wc, s->batch * s->keys, s->context_width, w->k, w->k_bias, kw);
    double *v = affine(wc, s->batch * s->keys, s->context_width, w->v, w->v_bias, vw);
    double *o = room(s->batch * s->queries * ow * sizeof *o);
    memset(o, 0, s->batch * s->queries * ow * sizeof *o);
    for (size_t b = 0; b < s->batch; b++)
        for (size_t h = 0; h < s->heads; h++)
            for (size_t i = 0; i < s->queries; i++) {
                size_t g = h / (s->heads / s->kv_heads), row = b * s->queries + i;
                const uint8_t *m = mask ? mask + b * s->mask_strides[0] + h * s->mask_strides[1] + i * s->mask_strides[2] : NULL;
                const float *a = bias ? bias + b * s->bias_strides[0] + h * s->bias_strides[1] + i * s->bias_strides[2] : NULL;
                for (size_t t = 0; t < pair; t++)
                    attend(s, q + row * qw + (h * pair + t) * s->dim, k + b * s->keys * kw + (g * pair + t) * s->dim, kw,
                           v + b * s->keys * vw + g * s->value_dim, vw, i, m, a, t ? -(double)rule->lambda[h] : 1,
                           o + row * ow + h * s->value_dim);
                if (rule)
                    normalise(rule, o + row * ow + h * s->value_dim, s->value_dim);
            }
    out = affine(o, s->batch * s->queries, ow, w->out, w->out_bias, s->out_width);
    free(wx), free(wc), free(q), free(k), free(v), free(o);
    return out;
}

struct shape_case {
    size_t batch, queries, keys, width, context, out, heads, kv, dim, value;
    int causal;
};

static void multi_head(const struct shape_case *c, int differential, int masked, size_t skew)
{
    struct gn_heads s = {c->batch, c->queries, c->keys, c->width, c->context, c->out, c->heads, c->kv, c->dim, c->value,
                         {0, c->queries * c->keys, c->keys}, {0, 0, c->keys}, 0.4f, c->causal};
    size_t pair = differential ? 2 : 1, scores = c->heads * c->queries * c->keys, n = c->batch * c->queries * c->out;
    float *x = normals(c->batch * c->queries * c->width), *context = normals(c->batch * c->keys * c->context);
    float *wq = weights(c->heads * pair * c->dim, c->width), *bq = normals(c->heads * pair * c->dim);
    float *wk = weights(c->kv * pair * c->dim, c->context), *bv = normals(c->kv * c->value);
    float *wv = weights(c->kv * c->value, c->context), *wo = weights(c->out, c->heads * c->value);
    float *bo = normals(c->out), *bias = normals(c->queries * c->keys), *gain = normals(c->value);
    float lambda[8] = {0.2f, 0.8f, -0.3f, 0.5f, 0.1f, 0.7f, 0, 1};
    struct gn_projections w = {wq, bq, wk, NULL, wv, bv, wo, bo};
    struct gn_differential rule = {lambda, gain, 0.6f, 1e-5f};
    uint8_t *mask = room(scores + 1);
    double *want, gap = 0, scale = 0;
    struct guarded out = guarded_new(n * 4, skew);
    struct guarded scratch = guarded_new(gn_multi_head_scratch(&s, differential, 1), 0);
    for (size_t i = 0; i < scores; i++)
        mask[i] = random_u64() % 4 != 0 && i % (c->queries * c->keys) >= c->keys; /* the first query sees nothing */
    want = layer(&s, &w, differential ? &rule : NULL, x, context, masked ? mask : NULL, masked ? bias : NULL);
    CHECK(gn_multi_head(&s, &w, differential ? &rule : NULL, x, context, masked ? mask : NULL, masked ? bias : NULL,
                        (float *)out.data, scratch.data, NULL) == GN_K_OK);
    for (size_t i = 0; i < n; i++) {
        scale = fmax(scale, fabs(want[i]));
        gap = fmax(gap, fabs(want[i] - ((float *)out.data)[i]));
    }
    CHECK(gap <= 3e-6 * fmax(scale, 1));
    guarded_free(&out), guarded_free(&scratch);
    free(x), free(context), free(wq), free(bq), free(wk), free(bv), free(wv), free(wo), free(bo), free(bias);
    free(gain), free(mask), free(want);
}

static void layers(void)
{
    static const struct shape_case cases[] = {
        {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0},      {2, 3, 5, 7, 9, 11, 4, 2, 3, 5, 0}, {1, 17, 33, 16, 16, 16, 2, 1, 16, 16, 1},
        {2, 9, 9, 31, 31, 33, 3, 3, 8, 17, 1},  {1, 1, 40, 64, 64, 64, 8, 4, 8, 8, 1}, {3, 20, 7, 5, 6, 4, 2, 2, 33, 2, 0},
    };
    EACH_LEVEL
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (int kind = 0; kind < 4; kind++)
                multi_head(&cases[i], kind & 1, kind >> 1, i % 3 * 4);
}

/* Threads change nothing; the dense differential kernel is the layer without its projections. */
static void threads_and_dense(void)
{
    enum { B = 2, H = 4, G = 2, N = 21, M = 30, D = 12, V = 24 };
    struct gn_heads s = {.batch = B, .queries = N, .keys = M, .heads = H, .kv_heads = G, .dim = D, .value_dim = V,
                         .scale = 0.3f, .causal = 1};
    float *q = normals(B * H * 2 * N * D), *k = normals(B * G * 2 * M * D), *v = normals(B * G * M * V);
    float *a = room(B * H * N * V * 4), *b = room(B * H * N * V * 4), lambda[H] = {0.5f, 0.2f, 0.9f, 0};
    struct gn_differential rule = {lambda, NULL, 0.2f, 1e-5f};
    void *scratch = room(gn_differential_scratch(&s, 3));
    gn_pool *pool = gn_pool_open(3);
    EACH_LEVEL {
        double want[V] = {0}, *wq = widened(q, B * H * 2 * N * D), *wk = widened(k, B * G * 2 * M * D);
        double *wv = widened(v, B * G * M * V);
        CHECK(gn_differential(&s, &rule, q, k, v, NULL, NULL, a, scratch, NULL) == GN_K_OK);
        CHECK(gn_differential(&s, &rule, q, k, v, NULL, NULL, b, scratch, pool) == GN_K_OK);
        CHECK(memcmp(a, b, B * H * N * V * 4) == 0);
        size_t h = 2, i = 13, g = 1; /* one row of the second batch */
        for (size_t t = 0; t < 2; t++)
            attend(&s, wq + (((H + h) * 2 + t) * N + i) * D, wk + ((G + g) * 2 + t) * M * D, D, wv + (G + g) * M * V, V, i,
                   NULL, NULL, t ? -(double)lambda[h] : 1, want);
        normalise(&rule, want, V);
        for (size_t c = 0; c < V; c++)
            CHECK(fabs(want[c] - a[((H + h) * N + i) * V + c]) < 3e-6);
        free(wq), free(wk), free(wv);
    }
    gn_pool_close(pool);
    free(q), free(k), free(v), free(a), free(b), free(scratch);
}

static void routes(void)
{
    enum { T = 70, E = 19, K = 3, D = 21 };
    static float logits[T * E], weight[T * K], load[E], importance[E], x[T * D], y[T * K * D], out[T * D], balance;
    static uint32_t index[T * K], offsets[E + 1], row[T * K], place[T * K];
    void *scratch = room(gn_experts_scratch(E));
    fill_normal(logits, T * E);
    fill_normal(x, T * D);
    for (int e = 0; e < E; e++)
        logits[3 * E + e] = 1, logits[4 * E + e] = -INFINITY;
    logits[5 * E] = logits[5 * E + 9] = NAN;
    EACH_LEVEL {
        double even = 0, imported = 0;
        CHECK(gn_experts_route(logits, T, E, K, index, weight, load, importance, &balance, scratch) == GN_K_OK);
        for (int t = 0; t < T; t++) {
            double sum = 0, all = 0;
            for (int j = 0; j < K; j++) {
                for (int e = 0; e < E && t > 5; e++)
                    if (logits[t * E + e] > logits[t * E + index[t * K + j]])
                        all++;
                sum += weight[t * K + j];
            }
            CHECK(t <= 5 || all == K * (K - 1) / 2); /* none better, one, two: the three best in order */
            CHECK(t == 4 ? sum == 0 : t == 5 ? isnan(sum) : fabs(sum - 1) < 1e-6);
        }
        CHECK(index[3 * K] == 0 && index[3 * K + 1] == 1 && index[3 * K + 2] == 2); /* ties to the lowest */
        CHECK(index[5 * K] != 0 && index[5 * K] != 9);
        for (int e = 0; e < E; e++)
            even += load[e], imported += importance[e];
        CHECK(fabs(even - 1) < 1e-6 && fabs(imported - (T - 2.0) / T) < 1e-6 && balance > 0.5f && balance < 2);
        CHECK(gn_experts_order(index, T, K, E, offsets, row, place) == GN_K_OK);
        CHECK(offsets[0] == 0 && offsets[E] == T * K);
        for (int e = 0; e < E; e++)
            for (uint32_t i = offsets[e]; i < offsets[e + 1]; i++)
                CHECK(i == offsets[e] || row[i] > row[i - 1]);
        for (int i = 0; i < T * K; i++)
            CHECK(place[i] >= offsets[index[i]] && place[i] < offsets[index[i] + 1] && row[place[i]] == (uint32_t)i / K);
        CHECK(gn_experts_gather(x, T, D, row, T * K, y) == GN_K_OK);
        CHECK(gn_experts_combine(y, T * K, D, place, weight, T, K, out, NULL) == GN_K_OK);
        for (int t = 0; t < T; t++) /* experts that return what they got: the token itself */
            for (int i = 0; i < D; i++)
                CHECK(t == 4 ? out[t * D + i] == 0 : t == 5 ? isnan(out[t * D + i]) != 0
                                                            : fabsf(out[t * D + i] - x[t * D + i]) < 2e-6f);
    }
    free(scratch);
}

static void refusals(void)
{
    struct gn_heads s = {.batch = 1, .queries = 2, .keys = 2, .width = 2, .context_width = 2, .out_width = 2, .heads = 2,
                         .kv_heads = 1, .dim = 2, .value_dim = 2, .scale = 1}, t;
    float x[16] = {0}, w[16] = {0}, out[16], nan = NAN;
    struct gn_projections p = {w, NULL, w, NULL, w, NULL, w, NULL}, none = {0};
    struct gn_differential rule = {x, NULL, 1, 0}, wrong = {x, NULL, 1, -1}, without = {NULL, NULL, 1, 0};
    char *scratch = room(gn_multi_head_scratch(&s, 1, 1) + 4096);
    uint32_t index[4] = {0, 1, 5, 0}, offsets[4], row[4], place[4];
#define LAYER(s, p, rule, x, out) gn_multi_head(s, p, rule, x, x, NULL, NULL, out, scratch, NULL)
    EACH_LEVEL {
        CHECK(LAYER(&s, &p, NULL, x, out) == GN_K_OK && LAYER(&s, &p, &rule, x, out) == GN_K_OK);
        CHECK(out[0] == 0 && out[3] == 0);
        CHECK(LAYER(NULL, &p, NULL, x, out) == GN_K_NULL && LAYER(&s, NULL, NULL, x, out) == GN_K_NULL);
        CHECK(LAYER(&s, &none, NULL, x, out) == GN_K_NULL && LAYER(&s, &p, NULL, NULL, out) == GN_K_NULL);
        CHECK(LAYER(&s, &p, NULL, x, NULL) == GN_K_NULL && LAYER(&s, &p, &without, x, out) == GN_K_NULL);
        CHECK(gn_multi_head(&s, &p, NULL, x, x, NULL, NULL, out, NULL, NULL) == GN_K_NULL);
        CHECK(LAYER(&s, &p, NULL, x, x) == GN_K_OVERLAP && LAYER(&s, &p, NULL, x, w + 1) == GN_K_OVERLAP);
        CHECK(LAYER(&s, &p, &wrong, x, out) == GN_K_VALUE);
        t = s, t.scale = nan;
        CHECK(LAYER(&t, &p, NULL, x, out) == GN_K_VALUE);
        t = s, t.kv_heads = 0;
        CHECK(LAYER(&t, &p, NULL, x, out) == GN_K_SIZE);
        t = s, t.heads = SIZE_MAX / 4;
        CHECK(LAYER(&t, &p, NULL, x, out) == GN_K_SIZE && gn_multi_head_scratch(&t, 1, 1) == SIZE_MAX);
        CHECK(gn_differential(&t, &rule, x, x, x, NULL, NULL, out, scratch, NULL) == GN_K_SIZE);
        t = s, t.queries = 0;
        CHECK(LAYER(&t, &p, NULL, x, NULL) == GN_K_OK);
        t = s, t.keys = 0; /* nobody to see: only the last bias is left */
        p.out_bias = (float[]){3, 4};
        CHECK(LAYER(&t, &p, NULL, x, out) == GN_K_OK && out[0] == 3 && out[3] == 4);
        p.out_bias = NULL;
    }
    CHECK(gn_experts_route(x, 1, 4, 5, index, out, NULL, NULL, NULL, scratch) == GN_K_SIZE);
    CHECK(gn_experts_route(x, 1, 4, 0, index, out, NULL, NULL, NULL, scratch) == GN_K_SIZE);
    CHECK(gn_experts_route(NULL, 1, 4, 1, index, out, NULL, NULL, NULL, scratch) == GN_K_NULL);
    CHECK(gn_experts_route(x, 1, 4, 1, index, x, NULL, NULL, NULL, scratch) == GN_K_OVERLAP);
    CHECK(gn_experts_scratch(SIZE_MAX / 2) == SIZE_MAX);
    CHECK(gn_experts_order((uint32_t[]){0, 1, 5, 0}, 4, 1, 3, offsets, row, place) == GN_K_VALUE);
    CHECK(gn_experts_order(index, SIZE_MAX, 2, 3, offsets, row, place) == GN_K_SIZE);
    CHECK(gn_experts_gather(x, 2, 2, (uint32_t[]){2}, 1, out) == GN_K_VALUE);
    CHECK(gn_experts_combine(x, 2, 2, (uint32_t[]){2}, w, 1, 1, out, NULL) == GN_K_VALUE);
    CHECK(gn_experts_combine(x, 2, 2, (uint32_t[]){1}, w, 1, 1, x + 1, NULL) == GN_K_OVERLAP);
    CHECK(fabsf(gn_differential_lambda((float[]){1, 2}, (float[]){0.1f, 0.2f}, (float[]){1, 0}, (float[]){-1, 5}, 2, 0.3f) -
                (float)(exp(0.5) - exp(-1) + 0.3)) < 1e-6f);
    free(scratch);
}

int main(void)
{
    layers();
    threads_and_dense();
    routes();
    refusals();
    gn_isa_force(gn_isa_best());
    puts("test_kernels_heads: ok");
    return 0;
}
