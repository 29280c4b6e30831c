/* The passes of heads with NEON. */
#if defined(__aarch64__)
#include "simd/neon.h"

#include "heads/ops.h"
#include "simd/math.h"

#include "heads/passes_body.h"

const struct gn_heads_ops SIMD_NAME(gn_heads) = {add_bias, difference, softmax, weighted};
#include "simd/end.h"
#endif
