/* The selective scan, AArch64. */
#if defined(__aarch64__)
#include "scan/ops.h"

#include "simd/neon.h"
#include "simd/math.h"

#include "scan/scan_body.h"

const struct gn_scan_ops SIMD_NAME(gn_scan) = {decay, scan, conv};
#include "simd/end.h"
#endif
