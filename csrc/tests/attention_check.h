/* For the tests of attention: a case with its arrays against guard pages, and the same in float64. */
#ifndef GN_ATTENTION_CHECK_H
#define GN_ATTENTION_CHECK_H
#include "kernel_check.h"

enum kind { WHOLE, LOCAL, BLOCKS };
enum { SEED_COLUMNS_MAX = 4096 };

/* A case: what to call and with what. Arrays are guarded; out is filled with NaN before each call. */
struct trial {
    struct gn_sdpa shape;
    enum kind kind;
    int masked, biased;
    size_t window, globals, block;
    uint32_t starts[300], columns[SEED_COLUMNS_MAX];
    struct guarded q_room, k_room, v_room, mask_room, bias_room, out_room;
    float *q, *k, *v, *bias, *out;
    uint8_t *mask;
    double *want, *bound; /* [batch][heads][queries][value_dim] */
};

UNUSED_FN void trial_layout(struct trial *t)
{
    size_t rows = (t->shape.queries + t->block - 1) / t->block, cols = (t->shape.keys + t->block - 1) / t->block;
    uint32_t at = 0;
    CHECK(rows + 1 <= 300 && rows * cols <= SEED_COLUMNS_MAX);
    for (size_t r = 0; r < rows; r++) {
        t->starts[r] = at;
        for (uint32_t c = 0; c < cols; c++)
            if (random_u64() % 3)
                t->columns[at++] = c;
    }
    t->starts[rows] = at;
}

/* Arrays for sizes that are set; rows of q, k, v and out are `gap` elements longer than they need. */
UNUSED_FN void trial_open(struct trial *t, size_t gap, size_t skew)
{
    struct gn_sdpa *s = &t->shape;
    size_t widths[4] = {s->dim, s->dim, s->value_dim, s->value_dim};
    size_t rows[4] = {s->queries, s->keys, s->keys, s->queries};
    size_t heads[4] = {s->heads, s->kv_heads, s->kv_heads, s->heads};
    size_t *strides[4] = {s->q_strides, s->k_strides, s->v_strides, s->out_strides};
    struct guarded *rooms[4] = {&t->q_room, &t->k_room, &t->v_room, &t->out_room};
    size_t pairs = s->batch * s->heads * s->queries * s->keys, results;
    gn_sdpa_dense(s);
    for (int i = 0; i < 4; i++) {
        if (gap) { /* [batch][rows][heads][width + gap], as projections leave it */
            strides[i][1] = widths[i] + gap;
            strides[i][2] = heads[i] * strides[i][1];
            strides[i][0] = rows[i] * strides[i][2];
        }
        *rooms[i] = guarded_new(s->batch * heads[i] * rows[i] * (widths[i] + gap) * sizeof(float), skew);
        fill_normal((float *)(void *)rooms[i]->data, s->batch * heads[i] * rows[i] * (widths[i] + gap));
    }
    t->q = (float *)(void *)t->q_room.data;
    t->k = (float *)(void *)t->k_room.data;
    t->v = (float *)(void *)t->v_room.data;
    t->out = (float *)(void *)t->out_room.data;
    t->mask_room = guarded_new(t->masked ? pairs : 0, skew);
    t->bias_room = guarded_new(t->biased ? pairs * sizeof(float) : 0, skew);
    t->mask = t->masked ? t->mask_room.data : NULL;
    t->bias = t->biased ? (float *)(void *)t->bias_room.data : NULL;
    for (size_t i = 0; i < pairs && t->masked; i++)
        t->mask[i] = random_u64() % 3 ? (uint8_t)(1 + random_u64() % 255) : 0;
    if (t->biased)
        fill_normal(t->bias, pairs);
    for (int i = 0; i < 3; i++)
        s->mask_strides[i] = s->bias_strides[i] = s->keys * (i < 2 ? s->queries : 1) * (i < 1 ? s->heads : 1);
    if (t->kind == BLOCKS)
        trial_layout(t);
    results = s->batch * s->heads * s->queries * s->value_dim;
    t->want = calloc(results + 1, sizeof(double));
    t->bound = calloc(results + 1, sizeof(double));
}

UNUSED_FN void trial_close(struct trial *t)
{
    struct guarded *rooms[6] = {&t->q_room, &t->k_room, &t->v_room, &t->mask_room, &t->bias_room, &t->out_room};
    for (int i = 0; i < 6; i++)
        guarded_free(rooms[i]);
    free(t->want);
    free(t->bound);
}

UNUSED_FN int trial_sees(const struct trial *t, size_t i, size_t j)
{
    long at = (long)i + (long)t->shape.keys - (long)t->shape.queries, far = labs((long)j - at);
    if (t->shape.causal && (long)j > at)
        return 0;
    if (t->kind == LOCAL)
        return far <= (long)t->window || j < t->globals || (t->globals && at < (long)t->globals);
    if (t->kind == BLOCKS) {
        for (uint32_t n = t->starts[i / t->block]; n < t->starts[i / t->block + 1]; n++)
            if (t->columns[n] == j / t->block)
                return 1;
        return 0;
    }
    return 1;
}

/* One row in float64, and how far float32 may be off: a score of dim products is off by at most e, so that its weight
 * is by a factor of exp(2e); weights and sums add a few roundings each, `keys` at worst. */
UNUSED_FN void trial_row(struct trial *t, size_t b, size_t h, size_t i, double *score)
{
    const struct gn_sdpa *s = &t->shape;
    size_t g = h / (s->heads / s->kv_heads), pair = ((b * s->heads + h) * s->queries + i) * s->keys;
    size_t result = ((b * s->heads + h) * s->queries + i) * s->value_dim;
    const float *q = t->q + b * s->q_strides[0] + h * s->q_strides[1] + i * s->q_strides[2];
    const float *k = t->k + b * s->k_strides[0] + g * s->k_strides[1];
    const float *v = t->v + b * s->v_strides[0] + g * s->v_strides[1];
    double most = -INFINITY, sum = 0, worst = 0;
    for (size_t j = 0; j < s->keys; j++) {
        double dot = 0, size = 0;
        for (size_t d = 0; d < s->dim; d++) {
            dot += (double)q[d] * k[j * s->k_strides[2] + d];
            size += fabs((double)q[d] * k[j * s->k_strides[2] + d]);
        }
        score[j] = dot * s->scale + (t->bias ? t->bias[pair + j] : 0);
        size = size * fabs(s->scale) + (t->bias ? fabs(t->bias[pair + j]) : 0);
        if (!trial_sees(t, i, j) || (t->mask && !t->mask[pair + j]))
            score[j] = -INFINITY;
        else
            worst = fmax(worst, size);
        most = fmax(most, score[j]);
    }
    worst = 2 * ((double)(s->dim + 6) * worst * 0x1p-24) + (double)(s->keys + 20) * 0x1p-23;
    for (size_t j = 0; j < s->keys && most > -INFINITY; j++)
        sum += score[j] = exp(score[j] - most);
    for (size_t j = 0; j < s->keys && most > -INFINITY; j++)
        for (size_t c = 0; c < s->value_dim && score[j] > 0; c++) {
            t->want[result + c] += score[j] / sum * v[j * s->v_strides[2] + c];
            t->bound[result + c] += score[j] / sum * fabs(v[j * s->v_strides[2] + c]) * worst;
        }
}

UNUSED_FN void trial_reference(struct trial *t)
{
    const struct gn_sdpa *s = &t->shape;
    double *score = calloc(s->keys + 1, sizeof *score);
    for (size_t b = 0; b < s->batch; b++)
        for (size_t h = 0; h < s->heads; h++)
            for (size_t i = 0; i < s->queries; i++)
                trial_row(t, b, h, i, score);
    free(score);
}

/* The call itself, with scratch that ends at a guard page. */
UNUSED_FN int trial_call(struct trial *t, gn_pool *pool)
{
    size_t size = gn_sdpa_scratch(&t->shape, gn_pool_threads(pool));
    struct guarded room;
    int status;
    CHECK(size != SIZE_MAX && size % 64 == 0);
    room = guarded_new(size, 0);
    for (size_t i = 0; i < size / sizeof(float); i++)
        ((float *)(void *)room.data)[i] = NAN;
    if (t->kind == LOCAL)
        status = gn_sdpa_local(&t->shape, t->window, t->globals, t->q, t->k, t->v, t->mask, t->bias, t->out, room.data,
                               pool);
    else if (t->kind == BLOCKS)
        status = gn_sdpa_blocks(&t->shape, t->block, t->starts, t->columns, t->q, t->k, t->v, t->mask, t->bias, t->out,
                                room.data, pool);
    else
        status = gn_sdpa(&t->shape, t->q, t->k, t->v, t->mask, t->bias, t->out, room.data, pool);
    guarded_free(&room);
    return status;
}

UNUSED_FN const float *trial_out(const struct trial *t, size_t b, size_t h, size_t i)
{
    const size_t *strides = t->shape.out_strides;
    return t->out + b * strides[0] + h * strides[1] + i * strides[2];
}

/* Calls on the level in use and compares with the reference. */
UNUSED_FN void trial_check(struct trial *t, gn_pool *pool)
{
    const struct gn_sdpa *s = &t->shape;
    size_t result = 0;
    CHECK(trial_call(t, pool) == GN_K_OK);
    for (size_t b = 0; b < s->batch; b++)
        for (size_t h = 0; h < s->heads; h++)
            for (size_t i = 0; i < s->queries; i++)
                for (size_t c = 0; c < s->value_dim; c++, result++)
                    CHECK(fabs(trial_out(t, b, h, i)[c] - t->want[result]) <= t->bound[result]);
}
#endif
