/* Linear attention, the reference. */
#include "linear/ops.h"

#include "simd/serial.h"
#include "simd/math.h"

enum { PRODUCT_ROWS = 4, PRODUCT_VECTORS = 4 };
#include "linear/product_body.h"

#include "linear/favor_body.h"

const struct gn_linear_ops SIMD_NAME(gn_linear) = {pack, learn, answer, follow, merge};
#include "simd/end.h"
