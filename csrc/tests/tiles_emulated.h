/* The tile instructions in plain C, for tests: see kernels/attention/tiles.h. */
#ifndef GN_TESTS_TILES_EMULATED_H
#define GN_TESTS_TILES_EMULATED_H
#include "attention/tiles.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gn_tiles {
    int configured; /* between LDTILECFG and TILERELEASE */
    struct gn_tile_config config;
    unsigned char data[GN_TILE_COUNT][GN_TILE_ROWS * GN_TILE_BYTES];
};
static _Thread_local struct gn_tiles gn_tiles;

static void gn_tile_fault(const char *what)
{
    fprintf(stderr, "a tile instruction would fault: %s\n", what);
    abort();
}

static void gn_tile_configure(const struct gn_tile_config *config)
{
    static const uint8_t zero[14];
    if (config->palette != 1)
        gn_tile_fault("the palette is not 1");
    if (memcmp(config->reserved, zero, sizeof zero) != 0)
        gn_tile_fault("reserved bytes are not 0");
    for (int t = 0; t < 16; t++) {
        if (t >= GN_TILE_COUNT ? config->colsb[t] != 0 || config->rows[t] != 0
                               : config->colsb[t] > GN_TILE_BYTES || config->rows[t] > GN_TILE_ROWS)
            gn_tile_fault("rows or bytes a row beyond the palette's");
        if ((config->colsb[t] == 0) != (config->rows[t] == 0))
            gn_tile_fault("rows without bytes or bytes without rows");
    }
    memset(&gn_tiles, 0, sizeof gn_tiles);
    gn_tiles.config = *config;
    gn_tiles.configured = 1;
}

static void gn_tile_release(void) { memset(&gn_tiles, 0, sizeof gn_tiles); }

static void gn_tile_known(int t)
{
    if (!gn_tiles.configured)
        gn_tile_fault("no configuration is loaded");
    if (t < 0 || t >= GN_TILE_COUNT || gn_tiles.config.colsb[t] == 0)
        gn_tile_fault("a tile that is not configured");
}

static void gn_tile_zero(int t)
{
    gn_tile_known(t);
    memset(gn_tiles.data[t], 0, sizeof gn_tiles.data[t]);
}

static void gn_tile_load(int t, const void *base, ptrdiff_t stride)
{
    gn_tile_zero(t);
    for (int row = 0; row < gn_tiles.config.rows[t]; row++)
        memcpy(gn_tiles.data[t] + row * GN_TILE_BYTES, (const char *)base + row * stride, gn_tiles.config.colsb[t]);
}

static void gn_tile_store(int t, void *base, ptrdiff_t stride)
{
    gn_tile_known(t);
    for (int row = 0; row < gn_tiles.config.rows[t]; row++)
        memcpy((char *)base + row * stride, gn_tiles.data[t] + row * GN_TILE_BYTES, gn_tiles.config.colsb[t]);
}

/* Subnormal operands and results count as zero. */
static float gn_tile_flush(float x) { return fpclassify(x) == FP_SUBNORMAL ? copysignf(0.0f, x) : x; }

static float gn_tile_bf16(const unsigned char *p)
{
    uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
    float x;
    memcpy(&x, &bits, sizeof x);
    return gn_tile_flush(x);
}

/* Sums of even and of odd elements apart, each step one fused multiply-add; then their sum is added to C. */
static void gn_tile_dot(int c, int a, int b)
{
    gn_tile_known(a);
    gn_tile_known(b);
    gn_tile_known(c);
    const struct gn_tile_config *is = &gn_tiles.config;
    if (c == a || c == b || a == b)
        gn_tile_fault("two operands are one tile");
    if (is->rows[c] != is->rows[a] || is->colsb[c] != is->colsb[b] || is->colsb[a] != is->rows[b] * 4 ||
        is->colsb[c] % 4 != 0)
        gn_tile_fault("shapes do not fit");
    for (int m = 0; m < is->rows[c]; m++) {
        for (int n = 0; n < is->colsb[c] / 4; n++) {
            unsigned char *to = gn_tiles.data[c] + m * GN_TILE_BYTES + n * 4;
            float sum[2] = {0, 0}, old;
            for (int k = 0; k < is->colsb[a] / 4; k++)
                for (int half = 0; half < 2; half++)
                    sum[half] = gn_tile_flush(
                        fmaf(gn_tile_bf16(gn_tiles.data[a] + m * GN_TILE_BYTES + k * 4 + half * 2),
                             gn_tile_bf16(gn_tiles.data[b] + k * GN_TILE_BYTES + n * 4 + half * 2), sum[half]));
            memcpy(&old, to, sizeof old);
            old = gn_tile_flush(gn_tile_flush(old) + gn_tile_flush(sum[0] + sum[1]));
            memcpy(to, &old, sizeof old);
        }
    }
}

#define GN_TILE_CONFIG(config) gn_tile_configure(config)
#define GN_TILE_RELEASE() gn_tile_release()
#define GN_TILE_ZERO(t) gn_tile_zero(t)
#define GN_TILE_LOAD(t, base, stride) gn_tile_load(t, base, stride)
#define GN_TILE_STORE(t, base, stride) gn_tile_store(t, base, stride)
#define GN_TILE_DOT(c, a, b) gn_tile_dot(c, a, b)
#endif
