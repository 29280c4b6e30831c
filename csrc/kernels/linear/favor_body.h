/* Positive random features and their running sums, chunk by chunk.
 *
 * A feature is kept as its logarithm l, to base 2, until the chunk's largest are known: keys give 2^(l - most[f]),
 * queries 2^(l + most[f] - the row's largest), so every number is at most 1 and the largest is 1. When most[f] grows,
 * what is summed already is scaled down to it. log2 e is in the packed projection and in gn_linear_shape.half.
 */

/* 2^x for x <= 0, within 1.7e-7 of it; 0 below -149, NaN for NaN. A least-maximum fit of degree 5 (Lawson's iteration). */
SIMD vf power(vf x)
{
    vf in = vf_max(vf_set1(-150.0f), x), n = vf_round(in), r = vf_sub(in, n), p = vf_set1(0.0013264727f);
    p = vf_fma(p, r, vf_set1(0.009671513f));
    p = vf_fma(p, r, vf_set1(0.055507336f));
    p = vf_fma(p, r, vf_set1(0.24022242f));
    p = vf_fma(p, r, vf_set1(0.693147f));
    p = vf_fma(p, r, vf_set1(1.0f));
    return vf_scale2(p, n);
}

static void pack(const float *projection, size_t features, size_t dim, float root, float *packed)
{
    for (size_t left = 0; left < features; left += PANEL, packed += dim * PANEL) {
        size_t width = features - left < PANEL ? features - left : PANEL;
        for (size_t p = 0; p < dim; p++) {
            float *to = packed + p * PANEL;
            for (size_t f = 0; f < width; f++)
                to[f] = root * projection[(left + f) * dim + p];
            for (size_t f = width; f < PANEL; f++)
                to[f] = 0;
        }
    }
}

/* to[r] = -half |x_r|^2 */
static void negative_norms(const float *x, size_t rows, size_t dim, float half, float *to)
{
    for (size_t r = 0; r < rows; r++, x += dim) {
        vf sum = vf_zero(), other = vf_zero();
        size_t i = 0;
        for (; i + 2 * VL <= dim; i += 2 * VL) {
            vf a = vf_load(x + i), b = vf_load(x + i + VL);
            sum = vf_fma(a, a, sum);
            other = vf_fma(b, b, other);
        }
        for (; i < dim; i += VL) {
            vf a = vf_load_n(x + i, dim - i < VL ? dim - i : VL);
            sum = vf_fma(a, a, sum);
        }
        to[r] = -half * vf_sum(vf_add(sum, other));
    }
}

/* What to subtract where the largest is `most`: itself, or 0 when nothing has weight. */
SIMD vf grounded(vf most) { return vf_pick(vf_eq(most, vf_set1(-INFINITY)), vf_zero(), most); }

static void logits(const struct gn_linear_shape *s, const float *x, size_t rows, float *to, struct start start)
{
    struct operand a = {x, s->dim, 1};
    product(rows, a, s->packed, PANEL, s->dim * PANEL, s->dim, s->features, to, s->row, start);
}

/* The sums' features scaled from their old largest to `after`, which becomes the largest. */
static void rescale(const struct gn_linear_shape *s, const struct gn_linear_sums *sums, const float *after)
{
    for (size_t f = 0; f < s->features; f += VL) {
        size_t n = s->features - f < VL ? s->features - f : VL;
        vf old = vf_load_n(sums->most + f, n), now = vf_load_n(after + f, n);
        vf total = vf_load_n(sums->total + f, n), factor = power(vf_sub(old, grounded(now)));
        float each[VL];
        if (!vm_any(vm_not(vf_eq(old, now))))
            continue;
        factor = vf_pick(vf_eq(old, now), vf_set1(1.0f), factor);
        vf_store_n(sums->total + f, vf_mul(total, factor), n);
        vf_store_n(sums->most + f, now, n);
        vf_store_n(each, factor, n);
        for (size_t i = 0; i < n; i++) {
            float *row = sums->sums + (f + i) * s->value_dim;
            vf by = vf_set1(each[i]);
            if (each[i] == 1.0f)
                continue;
            for (size_t j = 0; j < s->value_dim; j += VL) {
                size_t m = s->value_dim - j < VL ? s->value_dim - j : VL;
                vf_store_n(row + j, vf_mul(vf_load_n(row + j, m), by), m);
            }
        }
    }
}

/* Whether every number is finite. */
static int all_finite(const float *x, size_t n)
{
    vf sum = vf_zero();
    for (size_t i = 0; i < n; i += VL)
        sum = vf_fma(vf_load_n(x + i, n - i < VL ? n - i : VL), vf_zero(), sum);
    return vf_sum(sum) == 0;
}

/* Logarithms of the chunk's key features, and after = the largest with them. Returns how far, in some feature, the
 * first row's largest lies under the last's: the most that a prefix inside the chunk is scaled down. Infinity when a
 * key is not finite: what comes before it must not see it. */
static float key_logits(const struct gn_linear_shape *s, const float *keys, size_t rows,
                        const struct gn_linear_sums *sums, const struct gn_linear_work *work)
{
    float norms[GN_LINEAR_CHUNK];
    vf spread = vf_zero();
    negative_norms(keys, rows, s->dim, s->half, norms);
    logits(s, keys, rows, work->keys, (struct start){norms, NULL, 0});
    for (size_t f = 0; f < s->features; f += VL) {
        size_t n = s->features - f < VL ? s->features - f : VL;
        const float *at = work->keys + f;
        vf first = vf_max(vf_load_n(at, n), vf_load_or(sums->most + f, n, 0)), most = first, gap;
        for (size_t r = 1; r < rows; r++)
            most = vf_max(vf_load_n(at + r * s->row, n), most); /* a NaN is not the largest */
        gap = vf_sub(most, first);
        spread = vf_max(spread, vf_pick(vf_isnan(gap), vf_zero(), gap));
        vf_store_n(work->after + f, most, n);
    }
    return all_finite(norms, rows) ? vf_hmax(spread) : INFINITY;
}

/* The keys' features themselves, in place, and their sums into total. */
static void key_features(const struct gn_linear_shape *s, size_t rows, const struct gn_linear_sums *sums, float *keys)
{
    for (size_t f = 0; f < s->features; f += VL) {
        size_t n = s->features - f < VL ? s->features - f : VL;
        vf most = grounded(vf_load_n(sums->most + f, n)), total = vf_load_n(sums->total + f, n);
        if (n == VL)
            for (size_t r = 0; r < rows; r++) {
                vf e = power(vf_sub(vf_load(keys + r * s->row + f), most));
                vf_store(keys + r * s->row + f, e);
                total = vf_add(total, e);
            }
        else
            for (size_t r = 0; r < rows; r++) {
                vf e = power(vf_sub(vf_load_n(keys + r * s->row + f, n), most));
                vf_store_n(keys + r * s->row + f, e, n);
                total = vf_add(total, e);
            }
        vf_store_n(sums->total + f, total, n);
    }
}

static void take(const struct gn_linear_shape *s, const float *values, size_t rows, const struct gn_linear_sums *sums,
                 const float *keys)
{
    struct operand a = {keys, 1, s->row};
    product(s->features, a, values, s->value_dim, PANEL, rows, s->value_dim, sums->sums, s->value_dim,
            (struct start){NULL, NULL, 1});
}

static void learn(const struct gn_linear_shape *s, const float *keys, const float *values, size_t count,
                  const struct gn_linear_sums *sums, const struct gn_linear_work *work)
{
    for (size_t at = 0; at < count; at += GN_LINEAR_CHUNK) {
        size_t rows = count - at < GN_LINEAR_CHUNK ? count - at : GN_LINEAR_CHUNK;
        key_logits(s, keys + at * s->dim, rows, sums, work);
        rescale(s, sums, work->after);
        key_features(s, rows, sums, work->keys);
        take(s, values + at * s->value_dim, rows, sums, work->keys);
    }
}

/* The queries' features in place; weight[r] = their product with total. The logits hold most[] already. */
static void query_features(const struct gn_linear_shape *s, size_t rows, const float *total, float *queries,
                           float *weight)
{
    for (size_t r = 0; r < rows; r++, queries += s->row) {
        vf most = vf_set1(-INFINITY), more = most, sum = vf_zero();
        size_t f = 0;
        for (; f + 2 * VL <= s->features; f += 2 * VL) {
            most = vf_max(vf_load(queries + f), most);
            more = vf_max(vf_load(queries + f + VL), more);
        }
        for (; f < s->features; f += VL)
            most = vf_max(vf_load_or(queries + f, s->features - f < VL ? s->features - f : VL, -INFINITY), most);
        most = grounded(vf_set1(vf_hmax(vf_max(most, more))));
        for (f = 0; f + VL <= s->features; f += VL) {
            vf e = power(vf_sub(vf_load(queries + f), most));
            vf_store(queries + f, e);
            sum = vf_fma(e, vf_load(total + f), sum);
        }
        if (f < s->features) {
            size_t n = s->features - f;
            vf e = power(vf_sub(vf_load_or(queries + f, n, -INFINITY), most));
            vf_store_n(queries + f, e, n);
            sum = vf_fma(e, vf_load_n(total + f, n), sum);
        }
        weight[r] = vf_sum(sum);
    }
}

/* out rows divided by their weights; zeros where there is none. */
static void divide(float *out, size_t rows, size_t width, const float *weight)
{
    for (size_t r = 0; r < rows; r++, out += width) {
        vf by = vf_set1(1.0f / weight[r]);
        if (weight[r] == 0) {
            memset(out, 0, width * sizeof *out);
            continue;
        }
        for (size_t j = 0; j < width; j += VL) {
            size_t n = width - j < VL ? width - j : VL;
            vf_store_n(out + j, vf_mul(vf_load_n(out + j, n), by), n);
        }
    }
}

static void query_chunk(const struct gn_linear_shape *s, const float *queries, size_t rows,
                        const struct gn_linear_sums *sums, float *out, float *features, float *weight)
{
    struct operand a = {features, s->row, 1};
    logits(s, queries, rows, features, (struct start){NULL, sums->most, 0});
    query_features(s, rows, sums->total, features, weight);
    product(rows, a, sums->sums, s->value_dim, PANEL, s->features, s->value_dim, out, s->value_dim,
            (struct start){NULL, NULL, 0});
}

static void answer(const struct gn_linear_shape *s, const float *queries, size_t rows,
                   const struct gn_linear_sums *sums, float *out, const struct gn_linear_work *work)
{
    float weight[GN_LINEAR_CHUNK];
    for (size_t at = 0; at < rows; at += GN_LINEAR_CHUNK) {
        size_t n = rows - at < GN_LINEAR_CHUNK ? rows - at : GN_LINEAR_CHUNK;
        query_chunk(s, queries + at * s->dim, n, sums, out + at * s->value_dim, work->queries, weight);
        divide(out + at * s->value_dim, n, s->value_dim, weight);
    }
}

/* scores[i][j] = queries i . keys j for j <= i, 0 for the rest; their sums go into weight. */
static void inner_scores(const struct gn_linear_shape *s, size_t rows, const struct gn_linear_work *work, float *weight)
{
    struct operand a = {work->queries, s->row, 1};
    for (size_t r = 0; r < rows; r++)
        for (size_t f = 0; f < s->features; f++)
            work->turned[f * GN_LINEAR_CHUNK + r] = work->keys[r * s->row + f];
    product(rows, a, work->turned, GN_LINEAR_CHUNK, PANEL, s->features, rows, work->scores, GN_LINEAR_CHUNK,
            (struct start){NULL, NULL, 0});
    for (size_t i = 0; i < rows; i++) {
        float *row = work->scores + i * GN_LINEAR_CHUNK, sum = 0;
        for (size_t j = 0; j <= i; j++)
            sum += row[j];
        for (size_t j = i + 1; j < rows; j++)
            row[j] = 0;
        weight[i] += sum;
    }
}

/* One chunk of the causal form. Its keys' largest serve all its rows, which is exact as long as no row's own largest
 * lies so far below that its features vanish: beyond SPREAD_MAX (2^-58 = 3e-18) the caller goes row by row. */
enum { SPREAD_MAX = 58 };

static int follow_chunk(const struct gn_linear_shape *s, const float *queries, const float *keys, const float *values,
                        size_t rows, const struct gn_linear_sums *sums, float *out, const struct gn_linear_work *work)
{
    float weight[GN_LINEAR_CHUNK];
    struct operand scores = {work->scores, GN_LINEAR_CHUNK, 1};
    /* A value that is not finite would reach earlier rows as 0 * infinity. */
    if ((!(key_logits(s, keys, rows, sums, work) <= (float)SPREAD_MAX) || !all_finite(values, rows * s->value_dim)) &&
        rows > 1)
        return 0;
    rescale(s, sums, work->after);
    query_chunk(s, queries, rows, sums, out, work->queries, weight);
    key_features(s, rows, sums, work->keys);
    inner_scores(s, rows, work, weight);
    product(rows, scores, values, s->value_dim, PANEL, rows, s->value_dim, out, s->value_dim,
            (struct start){NULL, NULL, 1});
    divide(out, rows, s->value_dim, weight);
    take(s, values, rows, sums, work->keys);
    return 1;
}

static void follow(const struct gn_linear_shape *s, const float *queries, const float *keys, const float *values,
                   size_t length, const struct gn_linear_sums *sums, float *out, const struct gn_linear_work *work)
{
    for (size_t at = 0; at < length;) {
        size_t rows = length - at < GN_LINEAR_CHUNK ? length - at : GN_LINEAR_CHUNK, d = s->dim, v = s->value_dim;
        if (!follow_chunk(s, queries + at * d, keys + at * d, values + at * v, rows, sums, out + at * v, work))
            for (size_t r = at; r < at + rows; r++)
                follow_chunk(s, queries + r * d, keys + r * d, values + r * v, 1, sums, out + r * v, work);
        at += rows;
    }
}

static void merge(const struct gn_linear_shape *s, const struct gn_linear_sums *into, const struct gn_linear_sums *from)
{
    for (size_t f = 0; f < s->features; f++) {
        float a = into->most[f], b = from->most[f], most = a < b ? b : a, to = most == -INFINITY ? 0 : most;
        vf ours = vf_set1(exp2f(a - to)), theirs = vf_set1(exp2f(b - to));
        float *sums = into->sums + f * s->value_dim;
        const float *more = from->sums + f * s->value_dim;
        for (size_t j = 0; j < s->value_dim; j += VL) {
            size_t n = s->value_dim - j < VL ? s->value_dim - j : VL;
            vf_store_n(sums + j, vf_fma(vf_load_n(sums + j, n), ours, vf_mul(vf_load_n(more + j, n), theirs)), n);
        }
        into->total[f] = into->total[f] * exp2f(a - to) + from->total[f] * exp2f(b - to);
        into->most[f] = most;
    }
}
