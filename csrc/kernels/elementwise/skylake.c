/* Functions of one number on AVX-512. */
#if defined(__x86_64__)
#include "elementwise/ops.h"
#include "simd/skylake.h"
#include "simd/math.h"

#include "elementwise/map_body.h"
#include "simd/end.h"
#endif
