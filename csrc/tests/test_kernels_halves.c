/* Attention on bfloat16, float16 and by three products, on every level, against float64 (halves_check.h). */
#include "halves_check.h"

static int run_bf16(const struct gn_sdpa *shape, const void *q, const void *k, const void *v, const uint8_t *mask,
                    const float *bias, void *out, void *scratch, gn_pool *pool)
{
    return gn_sdpa_bf16(shape, q, k, v, mask, bias, out, scratch, pool);
}

static int run_f16(const struct gn_sdpa *shape, const void *q, const void *k, const void *v, const uint8_t *mask,
                   const float *bias, void *out, void *scratch, gn_pool *pool)
{
    return gn_sdpa_f16(shape, q, k, v, mask, bias, out, scratch, pool);
}

static int run_f32x3(const struct gn_sdpa *shape, const void *q, const void *k, const void *v, const uint8_t *mask,
                     const float *bias, void *out, void *scratch, gn_pool *pool)
{
    return gn_sdpa_f32x3(shape, q, k, v, mask, bias, out, scratch, pool);
}

static const struct halves_way way = {gn_sdpa_typed_scratch, gn_sdpa_typed_native, {run_bf16, run_f16, run_f32x3}};

static void test_sizes(void)
{
    static const size_t some[][4] = {{1, 0, 4, 4},     {0, 5, 4, 4},      {3, 4, 0, 4},      {1, 1, 1, 1},
                                     {5, 2, 3, 2},     {2, 31, 33, 31},   {7, 32, 32, 64},   {6, 33, 31, 33},
                                     {96, 96, 64, 64}, {97, 257, 16, 80}, {129, 255, 8, 65}, {13, 256, 130, 1}};
    static const size_t edges[] = {127, 128, 129, 255, 256, 257};
    check_sizes(&way, some, sizeof some / sizeof some[0]);
    for (size_t n = 0; n <= 67; n++) {
        const size_t one[][4] = {{3, n, 8, 5}, {n, 7, 6, 4}, {2, 5, n, 3}, {2, 5, 3, n}};
        check_sizes(&way, one, 4);
    }
    for (size_t i = 0; i < 6; i++) {
        const size_t one[][4] = {{2, edges[i], 8, 8}, {edges[i], 9, 8, 8}, {2, 5, edges[i], 2}, {2, 5, 3, edges[i]}};
        check_sizes(&way, one, 4);
    }
}

/* The accuracy the header names: unit normal inputs, 64 dims. */
static void test_accuracy(void)
{
    struct halves_case it = case_new(1, 1, 1, 24, 512, 64, 64, 0);
    case_run(&way, &it, NULL);
    double worst = check_rows(&it);
    CHECK(worst < (type_now == GN_SDPA_BF16 ? 2e-3 : type_now == GN_SDPA_F16 ? 2e-4 : 5e-6));
    case_free(&it);
}

static void test_refusals(void)
{
    struct halves_case it = case_new(1, 2, 1, 4, 4, 4, 4, 0);
    const struct gn_sdpa good = it.is;
    size_t bytes = gn_sdpa_typed_scratch(type_now, &good, 1);
    struct guarded scratch = guarded_new(bytes, 0);
#define RUN(q, k, v, out, scratch) way.run[type_now](&it.is, q, k, v, NULL, NULL, out, scratch, NULL)
    CHECK(way.run[type_now](NULL, it.q.data, it.k.data, it.v.data, NULL, NULL, it.out.data, scratch.data, NULL) ==
          GN_K_NULL);
    CHECK(RUN(NULL, it.k.data, it.v.data, it.out.data, scratch.data) == GN_K_NULL);
    CHECK(RUN(it.q.data, NULL, it.v.data, it.out.data, scratch.data) == GN_K_NULL);
    CHECK(RUN(it.q.data, it.k.data, NULL, it.out.data, scratch.data) == GN_K_NULL);
    CHECK(RUN(it.q.data, it.k.data, it.v.data, NULL, scratch.data) == GN_K_NULL);
    CHECK(RUN(it.q.data, it.k.data, it.v.data, it.out.data, NULL) == GN_K_NULL);
    CHECK(RUN(it.q.data, it.k.data, it.v.data, it.v.data, scratch.data) == GN_K_OVERLAP);
    it.is.scale = NAN;
    CHECK(RUN(it.q.data, it.k.data, it.v.data, it.out.data, scratch.data) == GN_K_VALUE);
    it.is = good;
    it.is.kv_heads = 3;
    CHECK(RUN(it.q.data, it.k.data, it.v.data, it.out.data, scratch.data) == GN_K_SIZE);
    it.is = good;
    it.is.keys = SIZE_MAX / 2;
    CHECK(RUN(it.q.data, it.k.data, it.v.data, it.out.data, scratch.data) == GN_K_SIZE);
    CHECK(gn_sdpa_typed_scratch(type_now, &it.is, 1) == SIZE_MAX || !gn_sdpa_typed_native(type_now));
    CHECK(gn_sdpa_typed_scratch(type_now, &good, 0) == SIZE_MAX);
    CHECK(gn_sdpa_typed_scratch(type_now, NULL, 1) == SIZE_MAX);
    CHECK(gn_sdpa_typed_scratch(-1, &good, 1) == SIZE_MAX);
    CHECK(gn_sdpa_typed_scratch(GN_SDPA_TYPE_COUNT, &good, 1) == SIZE_MAX);
    CHECK(!gn_sdpa_typed_native(-1) && !gn_sdpa_typed_native(GN_SDPA_TYPE_COUNT));
    guarded_free(&scratch);
    case_free(&it);
}

/* Rows, heads and batches at distances of the caller's; elements between them stay as they were. */
static void test_strides(void)
{
    struct halves_case it = case_new(1, 2, 2, 6, 6, 5, 5, 0), dense = it;
    size_t n = 6 * 2 * 7; /* rows of 7 with both heads in one row of 14: [row][head][7] */
    it.q = numbers_new(n, 0);
    it.k = numbers_new(n, 0);
    it.v = numbers_new(n, 0);
    it.out = numbers_new(n, 0);
    size_t *const strides[4] = {it.is.q_strides, it.is.k_strides, it.is.v_strides, it.is.out_strides};
    for (size_t i = 0; i < 4; i++) {
        strides[i][1] = 7;
        strides[i][2] = 14;
    }
    for (size_t i = 0; i < n; i++)
        number_set(it.out.data, i, 42);
    case_run(&way, &it, NULL);
    check_rows(&it);
    for (size_t i = 0; i < n; i++)
        CHECK(i % 7 < 5 || number_at(it.out.data, i) == 42.0f);
    guarded_free(&it.q);
    guarded_free(&it.k);
    guarded_free(&it.v);
    guarded_free(&it.out);
    case_free(&dense);
}

static void all(int type)
{
    type_now = type;
    test_sizes();
    test_accuracy();
    test_refusals();
    test_strides();
    check_groups(&way);
    check_hidden(&way);
    check_threads(&way);
}

int main(void)
{
    int best = gn_isa_best();
    for (int level = 0; level < GN_ISA_COUNT; level++) {
        if (gn_isa_force(level) != GN_K_OK)
            continue;
        for (int type = 0; type < GN_SDPA_TYPE_COUNT; type++)
            all(type);
    }
    CHECK(gn_isa_force(best) == GN_K_OK);
    puts("test_kernels_halves: ok");
    return 0;
}
