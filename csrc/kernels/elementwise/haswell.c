/* Functions of one number on AVX2. */
#if defined(__x86_64__)
#include "elementwise/ops.h"
#include "simd/haswell.h"
#include "simd/math.h"

#include "elementwise/map_body.h"
#include "simd/end.h"
#endif
