/* The Hopfield memories with NEON: 32 registers of 4 lanes. */
#if defined(__aarch64__)
#include "simd/neon.h"

#include "hopfield/ops.h"
#include "simd/math.h"

enum { ACCS = 16 };

SIMD void fold_accs(const vf *sums, float *out)
{
    for (int k = 0; k < ACCS; k += 4)
        vst1q_f32(out + k, vpaddq_f32(vpaddq_f32(sums[k], sums[k + 1]), vpaddq_f32(sums[k + 2], sums[k + 3])));
}

#include "hopfield/scan_body.h"

/* Lane i is true where bit i is 1. */
SIMD vm lanes(uint64_t bits)
{
    const uint32_t of[4] = {1, 2, 4, 8};
    return vtstq_u32(vdupq_n_u32((uint32_t)bits), vld1q_u32(of));
}

#include "hopfield/vote_body.h"

const struct gn_hopfield_ops SIMD_NAME(gn_hopfield) = {scan, absorb, merge, scaled, row_dots, gap2, vote, weights};
#include "simd/end.h"
#endif
