/* The adaptation's loops: AVX2. */
#include "base/isa.h"
#ifdef GN_X86
#include "simd/haswell.h"

#include "adaptation/ops.h"

#include "adaptation/adaptation_body.h"

#include "adaptation/lora_body.h"

const struct gn_adaptation_ops SIMD_NAME(gn_adaptation) = ADAPTATION_TABLE;
#include "simd/end.h"
#endif
