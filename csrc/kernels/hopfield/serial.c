/* The Hopfield memories in plain C: the reference. */
#include "simd/serial.h"

#include "hopfield/ops.h"
#include "simd/math.h"

enum { ACCS = 8 };

SIMD void fold_accs(const vf *sums, float *out) { memcpy(out, sums, ACCS * sizeof *sums); }

#include "hopfield/scan_body.h"

const struct gn_hopfield_ops SIMD_NAME(gn_hopfield) = {scan, merge, scaled, row_dots, gap2};
#include "simd/end.h"
