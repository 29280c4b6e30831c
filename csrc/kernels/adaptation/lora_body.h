/* The adapter's two products for a few rows of x: every vector of down and up that is loaded serves LORA_SIDE rows.
 *
 * A level with 32 registers defines before: LORA_SIDE 8, and LORA_SUMS beside its own lora_sums. */
#ifndef LORA_SIDE
#define LORA_SIDE 4
#endif
enum { LORA_RANK_KNOWN = 4 };

/* A whole vector where k is the constant VL. */
SIMD vf lora_load(const float *p, size_t k) { return __builtin_constant_p(k == VL) && k == VL ? vf_load(p) : vf_load_n(p, k); }

/* Lanes to take first so that the others begin on cache lines: where a vector is a whole line, one that begins
 * elsewhere touches two. Rows must lie alike. */
SIMD size_t lora_head(const float *p, size_t d)
{
    return VL < 16 || d % VL || d < 2 * VL ? 0 : (size_t)(-(uintptr_t)p / sizeof *p) % VL;
}

#ifndef LORA_SUMS
/* The sums of `rows` times two accumulators, scaled. */
SIMD void lora_sums(const vf *sums, size_t rows, float scale, float *even, float *odd)
{
    for (size_t r = 0; r < rows; r++) {
        even[r] = vf_sum(sums[2 * r]) * scale;
        odd[r] = vf_sum(sums[2 * r + 1]) * scale;
    }
}
#endif

SIMD void lora_down_step(const struct gn_lora_job *job, const float *x, size_t rows, const float *a, const float *b,
                         size_t i, size_t k, vf *sums)
{
    vf va = lora_load(a + i, k), vb = b ? lora_load(b + i, k) : vf_zero();
    for (size_t r = 0; r < rows; r++) {
        vf in = lora_load(x + r * job->d_in + i, k);
        sums[2 * r] = vf_fma(in, va, sums[2 * r]);
        sums[2 * r + 1] = vf_fma(in, vb, sums[2 * r + 1]);
    }
}

/* hidden[rank][LORA_SIDE] = scale * down x, two ranks at a time. */
SIMD void lora_down(const struct gn_lora_job *job, size_t rank, const float *x, size_t rows, float (*hidden)[LORA_SIDE])
{
    for (size_t q = 0; q < rank; q += 2) {
        const float *a = job->down + q * job->d_in, *b = q + 1 < rank ? a + job->d_in : NULL;
        float other[LORA_SIDE];
        vf sums[2 * LORA_SIDE];
        size_t i = lora_head(x, job->d_in);
        for (size_t r = 0; r < 2 * rows; r++)
            sums[r] = vf_zero();
        if (i)
            lora_down_step(job, x, rows, a, b, 0, i, sums);
        for (; i + VL <= job->d_in; i += VL)
            lora_down_step(job, x, rows, a, b, i, VL, sums);
        if (i < job->d_in)
            lora_down_step(job, x, rows, a, b, i, job->d_in - i, sums);
        lora_sums(sums, rows, job->scale, hidden[q], b ? hidden[q + 1] : other);
    }
}

SIMD void lora_up_step(const struct gn_lora_job *job, size_t rank, const float *base, float *out, size_t rows, size_t i, size_t k,
                       const float (*hidden)[LORA_SIDE])
{
    vf y[LORA_SIDE];
    for (size_t r = 0; r < rows; r++)
        y[r] = lora_load(base + r * job->d_out + i, k);
    for (size_t q = 0; q < rank; q++) {
        vf u = lora_load(job->up + q * job->d_out + i, k);
        for (size_t r = 0; r < rows; r++)
            y[r] = vf_fma(vf_set1(hidden[q][r]), u, y[r]);
    }
    for (size_t r = 0; r < rows; r++)
        if (__builtin_constant_p(k == VL) && k == VL)
            vf_store(out + r * job->d_out + i, y[r]);
        else
            vf_store_n(out + r * job->d_out + i, y[r], k);
}

SIMD void lora_rows(const struct gn_lora_job *job, size_t rank, size_t first, size_t rows, float (*hidden)[LORA_SIDE])
{
    const float *x = job->x + first * job->d_in, *base = job->base + first * job->d_out;
    const float(*h)[LORA_SIDE] = (const float(*)[LORA_SIDE])hidden;
    float *out = job->out + first * job->d_out;
    size_t i = lora_head(base, job->d_out) ? lora_head(out, job->d_out) : 0; /* base on lines already: it stays so */
    lora_down(job, rank, x, rows, hidden);
    if (i)
        lora_up_step(job, rank, base, out, rows, 0, i, h);
    for (; i + VL <= job->d_out; i += VL)
        lora_up_step(job, rank, base, out, rows, i, VL, h);
    if (i < job->d_out)
        lora_up_step(job, rank, base, out, rows, i, job->d_out - i, h);
}

/* With a rank the compiler knows, the hidden numbers stay in registers. */
SIMD void lora_of_rank(const struct gn_lora_job *job, size_t rank, size_t first, size_t end, float (*hidden)[LORA_SIDE])
{
    const size_t side = rank == 1 ? 4 : LORA_SIDE; /* of one rank, eight rows' sums are half unused */
    for (; first + side <= end; first += side)
        lora_rows(job, rank, first, side, hidden);
    for (; side > 4 && first + 4 <= end; first += 4)
        lora_rows(job, rank, first, 4, hidden);
    for (; first < end; first++)
        lora_rows(job, rank, first, 1, hidden);
}

static void lora(const struct gn_lora_job *job, size_t first, size_t rows)
{
    float known[LORA_RANK_KNOWN][LORA_SIDE], hidden[GN_LORA_RANK_MAX][LORA_SIDE];
    size_t end = first + rows;
    if (job->rank == 1)
        lora_of_rank(job, 1, first, end, known);
    else if (job->rank == 2)
        lora_of_rank(job, 2, first, end, known);
    else if (job->rank == 4)
        lora_of_rank(job, 4, first, end, known);
    else
        lora_of_rank(job, job->rank, first, end, hidden);
}

#define ADAPTATION_TABLE                                                                                       \
    {.dot = dot, .dots = dots, .add = add, .fade = fade, .eprop_in = eprop_in, .eprop_out = eprop_out,        \
     .eprop_apply = eprop_apply, .lora = lora, .fisher = fisher_mix, .penalty = penalty, .ewc_step = ewc_step}
