/* Adaptation: every level against sums in float64, on guarded arrays; then the mistakes of others. */
#include "kernel_check.h"

#include "adaptation/ops.h"

static float *room(struct guarded *it, size_t n, size_t skew)
{
    *it = guarded_new(n * sizeof(float), skew * sizeof(float));
    fill_normal((float *)(void *)it->data, n);
    return (float *)(void *)it->data;
}

static size_t next_size(size_t n) { return n < 67 ? n + 1 : n < 127 ? 127 : n < 129 ? n + 1 : n < 255 ? 255 : n + 1; }

static double sum64(const float *a, const float *b, size_t n, double *size)
{
    double sum = 0;
    *size = 1e-30;
    for (size_t i = 0; i < n; i++) {
        sum += (double)a[i] * (double)b[i];
        *size += fabs((double)a[i] * (double)b[i]);
    }
    return sum;
}

/* BTSP, e-prop's loops and EWC of n numbers. */
static void loops(size_t n, size_t skew)
{
    struct guarded ga, gb, gc, gd;
    float *a = room(&ga, n, skew), *b = room(&gb, n, 0), *c = room(&gc, n, skew), *d = room(&gd, n, 0);
    float *old = malloc(n * 4 + 4), keep = 0.75f;
    double size, penalty, wanted = 0, exact = sum64(a, b, n, &size);
    const struct gn_adaptation_ops *ops = gn_adaptation();
    CHECK(fabs((double)ops->dot(a, b, n) - exact) <= 1e-6 * size);
    memcpy(old, c, n * 4);
    CHECK(gn_btsp_step(c, a, n, keep) == GN_K_OK);
    for (size_t i = 0; i < n; i++)
        CHECK(fabs((double)c[i] - (0.75 * (double)old[i] + (double)a[i])) <= 1e-6 * (fabs((double)c[i]) + 1));
    memcpy(old, d, n * 4);
    CHECK(gn_ewc_fisher(d, a, n, keep) == GN_K_OK);
    for (size_t i = 0; i < n; i++) {
        double f = 0.75 * (double)old[i] + 0.25 * (double)a[i] * (double)a[i];
        CHECK(fabs((double)d[i] - f) <= 1e-6 * (fabs(f) + fabs((double)old[i])));
        d[i] = fabsf(d[i]);
        wanted += (double)d[i] * ((double)b[i] - (double)c[i]) * ((double)b[i] - (double)c[i]);
    }
    CHECK(gn_ewc_penalty(b, c, d, n, 3, &penalty) == GN_K_OK);
    CHECK(fabs(penalty - 1.5 * wanted) <= 2e-6 * wanted);
    memcpy(old, b, n * 4);
    CHECK(gn_ewc_step(b, a, c, d, n, 0.5f, 0.25f) == GN_K_OK);
    for (size_t i = 0; i < n; i++) {
        double pull = 0.25 * (double)d[i] * ((double)old[i] - (double)c[i]);
        CHECK(fabs((double)b[i] - ((double)old[i] - 0.5 * ((double)a[i] + pull))) <= 2e-6 * (1 + fabs(pull)) + 1e-6 * fabs((double)old[i]));
    }
    memcpy(old, b, n * 4);
    CHECK(gn_eprop_apply(b, a, n, 0.5f) == GN_K_OK); /* a is the gradient: used and cleared */
    for (size_t i = 0; i < n; i++)
        CHECK(a[i] == 0);
    guarded_free(&ga);
    guarded_free(&gb);
    guarded_free(&gc);
    guarded_free(&gd);
    free(old);
}

static void associations(size_t m, size_t n, gn_pool *pool)
{
    struct guarded gw, gt, gy, go;
    float *w = room(&gw, m * n, 0), *trace = room(&gt, n, 1), *targets = room(&gy, m, 0), *out = room(&go, m, 0);
    uint8_t *plateau = malloc(m + 1);
    float *before = malloc(m * n * 4 + 4);
    for (size_t j = 0; j < m; j++)
        plateau[j] = (uint8_t)(j % 3);
    memcpy(before, w, m * n * 4);
    CHECK(gn_btsp_plateau(w, m, n, trace, targets, plateau, 1, pool) == GN_K_OK);
    CHECK(gn_btsp_recall(w, m, n, trace, out, pool) == GN_K_OK);
    for (size_t j = 0; j < m; j++) {
        double size, now = sum64(w + j * n, trace, n, &size);
        CHECK(fabs((double)out[j] - now) <= 2e-6 * size);
        if (plateau[j] && n)
            CHECK(fabs((double)out[j] - (double)targets[j]) <= 4e-6 * (size + 1));
        else
            CHECK(memcmp(w + j * n, before + j * n, n * 4) == 0);
    }
    guarded_free(&gw);
    guarded_free(&gt);
    guarded_free(&gy);
    guarded_free(&go);
    free(plateau);
    free(before);
}

/* Three steps of e-prop against its formulas in float64. */
static void eprop(size_t m, size_t n, gn_pool *pool)
{
    gn_eprop_rule rule = {.membrane = 0.9f, .filter = 0.8f, .rest = -0.25f, .threshold = 1, .dampening = 0.3f};
    struct guarded gw, ge, gg, gx, gt, gs, gv, gz;
    float *w = room(&gw, m * n, 0), *e = room(&ge, m * n, 0), *g = room(&gg, m * n, 0), *x = room(&gx, n, 0);
    float *trace = room(&gt, n, 0), *signal = room(&gs, m, 0), *v = room(&gv, m, 0), *z = room(&gz, m, 0);
    double *E = calloc(m * n + 1, 8), *G = calloc(m * n + 1, 8), *T = calloc(n + 1, 8), *V = calloc(m + 1, 8);
    memset(e, 0, m * n * 4);
    memset(g, 0, m * n * 4);
    memset(trace, 0, n * 4);
    for (size_t j = 0; j < m; j++)
        V[j] = v[j] = rule.rest;
    memset(z, 0, m * 4);
    for (int step = 0; step < 3; step++) {
        fill_normal(x, n);
        for (size_t i = 0; i < n; i++)
            T[i] = (double)rule.membrane * T[i] + (double)x[i];
        for (size_t j = 0; j < m; j++) {
            double height = (double)rule.threshold - (double)rule.rest, size, near;
            V[j] = (double)rule.rest + (double)rule.membrane * (V[j] - (double)rule.rest) - height * (double)z[j];
            V[j] += sum64(w + j * n, x, n, &size);
            near = fmax(0, 1 - fabs(V[j] - (double)rule.threshold) / height);
            for (size_t i = 0; i < n; i++) {
                if (step)
                    G[j * n + i] += (double)signal[j] * E[j * n + i];
                E[j * n + i] = (double)rule.filter * E[j * n + i] + (double)rule.dampening * near / height * T[i];
            }
        }
        CHECK(gn_eprop_step(&rule, m, n, w, e, g, x, trace, step ? signal : NULL, v, z, pool) == GN_K_OK);
        for (size_t j = 0; j < m; j++) {
            CHECK(fabs((double)v[j] - V[j]) <= 1e-4);
            CHECK(z[j] == (v[j] >= 1 ? 1.0f : 0.0f));
        }
    }
    CHECK(gn_eprop_flush(m, n, e, g, signal, pool) == GN_K_OK);
    for (size_t i = 0; i < m * n; i++) {
        CHECK(fabs((double)e[i] - E[i]) <= 1e-4);
        CHECK(fabs((double)g[i] - (G[i] + (double)signal[i / n] * E[i])) <= 1e-3);
    }
    guarded_free(&gw), guarded_free(&ge), guarded_free(&gg), guarded_free(&gx);
    guarded_free(&gt), guarded_free(&gs), guarded_free(&gv), guarded_free(&gz);
    free(E), free(G), free(T), free(V);
}

/* `skew` floats lie between the end of x, and of what is added to, and a line's. */
static void adapter(size_t n, size_t d_in, size_t d_out, size_t rank, size_t skew, gn_pool *pool)
{
    struct guarded gx, ga, gb, gy, go;
    float *x = room(&gx, n * d_in, skew), *a = room(&ga, rank * d_in, 1), *b = room(&gb, rank * d_out, 0);
    float *base = room(&gy, n * d_out, skew), *out = room(&go, n * d_out, 1), scale = 0.5f;
    CHECK(gn_lora_forward(x, n, d_in, d_out, rank, a, b, scale, base, out, pool) == GN_K_OK);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d_out; j++) {
            double y = base[i * d_out + j], total = fabs(y);
            for (size_t r = 0; r < rank; r++) {
                double size, h = sum64(a + r * d_in, x + i * d_in, d_in, &size);
                y += 0.5 * h * (double)b[r * d_out + j];
                total += 0.5 * size * fabs((double)b[r * d_out + j]);
            }
            CHECK(fabs((double)out[i * d_out + j] - y) <= 2e-6 * total);
        }
    if (d_in == d_out) { /* in place, and no base is x */
        memcpy(base, x, n * d_in * 4);
        CHECK(gn_lora_forward(x, n, d_in, d_out, rank, a, b, scale, NULL, out, pool) == GN_K_OK);
        CHECK(gn_lora_forward(x, n, d_in, d_out, rank, a, b, scale, NULL, base, pool) == GN_K_OK);
        CHECK(gn_lora_apply(&(gn_lora){d_in, d_out, rank, a, b, scale}, x, n, x) == GN_K_OK);
        CHECK(memcmp(x, base, n * d_out * 4) == 0);
        CHECK(memcmp(x, out, n * d_out * 4) == 0);
    }
    guarded_free(&gx), guarded_free(&ga), guarded_free(&gb), guarded_free(&gy), guarded_free(&go);
}

/* The gradient is that of the loss grad . y, by central differences; learning takes exactly that step. */
static void adapter_learns(size_t n, size_t d_in, size_t d_out, size_t rank)
{
    size_t count = rank * (d_in + d_out);
    float *x = malloc(n * d_in * 4), *grad = malloc(n * d_out * 4), *w = malloc(count * 4), *g = calloc(count, 4);
    float *b = w + rank * d_in, *gx = malloc(n * d_in * 4), *moved = malloc(count * 4), *y = malloc(n * d_out * 4);
    float *zero = calloc(n * d_out, 4);
    void *scratch = malloc(gn_lora_scratch(n, rank));
    fill_normal(x, n * d_in), fill_normal(grad, n * d_out), fill_normal(w, count);
    CHECK(gn_lora_gradient(x, grad, n, d_in, d_out, rank, w, b, 0.5f, g, g + rank * d_in, 0, gx, scratch) == GN_K_OK);
    for (size_t p = 0; p < count; p++) {
        double loss[2], size;
        float was = w[p];
        for (int side = 0; side < 2; side++) { /* bilinear: a step of 1 has no error of its own */
            w[p] = was + (side ? 1.0f : -1.0f);
            CHECK(gn_lora_forward(x, n, d_in, d_out, rank, w, b, 0.5f, zero, y, NULL) == GN_K_OK);
            loss[side] = sum64(y, grad, n * d_out, &size);
        }
        w[p] = was;
        CHECK(fabs((loss[1] - loss[0]) / 2 - (double)g[p]) <= 1e-4 * (1 + fabs((double)g[p])));
    }
    memcpy(moved, w, count * 4);
    CHECK(gn_lora_learn(x, grad, n, d_in, d_out, rank, moved, moved + rank * d_in, 0.5f, 0.25f, scratch) == GN_K_OK);
    for (size_t p = 0; p < count; p++)
        CHECK(fabs((double)moved[p] - ((double)w[p] - 0.25 * (double)g[p])) <= 1e-5 * (1 + fabs((double)g[p])));
    free(x), free(grad), free(w), free(g), free(gx), free(moved), free(y), free(zero), free(scratch);
}

static void patterns(size_t capacity, size_t dim, size_t k, gn_pool *pool)
{
    gn_patterns bank = {.capacity = capacity, .dim = dim};
    float *v = malloc(dim * 4), *cosine = malloc(k * 4);
    uint32_t *place = malloc(k * 4);
    void *scratch = malloc(gn_patterns_scratch(capacity, dim));
    size_t at;
    bank.vectors = malloc(capacity * dim * 4), bank.quality = malloc(capacity * 4);
    bank.uses = malloc(capacity * 4), bank.born = malloc(capacity * 8);
    for (size_t i = 0; i < capacity; i++) {
        fill_normal(v, dim);
        CHECK(gn_patterns_add(&bank, v, 1, &at) == GN_K_OK && at == i);
    }
    if (capacity > 3) {
        bank.vectors[0] = NAN; /* as if another process had written there */
        memcpy(bank.vectors + 3 * dim, bank.vectors + 2 * dim, dim * 4);
    }
    CHECK(gn_patterns_search(&bank, bank.vectors + (capacity - 1) * dim, k, place, cosine, scratch, pool) == GN_K_OK);
    CHECK(place[0] == capacity - 1 && fabsf(cosine[0] - 1) <= 1e-6f);
    for (size_t i = 1; i < k; i++) {
        CHECK(place[i] < capacity && (isnan(cosine[i]) || cosine[i] <= cosine[i - 1]));
        CHECK(cosine[i] != cosine[i - 1] || place[i] > place[i - 1]);
        CHECK(!isnan(cosine[i]) || (i == k - 1 && place[i] == 0));
    }
    free(v), free(cosine), free(place), free(scratch);
    free(bank.vectors), free(bank.quality), free(bank.uses), free(bank.born);
}

static void eviction(void)
{
    float vectors[3 * 2], quality[3], v[2] = {1, 0}, bad[2] = {NAN, 1}, zero[2] = {0, 0}, cosine[3];
    uint32_t uses[3], place[3];
    uint64_t born[3];
    float scratch[8];
    size_t at;
    gn_patterns bank = {3, 2, 0, 0, vectors, quality, uses, born};
    for (size_t i = 0; i < 3; i++)
        CHECK(gn_patterns_add(&bank, v, 1, &at) == GN_K_OK && at == i);
    CHECK(gn_patterns_use(&bank, 0, 1, 0.5f) == GN_K_OK && uses[0] == 1 && quality[0] == 1);
    CHECK(gn_patterns_use(&bank, 1, 0, 0.5f) == GN_K_OK && quality[1] == 0.5f);
    CHECK(gn_patterns_add(&bank, v, 1, &at) == GN_K_OK && at == 1); /* 0.5 (1 + ln 2) is less than 1 */
    CHECK(gn_patterns_add(&bank, v, 1, &at) == GN_K_OK && at == 2); /* of equals the oldest; a use keeps 0 */
    quality[0] = NAN;
    CHECK(gn_patterns_add(&bank, v, 1, &at) == GN_K_OK && at == 0 && bank.count == 3);
    CHECK(gn_patterns_add(&bank, bad, 1, NULL) == GN_K_VALUE && gn_patterns_add(&bank, zero, 1, NULL) == GN_K_VALUE);
    CHECK(gn_patterns_add(&bank, v, NAN, NULL) == GN_K_VALUE && gn_patterns_add(&bank, v, -1, NULL) == GN_K_VALUE);
    CHECK(gn_patterns_use(&bank, 3, 1, 1) == GN_K_VALUE && gn_patterns_use(&bank, 0, NAN, 1) == GN_K_VALUE);
    CHECK(gn_patterns_search(&bank, bad, 1, place, cosine, scratch, NULL) == GN_K_VALUE);
    CHECK(gn_patterns_search(&bank, zero, 1, place, cosine, scratch, NULL) == GN_K_VALUE);
    CHECK(gn_patterns_search(&bank, v, 4, place, cosine, scratch, NULL) == GN_K_SIZE);
    v[0] = 3e38f, v[1] = 3e38f;
    CHECK(gn_patterns_search(&bank, v, 3, place, cosine, scratch, NULL) == GN_K_OK && fabsf(cosine[0] - 0.70710678f) < 1e-6f);
    v[0] = 1e-42f, v[1] = 0;
    CHECK(gn_patterns_search(&bank, v, 3, place, cosine, scratch, NULL) == GN_K_OK && cosine[2] == 1 && place[2] == 2);
}

static void refusals(void)
{
    float f[64] = {0}, g[64] = {0};
    double d;
    gn_eprop_rule rule = {0.9f, 0.9f, 0, 1, 0.3f}, flat = {0.9f, 0.9f, 1, 1, 0.3f};
    CHECK(gn_btsp_step(f, g, 4, 1.5f) == GN_K_VALUE && gn_btsp_step(f, g, 4, NAN) == GN_K_VALUE);
    CHECK(gn_btsp_step(f, f + 1, 4, 1) == GN_K_OVERLAP && gn_btsp_step(NULL, f, 4, 1) == GN_K_NULL);
    CHECK(gn_btsp_plateau(f, 2, SIZE_MAX / 2, g, g, NULL, 1, NULL) == GN_K_SIZE);
    CHECK(gn_btsp_plateau(f, 2, 2, g, g + 8, NULL, 2, NULL) == GN_K_VALUE);
    CHECK(gn_btsp_recall(f, 2, 2, g, f + 1, NULL) == GN_K_OVERLAP && gn_btsp_recall(f, 2, 2, NULL, g, NULL) == GN_K_NULL);
    CHECK(gn_eprop_step(&flat, 1, 1, f, f + 1, f + 2, f + 3, f + 4, NULL, f + 5, f + 6, NULL) == GN_K_VALUE);
    CHECK(gn_eprop_step(&rule, 1, 1, f, f, f + 2, f + 3, f + 4, NULL, f + 5, f + 6, NULL) == GN_K_OVERLAP);
    CHECK(gn_eprop_step(NULL, 1, 1, f, f + 1, f + 2, f + 3, f + 4, NULL, f + 5, f + 6, NULL) == GN_K_NULL);
    CHECK(gn_lora_forward(f, 1, 4, 5, 1, f + 8, f + 16, 1, NULL, g, NULL) == GN_K_SIZE);
    CHECK(gn_lora_forward(f, 1, 4, 4, 0, f + 8, f + 16, 1, NULL, g, NULL) == GN_K_SIZE);
    CHECK(gn_lora_forward(f, SIZE_MAX / 4, 4, 4, 1, f + 8, f + 16, 1, NULL, g, NULL) == GN_K_SIZE);
    CHECK(gn_lora_forward(f, 1, 4, 4, 1, f + 8, f + 16, 1, NULL, f + 2, NULL) == GN_K_OVERLAP);
    CHECK(gn_lora_learn(f, g, 1, 4, 4, 1, f + 8, f + 16, 1, 1, NULL) == GN_K_NULL);
    CHECK(gn_lora_scratch(SIZE_MAX / 4, 2) == SIZE_MAX && gn_patterns_scratch(SIZE_MAX / 4, 2) == SIZE_MAX);
    CHECK(gn_ewc_penalty(f, g, NULL, 4, 1, &d) == GN_K_NULL && gn_ewc_fisher(f, g, 4, -1) == GN_K_VALUE);
    CHECK(gn_ewc_penalty(NULL, NULL, NULL, 0, 1, &d) == GN_K_OK && d == 0);
    CHECK(gn_ewc_step(f, NULL, f, g, 4, 1, 1) == GN_K_OVERLAP);
}

static void all(void)
{
    gn_pool *pool = gn_pool_open(3);
    for (size_t n = 0; n < 258; n = next_size(n)) {
        loops(n, n % 3);
        associations(n % 5, n, NULL);
        adapter(n % 6, n, n, 1 + n % 3, 0, NULL);
    }
    associations(40, 33, pool);
    for (size_t n = 0; n < 40; n += 3)
        eprop(n % 7, n, NULL);
    eprop(20, 67, pool);
    adapter(37, 300, 17, 5, 0, pool);
    adapter(2, 9, 300, GN_LORA_RANK_MAX, 0, NULL);
    for (size_t skew = 0; skew < 16; skew++) { /* eight rows, four and one; rows on lines and off them */
        adapter(13, 48, 48, 1 + skew % 5, skew, NULL);
        adapter(13, 64, 32, 1 + skew % 3, skew, skew % 2 ? pool : NULL);
    }
    adapter_learns(3, 19, 7, 2);
    adapter_learns(1, 5, 37, 3);
    patterns(1, 3, 1, NULL);
    patterns(700, 33, 9, pool);
    patterns(20, 5, 20, NULL);
    gn_pool_close(pool);
}

int main(void)
{
    gn_isa_force(GN_ISA_SERIAL);
    all();
    FOR_LEVELS(level) { all(); }
    gn_isa_force(gn_isa_best());
    eviction();
    refusals();
    printf("test_kernels_adaptation: ok\n");
    return 0;
}
