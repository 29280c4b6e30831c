/* Matrix products in float32: C = A B^T and C = A B, each element summed in float32.
 *
 * Panels of both operands are packed and multiplied in a block of registers (Goto and van de Geijn, "Anatomy of
 * high-performance matrix multiplication", 2008). An element is the sum, block by block of at most GN_MATMUL_BLOCK
 * products, of sums in order: |error| <= (k + 2) 2^-24 sum |a_p b_p| on every level. NaN and infinities go where IEEE
 * arithmetic takes them. k = 0 gives zeros.
 */
#ifndef GANGLION_KERNELS_MATRIX_H
#define GANGLION_KERNELS_MATRIX_H
#include "ganglion/kernels/base.h"

// <cdef>
enum { GN_MATMUL_BLOCK = 384 };

/* Bytes of scratch for either function with a pool of that many threads (1 for none); SIZE_MAX: a size overflows. */
size_t gn_matmul_scratch(size_t m, size_t n, size_t k, int threads);

/* c[m, n] = a[m, k] times the transpose of b[n, k]: c[i, j] is the dot product of row i of a and row j of b.
 * GN_K_NULL, GN_K_SIZE (a product of sizes overflows), GN_K_OVERLAP (c and an input). */
int gn_matmul_nt(const float *a, size_t m, const float *b, size_t n, size_t k, float *c, void *scratch, gn_pool *pool);

/* c[m, n] = a[m, k] times b[k, n]. Errors as above. */
int gn_matmul_nn(const float *a, size_t m, const float *b, size_t n, size_t k, float *c, void *scratch, gn_pool *pool);
// </cdef>
#endif
