/* Functions of one number in plain C. */
#include "elementwise/ops.h"
#include "simd/serial.h"
#include "simd/math.h"

#include "elementwise/map_body.h"
#include "simd/end.h"
