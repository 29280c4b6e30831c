/* Heads with projections, and differential heads: products, attention and the passes between, over one scratch. */
#include "ganglion/kernels/attention.h"
#include "ganglion/kernels/heads.h"
#include "ganglion/kernels/matrix.h"
#include "heads/ops.h"

#include "base/isa.h"
#include "base/pool.h"
#include "base/sizes.h"

#include <math.h>

static const struct gn_heads_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_heads);

enum { ROWS_PART = 16 };

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* What attention sees of the shape; strides are the caller's to set. */
static struct gn_sdpa seen(const struct gn_heads *shape)
{
    struct gn_sdpa it = {.batch = shape->batch, .heads = shape->heads, .kv_heads = shape->kv_heads,
                         .queries = shape->queries, .keys = shape->keys, .dim = shape->dim,
                         .value_dim = shape->value_dim, .scale = shape->scale, .causal = shape->causal};
    gn_sdpa_dense(&it);
    for (int i = 0; i < 3; i++) {
        it.mask_strides[i] = shape->mask_strides[i];
        it.bias_strides[i] = shape->bias_strides[i];
    }
    return it;
}

struct plan { /* rows and widths of the projections, and where they lie in the scratch */
    size_t q_rows, k_rows, q_wide, k_wide, v_wide, o_wide;
    size_t q_at, k_at, v_at, o_at, second_at, rest_at, size;
};

static size_t times(size_t a, size_t b, int *over)
{
    size_t product = 0;
    *over |= __builtin_mul_overflow(a, b, &product);
    return product;
}

static struct plan planned(const struct gn_heads *s, int differential, int threads)
{
    struct plan it = {0};
    struct gn_sdpa attention = seen(s);
    size_t rest, twice = differential ? 2 : 1;
    int over = 0;
    it.q_rows = times(s->batch, s->queries, &over);
    it.k_rows = times(s->batch, s->keys, &over);
    it.q_wide = times(times(s->heads, s->dim, &over), twice, &over);
    it.k_wide = times(times(s->kv_heads, s->dim, &over), twice, &over);
    it.v_wide = times(s->kv_heads, s->value_dim, &over);
    it.o_wide = times(s->heads, s->value_dim, &over);
    it.q_at = gn_room(&it.size, it.q_rows, it.q_wide, sizeof(float));
    it.k_at = gn_room(&it.size, it.k_rows, it.k_wide, sizeof(float));
    it.v_at = gn_room(&it.size, it.k_rows, it.v_wide, sizeof(float));
    it.o_at = gn_room(&it.size, it.q_rows, it.o_wide, sizeof(float));
    it.second_at = gn_room(&it.size, differential ? it.q_rows : 0, it.o_wide, sizeof(float));
    rest = larger(gn_matmul_scratch(it.q_rows, it.q_wide, s->width, threads),
                  gn_matmul_scratch(it.k_rows, it.k_wide, s->context_width, threads));
    rest = larger(rest, gn_matmul_scratch(it.k_rows, it.v_wide, s->context_width, threads));
    rest = larger(rest, gn_matmul_scratch(it.q_rows, s->out_width, it.o_wide, threads));
    rest = larger(rest, gn_sdpa_scratch(&attention, threads));
    it.rest_at = gn_room(&it.size, rest, 1, 1);
    if (over)
        it.size = SIZE_MAX;
    return it;
}

size_t gn_multi_head_scratch(const struct gn_heads *shape, int differential, int threads)
{
    return shape ? planned(shape, differential, threads).size : SIZE_MAX;
}

struct subtraction {
    const struct gn_heads_ops *ops;
    const struct gn_differential *rule;
    float *first;
    const float *second;
    size_t rows, heads, value_dim;
    size_t per_head; /* rows of a head that lie together: 1 when heads alternate, else queries */
};

static void subtract_part(void *job, size_t part, int worker)
{
    const struct subtraction *it = job;
    size_t end = (part + 1) * ROWS_PART < it->rows ? (part + 1) * ROWS_PART : it->rows;
    (void)worker;
    for (size_t r = part * ROWS_PART; r < end; r++)
        it->ops->difference(it->first + r * it->value_dim, it->second + r * it->value_dim, it->value_dim,
                            it->rule->lambda[r / it->per_head % it->heads], it->rule->gain, it->rule->out_scale,
                            it->rule->epsilon);
}

/* Both softmaxes of every head, and the difference, into first. q and k hold pairs; their strides are given. */
static int two_attentions(struct gn_sdpa *attention, const struct gn_differential *rule, const float *q, const float *k,
                          size_t q_pair, size_t k_pair, const float *v, const uint8_t *mask, const float *bias,
                          float *first, float *second, size_t per_head, void *scratch, gn_pool *pool)
{
    struct subtraction it = {levels[gn_isa_level], rule, first, second, attention->batch * attention->heads *
                             attention->queries, attention->heads, attention->value_dim, per_head};
    int status = gn_sdpa(attention, q, k, v, mask, bias, first, scratch, pool);
    if (!status)
        status = gn_sdpa(attention, q + q_pair, k + k_pair, v, mask, bias, second, scratch, pool);
    if (!status && it.value_dim)
        gn_pool_run(pool, subtract_part, &it, (it.rows + ROWS_PART - 1) / ROWS_PART);
    return status;
}

static int rule_checked(const struct gn_differential *rule, size_t heads)
{
    if (heads && !rule->lambda)
        return GN_K_NULL;
    return isfinite(rule->out_scale) && isfinite(rule->epsilon) && rule->epsilon >= 0 ? GN_K_OK : GN_K_VALUE;
}

static int project(const float *x, size_t rows, const float *w, size_t wide, size_t k, const float *bias, float *to,
                   void *scratch, gn_pool *pool)
{
    int status = gn_matmul_nt(x, rows, w, wide, k, to, scratch, pool);
    if (!status && bias)
        levels[gn_isa_level]->add_bias(to, rows, wide, bias);
    return status;
}

static int overlaps(const struct gn_heads *s, const struct gn_projections *w, const struct plan *plan, const float *x,
                    const float *context, const float *out)
{
    size_t size = plan->q_rows * s->out_width * sizeof(float), f = sizeof(float);
    return gn_overlap(out, size, x, plan->q_rows * s->width * f) ||
           gn_overlap(out, size, context, plan->k_rows * s->context_width * f) ||
           gn_overlap(out, size, w->q, plan->q_wide * s->width * f) ||
           gn_overlap(out, size, w->k, plan->k_wide * s->context_width * f) ||
           gn_overlap(out, size, w->v, plan->v_wide * s->context_width * f) ||
           gn_overlap(out, size, w->out, s->out_width * plan->o_wide * f) ||
           gn_overlap(out, size, w->q_bias, plan->q_wide * f) || gn_overlap(out, size, w->k_bias, plan->k_wide * f) ||
           gn_overlap(out, size, w->v_bias, plan->v_wide * f) || gn_overlap(out, size, w->out_bias, s->out_width * f);
}

static int checked(const struct gn_heads *s, const struct gn_projections *w, const struct gn_differential *rule,
                   const struct plan *plan, const float *x, const float *context, const float *out, const void *scratch)
{
    size_t f = sizeof(float);
    if (plan->size == SIZE_MAX || gn_too_large(plan->q_rows, s->width, f) ||
        gn_too_large(plan->k_rows, s->context_width, f) || gn_too_large(plan->q_rows, s->out_width, f) ||
        (s->heads && (!s->kv_heads || s->heads % s->kv_heads)))
        return GN_K_SIZE;
    if ((plan->q_rows && s->width && !x) || (plan->k_rows && s->context_width && !context) ||
        (plan->q_rows && s->out_width && !out) || (plan->size && !scratch))
        return GN_K_NULL;
    if ((plan->q_wide && s->width && !w->q) || (plan->k_wide && s->context_width && !w->k) ||
        (plan->v_wide && s->context_width && !w->v) || (s->out_width && plan->o_wide && !w->out))
        return GN_K_NULL;
    if (!isfinite(s->scale))
        return GN_K_VALUE;
    return overlaps(s, w, plan, x, context, out) ? GN_K_OVERLAP : rule ? rule_checked(rule, s->heads) : GN_K_OK;
}

/* Heads lie side by side in a row: [batch][rows][heads][pair][dim]. */
static void interleave(struct gn_sdpa *it, const struct plan *plan, size_t pair)
{
    size_t q[3] = {it->queries * plan->q_wide, pair * it->dim, plan->q_wide};
    size_t k[3] = {it->keys * plan->k_wide, pair * it->dim, plan->k_wide};
    size_t v[3] = {it->keys * plan->v_wide, it->value_dim, plan->v_wide};
    size_t o[3] = {it->queries * plan->o_wide, it->value_dim, plan->o_wide};
    for (int i = 0; i < 3; i++) {
        it->q_strides[i] = q[i];
        it->k_strides[i] = k[i];
        it->v_strides[i] = v[i];
        it->out_strides[i] = o[i];
    }
}

int gn_multi_head(const struct gn_heads *s, const struct gn_projections *w, const struct gn_differential *rule,
                  const float *x, const float *context, const uint8_t *mask, const float *bias, float *out,
                  void *scratch, gn_pool *pool)
{
    struct plan plan;
    struct gn_sdpa attention;
    float *q, *k, *v, *o;
    char *rest;
    int status;
    if (!s || !w)
        return GN_K_NULL;
    plan = planned(s, rule != NULL, gn_pool_threads(pool));
    status = checked(s, w, rule, &plan, x, context, out, scratch);
    if (status)
        return status;
    q = (float *)((char *)scratch + plan.q_at);
    k = (float *)((char *)scratch + plan.k_at);
    v = (float *)((char *)scratch + plan.v_at);
    o = (float *)((char *)scratch + plan.o_at);
    rest = (char *)scratch + plan.rest_at;
    if (!plan.q_rows || !s->out_width)
        return GN_K_OK;
    attention = seen(s);
    interleave(&attention, &plan, rule ? 2 : 1);
    status = project(x, plan.q_rows, w->q, plan.q_wide, s->width, w->q_bias, q, rest, pool);
    if (!status)
        status = project(context, plan.k_rows, w->k, plan.k_wide, s->context_width, w->k_bias, k, rest, pool);
    if (!status)
        status = project(context, plan.k_rows, w->v, plan.v_wide, s->context_width, w->v_bias, v, rest, pool);
    if (!status && rule)
        status = two_attentions(&attention, rule, q, k, s->dim, s->dim, v, mask, bias, o,
                                (float *)((char *)scratch + plan.second_at), 1, rest, pool);
    else if (!status)
        status = gn_sdpa(&attention, q, k, v, mask, bias, o, rest, pool);
    if (!status)
        status = project(o, plan.q_rows, w->out, s->out_width, plan.o_wide, w->out_bias, out, rest, pool);
    return status;
}

float gn_differential_lambda(const float *q1, const float *k1, const float *q2, const float *k2, size_t dim, float init)
{
    double first = 0, second = 0;
    for (size_t i = 0; i < dim; i++) {
        first += (double)q1[i] * k1[i];
        second += (double)q2[i] * k2[i];
    }
    return (float)(exp(first) - exp(second) + init);
}

static size_t pieces(const struct gn_heads *s, int threads, size_t *rest_at)
{
    struct gn_sdpa attention = seen(s);
    int over = 0;
    size_t size = 0, rows = times(times(s->batch, s->heads, &over), s->queries, &over);
    gn_room(&size, rows, s->value_dim, sizeof(float));
    *rest_at = gn_room(&size, gn_sdpa_scratch(&attention, threads), 1, 1);
    if (over || gn_too_large(times(rows, 2, &over), s->dim, sizeof(float)) ||
        gn_too_large(times(times(times(s->batch, s->kv_heads, &over), s->keys, &over), 2, &over),
                     larger(s->dim, s->value_dim), sizeof(float)) || over)
        return SIZE_MAX;
    return size;
}

size_t gn_differential_scratch(const struct gn_heads *shape, int threads)
{
    size_t rest;
    return shape ? pieces(shape, threads, &rest) : SIZE_MAX;
}

int gn_differential(const struct gn_heads *s, const struct gn_differential *rule, const float *q, const float *k,
                    const float *v, const uint8_t *mask, const float *bias, float *out, void *scratch, gn_pool *pool)
{
    struct gn_sdpa it;
    size_t rest, size, q_pair, k_pair, q_bytes, k_bytes, out_bytes;
    int status;
    if (!s || !rule)
        return GN_K_NULL;
    size = pieces(s, gn_pool_threads(pool), &rest);
    if (size == SIZE_MAX || (s->heads && (!s->kv_heads || s->heads % s->kv_heads)))
        return GN_K_SIZE;
    status = rule_checked(rule, s->heads);
    if (status)
        return status;
    q_pair = s->queries * s->dim;
    k_pair = s->keys * s->dim;
    q_bytes = s->batch * s->heads * q_pair * 2 * sizeof(float);
    k_bytes = s->batch * s->kv_heads * k_pair * 2 * sizeof(float);
    out_bytes = s->batch * s->heads * s->queries * s->value_dim * sizeof(float);
    if ((size && !scratch) || (q_bytes && !q) || (k_bytes && !k) || (out_bytes && !out))
        return GN_K_NULL;
    if (gn_overlap(out, out_bytes, q, q_bytes) || gn_overlap(out, out_bytes, k, k_bytes))
        return GN_K_OVERLAP;
    if (!out_bytes)
        return GN_K_OK;
    it = seen(s);
    it.q_strides[0] *= 2;
    it.q_strides[1] *= 2;
    it.k_strides[0] *= 2;
    it.k_strides[1] *= 2;
    return two_attentions(&it, rule, q, k, q_pair, k_pair, v, mask, bias, out, scratch, s->queries ? s->queries : 1,
                          (char *)scratch + rest, pool);
}
