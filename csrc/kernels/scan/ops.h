/* What a level offers to the selective scan. */
#ifndef GN_KERNELS_SCAN_OPS_H
#define GN_KERNELS_SCAN_OPS_H
#include "base/isa.h"

/* Channels that one part of the work takes. A state's row of that many is worked on in a thread's stack, so the
 * states of a tile are at most GN_SCAN_STATES; more of them are done in rounds that add to out. */
enum { GN_SCAN_CHANNELS = 32, GN_SCAN_STATES = 64 };

/* One batch entry; strides are the arrays' channels (or states for b, c). */
struct gn_scan_shape {
    const float *x, *delta, *b, *c, *skip, *gate, *delta_bias;
    const float *decay; /* [states][channels]: A / ln 2 */
    int softplus;
    size_t length, channels, states;
    float *state, *out; /* state may be NULL */
};

struct gn_conv_shape {
    const float *x, *weight, *bias;
    int silu;
    size_t length, channels, width;
    float *state, *out;
};

struct gn_scan_ops {
    /* decay[states][channels] = -exp(a_log[channels][states]) / ln 2 */
    void (*decay)(const float *a_log, size_t channels, size_t states, float *decay);
    /* Channels [first, first + count), count <= GN_SCAN_CHANNELS. */
    void (*scan)(const struct gn_scan_shape *shape, size_t first, size_t count);
    void (*conv)(const struct gn_conv_shape *shape, size_t first, size_t count);
};

extern const struct gn_scan_ops gn_scan_serial, gn_scan_haswell, gn_scan_skylake, gn_scan_neon;
#endif
