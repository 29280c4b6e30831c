/* The AMX instructions that the sapphire level uses.
 *
 * Owns: the layout of the tile configuration, and the only inline assembly of this family. Written as assembly and not
 * with the compilers' intrinsics because those tell the compiler nothing of the memory they read: gcc may then move or
 * drop the stores that fill a tile's source. Every instruction here is a barrier to memory accesses.
 *
 * With GN_TILES_EMULATED defined the same names come from csrc/tests/tiles_emulated.h: C functions that follow the
 * Operation sections of Intel's Software Developer's Manual (volume 2, LDTILECFG, TILELOADD, TILESTORED, TILEZERO,
 * TDPBF16PS), refuse by abort() what the processor refuses by #GP or #UD, and keep one set of tiles per thread as the
 * processor does. Only tests define it.
 *
 * Tile numbers are literals 0..7. Shapes: TDPBF16PS adds to C[rows m][n floats] the product of A[m][k pairs of bf16]
 * and B[k rows][n pairs]: row k of B holds, for each column, the two elements 2k and 2k + 1 that meet that pair of A.
 */
#ifndef GN_ATTENTION_TILES_H
#define GN_ATTENTION_TILES_H
#include <stddef.h>
#include <stdint.h>

enum { GN_TILE_ROWS = 16, GN_TILE_BYTES = 64, GN_TILE_COUNT = 8 };

struct gn_tile_config { /* the 64 bytes of LDTILECFG, palette 1 */
    uint8_t palette;
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t colsb[16]; /* bytes a row; entries 8..15 must be 0 */
    uint8_t rows[16];
};
_Static_assert(sizeof(struct gn_tile_config) == 64, "LDTILECFG reads 64 bytes");
_Static_assert(offsetof(struct gn_tile_config, colsb) == 16, "bytes a row begin at 16");
_Static_assert(offsetof(struct gn_tile_config, rows) == 48, "rows begin at 48");

/* All eight tiles at their full size: 16 rows of 64 bytes. */
static inline __attribute__((unused)) struct gn_tile_config gn_tile_full(void)
{
    struct gn_tile_config config = {.palette = 1};
    for (int t = 0; t < GN_TILE_COUNT; t++) {
        config.colsb[t] = GN_TILE_BYTES;
        config.rows[t] = GN_TILE_ROWS;
    }
    return config;
}

#ifndef GN_TILES_EMULATED
#define GN_TILE_CONFIG(config) __asm__ volatile("ldtilecfg %0" ::"m"(*(config)) : "memory")
#define GN_TILE_RELEASE() __asm__ volatile("tilerelease" ::: "memory")
#define GN_TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t ::: "memory")
#define GN_TILE_LOAD(t, base, stride)                                            \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"((const void *)(base)), \
                     "r"((ptrdiff_t)(stride))                                    \
                     : "memory")
#define GN_TILE_STORE(t, base, stride)                                      \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"((void *)(base)), \
                     "r"((ptrdiff_t)(stride))                               \
                     : "memory")
/* C += A B. In AT&T order the last operand is C and the one before it A. */
#define GN_TILE_DOT(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::: "memory")
#endif
#endif
