/* float32 attention on neon: 24 sums, 4 vectors of queries and 1 broadcast of the 32 registers. */
#if defined(__aarch64__)
#include "simd/neon.h"
#include "attention/ops.h"
#define TILE 6
#define VECTORS 4
#define ROWS_FEW 2
#include "attention/transpose.h"
#include "attention/tile_body.h"
#include "attention/panel_body.h"
#include "attention/rows_body.h"
#include "simd/end.h"
#endif
