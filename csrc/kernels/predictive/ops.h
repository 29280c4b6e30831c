/* What each level of this family offers. Everything that encoder and decoder must agree on is written as single
 * multiplications and additions, never fused, so that all levels round alike. */
#ifndef GN_PREDICTIVE_OPS_H
#define GN_PREDICTIVE_OPS_H
#include "base/isa.h"

enum { PACK_ROOM = 32 }; /* elements to spare behind an array that lanes are packed into */

struct gate {
    double limit; /* of the sum of squares */
    float rate;
    float *residual; /* or NULL */
    double sum;      /* out */
};

struct gn_predictive_ops {
    int (*gate)(const float *x, float *prediction, size_t n, struct gate *gate);
    /* out = level + slope * ticks; slope may be NULL: a copy. out may be level. */
    void (*predict)(const float *level, const float *slope, size_t n, float ticks, float *out);
    /* Where x is not within bound of the prediction: indices into at (n and PACK_ROOM), how many. */
    size_t (*surprises)(const float *x, const float *level, const float *slope, size_t n, float ticks, float bound,
                        int32_t *at);
};

extern const struct gn_predictive_ops gn_predictive_serial, gn_predictive_haswell, gn_predictive_skylake,
    gn_predictive_neon;
#endif
