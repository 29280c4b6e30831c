/* What the tests of 16-bit and three-product attention share: a float64 reference and checks of a way to compute it.
 *
 * The bounds follow from rounding, with W = sum of weight |v| of the row. bfloat16: a weight is within 2^-8 of its
 * float (that within 2e-4 of its value, by the polynomial of degree 3), the result within 2^-8 of its float: (2^-7 + 4e-4) W.
 * float16 goes through float: 2^-11 of the result and float's own 2e-6 W. f32x3: two bfloat16 hold a float to 2^-17, so
 * a row that sees one key is off by that, and a score of unit normal numbers by a few times that; 6e-5 W covers both.
 */
#ifndef GN_HALVES_CHECK_H
#define GN_HALVES_CHECK_H
#include "kernel_check.h"

#include "simd/simd.h"

typedef size_t halves_scratch_fn(int type, const struct gn_sdpa *shape, int threads);
typedef int halves_fn(const struct gn_sdpa *shape, const void *q, const void *k, const void *v, const uint8_t *mask,
                      const float *bias, void *out, void *scratch, gn_pool *pool);

/* One way to compute: of a level, or of the emulated tiles. */
struct halves_way {
    halves_scratch_fn *scratch;
    int (*native)(int type);
    halves_fn *run[GN_SDPA_TYPE_COUNT];
};

static int type_now; /* of the case under test */

static size_t element_size(int type) { return type == GN_SDPA_F32X3 ? sizeof(float) : sizeof(uint16_t); }

static float number_at(const void *p, size_t i)
{
    if (type_now == GN_SDPA_F32X3)
        return ((const float *)p)[i];
    uint16_t half = ((const uint16_t *)p)[i];
    return type_now == GN_SDPA_BF16 ? gn_bf16_to_f32(half) : gn_f16_to_f32(half);
}

static void number_set(void *p, size_t i, float x)
{
    if (type_now == GN_SDPA_F32X3)
        ((float *)p)[i] = x;
    else
        ((uint16_t *)p)[i] = type_now == GN_SDPA_BF16 ? gn_f32_to_bf16(x) : gn_f32_to_f16(x);
}

struct halves_case {
    struct gn_sdpa is;
    struct guarded q, k, v, out, mask, bias, scratch;
    const uint8_t *use_mask;
    const float *use_bias;
};

static struct guarded numbers_new(size_t n, size_t skew)
{
    struct guarded it = guarded_new(n * element_size(type_now), skew * element_size(type_now));
    for (size_t i = 0; i < n; i++)
        number_set(it.data, i, random_normal());
    return it;
}

/* A dense problem; strides of mask and bias are set for [batch][heads][queries][keys]. */
static struct halves_case case_new(size_t batch, size_t heads, size_t kv_heads, size_t queries, size_t keys, size_t dim,
                                   size_t value_dim, size_t skew)
{
    struct halves_case it = {.is = {.batch = batch, .heads = heads, .kv_heads = kv_heads, .queries = queries,
                                    .keys = keys, .dim = dim, .value_dim = value_dim,
                                    .scale = dim ? 1 / sqrtf((float)dim) : 1}};
    size_t pairs = batch * heads * queries * keys;
    gn_sdpa_dense(&it.is);
    it.q = numbers_new(batch * heads * queries * dim, skew);
    it.k = numbers_new(batch * kv_heads * keys * dim, skew);
    it.v = numbers_new(batch * kv_heads * keys * value_dim, skew);
    it.out = numbers_new(batch * heads * queries * value_dim, skew);
    it.mask = guarded_new(pairs, skew);
    it.bias = guarded_new(pairs * sizeof(float), skew * sizeof(float));
    for (size_t i = 0; i < pairs; i++) {
        it.mask.data[i] = random_u64() % 3 != 0;
        ((float *)(void *)it.bias.data)[i] = random_normal();
    }
    it.is.mask_strides[2] = it.is.bias_strides[2] = keys;
    it.is.mask_strides[1] = it.is.bias_strides[1] = queries * keys;
    it.is.mask_strides[0] = it.is.bias_strides[0] = heads * queries * keys;
    return it;
}

static void case_free(struct halves_case *it)
{
    guarded_free(&it->q);
    guarded_free(&it->k);
    guarded_free(&it->v);
    guarded_free(&it->out);
    guarded_free(&it->mask);
    guarded_free(&it->bias);
}

static void case_run(const struct halves_way *way, struct halves_case *it, gn_pool *pool)
{
    size_t bytes = way->scratch(type_now, &it->is, gn_pool_threads(pool));
    CHECK(bytes != SIZE_MAX && bytes % 64 == 0);
    it->scratch = guarded_new(bytes, 0);
    CHECK(way->run[type_now](&it->is, it->q.data, it->k.data, it->v.data, it->use_mask, it->use_bias, it->out.data,
                             it->scratch.data, pool) == GN_K_OK);
    guarded_free(&it->scratch);
}

static double score_of(const struct halves_case *it, size_t b, size_t h, size_t i, size_t j)
{
    const struct gn_sdpa *is = &it->is;
    size_t g = h / (is->heads / is->kv_heads);
    double sum = 0;
    if (is->causal && j + is->queries > i + is->keys)
        return -INFINITY;
    if (it->use_mask && !it->use_mask[b * is->mask_strides[0] + h * is->mask_strides[1] + i * is->mask_strides[2] + j])
        return -INFINITY;
    for (size_t c = 0; c < is->dim; c++)
        sum += (double)number_at(it->q.data, b * is->q_strides[0] + h * is->q_strides[1] + i * is->q_strides[2] + c) *
               (double)number_at(it->k.data, b * is->k_strides[0] + g * is->k_strides[1] + j * is->k_strides[2] + c);
    sum *= (double)is->scale;
    if (it->use_bias)
        sum += (double)it->use_bias[b * is->bias_strides[0] + h * is->bias_strides[1] + i * is->bias_strides[2] + j];
    return sum;
}

static double bound_of(double exact, double weighted)
{
    if (type_now == GN_SDPA_F32X3)
        return 2e-6 + 6e-5 * weighted;
    if (type_now == GN_SDPA_BF16)
        return (0x1p-7 + 4e-4) * weighted + 1e-38;
    return 0x1p-11 * fabs(exact) + 2e-6 * weighted + 0x1p-25;
}

/* One row against float64; `worst` gathers the largest error. */
static void check_row(const struct halves_case *it, size_t b, size_t h, size_t i, double *worst)
{
    const struct gn_sdpa *is = &it->is;
    size_t g = h / (is->heads / is->kv_heads);
    double *weights = malloc((is->keys + 1) * sizeof *weights), top = -INFINITY, total = 0;
    for (size_t j = 0; j < is->keys; j++) {
        weights[j] = score_of(it, b, h, i, j);
        top = weights[j] > top ? weights[j] : top;
    }
    for (size_t j = 0; j < is->keys; j++)
        total += weights[j] = top == -INFINITY ? 0 : exp(weights[j] - top);
    for (size_t c = 0; c < is->value_dim; c++) {
        size_t at = b * is->out_strides[0] + h * is->out_strides[1] + i * is->out_strides[2] + c;
        double exact = 0, weighted = 0, got = (double)number_at(it->out.data, at);
        for (size_t j = 0; j < is->keys && total > 0; j++) {
            size_t from = b * is->v_strides[0] + g * is->v_strides[1] + j * is->v_strides[2] + c;
            double v = (double)number_at(it->v.data, from);
            exact += weights[j] / total * v;
            weighted += weights[j] / total * fabs(v);
        }
        if (!(fabs(got - exact) <= bound_of(exact, weighted)))
            fprintf(stderr, "[%zu,%zu,%zu,%zu] of %zu x %zu, dims %zu and %zu, causal %d: %.9g, not %.9g\n", b, h, i, c,
                    is->queries, is->keys, is->dim, is->value_dim, is->causal, got, exact);
        CHECK(fabs(got - exact) <= bound_of(exact, weighted));
        *worst = fabs(got - exact) > *worst ? fabs(got - exact) : *worst;
    }
    free(weights);
}

static double check_rows(const struct halves_case *it)
{
    double worst = 0;
    for (size_t b = 0; b < it->is.batch; b++)
        for (size_t h = 0; h < it->is.heads; h++)
            for (size_t i = 0; i < it->is.queries; i++)
                check_row(it, b, h, i, &worst);
    return worst;
}

/* The four combinations of mask and bias, plain and causal. */
static void check_options(const struct halves_way *way, struct halves_case *it)
{
    for (unsigned options = 0; options < 8; options++) {
        it->use_mask = options & 1 ? it->mask.data : NULL;
        it->use_bias = options & 2 ? (const float *)(const void *)it->bias.data : NULL;
        it->is.causal = (options & 4) != 0;
        case_run(way, it, NULL);
        check_rows(it);
    }
}

static void check_sizes(const struct halves_way *way, const size_t (*sizes)[4], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct halves_case it = case_new(1, 1, 1, sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3], i % 3);
        it.is.causal = i % 2 == 1;
        case_run(way, &it, NULL);
        check_rows(&it);
        case_free(&it);
    }
}

/* Groups of heads, batches, masks with strides of 0, a row of nothing. */
static void check_groups(const struct halves_way *way)
{
    struct halves_case it = case_new(2, 4, 2, 9, 37, 24, 40, 1);
    check_options(way, &it);
    it.use_mask = it.mask.data;
    it.is.mask_strides[0] = it.is.mask_strides[1] = 0;
    it.is.causal = 0;
    memset(it.mask.data + 3 * 37, 0, 37);
    case_run(way, &it, NULL);
    check_rows(&it);
    for (size_t c = 0; c < 40; c++)
        CHECK(number_at(it.out.data, 3 * 40 + c) == 0.0f);
    it.is.scale = -0.25f;
    case_run(way, &it, NULL);
    check_rows(&it);
    it.is.scale = 0;
    case_run(way, &it, NULL);
    check_rows(&it);
    case_free(&it);
}

/* What a query may not see does not reach it, whatever it holds. */
static void check_hidden(const struct halves_way *way)
{
    const float foul[] = {NAN, INFINITY, -INFINITY};
    struct halves_case it = case_new(1, 1, 1, 40, 40, 16, 16, 0);
    it.is.causal = 1;
    for (size_t f = 0; f < 3; f++) {
        number_set(it.k.data, 35 * 16 + 3, foul[f]);
        number_set(it.v.data, 35 * 16 + 5, foul[f]);
        case_run(way, &it, NULL);
        double worst = 0;
        struct halves_case part = it;
        part.is.queries = part.is.keys = 35; /* rows that see no foul key are those of the smaller problem */
        for (size_t i = 0; i < 35; i++)
            check_row(&part, 0, 0, i, &worst);
        if (f == 0)
            CHECK(isnan(number_at(it.out.data, 36 * 16)));
    }
    case_free(&it);
}

static void check_threads(const struct halves_way *way)
{
    struct halves_case it = case_new(1, 3, 1, 128, 140, 32, 32, 0);
    size_t bytes = (size_t)3 * 128 * 32 * element_size(type_now);
    unsigned char *alone = malloc(bytes);
    gn_pool *pool = gn_pool_open(3);
    it.is.causal = 1;
    if (way->native(type_now)) /* gn_sdpa's own promise ends at finite values */
        number_set(it.v.data, 100 * 32, INFINITY);
    case_run(way, &it, NULL);
    memcpy(alone, it.out.data, bytes);
    memset(it.out.data, 0, bytes);
    case_run(way, &it, pool);
    CHECK(memcmp(alone, it.out.data, bytes) == 0);
    gn_pool_close(pool);
    free(alone);
    case_free(&it);
}
#endif
