/* One pass over the patterns with an online softmax.
 *
 * Rows go by in blocks small enough for the first-level cache: the scores of a block, its maximum, then the weighted
 * sum of the same rows while they are still near. A pair's score is one accumulator over d, folded in one way, and
 * rows are added in order, so that a query's result does not depend on the queries it is scanned with.
 *
 * A level defines before: ACCS (accumulators of a tile: 8 or 16) and fold_accs(const vf *, float *), their sums.
 */
enum { BLOCK_ROWS = 64, BLOCK_FLOATS = 6144, NEAR_FLOATS = 1024, SLOTS = ACCS / 4 };

SIMD size_t block_rows(size_t d)
{
    size_t fit = d ? BLOCK_FLOATS / d : BLOCK_ROWS;
    return fit >= BLOCK_ROWS ? BLOCK_ROWS : fit >= 16 ? fit / 16 * 16 : fit >= 8 ? 8 : 4;
}

/* Lanes to take first so that the others' loads begin on cache lines: where a load is a whole line, one that begins
 * elsewhere costs two. Rows must lie alike, and be long enough for it. */
SIMD size_t head_lanes(const float *x, size_t d)
{
    return VL < 16 || d % VL || d < 2 * VL ? 0 : (size_t)(-(uintptr_t)x / sizeof *x) % VL;
}

/* out[k * rows + r] = q_k . x_r; constant numbers of queries and rows, at most ACCS pairs. */
SIMD void tile_dots(const float *x, size_t d, const float *const *q, float *out, const int queries, const int rows)
{
    vf sum[ACCS];
    size_t i = head_lanes(x, d);
    for (int k = 0; k < ACCS; k++)
        sum[k] = vf_zero();
    for (int r = 0; i && r < rows; r++) {
        vf row = vf_load_n(x + (size_t)r * d, i);
        for (int k = 0; k < queries; k++)
            sum[k * rows + r] = vf_mul(vf_load_n(q[k], i), row);
    }
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

/* A block whose highest score passes the slot's: what the slot has shrinks. */
static void raise_max(struct gn_hopfield_slot *slot, const float *scores, size_t rows, size_t first, size_t width,
                      float beta, float highest)
{
    float shrink = slot->sum == 0 ? 0 : expf(slot->max - highest);
    size_t at = 0;
    while (at < rows && scores[at] * beta != highest)
        at++;
    slot->best = (uint32_t)(first + at);
    slot->max = highest;
    slot->sum *= shrink;
    for (size_t i = 0; slot->acc && i < width; i++)
        slot->acc[i] *= shrink;
}

/* Scores to weights, in place; the slot's max, sum and acc follow. Returns 0, and makes the weights zeros, when all of
 * them together are below 2^-50 of what the slot has: the rows need not be read again. */
SIMD int weigh_vectors(float *scores, size_t rows, size_t first, size_t width, float beta,
                       struct gn_hopfield_slot *slot, const size_t vectors)
{
    vf s[BLOCK_ROWS / VL], top = vf_set1(-INFINITY), sum = vf_zero(), by = vf_set1(beta);
    float highest, total;
    for (size_t v = 0; v < vectors; v++) {
        size_t left = rows - v * VL;
        s[v] = vf_mul(left < VL ? vf_load_n(scores + v * VL, left) : vf_load(scores + v * VL), by);
        s[v] = left < VL ? vf_pick(vm_first(left), s[v], vf_set1(-INFINITY)) : s[v];
        top = vf_max(top, s[v]);
    }
    highest = vf_hmax(top);
    if (highest > slot->max)
        raise_max(slot, scores, rows, first, width, beta, highest);
    by = vf_set1(slot->max);
    for (size_t v = 0; v < vectors; v++) {
        vf p = vf_exp(vf_sub(s[v], by));
        vf_store(scores + v * VL, p);
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

static int weigh(float *scores, size_t rows, size_t first, size_t width, float beta, struct gn_hopfield_slot *slot)
{
    if (rows == BLOCK_ROWS)
        return weigh_vectors(scores, BLOCK_ROWS, first, width, beta, slot, BLOCK_ROWS / VL);
    return weigh_vectors(scores, rows, first, width, beta, slot, (rows + VL - 1) / VL);
}

/* acc_k[i..] += sum over rows of p_k[r] x_r[i..], `vectors` vectors of it; n lanes when n < VL. */
SIMD void tile_add(const float *x, size_t rows, size_t d, size_t i, const float (*p)[BLOCK_ROWS], float *const *acc,
                   const int queries, const int vectors, size_t n)
{
    vf sum[ACCS];
    for (int k = 0; k < queries; k++)
        for (int v = 0; v < vectors; v++)
            sum[k * vectors + v] = n < VL ? vf_load_n(acc[k] + i, n) : vf_load(acc[k] + i + v * VL);
    for (size_t r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) {
            vf row = n < VL ? vf_load_n(x + r * d + i, n) : vf_load(x + r * d + i + v * VL);
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
                   const int queries)
{
    const int wide = ACCS / 2 / queries;
    size_t i = 0;
    for (; i + (size_t)wide * VL <= d; i += (size_t)wide * VL)
        tile_add(x, rows, d, i, p, acc, queries, wide, VL);
    for (; i + VL <= d; i += VL)
        tile_add(x, rows, d, i, p, acc, queries, 1, VL);
    if (i < d)
        tile_add(x, rows, d, i, p, acc, queries, 1, d - i);
}

/* One query, near[0..vectors) whole vectors: += sum over rows of p[r] x_r, of whose first vector x has `lead` lanes and
 * of the last `trail`. Asks for the same part of the next block; the processor fetches lines in pairs. */
SIMD void tile_near(const float *x, size_t rows, size_t d, const float *p, float *near, const int vectors, size_t lead,
                    size_t trail)
{
    vf sum[ACCS];
    for (int v = 0; v < vectors; v++)
        sum[v] = vf_load(near + v * VL);
    for (size_t r = 0; r < rows; r++, x += d) {
        vf by = vf_set1(p[r]);
        for (int v = 0; v < vectors; v++) {
            const float *at = v ? x + lead + (size_t)(v - 1) * VL : x;
            if (v % 2 == 1 || vectors == 1)
                __builtin_prefetch((const void *)((uintptr_t)at + rows * d * sizeof *x));
            sum[v] = vf_fma(by, v == vectors - 1 ? vf_load_n(at, trail) : v ? vf_load(at) : vf_load_n(at, lead), sum[v]);
        }
    }
    for (int v = 0; v < vectors; v++)
        vf_store(near + v * VL, sum[v]);
}

/* All of d, in tiles of about equal width. */
static void rows_near(const float *x, size_t rows, size_t d, const float *p, float *near)
{
    enum { WIDE = ACCS / 2 };
    size_t head = head_lanes(x, d), first = head ? head : d < VL ? d : VL, left = 1 + (d - first + VL - 1) / VL;
    for (size_t tiles = (left + WIDE - 1) / WIDE, i = 0; tiles; tiles--) {
        size_t vectors = (left + tiles - 1) / tiles, lead = i ? VL : first, end = i + lead + (vectors - 1) * VL;
        size_t trail = vectors == 1 ? lead : end <= d ? VL : VL - (end - d);
        if (vectors == 1 && i && d - i < VL)
            trail = d - i;
#define WIDTH(n) \
    case n: \
        if (n <= WIDE) \
            tile_near(x + i, rows, d, p, near, n, lead, trail); \
        break
        switch (vectors) {
            WIDTH(1);
            WIDTH(2);
            WIDTH(3);
            WIDTH(4);
            WIDTH(5);
            WIDTH(6);
            WIDTH(7);
            WIDTH(8);
        }
#undef WIDTH
        near += vectors * VL;
        left -= vectors;
        i = end;
    }
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
        rows_add(x, rows, d, scores, acc, SLOTS);
}

/* width > d: the slot's acc is whole vectors. */
static void block_one(const float *x, size_t rows, size_t first, size_t d, float beta, struct gn_hopfield_slot *slot,
                      size_t width, const float *given)
{
    float scores[1][BLOCK_ROWS];
    if (given)
        memcpy(scores[0], given, rows * sizeof *given);
    else
        row_dots(x, rows, d, slot->query, scores[0]);
    if (!weigh(scores[0], rows, first, width, beta, slot) || !slot->acc)
        return;
    if (width > d)
        rows_near(x, rows, d, scores[0], slot->acc);
    else
        rows_add(x, rows, d, scores, &slot->acc, 1);
}

/* One query: its sums stay in a padded array, because a masked store is slow to load from again. */
static void scan_one(const float *x, size_t rows, size_t first, size_t d, float beta, struct gn_hopfield_slot *slot,
                     const float *given)
{
    _Alignas(64) float near[NEAR_FLOATS + 2 * VL];
    struct gn_hopfield_slot own = *slot;
    size_t block = block_rows(d), head = head_lanes(x, d), shift = head ? VL - head : 0, width = d;
    if (slot->acc && d && d <= NEAR_FLOATS) {
        width = (d / VL + 2) * VL;
        memset(near, 0, width * sizeof *near);
        memcpy(near, slot->acc, head * sizeof *near);
        memcpy(near + head + shift, slot->acc + head, (d - head) * sizeof *near);
        own.acc = near;
    }
    for (size_t r = 0; r < rows; r += block)
        block_one(x + r * d, rows - r < block ? rows - r : block, first + r, d, beta, &own, width,
                  given ? given + r : NULL);
    if (own.acc == near) {
        memcpy(slot->acc, near, head * sizeof *near);
        memcpy(slot->acc + head, near + head + shift, (d - head) * sizeof *near);
        own.acc = slot->acc;
    }
    *slot = own;
}

static void scan(const float *x, size_t rows, size_t first, size_t d, float beta, struct gn_hopfield_slot *slots,
                 size_t count)
{
    size_t block = block_rows(d), many = count / SLOTS * SLOTS;
    for (size_t r = 0; many && r < rows; r += block)
        for (size_t k = 0; k < many; k += SLOTS)
            block_many(x + r * d, rows - r < block ? rows - r : block, first + r, d, beta, slots + k);
    for (size_t k = many; k < count; k++)
        scan_one(x, rows, first, d, beta, slots + k, NULL);
}

static void absorb(const float *x, size_t rows, size_t first, size_t d, float beta, const float *scores,
                   struct gn_hopfield_slot *slot)
{
    scan_one(x, rows, first, d, beta, slot, scores);
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
