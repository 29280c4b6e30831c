/* Elastic weight consolidation: how much each parameter mattered, and what it costs to move it. */
#include "adaptation/ops.h"

enum { BLOCK = 1024 };

int gn_ewc_fisher(float *fisher, const float *gradient, size_t n, float keep)
{
    if (gn_adapt_too_many(n, 1))
        return GN_K_SIZE;
    if (n && (!fisher || !gradient))
        return GN_K_NULL;
    if (!(keep >= 0 && keep <= 1))
        return GN_K_VALUE;
    if (gn_overlap(fisher, n * 4, gradient, n * 4))
        return GN_K_OVERLAP;
    gn_adaptation()->fisher(fisher, gradient, n, keep);
    return GN_K_OK;
}

int gn_ewc_penalty(const float *parameters, const float *anchor, const float *fisher, size_t n, float strength,
                   double *out)
{
    double sum = 0;
    if (gn_adapt_too_many(n, 1))
        return GN_K_SIZE;
    if (!out || (n && (!parameters || !anchor || !fisher)))
        return GN_K_NULL;
    for (size_t i = 0; i < n; i += BLOCK)
        sum += (double)gn_adaptation()->penalty(parameters + i, anchor + i, fisher + i, n - i < BLOCK ? n - i : BLOCK);
    *out = 0.5 * (double)strength * sum;
    return GN_K_OK;
}

int gn_ewc_step(float *parameters, const float *gradient, const float *anchor, const float *fisher, size_t n, float rate,
                float strength)
{
    if (gn_adapt_too_many(n, 1))
        return GN_K_SIZE;
    if (n && (!parameters || !anchor || !fisher))
        return GN_K_NULL;
    if (gn_overlap(parameters, n * 4, anchor, n * 4) || gn_overlap(parameters, n * 4, fisher, n * 4) ||
        (gradient && gn_overlap(parameters, n * 4, gradient, n * 4)))
        return GN_K_OVERLAP;
    gn_adaptation()->ewc_step(parameters, gradient, anchor, fisher, n, rate, strength);
    return GN_K_OK;
}
