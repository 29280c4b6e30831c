/* Vectors of doubles for the cuts' matrix, where float32 would not be exact: vd with VD lanes, vdm their mask as bits. */
#if defined(SIMD_SKYLAKE)
enum { VD = 8 };
typedef __m512d vd;
SIMD vd vd_load(const double *p) { return _mm512_loadu_pd(p); }
SIMD void vd_store(double *p, vd v) { _mm512_storeu_pd(p, v); }
SIMD vd vd_set1(double x) { return _mm512_set1_pd(x); }
SIMD vd vd_add(vd a, vd b) { return _mm512_add_pd(a, b); }
SIMD vd vd_max(vd a, vd b) { return _mm512_max_pd(a, b); }
SIMD double vd_hmax(vd v) { return _mm512_reduce_max_pd(v); }
SIMD unsigned vd_le(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ); }
#elif defined(SIMD_HASWELL)
enum { VD = 4 };
typedef __m256d vd;
SIMD vd vd_load(const double *p) { return _mm256_loadu_pd(p); }
SIMD void vd_store(double *p, vd v) { _mm256_storeu_pd(p, v); }
SIMD vd vd_set1(double x) { return _mm256_set1_pd(x); }
SIMD vd vd_add(vd a, vd b) { return _mm256_add_pd(a, b); }
SIMD vd vd_max(vd a, vd b) { return _mm256_max_pd(a, b); }
SIMD double vd_hmax(vd v)
{
    __m128d half = _mm_max_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_max_sd(half, _mm_unpackhi_pd(half, half)));
}
SIMD unsigned vd_le(vd a, vd b) { return (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_LE_OQ)); }
#elif defined(SIMD_NEON)
enum { VD = 2 };
typedef float64x2_t vd;
SIMD vd vd_load(const double *p) { return vld1q_f64(p); }
SIMD void vd_store(double *p, vd v) { vst1q_f64(p, v); }
SIMD vd vd_set1(double x) { return vdupq_n_f64(x); }
SIMD vd vd_add(vd a, vd b) { return vaddq_f64(a, b); }
SIMD vd vd_max(vd a, vd b) { return vmaxq_f64(a, b); }
SIMD double vd_hmax(vd v) { return vmaxvq_f64(v); }
SIMD unsigned vd_le(vd a, vd b)
{
    uint64x2_t m = vcleq_f64(a, b);
    return (unsigned)(vgetq_lane_u64(m, 0) & 1u) | (unsigned)(vgetq_lane_u64(m, 1) & 2u);
}
#else
enum { VD = 1 };
typedef double vd;
SIMD vd vd_load(const double *p) { return *p; }
SIMD void vd_store(double *p, vd v) { *p = v; }
SIMD vd vd_set1(double x) { return x; }
SIMD vd vd_add(vd a, vd b) { return a + b; }
SIMD vd vd_max(vd a, vd b) { return a > b ? a : b; }
SIMD double vd_hmax(vd v) { return v; }
SIMD unsigned vd_le(vd a, vd b) { return a <= b; }
#endif
