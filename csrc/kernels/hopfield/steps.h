/* What flat and hierarchical retrieval share: the rounds of an iteration to a fixed point. */
#ifndef GN_HOPFIELD_STEPS_H
#define GN_HOPFIELD_STEPS_H
#include "hopfield/ops.h"

struct gn_hopfield_rounds {
    const struct gn_hopfield_ops *ops;
    size_t d, m, steps_max;
    float tolerance;
    const float *queries; /* [m, d], the first states */
    float *out, *held;    /* [m, d]; held: the states of a round after the first */
    uint32_t *active;     /* [m]: the queries of this round */
    uint32_t *steps;      /* [m], or NULL */
};

/* A status: whether patterns, states and beta are in range. */
int gn_hopfield_checked(const float *patterns, size_t n, size_t d, const float *states, size_t m, float beta);

/* And, once those are, the rest of what an iteration is given. */
int gn_hopfield_rounds_checked(const struct gn_hopfield_rounds *it, const float *patterns, size_t n);

/* One round: from `from`[m, d] to out, for the `count` queries that it->active names. */
typedef void gn_hopfield_round(void *job, const float *from, size_t count);

void gn_hopfield_settle(struct gn_hopfield_rounds *it, gn_hopfield_round *round, void *job);
#endif
