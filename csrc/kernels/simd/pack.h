/* Keep the lanes of a mask, in order: pack_f and pack_i write them at p and return how many.
 *
 * They may write up to VL elements at p, so arrays that are packed into have that many to spare. The registers are
 * compressed and then stored whole: the compressing store to memory is microcode on Zen 4.
 */
#ifndef GN_SIMD_PACK_H
#define GN_SIMD_PACK_H

#if defined(SIMD_SKYLAKE)
SIMD unsigned vm_count(vm m) { return (unsigned)__builtin_popcount(m); }
SIMD unsigned pack_f(float *p, vf v, vm m)
{
    _mm512_storeu_ps(p, _mm512_maskz_compress_ps(m, v));
    return vm_count(m);
}
SIMD unsigned pack_i(int32_t *p, vi v, vm m)
{
    _mm512_storeu_si512(p, _mm512_maskz_compress_epi32(m, v));
    return vm_count(m);
}
#elif defined(SIMD_HASWELL)
SIMD unsigned vm_count(vm m) { return (unsigned)__builtin_popcount(vm_bits(m)); }
/* The lanes' numbers, those of the mask first: a byte each out of 76543210, spread to 32 bits. */
SIMD vi pack_order(vm m)
{
    uint64_t wide = _pdep_u64(vm_bits(m), 0x0101010101010101u) * 255;
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)_pext_u64(0x0706050403020100u, wide)));
}
SIMD unsigned pack_f(float *p, vf v, vm m)
{
    vf_store(p, _mm256_permutevar8x32_ps(v, pack_order(m)));
    return vm_count(m);
}
SIMD unsigned pack_i(int32_t *p, vi v, vm m)
{
    vi_store(p, _mm256_permutevar8x32_epi32(v, pack_order(m)));
    return vm_count(m);
}
#else
SIMD unsigned vm_count(vm m) { return (unsigned)__builtin_popcount(vm_bits(m)); }
/* A store a lane, each over the last when that was not of the mask: no branch. */
SIMD unsigned pack_f(float *p, vf v, vm m)
{
    unsigned bits = vm_bits(m), kept = 0;
    float lanes[VL];
    vf_store(lanes, v);
    for (int i = 0; i < VL; i++) {
        p[kept] = lanes[i];
        kept += bits >> i & 1u;
    }
    return kept;
}
SIMD unsigned pack_i(int32_t *p, vi v, vm m)
{
    unsigned bits = vm_bits(m), kept = 0;
    int32_t lanes[VL];
    vi_store(lanes, v);
    for (int i = 0; i < VL; i++) {
        p[kept] = lanes[i];
        kept += bits >> i & 1u;
    }
    return kept;
}
#endif
#endif
