/* The sapphire level's attention with its tile instructions emulated (attention/tiles.h): its logic, its layouts, its
 * tile configuration and its bounds, on machines without AMX. What is not a tile instruction is AVX512_BF16, so the
 * test has nothing to run where that is missing, and says so.
 *
 * The level's file and halves.c are compiled into this program under other names; the level's file comes last, because
 * its compiler target holds from there on.
 */
#if defined(__x86_64__)
#define gn_halves_sapphire gn_halves_emulated
#define gn_isa_level emulated_level
#define gn_sdpa_typed_scratch emulated_scratch
#define gn_sdpa_typed_native emulated_native
#define gn_sdpa_bf16 emulated_bf16
#define gn_sdpa_f16 emulated_f16
#define gn_sdpa_f32x3 emulated_f32x3
#include "ganglion/kernels/base.h"
static int emulated_level = GN_ISA_SAPPHIRE;
/* base/isa.h declares the real one */
#define GN_KERNELS_ISA_H
#define F32X3_KEYS_MIN 1
#include "attention/halves.c"

#define GN_TILES_EMULATED
#include "halves_check.h"
#include "tiles_emulated.h"

static int run_bf16(const struct gn_sdpa *shape, const void *q, const void *k, const void *v, const uint8_t *mask,
                    const float *bias, void *out, void *scratch, gn_pool *pool)
{
    return emulated_bf16(shape, q, k, v, mask, bias, out, scratch, pool);
}

static int run_f32x3(const struct gn_sdpa *shape, const void *q, const void *k, const void *v, const uint8_t *mask,
                     const float *bias, void *out, void *scratch, gn_pool *pool)
{
    return emulated_f32x3(shape, q, k, v, mask, bias, out, scratch, pool);
}

static const struct halves_way way = {emulated_scratch, emulated_native, {run_bf16, NULL, run_f32x3}};

/* The 64 bytes LDTILECFG reads, as the manual numbers them. */
static void test_configuration(void)
{
    const struct gn_tile_config config = gn_tile_full();
    const unsigned char *bytes = (const unsigned char *)&config;
    for (int i = 0; i < 64; i++) {
        int expected = i == 0 ? 1 : i >= 16 && i < 32 && i % 2 == 0 ? 64 : i >= 48 && i < 56 ? 16 : 0;
        CHECK(bytes[i] == expected);
    }
}

/* C += A B by TDPBF16PS on small whole numbers, where no rounding hides a wrong layout; then its rounding's corners. */
static void test_product(void)
{
    uint16_t a[16][32], b[16][32];
    float c[16][16], start[16][16];
    const struct gn_tile_config config = gn_tile_full();
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 32; j++) {
            a[i][j] = gn_f32_to_bf16((float)(i * 3 - j));
            b[i][j] = gn_f32_to_bf16((float)(j * 2 - i * 5));
            start[i][j / 2] = (float)(i - j / 2);
        }
    GN_TILE_CONFIG(&config);
    GN_TILE_LOAD(0, start, 64);
    GN_TILE_LOAD(1, a, 64);
    GN_TILE_LOAD(2, b, 64);
    GN_TILE_DOT(0, 1, 2);
    GN_TILE_STORE(0, c, 64);
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 16; n++) {
            float sum = start[m][n];
            for (int k = 0; k < 16; k++)
                for (int half = 0; half < 2; half++)
                    sum += (float)(m * 3 - (2 * k + half)) * (float)((2 * n + half) * 2 - k * 5);
            CHECK(c[m][n] == sum);
        }
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    a[0][0] = 1; /* a subnormal operand counts as zero */
    b[0][0] = gn_f32_to_bf16(0x1p100f);
    a[1][0] = b[0][2] = gn_f32_to_bf16(0x1p-70f); /* a product below the normal numbers too */
    GN_TILE_ZERO(0);
    GN_TILE_LOAD(1, a, 64);
    GN_TILE_LOAD(2, b, 64);
    GN_TILE_DOT(0, 1, 2);
    GN_TILE_STORE(0, c, 64);
    CHECK(c[0][0] == 0.0f && c[1][1] == 0.0f && c[1][0] == 0x1p30f);
    GN_TILE_RELEASE();
}

static void test_sizes(void)
{
    static const size_t some[][4] = {{1, 0, 4, 4},     {0, 5, 4, 4},     {3, 4, 0, 4},     {1, 1, 1, 1},
                                     {16, 16, 32, 32}, {17, 31, 33, 31}, {7, 32, 32, 64},  {33, 33, 31, 33},
                                     {40, 257, 8, 8},  {97, 65, 64, 64}, {3, 129, 16, 65}, {2, 256, 96, 1},
                                     {15, 127, 8, 8}};
    check_sizes(&way, some, sizeof some / sizeof some[0]);
    for (size_t n = 0; n <= 67; n += type_now == GN_SDPA_BF16 ? 1 : 3) {
        const size_t one[][4] = {{n, n, 5, 6}, {1, 3, n, n}};
        check_sizes(&way, one, 2);
    }
}

static void all(int type)
{
    type_now = type;
    test_sizes();
    check_groups(&way);
    check_hidden(&way);
    check_threads(&way);
    struct halves_case it = case_new(1, 1, 1, 64, 512, 64, 64, 0);
    case_run(&way, &it, NULL);
    double worst = check_rows(&it);
    printf("test_kernels_tiles: largest error of %s at 512 keys %.2g\n", type == GN_SDPA_BF16 ? "bf16" : "f32x3", worst);
    CHECK(worst < (type == GN_SDPA_BF16 ? 2e-3 : 5e-6)); /* what the header promises from 256 keys on */
    case_free(&it);
}

int main(void)
{
    test_configuration();
    test_product();
    if (gn_isa_has(GN_ISA_GENOA)) {
        all(GN_SDPA_BF16);
        all(GN_SDPA_F32X3);
        puts("test_kernels_tiles: ok");
    } else {
        puts("test_kernels_tiles: the emulation only, this machine has no AVX512_BF16");
    }
    return 0;
}

#define SIMD_NAME(stem) stem##_emulated
#undef gn_halves_sapphire
#include "attention/halves_sapphire.c"
#else
#include <stdio.h>
int main(void)
{
    puts("test_kernels_tiles: only on x86-64");
    return 0;
}
#endif
