/* The selective scan: lanes are channels, so that nothing is summed across lanes; time goes forward one by one.
 *
 * A tile of states lives on the stack: in [states][channels] arrays a column of many channels has a power of two
 * between its rows and would fight for a few cache sets.
 */
static void decay(const float *a_log, size_t channels, size_t states, float *to)
{
    for (size_t c = 0; c < channels; c++, a_log += states)
        for (size_t n = 0; n < states; n += VL) {
            size_t lanes = states - n < VL ? states - n : VL;
            float line[VL];
            /* Not infinite, so that a delta of 0 keeps the state whatever a_log is. */
            vf rate = vf_min(vf_set1(FLT_MAX), vf_mul(vf_exp(vf_load_n(a_log + n, lanes)), vf_set1(0x1.715476p+0f)));
            vf_store(line, vf_neg(rate));
            for (size_t i = 0; i < lanes; i++)
                to[(n + i) * channels + c] = line[i];
        }
}

/* 2^x within 1.6 2^-23 of itself, exact at 0 and closer round it, where slow channels live. 0 below -150. */
SIMD vf power2(vf x, int below_zero)
{
    vf n, r, p = vf_set1(0x1.5bba14p-10f);
    x = vf_max(vf_set1(-150.0f), x); /* NaN stays */
    if (!below_zero)
        x = vf_min(vf_set1(130.0f), x);
    n = vf_round(x);
    r = vf_sub(x, n);
    p = vf_fma(p, r, vf_set1(0x1.3cea88p-7f));
    p = vf_fma(p, r, vf_set1(0x1.c6b752p-5f));
    p = vf_fma(p, r, vf_set1(0x1.ebf9bcp-3f));
    p = vf_fma(p, r, vf_set1(0x1.62e42ap-1f));
    return vf_scale2(vf_fma(p, r, vf_set1(1.0f)), n);
}

/* A tile: states [top, top + states) of VL channels from `at`, of which `lanes` are there. */
struct tile {
    size_t at, lanes, top, states;
    int first, last; /* of the tiles of these channels: out begins, out is finished */
};

SIMD vf finish(const struct gn_scan_shape *s, size_t row, const struct tile *it, vf y)
{
    if (s->skip)
        y = vf_fma(vf_load_n(s->skip + it->at, it->lanes), vf_load_n(s->x + row, it->lanes), y);
    if (s->gate) {
        vf gate = vf_load_n(s->gate + row, it->lanes);
        y = vf_mul(y, vf_mul(gate, vf_sigmoid(gate)));
    }
    return y;
}

SIMD __attribute__((always_inline)) void pass(const struct gn_scan_shape *s, const struct tile *it, int softplus,
                                              float *h, const float *rate)
{
    vf bias = s->delta_bias ? vf_load_n(s->delta_bias + it->at, it->lanes) : vf_zero();
    for (size_t t = 0; t < s->length; t++) {
        size_t row = t * s->channels + it->at, n = 0;
        const float *b = s->b + t * s->states + it->top, *c = s->c + t * s->states + it->top;
        vf dt = vf_add(vf_load_n(s->delta + row, it->lanes), bias), in, y = vf_zero(), z = y;
        if (softplus)
            dt = vf_softplus(dt);
        in = vf_mul(dt, vf_load_n(s->x + row, it->lanes));
        for (; n + 2 <= it->states; n += 2) {
            vf e = power2(vf_mul(dt, vf_load(rate + n * VL)), softplus);
            vf f = power2(vf_mul(dt, vf_load(rate + (n + 1) * VL)), softplus);
            e = vf_fma(e, vf_load(h + n * VL), vf_mul(in, vf_set1(b[n])));
            f = vf_fma(f, vf_load(h + (n + 1) * VL), vf_mul(in, vf_set1(b[n + 1])));
            vf_store(h + n * VL, e);
            vf_store(h + (n + 1) * VL, f);
            y = vf_fma(e, vf_set1(c[n]), y);
            z = vf_fma(f, vf_set1(c[n + 1]), z);
        }
        if (n < it->states) {
            vf e = power2(vf_mul(dt, vf_load(rate + n * VL)), softplus);
            e = vf_fma(e, vf_load(h + n * VL), vf_mul(in, vf_set1(b[n])));
            vf_store(h + n * VL, e);
            y = vf_fma(e, vf_set1(c[n]), y);
        }
        y = vf_add(y, z);
        if (!it->first)
            y = vf_add(y, vf_load_n(s->out + row, it->lanes));
        if (it->last)
            y = finish(s, row, it, y);
        vf_store_n(s->out + row, y, it->lanes);
    }
}

static void scan_tile(const struct gn_scan_shape *s, const struct tile *it)
{
    float h[GN_SCAN_STATES * VL], rate[GN_SCAN_STATES * VL];
    for (size_t n = 0; n < it->states; n++) {
        size_t at = (it->top + n) * s->channels + it->at;
        vf_store(h + n * VL, s->state ? vf_load_n(s->state + at, it->lanes) : vf_zero());
        vf_store(rate + n * VL, vf_load_n(s->decay + at, it->lanes));
    }
    if (s->softplus)
        pass(s, it, 1, h, rate);
    else
        pass(s, it, 0, h, rate);
    for (size_t n = 0; s->state && n < it->states; n++)
        vf_store_n(s->state + (it->top + n) * s->channels + it->at, vf_load(h + n * VL), it->lanes);
}

static void scan(const struct gn_scan_shape *s, size_t first, size_t count)
{
    for (size_t at = first; at < first + count; at += VL) {
        struct tile it = {.at = at, .lanes = first + count - at < VL ? first + count - at : VL, .first = 1};
        do {
            size_t left = s->states - it.top;
            it.states = left < GN_SCAN_STATES ? left : GN_SCAN_STATES;
            it.last = it.states == left;
            scan_tile(s, &it);
            it.top += it.states;
            it.first = 0;
        } while (it.top < s->states);
    }
}

/* The token `t` of what came before (t < 0: the state, or nothing) and x. */
SIMD vf token(const struct gn_conv_shape *s, ptrdiff_t t, size_t at, size_t lanes)
{
    if (t >= 0)
        return vf_load_n(s->x + (size_t)t * s->channels + at, lanes);
    if (!s->state)
        return vf_zero();
    return vf_load_n(s->state + (size_t)((ptrdiff_t)s->width - 1 + t) * s->channels + at, lanes);
}

static void conv(const struct gn_conv_shape *s, size_t first, size_t count)
{
    for (size_t at = first; at < first + count; at += VL) {
        size_t lanes = first + count - at < VL ? first + count - at : VL, before = s->width - 1;
        vf bias = s->bias ? vf_load_n(s->bias + at, lanes) : vf_zero();
        for (size_t t = 0; t < s->length; t++) {
            vf sum = bias;
            for (size_t k = 0; k < s->width; k++)
                sum = vf_fma(vf_load_n(s->weight + k * s->channels + at, lanes),
                             token(s, (ptrdiff_t)(t + k) - (ptrdiff_t)before, at, lanes), sum);
            if (s->silu)
                sum = vf_mul(sum, vf_sigmoid(sum));
            vf_store_n(s->out + t * s->channels + at, sum, lanes);
        }
        /* Forward: what a row takes stands in a later row or in x. */
        for (size_t i = 0; s->state && i < before; i++)
            vf_store_n(s->state + i * s->channels + at,
                       token(s, (ptrdiff_t)(s->length + i) - (ptrdiff_t)before, at, lanes), lanes);
    }
}
