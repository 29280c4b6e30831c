/* Soft competition and lateral inhibition, one row. */
#ifndef GN_SELECTION_COMPETITION_BODY_H
#define GN_SELECTION_COMPETITION_BODY_H
#include "selection/ops.h"

static size_t lanes_at(size_t i, size_t n) { return n - i < VL ? n - i : VL; }

/* Rows whose largest is an infinity: all share that are +infinity, or there is nobody. */
static void soft_infinite(const float *x, size_t n, float *out)
{
    size_t shares = 0;
    for (size_t i = 0; i < n; i++)
        shares += x[i] == INFINITY;
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] == INFINITY ? 1.0f / (float)shares : 0.0f;
}

static void soft_row(const float *x, size_t n, float temperature, float *out)
{
    vf high = vf_set1(-INFINITY), t = vf_set1(temperature), a = vf_zero(), b = a, top, share;
    size_t i = 0;
    float sum;
    for (; i + VL <= n; i += VL)
        high = vf_max(vf_load(x + i), high); /* the second operand when the first is NaN */
    if (i < n)
        high = vf_max(vf_load_or(x + i, n - i, -INFINITY), high);
    if (isinf(vf_hmax(high))) {
        soft_infinite(x, n, out);
        return;
    }
    top = vf_set1(vf_hmax(high));
    for (i = 0; i + 2 * VL <= n; i += 2 * VL) {
        vf v = vf_exp(vf_div(vf_sub(vf_load(x + i), top), t));
        vf w = vf_exp(vf_div(vf_sub(vf_load(x + i + VL), top), t));
        v = vf_max(v, vf_zero());
        w = vf_max(w, vf_zero());
        vf_store(out + i, v);
        vf_store(out + i + VL, w);
        a = vf_add(a, v);
        b = vf_add(b, w);
    }
    for (; i < n; i += VL) {
        size_t lanes = lanes_at(i, n);
        vf v = vf_max(vf_exp(vf_div(vf_sub(vf_load_or(x + i, lanes, -INFINITY), top), t)), vf_zero());
        vf_store_n(out + i, v, lanes);
        a = vf_add(a, v);
    }
    sum = vf_sum(vf_add(a, b));
    share = vf_set1(sum);
    for (i = 0; i + VL <= n; i += VL)
        vf_store(out + i, vf_div(vf_load(out + i), share));
    if (i < n)
        vf_store_n(out + i, vf_div(vf_load_n(out + i, n - i), share), n - i);
}

static void inhibit_row(const float *x, size_t n, float strength, size_t rounds, float *out)
{
    vf most = vf_set1(FLT_MAX), zero = vf_zero(), s = vf_set1(strength), sum = zero;
    for (size_t i = 0; i < n; i += VL) {
        size_t lanes = lanes_at(i, n);
        vf v = vf_min(vf_max(vf_load_n(x + i, lanes), zero), most);
        vf_store_n(out + i, v, lanes);
        sum = vf_add(sum, v);
    }
    for (size_t round = 0; round < rounds; round++) {
        float all = vf_sum(sum);
        vf total = vf_set1(all < FLT_MAX ? all : FLT_MAX);
        unsigned changed = 0;
        sum = zero;
        for (size_t i = 0; i < n; i += VL) {
            size_t lanes = lanes_at(i, n);
            vf v = vf_load_n(out + i, lanes), others = vf_max(vf_sub(total, v), zero);
            vf left = vf_max(vf_sub(v, vf_mul(s, others)), zero);
            changed |= vm_bits(vm_not(vf_eq(left, v)));
            vf_store_n(out + i, left, lanes);
            sum = vf_add(sum, left);
        }
        if (!changed) /* as when one is left: the others' sum is exactly 0 */
            return;
    }
}

/* sums[i] = y[i] + ... + y[i + radius - 1] by windows of 1, 2, 4 ... (wide is a copy of y that they grow in): the same
 * additions on every level. */
static void window_sums(const float *y, size_t length, size_t radius, float *wide, float *sums)
{
    size_t whole = (length + VL - 1) / VL * VL, offset = 0;
    memcpy(wide, y, (length + radius + PACK_ROOM) * sizeof *y);
    memset(sums, 0, (length + PACK_ROOM) * sizeof *sums);
    for (size_t width = 1; width <= radius; width *= 2) {
        if (radius & width) {
            for (size_t i = 0; i < whole; i += VL)
                vf_store(sums + i, vf_add(vf_load(sums + i), vf_load(wide + i + offset)));
            offset += width;
        }
        if (2 * width <= radius)
            for (size_t i = 0; i < whole; i += VL)
                vf_store(wide + i, vf_add(vf_load(wide + i), vf_load(wide + i + width)));
    }
}

/* room: three arrays of n + 3 radius + 2 PACK_ROOM. */
static void near_row(const float *x, size_t n, size_t radius, float strength, size_t rounds, float *out, float *room)
{
    size_t length = n + 2 * radius, each = length + radius + 2 * PACK_ROOM;
    float *y = room, *wide = room + each, *sums = room + 2 * each;
    vf most = vf_set1(FLT_MAX), least = vf_set1(-FLT_MAX), zero = vf_zero();
    vf share = vf_set1(strength / (2.0f * (float)radius));
    memset(y, 0, each * sizeof *y);
    for (size_t round = 0; round <= rounds; round++) {
        if (round)
            window_sums(y, length, radius, wide, sums);
        for (size_t i = 0; i < n; i += VL) {
            size_t lanes = lanes_at(i, n);
            vf v = vf_load_n(x + i, lanes);
            v = vf_max(vf_min(vf_pick(vf_isnan(v), zero, v), most), least);
            if (round) {
                vf near = vf_add(vf_load_n(sums + i, lanes), vf_load_n(sums + i + radius + 1, lanes));
                v = vf_sub(v, vf_mul(share, vf_min(near, most)));
            }
            vf_store_n(y + radius + i, vf_max(v, zero), lanes);
        }
    }
    memcpy(out, y + radius, n * sizeof *out);
}
#endif
