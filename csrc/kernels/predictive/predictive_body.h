/* The gate, and what a vector stream does to whole vectors. */
#ifndef GN_PREDICTIVE_BODY_H
#define GN_PREDICTIVE_BODY_H
#include "predictive/ops.h"
#include "simd/pack.h"

enum { FIRST = 256, BLOCK = 2048 };

/* The sum of squares of x - p; with `move`, p goes on by rate times that and the residual is kept where it is wanted. */
SIMD float pass(const float *x, float *p, size_t n, float rate, float *residual, int move, int keep)
{
    vf a = vf_zero(), b = a, c = a, d = a, share = vf_set1(rate), most = vf_set1(FLT_MAX);
    size_t i = 0;
#define MOVED(in, was, r) \
    vf_pick(vf_le(vf_abs(vf_add(was, vf_mul(share, r))), most), vf_add(was, vf_mul(share, r)), in)
    for (; i + 4 * VL <= n; i += 4 * VL) { /* all loads, then all stores: none waits for another's address */
        vf x0 = vf_load(x + i), x1 = vf_load(x + i + VL), x2 = vf_load(x + i + 2 * VL), x3 = vf_load(x + i + 3 * VL);
        vf p0 = vf_load(p + i), p1 = vf_load(p + i + VL), p2 = vf_load(p + i + 2 * VL), p3 = vf_load(p + i + 3 * VL);
        vf r0 = vf_sub(x0, p0), r1 = vf_sub(x1, p1), r2 = vf_sub(x2, p2), r3 = vf_sub(x3, p3);
        a = vf_fma(r0, r0, a);
        b = vf_fma(r1, r1, b);
        c = vf_fma(r2, r2, c);
        d = vf_fma(r3, r3, d);
        if (keep) {
            vf_store(residual + i, r0);
            vf_store(residual + i + VL, r1);
            vf_store(residual + i + 2 * VL, r2);
            vf_store(residual + i + 3 * VL, r3);
        }
        if (move) {
            vf_store(p + i, MOVED(x0, p0, r0));
            vf_store(p + i + VL, MOVED(x1, p1, r1));
            vf_store(p + i + 2 * VL, MOVED(x2, p2, r2));
            vf_store(p + i + 3 * VL, MOVED(x3, p3, r3));
        }
    }
    for (; i < n; i += VL) {
        size_t lanes = n - i < VL ? n - i : VL;
        vf in = vf_load_n(x + i, lanes), was = vf_load_n(p + i, lanes), r = vf_sub(in, was);
        b = vf_fma(r, r, b);
        if (keep)
            vf_store_n(residual + i, r, lanes);
        if (move)
            vf_store_n(p + i, MOVED(in, was, r), lanes);
    }
#undef MOVED
    return vf_sum(vf_add(vf_add(a, b), vf_add(c, d)));
}

static float moved(const float *x, float *p, size_t n, struct gate *gate)
{
    if (gate->residual)
        return pass(x, p, n, gate->rate, gate->residual, 1, 1);
    return pass(x, p, n, gate->rate, NULL, 1, 0);
}

/* The sum only grows, so a surprise is known long before the end: from there on one pass reads, sums and moves, and
 * only the blocks before are visited again, from the nearest cache. */
static int gate_vector(const float *x, float *p, size_t n, struct gate *gate)
{
    struct gate rest = *gate;
    size_t i = 0, block = FIRST;
    gate->sum = 0;
    while (i < n && gate->sum <= gate->limit) {
        size_t some = n - i < block ? n - i : block;
        gate->sum += (double)pass(x + i, p + i, some, 0, NULL, 0, 0);
        i += some;
        block = block < BLOCK ? 2 * block : BLOCK;
    }
    if (gate->sum <= gate->limit)
        return 0;
    moved(x, p, i, gate);
    for (; i < n; i += BLOCK) {
        size_t some = n - i < BLOCK ? n - i : BLOCK;
        rest.residual = gate->residual ? gate->residual + i : NULL;
        gate->sum += (double)moved(x + i, p + i, some, &rest);
    }
    return 1;
}

static void predict(const float *level, const float *slope, size_t n, float ticks, float *out)
{
    vf t = vf_set1(ticks);
    if (!slope) {
        memmove(out, level, n * sizeof *out);
        return;
    }
    for (size_t i = 0; i < n; i += VL) {
        size_t lanes = n - i < VL ? n - i : VL;
        vf p = vf_add(vf_load_n(level + i, lanes), vf_mul(vf_load_n(slope + i, lanes), t));
        vf_store_n(out + i, p, lanes);
    }
}

static size_t surprises(const float *x, const float *level, const float *slope, size_t n, float ticks, float bound,
                        int32_t *at)
{
    vf t = vf_set1(ticks), most = vf_set1(bound);
    size_t found = 0;
    for (size_t i = 0; i < n; i += VL) {
        size_t lanes = n - i < VL ? n - i : VL;
        vf in = vf_load_n(x + i, lanes), p = vf_load_n(level + i, lanes);
        vm as_told, both, sent;
        if (slope)
            p = vf_add(p, vf_mul(vf_load_n(slope + i, lanes), t));
        as_told = vf_le(vf_abs(vf_sub(in, p)), most);
        both = vm_and(vf_isnan(in), vf_isnan(p));
        as_told = vm_or(as_told, vm_or(vf_eq(in, p), both)); /* the same infinity, NaN for NaN */
        sent = vm_and(vm_not(as_told), vm_first(lanes));
        if (vm_any(sent))
            found += pack_i(at + found, vi_add(vi_set1((int32_t)i), vi_iota()), sent);
    }
    return found;
}
#endif
