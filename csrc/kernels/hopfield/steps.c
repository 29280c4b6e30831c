/* The rounds of an iteration: each query goes on until it moves no more, or for steps_max rounds. */
#include "hopfield/steps.h"

#include "base/sizes.h"

#include <math.h>
#include <string.h>

int gn_hopfield_checked(const float *patterns, size_t n, size_t d, const float *states, size_t m, float beta)
{
    if (n >= UINT32_MAX || m >= UINT32_MAX || gn_too_large(n, d, sizeof(float)) || gn_too_large(m, d, sizeof(float)))
        return GN_K_SIZE;
    if ((n && d && !patterns) || (m && d && !states))
        return GN_K_NULL;
    return beta >= 0 && beta < INFINITY ? GN_K_OK : GN_K_VALUE;
}

int gn_hopfield_rounds_checked(const struct gn_hopfield_rounds *it, const float *patterns, size_t n)
{
    size_t bytes = it->m * it->d * sizeof(float);
    if (!it->steps_max)
        return GN_K_SIZE;
    if (bytes && !it->out)
        return GN_K_NULL;
    if (!(it->tolerance >= 0))
        return GN_K_VALUE;
    return gn_overlap(it->out, bytes, patterns, n * it->d * sizeof(float)) ||
                   gn_overlap(it->out, bytes, it->queries, bytes)
               ? GN_K_OVERLAP
               : GN_K_OK;
}

/* Those that moved by more than the tolerance stay active. A NaN does not. */
static size_t still_moving(struct gn_hopfield_rounds *it, const float *from, size_t count, size_t taken)
{
    size_t left = 0;
    float limit = it->tolerance * it->tolerance;
    for (size_t i = 0; i < count; i++) {
        size_t query = it->active[i];
        if (it->steps)
            it->steps[query] = taken > UINT32_MAX ? UINT32_MAX : (uint32_t)taken;
        if (it->ops->gap2(from + query * it->d, it->out + query * it->d, it->d) > limit)
            it->active[left++] = (uint32_t)query;
    }
    return left;
}

void gn_hopfield_settle(struct gn_hopfield_rounds *it, gn_hopfield_round *round, void *job)
{
    const float *from = it->queries;
    size_t count = it->m;
    for (size_t i = 0; i < it->m; i++) {
        it->active[i] = (uint32_t)i;
        if (it->steps)
            it->steps[i] = 1;
    }
    for (size_t taken = 1; count; taken++) {
        round(job, from, count);
        if (taken == it->steps_max)
            return;
        count = still_moving(it, from, count, taken);
        from = it->held;
        for (size_t i = 0; i < count; i++)
            memcpy(it->held + it->active[i] * it->d, it->out + it->active[i] * it->d, it->d * sizeof *it->out);
    }
}
