/* One query against rows of float32, float16 or bfloat16. The level's file gives fold(sums, n, out): out[j] = the sum
 * over the lanes of sums[j]; and KEYS_COSINE, how many rows' two sums stay in registers (8 or 4). */
#define EACH(I, N) _Pragma("GCC unroll 8") for (int I = 0; I < N; I++)

SIMD vf fetch(const int element, const void *row, size_t at)
{
    const uint16_t *half = (const uint16_t *)row + at;
    if (element == GN_ELEMENT_F32)
        return vf_load((const float *)row + at);
    return element == GN_ELEMENT_F16 ? vf_load_f16(half) : vf_load_bf16(half);
}

SIMD vf fetch_n(const int element, const void *row, size_t at, size_t n)
{
    const uint16_t *half = (const uint16_t *)row + at;
    if (element == GN_ELEMENT_F32)
        return vf_load_n((const float *)row + at, n);
    return element == GN_ELEMENT_F16 ? vf_load_f16_n(half, n) : vf_load_bf16_n(half, n);
}

SIMD const void *row_of(const int element, const void *rows, size_t elements)
{
    return (const char *)rows + elements * (element == GN_ELEMENT_F32 ? 4 : 2);
}

SIMD void step(const int metric, vf q, vf key, vf *sum, vf *square)
{
    vf d = metric == GN_METRIC_L2SQ ? vf_sub(q, key) : key;
    *sum = vf_fma(metric == GN_METRIC_L2SQ ? d : q, d, *sum);
    if (metric == GN_METRIC_COSINE)
        *square = vf_fma(key, key, *square);
}

SIMD void group(const int element, const int metric, const int keys, const void *query, const void *rows, size_t dim,
                float scale, float *out)
{
    vf sum[8], square[8];
    size_t p = 0;
    EACH(j, keys)
        sum[j] = square[j] = vf_zero();
    for (; p + VL <= dim; p += VL) {
        vf q = fetch(element, query, p);
        EACH(j, keys)
            step(metric, q, fetch(element, row_of(element, rows, (size_t)j * dim), p), &sum[j], &square[j]);
    }
    if (p < dim) {
        vf q = fetch_n(element, query, p, dim - p);
        EACH(j, keys)
            step(metric, q, fetch_n(element, row_of(element, rows, (size_t)j * dim), p, dim - p), &sum[j], &square[j]);
    }
    fold(sum, keys, out);
    if (metric == GN_METRIC_COSINE) {
        float squares[8];
        fold(square, keys, squares);
        for (int j = 0; j < keys; j++)
            out[j] = out[j] * scale * gn_inverse_norm(squares[j]);
    }
}

SIMD void rows_of(const int element, const int metric, const void *query, const void *keys, size_t n, size_t dim,
                  float scale, float *out)
{
    const int many = metric == GN_METRIC_COSINE ? KEYS_COSINE : 8;
    size_t j = 0;
    for (; j + (size_t)many <= n; j += (size_t)many)
        group(element, metric, many, query, row_of(element, keys, j * dim), dim, scale, out + j);
    for (; j < n; j++)
        group(element, metric, 1, query, row_of(element, keys, j * dim), dim, scale, out + j);
}

#define ROW(NAME, ELEMENT, METRIC)                                                                                 \
    static void NAME(const void *query, const void *keys, size_t n, size_t dim, float scale, float *out)           \
    {                                                                                                              \
        rows_of(ELEMENT, METRIC, query, keys, n, dim, scale, out);                                                 \
    }
#define ROWS(NAME, ELEMENT)                      \
    ROW(NAME##_dot, ELEMENT, GN_METRIC_DOT)       \
    ROW(NAME##_cosine, ELEMENT, GN_METRIC_COSINE) \
    ROW(NAME##_l2sq, ELEMENT, GN_METRIC_L2SQ)
ROWS(f32, GN_ELEMENT_F32)
ROWS(f16, GN_ELEMENT_F16)
ROWS(bf16, GN_ELEMENT_BF16)

static void widen(int element, const void *from, size_t n, float *to)
{
    size_t p = 0;
    if (element == GN_ELEMENT_F16) {
        for (; p + VL <= n; p += VL)
            vf_store(to + p, fetch(GN_ELEMENT_F16, from, p));
        if (p < n)
            vf_store_n(to + p, fetch_n(GN_ELEMENT_F16, from, p, n - p), n - p);
    } else {
        for (; p + VL <= n; p += VL)
            vf_store(to + p, fetch(GN_ELEMENT_BF16, from, p));
        if (p < n)
            vf_store_n(to + p, fetch_n(GN_ELEMENT_BF16, from, p, n - p), n - p);
    }
}

static void counts(float *scores, size_t n)
{
    for (size_t p = 0; p < n; p++) {
        uint32_t count;
        memcpy(&count, scores + p, sizeof count);
        scores[p] = (float)count;
    }
}

static void roots(float *scores, size_t n)
{
    size_t p = 0;
    for (; p + VL <= n; p += VL)
        vf_store(scores + p, vf_sqrt(vf_load(scores + p)));
    if (p < n)
        vf_store_n(scores + p, vf_sqrt(vf_load_n(scores + p, n - p)), n - p);
}

static void scale_by(float *scores, size_t n, float by, const float *each)
{
    vf all = vf_set1(by);
    size_t p = 0;
    for (; p + VL <= n; p += VL)
        vf_store(scores + p, vf_mul(vf_mul(vf_load(scores + p), all), vf_load(each + p)));
    if (p < n)
        vf_store_n(scores + p, vf_mul(vf_mul(vf_load_n(scores + p, n - p), all), vf_load_n(each + p, n - p)), n - p);
}

static size_t nearer(int smallest, const float *scores, size_t n, float bar, uint32_t *at)
{
    vf limit = vf_set1(bar);
    size_t found = 0;
    for (size_t p = 0; p < n; p += VL) {
        vf here = n - p < (size_t)VL ? vf_load_or(scores + p, n - p, NAN) : vf_load(scores + p);
        unsigned bits = vm_bits(smallest ? vf_lt(here, limit) : vf_lt(limit, here));
        for (; bits; bits &= bits - 1)
            at[found++] = (uint32_t)p + (uint32_t)__builtin_ctz(bits);
    }
    return found;
}
