/* Linear attention, AVX2: 12 accumulators, 2 vectors of B, 1 of A in 16 registers. */
#if defined(__x86_64__)
#include "linear/ops.h"

#include "simd/haswell.h"
#include "simd/math.h"

enum { PRODUCT_ROWS = 6, PRODUCT_VECTORS = 2 };
#include "linear/product_body.h"

#include "linear/favor_body.h"

const struct gn_linear_ops SIMD_NAME(gn_linear) = {pack, learn, answer, follow, merge};
#include "simd/end.h"
#endif
