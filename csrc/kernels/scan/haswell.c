/* The selective scan, AVX2. */
#if defined(__x86_64__)
#include "scan/ops.h"

#include "simd/haswell.h"
#include "simd/math.h"

#include "scan/scan_body.h"

const struct gn_scan_ops SIMD_NAME(gn_scan) = {decay, scan, conv};
#include "simd/end.h"
#endif
