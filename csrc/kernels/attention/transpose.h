/* A square of VL vectors: transposed, or each summed, in registers. Included after a level's simd header. */
#ifndef GN_ATTENTION_TRANSPOSE_H
#define GN_ATTENTION_TRANSPOSE_H

#if defined(SIMD_SKYLAKE)
/* 16 x 16 in four rounds: pairs, quads, then 128-bit lanes twice. */
SIMD void square_transpose(vf t[16])
{
    vf a[16];
    SIMD_UNROLL
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_ps(t[i], t[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(t[i], t[i + 1]);
    }
    SIMD_UNROLL
    for (int i = 0; i < 16; i += 4) {
        t[i] = _mm512_shuffle_ps(a[i], a[i + 2], 0x44);
        t[i + 1] = _mm512_shuffle_ps(a[i], a[i + 2], 0xee);
        t[i + 2] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        t[i + 3] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    SIMD_UNROLL
    for (int i = 0; i < 4; i++) {
        a[i] = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88);
        a[i + 4] = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
        a[i + 8] = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88);
        a[i + 12] = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
    }
    SIMD_UNROLL
    for (int i = 0; i < 8; i++) {
        t[i] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0x88);
        t[i + 8] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0xdd);
    }
}

/* Lane i is the sum of t[i]'s lanes: 128-bit lanes first, then within them. */
SIMD vf square_sums(vf t[16])
{
    SIMD_UNROLL
    for (int i = 0; i < 8; i++)
        t[i] = _mm512_add_ps(_mm512_shuffle_f32x4(t[i], t[i + 8], 0x88), _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd));
    SIMD_UNROLL
    for (int i = 0; i < 4; i++)
        t[i] = _mm512_add_ps(_mm512_shuffle_f32x4(t[i], t[i + 4], 0x88), _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd));
    SIMD_UNROLL
    for (int i = 0; i < 4; i += 2)
        t[i] = _mm512_add_ps(_mm512_unpacklo_ps(t[i], t[i + 1]), _mm512_unpackhi_ps(t[i], t[i + 1]));
    t[0] = _mm512_add_ps(_mm512_shuffle_ps(t[0], t[2], 0x44), _mm512_shuffle_ps(t[0], t[2], 0xee));
    return _mm512_shuffle_f32x4(t[0], t[0], 0xd8); /* the lanes hold 0.., 8.., 4.., 12.. */
}
#elif defined(SIMD_HASWELL)
SIMD void square_transpose(vf t[8])
{
    vf a[8];
    SIMD_UNROLL
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(t[i], t[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(t[i], t[i + 1]);
    }
    SIMD_UNROLL
    for (int i = 0; i < 8; i += 4) {
        t[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
        t[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
        t[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        t[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    SIMD_UNROLL
    for (int i = 0; i < 4; i++) {
        a[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
        a[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
    }
    SIMD_UNROLL
    for (int i = 0; i < 8; i++)
        t[i] = a[i];
}

SIMD vf square_sums(vf t[8])
{
    SIMD_UNROLL
    for (int i = 0; i < 4; i++)
        t[i] = _mm256_add_ps(_mm256_permute2f128_ps(t[i], t[i + 4], 0x20), _mm256_permute2f128_ps(t[i], t[i + 4], 0x31));
    return _mm256_hadd_ps(_mm256_hadd_ps(t[0], t[1]), _mm256_hadd_ps(t[2], t[3]));
}
#elif defined(SIMD_NEON)
SIMD void square_transpose(vf t[4])
{
    float32x4x2_t low = vtrnq_f32(t[0], t[1]), high = vtrnq_f32(t[2], t[3]);
    t[0] = vcombine_f32(vget_low_f32(low.val[0]), vget_low_f32(high.val[0]));
    t[1] = vcombine_f32(vget_low_f32(low.val[1]), vget_low_f32(high.val[1]));
    t[2] = vcombine_f32(vget_high_f32(low.val[0]), vget_high_f32(high.val[0]));
    t[3] = vcombine_f32(vget_high_f32(low.val[1]), vget_high_f32(high.val[1]));
}

SIMD vf square_sums(vf t[4]) { return vpaddq_f32(vpaddq_f32(t[0], t[1]), vpaddq_f32(t[2], t[3])); }
#else
SIMD vf square_sums(vf t[1]) { return t[0]; }
SIMD void square_transpose(vf t[1]) { (void)t; }
#endif
#endif
