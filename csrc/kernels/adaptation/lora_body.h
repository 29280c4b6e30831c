/* The adapter's two products for a few rows of x: every vector of down and up that is loaded serves SIDE rows. */
enum { LORA_SIDE = 4 };

#ifndef LORA_SUMS
/* The sums of `rows` times two accumulators. */
SIMD void lora_sums(const vf *sums, size_t rows, float *even, float *odd)
{
    for (size_t r = 0; r < rows; r++) {
        even[r] = vf_sum(sums[2 * r]);
        odd[r] = vf_sum(sums[2 * r + 1]);
    }
}
#endif

SIMD void lora_down_step(const struct gn_lora_job *job, const float *x, size_t rows, const float *a, const float *b,
                         size_t i, size_t k, vf *sums)
{
    vf va = vf_load_n(a + i, k), vb = b ? vf_load_n(b + i, k) : vf_zero();
    for (size_t r = 0; r < rows; r++) {
        vf in = vf_load_n(x + r * job->d_in + i, k);
        sums[2 * r] = vf_fma(in, va, sums[2 * r]);
        sums[2 * r + 1] = vf_fma(in, vb, sums[2 * r + 1]);
    }
}

/* hidden[rank][LORA_SIDE] = scale * down x, two ranks at a time. */
SIMD void lora_down(const struct gn_lora_job *job, const float *x, size_t rows, float (*hidden)[LORA_SIDE])
{
    for (size_t q = 0; q < job->rank; q += 2) {
        const float *a = job->down + q * job->d_in, *b = q + 1 < job->rank ? a + job->d_in : NULL;
        float other[LORA_SIDE];
        vf sums[2 * LORA_SIDE];
        size_t i = 0;
        for (size_t r = 0; r < 2 * rows; r++)
            sums[r] = vf_zero();
        for (; i + VL <= job->d_in; i += VL)
            lora_down_step(job, x, rows, a, b, i, VL, sums);
        if (i < job->d_in)
            lora_down_step(job, x, rows, a, b, i, job->d_in - i, sums);
        lora_sums(sums, rows, hidden[q], b ? hidden[q + 1] : other);
        for (size_t r = 0; r < rows; r++) {
            hidden[q][r] *= job->scale;
            if (b)
                hidden[q + 1][r] *= job->scale;
        }
    }
}

SIMD void lora_up_step(const struct gn_lora_job *job, const float *base, float *out, size_t rows, size_t i, size_t k,
                       const float (*hidden)[LORA_SIDE])
{
    vf y[LORA_SIDE];
    for (size_t r = 0; r < rows; r++)
        y[r] = vf_load_n(base + r * job->d_out + i, k);
    for (size_t q = 0; q < job->rank; q++) {
        vf u = vf_load_n(job->up + q * job->d_out + i, k);
        for (size_t r = 0; r < rows; r++)
            y[r] = vf_fma(vf_set1(hidden[q][r]), u, y[r]);
    }
    for (size_t r = 0; r < rows; r++)
        vf_store_n(out + r * job->d_out + i, y[r], k);
}

SIMD void lora_rows(const struct gn_lora_job *job, size_t first, size_t rows)
{
    float hidden[GN_LORA_RANK_MAX][LORA_SIDE];
    const float *x = job->x + first * job->d_in, *base = job->base + first * job->d_out;
    float *out = job->out + first * job->d_out;
    size_t i = 0;
    lora_down(job, x, rows, hidden);
    for (; i + VL <= job->d_out; i += VL)
        lora_up_step(job, base, out, rows, i, VL, (const float(*)[LORA_SIDE])hidden);
    if (i < job->d_out)
        lora_up_step(job, base, out, rows, i, job->d_out - i, (const float(*)[LORA_SIDE])hidden);
}

static void lora(const struct gn_lora_job *job, size_t first, size_t rows)
{
    size_t end = first + rows;
    for (; first + LORA_SIDE <= end; first += LORA_SIDE)
        lora_rows(job, first, LORA_SIDE);
    for (; first < end; first++)
        lora_rows(job, first, 1);
}

#define ADAPTATION_TABLE                                                                                       \
    {.dot = dot, .dots = dots, .add = add, .fade = fade, .eprop_in = eprop_in, .eprop_out = eprop_out,        \
     .eprop_apply = eprop_apply, .lora = lora, .fisher = fisher_mix, .penalty = penalty, .ewc_step = ewc_step}
