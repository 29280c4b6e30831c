/* The majority of n rows by counters that stand upright: plane p holds bit p of the counts of HB * 8 columns, so that
 * one addition counts them all. Sixteen rows at a time go through a tree of carry-save adders (Harley and Seal, in
 * Warren, "Hacker's Delight", 2nd ed., 5-1) into the four lowest planes and one carry into those above. */
enum { LOW_PLANES = 4, HIGH_PLANES = GN_HV_PLANES - LOW_PLANES, GROUP = 16, WIDE = 2 };

#define HV_ADD(sum, carry, a, b, c)        \
    do {                                   \
        hb hv_a = a, hv_b = b, hv_c = c;   \
        sum = hb_sum3(hv_a, hv_b, hv_c);   \
        carry = hb_maj3(hv_a, hv_b, hv_c); \
    } while (0)

struct planes {
    hb low[LOW_PLANES], high[HIGH_PLANES];
};

/* `bytes` of a row; HB where that is a constant. Held in a register: the sum and the carry of an adder both want it, and
 * the compiler would load it for each, at two cache lines a load. */
SIMD hb row_load(const uint8_t *p, size_t bytes)
{
    hb row = bytes == HB ? hb_load(p) : hb_load_n(p, bytes);
#ifdef SIMD_SKYLAKE
    __asm__("" : "+v"(row));
#endif
    return row;
}

/* The sum of two rows and plane 0 stays there; the carry is for plane 1. */
SIMD hb add_two(hb *low, const uint8_t *rows, size_t stride, size_t bytes)
{
    hb carry;
    HV_ADD(low[0], carry, low[0], row_load(rows, bytes), row_load(rows + stride, bytes));
    return carry;
}

SIMD hb add_four(hb *low, const uint8_t *rows, size_t stride, size_t bytes)
{
    hb a = add_two(low, rows, stride, bytes), b = add_two(low, rows + 2 * stride, stride, bytes), carry;
    HV_ADD(low[1], carry, low[1], a, b);
    return carry;
}

SIMD hb add_eight(hb *low, const uint8_t *rows, size_t stride, size_t bytes)
{
    hb a = add_four(low, rows, stride, bytes), b = add_four(low, rows + 4 * stride, stride, bytes), carry;
    HV_ADD(low[2], carry, low[2], a, b);
    return carry;
}

SIMD void add_group(struct planes *planes, size_t high, const uint8_t *rows, size_t stride, size_t bytes)
{
    hb a = add_eight(planes->low, rows, stride, bytes), b = add_eight(planes->low, rows + 8 * stride, stride, bytes);
    HV_ADD(planes->low[3], a, planes->low[3], a, b);
    for (size_t p = 0; p < high; p++) {
        hb up = hb_and(planes->high[p], a);
        planes->high[p] = hb_xor(planes->high[p], a);
        a = up;
    }
}

/* The rows that are no whole group come first: while a plane is empty, a carry into it is the plane. */
SIMD void add_rest(struct planes *planes, const uint8_t *rows, size_t n, size_t stride, size_t bytes)
{
    for (size_t p = 0; p < LOW_PLANES; p++)
        planes->low[p] = hb_zero();
    if (n & 1) {
        planes->low[0] = row_load(rows, bytes);
        rows += stride;
    }
    if (n & 2) {
        planes->low[1] = add_two(planes->low, rows, stride, bytes);
        rows += 2 * stride;
    }
    if (n & 4) {
        planes->low[2] = add_four(planes->low, rows, stride, bytes);
        rows += 4 * stride;
    }
    if (n & 8)
        planes->low[3] = add_eight(planes->low, rows, stride, bytes);
}

SIMD hb all_of(size_t bit) { return bit & 1 ? hb_ones() : hb_zero(); }

/* `more` is added to the low planes' counts, the high ones being empty: they become more / GROUP and the carry. */
SIMD void add_constant(struct planes *planes, size_t high, size_t more)
{
    hb carry = hb_zero();
    size_t with = more / GROUP + 1, without = more / GROUP;
    for (size_t p = 0; p < LOW_PLANES; p++)
        HV_ADD(planes->low[p], carry, planes->low[p], all_of(more >> p), carry);
    for (size_t p = 0; p < high; p++)
        planes->high[p] = hb_xor(all_of(without >> p), hb_and(all_of((with ^ without) >> p), carry));
}

/* All rows and `more` into the planes of `wide` columns side by side. */
SIMD void add_all(struct planes *planes, size_t wide, size_t high, size_t more, const uint8_t *rows, size_t n,
                  size_t stride, size_t bytes)
{
    for (size_t c = 0; c < wide; c++) {
        add_rest(&planes[c], rows + c * HB, n, stride, bytes);
        add_constant(&planes[c], high, more);
    }
    rows += n % GROUP * stride;
    for (size_t left = n / GROUP; left > 0; left--, rows += GROUP * stride)
        for (size_t c = 0; c < wide; c++)
            add_group(&planes[c], high, rows + c * HB, stride, bytes);
}

SIMD void row_store(uint8_t *p, hb v, size_t bytes)
{
    if (bytes == HB)
        hb_store(p, v);
    else
        hb_store_n(p, v, bytes);
}

/* The counts begin so high that the top plane, of 2^top, is set from the majority, n / 2 + 1, on; one less, the tie, is
 * all ones below it. */
SIMD void bundle_column(const struct gn_hv_part *part, size_t wide, size_t high, size_t at, size_t bytes)
{
    struct planes planes[WIDE];
    size_t top = LOW_PLANES + high - 1, more = ((size_t)1 << top) - (part->n / 2 + 1);
    add_all(planes, wide, high, more, (const uint8_t *)part->rows + at, part->n, part->stride_words * 8, bytes);
    for (size_t c = 0; c < wide; c++, at += HB) {
        hb most = high ? planes[c].high[high - 1] : planes[c].low[LOW_PLANES - 1], same = hb_andnot(most, hb_ones());
        row_store((uint8_t *)part->majority + at, most, bytes);
        if (part->tie) {
            for (size_t p = 0; p < top; p++)
                same = hb_and(same, p < LOW_PLANES ? planes[c].low[p] : planes[c].high[p - LOW_PLANES]);
            row_store((uint8_t *)part->tie + at, same, bytes);
            row_store((uint8_t *)part->parity + at, hb_xor(planes[c].low[0], all_of(more)), bytes);
        }
    }
}

SIMD void bundle_columns(const struct gn_hv_part *part, size_t high)
{
    size_t bytes = part->words * 8, at = 0;
    for (; at + WIDE * HB <= bytes; at += WIDE * HB)
        bundle_column(part, WIDE, high, at, HB);
    for (; at + HB <= bytes; at += HB)
        bundle_column(part, 1, high, at, HB);
    if (at < bytes)
        bundle_column(part, 1, high, at, bytes - at);
}

/* With a known number of planes the compiler keeps them in registers. */
static void bundle_part(const struct gn_hv_part *part)
{
    if (part->n < 1 << LOW_PLANES)
        bundle_columns(part, 0);
    else if (part->n < 1 << (LOW_PLANES + 3))
        bundle_columns(part, 3);
    else if (part->n < 1 << (LOW_PLANES + 6))
        bundle_columns(part, 6);
    else
        bundle_columns(part, HIGH_PLANES);
}

#define HV_TABLE                                                                                        \
    {.hamming = hamming_rows, .hamming_far = hamming_far, .hamming_tile = hamming_tile, .common = common_rows, \
     .ones = ones_rows, .bind = bind_words, .bundle = bundle_part}
