/* One query against rows of float32, summed in float64. The level's file gives vd, a vector of VD doubles, with
 * vd_zero, vd_load and vd_load_n (of floats), vd_fma, vd_sub, vd_sum. */
SIMD void group64(const int metric, const int keys, const float *query, const float *rows, size_t dim, double scale,
                  double *out)
{
    vd sum[4], square[4];
    EACH(j, keys)
        sum[j] = square[j] = vd_zero();
    for (size_t p = 0; p < dim; p += VD) {
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
    EACH(j, keys)
    {
        out[j] = vd_sum(sum[j]);
        if (metric == GN_METRIC_COSINE)
            out[j] = out[j] * scale * gn_inverse_norm64(vd_sum(square[j]));
    }
}

SIMD void rows64_of(const int metric, const float *query, const float *keys, size_t n, size_t dim, double scale,
                    double *out)
{
    size_t j = 0;
    for (; j + 4 <= n; j += 4)
        group64(metric, 4, query, keys + j * dim, dim, scale, out + j);
    for (; j < n; j++)
        group64(metric, 1, query, keys + j * dim, dim, scale, out + j);
}

#define ROW64(NAME, METRIC)                                                                                           \
    static void NAME(const float *query, const float *keys, size_t n, size_t dim, double scale, double *out)          \
    {                                                                                                                 \
        rows64_of(METRIC, query, keys, n, dim, scale, out);                                                           \
    }
ROW64(f64_dot, GN_METRIC_DOT)
ROW64(f64_cosine, GN_METRIC_COSINE)
ROW64(f64_l2sq, GN_METRIC_L2SQ)

static double square64(const float *row, size_t dim)
{
    double out;
    group64(GN_METRIC_DOT, 1, row, row, dim, 0, &out);
    return out;
}
