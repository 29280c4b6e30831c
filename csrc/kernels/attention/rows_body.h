/* Few queries: one or two at a time along the rows of keys and values, nothing is packed; memory is the limit. */

/* How many of a block's rows stand in panels: all, but for up to ROWS_FEW that would fill a vector badly. Blocks but the
 * last of a head have whole panels, so that it does not depend on how rows were parted which path a row takes. */
SIMD size_t rows_in_panels(const struct gn_sdpa_block *block)
{
    size_t over = block->rows % PANEL % VL;
    return block->rows <= ROWS_FEW ? 0 : over <= ROWS_FEW ? block->rows - over : block->rows;
}

/* Behind a visit's scores and factors, be they of a panel or of two rows. */
enum {
    ROW_STATES = (GN_SDPA_KEYS + 1) * PANEL > 2 * GN_SDPA_ROW_KEYS ? (GN_SDPA_KEYS + 1) * PANEL : 2 * GN_SDPA_ROW_KEYS
};

struct row {
    float *query, *state, *values; /* [dim] scaled, {maximum, sum}, [value_dim]; padded to vectors with zeros */
};

SIMD size_t padded(size_t n) { return (n + VL - 1) / VL * VL; }

SIMD struct row row_at(const struct gn_sdpa_block *block, size_t row)
{
    struct row it;
    it.query = panel_scores(block) + ROW_STATES +
               (row - rows_in_panels(block)) * (padded(block->dim) + padded(block->value_dim) + 2 * VL);
    it.values = it.query + padded(block->dim);
    it.state = it.values + padded(block->value_dim);
    return it;
}

static void rows_begin(const struct gn_sdpa_block *block)
{
    vf factor = vf_set1(block->scale * LOG2_E);
    for (size_t i = rows_in_panels(block); i < block->rows; i++) {
        struct row row = row_at(block, i);
        const float *q = block->q + i * block->q_row;
        size_t d = 0;
        for (; d + VL <= block->dim; d += VL)
            vf_store(row.query + d, vf_mul(vf_load(q + d), factor));
        if (d < block->dim)
            vf_store(row.query + d, vf_mul(vf_load_n(q + d, block->dim - d), factor));
        memset(row.values, 0, padded(block->value_dim) * sizeof(float));
        row.state[0] = -INFINITY;
        row.state[1] = 0;
    }
}

/* Adds the products of `wide` vectors of columns to the sums of VL keys. */
SIMD void row_products(const size_t wide, const float *query, const float *const keys[VL], size_t d,
                       vf sum[VL])
{
    vf part[4];
    SIMD_UNROLL
    for (size_t c = 0; c < wide; c++)
        part[c] = vf_load(query + d + c * VL);
    SIMD_UNROLL
    for (size_t i = 0; i < VL; i++)
        SIMD_UNROLL
        for (size_t c = 0; c < wide; c++)
            sum[i] = vf_fma(part[c], vf_load(keys[i] + d + c * VL), sum[i]);
}

/* The same for two queries: the first half of the sums is the one's, the second the other's, of VL / 2 keys. */
SIMD void pair_products(const size_t wide, const float *one, const float *two, const float *const keys[VL], size_t d,
                        vf sum[VL])
{
    vf part[2][4];
    SIMD_UNROLL
    for (size_t c = 0; c < wide; c++) {
        part[0][c] = vf_load(one + d + c * VL);
        part[1][c] = vf_load(two + d + c * VL);
    }
    SIMD_UNROLL
    for (int i = 0; i < VL / 2; i++)
        SIMD_UNROLL
        for (size_t c = 0; c < wide; c++) {
            vf key = vf_load(keys[i] + d + c * VL);
            sum[i] = vf_fma(part[0][c], key, sum[i]);
            sum[i + VL / 2] = vf_fma(part[1][c], key, sum[i + VL / 2]);
        }
}

/* The scores of `count` <= VL keys as one vector, or of a pair of queries those of `count` <= VL / 2 keys for both;
 * lanes beyond hold the first key's. */
SIMD vf row_scores(const int pair, const struct gn_sdpa_block *block, const float *one, const float *two,
                   const float *k, size_t count)
{
    const float *keys[VL];
    size_t d = 0;
    vf sum[VL];
    SIMD_UNROLL
    for (size_t i = 0; i < VL; i++) {
        keys[i] = k + (i < count ? i : 0) * block->k_row;
        sum[i] = vf_zero();
    }
    for (; d + 4 * VL <= block->dim; d += 4 * VL) {
        if (pair)
            pair_products(4, one, two, keys, d, sum);
        else
            row_products(4, one, keys, d, sum);
    }
    for (; d + VL <= block->dim; d += VL) {
        if (pair)
            pair_products(1, one, two, keys, d, sum);
        else
            row_products(1, one, keys, d, sum);
    }
    if (d < block->dim)
        for (int i = 0; i < VL; i++) {
            int other = pair && i >= VL / 2;
            vf key = vf_load_n(keys[i - (other ? VL / 2 : 0)] + d, block->dim - d);
            sum[i] = vf_fma(vf_load((other ? two : one) + d), key, sum[i]);
        }
    return square_sums(sum);
}

/* The bias of up to VL keys, and -infinity where the mask or the end of the keys forbids. */
SIMD vf row_restrict(const struct gn_sdpa_block *block, size_t row, size_t key, size_t count, vf scores)
{
    if (block->bias) {
        vf bias = vf_load_n(block->bias + row * block->bias_row + key, count);
        scores = vf_fma(bias, vf_set1(LOG2_E), scores);
    }
    if (block->mask) {
        vf seen = vf_load_i8_n((const int8_t *)block->mask + row * block->mask_row + key, count);
        scores = vf_pick(vf_eq(seen, vf_zero()), vf_set1(-INFINITY), scores);
    }
    return vf_pick(vm_first(count), scores, vf_set1(-INFINITY));
}

/* values = values * factor + sum of weights * rows of v; a key of weight 0 is passed over when `careful`. */
SIMD void row_values(const size_t wide, const float *v, size_t step, const float *weights, size_t count, float factor,
                     float *values, int careful)
{
    vf even[4], odd[4];
    size_t j = 0;
    for (size_t c = 0; c < wide; c++) {
        even[c] = odd[c] = vf_zero();
    }
    if (careful) {
        for (; j < count; j++)
            if (weights[j] != 0)
                for (size_t c = 0; c < wide; c++)
                    even[c] = vf_fma(vf_set1(weights[j]), vf_load(v + j * step + c * VL), even[c]);
    } else {
        for (; j + 2 <= count; j += 2)
            for (size_t c = 0; c < wide; c++) {
                even[c] = vf_fma(vf_set1(weights[j]), vf_load(v + j * step + c * VL), even[c]);
                odd[c] = vf_fma(vf_set1(weights[j + 1]), vf_load(v + (j + 1) * step + c * VL), odd[c]);
            }
        if (j < count)
            for (size_t c = 0; c < wide; c++)
                even[c] = vf_fma(vf_set1(weights[j]), vf_load(v + j * step + c * VL), even[c]);
    }
    for (size_t c = 0; c < wide; c++)
        vf_store(values + c * VL, vf_fma(vf_load(values + c * VL), vf_set1(factor), vf_add(even[c], odd[c])));
}

/* The last columns, fewer than a vector. */
static void row_values_tail(const float *v, size_t cols, size_t step, const float *weights, size_t count, float factor,
                            float *values, int careful)
{
    vf sum = vf_zero();
    for (size_t j = 0; j < count; j++)
        if (!careful || weights[j] != 0)
            sum = vf_fma(vf_set1(weights[j]), vf_load_n(v + j * step, cols), sum);
    vf_store(values, vf_fma(vf_load(values), vf_set1(factor), sum));
}

static void row_sum(const struct gn_sdpa_block *block, struct span keys, const float *weights, float factor,
                    float *values, int careful)
{
    const float *v = block->v + keys.begin * block->v_row;
    size_t count = keys.end - keys.begin, c = 0;
    for (; c + 4 * VL <= block->value_dim; c += 4 * VL)
        row_values(4, v + c, block->v_row, weights, count, factor, values + c, careful);
    for (; c + VL <= block->value_dim; c += VL)
        row_values(1, v + c, block->v_row, weights, count, factor, values + c, careful);
    if (c < block->value_dim)
        row_values_tail(v + c, block->value_dim - c, block->v_row, weights, count, factor, values + c,
                        careful);
}

/* The values of two rows at once, `wide` vectors of columns from v on. */
SIMD void pair_values(const size_t wide, const float *v, size_t step, const float *one, const float *two, size_t count,
                      const float factor[2], float *one_values, float *two_values)
{
    vf sum[2][4];
    SIMD_UNROLL
    for (size_t c = 0; c < wide; c++)
        sum[0][c] = sum[1][c] = vf_zero();
    for (size_t j = 0; j < count; j++) {
        vf first = vf_set1(one[j]), second = vf_set1(two[j]);
        SIMD_UNROLL
        for (size_t c = 0; c < wide; c++) {
            vf value = vf_load(v + j * step + c * VL);
            sum[0][c] = vf_fma(first, value, sum[0][c]);
            sum[1][c] = vf_fma(second, value, sum[1][c]);
        }
    }
    SIMD_UNROLL
    for (size_t c = 0; c < wide; c++) {
        vf_store(one_values + c * VL, vf_fma(vf_load(one_values + c * VL), vf_set1(factor[0]), sum[0][c]));
        vf_store(two_values + c * VL, vf_fma(vf_load(two_values + c * VL), vf_set1(factor[1]), sum[1][c]));
    }
}

static void pair_sum(const struct gn_sdpa_block *block, struct span keys, const float *weights, const float factor[2],
                     float *one_values, float *two_values)
{
    const float *v = block->v + keys.begin * block->v_row, *other = weights + GN_SDPA_ROW_KEYS;
    size_t count = keys.end - keys.begin, c = 0;
    for (; c + 4 * VL <= block->value_dim; c += 4 * VL)
        pair_values(4, v + c, block->v_row, weights, other, count, factor, one_values + c, two_values + c);
    for (; c + VL <= block->value_dim; c += VL)
        pair_values(1, v + c, block->v_row, weights, other, count, factor, one_values + c, two_values + c);
    if (c < block->value_dim) {
        size_t cols = block->value_dim - c;
        row_values_tail(v + c, cols, block->v_row, weights, count, factor[0], one_values + c, 0);
        row_values_tail(v + c, cols, block->v_row, other, count, factor[1], two_values + c, 0);
    }
}

/* Scores of a row become weights, its maximum and sum go on; what the row's older sums shrink by. */
static float row_soften(const struct gn_sdpa_block *block, size_t i, struct span keys, float *weights)
{
    struct row row = row_at(block, i);
    size_t count = keys.end - keys.begin;
    float most = row.state[0], shrink[VL], base;
    vf top = vf_set1(most), sum = vf_zero();
    int masked = block->mask || block->bias;
    for (size_t j = 0; j < count; j += VL) {
        size_t some = count - j < VL ? count - j : VL;
        vf scores = vf_load(weights + j);
        if (masked || some < VL) {
            scores = row_restrict(block, i, keys.begin + j, some, scores);
            vf_store(weights + j, scores);
        }
        top = vf_max(scores, top);
    }
    row.state[0] = vf_hmax(top);
    base = row.state[0] == -INFINITY ? 0 : row.state[0];
    vf_store(shrink, exp2_down(vf_set1(most - base)));
    for (size_t j = 0; j < count; j += VL) {
        vf weight = exp2_down(vf_sub(vf_load(weights + j), vf_set1(base)));
        vf_store(weights + j, weight);
        sum = vf_add(sum, weight);
    }
    row.state[1] = row.state[1] * shrink[0] + vf_sum(sum);
    return shrink[0];
}

static void row_visit(const struct gn_sdpa_block *block, size_t i, struct span keys)
{
    struct row row = row_at(block, i);
    float *weights = panel_scores(block), factor;
    const float *k = block->k + keys.begin * block->k_row;
    size_t count = keys.end - keys.begin;
    for (size_t j = 0; j < count; j += VL) {
        size_t some = count - j < VL ? count - j : VL;
        vf_store(weights + j, row_scores(0, block, row.query, NULL, k + j * block->k_row, some));
    }
    factor = row_soften(block, i, keys, weights);
    row_sum(block, keys, weights, factor, row.values, block->mask || block->bias);
}

/* Rows i and i + 1, which see the same keys: each key and value is read once for both. */
static void pair_visit(const struct gn_sdpa_block *block, size_t i, struct span keys)
{
    struct row one = row_at(block, i), two = row_at(block, i + 1);
    const size_t half = VL > 1 ? VL / 2 : 1;
    float *weights = panel_scores(block), *other = weights + GN_SDPA_ROW_KEYS, both[2 * VL], factor[2];
    const float *k = block->k + keys.begin * block->k_row;
    size_t count = keys.end - keys.begin;
    for (size_t j = 0; j < count; j += half) {
        size_t some = count - j < half ? count - j : half;
        vf_store(both, row_scores(1, block, one.query, two.query, k + j * block->k_row, some));
        memcpy(weights + j, both, half * sizeof(float));
        memcpy(other + j, both + VL / 2, half * sizeof(float));
    }
    factor[0] = row_soften(block, i, keys, weights);
    factor[1] = row_soften(block, i + 1, keys, other);
    if (block->mask || block->bias) {
        row_sum(block, keys, weights, factor[0], one.values, 1);
        row_sum(block, keys, other, factor[1], two.values, 1);
    } else {
        pair_sum(block, keys, weights, factor, one.values, two.values);
    }
}

static void rows_visit(const struct gn_sdpa_block *block, struct span keys, size_t window)
{
    for (size_t i = rows_in_panels(block); i < block->rows; i++) {
        struct span one = row_span(block, i, keys, window), two = {0, 0};
        if (one.begin >= one.end)
            continue;
        if (VL > 1 && i + 1 < block->rows)
            two = row_span(block, i + 1, keys, window);
        if (one.begin == two.begin && one.end == two.end)
            pair_visit(block, i++, one);
        else
            row_visit(block, i, one);
    }
}

static void rows_finish(const struct gn_sdpa_block *block)
{
    for (size_t i = rows_in_panels(block); i < block->rows; i++) {
        struct row row = row_at(block, i);
        vf part = vf_set1(row.state[1] == 0 ? 0 : 1.0f / row.state[1]);
        float *out = block->out + i * block->out_row;
        size_t c = 0;
        for (; c + VL <= block->value_dim; c += VL)
            vf_store(out + c, vf_mul(vf_load(row.values + c), part));
        if (c < block->value_dim)
            vf_store_n(out + c, vf_mul(vf_load(row.values + c), part), block->value_dim - c);
    }
}

/* -- the level's table ----------------------------------------------------------------------------------------- */

static void block_begin(const struct gn_sdpa_block *block)
{
    panels_begin(block, rows_in_panels(block));
    rows_begin(block);
}

/* Pieces begin at multiples of their length, so that sums do not depend on where a block of rows begins. */
SIMD struct span piece_of(struct span left, size_t length)
{
    size_t end = (left.begin / length + 1) * length;
    return (struct span){left.begin, end < left.end ? end : left.end};
}

static void block_visit(const struct gn_sdpa_block *block, size_t begin, size_t end, size_t window)
{
    const struct span all = {begin, end};
    size_t rows = rows_in_panels(block);
    struct span piece, left;
    if (rows) {
        left = rows_span(block, 0, rows - 1, all, window);
        for (; left.begin < left.end; left.begin = piece.end) {
            piece = piece_of(left, GN_SDPA_KEYS);
            panels_visit(block, rows, piece, window);
        }
    }
    if (rows < block->rows) {
        left = rows_span(block, rows, block->rows - 1, all, window);
        for (; left.begin < left.end; left.begin = piece.end) {
            piece = piece_of(left, GN_SDPA_ROW_KEYS);
            rows_visit(block, piece, window);
        }
    }
}

static void block_finish(const struct gn_sdpa_block *block)
{
    panels_finish(block, rows_in_panels(block));
    rows_finish(block);
}

const struct gn_attention_ops SIMD_NAME(gn_attention) = {block_begin, block_visit, block_finish};
