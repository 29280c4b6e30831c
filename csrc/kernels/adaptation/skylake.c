/* The adaptation's loops: AVX-512. */
#include "base/isa.h"
#ifdef GN_X86
#include "simd/skylake.h"

#include "adaptation/ops.h"

#include "adaptation/adaptation_body.h"

#include "adaptation/lora_body.h"

const struct gn_adaptation_ops SIMD_NAME(gn_adaptation) = ADAPTATION_TABLE;
#include "simd/end.h"
#endif
