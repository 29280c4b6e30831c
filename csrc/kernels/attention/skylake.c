/* float32 attention on skylake: 24 sums, 2 vectors of queries and 1 broadcast of the 32 registers. */
#if defined(__x86_64__)
#include "simd/skylake.h"
#include "attention/ops.h"
#define TILE 12
#define VECTORS 2
#define ROWS_FEW 8
#include "attention/transpose.h"
#include "attention/tile_body.h"
#include "attention/panel_body.h"
#include "attention/rows_body.h"
#include "simd/end.h"
#endif
