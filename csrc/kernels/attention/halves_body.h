/* Attention on bfloat16 units: the loop over key blocks, the softmax and the end, 512 bits wide.
 *
 * Included by a level's file after halves_pack.h and after it has defined
 *
 *     STRIP    rows that one pass of the level's products holds    STRIPS   strips of a block of queries
 *     SPAN     keys of one pass, a multiple of 32
 *     halves_scores(strip, first, padded, planes)   strip->s[r][0..padded) = q[r] . k[first..first + padded)
 *     halves_values(strip, first, padded, planes)   strip->o[r] = fall[r] o[r] + p[r] . v[first..first + padded)
 *
 * A block's queries, weighted sums, maxima and sums stay in the worker's scratch while the key blocks pass by once.
 * Scores are kept in units of log2: weights are 2^(c s - top), c = scale / ln 2.
 */

struct halves_strip {
    const struct gn_halves_job *job;
    size_t head, kv, row, rows; /* head of batch * heads, its kv head, its first query, how many (<= STRIP) */
    size_t q_plane;             /* elements of one plane of q */
    const uint16_t *q;          /* [STRIP][dim_padded], the low plane q_plane behind */
    float *s;                   /* [STRIP][SPAN] */
    uint16_t *p;                /* [planes][STRIP][SPAN] */
    float *o;                   /* [STRIP][value_padded] */
    float *top, *fall, (*sum)[16];
};

static void halves_scores(const struct halves_strip *strip, size_t first, size_t padded, int planes);
static void halves_values(const struct halves_strip *strip, size_t first, size_t padded, int planes);

SIMD size_t halves_line(size_t bytes) { return (bytes + 63) / 64 * 64; }

static size_t halves_work_bytes(const struct gn_halves_job *job)
{
    size_t rows = STRIP * STRIPS, planes = (size_t)job->planes;
    return halves_line(planes * rows * job->dim_padded * sizeof(uint16_t)) + rows * job->value_padded * sizeof(float) +
           STRIP * SPAN * (sizeof(float) + planes * sizeof(uint16_t)) + 2 * halves_line(rows * sizeof(float)) +
           rows * 16 * sizeof(float);
}

/* 2^x for x <= 0 and a little above: x = floor(x) + r, a polynomial for 2^r on [0, 1), least maximum relative error
 * 7.5e-5 (degree 3; rounding the weight to bfloat16 adds up to 4e-3) or 7.5e-8 (degree 5). */
SIMD vf halves_exp2(vf x, int planes)
{
    vf r = _mm512_reduce_ps(x, 1), p;
    if (planes == 1) {
        p = vf_fma(vf_set1(0.0780245215f), r, vf_set1(0.226067156f));
        p = vf_fma(p, r, vf_set1(0.695833564f));
        p = vf_fma(p, r, vf_set1(0.999925196f));
    } else {
        p = vf_fma(vf_set1(0.00187757669f), r, vf_set1(0.00898933969f));
        p = vf_fma(p, r, vf_set1(0.0558263175f));
        p = vf_fma(p, r, vf_set1(0.240153611f));
        p = vf_fma(p, r, vf_set1(0.693153083f));
        p = vf_fma(p, r, vf_set1(0.99999994f));
    }
    return _mm512_scalef_ps(p, x);
}

/* How many keys query `row` sees when all after its position are hidden. */
SIMD size_t halves_limit(const struct gn_sdpa *is, size_t row)
{
    size_t seen = row + 1 + is->keys;
    if (!is->causal)
        return is->keys;
    return seen <= is->queries ? 0 : seen - is->queries < is->keys ? seen - is->queries : is->keys;
}

/* Scores in log2 units with bias and mask, for when a plain factor is not enough. */
static void halves_adjust(const struct halves_strip *strip, size_t first, size_t width, float c)
{
    const struct gn_halves_job *job = strip->job;
    const struct gn_sdpa *is = job->is;
    size_t b = strip->head / is->heads, h = strip->head % is->heads;
    for (size_t r = 0; r < strip->rows; r++) {
        size_t row = strip->row + r;
        const float *bias = job->bias ? job->bias + b * is->bias_strides[0] + h * is->bias_strides[1] +
                                            row * is->bias_strides[2] + first : NULL;
        const uint8_t *mask = job->mask ? job->mask + b * is->mask_strides[0] + h * is->mask_strides[1] +
                                              row * is->mask_strides[2] + first : NULL;
        for (size_t j = 0; j < width; j += 16) {
            size_t n = halves_left(width, j);
            float *to = strip->s + r * SPAN + j;
            vf s = vf_mul(vf_load(to), vf_set1(c));
            if (bias)
                s = vf_fma(vf_load_n(bias + j, n), vf_set1(1.44269504f), s);
            if (mask) {
                __m128i seen = _mm_maskz_loadu_epi8(vm_first(n), mask + j);
                s = vf_pick(_mm_test_epi8_mask(seen, seen), s, vf_set1(-INFINITY));
            }
            vf_store(to, s);
        }
    }
}

/* Hides the keys of a row from `width` on. */
SIMD void halves_hide(float *s, size_t width, size_t padded)
{
    for (size_t j = width / 16 * 16; j < padded; j += 16)
        _mm512_mask_storeu_ps(s + j, vm_not(vm_first(halves_left(width, j))), vf_set1(-INFINITY));
}

/* A row's weights from its scores, its new maximum, and by what factor older sums fall. */
SIMD void halves_row_weights(const struct halves_strip *strip, size_t r, size_t padded, float c, int planes)
{
    const float *s = strip->s + r * SPAN;
    uint16_t *p = strip->p + r * SPAN;
    vf most = vf_load(s), other = vf_load(s + 16), times = vf_set1(c), base, sum, sum2 = vf_zero();
    for (size_t j = 32; j < padded; j += 32) {
        most = vf_max(vf_load(s + j), most);
        other = vf_max(vf_load(s + j + 16), other);
    }
    /* With a NaN among the scores any maximum will do: its weight is NaN, and so is the row. */
    float old = strip->top[r], top = vf_hmax(vf_max(most, other)) * c;
    top = top > old ? top : old;
    strip->top[r] = top;
    base = vf_set1(top == -INFINITY ? 0.0f : top);
    /* exactly 1 while the maximum stands: a row that sees none of these keys stays as it is */
    strip->fall[r] = top == old ? 1.0f : _mm512_cvtss_f32(halves_exp2(vf_sub(vf_set1(old), base), 2));
    sum = vf_mul(vf_set1(strip->fall[r]), vf_load(strip->sum[r]));
    for (size_t j = 0; j < padded; j += 32) {
        vf a = halves_exp2(_mm512_fmsub_ps(vf_load(s + j), times, base), planes);
        vf b = halves_exp2(_mm512_fmsub_ps(vf_load(s + j + 16), times, base), planes);
        sum = vf_add(sum, a);
        sum2 = vf_add(sum2, b);
        if (planes == 1) {
            _mm512_storeu_si512(p + j, (__m512i)_mm512_cvtne2ps_pbh(b, a));
        } else {
            __m512i high, low;
            halves_split(a, b, &high, &low);
            _mm512_storeu_si512(p + j, high);
            _mm512_storeu_si512(p + j + STRIP * SPAN, low);
        }
    }
    vf_store(strip->sum[r], vf_add(sum, sum2));
}

/* The weighted sum where a value is infinite or NaN: a weight of zero must keep it out. */
static void halves_values_odd(const struct halves_strip *strip, size_t first, size_t width)
{
    const struct gn_halves_job *job = strip->job;
    const struct gn_sdpa *is = job->is;
    for (size_t r = 0; r < strip->rows; r++) {
        float *o = strip->o + r * job->value_padded;
        for (size_t c = 0; c < is->value_dim; c++)
            o[c] *= strip->fall[r];
        for (size_t j = 0; j < width; j++) {
            float weight = gn_bf16_to_f32(strip->p[r * SPAN + j]);
            const void *v = halves_at(job->v, is->v_strides, is->kv_heads, strip->kv, first + j, job->planes);
            if (job->planes == 2)
                weight += gn_bf16_to_f32(strip->p[(STRIP + r) * SPAN + j]);
            for (size_t c = 0; c < is->value_dim && weight != 0.0f; c++)
                o[c] += weight * (job->planes == 2 ? ((const float *)v)[c] : gn_bf16_to_f32(((const uint16_t *)v)[c]));
        }
    }
}

/* Of the whole span, seen or not: what a row becomes may not depend on the rows beside it. */
SIMD int halves_is_odd(const struct halves_strip *strip, size_t first)
{
    size_t keys = strip->job->keys_padded, end = keys - first < SPAN ? keys : first + SPAN;
    const uint8_t *odd = strip->job->odd + strip->kv * (keys / GN_HALVES_PAD);
    int any = 0;
    for (size_t i = first / GN_HALVES_PAD; i < end / GN_HALVES_PAD; i++)
        any |= odd[i];
    return any;
}

/* One strip meets the keys [first, first + width). */
SIMD void halves_meet(const struct halves_strip *strip, size_t first, size_t width, int planes)
{
    const struct gn_halves_job *job = strip->job;
    size_t padded = (width + GN_HALVES_PAD - 1) / GN_HALVES_PAD * GN_HALVES_PAD;
    float c = (float)(job->is->scale * 1.4426950408889634);
    halves_scores(strip, first, padded, planes);
    if (job->bias || job->mask || !(c > 0)) {
        halves_adjust(strip, first, width, c);
        c = 1;
    }
    for (size_t r = 0; r < strip->rows; r++) {
        size_t limit = halves_limit(job->is, strip->row + r), seen = limit <= first ? 0 : limit - first;
        if (seen < padded)
            halves_hide(strip->s + r * SPAN, seen < width ? seen : width, padded);
        halves_row_weights(strip, r, padded, c, planes);
    }
    if (halves_is_odd(strip, first))
        halves_values_odd(strip, first, width);
    else
        halves_values(strip, first, padded, planes);
}

SIMD void halves_begin(const struct halves_strip *whole, uint16_t *q, size_t rows, int planes)
{
    const struct gn_sdpa *is = whole->job->is;
    size_t dims = whole->job->dim_padded;
    for (size_t r = 0; r < STRIP * STRIPS; r++) {
        if (r >= (rows + STRIP - 1) / STRIP * STRIP)
            break;
        const void *row =
            halves_at(whole->job->q, is->q_strides, is->heads, whole->head, whole->row + (r < rows ? r : 0), planes);
        for (size_t at = 0; at < dims; at += 32) {
            __m512i both[2];
            halves_row(row, is->dim, at, planes, both);
            for (int p = 0; p < planes; p++)
                _mm512_storeu_si512(q + (size_t)p * whole->q_plane + r * dims + at,
                                    r < rows ? both[p] : _mm512_setzero_si512());
        }
        memset(whole->o + r * whole->job->value_padded, 0, whole->job->value_padded * sizeof(float));
        memset(whole->sum[r], 0, sizeof whole->sum[r]);
        whole->top[r] = -INFINITY;
        whole->fall[r] = 0;
    }
}

SIMD void halves_end(const struct halves_strip *whole, size_t rows, int planes)
{
    const struct gn_halves_job *job = whole->job;
    const struct gn_sdpa *is = job->is;
    for (size_t r = 0; r < rows; r++) {
        void *out =
            (void *)(uintptr_t)halves_at(job->out, is->out_strides, is->heads, whole->head, whole->row + r, planes);
        float sum = vf_sum(vf_load(whole->sum[r]));
        for (size_t at = 0; at < is->value_dim; at += 16) {
            size_t n = halves_left(is->value_dim, at);
            vf o = vf_mul(vf_load(whole->o + r * job->value_padded + at), vf_set1(1.0f / sum));
            if (sum == 0.0f)
                o = vf_zero();
            if (planes == 1)
                vf_store_bf16_n((uint16_t *)out + at, o, n);
            else
                vf_store_n((float *)out + at, o, n);
        }
    }
}

/* Where the parts of a worker's scratch lie. */
static struct halves_strip halves_lay(const struct gn_halves_job *job, size_t head, size_t first, char *work)
{
    const struct gn_sdpa *is = job->is;
    size_t rows = STRIP * STRIPS, planes = (size_t)job->planes, group = is->heads / is->kv_heads;
    struct halves_strip it = {.job = job, .head = head, .row = first, .q_plane = rows * job->dim_padded};
    it.kv = head / is->heads * is->kv_heads + head % is->heads / group;
    it.sum = (float(*)[16])work;
    work += rows * 16 * sizeof(float);
    it.s = (float *)work;
    work += STRIP * SPAN * sizeof(float);
    it.p = (uint16_t *)work;
    work += planes * STRIP * SPAN * sizeof(uint16_t);
    it.o = (float *)work;
    work += rows * job->value_padded * sizeof(float);
    it.q = (uint16_t *)work;
    work += halves_line(planes * rows * job->dim_padded * sizeof(uint16_t));
    it.top = (float *)work;
    it.fall = (float *)(work + halves_line(rows * sizeof(float)));
    return it;
}

SIMD void halves_block_planes(const struct gn_halves_job *job, size_t head, size_t first, size_t rows, char *work,
                              int planes)
{
    struct halves_strip whole = halves_lay(job, head, first, work);
    size_t limit = halves_limit(job->is, first + rows - 1);
    halves_begin(&whole, (uint16_t *)(uintptr_t)whole.q, rows, planes);
    for (size_t key = 0; key < limit; key += SPAN) {
        for (size_t r = 0; r < rows; r += STRIP) {
            struct halves_strip strip = whole;
            strip.row += r;
            strip.rows = rows - r < STRIP ? rows - r : STRIP;
            size_t seen = halves_limit(job->is, strip.row + strip.rows - 1);
            strip.q += r * job->dim_padded;
            strip.o += r * job->value_padded;
            strip.top += r;
            strip.fall += r;
            strip.sum += r;
            if (seen > key)
                halves_meet(&strip, key, seen - key < SPAN ? seen - key : SPAN, planes);
        }
    }
    halves_end(&whole, rows, planes);
}
