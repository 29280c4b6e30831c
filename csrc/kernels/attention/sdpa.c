/* The public functions of float32 attention: checks, and which keys each block of queries visits. */
#include "attention/check.h"
#include "attention/ops.h"
#include "base/isa.h"
#include "base/pool.h"

#include <math.h>
#include <string.h>

static const struct gn_attention_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_attention);

/* What the parts of a job share. blocks: a user's layout, or NULL. */
struct sdpa_job {
    const struct gn_sdpa *shape;
    const float *q, *k, *v, *bias;
    const uint8_t *mask;
    float *out;
    char *scratch;
    size_t scratch_step; /* bytes a worker */
    size_t window, globals;
    size_t block;
    const uint32_t *starts, *columns;
    size_t rows, parts; /* queries a part at most, and parts a head */
    size_t lead;        /* the first queries, that see all keys, in parts of their own */
};

void gn_sdpa_dense(struct gn_sdpa *shape)
{
    const size_t rows[4] = {shape->queries, shape->keys, shape->keys, shape->queries};
    const size_t heads[4] = {shape->heads, shape->kv_heads, shape->kv_heads, shape->heads};
    const size_t widths[4] = {shape->dim, shape->dim, shape->value_dim, shape->value_dim};
    size_t *const strides[4] = {shape->q_strides, shape->k_strides, shape->v_strides, shape->out_strides};
    for (int i = 0; i < 4; i++) {
        strides[i][2] = widths[i];
        strides[i][1] = rows[i] * widths[i];
        strides[i][0] = heads[i] * strides[i][1];
    }
    memset(shape->mask_strides, 0, sizeof shape->mask_strides);
    memset(shape->bias_strides, 0, sizeof shape->bias_strides);
}

static int check(const struct sdpa_job *job)
{
    return gn_sdpa_check(job->shape, job->q, job->k, job->v, job->mask, job->bias, job->out, sizeof(float));
}

/* One query each of several heads that share their keys is several queries of one head: then keys are read once for
 * all of them. A single query sees all keys, causal or not. */
static struct gn_sdpa heads_as_queries(const struct gn_sdpa *shape)
{
    struct gn_sdpa other = *shape;
    size_t *const strides[] = {other.q_strides, other.out_strides, other.mask_strides, other.bias_strides};
    other.queries = shape->heads / shape->kv_heads;
    other.heads = shape->kv_heads;
    other.causal = 0;
    for (size_t i = 0; i < sizeof strides / sizeof strides[0]; i++) {
        strides[i][2] = strides[i][1];
        strides[i][1] *= other.queries;
    }
    return other;
}

/* Bytes of scratch for one thread: a block's panels with one to spare, and the scores of a visit. */
static size_t scratch_one(const struct gn_sdpa *shape)
{
    size_t rows = shape->queries, width, bytes;
    if (rows == 1 && shape->kv_heads)
        rows = shape->heads / shape->kv_heads;
    rows = rows < GN_SDPA_ROWS ? rows : GN_SDPA_ROWS;
    if (shape->dim > GN_SDPA_EXTENT_MAX || shape->value_dim > GN_SDPA_EXTENT_MAX)
        return SIZE_MAX;
    width = shape->dim + shape->value_dim + 64;
    if (__builtin_mul_overflow((rows + GN_SDPA_LANES) * sizeof(float), width, &bytes) || bytes > GN_SDPA_EXTENT_MAX)
        return SIZE_MAX;
    bytes += (GN_SDPA_KEYS + 2) * GN_SDPA_LANES * sizeof(float);
    return (bytes + 63) / 64 * 64;
}

size_t gn_sdpa_scratch(const struct gn_sdpa *shape, int threads)
{
    size_t one, all;
    if (!shape || threads < 1)
        return SIZE_MAX;
    one = scratch_one(shape);
    if (one == SIZE_MAX || __builtin_mul_overflow(one, (size_t)threads, &all) || all > GN_SDPA_EXTENT_MAX)
        return SIZE_MAX;
    return all;
}

/* Rows begin..end - 1 of a user's layout's row of blocks, or of all rows with one rule. */
static void visit_layout(const struct sdpa_job *job, const struct gn_attention_ops *ops,
                         const struct gn_sdpa_block *block, size_t layout_row)
{
    for (uint32_t i = job->starts[layout_row], next; i < job->starts[layout_row + 1]; i = next) {
        size_t begin = job->columns[i] * job->block, end;
        for (next = i + 1; next < job->starts[layout_row + 1] && job->columns[next] == job->columns[next - 1] + 1;)
            next++;
        end = (size_t)job->columns[next - 1] + 1;
        end = end > job->shape->keys / job->block ? job->shape->keys : end * job->block;
        ops->visit(block, begin, end, GN_SDPA_NO_WINDOW);
    }
}

static void run_part(void *argument, size_t part, int worker)
{
    const struct sdpa_job *job = argument;
    const struct gn_sdpa *s = job->shape;
    const struct gn_attention_ops *ops = levels[gn_isa_level];
    size_t head = part / job->parts % s->heads, batch = part / job->parts / s->heads;
    size_t kv_head = head / (s->heads / s->kv_heads);
    /* The last rows first: with `causal` they are the longest, and what is left at the end should be short. */
    size_t index = job->parts - 1 - part % job->parts, first, end, layout_row = 0;
    size_t lead_parts = (job->lead + job->rows - 1) / job->rows;
    if (job->block) {
        size_t per = (job->block + job->rows - 1) / job->rows;
        layout_row = index / per;
        first = layout_row * job->block + index % per * job->rows;
        end = (layout_row + 1) * job->block;
        end = end < s->queries ? end : s->queries;
        if (first >= end)
            return;
    } else {
        first = index < lead_parts ? index * job->rows : job->lead + (index - lead_parts) * job->rows;
        end = index < lead_parts ? job->lead : s->queries;
    }
    struct gn_sdpa_block block = {
        .q = job->q + batch * s->q_strides[0] + head * s->q_strides[1] + first * s->q_strides[2],
        .k = job->k + batch * s->k_strides[0] + kv_head * s->k_strides[1],
        .v = job->v + batch * s->v_strides[0] + kv_head * s->v_strides[1],
        .out = job->out + batch * s->out_strides[0] + head * s->out_strides[1] + first * s->out_strides[2],
        .q_row = s->q_strides[2], .k_row = s->k_strides[2], .v_row = s->v_strides[2], .out_row = s->out_strides[2],
        .mask_row = s->mask_strides[2], .bias_row = s->bias_strides[2],
        .rows = end - first < job->rows ? end - first : job->rows,
        .keys = s->keys, .dim = s->dim, .value_dim = s->value_dim,
        .position = (ptrdiff_t)first + (ptrdiff_t)s->keys - (ptrdiff_t)s->queries,
        .scale = s->scale, .causal = s->causal != 0,
        .scratch = (float *)(void *)(job->scratch + (size_t)worker * job->scratch_step),
    };
    if (job->mask)
        block.mask = job->mask + batch * s->mask_strides[0] + head * s->mask_strides[1] + first * s->mask_strides[2];
    if (job->bias)
        block.bias = job->bias + batch * s->bias_strides[0] + head * s->bias_strides[1] + first * s->bias_strides[2];
    ops->begin(&block);
    if (job->block) {
        visit_layout(job, ops, &block, layout_row);
    } else if (first < job->lead) {
        ops->visit(&block, 0, s->keys, GN_SDPA_NO_WINDOW);
    } else {
        if (job->globals)
            ops->visit(&block, 0, job->globals, GN_SDPA_NO_WINDOW);
        ops->visit(&block, job->globals, s->keys, job->window);
    }
    ops->finish(&block);
}

/* How many queries a part has. Rows do not depend on it; threads want several parts each. */
static size_t part_rows(const struct gn_sdpa *s, size_t queries, int threads)
{
    size_t heads = s->batch * s->heads, parts = (queries + GN_SDPA_ROWS - 1) / GN_SDPA_ROWS, rows;
    size_t wanted = threads > 1 ? (size_t)threads * 4 : 1;
    if (parts * heads < wanted)
        parts = (wanted + heads - 1) / heads;
    rows = (queries + parts - 1) / parts;
    rows = (rows + 31) / 32 * 32; /* whole panels */
    return rows < GN_SDPA_ROWS ? rows : GN_SDPA_ROWS;
}

static int run(struct sdpa_job *job, gn_pool *pool)
{
    const struct gn_sdpa *s = job->shape;
    int threads = gn_pool_threads(pool);
    if (!s->batch || !s->heads || !s->queries || !s->value_dim)
        return GN_K_OK;
    job->scratch_step = scratch_one(s);
    if (gn_sdpa_scratch(s, threads) == SIZE_MAX)
        return GN_K_SIZE;
    if (!job->scratch)
        return GN_K_NULL;
    job->rows = part_rows(s, job->block && job->block < s->queries ? job->block : s->queries, threads);
    if (job->block) {
        size_t per = (job->block + job->rows - 1) / job->rows;
        job->parts = (s->queries + job->block - 1) / job->block * per;
    } else {
        job->parts = (job->lead + job->rows - 1) / job->rows + (s->queries - job->lead + job->rows - 1) / job->rows;
    }
    gn_pool_run(pool, run_part, job, s->batch * s->heads * job->parts);
    return GN_K_OK;
}

int gn_sdpa(const struct gn_sdpa *shape, const float *q, const float *k, const float *v, const uint8_t *mask,
            const float *bias, float *out, void *scratch, gn_pool *pool)
{
    struct sdpa_job job = {.shape = shape, .q = q, .k = k, .v = v, .mask = mask, .bias = bias, .out = out,
                           .scratch = scratch, .window = GN_SDPA_NO_WINDOW};
    struct gn_sdpa other;
    int status = check(&job);
    if (status)
        return status;
    if (shape->heads != shape->kv_heads && shape->queries == 1) {
        other = heads_as_queries(shape);
        job.shape = &other;
    }
    return run(&job, pool);
}

int gn_sdpa_local(const struct gn_sdpa *shape, size_t window, size_t globals, const float *q, const float *k,
                  const float *v, const uint8_t *mask, const float *bias, float *out, void *scratch, gn_pool *pool)
{
    struct sdpa_job job = {.shape = shape, .q = q, .k = k, .v = v, .mask = mask, .bias = bias, .out = out,
                           .scratch = scratch, .window = window};
    int status = check(&job);
    if (status)
        return status;
    if (window >= shape->queries + shape->keys) /* wider than any distance */
        job.window = GN_SDPA_NO_WINDOW;
    job.globals = globals < shape->keys ? globals : shape->keys;
    /* Query i is global when i + keys - queries < globals. */
    if (job.globals + shape->queries > shape->keys)
        job.lead = job.globals + shape->queries - shape->keys;
    if (!job.globals || job.lead > shape->queries)
        job.lead = job.globals ? shape->queries : 0;
    return run(&job, pool);
}

static int check_layout(const struct gn_sdpa *shape, size_t block, const uint32_t *starts, const uint32_t *columns)
{
    size_t rows, cols;
    if (!block)
        return GN_K_SIZE;
    rows = shape->queries / block + (shape->queries % block != 0);
    cols = shape->keys / block + (shape->keys % block != 0);
    if (!starts)
        return GN_K_NULL;
    if (starts[0] != 0)
        return GN_K_VALUE;
    for (size_t r = 0; r < rows; r++) {
        if (starts[r + 1] < starts[r])
            return GN_K_VALUE;
        if (starts[r + 1] > starts[r] && !columns)
            return GN_K_NULL;
        for (size_t i = starts[r]; i < starts[r + 1]; i++)
            if (columns[i] >= cols || (i > starts[r] && columns[i] <= columns[i - 1]))
                return GN_K_VALUE;
    }
    return GN_K_OK;
}

int gn_sdpa_blocks(const struct gn_sdpa *shape, size_t block, const uint32_t *starts, const uint32_t *columns,
                   const float *q, const float *k, const float *v, const uint8_t *mask, const float *bias, float *out,
                   void *scratch, gn_pool *pool)
{
    struct sdpa_job job = {.shape = shape, .q = q, .k = k, .v = v, .mask = mask, .bias = bias, .out = out,
                           .scratch = scratch, .window = GN_SDPA_NO_WINDOW, .starts = starts, .columns = columns};
    int status = check(&job);
    if (!status)
        status = check_layout(shape, block, starts, columns);
    if (status)
        return status;
    job.block = block < shape->queries + shape->keys + 1 ? block : shape->queries + shape->keys + 1;
    return run(&job, pool);
}
