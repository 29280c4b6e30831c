/* The majority of n rows by counters that stand upright: plane p holds bit p of the counts of HB * 8 columns, so that
 * one addition counts them all. Sixteen rows at a time go through a tree of carry-save adders (Harley and Seal, in
 * Warren, "Hacker's Delight", 2nd ed., 5-1) into the four lowest planes and one carry into those above. */
enum { LOW_PLANES = 4, HIGH_PLANES = GN_HV_PLANES - LOW_PLANES, GROUP = 16 };

#define HV_ADD(sum, carry, a, b, c)     \
    do {                                \
        hb hv_a = a, hv_b = b, hv_c = c; \
        sum = hb_sum3(hv_a, hv_b, hv_c);  \
        carry = hb_maj3(hv_a, hv_b, hv_c); \
    } while (0)

struct planes {
    hb low[LOW_PLANES], high[HIGH_PLANES];
};

/* Two rows into the ones, carry out. */
SIMD hb add_rows(hb *ones, const uint8_t *const *rows, size_t at, size_t bytes)
{
    hb carry;
    if (bytes == HB)
        HV_ADD(*ones, carry, *ones, hb_load(rows[0] + at), hb_load(rows[1] + at));
    else
        HV_ADD(*ones, carry, *ones, hb_load_n(rows[0] + at, bytes), hb_load_n(rows[1] + at, bytes));
    return carry;
}

SIMD hb add_four(hb *low, const uint8_t *const *rows, size_t at, size_t bytes)
{
    hb a = add_rows(low, rows, at, bytes), b = add_rows(low, rows + 2, at, bytes), carry;
    HV_ADD(low[1], carry, low[1], a, b);
    return carry;
}

SIMD hb add_eight(hb *low, const uint8_t *const *rows, size_t at, size_t bytes)
{
    hb a = add_four(low, rows, at, bytes), b = add_four(low, rows + 4, at, bytes), carry;
    HV_ADD(low[2], carry, low[2], a, b);
    return carry;
}

SIMD void add_high(hb *high, size_t planes, hb carry)
{
    for (size_t p = 0; p < planes; p++) {
        hb up = hb_and(high[p], carry);
        high[p] = hb_xor(high[p], carry);
        carry = up;
    }
}

/* All rows' bytes [at, at + bytes) into the planes. Rows that are missing in the last group read as zeros. */
SIMD void add_all(struct planes *planes, size_t high, const struct gn_hv_part *part, size_t at, size_t bytes)
{
    static const uint8_t zeros[GN_HV_BUNDLE_WORDS * 8];
    const uint8_t *rows[GROUP], *base = (const uint8_t *)part->rows;
    size_t stride = part->stride_words * 8, n = part->n;
    for (size_t i = 0; i < n; i += GROUP) {
        hb a, b;
        for (size_t r = 0; r < GROUP; r++)
            rows[r] = i + r < n ? base + (i + r) * stride : zeros;
        a = add_eight(planes->low, rows, at, bytes);
        if (n - i > GROUP / 2) {
            b = add_eight(planes->low, rows + 8, at, bytes);
            HV_ADD(planes->low[3], a, planes->low[3], a, b);
        } else {
            b = hb_and(planes->low[3], a);
            planes->low[3] = hb_xor(planes->low[3], a);
            a = b;
        }
        add_high(planes->high, high, a);
    }
}

/* Compares the upright counts with n / 2, from the highest plane down. */
SIMD void compare(const struct planes *planes, size_t high, size_t half, hb *more, hb *same)
{
    *more = hb_zero();
    *same = hb_ones();
    for (size_t p = LOW_PLANES + high; p-- > 0;) {
        hb plane = p < LOW_PLANES ? planes->low[p] : planes->high[p - LOW_PLANES];
        if (half >> p & 1) {
            *same = hb_and(*same, plane);
        } else {
            *more = hb_or(*more, hb_and(*same, plane));
            *same = hb_andnot(plane, *same);
        }
    }
}

SIMD void bundle_column(const struct gn_hv_part *part, size_t high, size_t at, size_t bytes)
{
    struct planes planes;
    hb more, same;
    for (size_t p = 0; p < LOW_PLANES; p++)
        planes.low[p] = hb_zero();
    for (size_t p = 0; p < high; p++)
        planes.high[p] = hb_zero();
    add_all(&planes, high, part, at, bytes);
    compare(&planes, high, part->n / 2, &more, &same);
    hb_store_n((uint8_t *)part->majority + at, more, bytes);
    if (part->tie) {
        hb_store_n((uint8_t *)part->tie + at, part->n % 2 ? hb_zero() : same, bytes);
        hb_store_n((uint8_t *)part->parity + at, planes.low[0], bytes);
    }
}

static void bundle_part(const struct gn_hv_part *part)
{
    size_t high = 0, bytes = part->words * 8, at = 0;
    while (high < HIGH_PLANES && part->n >> (LOW_PLANES + high))
        high++;
    for (; at + HB <= bytes; at += HB)
        bundle_column(part, high, at, HB);
    if (at < bytes)
        bundle_column(part, high, at, bytes - at);
}

#define HV_TABLE                                                                                   \
    {.hamming = hamming_rows, .hamming_tile = hamming_tile, .common = common_rows, .ones = ones_rows, \
     .bind = bind_words, .bundle = bundle_part}
