/* Packing for bfloat16 units, 512 bits: included by a level's file after simd/skylake.h. Layouts: halves_ops.h. */

/* The bfloat16 nearest to each float and what is left of it, 32 floats in order. A finite float never becomes an
 * infinity, and an infinity has no rest. */
SIMD __m512i halves_high(vf low16, vf high16)
{
    const vf most = vf_bits(vi_set1(0x7f7f0000)), inf = vf_set1(INFINITY);
    vm a = vm_and(vf_lt(most, vf_abs(low16)), vf_lt(vf_abs(low16), inf));
    vm b = vm_and(vf_lt(most, vf_abs(high16)), vf_lt(vf_abs(high16), inf));
    if (vm_any(vm_or(a, b))) { /* these are cut, not rounded */
        const vi top = vi_set1((int)0xffff0000u);
        low16 = vf_pick(a, vf_bits(vi_and(vi_bits(low16), top)), low16);
        high16 = vf_pick(b, vf_bits(vi_and(vi_bits(high16), top)), high16);
    }
    return (__m512i)_mm512_cvtne2ps_pbh(high16, low16);
}

SIMD vf halves_rest(vf x, __m256i high)
{
    vf h = vf_from_bf16(high);
    return _mm512_maskz_sub_ps(vm_not(vf_eq(x, h)), x, h);
}

SIMD void halves_split(vf low16, vf high16, __m512i *high, __m512i *low)
{
    *high = halves_high(low16, high16);
    *low = (__m512i)_mm512_cvtne2ps_pbh(halves_rest(high16, _mm512_extracti64x4_epi64(*high, 1)),
                                        halves_rest(low16, _mm512_castsi512_si256(*high)));
}

SIMD size_t halves_left(size_t n, size_t at) { return n <= at ? 0 : n - at < 16 ? n - at : 16; }

/* 32 elements of a row of n from `at` on, zeros behind: in plane 0, and with two planes the rest in plane 1. */
SIMD void halves_row(const void *row, size_t n, size_t at, int planes, __m512i *out)
{
    size_t a = halves_left(n, at), b = halves_left(n, at + 16);
    if (planes == 1) {
        __mmask32 there = (__mmask32)(vm_first(a) | (uint32_t)vm_first(b) << 16);
        out[0] = _mm512_maskz_loadu_epi16(there, (const uint16_t *)row + at);
    } else {
        const float *p = (const float *)row + at;
        halves_split(vf_load_n(p, a), b ? vf_load_n(p + 16, b) : vf_zero(), &out[0], &out[1]);
    }
}

/* Row `row` of head `head` (of batch * heads) of an array with these strides. */
SIMD const void *halves_at(const void *base, const size_t *strides, size_t heads, size_t head, size_t row, int planes)
{
    size_t offset = head / heads * strides[0] + head % heads * strides[1] + row * strides[2];
    return (const char *)base + offset * (planes == 1 ? sizeof(uint16_t) : sizeof(float));
}

/* 16 x 16 words of 32 bits, in place. */
SIMD void halves_transpose(__m512i *r)
{
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) { /* r[i + 4 g]: word i of each 4-word group of rows 4 g .. 4 g + 3 */
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

/* 16 keys from `first` on, of which `there` exist (the others are zeros). */
SIMD void halves_pack_keys(const struct gn_halves_job *job, size_t head, size_t first, size_t there, int planes)
{
    const struct gn_sdpa *is = job->is;
    size_t plane = job->keys_padded * job->dim_padded;
    uint16_t *to = job->packed_k + head * plane * (size_t)planes + first * job->dim_padded;
    const void *keys[16];
    for (size_t i = 0; i < there; i++)
        keys[i] = halves_at(job->k, is->k_strides, is->kv_heads, head, first + i, planes);
    for (size_t at = 0; at < job->dim_padded; at += 32) {
        __m512i rows[2][16], both[2];
        for (size_t i = 0; i < 16; i++) {
            both[0] = both[1] = _mm512_setzero_si512();
            if (i < there)
                halves_row(keys[i], is->dim, at, planes, both);
            rows[0][i] = both[0];
            rows[1][i] = both[1];
        }
        for (int p = 0; p < planes; p++) {
            halves_transpose(rows[p]);
            for (size_t i = 0; i < 16; i++)
                _mm512_storeu_si512(to + (size_t)p * plane + at * 16 + i * 32, rows[p][i]);
        }
    }
}

/* Two rows of V, whose elements lie by turns afterwards. Returns whether one is not finite. */
SIMD int halves_pack_pair(const struct gn_halves_job *job, size_t head, size_t first, size_t there, int planes)
{
    /* unpacking works in quarters of four words: these bring the quarters of lo and hi into order */
    const __m512i front = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i back = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    const __m512i top = _mm512_set1_epi16(0x7f80);
    const struct gn_sdpa *is = job->is;
    size_t plane = job->keys_padded * job->value_padded;
    uint16_t *to = job->packed_v + head * plane * (size_t)planes + first * job->value_padded;
    __mmask32 odd = 0;
    for (size_t at = 0; at < job->value_padded; at += 32) {
        __m512i rows[2][2] = {{_mm512_setzero_si512()}};
        for (size_t i = 0; i < 2 && i < there; i++) {
            const void *row = halves_at(job->v, is->v_strides, is->kv_heads, head, first + i, planes);
            halves_row(row, is->value_dim, at, planes, rows[i]);
            odd |= _mm512_cmpeq_epi16_mask(_mm512_and_si512(rows[i][0], top), top);
        }
        for (int p = 0; p < planes; p++) {
            __m512i lo = _mm512_unpacklo_epi16(rows[0][p], rows[1][p]);
            __m512i hi = _mm512_unpackhi_epi16(rows[0][p], rows[1][p]);
            uint16_t *pair = to + (size_t)p * plane + at * 2;
            _mm512_storeu_si512(pair, _mm512_permutex2var_epi64(lo, front, hi));
            _mm512_storeu_si512(pair + 32, _mm512_permutex2var_epi64(lo, back, hi));
        }
    }
    return odd != 0;
}

SIMD void halves_pack_planes(const struct gn_halves_job *job, size_t head, size_t first, int planes)
{
    size_t there = job->is->keys - first;
    int odd = 0;
    halves_pack_keys(job, head, first, there < 16 ? there : 16, planes);
    halves_pack_keys(job, head, first + 16, halves_left(job->is->keys, first + 16), planes);
    for (size_t pair = 0; pair < 32; pair += 2)
        odd |= halves_pack_pair(job, head, first + pair, there > pair ? there - pair : 0, planes);
    job->odd[(head * job->keys_padded + first) / GN_HALVES_PAD] = (uint8_t)odd;
}

static void halves_pack(const struct gn_halves_job *job, size_t head, size_t first)
{
    if (job->planes == 1)
        halves_pack_planes(job, head, first, 1);
    else
        halves_pack_planes(job, head, first, 2);
}
