/* Votes of packed vectors, bit by bit. A level defines before: lanes(bits), a mask of the lowest VL bits. */
enum { TILE_WORDS = ACCS * VL / 64 }; /* words whose sums fit the registers; 0 when not even one's do */

SIMD void vote_tile(const uint64_t *rows, size_t n, size_t stride, const float *weight, float *sums)
{
    vf sum[ACCS];
    for (int k = 0; k < ACCS; k++)
        sum[k] = vf_load(sums + k * VL);
    for (size_t r = 0; r < n; r++, rows += stride) {
        vf by = vf_set1(weight[r]);
        if (weight[r] == 0)
            continue;
        for (int k = 0; k < ACCS; k++)
            sum[k] = vf_add(sum[k], vf_pick(lanes(rows[k * VL / 64] >> k * VL % 64), by, vf_zero()));
    }
    for (int k = 0; k < ACCS; k++)
        vf_store(sums + k * VL, sum[k]);
}

static void vote(const uint64_t *rows, size_t n, size_t stride, size_t words, const float *weight, float *sums)
{
    size_t w = 0;
    for (; TILE_WORDS > 0 && w + TILE_WORDS <= words; w += TILE_WORDS)
        vote_tile(rows + w, n, stride, weight, sums + w * 64);
    for (; w < words; w++)
        for (size_t r = 0; r < n; r++)
            for (int i = 0; i < 64 && weight[r] != 0; i += VL) {
                float *at = sums + w * 64 + (size_t)i;
                vf_store(at, vf_add(vf_load(at), vf_pick(lanes(rows[r * stride + w] >> i), vf_set1(weight[r]), vf_zero())));
            }
}

static void weights(float *scores, size_t n, float beta, float top)
{
    vf by = vf_set1(beta), highest = vf_set1(top);
    for (size_t i = 0; i < n; i += VL) {
        size_t left = n - i < VL ? n - i : VL;
        vf_store_n(scores + i, vf_exp(vf_mul(by, vf_sub(vf_load_n(scores + i, left), highest))), left);
    }
}
