/* E-prop: a step of the units and of their synapses' traces, row by row, so that a synapse is fetched once a step. */
#include "adaptation/ops.h"
#include "base/pool.h"

#include <math.h>

enum { ROWS = 8 };

struct stepping {
    const gn_eprop_rule *rule;
    size_t m, n;
    const float *weights, *x, *trace, *signal;
    float *eligibility, *gradient, *v, *spikes;
};

static struct gn_eprop_row row_of(const struct stepping *job, size_t j)
{
    size_t at = j * job->n;
    struct gn_eprop_row row = {job->weights ? job->weights + at : NULL,
                               job->x,
                               job->trace,
                               job->eligibility + at,
                               job->gradient ? job->gradient + at : NULL,
                               job->n,
                               job->signal ? job->signal[j] : 0};
    return row;
}

static void step_rows(void *argument, size_t part, int worker)
{
    const struct stepping *job = argument;
    const struct gn_adaptation_ops *ops = gn_adaptation();
    const gn_eprop_rule *rule = job->rule;
    float height = rule->threshold - rule->rest;
    size_t end = part * ROWS + ROWS < job->m ? part * ROWS + ROWS : job->m;
    (void)worker;
    for (size_t j = part * ROWS; j < end; j++) {
        struct gn_eprop_row row = row_of(job, j);
        float current = ops->eprop_in(&row), near;
        float v = rule->rest + rule->membrane * (job->v[j] - rule->rest) - height * job->spikes[j] + current;
        near = 1.0f - fabsf(v - rule->threshold) / height;
        job->v[j] = v;
        job->spikes[j] = v >= rule->threshold;
        ops->eprop_out(&row, rule->filter, near > 0 ? rule->dampening * near / height : 0);
    }
}

static int sound(const gn_eprop_rule *rule)
{
    return rule->membrane >= 0 && rule->membrane <= 1 && rule->filter >= 0 && rule->filter <= 1 &&
           rule->threshold > rule->rest && isfinite(rule->rest) && isfinite(rule->threshold) && rule->dampening >= 0 &&
           isfinite(rule->dampening);
}

int gn_eprop_step(const gn_eprop_rule *rule, size_t m, size_t n, const float *weights, float *eligibility,
                  float *gradient, const float *x, float *input_trace, const float *signal, float *v, float *spikes,
                  gn_pool *pool)
{
    struct stepping job = {rule, m, n, weights, x, input_trace, signal, eligibility, gradient, v, spikes};
    if (gn_adapt_too_many(m, n) || gn_adapt_too_many(m, 1) || gn_adapt_too_many(n, 1))
        return GN_K_SIZE;
    if (!rule || (m && (!v || !spikes)) || (n && (!x || !input_trace)) ||
        (m && n && (!weights || !eligibility || (signal && !gradient))))
        return GN_K_NULL;
    if (!sound(rule))
        return GN_K_VALUE;
    if (gn_overlap(input_trace, n * 4, x, n * 4) || gn_overlap(spikes, m * 4, x, n * 4) ||
        gn_overlap(spikes, m * 4, v, m * 4) || gn_overlap(eligibility, m * n * 4, gradient, m * n * 4) ||
        gn_overlap(eligibility, m * n * 4, weights, m * n * 4) ||
        gn_overlap(gradient, m * n * 4, weights, m * n * 4))
        return GN_K_OVERLAP;
    gn_adaptation()->fade(input_trace, rule->membrane, x, n);
    gn_pool_run(pool, step_rows, &job, (m + ROWS - 1) / ROWS);
    return GN_K_OK;
}

static void flush_rows(void *argument, size_t part, int worker)
{
    const struct stepping *job = argument;
    size_t end = part * ROWS + ROWS < job->m ? part * ROWS + ROWS : job->m;
    (void)worker;
    for (size_t j = part * ROWS; j < end; j++)
        gn_adaptation()->add(job->gradient + j * job->n, job->signal[j], job->eligibility + j * job->n, job->n);
}

int gn_eprop_flush(size_t m, size_t n, const float *eligibility, float *gradient, const float *signal, gn_pool *pool)
{
    struct stepping job = {.m = m, .n = n, .eligibility = (float *)(uintptr_t)eligibility, .gradient = gradient,
                           .signal = signal};
    if (gn_adapt_too_many(m, n))
        return GN_K_SIZE;
    if (m && n && (!eligibility || !gradient || !signal))
        return GN_K_NULL;
    if (gn_overlap(gradient, m * n * 4, eligibility, m * n * 4) ||
        gn_overlap(gradient, m * n * 4, signal, m * 4))
        return GN_K_OVERLAP;
    if (n)
        gn_pool_run(pool, flush_rows, &job, (m + ROWS - 1) / ROWS);
    return GN_K_OK;
}

int gn_eprop_apply(float *weights, float *gradient, size_t count, float rate)
{
    if (gn_adapt_too_many(count, 1))
        return GN_K_SIZE;
    if (count && (!weights || !gradient))
        return GN_K_NULL;
    if (gn_overlap(weights, count * 4, gradient, count * 4))
        return GN_K_OVERLAP;
    gn_adaptation()->eprop_apply(weights, gradient, count, rate);
    return GN_K_OK;
}
