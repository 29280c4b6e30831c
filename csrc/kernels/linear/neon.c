/* Linear attention, AArch64: 24 accumulators of 32 registers. */
#if defined(__aarch64__)
#include "linear/ops.h"

#include "simd/neon.h"
#include "simd/math.h"

enum { PRODUCT_ROWS = 6, PRODUCT_VECTORS = 4 };
#include "linear/product_body.h"

#include "linear/favor_body.h"

const struct gn_linear_ops SIMD_NAME(gn_linear) = {pack, learn, answer, follow, merge};
#include "simd/end.h"
#endif
