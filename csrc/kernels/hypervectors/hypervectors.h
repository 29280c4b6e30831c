/* What the family's own files share. */
#ifndef GN_HYPERVECTORS_H
#define GN_HYPERVECTORS_H
#include "base/sizes.h"
#include "ganglion/kernels/hypervectors.h"
#include "hypervectors/ops.h"

#define GN_HV_BITS_MAX ((size_t)1 << 31)
#define GN_HV_BUNDLE_MAX ((size_t)1 << 16)

/* GN_K_OK when n vectors of that many bits can exist. */
int gn_hv_check(size_t n, size_t bits);

#endif
