/* One pass over the patterns with an online softmax.
 *
 * Rows go by in blocks small enough for the first-level cache: the scores of a block, its maximum, then the weighted
 * sum of the same rows while they are still near. A pair's score is one accumulator over d, folded in one way, and
 * rows are added in order, so that a query's result does not depend on the queries it is scanned with.
 *
 * A level defines before: ACCS (accumulators of a tile: 8 or 16) and fold_accs(const vf *, float *), their sums.
 */
enum { BLOCK_ROWS = 16, BLOCK_FLOATS = 6144, SLOTS = ACCS / 4 };

SIMD size_t block_rows(size_t d)
{
    size_t fit = d ? BLOCK_FLOATS / d : BLOCK_ROWS;
    return fit >= BLOCK_ROWS ? BLOCK_ROWS : fit >= 8 ? 8 : 4;
}

/* out[k * rows + r] = q_k . x_r; constant numbers of queries and rows, at most ACCS pairs. */
SIMD void tile_dots(const float *x, size_t d, const float *const *q, float *out, const int queries, const int rows)
{
    vf sum[ACCS];
    size_t i = 0;
    for (int k = 0; k < ACCS; k++)
        sum[k] = vf_zero();
    for (; i + VL <= d; i += VL)
        for (int r = 0; r < rows; r++) {
            vf row = vf_load(x + (size_t)r * d + i);
            for (int k = 0; k < queries; k++)
                sum[k * rows + r] = vf_fma(vf_load(q[k] + i), row, sum[k * rows + r]);
        }
    if (i < d)
        for (int r = 0; r < rows; r++) {
            vf row = vf_load_n(x + (size_t)r * d + i, d - i);
            for (int k = 0; k < queries; k++)
                sum[k * rows + r] = vf_fma(vf_load_n(q[k] + i, d - i), row, sum[k * rows + r]);
        }
    fold_accs(sum, out);
}

#ifndef DOTS_ACCS
#define DOTS_ACCS(x, d, q, out) tile_dots(x, d, &(q), out, 1, ACCS)
#endif

/* scores[r] = q . x_r */
static void row_dots(const float *x, size_t rows, size_t d, const float *q, float *scores)
{
    float sums[ACCS];
    size_t r = 0;
    for (; r + ACCS <= rows; r += ACCS)
        DOTS_ACCS(x + r * d, d, q, scores + r);
    for (; r + 4 <= rows; r += 4) {
        tile_dots(x + r * d, d, &q, sums, 1, 4);
        memcpy(scores + r, sums, 4 * sizeof *sums);
    }
    for (; r < rows; r++) {
        tile_dots(x + r * d, d, &q, sums, 1, 1);
        scores[r] = sums[0];
    }
}

/* The same for SLOTS queries at once. */
static void row_dots_many(const float *x, size_t rows, size_t d, const float *const *q, float (*scores)[BLOCK_ROWS])
{
    float sums[ACCS];
    size_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        tile_dots(x + r * d, d, q, sums, SLOTS, 4);
        for (int k = 0; k < SLOTS; k++)
            memcpy(scores[k] + r, sums + 4 * k, 4 * sizeof *sums);
    }
    for (; r < rows; r++) {
        tile_dots(x + r * d, d, q, sums, SLOTS, 1);
        for (int k = 0; k < SLOTS; k++)
            scores[k][r] = sums[k];
    }
}

/* Scores to weights, in place; the slot's max, sum and acc follow. Returns 0, and makes the weights zeros, when all of
 * them together are below 2^-50 of what the slot has: the rows need not be read again. */
static int weigh(float *scores, size_t rows, size_t first, size_t d, float beta, struct gn_hopfield_slot *slot)
{
    vf top = vf_set1(-INFINITY), sum = vf_zero(), by;
    float highest, total;
    for (size_t r = 0; r < BLOCK_ROWS; r += VL) {
        size_t n = r >= rows ? 0 : rows - r < VL ? rows - r : VL;
        vf s = vf_mul(vf_load_n(scores + r, n), vf_set1(beta));
        s = n < VL ? vf_pick(vm_first(n), s, vf_set1(-INFINITY)) : s;
        vf_store(scores + r, s);
        top = vf_max(top, s);
    }
    highest = vf_hmax(top);
    if (highest > slot->max) {
        float shrink = expf(slot->max - highest);
        size_t at = 0;
        while (at < rows && scores[at] != highest)
            at++;
        slot->best = (uint32_t)(first + at);
        slot->max = highest;
        slot->sum *= shrink;
        for (size_t i = 0; slot->acc && i < d; i++)
            slot->acc[i] *= shrink;
    }
    by = vf_set1(slot->max);
    for (size_t r = 0; r < BLOCK_ROWS; r += VL) {
        vf p = vf_exp(vf_sub(vf_load(scores + r), by));
        vf_store(scores + r, p);
        sum = vf_add(sum, p);
    }
    total = vf_sum(sum);
    if (total < slot->sum * 0x1p-50f) {
        memset(scores, 0, BLOCK_ROWS * sizeof *scores);
        return 0;
    }
    slot->sum += total;
    return 1;
}

/* acc_k[i..] += sum over rows of p_k[r] x_r[i..], `vectors` vectors of it; n lanes of the last when n < VL. */
SIMD void tile_add(const float *x, size_t rows, size_t d, size_t i, const float (*p)[BLOCK_ROWS], float *const *acc,
                   const int queries, const int vectors, size_t n, size_t ahead)
{
    vf sum[ACCS];
    for (int k = 0; k < queries; k++)
        for (int v = 0; v < vectors; v++)
            sum[k * vectors + v] = n < VL ? vf_load_n(acc[k] + i, n) : vf_load(acc[k] + i + v * VL);
    for (size_t r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) {
            vf row = n < VL ? vf_load_n(x + r * d + i, n) : vf_load(x + r * d + i + v * VL);
            if (ahead && v % 2 == 0) /* the processor fetches lines in pairs */
                __builtin_prefetch((const void *)((uintptr_t)(x + r * d + i + v * VL) + ahead));
            for (int k = 0; k < queries; k++)
                sum[k * vectors + v] = vf_fma(vf_set1(p[k][r]), row, sum[k * vectors + v]);
        }
    for (int k = 0; k < queries; k++)
        for (int v = 0; v < vectors; v++) {
            if (n < VL)
                vf_store_n(acc[k] + i, sum[k * vectors + v], n);
            else
                vf_store(acc[k] + i + v * VL, sum[k * vectors + v]);
        }
}

SIMD void rows_add(const float *x, size_t rows, size_t d, const float (*p)[BLOCK_ROWS], float *const *acc,
                   const int queries, size_t ahead)
{
    const int wide = ACCS / 2 / queries, half = wide > 1 ? wide / 2 : 1;
    size_t i = 0;
    for (; i + (size_t)wide * VL <= d; i += (size_t)wide * VL)
        tile_add(x, rows, d, i, p, acc, queries, wide, VL, ahead);
    for (; i + (size_t)half * VL <= d; i += (size_t)half * VL)
        tile_add(x, rows, d, i, p, acc, queries, half, VL, ahead);
    for (; i + VL <= d; i += VL)
        tile_add(x, rows, d, i, p, acc, queries, 1, VL, ahead);
    if (i < d)
        tile_add(x, rows, d, i, p, acc, queries, 1, d - i, ahead);
}

static void block_many(const float *x, size_t rows, size_t first, size_t d, float beta, struct gn_hopfield_slot *slots)
{
    float scores[SLOTS][BLOCK_ROWS], *acc[SLOTS];
    const float *q[SLOTS];
    int count = 0;
    for (int k = 0; k < SLOTS; k++) {
        q[k] = slots[k].query;
        acc[k] = slots[k].acc;
    }
    row_dots_many(x, rows, d, q, scores);
    for (int k = 0; k < SLOTS; k++)
        count += weigh(scores[k], rows, first, d, beta, slots + k);
    if (acc[0] && count)
        rows_add(x, rows, d, scores, acc, SLOTS, 0);
}

static void block_one(const float *x, size_t rows, size_t first, size_t d, float beta, struct gn_hopfield_slot *slot)
{
    float scores[1][BLOCK_ROWS];
    row_dots(x, rows, d, slot->query, scores[0]);
    if (!weigh(scores[0], rows, first, d, beta, slot) || !slot->acc)
        return;
    if (rows == BLOCK_ROWS)
        rows_add(x, BLOCK_ROWS, d, scores, &slot->acc, 1, rows * d * sizeof *x);
    else
        rows_add(x, rows, d, scores, &slot->acc, 1, rows * d * sizeof *x);
}

static void scan(const float *x, size_t rows, size_t first, size_t d, float beta, struct gn_hopfield_slot *slots,
                 size_t count)
{
    size_t block = block_rows(d);
    for (size_t r = 0; r < rows; r += block) {
        size_t n = rows - r < block ? rows - r : block, k = 0;
        for (; k + SLOTS <= count; k += SLOTS)
            block_many(x + r * d, n, first + r, d, beta, slots + k);
        for (; k < count; k++)
            block_one(x + r * d, n, first + r, d, beta, slots + k);
    }
}

static void scaled(float *out, const float *x, float scale, size_t d, int add)
{
    vf by = vf_set1(scale);
    size_t i = 0;
    for (; i + VL <= d; i += VL)
        vf_store(out + i, vf_fma(by, vf_load(x + i), add ? vf_load(out + i) : vf_zero()));
    if (i < d)
        vf_store_n(out + i, vf_fma(by, vf_load_n(x + i, d - i), add ? vf_load_n(out + i, d - i) : vf_zero()), d - i);
}

static void merge(struct gn_hopfield_slot *into, const struct gn_hopfield_slot *from, size_t d)
{
    float highest = from->max > into->max ? from->max : into->max;
    float keep = into->max == highest ? 1 : expf(into->max - highest);
    float take = from->max == highest ? 1 : expf(from->max - highest);
    if (from->max > into->max)
        into->best = from->best;
    into->max = highest;
    into->sum = into->sum * keep + from->sum * take;
    if (!into->acc)
        return;
    if (keep != 1)
        scaled(into->acc, into->acc, keep, d, 0);
    scaled(into->acc, from->acc, take, d, 1);
}

static float gap2(const float *a, const float *b, size_t d)
{
    vf sum = vf_zero(), gap;
    size_t i = 0;
    for (; i + VL <= d; i += VL) {
        gap = vf_sub(vf_load(a + i), vf_load(b + i));
        sum = vf_fma(gap, gap, sum);
    }
    if (i < d) {
        gap = vf_sub(vf_load_n(a + i, d - i), vf_load_n(b + i, d - i));
        sum = vf_fma(gap, gap, sum);
    }
    return vf_sum(sum);
}
