#if defined(__x86_64__)
#include "simd/haswell.h"

#include "predictive/predictive_body.h"

const struct gn_predictive_ops SIMD_NAME(gn_predictive) = {gate_vector, predict, surprises};
#include "simd/end.h"
#endif
