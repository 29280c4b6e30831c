/* Functions of one number on AArch64. */
#if defined(__aarch64__)
#include "elementwise/ops.h"
#include "simd/neon.h"
#include "simd/math.h"

#include "elementwise/map_body.h"
#include "simd/end.h"
#endif
