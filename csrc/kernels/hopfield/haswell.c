/* The Hopfield memories with AVX2: 16 registers of 8 lanes. */
#if defined(__x86_64__)
#include "simd/haswell.h"

#include "hopfield/ops.h"
#include "simd/math.h"

enum { ACCS = 8 };

/* Lane k of each half of the pairwise sums is accumulator k's: two halves to add. */
SIMD void fold_accs(const vf *s, float *out)
{
    vf a = _mm256_hadd_ps(_mm256_hadd_ps(s[0], s[1]), _mm256_hadd_ps(s[2], s[3]));
    vf b = _mm256_hadd_ps(_mm256_hadd_ps(s[4], s[5]), _mm256_hadd_ps(s[6], s[7]));
    _mm256_storeu_ps(out, _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)));
}

#include "hopfield/scan_body.h"

/* Lane i is true where bit i is 1. */
SIMD vm lanes(uint64_t bits)
{
    vi of = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return vf_eq(vf_from(vi_and(vi_set1((int32_t)bits), of)), vf_from(of));
}

#include "hopfield/vote_body.h"

const struct gn_hopfield_ops SIMD_NAME(gn_hopfield) = {scan, absorb, merge, scaled, row_dots, gap2, vote, weights};
#include "simd/end.h"
#endif
