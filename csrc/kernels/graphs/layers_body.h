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
        float factor = row->weights ? row->weights[i * row->step] : 1.0f;
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

/* e[head] for each lane's head. A permutation where the heads fit a vector, else a gather. */
SIMD vf spread(const float *e, vf whole, size_t heads, vi head_of)
{
#if defined(SIMD_SKYLAKE)
    if (heads <= VL)
        return _mm512_permutexvar_ps(head_of, whole);
#elif defined(SIMD_HASWELL)
    if (heads <= VL)
        return _mm256_permutevar8x32_ps(whole, head_of);
#endif
    (void)whole;
    (void)heads;
    return vf_gather(e, head_of);
}

SIMD void heads_block(const struct gn_row *row, size_t at, int blocks, size_t last, const int32_t *head_of,
                      const float *own, const float *own_row, float *out)
{
    size_t heads = row->step, some = heads < VL ? heads : VL;
    vf sum[4];
    vi lanes[4];
    for (int b = 0; b < blocks; b++) {
        sum[b] = vf_zero();
        lanes[b] = vi_load(head_of + at + (size_t)b * VL);
    }
    for (size_t i = 0; i < row->count; i++) {
        const float *x = row->x + (size_t)row->targets[i] * row->stride + at, *e = row->weights + i * heads;
        vf whole = vf_load_n(e, some);
        for (int b = 0; b < blocks - 1; b++)
            sum[b] = vf_fma(spread(e, whole, heads, lanes[b]), vf_load(x + b * VL), sum[b]);
        x += (blocks - 1) * VL;
        sum[blocks - 1] = vf_fma(spread(e, whole, heads, lanes[blocks - 1]), vf_load_n(x, last), sum[blocks - 1]);
    }
    for (int b = 0; b < blocks; b++) {
        size_t n = b == blocks - 1 ? last : VL, to = at + (size_t)b * VL;
        if (own_row)
            sum[b] = vf_fma(spread(own, vf_load_n(own, some), heads, lanes[b]), vf_load_n(own_row + to, n), sum[b]);
        vf_store_n(out + to, sum[b], n);
    }
}

static void heads_sum(const struct gn_row *row, const int32_t *head_of, const float *own, const float *own_row,
                      float *out)
{
    size_t at = 0, rest;
    for (; row->width - at > 4 * VL; at += 4 * VL)
        heads_block(row, at, 4, VL, head_of, own, own_row, out);
    rest = row->width - at;
    if (rest > 3 * VL)
        heads_block(row, at, 4, rest - 3 * VL, head_of, own, own_row, out);
    else if (rest > 2 * VL)
        heads_block(row, at, 3, rest - 2 * VL, head_of, own, own_row, out);
    else if (rest > VL)
        heads_block(row, at, 2, rest - VL, head_of, own, own_row, out);
    else if (rest)
        heads_block(row, at, 1, rest, head_of, own, own_row, out);
}

/* Heads are the lanes; neighbours pass three times: logits and their largest, exponentials and their sum, quotients. */
static void attend(const float *own, const float *other, size_t stride, const int32_t *targets, size_t count,
                   size_t heads, int32_t self, int loop, float slope, float *e)
{
    size_t all = count + (loop != 0);
    vf by = vf_set1(slope);
    for (size_t h = 0; h < heads; h += VL) {
        size_t n = heads - h < VL ? heads - h : VL;
        vf mine = vf_load_n(own + h, n), most = vf_set1(-INFINITY), sum = vf_zero();
        for (size_t j = 0; j < all; j++) {
            int32_t t = j < count ? targets[j] : self;
            vf x = vf_add(mine, vf_load_n(other + (size_t)t * stride + h, n));
            x = vf_pick(vf_lt(x, vf_zero()), vf_mul(by, x), x);
            if (loop && j < count && t == self)
                x = vf_set1(-INFINITY);
            most = vf_max(x, most);
            vf_store_n(e + j * heads + h, x, n);
        }
        for (size_t j = 0; j < all; j++) {
            vf x = vf_exp(vf_sub(vf_load_n(e + j * heads + h, n), most));
            sum = vf_add(sum, x);
            vf_store_n(e + j * heads + h, x, n);
        }
        for (size_t j = 0; j < all; j++)
            vf_store_n(e + j * heads + h, vf_div(vf_load_n(e + j * heads + h, n), sum), n);
    }
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
