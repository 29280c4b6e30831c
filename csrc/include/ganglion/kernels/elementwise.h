/* Functions of one number, over arrays; conversions between float32 and the 16-bit formats.
 *
 * The polynomials are csrc/kernels/simd/math.h's, the same that the other kernels use inside: this family is how their
 * accuracy is tested. `out` may be the input itself (the same address), or not overlap it.
 */
#ifndef GANGLION_KERNELS_ELEMENTWISE_H
#define GANGLION_KERNELS_ELEMENTWISE_H
#include "ganglion/kernels/base.h"

// <cdef>
enum gn_map_function {
    GN_MAP_EXP = 0,      /* within 1.2 ulp; 0 below -104, infinity above 88.73 */
    GN_MAP_LOG = 1,      /* within 2 ulp; -infinity at 0, NaN below */
    GN_MAP_TANH = 2,     /* within 3 ulp */
    GN_MAP_SIGMOID = 3,  /* 1 / (1 + e^-x), within 3 ulp where it is normal */
    GN_MAP_SOFTPLUS = 4, /* ln(1 + e^x), absolute error within 2e-7 + 2 ulp */
    GN_MAP_SIN = 5,      /* absolute error within 2e-7 for |x| <= 8192 */
    GN_MAP_COS = 6,      /* the same */
    GN_MAP_COUNT = 7
};
/* out[i] = function(x[i]), i < n. GN_K_NULL, GN_K_VALUE (no such function). NaN gives NaN. */
int gn_map(int function, const float *x, size_t n, float *out);

enum gn_half { GN_F16 = 0, GN_BF16 = 1, GN_HALF_COUNT = 2 };
/* out[i] = the 16-bit form nearest to x[i], ties to even; NaN stays NaN, what is too large becomes infinity. */
int gn_halve(int half, const float *x, size_t n, uint16_t *out);
/* out[i] = x[i], exactly. */
int gn_unhalve(int half, const uint16_t *x, size_t n, float *out);
// </cdef>
#endif
