/* Selective scan, causal convolution and the Mamba block: levels against serial and float64, steps against the whole. */
#include "kernel_check.h"

static struct guarded normals(size_t n, double by, double shift, size_t skew)
{
    struct guarded it = guarded_new(n * sizeof(float), skew);
    for (size_t i = 0; i < n; i++) {
        float x = (float)(by * random_normal() + shift);
        memcpy(it.data + 4 * i, &x, 4);
    }
    return it;
}

static float *at(const struct guarded *it) { return (float *)(void *)it->data; }

enum { X, DELTA, A, B, C, SKIP, GATE, BIAS, STATE, BEGUN, OUT, ARRAYS };

struct problem {
    size_t batch, length, channels, states, sizes[ARRAYS];
    int softplus, options; /* options: skip, gate, bias and state given */
    struct guarded of[ARRAYS];
    void *scratch;
};

static struct problem problem_new(size_t batch, size_t length, size_t channels, size_t states, int softplus, int options)
{
    struct problem p = {.batch = batch, .length = length, .channels = channels, .states = states};
    size_t wide = batch * length * channels, narrow = batch * length * states, kept = batch * states * channels;
    size_t sizes[ARRAYS] = {wide, wide, channels * states, narrow, narrow, channels, wide, channels, kept, kept, wide};
    size_t skew = 4 * (random_u64() % 4);
    p.softplus = softplus, p.options = options;
    for (int i = 0; i < ARRAYS; i++) {
        p.sizes[i] = sizes[i];
        p.of[i] = normals(sizes[i], 1, 0, skew);
    }
    for (size_t i = 0; !softplus && i < wide; i++)
        at(&p.of[DELTA])[i] = fabsf(at(&p.of[DELTA])[i]);
    for (size_t i = 0; !softplus && i < channels; i++)
        at(&p.of[BIAS])[i] = fabsf(at(&p.of[BIAS])[i]);
    p.scratch = aligned_alloc(64, (gn_scan_scratch(channels, states) + 127) / 64 * 64);
    return p;
}

static void problem_free(struct problem *p)
{
    for (int i = 0; i < ARRAYS; i++)
        guarded_free(&p->of[i]);
    free(p->scratch);
}

/* Tokens [from, to) of the only batch entry, or all of all. The state goes on from where it is. */
static void run_tokens(struct problem *p, size_t from, size_t length, gn_pool *pool)
{
    struct guarded *g = p->of;
    size_t wide = from * p->channels, narrow = from * p->states;
    CHECK(gn_selective_scan(at(&g[X]) + wide, at(&g[DELTA]) + wide, at(&g[A]), at(&g[B]) + narrow, at(&g[C]) + narrow,
                            p->options ? at(&g[SKIP]) : NULL, p->options ? at(&g[GATE]) + wide : NULL,
                            p->options ? at(&g[BIAS]) : NULL, p->softplus, p->batch, length, p->channels, p->states,
                            p->options ? at(&g[STATE]) : NULL, at(&g[OUT]) + wide, p->scratch, pool) == GN_K_OK);
}

static void run(struct problem *p, gn_pool *pool)
{
    memcpy(p->of[STATE].data, p->of[BEGUN].data, 4 * p->sizes[STATE]);
    run_tokens(p, 0, p->length, pool);
}

static double softplus_of(double x) { return x > 30 ? x : log1p(exp(x)); }
static double silu_of(double x) { return x / (1 + exp(-x)); }

/* The recurrence in float64 against what is in out and state. */
static void against_reference(struct problem *p)
{
    struct guarded *g = p->of;
    double *h = calloc(p->states + 1, sizeof *h);
    for (size_t i = 0; i < p->batch; i++)
        for (size_t c = 0; c < p->channels; c++) {
            for (size_t n = 0; n < p->states; n++)
                h[n] = p->options ? at(&g[BEGUN])[(i * p->states + n) * p->channels + c] : 0;
            for (size_t t = 0; t < p->length; t++) {
                size_t row = (i * p->length + t) * p->channels + c, narrow = (i * p->length + t) * p->states;
                double dt = at(&g[DELTA])[row] + (p->options ? (double)at(&g[BIAS])[c] : 0), y = 0, size = 1;
                dt = p->softplus ? softplus_of(dt) : dt;
                for (size_t n = 0; n < p->states; n++) {
                    h[n] = exp(-dt * exp(at(&g[A])[c * p->states + n])) * h[n] +
                           dt * at(&g[B])[narrow + n] * at(&g[X])[row];
                    y += at(&g[C])[narrow + n] * h[n];
                    size += fabs(at(&g[C])[narrow + n] * h[n]);
                }
                if (p->options)
                    y = (y + at(&g[SKIP])[c] * at(&g[X])[row]) * silu_of(at(&g[GATE])[row]);
                CHECK(fabs(y - at(&g[OUT])[row]) < 2e-6 * size * 4);
            }
            for (size_t n = 0; p->options && n < p->states; n++)
                CHECK(fabs(h[n] - at(&g[STATE])[(i * p->states + n) * p->channels + c]) < 1e-5 * (1 + fabs(h[n])));
        }
    free(h);
}

static void compare(size_t batch, size_t length, size_t channels, size_t states, int softplus, int options)
{
    struct problem p = problem_new(batch, length, channels, states, softplus, options);
    float *want = malloc(4 * p.sizes[OUT] + 1), *kept = malloc(4 * p.sizes[STATE] + 1);
    gn_isa_force(GN_ISA_SERIAL);
    run(&p, NULL);
    against_reference(&p);
    memcpy(want, p.of[OUT].data, 4 * p.sizes[OUT]);
    memcpy(kept, p.of[STATE].data, 4 * p.sizes[STATE]);
    FOR_LEVELS(level)
    {
        run(&p, NULL);
        for (size_t i = 0; i < p.sizes[OUT]; i++)
            CHECK(fabsf(want[i] - at(&p.of[OUT])[i]) < 1e-5f * (4 + fabsf(want[i])));
        CHECK(largest_gap(kept, at(&p.of[STATE]), p.sizes[STATE]) < 1e-4);
    }
    gn_isa_force(gn_isa_best());
    free(want);
    free(kept);
    problem_free(&p);
}

static void sizes(void)
{
    static const size_t some[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 257};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        compare(1, 4, some[i], 5, 1, (int)(i & 1));
        compare(2, 3, 6, some[i], 1, (int)(i & 1));
        compare(1, some[i], 3, 2, 0, (int)(i & 1));
        compare(some[i] % 20, 2, 5, 3, 0, 1);
    }
    compare(2, 40, 50, 16, 1, 1);
}

/* A sequence in pieces and on threads: bit for bit the same, state and all. */
static void pieces_and_threads(void)
{
    gn_pool *pool = gn_pool_open(3);
    for (int level = 0; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        struct problem p = problem_new(1, 60, 70, 9, 1, 1), many = problem_new(3, 10, 70, 9, 1, 1);
        float *want = malloc(4 * p.sizes[OUT]), *kept = malloc(4 * p.sizes[STATE]);
        run(&p, NULL);
        memcpy(want, p.of[OUT].data, 4 * p.sizes[OUT]);
        memcpy(kept, p.of[STATE].data, 4 * p.sizes[STATE]);
        for (size_t piece = 1; piece < 60; piece += 22) {
            memcpy(p.of[STATE].data, p.of[BEGUN].data, 4 * p.sizes[STATE]);
            for (size_t t = 0; t < 60; t += piece)
                run_tokens(&p, t, 60 - t < piece ? 60 - t : piece, NULL);
            CHECK(memcmp(want, p.of[OUT].data, 4 * p.sizes[OUT]) == 0);
            CHECK(memcmp(kept, p.of[STATE].data, 4 * p.sizes[STATE]) == 0);
        }
        free(want);
        want = malloc(4 * many.sizes[OUT]);
        run(&many, NULL);
        memcpy(want, many.of[OUT].data, 4 * many.sizes[OUT]);
        run(&many, pool);
        CHECK(memcmp(want, many.of[OUT].data, 4 * many.sizes[OUT]) == 0);
        free(want);
        free(kept);
        problem_free(&p);
        problem_free(&many);
    }
    gn_isa_force(gn_isa_best());
    gn_pool_close(pool);
}

/* A is negative whatever a_log is: 3000 tokens of bounded input leave a bounded state; extreme a_log gives no NaN. */
static void stays_bounded(void)
{
    static const float a_log[] = {-INFINITY, -100, -3, 0, 3, 100, INFINITY, 0};
    for (int level = 0; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        struct problem p = problem_new(1, 3000, 2, 4, 1, 1);
        memcpy(p.of[A].data, a_log, sizeof a_log);
        memset(p.of[BEGUN].data, 0, 4 * p.sizes[BEGUN]);
        for (size_t i = 0; i < p.sizes[BIAS]; i++)
            at(&p.of[BIAS])[i] = 2; /* dt = ln(1 + e) = 1.32 at most */
        for (size_t i = 0; i < p.sizes[X]; i++)
            at(&p.of[X])[i] = 1, at(&p.of[DELTA])[i] = i % 7 ? -1 : -200; /* dt is 0 at times */
        for (size_t i = 0; i < p.sizes[B]; i++)
            at(&p.of[B])[i] = 1;
        run(&p, NULL);
        for (size_t i = 0; i < p.sizes[STATE]; i++) /* without decay the sum of dt: 3000 steps of at most 1.32 */
            CHECK(fabsf(at(&p.of[STATE])[i]) <= 4800);
        for (size_t c = 0; c < 2; c++)
            for (size_t n = 0; n < 4; n++)
                if (a_log[c * 4 + n] >= -3)
                    CHECK(fabsf(at(&p.of[STATE])[n * 2 + c]) <= 21);
        problem_free(&p);
    }
    gn_isa_force(gn_isa_best());
}

/* What is not a number stays in its own channel. */
static void wild_values(void)
{
    static const float wild[] = {NAN, INFINITY, -INFINITY, 3e38f, 1e-42f};
    for (int level = 0; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        for (size_t i = 0; i < 2 * sizeof wild / sizeof *wild; i++) {
            struct problem p = problem_new(1, 9, 20, 3, 1, 1);
            at(&p.of[i % 2 ? X : DELTA])[4 * 20 + 6] = wild[i / 2];
            run(&p, NULL);
            for (size_t j = 0; j < p.sizes[OUT]; j++)
                if (j % 20 != 6 || j / 20 < 4)
                    CHECK(isfinite(at(&p.of[OUT])[j]));
            if (i / 2 == 0)
                CHECK(isnan(at(&p.of[OUT])[8 * 20 + 6]));
            problem_free(&p);
        }
    }
    gn_isa_force(gn_isa_best());
}

static void convolution(size_t batch, size_t length, size_t channels, size_t width)
{
    size_t wide = batch * length * channels, kept = batch * (width - 1) * channels, each = (width - 1) * channels;
    struct guarded x = normals(wide, 1, 0, 0), w = normals(width * channels, 1, 0, 0), bias = normals(channels, 1, 0, 0);
    struct guarded out = normals(wide, 0, 0, 0), state = normals(kept, 0, 0, 0), begun = normals(kept, 1, 0, 0);
    for (int level = 0; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        memcpy(state.data, begun.data, 4 * kept);
        CHECK(gn_causal_conv(at(&x), at(&w), at(&bias), 1, batch, length, channels, width, at(&state), at(&out), NULL) ==
              GN_K_OK);
        for (size_t i = 0; i < wide; i++) {
            size_t c = i % channels, t = i / channels % length, entry = i / channels / length;
            double sum = at(&bias)[c];
            for (size_t k = 0; k < width; k++) {
                const float *from = t + k >= width - 1 ? at(&x) + (entry * length + t + k - (width - 1)) * channels
                                                       : at(&begun) + entry * each + (t + k) * channels;
                sum += (double)at(&w)[k * channels + c] * from[c];
            }
            CHECK(fabs(silu_of(sum) - at(&out)[i]) < 1e-5);
        }
        for (size_t i = 0; i < kept; i++) {
            size_t entry = i / each, row = i % each / channels, c = i % channels;
            float want = length + row >= width - 1
                             ? at(&x)[(entry * length + length + row - (width - 1)) * channels + c]
                             : at(&begun)[entry * each + (length + row) * channels + c];
            CHECK(at(&state)[i] == (length ? want : at(&begun)[i]));
        }
    }
    gn_isa_force(gn_isa_best());
    struct guarded *all[] = {&x, &w, &bias, &out, &state, &begun};
    for (size_t i = 0; i < 6; i++)
        guarded_free(all[i]);
}

static void convolutions(void)
{
    for (size_t length = 0; length < 7; length++)
        for (size_t width = 1; width < 6; width++)
            convolution(1 + length % 2, length, 1 + 13 * width, width);
    for (size_t channels = 1; channels < 70; channels += 4)
        convolution(1, 5, channels, 4);
}

enum { DIM = 12, INNER = 20, STATES = 5, RANK = 3, WIDTH = 4, LENGTH = 50 };

struct weights {
    float in[2 * INNER * DIM], conv[WIDTH * INNER], conv_bias[INNER], select[(RANK + 2 * STATES) * INNER];
    float delta[INNER * RANK], delta_bias[INNER], a_log[INNER * STATES], skip[INNER], out[DIM * INNER];
};

static struct gn_mamba block_of(struct weights *w)
{
    float *all = (float *)(void *)w;
    for (size_t i = 0; i < sizeof *w / 4; i++)
        all[i] = 0.4f * random_normal();
    return (struct gn_mamba){DIM,      INNER,         STATES,   RANK,    WIDTH,  w->in, w->conv, w->conv_bias,
                             w->select, w->delta, w->delta_bias, w->a_log, w->skip, w->out};
}

/* Forward over a sequence and step by step: the same rows and the same state, convolution included. */
static void steps_agree(void)
{
    static struct weights w;
    struct gn_mamba block = block_of(&w);
    float x[2 * LENGTH * DIM], out[2 * LENGTH * DIM], stepped[2 * LENGTH * DIM];
    size_t each = gn_mamba_state(&block), room = gn_mamba_scratch(&block, 2, LENGTH, 2);
    float *state = calloc(2 * each, 4), *other = calloc(2 * each, 4);
    void *scratch = aligned_alloc(64, (room + 127) / 64 * 64);
    gn_pool *pool = gn_pool_open(2);
    CHECK(each == (WIDTH - 1 + STATES) * INNER);
    fill_normal(x, 2 * LENGTH * DIM);
    for (int level = 0; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        memset(state, 0, 8 * each);
        memset(other, 0, 8 * each);
        CHECK(gn_mamba_forward(&block, x, 2, LENGTH, state, out, scratch, pool) == GN_K_OK);
        for (size_t entry = 0; entry < 2; entry++)
            for (size_t t = 0; t < LENGTH; t++) {
                size_t row = (entry * LENGTH + t) * DIM;
                CHECK(gn_mamba_forward(&block, x + row, 1, 1, other + entry * each, stepped + row, scratch, NULL) == 0);
            }
        CHECK(largest_gap(out, stepped, 2 * LENGTH * DIM) < 1e-5);
        CHECK(largest_gap(state, other, 2 * each) < 1e-5);
        CHECK(gn_mamba_forward(&block, x, 2, LENGTH, NULL, stepped, scratch, NULL) == GN_K_OK);
        CHECK(memcmp(out, stepped, sizeof out) == 0);
    }
    gn_isa_force(gn_isa_best());
    CHECK(gn_mamba_forward(&block, x, 2, LENGTH, NULL, x, scratch, NULL) == GN_K_OVERLAP);
    CHECK(gn_mamba_forward(&block, NULL, 2, LENGTH, NULL, out, scratch, NULL) == GN_K_NULL);
    CHECK(gn_mamba_forward(NULL, x, 2, LENGTH, NULL, out, scratch, NULL) == GN_K_NULL);
    CHECK(gn_mamba_forward(&block, NULL, 0, LENGTH, NULL, NULL, NULL, NULL) == GN_K_OK);
    CHECK(gn_mamba_scratch(&block, SIZE_MAX / 2, LENGTH, 1) == SIZE_MAX);
    block.rank = 0;
    CHECK(gn_mamba_forward(&block, x, 2, LENGTH, NULL, out, scratch, NULL) == GN_K_SIZE);
    block.rank = SIZE_MAX / 2;
    CHECK(gn_mamba_forward(&block, x, 2, LENGTH, NULL, out, scratch, NULL) == GN_K_SIZE);
    gn_pool_close(pool);
    free(state);
    free(other);
    free(scratch);
}

static void bad_input(void)
{
    struct problem p = problem_new(1, 4, 3, 2, 1, 1);
    float *x = at(&p.of[X]), *d = at(&p.of[DELTA]), *a = at(&p.of[A]), *b = at(&p.of[B]), *c = at(&p.of[C]);
    float *o = at(&p.of[OUT]), *s = at(&p.of[STATE]);
    void *z = p.scratch;
    CHECK(gn_selective_scan(NULL, d, a, b, c, 0, 0, 0, 1, 1, 4, 3, 2, s, o, z, NULL) == GN_K_NULL);
    CHECK(gn_selective_scan(x, d, NULL, b, c, 0, 0, 0, 1, 1, 4, 3, 2, s, o, z, NULL) == GN_K_NULL);
    CHECK(gn_selective_scan(x, d, a, b, c, 0, 0, 0, 1, 1, 4, 3, 2, s, o, NULL, NULL) == GN_K_NULL);
    CHECK(gn_selective_scan(x, d, a, b, c, 0, 0, 0, 1, SIZE_MAX, 4, 3, 2, s, o, z, NULL) == GN_K_SIZE);
    CHECK(gn_selective_scan(x, d, a, b, c, 0, 0, 0, 1, 1, 4, 3, SIZE_MAX / 4, s, o, z, NULL) == GN_K_SIZE);
    CHECK(gn_selective_scan(x, d, a, b, c, 0, 0, 0, 1, 1, 4, 3, 2, s, x, z, NULL) == GN_K_OVERLAP);
    CHECK(gn_selective_scan(x, d, a, b, c, 0, 0, 0, 1, 1, 4, 3, 2, o, o, z, NULL) == GN_K_OVERLAP);
    CHECK(gn_selective_scan(x, d, a, b, c, o + 2, 0, 0, 1, 1, 4, 3, 2, s, o, z, NULL) == GN_K_OVERLAP);
    CHECK(gn_selective_scan(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 3, 2, s, 0, z, NULL) == GN_K_OK);
    CHECK(gn_scan_scratch(SIZE_MAX / 2, 3) == SIZE_MAX);
    CHECK(gn_causal_conv(x, d, 0, 0, 1, 4, 3, 0, s, o, NULL) == GN_K_SIZE);
    CHECK(gn_causal_conv(x, NULL, 0, 0, 1, 4, 3, 2, NULL, o, NULL) == GN_K_NULL);
    CHECK(gn_causal_conv(x, d, 0, 0, 1, 4, 3, 2, NULL, x, NULL) == GN_K_OVERLAP);
    CHECK(gn_causal_conv(x, d, 0, 0, 1, 4, 3, SIZE_MAX, NULL, o, NULL) == GN_K_SIZE);
    problem_free(&p);
}

int main(void)
{
    sizes();
    pieces_and_threads();
    stays_bounded();
    wild_values();
    convolutions();
    steps_agree();
    bad_input();
    printf("test_kernels_scan: ok\n");
    return 0;
}
