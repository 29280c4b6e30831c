/* Functions of one number over arrays: checks, and the level in use. */
#include "elementwise/ops.h"

static const struct gn_elementwise_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_elementwise);

int gn_map(int function, const float *x, size_t n, float *out)
{
    if (function < 0 || function >= GN_MAP_COUNT)
        return GN_K_VALUE;
    if (n && (!x || !out))
        return GN_K_NULL;
    levels[gn_isa_level]->map[function](x, n, out);
    return GN_K_OK;
}

int gn_halve(int half, const float *x, size_t n, uint16_t *out)
{
    if (half < 0 || half >= GN_HALF_COUNT)
        return GN_K_VALUE;
    if (n && (!x || !out))
        return GN_K_NULL;
    levels[gn_isa_level]->halve[half](x, n, out);
    return GN_K_OK;
}

int gn_unhalve(int half, const uint16_t *x, size_t n, float *out)
{
    if (half < 0 || half >= GN_HALF_COUNT)
        return GN_K_VALUE;
    if (n && (!x || !out))
        return GN_K_NULL;
    levels[gn_isa_level]->unhalve[half](x, n, out);
    return GN_K_OK;
}
