/* One query against rows of int8: exact sums in 32 bits. The level's file gives vh, 16-bit lanes made of VH bytes, and
 * vs, sums of 32 bits: vh_load, vh_load_n, vh_sub, vs_zero, vs_add(sum, a, b) = sum + a b by pairs, vs_sum -> uint32_t
 * (sums wrap, and what is asked for fits). */
SIMD float cosine_of(uint32_t dot, uint32_t square, float scale)
{
    return (float)(int32_t)dot * scale * gn_inverse_norm((float)square);
}

SIMD void group_i8(const int metric, const int keys, const int8_t *query, const int8_t *rows, size_t dim, float scale,
                   float *out)
{
    vs sum[4], square[4];
    EACH(j, keys)
        sum[j] = square[j] = vs_zero();
    for (size_t p = 0; p < dim; p += VH) {
        const size_t n = dim - p;
        vh q = n < (size_t)VH ? vh_load_n(query + p, n) : vh_load(query + p);
        EACH(j, keys)
        {
            const int8_t *at = rows + (size_t)j * dim + p;
            vh key = n < (size_t)VH ? vh_load_n(at, n) : vh_load(at);
            vh d = metric == GN_METRIC_L2SQ ? vh_sub(q, key) : key;
            sum[j] = vs_add(sum[j], metric == GN_METRIC_L2SQ ? d : q, d);
            if (metric == GN_METRIC_COSINE)
                square[j] = vs_add(square[j], key, key);
        }
    }
    EACH(j, keys)
    {
        uint32_t total = vs_sum(sum[j]);
        if (metric == GN_METRIC_COSINE)
            out[j] = cosine_of(total, vs_sum(square[j]), scale);
        else
            out[j] = metric == GN_METRIC_L2SQ ? (float)total : (float)(int32_t)total;
    }
}

SIMD void rows_i8(const int metric, const void *query, const void *keys, size_t n, size_t dim, float scale, float *out)
{
    const int8_t *rows = keys;
    size_t j = 0;
    for (; j + 4 <= n; j += 4)
        group_i8(metric, 4, query, rows + j * dim, dim, scale, out + j);
    for (; j < n; j++)
        group_i8(metric, 1, query, rows + j * dim, dim, scale, out + j);
}

#define ROW_I8(NAME, METRIC)                                                                                        \
    static void NAME(const void *query, const void *keys, size_t n, size_t dim, int far, float scale, float *out)   \
    {                                                                                                               \
        (void)far;                                                                                                  \
        rows_i8(METRIC, query, keys, n, dim, scale, out);                                                           \
    }
#ifndef OWN_I8_DOT
ROW_I8(i8_dot, GN_METRIC_DOT)
#endif
ROW_I8(i8_cosine, GN_METRIC_COSINE)
ROW_I8(i8_l2sq, GN_METRIC_L2SQ)

#ifndef BIT_TILE
#define BIT_TILE NULL
#endif
#define DISTANCES_TABLE                                                                                              \
    {.row = {{f32_dot, f32_cosine, NULL, f32_l2sq},                                                                  \
             {f16_dot, f16_cosine, NULL, f16_l2sq},                                                                  \
             {bf16_dot, bf16_cosine, NULL, bf16_l2sq},                                                               \
             {i8_dot, i8_cosine, NULL, i8_l2sq}},                                                                    \
     .row64 = {f64_dot, f64_cosine, NULL, f64_l2sq},                                                                 \
     .square64 = square64,                                                                                           \
     .widen = widen,                                                                                                 \
     .counts = counts,                                                                                               \
     .roots = roots,                                                                                                 \
     .scale = scale_by,                                                                                              \
     .nearer = nearer,                                                                                               \
     .bit_tile = BIT_TILE}
