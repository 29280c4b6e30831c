/* Kuramoto oscillators by their mean field: O(n) a step. */
#ifndef GN_SELECTION_OSCILLATOR_BODY_H
#define GN_SELECTION_OSCILLATOR_BODY_H
#include "selection/ops.h"

/* The turn nearest to 0 that is the same angle: 2 pi in two parts. NaN stays. */
SIMD vf wrapped(vf phase)
{
    vf turns = vf_round(vf_mul(phase, vf_set1(0x1.45f306p-3f)));
    phase = vf_fnma(turns, vf_set1(0x1.921fb6p+2f), phase);
    phase = vf_fma(turns, vf_set1(0x1.777a5cp-23f), phase);
    return vf_max(vf_set1(-0x1.921fb6p+1f), vf_min(vf_set1(0x1.921fb6p+1f), phase));
}

/* Wraps the phases, leaves their cosines and sines in room (n each), and the means of these in c and s. */
static void mean_phase(float *phases, size_t n, float *room, float *c, float *s)
{
    vf cs = vf_zero(), ss = vf_zero();
    for (size_t i = 0; i < n; i += VL) {
        size_t lanes = n - i < VL ? n - i : VL;
        vf sine, cosine, phase = wrapped(vf_load_n(phases + i, lanes));
        vf_sincos(phase, &sine, &cosine);
        vf_store_n(phases + i, phase, lanes);
        vf_store_n(room + i, cosine, lanes);
        vf_store_n(room + n + i, sine, lanes);
        cs = vf_add(cs, vf_pick(vm_first(lanes), cosine, vf_zero()));
        ss = vf_add(ss, vf_pick(vm_first(lanes), sine, vf_zero()));
    }
    *c = n ? vf_sum(cs) / (float)n : 0;
    *s = n ? vf_sum(ss) / (float)n : 0;
}

/* (pull_c, pull_s) = coupling * r * (cos psi, sin psi): coupling r sin(psi - phase) = pull_s cos - pull_c sin. */
static void turn(float *phases, const float *frequencies, size_t n, const float *room, float pull_c, float pull_s,
                 float dt)
{
    vf pc = vf_set1(pull_c), ps = vf_set1(pull_s), t = vf_set1(dt);
    for (size_t i = 0; i < n; i += VL) {
        size_t lanes = n - i < VL ? n - i : VL;
        vf pull = vf_fnma(pc, vf_load_n(room + n + i, lanes), vf_mul(ps, vf_load_n(room + i, lanes)));
        vf speed = vf_add(vf_load_n(frequencies + i, lanes), pull);
        vf_store_n(phases + i, wrapped(vf_fma(speed, t, vf_load_n(phases + i, lanes))), lanes);
    }
}

static void gains(const float *phases, size_t n, float phase, float *out)
{
    vf at = vf_set1(phase), half = vf_set1(0.5f);
    for (size_t i = 0; i < n; i += VL) {
        size_t lanes = n - i < VL ? n - i : VL;
        vf sine, cosine;
        vf_sincos(wrapped(vf_sub(wrapped(vf_load_n(phases + i, lanes)), at)), &sine, &cosine);
        cosine = vf_fma(half, cosine, half);
        vf_store_n(out + i, vf_min(vf_set1(1.0f), vf_max(vf_zero(), cosine)), lanes);
    }
}
#endif
