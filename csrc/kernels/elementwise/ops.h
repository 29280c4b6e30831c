/* What a level offers to elementwise.c. */
#ifndef GN_ELEMENTWISE_OPS_H
#define GN_ELEMENTWISE_OPS_H
#include "base/isa.h"
#include "ganglion/kernels/elementwise.h"

typedef void gn_map_fn(const float *x, size_t n, float *out);

struct gn_elementwise_ops {
    gn_map_fn *map[GN_MAP_COUNT];
    void (*halve[GN_HALF_COUNT])(const float *x, size_t n, uint16_t *out);
    void (*unhalve[GN_HALF_COUNT])(const uint16_t *x, size_t n, float *out);
};

extern const struct gn_elementwise_ops gn_elementwise_serial, gn_elementwise_haswell, gn_elementwise_skylake,
    gn_elementwise_neon;
#endif
