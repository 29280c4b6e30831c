/* Float32 attention with what is special: rows that see nothing, NaN and infinities where they are and are not seen,
 * scores far apart, and the levels beside each other. */
#include "attention_check.h"

static void open_case(struct trial *t, size_t queries, size_t keys, size_t width)
{
    memset(t, 0, sizeof *t);
    t->shape = (struct gn_sdpa){.batch = 1, .heads = 1, .kv_heads = 1, .queries = queries, .keys = keys, .dim = 16,
                                .value_dim = width, .scale = 0.25f};
    t->masked = 1;
    trial_open(t, 0, 0);
}

static const size_t row_counts[] = {1, 4, 5, 8, 16, 19, 33, 40, 200};
enum { ROW_COUNTS = sizeof row_counts / sizeof row_counts[0] };

#define FOR_ALL_LEVELS(level)                                \
    for (int level = 0; level < GN_ISA_COUNT; level++)       \
        if (gn_isa_force(level) == GN_K_OK)

/* What the mask hides may hold anything. */
static void hidden(void)
{
    static struct trial t;
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    for (size_t n = 0; n < ROW_COUNTS; n++) {
        size_t keys = 150, rows = row_counts[n];
        open_case(&t, rows, keys, 21);
        trial_reference(&t);
        FOR_ALL_LEVELS(level)
            trial_check(&t, NULL);
        for (size_t j = 7; j < keys; j += 50) { /* keys 7, 57, 107: nobody sees them any more */
            for (size_t i = 0; i < rows; i++)
                t.mask[i * keys + j] = 0;
        }
        memset(t.want, 0, rows * 21 * sizeof *t.want);
        memset(t.bound, 0, rows * 21 * sizeof *t.bound);
        trial_reference(&t);
        for (size_t j = 7; j < keys; j += 50) {
            for (size_t d = 0; d < 16; d++)
                t.k[j * 16 + d] = odd[(j + d) % 3];
            for (size_t c = 0; c < 21; c++)
                t.v[j * 21 + c] = odd[(j + c) % 3];
        }
        FOR_ALL_LEVELS(level)
            trial_check(&t, NULL);
        trial_close(&t);
    }
}

/* Beyond the diagonal and outside the window lie NaNs, which nobody may meet. */
static void outside(void)
{
    static struct trial t;
    for (int kind = WHOLE; kind <= LOCAL; kind++)
        for (size_t n = 0; n < ROW_COUNTS; n++) {
            size_t rows = row_counts[n], keys = rows + 30;
            memset(&t, 0, sizeof t);
            t.shape = (struct gn_sdpa){.batch = 1, .heads = 1, .kv_heads = 1, .queries = rows, .keys = keys, .dim = 5,
                                       .value_dim = 6, .scale = 1, .causal = kind == WHOLE};
            t.kind = (enum kind)kind;
            t.window = 3;
            trial_open(&t, 0, 0);
            trial_reference(&t);
            for (size_t bad = 0; bad < keys; bad += 1 + keys / 9) {
                float key = t.k[bad * 5], value = t.v[bad * 6];
                t.k[bad * 5] = t.v[bad * 6] = NAN;
                FOR_ALL_LEVELS(level) {
                    CHECK(trial_call(&t, NULL) == GN_K_OK);
                    for (size_t i = 0; i < rows; i++)
                        for (size_t c = 0; c < 6; c++) {
                            float got = t.out[i * 6 + c];
                            if (trial_sees(&t, i, bad))
                                CHECK(isnan(got));
                            else
                                CHECK(fabs(got - t.want[i * 6 + c]) <= t.bound[i * 6 + c]);
                        }
                }
                t.k[bad * 5] = key;
                t.v[bad * 6] = value;
            }
            trial_close(&t);
        }
}

/* Nothing to see is zeros: by the mask, by a bias of -infinity, by no keys at all. */
static void nothing(void)
{
    static struct trial t;
    for (size_t n = 0; n < ROW_COUNTS; n++) {
        size_t rows = row_counts[n], keys = 140;
        memset(&t, 0, sizeof t);
        t.shape = (struct gn_sdpa){.batch = 1, .heads = 1, .kv_heads = 1, .queries = rows, .keys = keys, .dim = 8,
                                   .value_dim = 9, .scale = 1};
        t.masked = t.biased = 1;
        trial_open(&t, 0, 0);
        for (size_t i = 0; i < rows; i += 2) {
            if (i % 4)
                memset(t.mask + i * keys, 0, keys);
            for (size_t j = 0; j < keys && i % 4 == 0; j++)
                t.bias[i * keys + j] = -INFINITY;
        }
        trial_reference(&t);
        FOR_ALL_LEVELS(level) {
            trial_check(&t, NULL);
            for (size_t i = 0; i < rows; i += 2)
                for (size_t c = 0; c < 9; c++)
                    CHECK(t.out[i * 9 + c] == 0);
        }
        trial_close(&t);
    }
}

/* A NaN or +infinity among a row's own scores makes that row NaN, and no other row. */
static void poisoned(void)
{
    static struct trial t;
    for (size_t n = 0; n < ROW_COUNTS; n++)
        for (int infinite = 0; infinite < 2; infinite++) {
            size_t rows = row_counts[n], keys = 131, bad = rows / 2;
            open_case(&t, rows, keys, 10);
            for (size_t i = 0; i < rows; i++)
                t.mask[i * keys] = 1;
            trial_reference(&t);
            for (size_t j = 0; j < 16; j++)
                t.k[j] = 1;
            memset(t.want, 0, rows * 10 * sizeof *t.want);
            memset(t.bound, 0, rows * 10 * sizeof *t.bound);
            trial_reference(&t);
            for (size_t d = 0; d < 16; d++)
                t.q[bad * 16 + d] = infinite ? (d ? 0.0f : INFINITY) : NAN;
            FOR_ALL_LEVELS(level) {
                CHECK(trial_call(&t, NULL) == GN_K_OK);
                for (size_t i = 0; i < rows * 10; i++) {
                    if (i / 10 == bad)
                        CHECK(isnan(t.out[i]));
                    else
                        CHECK(fabs(t.out[i] - t.want[i]) <= t.bound[i]);
                }
            }
            trial_close(&t);
        }
}

/* Scores of thousands and of 1e-30, ascending so that each piece has a new maximum, or falling. */
static void far_apart(void)
{
    static struct trial t;
    static const float sizes[] = {1e-30f, 30, 3000, 1e15f};
    for (size_t n = 0; n < ROW_COUNTS; n++)
        for (size_t f = 0; f < 8; f++) {
            size_t rows = row_counts[n], keys = 300;
            open_case(&t, rows, keys, 5);
            for (size_t i = 0; i < rows * 16; i++)
                t.q[i] = i % 16 ? 0 : 1;
            for (size_t j = 0; j < keys; j++)
                t.k[j * 16] = sizes[f / 2] * (float)(f % 2 ? keys - j : j) / (float)keys;
            trial_reference(&t);
            FOR_ALL_LEVELS(level)
                trial_check(&t, NULL);
            trial_close(&t);
        }
}

/* One score and one key: the result is its value, exactly. */
static void alone(void)
{
    static struct trial t;
    for (size_t n = 0; n < ROW_COUNTS; n++) {
        size_t rows = row_counts[n];
        open_case(&t, rows, 1, 12);
        memset(t.mask, 1, rows);
        FOR_ALL_LEVELS(level) {
            CHECK(trial_call(&t, NULL) == GN_K_OK);
            for (size_t i = 0; i < rows; i++)
                CHECK(memcmp(t.out + i * 12, t.v, 12 * sizeof(float)) == 0);
        }
        trial_close(&t);
    }
}

int main(void)
{
    hidden();
    outside();
    nothing();
    poisoned();
    far_apart();
    alone();
    gn_isa_force(gn_isa_best());
    printf("test_kernels_attention_special: ok\n");
    return 0;
}
