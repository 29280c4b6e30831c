/* float32 attention on haswell: 12 sums, 2 vectors of queries and 1 broadcast of the 16 registers. */
#if defined(__x86_64__)
#include "simd/haswell.h"
#include "attention/ops.h"
#define TILE 6
#define VECTORS 2
#define ROWS_FEW 6
#include "attention/transpose.h"
#include "attention/tile_body.h"
#include "attention/panel_body.h"
#include "attention/rows_body.h"
#include "simd/end.h"
#endif
