/* Blocks of queries: PANEL of them lie side by side in the lanes of a panel, keys run downwards.
 *
 * With scores as S^T[key][query] and the weighted sum as O^T[column][query], both products read keys and values as
 * they lie (one broadcast an element), the softmax needs no sums across lanes, and only the queries are ever packed.
 */

/* 2^x for x <= 0, within 2e-7 of the value; 0 from -126.5 down, NaN for NaN.
 * x = n + r: adding and taking away 1.5 * 2^23 + 127 rounds, and leaves n + 127 in the low bits for the exponent.
 * The polynomial is a least-maximum fit of this project with a constant term of exactly 1. */
SIMD vf exp2_down(vf x)
{
    const vf magic = vf_set1(12583039.0f);
    vf in = vf_max(vf_set1(-127.0f), x), high = vf_add(in, magic), r = vf_sub(in, vf_sub(high, magic));
    vf p = vf_fma(vf_set1(0.00132647273f), r, vf_set1(0.00967151299f));
    p = vf_fma(p, r, vf_set1(0.0555073358f));
    p = vf_fma(p, r, vf_set1(0.240222424f));
    p = vf_fma(p, r, vf_set1(0.693147004f));
    p = vf_fma(p, r, vf_set1(1.0f));
    return vf_mul(p, vf_bits(vi_shl(vi_bits(high), 23)));
}

#define LOG2_E 1.44269504f

struct span {
    size_t begin, end; /* empty unless begin < end */
};

/* Which of the keys all.begin..all.end - 1 a row sees, masks apart. */
SIMD struct span row_span(const struct gn_sdpa_block *block, size_t row, struct span all, size_t window)
{
    ptrdiff_t at = block->position + (ptrdiff_t)row, begin = (ptrdiff_t)all.begin, end = (ptrdiff_t)all.end;
    if (block->causal && end > at + 1)
        end = at + 1;
    if (window != GN_SDPA_NO_WINDOW) {
        end = end > at + (ptrdiff_t)window + 1 ? at + (ptrdiff_t)window + 1 : end;
        begin = begin < at - (ptrdiff_t)window ? at - (ptrdiff_t)window : begin;
    }
    if (end <= begin)
        return (struct span){all.begin, all.begin};
    return (struct span){(size_t)begin, (size_t)end};
}

/* The keys that any of rows first..last sees: both ends of a span rise from row to row. */
SIMD struct span rows_span(const struct gn_sdpa_block *block, size_t first, size_t last, struct span all,
                           size_t window)
{
    struct span some = all;
    ptrdiff_t low = block->position + (ptrdiff_t)first, high = block->position + (ptrdiff_t)last;
    ptrdiff_t begin = (ptrdiff_t)all.begin, end = (ptrdiff_t)all.end;
    if (block->causal && end > high + 1)
        end = high + 1;
    if (window != GN_SDPA_NO_WINDOW) {
        end = end > high + (ptrdiff_t)window + 1 ? high + (ptrdiff_t)window + 1 : end;
        begin = begin < low - (ptrdiff_t)window ? low - (ptrdiff_t)window : begin;
    }
    some.begin = (size_t)begin;
    some.end = end > begin ? (size_t)end : some.begin;
    return some;
}

/* What a panel keeps between visits: the queries, scaled by scale * log2(e) and transposed, and per lane the running
 * maximum, sum and weighted sum. */
struct panel {
    float *queries, *most, *sum, *values; /* [dim][PANEL], [PANEL], [PANEL], [value_dim][PANEL] */
    size_t first, rows, wide;             /* rows first..first + rows - 1 of the block, in `wide` vectors */
};

SIMD size_t panel_floats(const struct gn_sdpa_block *block) { return PANEL * (block->dim + block->value_dim + 2); }

SIMD struct panel panel_at(const struct gn_sdpa_block *block, size_t first, size_t rows)
{
    struct panel it = {.first = first, .rows = rows - first};
    if (it.rows > PANEL)
        it.rows = PANEL;
    it.wide = (it.rows + VL - 1) / VL;
    it.queries = block->scratch + first / PANEL * panel_floats(block);
    it.most = it.queries + block->dim * PANEL;
    it.sum = it.most + PANEL;
    it.values = it.sum + PANEL;
    return it;
}

/* Behind the panels: the scores of a visit, [GN_SDPA_KEYS][PANEL], and its factors, [PANEL]. */
SIMD float *panel_scores(const struct gn_sdpa_block *block)
{
    return block->scratch + (block->rows + PANEL - 1) / PANEL * panel_floats(block);
}

/* VL rows by `cols` <= VL columns, 0 beyond, as VL vectors of columns. */
SIMD void load_turned(vf t[VL], const float *from, size_t row, size_t rows, size_t cols)
{
    for (size_t i = 0; i < VL; i++)
        t[i] = i >= rows ? vf_zero() : cols >= VL ? vf_load(from + i * row) : vf_load_n(from + i * row, cols);
    square_transpose(t);
}

static void panel_pack(const struct gn_sdpa_block *block, const struct panel *panel)
{
    vf factor = vf_set1(block->scale * LOG2_E), t[VL];
    for (size_t lane = 0; lane < panel->wide * VL; lane += VL) {
        const float *from = block->q + (panel->first + lane) * block->q_row;
        for (size_t d = 0; d < block->dim; d += VL) {
            size_t cols = block->dim - d < VL ? block->dim - d : VL;
            load_turned(t, from + d, block->q_row, panel->rows - lane, cols);
            for (size_t i = 0; i < cols; i++)
                vf_store(panel->queries + (d + i) * PANEL + lane, vf_mul(t[i], factor));
        }
    }
}

static void panels_begin(const struct gn_sdpa_block *block, size_t rows)
{
    for (size_t first = 0; first < rows; first += PANEL) {
        struct panel panel = panel_at(block, first, rows);
        panel_pack(block, &panel);
        for (size_t i = 0; i < PANEL; i++)
            panel.most[i] = -INFINITY;
        memset(panel.sum, 0, (1 + block->value_dim) * PANEL * sizeof(float));
    }
}

/* Bias and mask of VL lanes from `lane` on, whose first row is `row`. */
static void panel_masks(const struct gn_sdpa_block *block, size_t row, size_t rows, struct span keys, float *scores)
{
    vf t[VL];
    for (size_t j = 0, cols; j < keys.end - keys.begin; j += cols) {
        size_t at = keys.begin + j;
        cols = keys.end - at < VL ? keys.end - at : VL;
        if (block->bias) {
            load_turned(t, block->bias + row * block->bias_row + at, block->bias_row, rows, cols);
            for (size_t i = 0; i < cols; i++) {
                float *score = scores + (j + i) * PANEL;
                vf_store(score, vf_fma(t[i], vf_set1(LOG2_E), vf_load(score)));
            }
        }
        if (!block->mask)
            continue;
        for (size_t i = 0; i < VL; i++) {
            const int8_t *from = (const int8_t *)block->mask + (row + (i < rows ? i : 0)) * block->mask_row + at;
            t[i] = cols == VL ? vf_load_i8(from) : vf_load_i8_n(from, cols);
        }
        square_transpose(t);
        for (size_t i = 0; i < cols; i++) {
            float *score = scores + (j + i) * PANEL;
            vf_store(score, vf_pick(vf_eq(t[i], vf_zero()), vf_set1(-INFINITY), vf_load(score)));
        }
    }
}

/* Whether all rows of the panel see all these keys. */
SIMD int panel_whole(const struct gn_sdpa_block *block, const struct panel *panel, struct span keys, size_t window)
{
    struct span first = row_span(block, panel->first, keys, window);
    struct span last = row_span(block, panel->first + panel->rows - 1, keys, window);
    return first.end == keys.end && last.begin == keys.begin && first.begin < first.end && last.begin < last.end;
}

/* -infinity where a row does not see a key: outside its range, or by the mask; the bias is added. */
static void panel_restrict(const struct gn_sdpa_block *block, const struct panel *panel, struct span keys,
                           size_t window, float *scores)
{
    size_t count = keys.end - keys.begin;
    int whole = panel_whole(block, panel, keys, window);
    for (size_t lane = 0; lane < panel->wide * VL; lane += VL) {
        size_t row = panel->first + lane, rows = panel->rows - lane;
        float from[VL], to[VL];
        if (block->mask || block->bias)
            panel_masks(block, row, rows, keys, scores + lane);
        if (whole)
            continue;
        for (size_t i = 0; i < VL; i++) {
            struct span one = row_span(block, row + (i < rows ? i : 0), keys, window);
            from[i] = (float)(one.begin - keys.begin);
            to[i] = (float)(one.end - keys.begin);
        }
        vf begin = vf_load(from), end = vf_load(to);
        for (size_t j = 0; j < count; j++) {
            vf at = vf_set1((float)j);
            vm seen = vm_and(vf_le(begin, at), vf_lt(at, end));
            float *score = scores + j * PANEL + lane;
            vf_store(score, vf_pick(seen, vf_load(score), vf_set1(-INFINITY)));
        }
    }
}

/* Scores become weights 2^(score - maximum); the lanes' maxima and sums go on, `factor` is what older sums shrink by. */
SIMD void panel_softmax(const size_t wide, const struct panel *panel, float *scores, size_t count, float *factor)
{
    vf most[VECTORS], sum[VECTORS];
    for (size_t j = 0; j < wide; j++)
        most[j] = vf_load(panel->most + j * VL);
    for (size_t n = 0; n < count; n++)
        for (size_t j = 0; j < wide; j++)
            most[j] = vf_max(vf_load(scores + n * PANEL + j * VL), most[j]);
    for (size_t j = 0; j < wide; j++) {
        vf old = vf_load(panel->most + j * VL), shrink;
        vf_store(panel->most + j * VL, most[j]);
        most[j] = vf_pick(vf_eq(most[j], vf_set1(-INFINITY)), vf_zero(), most[j]);
        shrink = exp2_down(vf_sub(old, most[j]));
        vf_store(factor + j * VL, shrink);
        vf_store(panel->sum + j * VL, vf_mul(vf_load(panel->sum + j * VL), shrink));
        sum[j] = vf_zero();
    }
    for (size_t n = 0; n < count; n++)
        for (size_t j = 0; j < wide; j++) {
            vf weight = exp2_down(vf_sub(vf_load(scores + n * PANEL + j * VL), most[j]));
            vf_store(scores + n * PANEL + j * VL, weight);
            sum[j] = vf_add(sum[j], weight);
        }
    for (size_t j = 0; j < wide; j++)
        vf_store(panel->sum + j * VL, vf_add(vf_load(panel->sum + j * VL), sum[j]));
}

static void panel_softmax_any(const struct panel *panel, float *scores, size_t count, float *factor)
{
    if (panel->wide == VECTORS)
        panel_softmax(VECTORS, panel, scores, count, factor);
    else if (panel->wide == 1)
        panel_softmax(1, panel, scores, count, factor);
    else
        panel_softmax(panel->wide, panel, scores, count, factor);
}

/* The weighted sum where a weight of 0 must not meet a value that is not finite. */
static void panel_careful(const struct gn_sdpa_block *block, const struct panel *panel, struct span keys,
                          const float *weights, const float *factor)
{
    for (size_t c = 0; c < block->value_dim; c++)
        for (size_t lane = 0; lane < panel->wide * VL; lane += VL) {
            float *value = panel->values + c * PANEL + lane;
            vf sum = vf_zero();
            for (size_t j = keys.begin; j < keys.end; j++) {
                vf weight = vf_load(weights + (j - keys.begin) * PANEL + lane);
                vf more = vf_fma(weight, vf_set1(block->v[j * block->v_row + c]), sum);
                sum = vf_pick(vf_eq(weight, vf_zero()), sum, more);
            }
            vf_store(value, vf_fma(vf_load(value), vf_load(factor + lane), sum));
        }
}

/* Whether all these values are finite: x * 0 is 0 then and NaN else. */
static int values_finite(const struct gn_sdpa_block *block, struct span keys)
{
    vf nothing = vf_zero();
    for (size_t j = keys.begin; j < keys.end; j++) {
        const float *v = block->v + j * block->v_row;
        size_t c = 0;
        for (; c + VL <= block->value_dim; c += VL)
            nothing = vf_fma(vf_load(v + c), vf_zero(), nothing);
        if (c < block->value_dim)
            nothing = vf_fma(vf_load_n(v + c, block->value_dim - c), vf_zero(), nothing);
    }
    return !vm_any(vf_isnan(nothing));
}

static void panel_visit(const struct gn_sdpa_block *block, const struct panel *panel, struct span keys, size_t window)
{
    float *scores = panel_scores(block), *factor = scores + GN_SDPA_KEYS * PANEL;
    const float *k = block->k + keys.begin * block->k_row, *v = block->v + keys.begin * block->v_row;
    size_t count = keys.end - keys.begin, wide = panel->wide - 1;
    int partial = block->mask || block->bias || !panel_whole(block, panel, keys, window);
    for (size_t j = 0, kind; j < count; j += tile_sizes[kind]) {
        kind = tile_kind(count - j);
        score_tiles[kind][wide](k + j * block->k_row, block->k_row, panel->queries, block->dim, scores + j * PANEL,
                                NULL);
    }
    if (partial)
        panel_restrict(block, panel, keys, window, scores);
    panel_softmax_any(panel, scores, count, factor);
    if (partial && !values_finite(block, keys)) {
        panel_careful(block, panel, keys, scores, factor);
        return;
    }
    for (size_t c = 0, kind; c < block->value_dim; c += tile_sizes[kind]) {
        kind = tile_kind(block->value_dim - c);
        value_tiles[kind][wide](v + c, block->v_row, scores, count, panel->values + c * PANEL, factor);
    }
}

static void panels_visit(const struct gn_sdpa_block *block, size_t rows, struct span keys, size_t window)
{
    for (size_t first = 0; first < rows; first += PANEL) {
        struct panel panel = panel_at(block, first, rows);
        struct span some = rows_span(block, first, first + panel.rows - 1, keys, window);
        if (some.begin < some.end)
            panel_visit(block, &panel, some, window);
    }
}

static void panels_finish(const struct gn_sdpa_block *block, size_t rows)
{
    vf t[VL];
    for (size_t first = 0; first < rows; first += PANEL) {
        struct panel panel = panel_at(block, first, rows);
        for (size_t lane = 0; lane < panel.rows; lane += VL) {
            size_t lanes = panel.rows - lane < VL ? panel.rows - lane : VL;
            vf sum = vf_load(panel.sum + lane);
            vf part = vf_pick(vf_eq(sum, vf_zero()), vf_zero(), vf_div(vf_set1(1.0f), sum));
            float *out = block->out + (first + lane) * block->out_row;
            for (size_t c = 0; c < block->value_dim; c += VL) {
                size_t cols = block->value_dim - c < VL ? block->value_dim - c : VL;
                for (size_t i = 0; i < VL; i++)
                    t[i] = i < cols ? vf_mul(vf_load(panel.values + (c + i) * PANEL + lane), part) : vf_zero();
                square_transpose(t);
                for (size_t i = 0; i < lanes; i++) {
                    if (cols == VL)
                        vf_store(out + i * block->out_row + c, t[i]);
                    else
                        vf_store_n(out + i * block->out_row + c, t[i], cols);
                }
            }
        }
    }
}
