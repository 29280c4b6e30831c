/* The passes of heads with AVX2. */
#if defined(__x86_64__)
#include "simd/haswell.h"

#include "heads/ops.h"
#include "simd/math.h"

#include "heads/passes_body.h"

const struct gn_heads_ops SIMD_NAME(gn_heads) = {add_bias, difference, softmax, weighted};
#include "simd/end.h"
#endif
