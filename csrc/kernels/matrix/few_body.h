/* A few rows of a against all of b, which is read once and not packed: the speed is that of memory. */

/* `rows` of a by `keys` rows of b: constants where this is expanded. */
SIMD void dots(const int rows, const int keys, const float *a, const float *b, size_t k, float *c, size_t stride)
{
    vf sum[4][4];
    size_t p = 0;
SIMD_UNROLL
    for (int i = 0; i < rows; i++)
SIMD_UNROLL
        for (int j = 0; j < keys; j++)
            sum[i][j] = vf_zero();
    for (; p + VL <= k; p += VL) {
        vf key[4];
SIMD_UNROLL
        for (int j = 0; j < keys; j++)
            key[j] = vf_load(b + (size_t)j * k + p);
SIMD_UNROLL
        for (int i = 0; i < rows; i++) {
            vf x = vf_load(a + (size_t)i * k + p);
SIMD_UNROLL
            for (int j = 0; j < keys; j++)
                sum[i][j] = vf_fma(x, key[j], sum[i][j]);
        }
    }
    if (p < k)
        for (int i = 0; i < rows; i++) {
            vf x = vf_load_n(a + (size_t)i * k + p, k - p);
            for (int j = 0; j < keys; j++)
                sum[i][j] = vf_fma(x, vf_load_n(b + (size_t)j * k + p, k - p), sum[i][j]);
        }
SIMD_UNROLL
    for (int i = 0; i < rows; i++)
SIMD_UNROLL
        for (int j = 0; j < keys; j++)
            c[(size_t)i * stride + (size_t)j] = vf_sum(sum[i][j]);
}

#define DOTS(ROWS)                                                                                                \
    static __attribute__((noinline)) void dots_##ROWS(size_t keys, const float *a, const float *b, size_t k, float *c, \
                                                      size_t stride)                                              \
    {                                                                                                             \
        if (keys == 4)                                                                                            \
            dots(ROWS, 4, a, b, k, c, stride);                                                                    \
        else                                                                                                      \
            for (size_t j = 0; j < keys; j++)                                                                     \
                dots(ROWS, 1, a, b + j * k, k, c + j, stride);                                                    \
    }
DOTS(1)
DOTS(2)
DOTS(3)
DOTS(4)

/* Four rows of b at a time, which stay in the first cache for all of a. */
static void few_nt(const float *a, size_t m, const float *b, size_t n, size_t k, float *c, size_t stride)
{
    static void (*const by_rows[])(size_t, const float *, const float *, size_t, float *, size_t) = {dots_1, dots_2,
                                                                                                     dots_3, dots_4};
    for (size_t j = 0; j < n; j += 4)
        for (size_t i = 0; i < m; i += 4)
            by_rows[m - i < 4 ? m - i - 1 : 3](n - j < 4 ? n - j : 4, a + i * k, b + j * k, k, c + i * stride + j, stride);
}

/* c += `steps` rows of b, each times its element of a; n <= VL columns. */
SIMD void weigh(const int steps, const float *a, size_t k, size_t m, const float *b, size_t stride, size_t n, float *c,
                int add)
{
    vf row[4];
    int whole = n >= (size_t)VL;
SIMD_UNROLL
    for (int p = 0; p < steps; p++)
        row[p] = whole ? vf_load(b + (size_t)p * stride) : vf_load_n(b + (size_t)p * stride, n);
    for (size_t i = 0; i < m; i++) {
        float *to = c + i * stride;
        vf sum = !add ? vf_zero() : whole ? vf_load(to) : vf_load_n(to, n);
SIMD_UNROLL
        for (int p = 0; p < steps; p++)
            sum = vf_fma(vf_set1(a[i * k + (size_t)p]), row[p], sum);
        if (whole)
            vf_store(to, sum);
        else
            vf_store_n(to, sum, n);
    }
}

SIMD void few_columns(const float *a, size_t m, const float *b, size_t stride, size_t n, size_t k, float *c)
{
    size_t p = 0, j;
    for (; p + 4 <= k; p += 4) {
        for (j = 0; j + VL <= n; j += VL)
            weigh(4, a + p, k, m, b + p * stride + j, stride, VL, c + j, p != 0);
        if (j < n)
            weigh(4, a + p, k, m, b + p * stride + j, stride, n - j, c + j, p != 0);
    }
    for (; p < k; p++)
        for (j = 0; j < n; j += VL)
            weigh(1, a + p, k, m, b + p * stride + j, stride, n - j < (size_t)VL ? n - j : (size_t)VL, c + j, p != 0);
}

/* b[k, ...] and c share their stride. So many columns at a time that those of c stay in the first cache. */
static void few_nn(const float *a, size_t m, const float *b, size_t stride, size_t n, size_t k, float *c)
{
    enum { C_FLOATS = 4096 };
    size_t step = C_FLOATS / m / VL * VL;
    for (size_t j = 0; j < n; j += step)
        few_columns(a, m, b + j, stride, n - j < step ? n - j : step, k, c + j);
}
