/* The register tiles of both products, in the sizes that a level uses.
 *
 * A tile is `tall` keys (or value columns) by `wide` vectors of queries; its sums stay in registers for the whole inner
 * loop. Levels set TILE (tallest) and VECTORS (widest) to fill their registers: TILE * VECTORS sums, VECTORS loaded
 * vectors and one broadcast.
 */
enum { PANEL = VECTORS * VL };

/* c[i][lane] = (factor ? c[i][lane] * factor[lane] : 0) + sum over n < count of a[i * ai + n * an] * b[n][lane];
 * rows of b and c are PANEL floats apart. The new sum begins at 0 and is added as one: its roundings stay small beside
 * those of one long sum. */
SIMD void tile_product(const size_t tall, const size_t wide, const float *a, size_t ai, size_t an, const float *b,
                       size_t count, float *c, const float *factor)
{
    vf sum[TILE][VECTORS], side[VECTORS];
    SIMD_UNROLL
    for (size_t i = 0; i < tall; i++)
        SIMD_UNROLL
        for (size_t j = 0; j < wide; j++)
            sum[i][j] = vf_zero();
    for (size_t n = 0; n < count; n++, a += an, b += PANEL) {
        SIMD_UNROLL
        for (size_t j = 0; j < wide; j++)
            side[j] = vf_load(b + j * VL);
        SIMD_UNROLL
        for (size_t i = 0; i < tall; i++) {
            vf one = vf_set1(a[i * ai]);
            SIMD_UNROLL
            for (size_t j = 0; j < wide; j++)
                sum[i][j] = vf_fma(one, side[j], sum[i][j]);
        }
    }
    SIMD_UNROLL
    for (size_t i = 0; i < tall; i++)
        SIMD_UNROLL
        for (size_t j = 0; j < wide; j++) {
            float *to = c + i * PANEL + j * VL;
            vf_store(to, factor ? vf_fma(vf_load(to), vf_load(factor + j * VL), sum[i][j]) : sum[i][j]);
        }
}

/* Scores: a is keys, rows `step` apart. Values: a is values, columns adjacent, keys `step` apart. */
typedef void tile_fn(const float *a, size_t step, const float *b, size_t count, float *c, const float *factor);

#define TILES(tall, wide)                                                                                   \
    static void score_##tall##_##wide(const float *a, size_t step, const float *b, size_t count, float *c,  \
                                      const float *factor)                                                  \
    {                                                                                                       \
        (void)factor;                                                                                       \
        tile_product(tall, wide, a, step, 1, b, count, c, NULL);                                            \
    }                                                                                                       \
    static void value_##tall##_##wide(const float *a, size_t step, const float *b, size_t count, float *c,  \
                                      const float *factor)                                                  \
    {                                                                                                       \
        tile_product(tall, wide, a, 1, step, b, count, c, factor);                                          \
    }
#if VECTORS == 4
#define TILES_WIDE(tall) TILES(tall, 1) TILES(tall, 2) TILES(tall, 3) TILES(tall, 4)
#define TILES_LIST(kind, tall) {kind##_##tall##_1, kind##_##tall##_2, kind##_##tall##_3, kind##_##tall##_4}
#elif VECTORS == 3
#define TILES_WIDE(tall) TILES(tall, 1) TILES(tall, 2) TILES(tall, 3)
#define TILES_LIST(kind, tall) {kind##_##tall##_1, kind##_##tall##_2, kind##_##tall##_3}
#else
#define TILES_WIDE(tall) TILES(tall, 1) TILES(tall, 2)
#define TILES_LIST(kind, tall) {kind##_##tall##_1, kind##_##tall##_2}
#endif

TILES_WIDE(1)
TILES_WIDE(2)
TILES_WIDE(4)
#if TILE == 12
TILES_WIDE(8)
TILES_WIDE(12)
#define TILES_TABLE(kind) \
    {TILES_LIST(kind, 1), TILES_LIST(kind, 2), TILES_LIST(kind, 4), TILES_LIST(kind, 8), TILES_LIST(kind, 12)}
static const size_t tile_sizes[] = {1, 2, 4, 8, 12};
#elif TILE == 8
TILES_WIDE(8)
#define TILES_TABLE(kind) {TILES_LIST(kind, 1), TILES_LIST(kind, 2), TILES_LIST(kind, 4), TILES_LIST(kind, 8)}
static const size_t tile_sizes[] = {1, 2, 4, 8};
#elif TILE == 6
TILES_WIDE(6)
#define TILES_TABLE(kind) {TILES_LIST(kind, 1), TILES_LIST(kind, 2), TILES_LIST(kind, 4), TILES_LIST(kind, 6)}
static const size_t tile_sizes[] = {1, 2, 4, 6};
#else
#define TILES_TABLE(kind) {TILES_LIST(kind, 1), TILES_LIST(kind, 2), TILES_LIST(kind, 4)}
static const size_t tile_sizes[] = {1, 2, 4};
#endif
static tile_fn *const score_tiles[][VECTORS] = TILES_TABLE(score);
static tile_fn *const value_tiles[][VECTORS] = TILES_TABLE(value);
enum { TILE_KINDS = sizeof tile_sizes / sizeof tile_sizes[0] };

/* The tallest tile for `left` rows. */
SIMD size_t tile_kind(size_t left)
{
    size_t kind = TILE_KINDS - 1;
    while (tile_sizes[kind] > left)
        kind--;
    return kind;
}
