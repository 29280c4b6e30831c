/* Graphs on AVX2. */
#if defined(__x86_64__)
#include "graphs/ops.h"
#include "simd/haswell.h"
#include "simd/math.h"
#include "graphs/doubles.h"
#include "graphs/layers_body.h"
#include "graphs/cut_body.h"

const struct gn_graphs_ops SIMD_NAME(gn_graphs) = {
    VL, row_sum, heads_sum, row_max, dot, attend, finish, relu, cut_step, cut_add,
};
#include "simd/end.h"
#endif
