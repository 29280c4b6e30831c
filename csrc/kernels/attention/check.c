/* What every function of this family refuses: sizes, distances, pointers, overlaps. */
#include "attention/check.h"
#include "base/sizes.h"

#include <math.h>

/* Elements from the first of an array to behind its last, 0 for an empty one, SIZE_MAX when that is too many. */
static size_t extent(const size_t strides[3], size_t batch, size_t heads, size_t rows, size_t width)
{
    const size_t counts[3] = {batch, heads, rows};
    size_t sum = width;
    if (!batch || !heads || !rows || !width)
        return 0;
    for (int i = 0; i < 3; i++) {
        size_t far;
        if (__builtin_mul_overflow(counts[i] - 1, strides[i], &far) || __builtin_add_overflow(sum, far, &sum))
            return SIZE_MAX;
    }
    return sum > GN_SDPA_EXTENT_MAX ? SIZE_MAX : sum;
}

/* Whether no two rows of out share an element: taken from the shortest distance up, each passes what lies within. */
static int rows_apart(const struct gn_sdpa *shape)
{
    const size_t counts[3] = {shape->batch, shape->heads, shape->queries};
    size_t within = shape->value_dim;
    int done[3] = {0, 0, 0};
    for (int round = 0; round < 3; round++) {
        int next = -1;
        for (int i = 0; i < 3; i++)
            if (!done[i] && (next < 0 || counts[i] < 2 ||
                             (counts[next] > 1 && shape->out_strides[i] < shape->out_strides[next])))
                next = i;
        done[next] = 1;
        if (counts[next] < 2)
            continue;
        if (shape->out_strides[next] < within)
            return 0;
        within += (counts[next] - 1) * shape->out_strides[next];
    }
    return 1;
}

static int sizes_fit(const struct gn_sdpa *shape)
{
    const size_t sizes[] = {shape->batch, shape->heads, shape->kv_heads, shape->queries,
                            shape->keys,  shape->dim,   shape->value_dim};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i] > GN_SDPA_EXTENT_MAX)
            return 0;
    return !shape->heads || (shape->kv_heads && shape->heads % shape->kv_heads == 0);
}

int gn_sdpa_check(const struct gn_sdpa *s, const void *q, const void *k, const void *v, const uint8_t *mask,
                  const float *bias, const void *out, size_t element)
{
    size_t of_q, of_k, of_v, of_out, of_mask = 0, of_bias = 0, all;
    if (!s)
        return GN_K_NULL;
    if (!sizes_fit(s))
        return GN_K_SIZE;
    of_q = extent(s->q_strides, s->batch, s->heads, s->queries, s->dim);
    of_k = extent(s->k_strides, s->batch, s->kv_heads, s->keys, s->dim);
    of_v = extent(s->v_strides, s->batch, s->kv_heads, s->keys, s->value_dim);
    of_out = extent(s->out_strides, s->batch, s->heads, s->queries, s->value_dim);
    if (mask)
        of_mask = extent(s->mask_strides, s->batch, s->heads, s->queries, s->keys);
    if (bias)
        of_bias = extent(s->bias_strides, s->batch, s->heads, s->queries, s->keys);
    if (of_q == SIZE_MAX || of_k == SIZE_MAX || of_v == SIZE_MAX || of_out == SIZE_MAX || of_mask == SIZE_MAX ||
        of_bias == SIZE_MAX)
        return GN_K_SIZE;
    if (__builtin_mul_overflow(s->batch, s->heads, &all) || __builtin_mul_overflow(all, s->queries, &all))
        return GN_K_SIZE;
    if ((of_q && !q) || (of_k && !k) || (of_v && !v) || (of_out && !out))
        return GN_K_NULL;
    if (!isfinite(s->scale))
        return GN_K_VALUE;
    if (of_out && !rows_apart(s))
        return GN_K_SIZE;
    of_out *= element;
    if (gn_overlap(out, of_out, q, of_q * element) || gn_overlap(out, of_out, k, of_k * element) ||
        gn_overlap(out, of_out, v, of_v * element) || gn_overlap(out, of_out, mask, of_mask) ||
        gn_overlap(out, of_out, bias, of_bias * sizeof(float)))
        return GN_K_OVERLAP;
    return GN_K_OK;
}
