/* Soft competition, lateral inhibition and oscillators: arguments, and rows over threads. The loops: *_body.h. */
#include "selection/ops.h"

#include "base/pool.h"
#include "ganglion/kernels/selection.h"

#include <math.h>

static const struct gn_selection_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_selection);

enum { ROWS_A_PART = 8, LINE = 64, RADIUS_MAX = 4096 };

enum kind { SOFT, ALL, NEAR };

struct job {
    const struct gn_selection_ops *ops;
    enum kind kind;
    const float *x;
    size_t rows, n, radius, rounds, room_bytes;
    float amount;
    float *out;
    char *scratch;
};

static void some_rows(void *given, size_t part, int worker)
{
    const struct job *job = given;
    size_t end = (part + 1) * ROWS_A_PART < job->rows ? (part + 1) * ROWS_A_PART : job->rows;
    for (size_t row = part * ROWS_A_PART; row < end; row++) {
        const float *x = job->x + row * job->n;
        float *out = job->out + row * job->n;
        if (job->kind == SOFT)
            job->ops->soft(x, job->n, job->amount, out);
        else if (job->kind == ALL)
            job->ops->inhibit(x, job->n, job->amount, job->rounds, out);
        else
            job->ops->near(x, job->n, job->radius, job->amount, job->rounds, out,
                           (float *)(job->scratch + (size_t)worker * job->room_bytes));
    }
}

static int run(struct job *job, gn_pool *pool)
{
    size_t elements, bytes;
    uintptr_t in = (uintptr_t)job->x, out = (uintptr_t)job->out;
    if (__builtin_mul_overflow(job->rows, job->n, &elements) ||
        __builtin_mul_overflow(elements, sizeof(float), &bytes))
        return GN_K_SIZE;
    if (!elements)
        return GN_K_OK;
    if (!job->x || !job->out)
        return GN_K_NULL;
    if (in < out + bytes && out < in + bytes && (in != out || job->kind == NEAR))
        return GN_K_OVERLAP;
    job->ops = levels[gn_isa_level];
    gn_pool_run(pool, some_rows, job, (job->rows - 1) / ROWS_A_PART + 1);
    return GN_K_OK;
}

int gn_soft_wta(const float *x, size_t rows, size_t n, float temperature, float *out, gn_pool *pool)
{
    struct job job = {.kind = SOFT, .x = x, .rows = rows, .n = n, .amount = temperature, .out = out};
    if (!(temperature > 0) || isinf(temperature))
        return GN_K_VALUE;
    return run(&job, pool);
}

int gn_inhibit(const float *x, size_t rows, size_t n, float strength, size_t rounds, float *out, gn_pool *pool)
{
    struct job job = {.kind = ALL, .x = x, .rows = rows, .n = n, .amount = strength, .rounds = rounds, .out = out};
    if (!(strength >= 0 && strength <= 1))
        return GN_K_VALUE;
    return run(&job, pool);
}

static size_t near_room(size_t n, size_t radius)
{
    size_t bytes;
    if (n > SIZE_MAX / 64 || radius < 1 || radius > RADIUS_MAX)
        return 0;
    bytes = 3 * (n + 3 * radius + 2 * PACK_ROOM) * sizeof(float);
    return (bytes + LINE - 1) / LINE * LINE;
}

size_t gn_inhibit_near_scratch(size_t n, size_t radius, int threads)
{
    size_t each = near_room(n, radius), bytes;
    if (!each || threads < 1 || threads > 256 || __builtin_mul_overflow(each, (size_t)threads, &bytes))
        return SIZE_MAX;
    return bytes;
}

int gn_inhibit_near(const float *x, size_t rows, size_t n, size_t radius, float strength, size_t rounds, float *out,
                    void *scratch, gn_pool *pool)
{
    struct job job = {.kind = NEAR, .x = x, .rows = rows, .n = n, .radius = radius, .amount = strength,
                      .rounds = rounds, .out = out, .scratch = scratch, .room_bytes = near_room(n, radius)};
    if (!job.room_bytes || rounds == SIZE_MAX)
        return GN_K_SIZE;
    if (!(strength >= 0 && strength <= 1))
        return GN_K_VALUE;
    if (rows && n && !scratch)
        return GN_K_NULL;
    return run(&job, pool);
}

static void tell_order(float c, float s, float *order)
{
    float r = sqrtf(c * c + s * s);
    order[0] = r > 1 ? 1 : r;
    order[1] = r == 0 ? 0 : atan2f(s, c);
}

size_t gn_kuramoto_scratch(size_t n) { return n > SIZE_MAX / 16 ? SIZE_MAX : 2 * n * sizeof(float); }

int gn_kuramoto(float *phases, const float *frequencies, size_t n, float coupling, float dt, size_t steps, float *order,
                void *scratch)
{
    const struct gn_selection_ops *ops = levels[gn_isa_level];
    float c, s, *room = scratch;
    if (steps > SIZE_MAX / 16 || n > SIZE_MAX / 16)
        return GN_K_SIZE;
    if (!isfinite(coupling) || !isfinite(dt))
        return GN_K_VALUE;
    if (n && (!phases || !frequencies || !scratch))
        return GN_K_NULL;
    for (size_t step = 0; step < steps; step++) {
        ops->mean_phase(phases, n, room, &c, &s);
        if (order)
            tell_order(c, s, order + 2 * step);
        ops->turn(phases, frequencies, n, room, coupling * c, coupling * s, dt);
    }
    if (order) {
        ops->mean_phase(phases, n, room, &c, &s);
        tell_order(c, s, order + 2 * steps);
    }
    return GN_K_OK;
}

int gn_kuramoto_spread(float *phases, size_t n, float start)
{
    if (n && !phases)
        return GN_K_NULL;
    if (!isfinite(start))
        return GN_K_VALUE;
    for (size_t i = 0; i < n; i++) {
        double at = (double)start + (double)i * 0.6180339887498949;
        phases[i] = (float)(6.283185307179586 * (at - floor(at)) - 3.141592653589793);
    }
    return GN_K_OK;
}

int gn_kuramoto_gains(const float *phases, size_t n, float phase, float *gains)
{
    if (n && (!phases || !gains))
        return GN_K_NULL;
    if (!isfinite(phase))
        return GN_K_VALUE;
    levels[gn_isa_level]->gains(phases, n, (float)remainder(phase, 6.283185307179586), gains);
    return GN_K_OK;
}
