/* A user's program: C, libganglion_kernels.so, and the public header alone; no Python, nothing of this project's tests.
 *
 * It says what the library chose, runs a kernel or two of several families against what plain loops give, forces every
 * level it is told of, and gives the library what it must refuse. `make -C csrc program-kernels` builds and runs it.
 */
#include <ganglion/kernels.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 100, DIM = 64, BITS = 10000 };

static int failed;

static void expect(const char *what, int holds)
{
    if (!holds) {
        printf("program_kernels [%s]: not so: %s\n", gn_isa_name(gn_isa_active()), what);
        failed = 1;
    }
}

/* Any numbers in [-1, 1) that are the same everywhere. */
static void fill(float *x, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

static void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!p)
        exit(2);
    return p;
}

static double attended(const float *q, const float *k, const float *v, size_t row, size_t column)
{
    double weights[TOKENS], total = 0, sum = 0;
    for (size_t j = 0; j < TOKENS; j++) {
        double score = 0;
        for (size_t c = 0; c < DIM; c++)
            score += (double)q[row * DIM + c] * (double)k[j * DIM + c];
        total += weights[j] = exp(score / 8);
    }
    for (size_t j = 0; j < TOKENS; j++)
        sum += weights[j] / total * (double)v[j * DIM + column];
    return sum;
}

static void attention(gn_pool *pool)
{
    static float q[TOKENS * DIM], k[TOKENS * DIM], v[TOKENS * DIM], out[TOKENS * DIM];
    static uint16_t halves[3][TOKENS * DIM], half_out[TOKENS * DIM];
    struct gn_sdpa shape = {.batch = 1, .heads = 1, .kv_heads = 1, .queries = TOKENS, .keys = TOKENS, .dim = DIM,
                            .value_dim = DIM, .scale = 0.125f};
    int threads = gn_pool_threads(pool);
    void *scratch;
    gn_sdpa_dense(&shape);
    fill(q, TOKENS * DIM, 1);
    fill(k, TOKENS * DIM, 2);
    fill(v, TOKENS * DIM, 3);
    scratch = room(gn_sdpa_scratch(&shape, threads));
    expect("gn_sdpa", gn_sdpa(&shape, q, k, v, NULL, NULL, out, scratch, pool) == GN_K_OK);
    for (size_t i = 0; i < TOKENS * DIM; i += 37)
        expect("attention follows its formula", fabs((double)out[i] - attended(q, k, v, i / DIM, i % DIM)) < 1e-6);
    expect("an overlap is refused", gn_sdpa(&shape, q, k, v, NULL, NULL, q, scratch, pool) == GN_K_OVERLAP);
    free(scratch);
    expect("gn_halve", gn_halve(GN_BF16, q, TOKENS * DIM, halves[0]) == GN_K_OK);
    (void)gn_halve(GN_BF16, k, TOKENS * DIM, halves[1]);
    (void)gn_halve(GN_BF16, v, TOKENS * DIM, halves[2]);
    scratch = room(gn_sdpa_typed_scratch(GN_SDPA_BF16, &shape, threads));
    expect("gn_sdpa_bf16", gn_sdpa_bf16(&shape, halves[0], halves[1], halves[2], NULL, NULL, half_out, scratch, pool) == GN_K_OK);
    (void)gn_unhalve(GN_BF16, half_out, TOKENS * DIM, q);
    for (size_t i = 0; i < TOKENS * DIM; i++)
        expect("bfloat16 attention is near", fabsf(q[i] - out[i]) < 0.01f);
    free(scratch);
}

static void products(gn_pool *pool)
{
    static float a[33 * 17], b[21 * 17], c[33 * 21];
    void *scratch = room(gn_matmul_scratch(33, 21, 17, gn_pool_threads(pool)));
    fill(a, 33 * 17, 4);
    fill(b, 21 * 17, 5);
    expect("gn_matmul_nt", gn_matmul_nt(a, 33, b, 21, 17, c, scratch, pool) == GN_K_OK);
    for (size_t i = 0; i < 33 * 21; i++) {
        double sum = 0;
        for (size_t t = 0; t < 17; t++)
            sum += (double)a[i / 21 * 17 + t] * (double)b[i % 21 * 17 + t];
        expect("a product follows its formula", fabs(sum - (double)c[i]) < 1e-5);
    }
    free(scratch);
}

static void winners(gn_pool *pool)
{
    const float x[] = {1, NAN, 3, 2, NAN, 0, 5, 4};
    int32_t indices[3];
    void *scratch = room(gn_kwta_scratch(8, 3, gn_pool_threads(pool)));
    expect("gn_kwta", gn_kwta(x, NULL, 0, 1, 8, 3, 1, indices, NULL, scratch, pool) == GN_K_OK);
    expect("the three largest win", indices[0] == 6 && indices[1] == 7 && indices[2] == 2);
    expect("k > n is refused", gn_kwta(x, NULL, 0, 1, 8, 9, 1, indices, NULL, scratch, pool) == GN_K_SIZE);
    free(scratch);
}

static void hypervectors(gn_pool *pool)
{
    size_t words = gn_hv_words(BITS);
    uint64_t *a = room(words * sizeof *a), *b = room(words * sizeof *b);
    float similarity = 0;
    expect("gn_hv_random", gn_hv_random(7, 1, BITS, a) == GN_K_OK);
    expect("gn_hv_complement", gn_hv_complement(a, 1, BITS, b) == GN_K_OK);
    expect("gn_hv_similarity", gn_hv_similarity(a, 1, b, 1, BITS, &similarity, pool) == GN_K_OK);
    expect("the complement is at exactly -1", similarity == -1.0f);
    free(a);
    free(b);
}

int main(void)
{
    gn_pool *pool = gn_pool_open(2);
    expect("a pool opens", pool != NULL && gn_pool_threads(pool) == 2);
    expect("no wrong pool opens", gn_pool_open(0) == NULL);
    expect("an unknown level is not found", gn_isa_find("pentium") == -1 && gn_isa_force(99) == GN_K_UNSUPPORTED);
    printf("program_kernels: the best level is %s\n", gn_isa_name(gn_isa_best()));
    for (int level = 0; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        for (int threads = 1; threads <= 2; threads++) {
            attention(threads == 2 ? pool : NULL);
            products(threads == 2 ? pool : NULL);
            winners(threads == 2 ? pool : NULL);
            hypervectors(threads == 2 ? pool : NULL);
        }
    }
    gn_pool_close(pool);
    if (!failed)
        puts("program_kernels: ok");
    return failed;
}
