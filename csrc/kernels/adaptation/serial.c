/* The adaptation's loops: plain C, the reference. */
#include "simd/serial.h"

#include "adaptation/ops.h"

#include "adaptation/adaptation_body.h"

#include "adaptation/lora_body.h"

const struct gn_adaptation_ops SIMD_NAME(gn_adaptation) = ADAPTATION_TABLE;
#include "simd/end.h"
