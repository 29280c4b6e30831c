/* K winners take all: arguments, rows over threads, and sorting many winners. The loops: kwta_body.h. */
#include "selection/ops.h"

#include "base/pool.h"
#include "base/sizes.h"
#include "ganglion/kernels/selection.h"

#include <math.h>
#include <string.h>

static const struct gn_selection_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_selection);

enum { ROWS_A_PART = 8, LINE = 64, DIGITS = 256 };

static size_t lines(size_t count) { return (count * 4 + LINE - 1) / LINE * LINE; }

/* One worker's arrays in a row: their bytes, and where they begin when there is a scratch. */
static size_t lay_out(char *at, size_t n, size_t k, struct kwta_room *room)
{
    size_t all = lines(n + PACK_ROOM), few = lines(k + PACK_ROOM), many = k > 128 ? lines(4 * k) : 0;
    size_t maxima = lines(n / 3 + 8 * PACK_ROOM);
    if (at) {
        room->won = (float *)at;
        room->won_at = (int32_t *)(at + few);
        room->keys = (uint32_t *)(at + 2 * few);
        room->maxima = (float *)(at + 2 * few + many);
        at += 2 * few + many + maxima;
        room->values = (float *)at;
        room->map = (int32_t *)(at + all);
        room->work = (float *)(at + 2 * all);
        room->shown = (float *)(at + 3 * all);
        room->shown_at = (int32_t *)(at + 4 * all);
    }
    return 2 * few + many + maxima + 5 * all;
}

size_t gn_kwta_scratch(size_t n, size_t k, int threads)
{
    if (n > INT32_MAX || k > n || threads < 1 || threads > 256)
        return SIZE_MAX;
    return lay_out(NULL, n, k, NULL) * (size_t)threads;
}

/* Least significant digit first, a stable counting sort of 8 bits at a time; a digit that all share is left out. */
void gn_kwta_sort(float *won, int32_t *won_at, size_t count, uint32_t *keys)
{
    uint32_t *from = keys, *to = keys + 2 * count, *swap, counts[4][DIGITS];
    memset(counts, 0, sizeof counts);
    for (size_t i = 0; i < count; i++) {
        float positive = won[i] + 0.0f; /* -0 is +0 */
        uint32_t bits;
        memcpy(&bits, &positive, sizeof bits);
        bits = bits >> 31 ? bits : ~bits & 0x7fffffffu; /* ascending order of these is descending order of floats */
        memcpy(from + 2 * i, &bits, sizeof bits);
        from[2 * i + 1] = (uint32_t)i;
        for (int d = 0; d < 4; d++)
            counts[d][bits >> 8 * d & 255u]++;
    }
    for (int d = 0; d < 4; d++) {
        uint32_t place = 0;
        if (counts[d][from[0] >> 8 * d & 255u] == count)
            continue;
        for (int digit = 0; digit < DIGITS; digit++) {
            uint32_t here = counts[d][digit];
            counts[d][digit] = place;
            place += here;
        }
        for (size_t i = 0; i < count; i++) {
            uint32_t *into = to + 2 * (size_t)counts[d][from[2 * i] >> 8 * d & 255u]++;
            into[0] = from[2 * i];
            into[1] = from[2 * i + 1];
        }
        swap = from;
        from = to;
        to = swap;
    }
    for (size_t i = 0; i < count; i++) /* `to` is free: values, then places */
        memcpy(to + i, won + from[2 * i + 1], sizeof *to);
    for (size_t i = 0; i < count; i++)
        to[count + i] = (uint32_t)won_at[from[2 * i + 1]];
    memcpy(won, to, count * sizeof *won);
    memcpy(won_at, to + count, count * sizeof *won_at);
}

struct job {
    const struct gn_selection_ops *ops;
    const float *x;
    const uint8_t *mask;
    size_t mask_stride, rows, n, k, room_bytes;
    int sorted;
    int32_t *indices;
    float *values, *dense;
    char *scratch;
};

static void one_row(const struct job *job, size_t row, const struct kwta_room *room)
{
    const float *x = job->x + row * job->n;
    const uint8_t *mask = job->mask ? job->mask + row * job->mask_stride : NULL;
    size_t k = job->k, won = job->ops->kwta(x, mask, job->n, k, job->sorted, room);
    if (job->dense) {
        float *out = job->dense + row * job->n;
        memset(out, 0, job->n * sizeof *out);
        for (size_t i = 0; i < won; i++)
            out[room->won_at[i]] = room->won[i];
        return;
    }
    for (size_t i = won; i < k; i++) {
        room->won[i] = NAN;
        room->won_at[i] = -1;
    }
    if (job->indices)
        memcpy(job->indices + row * k, room->won_at, k * sizeof *room->won_at);
    if (job->values)
        memcpy(job->values + row * k, room->won, k * sizeof *room->won);
}

static void some_rows(void *given, size_t part, int worker)
{
    const struct job *job = given;
    size_t end = (part + 1) * ROWS_A_PART < job->rows ? (part + 1) * ROWS_A_PART : job->rows;
    struct kwta_room room;
    lay_out(job->scratch + (size_t)worker * job->room_bytes, job->n, job->k, &room);
    for (size_t row = part * ROWS_A_PART; row < end; row++)
        one_row(job, row, &room);
}

static int checked(const struct job *job)
{
    size_t elements, bytes;
    if (job->n > INT32_MAX || job->k > job->n || __builtin_mul_overflow(job->rows, job->n, &elements) ||
        __builtin_mul_overflow(elements, sizeof(float), &bytes))
        return GN_K_SIZE;
    if (job->mask && job->mask_stride && (job->mask_stride < job->n || job->mask_stride > SIZE_MAX / (job->rows + 1)))
        return GN_K_SIZE;
    if (job->sorted != 0 && job->sorted != 1)
        return GN_K_VALUE;
    if (elements && (!job->x || !job->scratch))
        return GN_K_NULL;
    if (gn_overlap(job->x, bytes, job->indices, job->rows * job->k * 4) ||
        gn_overlap(job->x, bytes, job->values, job->rows * job->k * 4) ||
        gn_overlap(job->values, job->rows * job->k * 4, job->indices, job->rows * job->k * 4) ||
        gn_overlap(job->x, bytes, job->dense, bytes))
        return GN_K_OVERLAP;
    return GN_K_OK;
}

static int run(struct job *job, gn_pool *pool)
{
    int status = checked(job);
    if (status != GN_K_OK || !job->rows || !job->n)
        return status;
    job->ops = levels[gn_isa_level];
    job->room_bytes = lay_out(NULL, job->n, job->k, NULL);
    gn_pool_run(pool, some_rows, job, (job->rows - 1) / ROWS_A_PART + 1);
    return GN_K_OK;
}

int gn_kwta(const float *x, const uint8_t *mask, size_t mask_stride, size_t rows, size_t n, size_t k, int sorted,
            int32_t *indices, float *values, void *scratch, gn_pool *pool)
{
    struct job job = {.x = x, .mask = mask, .mask_stride = mask_stride, .rows = rows, .n = n, .k = k,
                      .sorted = sorted, .indices = indices, .values = values, .scratch = scratch};
    return run(&job, pool);
}

int gn_kwta_planned(const float *x, const struct gn_kwta_plan *plan)
{
    if (!plan)
        return GN_K_NULL;
    return gn_kwta(x, plan->mask, plan->mask_stride, plan->rows, plan->n, plan->k, plan->sorted, plan->indices,
                   plan->values, plan->scratch, NULL);
}

int gn_kwta_dense(const float *x, const uint8_t *mask, size_t mask_stride, size_t rows, size_t n, size_t k, float *out,
                  void *scratch, gn_pool *pool)
{
    struct job job = {.x = x, .mask = mask, .mask_stride = mask_stride, .rows = rows, .n = n, .k = k,
                      .dense = out, .scratch = scratch};
    if (!out && rows && n)
        return GN_K_NULL;
    return run(&job, pool);
}
