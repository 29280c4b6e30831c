/* The public functions of 16-bit and three-product attention: the way a type takes on a level, packing and threads. */
#include "ganglion/kernels/attention16.h"

#include "attention/check.h"
#include "attention/halves_ops.h"
#include "base/isa.h"
#include "base/pool.h"
#include "ganglion/kernels/elementwise.h"

#include <string.h>

#ifndef F32X3_KEYS_MIN /* tests of the tiles' logic take fewer */
#define F32X3_KEYS_MIN 256
#endif

enum { LINE = 64, ROWS_A_PART = 64 };

/* What a level multiplies by units of its own: [level][planes - 1]. */
static const struct gn_halves_ops *const levels[GN_ISA_COUNT][2] = {
#if defined(__x86_64__)
    [GN_ISA_GENOA] = {&gn_halves_genoa, NULL},
    [GN_ISA_SAPPHIRE] = {&gn_halves_sapphire, &gn_halves_sapphire},
#endif
    [GN_ISA_SERIAL] = {NULL, NULL},
};

/* NULL: by gn_sdpa. Few keys are not worth two planes, and average fewer of their errors. */
static const struct gn_halves_ops *unit_of(int level, int type, size_t keys)
{
    if (type == GN_SDPA_F16 || (type == GN_SDPA_F32X3 && keys < F32X3_KEYS_MIN))
        return NULL;
    return levels[level][type == GN_SDPA_F32X3];
}

int gn_sdpa_typed_native(int type)
{
    return type >= 0 && type < GN_SDPA_TYPE_COUNT && unit_of(gn_isa_level, type, SIZE_MAX) != NULL;
}

/* Products and sums of bytes that become SIZE_MAX and stay it. */
static size_t times(size_t a, size_t b)
{
    size_t all;
    return a == SIZE_MAX || b == SIZE_MAX || __builtin_mul_overflow(a, b, &all) || all > PTRDIFF_MAX ? SIZE_MAX : all;
}

static size_t plus(size_t a, size_t b)
{
    size_t all;
    return a == SIZE_MAX || b == SIZE_MAX || __builtin_add_overflow(a, b, &all) || all > PTRDIFF_MAX ? SIZE_MAX : all;
}

static size_t line(size_t bytes)
{
    bytes = plus(bytes, LINE - 1);
    return bytes == SIZE_MAX ? SIZE_MAX : bytes / LINE * LINE;
}

static size_t padded(size_t n)
{
    n = plus(n, GN_HALVES_PAD - 1);
    return n == SIZE_MAX ? SIZE_MAX : n / GN_HALVES_PAD * GN_HALVES_PAD;
}

/* Where the parts of the scratch lie: packed k, packed v, flags, the workers'. Returns the bytes of all. */
static size_t lay(struct gn_halves_job *job, const struct gn_halves_ops *ops, int threads, char *scratch)
{
    const struct gn_sdpa *is = job->is;
    size_t heads = times(is->batch, is->kv_heads), planes = times(heads, (size_t)job->planes * sizeof(uint16_t));
    size_t k, v, odd, all;
    job->keys_padded = padded(is->keys);
    job->dim_padded = padded(is->dim);
    job->value_padded = padded(is->value_dim);
    k = times(times(planes, job->keys_padded), job->dim_padded);
    v = times(times(planes, job->keys_padded), job->value_padded);
    odd = line(times(heads, job->keys_padded / GN_HALVES_PAD));
    /* A worker's part is less than 2^20 times the dims. */
    if (times(plus(job->dim_padded, job->value_padded), (size_t)1 << 20) == SIZE_MAX)
        return SIZE_MAX;
    job->work_bytes = ops->work_bytes(job);
    all = plus(plus(plus(k, v), odd), times(job->work_bytes, (size_t)threads));
    if (all == SIZE_MAX || !scratch)
        return all;
    job->packed_k = (uint16_t *)(void *)scratch;
    job->packed_v = (uint16_t *)(void *)(scratch + k);
    job->odd = (uint8_t *)scratch + k + v;
    job->work = scratch + k + v + odd;
    return all;
}

/* What a job's parts share beside it. */
struct native_run {
    struct gn_halves_job job;
    const struct gn_halves_ops *ops;
    size_t parts, rows; /* a head's parts, queries of a part */
};

static void pack_part(void *argument, size_t part, int worker)
{
    const struct native_run *run = argument;
    size_t groups = run->job.keys_padded / GN_HALVES_PAD;
    (void)worker;
    run->ops->pack(&run->job, part / groups, part % groups * GN_HALVES_PAD);
}

static void block_part(void *argument, size_t part, int worker)
{
    const struct native_run *run = argument;
    size_t queries = run->job.is->queries;
    /* The last rows first: with `causal` they are the longest. */
    size_t first = (run->parts - 1 - part % run->parts) * run->rows;
    run->ops->block(&run->job, part / run->parts, first, queries - first < run->rows ? queries - first : run->rows,
                    run->job.work + (size_t)worker * run->job.work_bytes);
}

/* Few parts leave threads idle: then parts are smaller. Rows do not depend on it. */
static size_t rows_of_part(const struct gn_sdpa *is, size_t most, int threads)
{
    size_t heads = is->batch * is->heads, wanted = threads > 1 ? (size_t)threads * 4 : 1, rows;
    if ((is->queries + most - 1) / most * heads >= wanted)
        return most;
    rows = (is->queries * heads + wanted - 1) / wanted;
    rows = (rows + 31) / 32 * 32;
    return rows < most ? rows : most;
}

static int run_native(struct gn_halves_job *job, const struct gn_halves_ops *ops, void *scratch, gn_pool *pool)
{
    const struct gn_sdpa *is = job->is;
    struct native_run run = {.ops = ops};
    int threads = gn_pool_threads(pool);
    if (lay(job, ops, threads, scratch) == SIZE_MAX)
        return GN_K_SIZE;
    if (!scratch)
        return GN_K_NULL;
    run.job = *job;
    run.rows = rows_of_part(is, ops->block_rows, threads);
    run.parts = (is->queries + run.rows - 1) / run.rows;
    gn_pool_run(pool, pack_part, &run, is->batch * is->kv_heads * (job->keys_padded / GN_HALVES_PAD));
    gn_pool_run(pool, block_part, &run, is->batch * is->heads * run.parts);
    return GN_K_OK;
}

/* The other way: float copies of q, k, v and out, dense, and gn_sdpa on them. */
struct float_run {
    const struct gn_sdpa *is;
    int half;
    size_t copies[4]; /* elements of the copies of q, k, v, out */
    struct {
        const uint16_t *from;
        uint16_t *to; /* out: back from the copy */
        float *copy;
        const size_t *strides;
        size_t heads, rows, width, parts;
    } arrays[4];
};

static size_t lay_floats(struct float_run *run, float *copy)
{
    const struct gn_sdpa *is = run->is;
    const size_t heads[4] = {is->heads, is->kv_heads, is->kv_heads, is->heads};
    const size_t rows[4] = {is->queries, is->keys, is->keys, is->queries};
    const size_t widths[4] = {is->dim, is->dim, is->value_dim, is->value_dim};
    const size_t *const strides[4] = {is->q_strides, is->k_strides, is->v_strides, is->out_strides};
    size_t all = 0;
    for (int i = 0; i < 4; i++) {
        size_t bytes = line(times(times(times(times(is->batch, heads[i]), rows[i]), widths[i]), sizeof(float)));
        run->arrays[i].copy = copy ? copy + all / sizeof(float) : NULL;
        run->arrays[i].strides = strides[i];
        run->arrays[i].heads = heads[i];
        run->arrays[i].rows = rows[i];
        run->arrays[i].width = widths[i];
        run->arrays[i].parts = (rows[i] + ROWS_A_PART - 1) / ROWS_A_PART;
        all = plus(all, bytes);
    }
    return all;
}

/* Rows of one array: part counts heads, then groups of rows. */
static void convert_rows(const struct float_run *run, int which, size_t part)
{
    size_t heads = run->arrays[which].heads, rows = run->arrays[which].rows, width = run->arrays[which].width;
    size_t head = part / run->arrays[which].parts, row = part % run->arrays[which].parts * ROWS_A_PART;
    size_t end = rows - row < ROWS_A_PART ? rows : row + ROWS_A_PART;
    const size_t *strides = run->arrays[which].strides;
    for (; row < end; row++) {
        size_t at = head / heads * strides[0] + head % heads * strides[1] + row * strides[2];
        float *copy = run->arrays[which].copy + (head * rows + row) * width;
        if (run->arrays[which].to)
            (void)gn_halve(run->half, copy, width, run->arrays[which].to + at);
        else
            (void)gn_unhalve(run->half, run->arrays[which].from + at, width, copy);
    }
}

static void convert_inputs(void *argument, size_t part, int worker)
{
    const struct float_run *run = argument;
    (void)worker;
    for (int i = 0; i < 3; i++) {
        size_t parts = run->is->batch * run->arrays[i].heads * run->arrays[i].parts;
        if (part < parts) {
            convert_rows(run, i, part);
            return;
        }
        part -= parts;
    }
}

static void convert_output(void *argument, size_t part, int worker)
{
    (void)worker;
    convert_rows(argument, 3, part);
}

static struct gn_sdpa dense_of(const struct gn_sdpa *is)
{
    struct gn_sdpa dense = *is;
    gn_sdpa_dense(&dense);
    memcpy(dense.mask_strides, is->mask_strides, sizeof dense.mask_strides);
    memcpy(dense.bias_strides, is->bias_strides, sizeof dense.bias_strides);
    return dense;
}

static int run_floats(int half, const struct gn_halves_job *job, void *scratch, gn_pool *pool)
{
    struct float_run run = {.is = job->is, .half = half};
    struct gn_sdpa dense = dense_of(job->is);
    size_t parts = 0, copies = lay_floats(&run, scratch);
    int status;
    if (plus(copies, gn_sdpa_scratch(&dense, gn_pool_threads(pool))) == SIZE_MAX)
        return GN_K_SIZE;
    if (!scratch)
        return GN_K_NULL;
    run.arrays[0].from = job->q;
    run.arrays[1].from = job->k;
    run.arrays[2].from = job->v;
    run.arrays[3].to = job->out;
    for (int i = 0; i < 3; i++)
        parts += job->is->batch * run.arrays[i].heads * run.arrays[i].parts;
    gn_pool_run(pool, convert_inputs, &run, parts);
    status = gn_sdpa(&dense, run.arrays[0].copy, run.arrays[1].copy, run.arrays[2].copy, job->mask, job->bias,
                     run.arrays[3].copy, (char *)scratch + copies, pool);
    if (status == GN_K_OK)
        gn_pool_run(pool, convert_output, &run, job->is->batch * job->is->heads * run.arrays[3].parts);
    return status;
}

/* The most of any level of this machine: a level may be forced between this and the call. */
size_t gn_sdpa_typed_scratch(int type, const struct gn_sdpa *shape, int threads)
{
    struct float_run run = {.is = shape};
    size_t most;
    if (!shape || threads < 1 || type < 0 || type >= GN_SDPA_TYPE_COUNT)
        return SIZE_MAX;
    most = gn_sdpa_scratch(shape, threads);
    if (type != GN_SDPA_F32X3)
        most = plus(lay_floats(&run, NULL), most);
    for (int level = 0; level < GN_ISA_COUNT; level++) {
        const struct gn_halves_ops *ops = unit_of(level, type, shape->keys);
        struct gn_halves_job job = {.is = shape, .planes = type == GN_SDPA_F32X3 ? 2 : 1};
        size_t bytes = ops && (gn_isa_has(level) || level == gn_isa_level) ? lay(&job, ops, threads, NULL) : 0;
        most = bytes > most ? bytes : most;
    }
    return most;
}

static int run_type(int type, struct gn_halves_job *job, void *scratch, gn_pool *pool)
{
    const struct gn_sdpa *is = job->is;
    const struct gn_halves_ops *ops;
    size_t element = type == GN_SDPA_F32X3 ? sizeof(float) : sizeof(uint16_t);
    int status = gn_sdpa_check(is, job->q, job->k, job->v, job->mask, job->bias, job->out, element);
    if (status || !is->batch || !is->heads || !is->queries || !is->value_dim)
        return status;
    job->planes = type == GN_SDPA_F32X3 ? 2 : 1;
    ops = unit_of(gn_isa_level, type, is->keys);
    if (ops)
        return run_native(job, ops, scratch, pool);
    if (type == GN_SDPA_F32X3)
        return gn_sdpa(is, job->q, job->k, job->v, job->mask, job->bias, job->out, scratch, pool);
    return run_floats(type == GN_SDPA_BF16 ? GN_BF16 : GN_F16, job, scratch, pool);
}

int gn_sdpa_bf16(const struct gn_sdpa *shape, const uint16_t *q, const uint16_t *k, const uint16_t *v,
                 const uint8_t *mask, const float *bias, uint16_t *out, void *scratch, gn_pool *pool)
{
    struct gn_halves_job job = {.is = shape, .q = q, .k = k, .v = v, .mask = mask, .bias = bias, .out = out};
    return run_type(GN_SDPA_BF16, &job, scratch, pool);
}

int gn_sdpa_f16(const struct gn_sdpa *shape, const uint16_t *q, const uint16_t *k, const uint16_t *v,
                const uint8_t *mask, const float *bias, uint16_t *out, void *scratch, gn_pool *pool)
{
    struct gn_halves_job job = {.is = shape, .q = q, .k = k, .v = v, .mask = mask, .bias = bias, .out = out};
    return run_type(GN_SDPA_F16, &job, scratch, pool);
}

int gn_sdpa_f32x3(const struct gn_sdpa *shape, const float *q, const float *k, const float *v, const uint8_t *mask,
                  const float *bias, float *out, void *scratch, gn_pool *pool)
{
    struct gn_halves_job job = {.is = shape, .q = q, .k = k, .v = v, .mask = mask, .bias = bias, .out = out};
    return run_type(GN_SDPA_F32X3, &job, scratch, pool);
}
