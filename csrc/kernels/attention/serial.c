/* float32 attention on serial: the reference. */
#include "simd/serial.h"
#include "attention/ops.h"
#define TILE 4
#define VECTORS 4
#define ROWS_FEW 0 /* a row alone in its part must go the way it goes among others: VL is 1, so none is left over */
#include "attention/transpose.h"
#include "attention/tile_body.h"
#include "attention/panel_body.h"
#include "attention/rows_body.h"
#include "simd/end.h"
