/* VPOPCNTDQ: a count of bits in eight 64-bit lanes is one instruction, an adder's sum or carry another (VPTERNLOG).
 *
 * One query: eight rows at a time, so that the query is loaded once for them and their eight sums are folded together,
 * those of equal alignment if there are so many; rows that come from memory one at a time.
 * Many queries: tiles of four by four, sixteen counters in registers and half a load a pair. */
#include "base/isa.h"
#ifdef GN_X86
#include "simd/skylake.h"

#include "hypervectors/ops.h"

enum { HB = 64, HP_MAX = 1 << 20 };
typedef __m512i hb, hp, hc;

SIMD __mmask64 hb_first(size_t bytes) { return _bzhi_u64(~0ull, (unsigned)bytes); }
SIMD hb hb_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
SIMD hb hb_load_n(const uint8_t *p, size_t bytes)
{
    return __builtin_constant_p(bytes == HB) && bytes == HB ? hb_load(p) : _mm512_maskz_loadu_epi8(hb_first(bytes), p);
}
SIMD void hb_store(uint8_t *p, hb v) { _mm512_storeu_si512(p, v); }
SIMD void hb_store_n(uint8_t *p, hb v, size_t bytes) { _mm512_mask_storeu_epi8(p, hb_first(bytes), v); }
SIMD hb hb_zero(void) { return _mm512_setzero_si512(); }
SIMD hb hb_ones(void) { return _mm512_set1_epi32(-1); }
SIMD hb hb_xor(hb a, hb b) { return _mm512_xor_si512(a, b); }
SIMD hb hb_and(hb a, hb b) { return _mm512_and_si512(a, b); }
SIMD hb hb_or(hb a, hb b) { return _mm512_or_si512(a, b); }
SIMD hb hb_andnot(hb a, hb b) { return _mm512_andnot_si512(a, b); }
SIMD hb hb_sum3(hb a, hb b, hb c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
SIMD hb hb_maj3(hb a, hb b, hb c) { return _mm512_ternarylogic_epi64(a, b, c, 0xe8); }
SIMD hp hp_zero(void) { return _mm512_setzero_si512(); }
SIMD hp hp_add(hp sum, hb v) { return _mm512_add_epi64(sum, _mm512_popcnt_epi64(v)); }
SIMD hc hc_zero(void) { return _mm512_setzero_si512(); }
SIMD hc hc_add(hc a, hp b) { return _mm512_add_epi64(a, b); }
SIMD uint32_t hc_total(hc a) { return (uint32_t)_mm512_reduce_add_epi64(a); }

#define HV_OWN_ROWS 1
#include "hypervectors/popcount_body.h"

/* The sums of eight counters, in order. */
SIMD __m256i fold_eight(const hc *a)
{
    hc pair[4], half[2], whole;
    for (int i = 0; i < 4; i++)
        pair[i] = _mm512_add_epi64(_mm512_unpacklo_epi64(a[2 * i], a[2 * i + 1]),
                                   _mm512_unpackhi_epi64(a[2 * i], a[2 * i + 1]));
    for (int i = 0; i < 2; i++)
        half[i] = _mm512_add_epi64(_mm512_shuffle_i64x2(pair[2 * i], pair[2 * i + 1], 0x88),
                                   _mm512_shuffle_i64x2(pair[2 * i], pair[2 * i + 1], 0xdd));
    whole = _mm512_add_epi64(_mm512_shuffle_i64x2(half[0], half[1], 0x88), _mm512_shuffle_i64x2(half[0], half[1], 0xdd));
    return _mm512_cvtepi64_epi32(whole);
}

enum { ROWS = 8, AHEAD = 4096, LINES_AHEAD = 512 };

SIMD void eight_step(hc *sums, const uint8_t *query, const uint8_t *rows, size_t stride, size_t bytes)
{
    hb q = hb_load_n(query, bytes);
    for (size_t r = 0; r < ROWS; r++) {
        _mm_prefetch((const char *)rows + (ROWS + r) * stride, _MM_HINT_T0);
        sums[r] = hp_add(sums[r], hb_xor(q, hb_load_n(rows + r * stride, bytes)));
    }
}

/* One line of eight rows that begin equally far into a line, `apart` bytes from one another, `in` of it theirs. */
SIMD void line_step(hc *sums, const uint8_t *query, const uint8_t *rows, size_t apart, __mmask64 in)
{
    hb q = _mm512_maskz_loadu_epi8(in, query);
    for (size_t r = 0; r < ROWS; r++, rows += apart) {
        _mm_prefetch((const char *)rows + LINES_AHEAD, _MM_HINT_T0);
        sums[r] = hp_add(sums[r], hb_xor(q, _mm512_maskz_loadu_epi8(in, rows)));
    }
}

/* 64 rows of whole words: every eighth begins equally far into a cache line. Those are taken together, line by line, so
 * that no load of theirs touches two lines; the query is read askew instead, once for eight. */
static void hamming_lines(const uint8_t *query, const uint8_t *rows, size_t bytes, size_t stride, uint32_t *out)
{
    for (size_t first = 0; first < ROWS; first++, rows += stride) {
        size_t skew = (uintptr_t)rows % HB, at = skew ? HB - skew : 0;
        uint32_t found[ROWS];
        hc sums[ROWS];
        for (int r = 0; r < ROWS; r++)
            sums[r] = hc_zero();
        if (skew)
            line_step(sums, query - skew, rows - skew, ROWS * stride, ~hb_first(skew));
        for (; at + HB <= bytes; at += HB)
            line_step(sums, query + at, rows + at, ROWS * stride, ~(__mmask64)0);
        if (at < bytes)
            line_step(sums, query + at, rows + at, ROWS * stride, hb_first(bytes - at));
        _mm256_storeu_si256((__m256i *)found, fold_eight(sums));
        for (size_t r = 0; r < ROWS; r++)
            out[first + r * ROWS] = found[r];
    }
}

/* Rows in a cache: eight at a time, while the next eight are called for. */
static void hamming_rows(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, size_t stride, uint32_t *out)
{
    size_t i = 0;
    if (stride % 8 == 0 && bytes >= 2 * HB)
        for (; i + ROWS * ROWS <= n; i += ROWS * ROWS, rows += ROWS * ROWS * stride)
            hamming_lines(query, rows, bytes, stride, out + i);
    for (; i + ROWS <= n; i += ROWS, rows += ROWS * stride) {
        hc sums[ROWS];
        size_t at = 0;
        for (int r = 0; r < ROWS; r++)
            sums[r] = hc_zero();
        for (; at + HB <= bytes; at += HB)
            eight_step(sums, query + at, rows + at, stride, HB);
        if (at < bytes)
            eight_step(sums, query + at, rows + at, stride, bytes - at);
        _mm256_storeu_si256((__m256i *)(out + i), fold_eight(sums));
    }
    for (; i < n; i++, rows += stride)
        out[i] = count_row(MET_XOR, query, rows, bytes);
}

/* Rows in memory: one after the other, as the processor's own prefetch wants them (eight streams halve the rate). */
static void hamming_far(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, size_t stride, uint32_t *out)
{
    for (size_t i = 0; i < n; i++, rows += stride) {
        hc even = hc_zero(), odd = hc_zero();
        size_t at = 0;
        for (; at + 2 * HB <= bytes; at += 2 * HB) {
            _mm_prefetch((const char *)rows + at + AHEAD, _MM_HINT_T0);
            _mm_prefetch((const char *)rows + at + AHEAD + HB, _MM_HINT_T0);
            even = hp_add(even, hb_xor(hb_load(query + at), hb_load(rows + at)));
            odd = hp_add(odd, hb_xor(hb_load(query + at + HB), hb_load(rows + at + HB)));
        }
        for (; at < bytes; at += HB) {
            size_t left = bytes - at < HB ? bytes - at : HB;
            even = hp_add(even, hb_xor(hb_load_n(query + at, left), hb_load_n(rows + at, left)));
        }
        out[i] = hc_total(_mm512_add_epi64(even, odd));
    }
}

enum { SIDE = 4 };

SIMD void tile_step(hc *sums, const uint8_t *queries, size_t query_stride, const uint8_t *rows, size_t stride,
                    size_t bytes)
{
    hb q[SIDE];
    for (int j = 0; j < SIDE; j++)
        q[j] = hb_load_n(queries + (size_t)j * query_stride, bytes);
    for (int i = 0; i < SIDE; i++) {
        hb row = hb_load_n(rows + (size_t)i * stride, bytes);
        for (int j = 0; j < SIDE; j++)
            sums[j * SIDE + i] = hp_add(sums[j * SIDE + i], hb_xor(q[j], row));
    }
}

SIMD void tile_square(const uint8_t *queries, size_t query_stride, const uint8_t *rows, size_t stride, size_t bytes,
                      uint32_t *out, size_t out_stride)
{
    hc sums[SIDE * SIDE];
    size_t at = 0;
    for (int r = 0; r < SIDE * SIDE; r++)
        sums[r] = hc_zero();
    for (; at + HB <= bytes; at += HB)
        tile_step(sums, queries + at, query_stride, rows + at, stride, HB);
    if (at < bytes)
        tile_step(sums, queries + at, query_stride, rows + at, stride, bytes - at);
    for (size_t j = 0; j < SIDE; j += 2) {
        __m256i two = fold_eight(sums + j * SIDE);
        _mm_storeu_si128((__m128i *)(out + j * out_stride), _mm256_castsi256_si128(two));
        _mm_storeu_si128((__m128i *)(out + (j + 1) * out_stride), _mm256_extracti128_si256(two, 1));
    }
}

/* Rows in tiles that stay in the first cache while every four queries pass over them. */
static void hamming_tile(const uint8_t *queries, size_t m, size_t query_stride, const uint8_t *rows, size_t n,
                         size_t stride, size_t bytes, uint32_t *out, size_t out_stride)
{
    size_t room = bytes ? (size_t)16384 / bytes / SIDE * SIDE : n, step = room ? room : SIDE;
    for (size_t first = 0; first < n; first += step) {
        size_t end = n - first < step ? n : first + step, j = 0;
        for (; j + SIDE <= m; j += SIDE) {
            size_t i = first;
            for (; i + SIDE <= end; i += SIDE)
                tile_square(queries + j * query_stride, query_stride, rows + i * stride, stride, bytes,
                            out + j * out_stride + i, out_stride);
            for (size_t q = j; i < end && q < j + SIDE; q++)
                hamming_rows(queries + q * query_stride, rows + i * stride, end - i, bytes, stride,
                             out + q * out_stride + i);
        }
        for (; j < m; j++)
            hamming_rows(queries + j * query_stride, rows + first * stride, end - first, bytes, stride,
                         out + j * out_stride + first);
    }
}

#include "hypervectors/bundle_body.h"

const struct gn_hypervectors_ops SIMD_NAME(gn_hypervectors) = HV_TABLE;
#include "simd/end.h"
#endif
