/* One query against rows of float32, float16 or bfloat16. The level's file gives fold(sums, n, out): out[j] = the sum
 * over the lanes of sums[j]; and KEYS_COSINE, how many rows' two sums stay in registers (8 or 4). */
#define EACH(I, N) SIMD_UNROLL for (int I = 0; I < N; I++)

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

/* Keys [0, keys) between them, so that an element of the query is loaded once for all. */
SIMD void abreast(const int element, const int metric, const int keys, const void *query, const void *rows, size_t dim,
                  vf *sum, vf *square)
{
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
}

/* The same sums in the same order, one key after another: memory is read in one stream, which is what prefetching
 * wants; the processor overlaps the keys' chains by itself. */
SIMD void in_turn(const int element, const int metric, const int keys, const void *query, const void *rows, size_t dim,
                  vf *sum, vf *square)
{
    EACH(j, keys)
        abreast(element, metric, 1, query, row_of(element, rows, (size_t)j * dim), dim, sum + j, square + j);
}

#ifdef SIMD_SKYLAKE
/* A load of 64 bytes that crosses a line costs two, and numpy's arrays begin 16 bytes past one. Where all rows lie
 * `shift` floats past a line, their loads are moved back onto the lines: element p then stands in lane (p + shift) % 16
 * instead of p % 16, each lane sums the same elements in the same order, and turning the lanes back gives the same bits. */
SIMD size_t shift_of(const int element, const void *rows, size_t dim)
{
    return element == GN_ELEMENT_F32 && dim % VL == 0 && (uintptr_t)rows % 4 == 0 ? (uintptr_t)rows / 4 % VL : 0;
}

SIMD vf back(const float *p, size_t shift, vm lanes) /* lanes of p[-shift ..] */
{
    return _mm512_maskz_loadu_ps(lanes, (const void *)((uintptr_t)p - 4 * shift));
}

SIMD void shifted(const int metric, const int keys, const float *q, const float *rows, size_t dim, size_t shift, vf *sum,
                  vf *square)
{
    vm tail = vm_first(shift), head = vm_not(tail);
    vi turn = vi_add(vi_iota(), vi_set1((int)shift));
    size_t p = VL;
    EACH(j, keys)
    {
        sum[j] = square[j] = vf_zero();
        step(metric, back(q, shift, head), back(rows + (size_t)j * dim, shift, head), &sum[j], &square[j]);
    }
    for (; p < dim; p += VL) {
        vf x = vf_load(q + p - shift);
        EACH(j, keys)
            step(metric, x, vf_load(rows + (size_t)j * dim + p - shift), &sum[j], &square[j]);
    }
    EACH(j, keys)
    {
        const float *row = rows + (size_t)j * dim;
        step(metric, back(q + p, shift, tail), back(row + p, shift, tail), &sum[j], &square[j]);
        sum[j] = _mm512_permutexvar_ps(turn, sum[j]);
        square[j] = _mm512_permutexvar_ps(turn, square[j]);
    }
}
#endif

SIMD void group(const int element, const int metric, const int keys, const int far, const void *query, const void *rows,
                size_t dim, float scale, float *out)
{
    vf sum[8], square[8];
    if (far)
        in_turn(element, metric, keys, query, rows, dim, sum, square);
#ifdef SIMD_SKYLAKE
    else if (keys == 8 && dim && shift_of(element, rows, dim))
        shifted(metric, keys, query, rows, dim, shift_of(element, rows, dim), sum, square);
#endif
    else
        abreast(element, metric, keys, query, rows, dim, sum, square);
    fold(sum, keys, out);
    if (metric == GN_METRIC_COSINE) {
        float squares[8];
        fold(square, keys, squares);
        for (int j = 0; j < keys; j++)
            out[j] = out[j] * scale * gn_inverse_norm(squares[j]);
    }
}

SIMD void rows_of(const int element, const int metric, const int far, const void *query, const void *keys, size_t n,
                  size_t dim, float scale, float *out)
{
    const int many = metric == GN_METRIC_COSINE ? KEYS_COSINE : 8;
    size_t j = 0;
    for (; j + (size_t)many <= n; j += (size_t)many)
        group(element, metric, many, far, query, row_of(element, keys, j * dim), dim, scale, out + j);
    for (; j < n; j++)
        group(element, metric, 1, far, query, row_of(element, keys, j * dim), dim, scale, out + j);
}

#define ROW(NAME, ELEMENT, METRIC)                                                                                 \
    static void NAME(const void *query, const void *keys, size_t n, size_t dim, int far, float scale, float *out) \
    {                                                                                                             \
        if (far)                                                                                                  \
            rows_of(ELEMENT, METRIC, 1, query, keys, n, dim, scale, out);                                         \
        else                                                                                                      \
            rows_of(ELEMENT, METRIC, 0, query, keys, n, dim, scale, out);                                         \
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
