/* Counting bits of rows, on a level's bit vectors:
 *
 *     hb  HB bytes of bits      hp  partial counts, good for HP_MAX vectors      hc  counts
 *     hb_load(p) hb_load_n(p, bytes) hb_store hb_store_n   other bytes read 0, nothing outside is touched
 *     hb_xor hb_and hb_or hb_andnot(a, b) = ~a & b         hb_sum3 hb_maj3: sum and carry of three bits
 *     hp_zero() hp_add(hp, hb)   hc_zero() hc_add(hc, hp) hc_total(hc)
 */
enum { MET_XOR, MET_AND, MET_ROW };

SIMD hb met_load(int how, const uint8_t *q, const uint8_t *row)
{
    hb r = hb_load(row);
    return how == MET_XOR ? hb_xor(hb_load(q), r) : how == MET_AND ? hb_and(hb_load(q), r) : r;
}

SIMD hb met_load_n(int how, const uint8_t *q, const uint8_t *row, size_t bytes)
{
    hb r = hb_load_n(row, bytes);
    return how == MET_XOR ? hb_xor(hb_load_n(q, bytes), r) : how == MET_AND ? hb_and(hb_load_n(q, bytes), r) : r;
}

SIMD uint32_t count_row(int how, const uint8_t *q, const uint8_t *row, size_t bytes)
{
    hc total = hc_zero();
    size_t at = 0;
    hp part;
    while (bytes - at >= HB) {
        size_t end = bytes - at < (size_t)HP_MAX * HB ? at + (bytes - at) / HB * HB : at + (size_t)HP_MAX * HB;
        part = hp_zero();
        for (; at < end; at += HB)
            part = hp_add(part, met_load(how, q ? q + at : NULL, row + at));
        total = hc_add(total, part);
    }
    if (at < bytes)
        total = hc_add(total, hp_add(hp_zero(), met_load_n(how, q ? q + at : NULL, row + at, bytes - at)));
    return hc_total(total);
}

#ifndef HV_OWN_ROWS
static void hamming_rows(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, size_t stride, uint32_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = count_row(MET_XOR, query, rows + i * stride, bytes);
}

static void hamming_far(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, size_t stride, uint32_t *out)
{
    hamming_rows(query, rows, n, bytes, stride, out);
}

/* Rows in the inner loop's cache, every query over them before the next. */
static void hamming_tile(const uint8_t *queries, size_t m, size_t query_stride, const uint8_t *rows, size_t n,
                         size_t stride, size_t bytes, uint32_t *out, size_t out_stride)
{
    enum { ROWS = 16 };
    for (size_t i = 0; i < n; i += ROWS)
        for (size_t j = 0; j < m; j++)
            hamming_rows(queries + j * query_stride, rows + i * stride, n - i < ROWS ? n - i : ROWS, bytes, stride,
                         out + j * out_stride + i);
}
#endif

static void common_rows(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, size_t stride, uint32_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = count_row(MET_AND, query, rows + i * stride, bytes);
}

static void ones_rows(const uint8_t *rows, size_t n, size_t bytes, size_t stride, uint32_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = count_row(MET_ROW, NULL, rows + i * stride, bytes);
}

static void bind_words(const uint64_t *a, const uint64_t *b, size_t words, uint64_t *out)
{
    const uint8_t *p = (const uint8_t *)a, *q = (const uint8_t *)b;
    uint8_t *o = (uint8_t *)out;
    size_t bytes = words * 8, at = 0;
    for (; at + HB <= bytes; at += HB)
        hb_store(o + at, hb_xor(hb_load(p + at), hb_load(q + at)));
    if (at < bytes)
        hb_store_n(o + at, hb_xor(hb_load_n(p + at, bytes - at), hb_load_n(q + at, bytes - at)), bytes - at);
}
