/* Float32 attention: every level against float64, at sizes round the edges of tiles, panels and pieces. */
#include "attention_check.h"

static void all_levels(struct trial *t)
{
    trial_reference(t);
    CHECK(gn_isa_force(GN_ISA_SERIAL) == GN_K_OK);
    trial_check(t, NULL);
    FOR_LEVELS(level)
        trial_check(t, NULL);
    gn_isa_force(gn_isa_best());
}

/* Features take turns, so that every pair of them meets over the sizes. */
static void one(size_t turn, size_t queries, size_t keys)
{
    static const size_t dims[] = {64, 1, 3, 16, 17, 8, 33, 5}, widths[] = {64, 3, 16, 1, 40, 15, 7};
    static struct trial t;
    memset(&t, 0, sizeof t);
    t.shape = (struct gn_sdpa){.batch = 1 + (turn % 11 == 3), .heads = 1, .kv_heads = 1, .queries = queries,
                               .keys = keys, .dim = dims[turn % 8], .value_dim = widths[turn % 7],
                               .causal = turn % 3 == 1};
    if (turn % 5 == 2) {
        t.shape.heads = 4;
        t.shape.kv_heads = turn % 2 ? 2 : 1;
    }
    t.shape.scale = turn % 13 == 5 ? -0.7f : 1.0f / sqrtf((float)t.shape.dim);
    t.kind = turn % 7 == 3 ? LOCAL : turn % 7 == 5 ? BLOCKS : WHOLE;
    t.masked = turn % 4 == 1;
    t.biased = turn % 6 == 3;
    t.window = turn % 9 * 5;
    t.globals = turn % 10 * 3;
    t.block = 5 + turn % 17;
    trial_open(&t, turn % 2 * 3, turn % 5 * 4);
    all_levels(&t);
    trial_close(&t);
}

static void sizes(void)
{
    size_t turn = 0;
    for (size_t n = 0; n <= 257; n += n == 67 ? 60 : n == 129 ? 126 : 1) {
        size_t times = n <= 67 ? 3 : 2;
        for (size_t i = 0; i < times; i++, turn++)
            one(turn, n, n);
        for (size_t few = 1; few <= 9; few++, turn++)
            one(turn, few, n);
        one(turn++, n, 33);
        one(turn++, n, 0);
        one(turn++, 20, n);
    }
    one(2, 400, 300); /* past one block of rows, one piece of keys */
    one(7, 3, 2050);
    one(14, 210, 140);
}

static void threads(void)
{
    gn_pool *pool = gn_pool_open(3);
    static struct trial t;
    for (int turn = 0; turn < 6; turn++) {
        size_t count;
        float *alone;
        memset(&t, 0, sizeof t);
        t.shape = (struct gn_sdpa){.batch = 1, .heads = 1, .kv_heads = 1, .queries = 203 + 66 * (size_t)turn % 5,
                                   .keys = 290, .dim = 24, .value_dim = 20, .causal = turn % 2, .scale = 0.3f};
        t.kind = turn % 3 == 0 ? WHOLE : turn % 3 == 1 ? LOCAL : BLOCKS;
        t.window = 33;
        t.globals = 7;
        t.block = 70;
        trial_open(&t, 0, 0);
        count = t.shape.queries * t.shape.value_dim;
        alone = malloc(count * sizeof *alone);
        CHECK(trial_call(&t, NULL) == GN_K_OK);
        memcpy(alone, t.out, count * sizeof *alone);
        memset(t.out, 0xff, count * sizeof *alone);
        CHECK(trial_call(&t, pool) == GN_K_OK);
        CHECK(memcmp(alone, t.out, count * sizeof *alone) == 0);
        free(alone);
        trial_close(&t);
    }
    gn_pool_close(pool);
}

static void statuses(void)
{
    struct gn_sdpa s = {.batch = 1, .heads = 4, .kv_heads = 2, .queries = 2, .keys = 3, .dim = 4, .value_dim = 4,
                        .scale = 0.5f};
    static float q[32], k[32], v[32], out[64];
    static _Alignas(64) char scratch[1 << 18];
    uint32_t starts[] = {0, 2, 2, 0}, columns[] = {0, 1, 0};
    gn_sdpa_dense(&s);
    CHECK(gn_sdpa_scratch(&s, 1) <= sizeof scratch && gn_sdpa_scratch(&s, 0) == SIZE_MAX);
    CHECK(gn_sdpa(&s, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_OK);
    CHECK(gn_sdpa(NULL, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_NULL);
    CHECK(gn_sdpa(&s, NULL, k, v, NULL, NULL, out, scratch, NULL) == GN_K_NULL);
    CHECK(gn_sdpa(&s, q, NULL, v, NULL, NULL, out, scratch, NULL) == GN_K_NULL);
    CHECK(gn_sdpa(&s, q, k, NULL, NULL, NULL, out, scratch, NULL) == GN_K_NULL);
    CHECK(gn_sdpa(&s, q, k, v, NULL, NULL, NULL, scratch, NULL) == GN_K_NULL);
    CHECK(gn_sdpa(&s, q, k, v, NULL, NULL, out, NULL, NULL) == GN_K_NULL);
    CHECK(gn_sdpa(&s, q, k, v, NULL, NULL, q + 31, scratch, NULL) == GN_K_OVERLAP);
    CHECK(gn_sdpa(&s, q, k, v, NULL, v, v - 31, scratch, NULL) == GN_K_OVERLAP);
    s.scale = INFINITY;
    CHECK(gn_sdpa(&s, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_VALUE);
    s.scale = 0.5f;
    s.kv_heads = 3;
    CHECK(gn_sdpa(&s, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_SIZE);
    s.kv_heads = 0;
    CHECK(gn_sdpa(&s, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_SIZE);
    s.kv_heads = 2;
    s.out_strides[1] = 3; /* heads of out would share elements */
    CHECK(gn_sdpa(&s, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_SIZE);
    gn_sdpa_dense(&s);
    s.k_strides[1] = SIZE_MAX / 2;
    CHECK(gn_sdpa(&s, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_SIZE);
    gn_sdpa_dense(&s);
    CHECK(gn_sdpa_blocks(&s, 0, starts, columns, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_SIZE);
    CHECK(gn_sdpa_blocks(&s, 2, NULL, columns, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_NULL);
    CHECK(gn_sdpa_blocks(&s, 2, starts, NULL, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_NULL);
    CHECK(gn_sdpa_blocks(&s, 2, starts, columns, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_OK);
    CHECK(gn_sdpa_blocks(&s, SIZE_MAX, starts, columns, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_VALUE);
    CHECK(gn_sdpa_blocks(&s, 2, starts, columns + 1, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_VALUE);
    CHECK(gn_sdpa_blocks(&s, 1, starts + 1, columns, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_VALUE);
    starts[1] = 1;
    CHECK(gn_sdpa_blocks(&s, SIZE_MAX, starts, columns, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_OK);
    columns[0] = 2;
    CHECK(gn_sdpa_blocks(&s, 2, starts, columns, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_VALUE);
    s.dim = SIZE_MAX / 64;
    CHECK(gn_sdpa_scratch(&s, 1) == SIZE_MAX);
    int status = gn_sdpa(&s, q, k, v, NULL, NULL, out, scratch, NULL);
    CHECK(status == GN_K_SIZE || status == GN_K_OVERLAP); /* so long a q reaches out if it lies before it */
    s.queries = 0;
    CHECK(gn_sdpa(&s, q, k, v, NULL, NULL, out, scratch, NULL) == GN_K_OK);
}

static void layouts(void)
{
    static uint32_t starts[301], columns[300 * 300], again[300 * 300];
    for (size_t n = 0; n <= 300; n += n < 20 ? 1 : 70) {
        for (size_t window = 0; window < 4; window++) {
            size_t globals = window % 3, randoms = 2 + window;
            CHECK(gn_bigbird_layout(n, window, globals, randoms, 9, starts, NULL) == GN_K_OK);
            CHECK(starts[n] <= n * n);
            CHECK(gn_bigbird_layout(n, window, globals, randoms, 9, starts, columns) == GN_K_OK);
            CHECK(gn_bigbird_layout(n, window, globals, randoms, 10, starts, again) == GN_K_OK);
            for (size_t r = 0; r < n; r++) {
                size_t count = starts[r + 1] - starts[r], sure = 0;
                for (size_t c = 0; c < n; c++)
                    sure += r < globals || c < globals || (c <= r + window && r <= c + window);
                CHECK(count == (sure + randoms < n ? sure + randoms : n));
                for (uint32_t i = starts[r]; i < starts[r + 1]; i++) {
                    CHECK(columns[i] < n && (i == starts[r] || columns[i] > columns[i - 1]));
                    sure -= r < globals || columns[i] < globals ||
                            (columns[i] <= r + window && r <= columns[i] + window);
                }
                CHECK(sure == 0);
            }
            CHECK(n < 100 || memcmp(columns, again, starts[n] * sizeof *columns) != 0);
        }
    }
    CHECK(gn_bigbird_layout(65536, 1, 1, 1, 0, starts, NULL) == GN_K_SIZE);
    CHECK(gn_bigbird_layout(3, 1, 1, 1, 0, NULL, NULL) == GN_K_NULL);
    CHECK(gn_bigbird_layout(3, SIZE_MAX, SIZE_MAX, SIZE_MAX, 0, starts, NULL) == GN_K_OK && starts[3] == 9);
}

int main(void)
{
    sizes();
    threads();
    statuses();
    layouts();
    printf("test_kernels_attention: ok\n");
    return 0;
}
