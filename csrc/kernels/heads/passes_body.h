/* Loops over one row each. They move far less than the products beside them: one text for all levels. */
static void add_bias(float *rows, size_t m, size_t n, const float *bias)
{
    for (size_t r = 0; r < m; r++, rows += n) {
        size_t i = 0;
        for (; i + VL <= n; i += VL)
            vf_store(rows + i, vf_add(vf_load(rows + i), vf_load(bias + i)));
        if (i < n)
            vf_store_n(rows + i, vf_add(vf_load_n(rows + i, n - i), vf_load_n(bias + i, n - i)), n - i);
    }
}

static void difference(float *y, const float *second, size_t n, float lambda, const float *gain, float scale,
                       float epsilon)
{
    vf by = vf_set1(lambda), sum = vf_zero();
    float norm;
    for (size_t i = 0; i < n; i += VL) {
        size_t left = n - i < VL ? n - i : VL;
        vf z = vf_fnma(by, vf_load_n(second + i, left), vf_load_n(y + i, left));
        vf_store_n(y + i, z, left);
        sum = vf_fma(z, z, sum);
    }
    norm = scale / sqrtf(vf_sum(sum) / (float)n + epsilon);
    if (norm == INFINITY) /* zeros without an epsilon stay zeros */
        norm = 0;
    for (size_t i = 0; i < n; i += VL) {
        size_t left = n - i < VL ? n - i : VL;
        vf z = vf_mul(vf_load_n(y + i, left), vf_set1(norm));
        vf_store_n(y + i, gain ? vf_mul(z, vf_load_n(gain + i, left)) : z, left);
    }
}

static void softmax(const float *logits, size_t n, float *out)
{
    vf top = vf_set1(-INFINITY), sum = vf_zero();
    float highest, by;
    for (size_t i = 0; i < n; i += VL)
        top = vf_max(top, vf_load_or(logits + i, n - i < VL ? n - i : VL, -INFINITY));
    highest = vf_hmax(top);
    if (highest == -INFINITY)
        highest = 0; /* weights of 0, or of NaN where a NaN hides */
    for (size_t i = 0; i < n; i += VL) {
        size_t left = n - i < VL ? n - i : VL;
        vf p = vf_exp(vf_sub(vf_load_or(logits + i, left, -INFINITY), vf_set1(highest)));
        vf_store_n(out + i, p, left);
        sum = vf_add(sum, p);
    }
    by = vf_sum(sum);
    by = by == 0 ? 0 : 1 / by;
    for (size_t i = 0; i < n; i += VL) {
        size_t left = n - i < VL ? n - i : VL;
        vf_store_n(out + i, vf_mul(vf_load_n(out + i, left), vf_set1(by)), left);
    }
}

static void weighted(float *out, const float *x, size_t n, float by, int add)
{
    vf w = vf_set1(by);
    for (size_t i = 0; i < n; i += VL) {
        size_t left = n - i < VL ? n - i : VL;
        vf_store_n(out + i, vf_fma(w, vf_load_n(x + i, left), add ? vf_load_n(out + i, left) : vf_zero()), left);
    }
}
