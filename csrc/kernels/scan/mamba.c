/* The Mamba block: projections, causal convolution, scan, gate. One function for a sequence and for a step: both keep
 * the convolution's tokens and the scan's state. */
#include "ganglion/kernels/matrix.h"
#include "ganglion/kernels/scan.h"

#include "base/sizes.h"

/* Where the parts of the scratch lie, in floats; each begins on a cache line. */
struct plan {
    size_t x, gate, conv, low, b, c, delta, scan, product, all;
};

static size_t up(size_t n) { return n == SIZE_MAX || n > SIZE_MAX - 15 ? SIZE_MAX : (n + 15) / 16 * 16; }

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

static size_t take(size_t *all, size_t floats)
{
    size_t at = *all;
    *all = gn_plus(at, up(floats));
    return at;
}

/* all is SIZE_MAX when the sizes overflow. */
static struct plan plan_of(const struct gn_mamba *m, size_t rows, int threads)
{
    struct plan p = {0};
    size_t wide = gn_times(rows, m->inner), narrow = gn_times(rows, m->states), product;
    p.x = take(&p.all, wide);
    p.gate = take(&p.all, wide);
    p.conv = take(&p.all, wide);
    p.low = take(&p.all, gn_times(rows, m->rank));
    p.b = take(&p.all, narrow);
    p.c = take(&p.all, narrow);
    p.delta = take(&p.all, wide);
    p.scan = take(&p.all, gn_times(m->inner, m->states));
    product = gn_matmul_scratch(rows, m->inner, m->dim, threads);
    product = most(product, gn_matmul_scratch(rows, m->rank, m->inner, threads));
    product = most(product, gn_matmul_scratch(rows, m->states, m->inner, threads));
    product = most(product, gn_matmul_scratch(rows, m->inner, m->rank, threads));
    product = most(product, gn_matmul_scratch(rows, m->dim, m->inner, threads));
    p.product = take(&p.all, product == SIZE_MAX ? SIZE_MAX : product / sizeof(float));
    if (gn_too_many(p.all))
        p.all = SIZE_MAX;
    return p;
}

size_t gn_mamba_state(const struct gn_mamba *m)
{
    return gn_times(gn_plus(m->width - (m->width > 0), m->states), m->inner);
}

size_t gn_mamba_scratch(const struct gn_mamba *m, size_t batch, size_t length, int threads)
{
    size_t floats = plan_of(m, gn_times(batch, length), threads).all;
    return floats == SIZE_MAX ? SIZE_MAX : floats * sizeof(float);
}

static int check(const struct gn_mamba *m, const float *x, size_t batch, size_t length, const float *state,
                 const float *out, const void *scratch)
{
    size_t floats = gn_times(gn_times(batch, length), m->dim), kept = gn_times(batch, gn_mamba_state(m));
    size_t select = gn_times(gn_plus(m->rank, gn_times(2, m->states)), m->inner);
    if (!m->dim || !m->inner || !m->states || !m->rank || !m->width || gn_too_many(floats) || gn_too_many(kept) ||
        gn_too_many(select) || gn_too_many(gn_times(gn_times(2, m->inner), m->dim)) ||
        gn_too_many(gn_times(m->width, m->inner)))
        return GN_K_SIZE;
    if (!m->in || !m->conv || !m->select || !m->delta || !m->a_log || !m->out ||
        (floats && (!x || !out || !scratch)))
        return GN_K_NULL;
    if (gn_floats_overlap(out, floats, x, floats) || gn_floats_overlap(state, kept, x, floats) || gn_floats_overlap(state, kept, out, floats))
        return GN_K_OVERLAP;
    return GN_K_OK;
}

/* The scan of one sequence, in the block's buffers from row `first` on; its result goes where x was. */
static int sequence(const struct gn_mamba *m, float *buffers, const struct plan *p, size_t first, size_t length,
                    float *state, gn_pool *pool)
{
    size_t wide = first * m->inner, narrow = first * m->states;
    return gn_selective_scan(buffers + p->conv + wide, buffers + p->delta + wide, m->a_log, buffers + p->b + narrow,
                             buffers + p->c + narrow, m->skip, buffers + p->gate + wide, m->delta_bias, 1, 1, length,
                             m->inner, m->states, state ? state + (m->width - 1) * m->inner : NULL,
                             buffers + p->x + wide, buffers + p->scan, pool);
}

static int convolve(const struct gn_mamba *m, float *buffers, const struct plan *p, size_t batch, size_t length,
                    float *state, gn_pool *pool)
{
    size_t wide = length * m->inner, each = gn_mamba_state(m);
    int status = GN_K_OK;
    for (size_t i = 0; i < batch && status == GN_K_OK; i++)
        status = gn_causal_conv(buffers + p->x + i * wide, m->conv, m->conv_bias, 1, 1, length, m->inner, m->width,
                                state ? state + i * each : NULL, buffers + p->conv + i * wide, pool);
    return status;
}

static int product(const float *from, size_t rows, size_t depth, const float *weights, size_t columns, float *to,
                   float *scratch, gn_pool *pool)
{
    return gn_matmul_nt(from, rows, weights, columns, depth, to, scratch, pool);
}

/* What the token says of its own step: delta, B and C. */
static int choose(const struct gn_mamba *m, float *buffers, const struct plan *p, size_t rows, gn_pool *pool)
{
    const float *from = buffers + p->conv, *b = m->select + m->rank * m->inner, *c = b + m->states * m->inner;
    float *room = buffers + p->product;
    int status = product(from, rows, m->inner, m->select, m->rank, buffers + p->low, room, pool);
    if (status == GN_K_OK)
        status = product(from, rows, m->inner, b, m->states, buffers + p->b, room, pool);
    if (status == GN_K_OK)
        status = product(from, rows, m->inner, c, m->states, buffers + p->c, room, pool);
    if (status == GN_K_OK)
        status = product(buffers + p->low, rows, m->rank, m->delta, m->inner, buffers + p->delta, room, pool);
    return status;
}

int gn_mamba_forward(const struct gn_mamba *m, const float *x, size_t batch, size_t length, float *state, float *out,
                     void *scratch, gn_pool *pool)
{
    float *buffers = scratch;
    size_t rows = gn_times(batch, length), each;
    struct plan p;
    int status;
    if (!m)
        return GN_K_NULL;
    p = plan_of(m, rows, gn_pool_threads(pool));
    status = p.all == SIZE_MAX ? GN_K_SIZE : check(m, x, batch, length, state, out, scratch);
    if (status != GN_K_OK || !rows)
        return status;
    each = gn_mamba_state(m);
    status = product(x, rows, m->dim, m->in, m->inner, buffers + p.x, buffers + p.product, pool);
    if (status == GN_K_OK)
        status = product(x, rows, m->dim, m->in + m->inner * m->dim, m->inner, buffers + p.gate, buffers + p.product, pool);
    if (status == GN_K_OK)
        status = convolve(m, buffers, &p, batch, length, state, pool);
    if (status == GN_K_OK)
        status = choose(m, buffers, &p, rows, pool);
    for (size_t i = 0; i < batch && status == GN_K_OK; i++)
        status = sequence(m, buffers, &p, i * length, length, state ? state + i * each : NULL, pool);
    if (status == GN_K_OK)
        status = product(buffers + p.x, rows, m->inner, m->out, m->dim, out, buffers + p.product, pool);
    return status;
}
