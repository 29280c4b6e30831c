/* exp, log, tanh, sin and cos on the vector layer: the same text on every level, so levels differ by rounding only.
 *
 * The polynomials are least-maximum fits of this project (Lawson's iteration on Chebyshev nodes, in float64). Errors
 * against float64 over the stated range, measured by csrc/tests/test_kernels_simd.c.
 */
#ifndef GN_SIMD_MATH_H
#define GN_SIMD_MATH_H

/* e^x, within 1.2 ulp where the result is normal; 0 below -104, infinity above 88.73, NaN for NaN.
 * exp(x) = 2^n * exp(r), r = x - n ln 2 in two parts (Cody and Waite), a polynomial of degree 6 for exp(r). */
SIMD vf vf_exp(vf x)
{
    vf in = vf_min(vf_set1(89.0f), vf_max(vf_set1(-104.0f), x)); /* NaN stays: min and max give the second operand */
    vf n = vf_round(vf_mul(in, vf_set1(0x1.715476p+0f)));
    vf r = vf_fnma(n, vf_set1(0x1.62e4p-1f), in), p = vf_set1(0.00138143184f);
    r = vf_fnma(n, vf_set1(0x1.7f7d1cp-20f), r);
    p = vf_fma(p, r, vf_set1(0.00836885128f));
    p = vf_fma(p, r, vf_set1(0.0416684011f));
    p = vf_fma(p, r, vf_set1(0.166665195f));
    p = vf_fma(p, r, vf_set1(0.499999934f));
    p = vf_fma(vf_mul(p, r), r, r);
    return vf_scale2(vf_add(p, vf_set1(1.0f)), n);
}

/* ln x, within 2 ulp; -infinity at 0, NaN below 0, infinity at infinity; subnormals are exact cases too. */
SIMD vf vf_log(vf x)
{
    vm tiny = vf_lt(x, vf_set1(FLT_MIN));
    vf scaled = vf_pick(tiny, vf_mul(x, vf_set1(0x1p24f)), x);
    vi bits = vi_bits(scaled), k = vi_sub(vi_shr(vi_add(bits, vi_set1(0x3f800000 - 0x3f3504f3)), 23), vi_set1(127));
    vf m = vf_bits(vi_sub(bits, vi_shl(k, 23))), f = vf_sub(m, vf_set1(1.0f)), p = vf_set1(0.0692586494f);
    vf e = vf_sub(vf_from(k), vf_pick(tiny, vf_set1(24.0f), vf_zero())), f2 = vf_mul(f, f), out;
    p = vf_fma(p, f, vf_set1(-0.118078586f));
    p = vf_fma(p, f, vf_set1(0.118779143f));
    p = vf_fma(p, f, vf_set1(-0.123818063f));
    p = vf_fma(p, f, vf_set1(0.142177157f));
    p = vf_fma(p, f, vf_set1(-0.166693567f));
    p = vf_fma(p, f, vf_set1(0.200022731f));
    p = vf_fma(p, f, vf_set1(-0.249999853f));
    p = vf_fma(p, f, vf_set1(0.333333098f));
    p = vf_fma(vf_mul(f2, f), p, vf_mul(e, vf_set1(0x1.7f7d1cp-20f)));
    out = vf_fma(e, vf_set1(0x1.62e4p-1f), vf_add(f, vf_fma(f2, vf_set1(-0.5f), p)));
    out = vf_pick(vf_lt(vf_set1(FLT_MAX), x), x, out);
    out = vf_pick(vf_eq(x, vf_zero()), vf_set1(-INFINITY), out);
    return vf_pick(vm_or(vf_lt(x, vf_zero()), vf_isnan(x)), vf_set1(NAN), out);
}

/* 1 / (1 + e^-x), 0 and 1 at the ends, NaN for NaN. */
SIMD vf vf_sigmoid(vf x)
{
    return vf_div(vf_set1(1.0f), vf_add(vf_set1(1.0f), vf_exp(vf_neg(x))));
}

/* ln(1 + x), within 3 ulp for x >= -0.5 (also for tiny x): what 1 + x rounds off is put back. -infinity at -1, NaN
 * below it. */
SIMD vf vf_log1p(vf x)
{
    vf w = vf_add(vf_set1(1.0f), x), lost = vf_sub(x, vf_sub(w, vf_set1(1.0f)));
    vm far = vf_lt(vf_set1(0x1p26f), x);
    return vf_add(vf_log(w), vf_pick(vm_or(far, vf_eq(w, vf_zero())), vf_zero(), vf_div(lost, w)));
}

/* ln(1 + e^x) without overflow: max(x, 0) + ln(1 + e^-|x|); within 4 ulp. */
SIMD vf vf_softplus(vf x)
{
    return vf_add(vf_max(vf_zero(), x), vf_log1p(vf_exp(vf_neg(vf_abs(x)))));
}

/* tanh, within 3 ulp: a polynomial up to 0.625, 1 - 2 / (e^2|x| + 1) beyond. */
SIMD vf vf_tanh(vf x)
{
    vf a = vf_abs(x), z = vf_mul(x, x), p = vf_set1(-0.00571703656f), far;
    p = vf_fma(p, z, vf_set1(0.020650579f));
    p = vf_fma(p, z, vf_set1(-0.0537434953f));
    p = vf_fma(p, z, vf_set1(0.133314912f));
    p = vf_fma(p, z, vf_set1(-0.333332839f));
    p = vf_fma(vf_mul(p, z), x, x);
    far = vf_sub(vf_set1(1.0f), vf_div(vf_set1(2.0f), vf_add(vf_exp(vf_add(a, a)), vf_set1(1.0f))));
    far = vf_pick(vf_lt(x, vf_zero()), vf_neg(far), far);
    return vf_pick(vf_lt(a, vf_set1(0.625f)), p, far);
}

/* sin and cos at once; absolute error below 2e-7 for |x| <= 8192 (three-part pi/2), NaN for infinities and NaN. */
SIMD void vf_sincos(vf x, vf *sine, vf *cosine)
{
    vf n = vf_round(vf_mul(x, vf_set1(0x1.45f306p-1f))), r = vf_fnma(n, vf_set1(0x1.92p+0f), x), z, s, c;
    vi q = vi_round(n);
    vm swap, sneg, cneg;
    r = vf_fnma(n, vf_set1(0x1.fb4p-12f), r);
    r = vf_fnma(n, vf_set1(0x1.4442d2p-24f), r);
    z = vf_mul(r, r);
    s = vf_fma(vf_fma(vf_set1(-0.000195160109f), z, vf_set1(0.00833216892f)), z, vf_set1(-0.166666548f));
    s = vf_fma(vf_mul(s, z), r, r);
    c = vf_fma(vf_fma(vf_set1(2.4437006e-05f), z, vf_set1(-0.00138873553f)), z, vf_set1(0.0416666466f));
    c = vf_fma(vf_mul(z, z), c, vf_fma(z, vf_set1(-0.5f), vf_set1(1.0f)));
    swap = vf_lt(vf_zero(), vf_from(vi_and(q, vi_set1(1))));
    sneg = vf_lt(vf_zero(), vf_from(vi_and(q, vi_set1(2))));
    cneg = vf_lt(vf_zero(), vf_from(vi_and(vi_add(q, vi_set1(1)), vi_set1(2))));
    x = vf_pick(swap, c, s);
    *sine = vf_pick(sneg, vf_neg(x), x);
    x = vf_pick(swap, s, c);
    *cosine = vf_pick(cneg, vf_neg(x), x);
}
#endif
