/* Attention on bfloat16 by AMX tiles (TDPBF16PS): Sapphire Rapids and later. f32x3 too: three products of the high
 * and low bfloat16 of each float (high high, high low, low high; low low is below float's own rounding).
 *
 * A strip is 32 queries, two tiles of 16 rows; tiles 0..3 hold 32 x 32 sums, 4 and 5 the operand A, 6 and 7 the
 * operand B. All tiles keep their full size, so the configuration is loaded once a block and every operand is padded
 * with zeros. A part of the work runs in one thread from configuration to release: the state is a thread's own, and
 * the permission that base/isa.c asked for is the process's.
 *
 * No other level can run this file's code, so tests compile it a second time with -DGN_TILES_EMULATED under another
 * name (csrc/tests/test_kernels_tiles.c).
 */
#include "attention/halves_ops.h"

#if defined(__x86_64__)
#define SIMD_GENOA 1 /* AMX comes with AVX512_BF16: weights are rounded with it */
#ifndef SIMD_NAME
#define SIMD_NAME(stem) stem##_sapphire
#endif
#include "simd/skylake.h"

#include "attention/tiles.h"

enum { STRIP = 32, STRIPS = 3, SPAN = 128 };

#include "attention/halves_pack.h"

#include "attention/halves_body.h"

enum { PANEL_LINE = 64 }; /* bytes from row to row of a packed K */

/* Tiles 0..3 += two tiles of A (rows 0..15 and 16..31) times two of B; with one tile of rows only 0 and 1. */
#define TILES_MULTIPLY(a, a_step, b, b_next, b_step, both) \
    do {                                                   \
        GN_TILE_LOAD(6, b, b_step);                        \
        GN_TILE_LOAD(4, a, a_step);                        \
        GN_TILE_LOAD(7, (b) + (b_next), b_step);           \
        GN_TILE_DOT(0, 4, 6);                              \
        GN_TILE_DOT(1, 4, 7);                              \
        if (both) {                                        \
            GN_TILE_LOAD(5, (a) + 16 * (a_step), a_step);  \
            GN_TILE_DOT(2, 5, 6);                          \
            GN_TILE_DOT(3, 5, 7);                          \
        }                                                  \
    } while (0)

/* The planes of A and B that a product takes: high high, then with two planes high low and low high. */
SIMD size_t tiles_plane_a(int product) { return product == 2; }
SIMD size_t tiles_plane_b(int product) { return product == 1; }

static void halves_scores(const struct halves_strip *strip, size_t first, size_t padded, int planes)
{
    const struct gn_halves_job *job = strip->job;
    size_t dims = job->dim_padded, plane = job->keys_padded * dims * sizeof(uint16_t);
    size_t head = strip->kv * job->keys_padded * (size_t)job->planes;
    const char *k = (const char *)(job->packed_k + (head + first) * dims);
    const char *q = (const char *)strip->q;
    ptrdiff_t q_step = (ptrdiff_t)(dims * sizeof(uint16_t)), s_step = SPAN * sizeof(float);
    int both = strip->rows > 16;
    for (size_t j = 0; j < padded; j += 32) {
        const char *panel = k + j * dims * sizeof(uint16_t);
        char *s = (char *)(strip->s + j);
        GN_TILE_ZERO(0);
        GN_TILE_ZERO(1);
        GN_TILE_ZERO(2);
        GN_TILE_ZERO(3);
        for (int product = 0; product < 2 * planes - 1; product++) {
            const char *a = q + tiles_plane_a(product) * strip->q_plane * sizeof(uint16_t);
            const char *b = panel + tiles_plane_b(product) * plane;
            for (size_t d = 0; d < dims; d += 32) /* 32 elements: a tile's 64 bytes of A, its 16 rows of B */
                TILES_MULTIPLY(a + d * sizeof(uint16_t), q_step, b + d / 2 * PANEL_LINE, dims / 2 * PANEL_LINE, PANEL_LINE,
                               both);
        }
        GN_TILE_STORE(0, s, s_step);
        GN_TILE_STORE(1, s + 64, s_step);
        if (both) {
            GN_TILE_STORE(2, s + 16 * s_step, s_step);
            GN_TILE_STORE(3, s + 16 * s_step + 64, s_step);
        }
    }
}

/* The weighted sums of older keys become smaller by each row's factor. */
SIMD void tiles_fall(const struct halves_strip *strip)
{
    size_t dims = strip->job->value_padded;
    for (size_t r = 0; r < strip->rows; r++) {
        float *o = strip->o + r * dims;
        if (strip->fall[r] == 1.0f)
            continue;
        for (size_t c = 0; c < dims; c += 16)
            vf_store(o + c, vf_mul(vf_load(o + c), vf_set1(strip->fall[r])));
    }
}

static void halves_values(const struct halves_strip *strip, size_t first, size_t padded, int planes)
{
    const struct gn_halves_job *job = strip->job;
    size_t dims = job->value_padded, plane = job->keys_padded * dims * sizeof(uint16_t);
    size_t head = strip->kv * job->keys_padded * (size_t)job->planes;
    const char *v = (const char *)(job->packed_v + (head + first) * dims);
    ptrdiff_t p_step = SPAN * sizeof(uint16_t), v_step = (ptrdiff_t)(2 * dims * sizeof(uint16_t));
    ptrdiff_t o_step = (ptrdiff_t)(dims * sizeof(float));
    int both = strip->rows > 16;
    tiles_fall(strip);
    for (size_t c = 0; c < dims; c += 32) {
        char *o = (char *)(strip->o + c);
        GN_TILE_LOAD(0, o, o_step);
        GN_TILE_LOAD(1, o + 64, o_step);
        GN_TILE_LOAD(2, o + 16 * o_step, o_step);
        GN_TILE_LOAD(3, o + 16 * o_step + 64, o_step);
        for (int product = 0; product < 2 * planes - 1; product++) {
            const char *a = (const char *)strip->p + tiles_plane_a(product) * STRIP * (size_t)p_step;
            const char *b = v + tiles_plane_b(product) * plane + 2 * c * sizeof(uint16_t);
            for (size_t j = 0; j < padded; j += 32)
                TILES_MULTIPLY(a + j * sizeof(uint16_t), p_step, b + j / 2 * (size_t)v_step, 64, v_step, both);
        }
        GN_TILE_STORE(0, o, o_step);
        GN_TILE_STORE(1, o + 64, o_step);
        if (both) {
            GN_TILE_STORE(2, o + 16 * o_step, o_step);
            GN_TILE_STORE(3, o + 16 * o_step + 64, o_step);
        }
    }
}

static void block(const struct gn_halves_job *job, size_t head, size_t first, size_t rows, char *work)
{
    const struct gn_tile_config config = gn_tile_full();
    GN_TILE_CONFIG(&config);
    if (job->planes == 1)
        halves_block_planes(job, head, first, rows, work, 1);
    else
        halves_block_planes(job, head, first, rows, work, 2);
    GN_TILE_RELEASE();
}

const struct gn_halves_ops SIMD_NAME(gn_halves) = {STRIP * STRIPS, halves_work_bytes, halves_pack, block};
#include "simd/end.h"
#endif
