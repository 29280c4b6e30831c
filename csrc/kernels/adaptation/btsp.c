/* BTSP: what the traces hold is associated with a target when a plateau comes. */
#include "adaptation/ops.h"

#include "base/isa.h"
#include "base/pool.h"

static const struct gn_adaptation_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_adaptation);

const struct gn_adaptation_ops *gn_adaptation(void) { return levels[gn_isa_level]; }

enum { ROWS = 16 };

struct association {
    float *weights;
    const float *recalled_by, *targets;
    const uint8_t *plateau;
    size_t m, n;
    float gain, *out;
};

static int unit(float x) { return x >= 0 && x <= 1; }

int gn_btsp_step(float *trace, const float *x, size_t n, float decay)
{
    if (gn_adapt_too_many(n, 1))
        return GN_K_SIZE;
    if (n && (!trace || !x))
        return GN_K_NULL;
    if (!unit(decay))
        return GN_K_VALUE;
    if (gn_overlap(trace, n * 4, x, n * 4))
        return GN_K_OVERLAP;
    gn_adaptation()->fade(trace, decay, x, n);
    return GN_K_OK;
}

static void recall_rows(void *argument, size_t part, int worker)
{
    const struct association *job = argument;
    size_t first = part * ROWS, rows = job->m - first < ROWS ? job->m - first : ROWS;
    (void)worker;
    gn_adaptation()->dots(job->weights + first * job->n, rows, job->n, job->recalled_by, job->out + first);
}

int gn_btsp_recall(const float *weights, size_t m, size_t n, const float *x, float *out, gn_pool *pool)
{
    struct association job = {.weights = (float *)(uintptr_t)weights, .recalled_by = x, .m = m, .n = n, .out = out};
    if (gn_adapt_too_many(m, n) || gn_adapt_too_many(m, 1))
        return GN_K_SIZE;
    if ((m && !out) || (m && n && (!weights || !x)))
        return GN_K_NULL;
    if (gn_overlap(out, m * 4, weights, m * n * 4) || gn_overlap(out, m * 4, x, n * 4))
        return GN_K_OVERLAP;
    gn_pool_run(pool, recall_rows, &job, (m + ROWS - 1) / ROWS);
    return GN_K_OK;
}

static void associate_rows(void *argument, size_t part, int worker)
{
    const struct association *job = argument;
    const struct gn_adaptation_ops *ops = gn_adaptation();
    size_t end = part * ROWS + ROWS < job->m ? part * ROWS + ROWS : job->m;
    (void)worker;
    for (size_t j = part * ROWS; j < end; j++) {
        float *row = job->weights + j * job->n;
        if (!job->plateau || job->plateau[j])
            ops->add(row, (job->targets[j] - ops->dot(row, job->recalled_by, job->n)) * job->gain, job->recalled_by,
                     job->n);
    }
}

int gn_btsp_plateau(float *weights, size_t m, size_t n, const float *trace, const float *targets,
                    const uint8_t *plateau, float rate, gn_pool *pool)
{
    struct association job = {weights, trace, targets, plateau, m, n, 0, NULL};
    float length;
    if (gn_adapt_too_many(m, n) || gn_adapt_too_many(m, 1))
        return GN_K_SIZE;
    if (m && n && (!weights || !trace || !targets))
        return GN_K_NULL;
    if (!unit(rate))
        return GN_K_VALUE;
    if (gn_overlap(weights, m * n * 4, trace, n * 4) || gn_overlap(weights, m * n * 4, targets, m * 4) ||
        (plateau && gn_overlap(weights, m * n * 4, plateau, m)))
        return GN_K_OVERLAP;
    if (!m || !n)
        return GN_K_OK;
    length = gn_adaptation()->dot(trace, trace, n);
    if (length == 0)
        return GN_K_OK;
    job.gain = rate / length;
    gn_pool_run(pool, associate_rows, &job, (m + ROWS - 1) / ROWS);
    return GN_K_OK;
}
