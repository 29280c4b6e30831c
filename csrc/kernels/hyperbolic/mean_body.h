/* Weights from distances, and weighted sums of points. */

static void weigh(float *row, size_t count, float temperature, const float *factors, float *plain, float *whole)
{
    float lowest, steep = 1.0f / temperature;
    vf least = vf_set1(INFINITY), by = vf_set1(steep < FLT_MAX ? steep : FLT_MAX), sum = vf_zero(), all = sum;
    for (size_t j = 0; j < count; j += VL)
        least = vf_min(vf_load_or(row + j, count - j < VL ? count - j : VL, INFINITY), least);
    lowest = vf_hmin(least);
    least = vf_set1(lowest == INFINITY ? 0 : lowest);
    for (size_t j = 0; j < count; j += VL) {
        size_t n = count - j < VL ? count - j : VL;
        vf w = vf_exp(vf_mul(by, vf_sub(least, vf_load_or(row + j, n, INFINITY)))), scaled = w;
        if (factors) {
            scaled = vf_mul(w, vf_load_n(factors + j, n));
            scaled = vf_pick(vf_eq(w, vf_zero()), vf_zero(), scaled);
        }
        sum = vf_add(sum, w);
        all = vf_add(all, scaled);
        vf_store_n(row + j, scaled, n);
    }
    *plain = vf_sum(sum);
    *whole = vf_sum(all);
}

/* Columns [0, vectors * VL) of the sum, in registers, TOGETHER points at a time; out is added to where `add`. */
SIMD __attribute__((always_inline)) void columns(const float *weights, const float *points, size_t count, size_t dim,
                                                 size_t vectors, size_t last, int add, float *out)
{
    enum { TOGETHER = 4 };
    vf sum[TOGETHER][4];
    size_t j = 0;
    for (size_t r = 0; r < TOGETHER; r++)
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = vf_zero();
    for (; j + TOGETHER <= count; j += TOGETHER)
        for (size_t r = 0; r < TOGETHER; r++) {
            const float *from = points + (j + r) * dim;
            vf w = vf_set1(weights[j + r]);
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = vf_fma(w, last == VL ? vf_load(from + v * VL) : vf_load_n(from + v * VL, last), sum[r][v]);
        }
    for (; j < count; j++)
        for (size_t v = 0; v < vectors; v++) {
            const float *from = points + j * dim + v * VL;
            sum[0][v] = vf_fma(vf_set1(weights[j]), last == VL ? vf_load(from) : vf_load_n(from, last), sum[0][v]);
        }
    for (size_t v = 0; v < vectors; v++) {
        vf all = vf_add(vf_add(sum[0][v], sum[1][v]), vf_add(sum[2][v], sum[3][v]));
        vf_store_n(out + v * VL, add ? vf_add(vf_load_n(out + v * VL, last), all) : all, last);
    }
}

/* Sums go block by block, so that points whose factors were just made are still in the first cache. */
enum { BLOCK = 64 };

static void combine_block(const float *weights, const float *points, size_t count, size_t dim, int add, float *out)
{
    size_t i = 0;
    for (; i + COMBINE * VL <= dim; i += COMBINE * VL)
        columns(weights, points + i, count, dim, COMBINE, VL, add, out + i);
    for (; i + VL <= dim; i += VL)
        columns(weights, points + i, count, dim, 1, VL, add, out + i);
    if (i < dim)
        columns(weights, points + i, count, dim, 1, dim - i, add, out + i);
}

static void combine(const float *weights, const float *points, size_t count, size_t dim, float *out)
{
    size_t at = 0;
    do {
        size_t n = count - at < BLOCK ? count - at : BLOCK;
        combine_block(weights + at, points + at * dim, n, dim, at != 0, out);
        at += BLOCK;
    } while (at < count);
}

static void blend(float *weights, const float *points, size_t count, size_t dim, float c, float *whole, float *out)
{
    float factor[BLOCK];
    vf all = vf_zero();
    for (size_t at = 0; at < count; at += BLOCK) {
        size_t block = count - at < BLOCK ? count - at : BLOCK;
        factors(points + at * dim, block, dim, c, factor);
        for (size_t j = 0; j < block; j += VL) {
            size_t n = block - j < VL ? block - j : VL;
            vf w = vf_load_n(weights + at + j, n), scaled = vf_mul(w, vf_load_n(factor + j, n));
            scaled = vf_pick(vf_eq(w, vf_zero()), vf_zero(), scaled);
            all = vf_add(all, scaled);
            vf_store_n(weights + at + j, scaled, n);
        }
        combine_block(weights + at, points + at * dim, block, dim, at != 0, out);
    }
    *whole = vf_sum(all);
}

/* Plain C on purpose: eight sums side by side are what a compiler makes vectors of, and all levels add in one order. */
enum { SIDE = 8 };

static double dot64(const float *a, const double *b, size_t n)
{
    double sum[SIDE] = {0}, rest = 0;
    size_t i = 0;
    for (; i + SIDE <= n; i += SIDE)
        for (size_t l = 0; l < SIDE; l++)
            sum[l] += (double)a[i + l] * b[i + l];
    for (; i < n; i++)
        rest += (double)a[i] * b[i];
    return rest + (((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7])));
}

static void dots(const float *points, size_t count, size_t dim, const double *with, double *products)
{
    for (size_t j = 0; j < count; j++)
        products[j] = dot64(points + j * dim, with, dim);
}

static void gather(const double *weights, const float *points, size_t count, size_t dim, double *sum)
{
    for (size_t i = 0; i < dim; i++)
        sum[i] = 0;
    for (size_t j = 0; j < count; j++, points += dim) {
        double w = weights[j];
        for (size_t i = 0; i < dim; i++)
            sum[i] += w * points[i];
    }
}
