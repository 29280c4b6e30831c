/* Attention on bfloat16 by VDPBF16PS (AVX512_BF16): Zen 4, Cooper Lake and later.
 *
 * A strip is 6 rows by 4 registers of 16 keys or columns: 24 sums, 4 operands, 1 broadcast pair. On Zen 4 one
 * instruction a cycle starts, which is twice the multiply-adds of float: three products in place of one float
 * multiplication cannot win there, so f32x3 is not taken on this level.
 */
#include "attention/halves_ops.h"

#if defined(__x86_64__)
#define SIMD_GENOA 1
#define SIMD_NAME(stem) stem##_genoa
#include "simd/skylake.h"

enum { STRIP = 6, STRIPS = 16, SPAN = 256 };

#include "attention/halves_pack.h"

#include "attention/halves_body.h"

SIMD __m512bh genoa_pair(const uint16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* sums[r][v] += a[r] . b[v], over `pairs` pairs; b's registers lie `apart` elements from each other, rows of them
 * `step`. */
SIMD void genoa_multiply(vf sums[6][4], const uint16_t *a, size_t a_row, const uint16_t *b, size_t apart, size_t step,
                         size_t pairs, int n)
{
    for (size_t i = 0; i < pairs; i++) {
        __m512bh operand[4];
SIMD_UNROLL
        for (int v = 0; v < n; v++)
            operand[v] = (__m512bh)_mm512_loadu_si512(b + (size_t)v * apart + i * step);
SIMD_UNROLL
        for (int r = 0; r < 6; r++) {
            __m512bh pair = genoa_pair(a + (size_t)r * a_row + 2 * i);
SIMD_UNROLL
            for (int v = 0; v < n; v++)
                sums[r][v] = _mm512_dpbf16_ps(sums[r][v], operand[v], pair);
        }
    }
}

SIMD void genoa_scores(const struct halves_strip *strip, const uint16_t *k, float *s, int n)
{
    size_t dims = strip->job->dim_padded;
    vf sums[6][4];
SIMD_UNROLL
    for (int r = 0; r < 6; r++)
SIMD_UNROLL
        for (int v = 0; v < n; v++)
            sums[r][v] = vf_zero();
    genoa_multiply(sums, strip->q, dims, k, 16 * dims, 32, dims / 2, n);
SIMD_UNROLL
    for (int r = 0; r < 6; r++)
SIMD_UNROLL
        for (int v = 0; v < n; v++)
            vf_store(s + r * SPAN + 16 * v, sums[r][v]);
}

static void halves_scores(const struct halves_strip *strip, size_t first, size_t padded, int planes)
{
    const struct gn_halves_job *job = strip->job;
    const uint16_t *k = job->packed_k + (strip->kv * job->keys_padded + first) * job->dim_padded;
    size_t j = 0;
    (void)planes;
    for (; j + 64 <= padded; j += 64)
        genoa_scores(strip, k + j * job->dim_padded, strip->s + j, 4);
    if (j < padded)
        genoa_scores(strip, k + j * job->dim_padded, strip->s + j, 2);
}

SIMD void genoa_values(const struct halves_strip *strip, const uint16_t *v, size_t keys, float *o, int n)
{
    size_t dims = strip->job->value_padded;
    vf sums[6][4];
SIMD_UNROLL
    for (int r = 0; r < 6; r++)
SIMD_UNROLL
        for (int i = 0; i < n; i++)
            sums[r][i] = vf_mul(vf_load(o + (size_t)r * dims + 16 * i), vf_set1(strip->fall[r]));
    genoa_multiply(sums, strip->p, SPAN, v, 32, 2 * dims, keys / 2, n);
SIMD_UNROLL
    for (int r = 0; r < 6; r++)
SIMD_UNROLL
        for (int i = 0; i < n; i++)
            vf_store(o + (size_t)r * dims + 16 * i, sums[r][i]);
}

static void halves_values(const struct halves_strip *strip, size_t first, size_t padded, int planes)
{
    const struct gn_halves_job *job = strip->job;
    const uint16_t *v = job->packed_v + (strip->kv * job->keys_padded + first) * job->value_padded;
    size_t c = 0;
    (void)planes;
    for (; c + 64 <= job->value_padded; c += 64)
        genoa_values(strip, v + 2 * c, padded, strip->o + c, 4);
    if (c < job->value_padded)
        genoa_values(strip, v + 2 * c, padded, strip->o + c, 2);
}

static void block(const struct gn_halves_job *job, size_t head, size_t first, size_t rows, char *work)
{
    halves_block_planes(job, head, first, rows, work, 1);
}

const struct gn_halves_ops SIMD_NAME(gn_halves) = {STRIP * STRIPS, halves_work_bytes, halves_pack, block};
#include "simd/end.h"
#endif
