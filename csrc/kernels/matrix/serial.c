/* Matrix products, plain C. */
#include "matrix/ops.h"
#include "simd/serial.h"

enum { TILE_ROWS = 4 };
#define BLOCKS(X) X(1) X(2) X(3) X(4)

SIMD void transpose_store(const float *from, size_t stride, size_t rows, size_t n, float *to, size_t width)
{
    (void)stride;
    (void)n;
    (void)width;
    *to = rows ? *from : 0;
}

#include "matrix/few_body.h"
#include "matrix/tile_body.h"

const struct gn_matrix_ops SIMD_NAME(gn_matrix) = {
    TILE_ROWS, TILE_COLUMNS, pack_rows, pack_columns, tile, tile_apart, few_nt, few_nn};
#include "simd/end.h"
