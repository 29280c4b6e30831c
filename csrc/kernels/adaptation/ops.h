/* What a level gives the adaptation's functions: loops over whole arrays, sizes already checked. */
#ifndef GN_ADAPTATION_OPS_H
#define GN_ADAPTATION_OPS_H
#include "base/sizes.h"
#include "ganglion/kernels/adaptation.h"

enum { GN_LORA_RANK_MAX = 256 };

struct gn_lora_job {
    const float *x, *down, *up, *base;
    float *out;
    size_t d_in, d_out, rank;
    float scale;
};

/* One unit of e-prop: its rows of the synapses. */
struct gn_eprop_row {
    const float *weights, *x, *trace;
    float *eligibility, *gradient;
    size_t n;
    float signal; /* 0: the gradient stays */
};

struct gn_adaptation_ops {
    float (*dot)(const float *a, const float *b, size_t n);
    void (*dots)(const float *rows, size_t m, size_t n, const float *x, float *out);
    void (*add)(float *y, float a, const float *x, size_t n);              /* y += a * x */
    void (*fade)(float *y, float decay, const float *x, size_t n);         /* y = decay * y + x */
    float (*eprop_in)(const struct gn_eprop_row *row);                     /* gradient; weights . x */
    void (*eprop_out)(const struct gn_eprop_row *row, float filter, float psi); /* the eligibilities */
    void (*eprop_apply)(float *weights, float *gradient, size_t n, float rate);
    void (*lora)(const struct gn_lora_job *job, size_t first, size_t rows);
    void (*fisher)(float *fisher, const float *gradient, size_t n, float keep);
    float (*penalty)(const float *parameters, const float *anchor, const float *fisher, size_t n);
    void (*ewc_step)(float *parameters, const float *gradient, const float *anchor, const float *fisher, size_t n,
                     float rate, float strength);
};

extern const struct gn_adaptation_ops gn_adaptation_serial, gn_adaptation_haswell, gn_adaptation_skylake,
    gn_adaptation_neon;

const struct gn_adaptation_ops *gn_adaptation(void); /* the table of the level in use */

/* Whether a * b elements of 8 bytes cannot be. */
static inline int gn_adapt_too_many(size_t a, size_t b) { return b && a > SIZE_MAX / 16 / b; }
#endif
