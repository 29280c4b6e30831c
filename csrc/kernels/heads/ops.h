/* What a level supplies to the layers of heads: the passes between products and attention. */
#ifndef GN_HEADS_OPS_H
#define GN_HEADS_OPS_H
#include <stddef.h>

struct gn_heads_ops {
    /* rows[m][n] += bias[n] */
    void (*add_bias)(float *rows, size_t m, size_t n, const float *bias);
    /* y[n] = scale gain rms_norm(y - lambda second); gain may be NULL */
    void (*difference)(float *y, const float *second, size_t n, float lambda, const float *gain, float scale,
                       float epsilon);
    /* out[n] = softmax of logits; zeros where all are -infinity */
    void (*softmax)(const float *logits, size_t n, float *out);
    /* out[n] (+)= by x[n] */
    void (*weighted)(float *out, const float *x, size_t n, float by, int add);
};

extern const struct gn_heads_ops gn_heads_serial, gn_heads_haswell, gn_heads_skylake, gn_heads_neon;
#endif
