/* Distances, plain C. */
#include "distances/ops.h"
#include "simd/serial.h"

enum { VD = 1, VH = 1, KEYS_COSINE = 8 };
typedef double vd;
typedef int32_t vh;
typedef uint32_t vs;

SIMD void fold(const vf *sums, int n, float *out)
{
    for (int j = 0; j < n; j++)
        out[j] = sums[j];
}
SIMD vd vd_zero(void) { return 0; }
SIMD vd vd_load(const float *p) { return *p; }
SIMD vd vd_load_n(const float *p, size_t n) { return n ? *p : 0; }
SIMD vd vd_sub(vd a, vd b) { return a - b; }
SIMD vd vd_fma(vd a, vd b, vd c) { return a * b + c; }
SIMD double vd_sum(vd a) { return a; }
SIMD vh vh_load(const int8_t *p) { return *p; }
SIMD vh vh_load_n(const int8_t *p, size_t n) { return n ? *p : 0; }
SIMD vh vh_sub(vh a, vh b) { return a - b; }
SIMD vs vs_zero(void) { return 0; }
SIMD vs vs_add(vs sum, vh a, vh b) { return sum + (uint32_t)(a * b); }
SIMD uint32_t vs_sum(vs a) { return a; }

#include "distances/floats_body.h"

#include "distances/doubles_body.h"

#include "distances/bytes_body.h"

const struct gn_distances_ops SIMD_NAME(gn_distances) = DISTANCES_TABLE;
#include "simd/end.h"
