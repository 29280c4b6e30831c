#if defined(__x86_64__)
#include "simd/haswell.h"
#include "simd/math.h"

#include "selection/competition_body.h"
#include "selection/kwta_body.h"
#include "selection/oscillator_body.h"

const struct gn_selection_ops SIMD_NAME(gn_selection) = {
    kwta_row, soft_row, inhibit_row, near_row, mean_phase, turn, gains,
};
#include "simd/end.h"
#endif
