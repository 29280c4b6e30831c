/* Packing, and the block of registers. The level's file gives TILE_ROWS (TILE_ROWS * 2 vectors of sums stay in
 * registers) and transpose_store(from, stride, rows, n, to, width): to[p * width + r] = from[r * stride + p] for
 * p < n <= VL, r < VL, rows at or past `rows` taken as zero, stored in the order of p. */
enum { TILE_COLUMNS = 2 * VL };

static void pack_rows(const float *from, size_t stride, size_t rows, size_t k, float *to, size_t width)
{
    for (size_t top = 0; top < rows; top += width) {
        size_t here = rows - top < width ? rows - top : width;
        for (size_t r = 0; r < width; r += VL) {
            size_t valid = r < here ? here - r : 0;
            const float *row = from + (top + (valid ? r : 0)) * stride;
            for (size_t p = 0; p < k; p += VL) {
                size_t n = k - p < (size_t)VL ? k - p : (size_t)VL;
                transpose_store(row + p, stride, valid < (size_t)VL ? valid : (size_t)VL, n, to + p * width + r, width);
            }
        }
        to += k * width;
    }
}

static void pack_columns(const float *from, size_t stride, size_t columns, size_t k, float *to)
{
    for (size_t left = 0; left < columns; left += TILE_COLUMNS) {
        size_t here = columns - left, first = here < (size_t)VL ? here : (size_t)VL;
        size_t second = here - first < (size_t)VL ? here - first : (size_t)VL;
        for (size_t p = 0; p < k; p++, to += TILE_COLUMNS) {
            const float *row = from + p * stride + left;
            vf_store(to, vf_load_n(row, first));
            vf_store(to + VL, second ? vf_load_n(row + VL, second) : vf_zero());
        }
    }
}

SIMD void put(float *c, vf v, size_t n, int add)
{
    if (n >= (size_t)VL)
        vf_store(c, add ? vf_add(vf_load(c), v) : v);
    else if (n)
        vf_store_n(c, add ? vf_add(vf_load_n(c, n), v) : v, n);
}

/* One panel of a by one of b. `rows` and `apart` are constants where this is expanded; apart: sums of squared
 * differences in place of products. */
SIMD void block(const int rows, const int apart, const float *restrict a, const float *restrict b, size_t k, float *c, size_t stride,
                size_t columns, int add)
{
    vf sum[TILE_ROWS][2];
SIMD_UNROLL
    for (int i = 0; i < rows; i++)
        sum[i][0] = sum[i][1] = vf_zero();
    for (size_t p = 0; p < k; p++, a += TILE_ROWS, b += TILE_COLUMNS) {
        vf left = vf_load(b), right = vf_load(b + VL);
SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            vf x = vf_set1(a[i]);
            vf y = apart ? vf_sub(x, left) : x, z = apart ? vf_sub(x, right) : x;
            sum[i][0] = vf_fma(y, apart ? y : left, sum[i][0]);
            sum[i][1] = vf_fma(z, apart ? z : right, sum[i][1]);
        }
    }
SIMD_UNROLL
    for (int i = 0; i < rows; i++) {
        put(c + (size_t)i * stride, sum[i][0], columns, add);
        put(c + (size_t)i * stride + VL, sum[i][1], columns > (size_t)VL ? columns - VL : 0, add);
    }
}

typedef void block_fn(const float *a, const float *b, size_t k, float *c, size_t stride, size_t columns, int add);

#define BLOCK(N)                                                                                                        \
    static __attribute__((noinline)) void block_##N(const float *a, const float *b, size_t k, float *c, size_t stride, \
                                                    size_t columns, int add)                                            \
    {                                                                                                                   \
        block(N, 0, a, b, k, c, stride, columns, add);                                                                  \
    }                                                                                                                   \
    static __attribute__((noinline)) void apart_##N(const float *a, const float *b, size_t k, float *c, size_t stride, \
                                                    size_t columns, int add)                                            \
    {                                                                                                                   \
        block(N, 1, a, b, k, c, stride, columns, add);                                                                  \
    }
BLOCKS(BLOCK)
#define BLOCK_NAME(N) block_##N,
#define APART_NAME(N) apart_##N,
static block_fn *const blocks[] = {BLOCKS(BLOCK_NAME)}, *const aparts[] = {BLOCKS(APART_NAME)};

SIMD void walk(block_fn *const *by_rows, const float *a, size_t rows, const float *b, size_t columns, size_t k, float *c,
               size_t stride, int add)
{
    for (size_t j = 0; j < columns; j += TILE_COLUMNS) {
        size_t wide = columns - j < (size_t)TILE_COLUMNS ? columns - j : (size_t)TILE_COLUMNS;
        for (size_t i = 0; i < rows; i += TILE_ROWS) {
            size_t high = rows - i < (size_t)TILE_ROWS ? rows - i : (size_t)TILE_ROWS;
            by_rows[high - 1](a + i * k, b + j * k, k, c + i * stride + j, stride, wide, add);
        }
    }
}

static void tile(const float *a, size_t rows, const float *b, size_t columns, size_t k, float *c, size_t stride, int add)
{
    walk(blocks, a, rows, b, columns, k, c, stride, add);
}

static void tile_apart(const float *a, size_t rows, const float *b, size_t columns, size_t k, float *c, size_t stride,
                       int add)
{
    walk(aparts, a, rows, b, columns, k, c, stride, add);
}
