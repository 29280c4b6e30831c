/* The Hopfield memories in plain C: the reference. */
#include "simd/serial.h"

#include "hopfield/ops.h"
#include "simd/math.h"

enum { ACCS = 8 };

SIMD void fold_accs(const vf *sums, float *out) { memcpy(out, sums, ACCS * sizeof *sums); }

#include "hopfield/scan_body.h"

/* Lane i is true where bit i is 1. */
SIMD vm lanes(uint64_t bits) { return (vm)(bits & 1); }

#include "hopfield/vote_body.h"

const struct gn_hopfield_ops SIMD_NAME(gn_hopfield) = {scan, absorb, merge, scaled, row_dots, gap2, vote, weights};
#include "simd/end.h"
