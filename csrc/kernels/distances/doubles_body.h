/* One query against rows of float32, summed in float64. The level's file gives vd, a vector of VD doubles, with
 * vd_zero, vd_load and vd_load_n (of floats), vd_fma, vd_sub, and vd_sum or its own fold64 (as fold). */
#ifndef OWN_FOLD64
SIMD void fold64(const vd *sums, int n, double *out)
{
    for (int j = 0; j < n; j++)
        out[j] = vd_sum(sums[j]);
}
#endif

SIMD void abreast64(const int metric, const int keys, const float *query, const float *rows, size_t dim, vd *sum,
                    vd *square)
{
    size_t p = 0;
    EACH(j, keys)
        sum[j] = square[j] = vd_zero();
    for (; p < dim; p += VD) {
        const size_t n = dim - p;
        vd q = n < (size_t)VD ? vd_load_n(query + p, n) : vd_load(query + p);
        EACH(j, keys)
        {
            const float *at = rows + (size_t)j * dim + p;
            vd key = n < (size_t)VD ? vd_load_n(at, n) : vd_load(at);
            vd d = metric == GN_METRIC_L2SQ ? vd_sub(q, key) : key;
            sum[j] = vd_fma(metric == GN_METRIC_L2SQ ? d : q, d, sum[j]);
            if (metric == GN_METRIC_COSINE)
                square[j] = vd_fma(key, key, square[j]);
        }
    }
}

SIMD void group64(const int metric, const int keys, const int far, const float *query, const float *rows, size_t dim,
                  double scale, double *out)
{
    vd sum[8], square[8];
    if (far)
        EACH(j, keys)
            abreast64(metric, 1, query, rows + (size_t)j * dim, dim, sum + j, square + j);
    else
        abreast64(metric, keys, query, rows, dim, sum, square);
    fold64(sum, keys, out);
    if (metric == GN_METRIC_COSINE) {
        double squares[8];
        fold64(square, keys, squares);
        for (int j = 0; j < keys; j++)
            out[j] = out[j] * scale * gn_inverse_norm64(squares[j]);
    }
}

SIMD void rows64_of(const int metric, const int far, const float *query, const float *keys, size_t n, size_t dim,
                    double scale, double *out)
{
    const int many = metric == GN_METRIC_COSINE ? KEYS_COSINE : 8;
    size_t j = 0;
    for (; j + (size_t)many <= n; j += (size_t)many)
        group64(metric, many, far, query, keys + j * dim, dim, scale, out + j);
    for (; j < n; j++)
        group64(metric, 1, far, query, keys + j * dim, dim, scale, out + j);
}

#define ROW64(NAME, METRIC)                                                                                            \
    static void NAME(const float *query, const float *keys, size_t n, size_t dim, int far, double scale, double *out) \
    {                                                                                                                  \
        if (far)                                                                                                       \
            rows64_of(METRIC, 1, query, keys, n, dim, scale, out);                                                     \
        else                                                                                                           \
            rows64_of(METRIC, 0, query, keys, n, dim, scale, out);                                                     \
    }
ROW64(f64_dot, GN_METRIC_DOT)
ROW64(f64_cosine, GN_METRIC_COSINE)
ROW64(f64_l2sq, GN_METRIC_L2SQ)

static double square64(const float *row, size_t dim)
{
    double out;
    group64(GN_METRIC_DOT, 1, 0, row, row, dim, 0, &out);
    return out;
}
