/* Rows of neighbours: sums, largest values, softmax; and what ends a layer. */

/* `blocks` vectors of the row's width at `at` stay in registers while the neighbours pass; the last may be short. */
SIMD void sum_block(const struct gn_row *row, size_t at, int blocks, size_t last, float own, const float *own_row,
                    float times, float *out)
{
    vf sum[4];
    for (int b = 0; b < blocks; b++)
        sum[b] = vf_zero();
    for (size_t i = 0; i < row->count; i++) {
        int32_t t = row->targets[i];
        const float *x = row->x + (size_t)t * row->stride + at;
        float factor = row->weights ? row->weights[i] : 1.0f;
        vf by = vf_set1(row->scales ? factor * row->scales[t] : factor);
        for (int b = 0; b < blocks - 1; b++)
            sum[b] = vf_fma(by, vf_load(x + b * VL), sum[b]);
        sum[blocks - 1] = vf_fma(by, vf_load_n(x + (blocks - 1) * VL, last), sum[blocks - 1]);
    }
    for (int b = 0; b < blocks; b++) {
        size_t n = b == blocks - 1 ? last : VL;
        if (own_row)
            sum[b] = vf_fma(vf_set1(own), vf_load_n(own_row + at + (size_t)b * VL, n), sum[b]);
        vf_store_n(out + at + (size_t)b * VL, vf_mul(vf_set1(times), sum[b]), n);
    }
}

static void row_sum(const struct gn_row *row, float own, const float *own_row, float times, float *out)
{
    size_t at = 0, rest;
    for (; row->width - at > 4 * VL; at += 4 * VL)
        sum_block(row, at, 4, VL, own, own_row, times, out);
    rest = row->width - at;
    if (rest > 3 * VL)
        sum_block(row, at, 4, rest - 3 * VL, own, own_row, times, out);
    else if (rest > 2 * VL)
        sum_block(row, at, 3, rest - 2 * VL, own, own_row, times, out);
    else if (rest > VL)
        sum_block(row, at, 2, rest - VL, own, own_row, times, out);
    else if (rest)
        sum_block(row, at, 1, rest, own, own_row, times, out);
}

/* A NaN, once seen, stays. */
static void row_max(const struct gn_row *row, float *out)
{
    for (size_t at = 0; at < row->width; at += VL) {
        size_t n = row->width - at < VL ? row->width - at : VL;
        vf most = row->count ? vf_set1(-INFINITY) : vf_zero();
        for (size_t i = 0; i < row->count; i++) {
            vf x = vf_load_n(row->x + (size_t)row->targets[i] * row->stride + at, n);
            most = vf_pick(vm_or(vf_lt(most, x), vf_isnan(x)), x, most);
        }
        vf_store_n(out + at, most, n);
    }
}

static float dot(const float *a, const float *b, size_t n)
{
    vf sum = vf_zero(), more = vf_zero();
    size_t i = 0;
    for (; n - i >= 2 * VL; i += 2 * VL) {
        sum = vf_fma(vf_load(a + i), vf_load(b + i), sum);
        more = vf_fma(vf_load(a + i + VL), vf_load(b + i + VL), more);
    }
    for (; i < n; i += VL) {
        size_t k = n - i < VL ? n - i : VL;
        sum = vf_fma(vf_load_n(a + i, k), vf_load_n(b + i, k), sum);
    }
    return vf_sum(vf_add(sum, more));
}

static void softmax(float *e, size_t n)
{
    vf most = vf_set1(-INFINITY), sum = vf_zero(), top, whole;
    for (size_t i = 0; i < n; i += VL) {
        size_t k = n - i < VL ? n - i : VL;
        most = vf_max(vf_load_or(e + i, k, -INFINITY), most);
    }
    top = vf_set1(vf_hmax(most));
    for (size_t i = 0; i < n; i += VL) {
        size_t k = n - i < VL ? n - i : VL;
        vf x = vf_exp(vf_sub(vf_load_n(e + i, k), top));
        vf_store_n(e + i, x, k);
        sum = vf_add(sum, vf_pick(vm_first(k), x, vf_zero()));
    }
    whole = vf_set1(vf_sum(sum));
    for (size_t i = 0; i < n; i += VL) {
        size_t k = n - i < VL ? n - i : VL;
        vf_store_n(e + i, vf_div(vf_load_n(e + i, k), whole), k);
    }
}

static void finish(float *y, float times, const float *add, const float *bias, size_t n)
{
    vf by = vf_set1(times);
    for (size_t i = 0; i < n; i += VL) {
        size_t k = n - i < VL ? n - i : VL;
        vf v = vf_mul(vf_load_n(y + i, k), by);
        if (add)
            v = vf_add(v, vf_load_n(add + i, k));
        if (bias)
            v = vf_add(v, vf_load_n(bias + i, k));
        vf_store_n(y + i, v, k);
    }
}

static void relu(float *y, const float *bias, size_t n)
{
    for (size_t i = 0; i < n; i += VL) {
        size_t k = n - i < VL ? n - i : VL;
        vf v = vf_load_n(y + i, k);
        if (bias)
            v = vf_add(v, vf_load_n(bias + i, k));
        vf_store_n(y + i, vf_max(vf_zero(), v), k); /* the second operand when v is NaN: it stays */
    }
}
