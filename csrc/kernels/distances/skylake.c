/* Distances on AVX-512: int8 dot by VPDPBUSD on offset keys, its other metrics by VPDPWSSD on 16-bit lanes. */
#include "base/isa.h"
#ifdef GN_X86
#include "distances/bits.h"
#include "distances/ops.h"
#include "simd/skylake.h"

enum { VD = 8, VH = 32, KEYS_COSINE = 8 };
typedef __m512d vd;
typedef __m512i vh, vs;

/* The sums of eight vectors at once: halves are added crosswise until a lane holds one vector's sum. */
SIMD __m256 fold_eight(const vf *s)
{
    vf a[4], b[2], c;
    for (int i = 0; i < 4; i++)
        a[i] = _mm512_add_ps(_mm512_unpacklo_ps(s[2 * i], s[2 * i + 1]), _mm512_unpackhi_ps(s[2 * i], s[2 * i + 1]));
    for (int i = 0; i < 2; i++)
        b[i] = _mm512_add_ps(_mm512_shuffle_ps(a[2 * i], a[2 * i + 1], 0x44), _mm512_shuffle_ps(a[2 * i], a[2 * i + 1], 0xee));
    c = _mm512_add_ps(_mm512_shuffle_f32x4(b[0], b[1], 0x88), _mm512_shuffle_f32x4(b[0], b[1], 0xdd));
    return _mm256_add_ps(_mm512_castps512_ps256(_mm512_shuffle_f32x4(c, c, 0x08)),
                         _mm512_castps512_ps256(_mm512_shuffle_f32x4(c, c, 0x0d)));
}
SIMD void fold(const vf *sums, int n, float *out)
{
    if (n == 8)
        _mm256_storeu_ps(out, fold_eight(sums));
    else
        for (int j = 0; j < n; j++) { /* in the same order: a key's sum does not depend on its place */
            vf one[8] = {sums[j], sums[j], sums[j], sums[j], sums[j], sums[j], sums[j], sums[j]};
            out[j] = _mm256_cvtss_f32(fold_eight(one));
        }
}
SIMD vd vd_zero(void) { return _mm512_setzero_pd(); }
SIMD vd vd_load(const float *p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
SIMD vd vd_load_n(const float *p, size_t n) { return _mm512_cvtps_pd(_mm256_maskz_loadu_ps((__mmask8)vm_first(n), p)); }
SIMD vd vd_sub(vd a, vd b) { return _mm512_sub_pd(a, b); }
SIMD vd vd_fma(vd a, vd b, vd c) { return _mm512_fmadd_pd(a, b, c); }
SIMD double vd_sum(vd a) { return _mm512_reduce_add_pd(a); }
SIMD vh vh_load(const int8_t *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)p)); }
SIMD vh vh_load_n(const int8_t *p, size_t n) { return _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(_bzhi_u32(~0u, (unsigned)n), p)); }
SIMD vh vh_sub(vh a, vh b) { return _mm512_sub_epi16(a, b); }
SIMD vs vs_zero(void) { return _mm512_setzero_si512(); }
SIMD vs vs_add(vs sum, vh a, vh b) { return _mm512_dpwssd_epi32(sum, a, b); }
SIMD uint32_t vs_sum(vs a) /* wraps, which _mm512_reduce_add_epi32 does not promise */
{
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    __m128i rest = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    rest = _mm_add_epi32(rest, _mm_shuffle_epi32(rest, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_add_epi32(rest, _mm_shuffle_epi32(rest, 0xb1)));
}

#include "distances/floats_body.h"

#include "distances/doubles_body.h"

/* The instruction wants unsigned by signed: keys are taken as k + 128, and 128 times the query's sum comes off again. */
SIMD vs load64(const int8_t *p, size_t n)
{
    return n < 64 ? _mm512_maskz_loadu_epi8(_bzhi_u64(~0ull, (unsigned)n), p) : _mm512_loadu_si512(p);
}

/* The sums of eight vectors at once, as fold_eight. */
SIMD __m256i fold_ints(const vs *s)
{
    vs a[4], b[2], c;
    for (int i = 0; i < 4; i++)
        a[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(s[2 * i], s[2 * i + 1]), _mm512_unpackhi_epi32(s[2 * i], s[2 * i + 1]));
    for (int i = 0; i < 2; i++)
        b[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(a[2 * i], a[2 * i + 1]), _mm512_unpackhi_epi64(a[2 * i], a[2 * i + 1]));
    c = _mm512_add_epi32(_mm512_shuffle_i64x2(b[0], b[1], 0x88), _mm512_shuffle_i64x2(b[0], b[1], 0xdd));
    return _mm256_add_epi32(_mm512_castsi512_si256(_mm512_shuffle_i64x2(c, c, 0x08)),
                            _mm512_castsi512_si256(_mm512_shuffle_i64x2(c, c, 0x0d)));
}

SIMD vs offset_dot(const int8_t *query, const int8_t *row, size_t dim)
{
    const vs top = _mm512_set1_epi8(-128);
    vs sum = vs_zero();
    size_t p = 0;
    for (; p + 64 <= dim; p += 64)
        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(_mm512_loadu_si512(row + p), top), _mm512_loadu_si512(query + p));
    if (p < dim)
        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(load64(row + p, dim - p), top), load64(query + p, dim - p));
    return sum;
}

/* Rows in turn: they are short, the processor overlaps them, and memory is read in one stream. */
static void i8_dot(const void *query, const void *keys, size_t n, size_t dim, int far, float scale, float *out)
{
    const int8_t *q = query, *rows = keys;
    uint32_t total = 0;
    size_t j = 0;
    (void)far;
    (void)scale;
    for (size_t p = 0; p < dim; p += 64)
        total += vs_sum(_mm512_dpbusd_epi32(vs_zero(), _mm512_set1_epi8(1), load64(q + p, dim - p)));
    for (; j + 8 <= n; j += 8) {
        vs sum[8];
        EACH(i, 8)
            sum[i] = offset_dot(q, rows + (j + (size_t)i) * dim, dim);
        _mm256_storeu_ps(out + j, _mm256_cvtepi32_ps(_mm256_sub_epi32(fold_ints(sum), _mm256_set1_epi32((int)(total * 128u)))));
    }
    for (; j < n; j++)
        out[j] = (float)(int32_t)(vs_sum(offset_dot(q, rows + j * dim, dim)) - total * 128u);
}
/* `rows` queries by eight keys; a count of a lane is that of one key. */
SIMD void bit_block(const int rows, const uint64_t *queries, const uint64_t *keys, size_t groups, float *out,
                    size_t stride, size_t n)
{
    enum { CARRY = 0xd4, SUM = 0x96, MAJORITY = 0xe8 }; /* of three inputs; CARRY is bits.h's f */
    vs one[4], two[4], four[4];
    size_t words = groups * GN_BITS_WORDS;
    EACH(r, rows)
        one[r] = two[r] = four[r] = vs_zero();
    for (size_t w = 0; w < words; w += GN_BITS_WORDS, keys += GN_BITS_WORDS * GN_BITS_KEYS) {
        vs k[GN_BITS_WORDS];
        EACH(i, GN_BITS_WORDS)
            k[i] = _mm512_loadu_si512(keys + i * GN_BITS_KEYS);
        EACH(r, rows)
        {
            const uint64_t *q = queries + (size_t)r * words + w;
            vs x[GN_BITS_WORDS], a, b, c;
            EACH(i, GN_BITS_WORDS)
                x[i] = _mm512_xor_si512(k[i], _mm512_set1_epi64((long long)q[i]));
            a = _mm512_ternarylogic_epi64(x[0], x[1], x[2], CARRY);
            b = _mm512_ternarylogic_epi64(x[2], x[3], x[4], CARRY);
            c = _mm512_ternarylogic_epi64(x[4], x[5], x[6], CARRY);
            one[r] = _mm512_add_epi64(one[r], _mm512_popcnt_epi64(x[6]));
            two[r] = _mm512_add_epi64(two[r], _mm512_popcnt_epi64(_mm512_ternarylogic_epi64(a, b, c, SUM)));
            four[r] = _mm512_add_epi64(four[r], _mm512_popcnt_epi64(_mm512_ternarylogic_epi64(a, b, c, MAJORITY)));
        }
    }
    EACH(r, rows)
    {
        vs all = _mm512_add_epi64(one[r], _mm512_slli_epi64(_mm512_add_epi64(two[r], _mm512_slli_epi64(four[r], 1)), 1));
        _mm256_mask_storeu_ps(out + (size_t)r * stride, (__mmask8)vm_first(n),
                              _mm256_cvtepi32_ps(_mm512_cvtepi64_epi32(all)));
    }
}

static void bit_tile(const uint64_t *queries, size_t m, const uint64_t *keys, size_t n, size_t groups, float *out,
                     size_t stride)
{
    size_t words = groups * GN_BITS_WORDS;
    for (size_t j = 0; j < n; j += GN_BITS_KEYS) {
        size_t i = 0, here = n - j < GN_BITS_KEYS ? n - j : GN_BITS_KEYS;
        for (; i + 4 <= m; i += 4)
            bit_block(4, queries + i * words, keys + j * words, groups, out + i * stride + j, stride, here);
        for (; i < m; i++)
            bit_block(1, queries + i * words, keys + j * words, groups, out + i * stride + j, stride, here);
    }
}
#define BIT_TILE bit_tile
#define OWN_I8_DOT 1
#include "distances/bytes_body.h"

const struct gn_distances_ops SIMD_NAME(gn_distances) = DISTANCES_TABLE;
#include "simd/end.h"
#endif
