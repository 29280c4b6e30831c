/* The loops of BTSP, e-prop and EWC, and the dot products under all of them, on the vector layer. */

static float dot(const float *a, const float *b, size_t n)
{
    vf s0 = vf_zero(), s1 = vf_zero(), s2 = vf_zero(), s3 = vf_zero();
    size_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL) {
        s0 = vf_fma(vf_load(a + i), vf_load(b + i), s0);
        s1 = vf_fma(vf_load(a + i + VL), vf_load(b + i + VL), s1);
        s2 = vf_fma(vf_load(a + i + 2 * VL), vf_load(b + i + 2 * VL), s2);
        s3 = vf_fma(vf_load(a + i + 3 * VL), vf_load(b + i + 3 * VL), s3);
    }
    for (; i + VL <= n; i += VL)
        s0 = vf_fma(vf_load(a + i), vf_load(b + i), s0);
    if (i < n)
        s1 = vf_fma(vf_load_n(a + i, n - i), vf_load_n(b + i, n - i), s1);
    return vf_sum(vf_add(vf_add(s0, s1), vf_add(s2, s3)));
}

static void dots(const float *rows, size_t m, size_t n, const float *x, float *out)
{
    for (size_t j = 0; j < m; j++)
        out[j] = dot(rows + j * n, x, n);
}

static void add(float *y, float a, const float *x, size_t n)
{
    vf va = vf_set1(a);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(y + i, vf_fma(va, vf_load(x + i), vf_load(y + i)));
    if (i < n)
        vf_store_n(y + i, vf_fma(va, vf_load_n(x + i, n - i), vf_load_n(y + i, n - i)), n - i);
}

static void fade(float *y, float decay, const float *x, size_t n)
{
    vf d = vf_set1(decay);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vf_store(y + i, vf_fma(d, vf_load(y + i), vf_load(x + i)));
    if (i < n)
        vf_store_n(y + i, vf_fma(d, vf_load_n(y + i, n - i), vf_load_n(x + i, n - i)), n - i);
}

/* One pass over weights, eligibilities and gradients: what they bring from memory serves eprop_out as well. */
static float eprop_in(const struct gn_eprop_row *row)
{
    const float *w = row->weights, *x = row->x, *e = row->eligibility;
    float *g = row->gradient;
    vf signal = vf_set1(row->signal), s0 = vf_zero(), s1 = vf_zero();
    size_t i = 0, n = row->n;
    if (row->signal == 0)
        return dot(w, x, n);
    for (; i + 2 * VL <= n; i += 2 * VL) {
        s0 = vf_fma(vf_load(w + i), vf_load(x + i), s0);
        s1 = vf_fma(vf_load(w + i + VL), vf_load(x + i + VL), s1);
        vf_store(g + i, vf_fma(signal, vf_load(e + i), vf_load(g + i)));
        vf_store(g + i + VL, vf_fma(signal, vf_load(e + i + VL), vf_load(g + i + VL)));
    }
    for (size_t k; i < n; i += k) {
        k = n - i < VL ? n - i : VL;
        s0 = vf_fma(vf_load_n(w + i, k), vf_load_n(x + i, k), s0);
        vf_store_n(g + i, vf_fma(signal, vf_load_n(e + i, k), vf_load_n(g + i, k)), k);
    }
    return vf_sum(vf_add(s0, s1));
}

static void eprop_out(const struct gn_eprop_row *row, float filter, float psi)
{
    float *e = row->eligibility;
    vf f = vf_set1(filter), p = vf_set1(psi);
    size_t i = 0, n = row->n;
    for (; i + VL <= n; i += VL)
        vf_store(e + i, vf_fma(f, vf_load(e + i), vf_mul(p, vf_load(row->trace + i))));
    if (i < n)
        vf_store_n(e + i, vf_fma(f, vf_load_n(e + i, n - i), vf_mul(p, vf_load_n(row->trace + i, n - i))), n - i);
}

static void eprop_apply(float *weights, float *gradient, size_t n, float rate)
{
    vf r = vf_set1(rate);
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        vf_store(weights + i, vf_fnma(r, vf_load(gradient + i), vf_load(weights + i)));
        vf_store(gradient + i, vf_zero());
    }
    if (i < n) {
        vf_store_n(weights + i, vf_fnma(r, vf_load_n(gradient + i, n - i), vf_load_n(weights + i, n - i)), n - i);
        vf_store_n(gradient + i, vf_zero(), n - i);
    }
}

static void fisher_mix(float *fisher, const float *gradient, size_t n, float keep)
{
    vf old = vf_set1(keep), new = vf_set1(1.0f - keep);
    for (size_t i = 0, k; i < n; i += k) {
        k = n - i < VL ? n - i : VL;
        vf g = vf_load_n(gradient + i, k);
        vf_store_n(fisher + i, vf_fma(old, vf_load_n(fisher + i, k), vf_mul(new, vf_mul(g, g))), k);
    }
}

static float penalty(const float *parameters, const float *anchor, const float *fisher, size_t n)
{
    vf sum = vf_zero();
    for (size_t i = 0, k; i < n; i += k) {
        k = n - i < VL ? n - i : VL;
        vf gap = vf_sub(vf_load_n(parameters + i, k), vf_load_n(anchor + i, k));
        sum = vf_fma(vf_mul(vf_load_n(fisher + i, k), gap), gap, sum);
    }
    return vf_sum(sum);
}

static void ewc_step(float *parameters, const float *gradient, const float *anchor, const float *fisher, size_t n,
                     float rate, float strength)
{
    vf r = vf_set1(rate), s = vf_set1(strength);
    for (size_t i = 0, k; i < n; i += k) {
        k = n - i < VL ? n - i : VL;
        vf p = vf_load_n(parameters + i, k), pull = vf_mul(s, vf_load_n(fisher + i, k));
        vf g = gradient ? vf_load_n(gradient + i, k) : vf_zero();
        vf_store_n(parameters + i, vf_fnma(r, vf_fma(pull, vf_sub(p, vf_load_n(anchor + i, k)), g), p), k);
    }
}
