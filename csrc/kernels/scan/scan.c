/* The selective scan and the causal convolution: checks, threads, the choice of level. A part of the work is
 * GN_SCAN_CHANNELS channels of one batch entry. */
#include "ganglion/kernels/scan.h"
#include "scan/ops.h"

#include "base/pool.h"
#include "base/sizes.h"

static const struct gn_scan_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_scan);

struct scanning {
    const struct gn_scan_ops *ops;
    struct gn_scan_shape shape; /* of the first batch entry */
    size_t blocks;
};

struct convolving {
    const struct gn_scan_ops *ops;
    struct gn_conv_shape shape;
    size_t blocks;
};

static size_t blocks_of(size_t channels) { return channels / GN_SCAN_CHANNELS + (channels % GN_SCAN_CHANNELS != 0); }

static size_t block_size(size_t channels, size_t first)
{
    return channels - first < GN_SCAN_CHANNELS ? channels - first : GN_SCAN_CHANNELS;
}

static const float *moved(const float *p, size_t by) { return p ? p + by : NULL; }

static void scan_part(void *of, size_t part, int worker)
{
    struct scanning *job = of;
    struct gn_scan_shape s = job->shape;
    size_t entry = part / job->blocks, first = part % job->blocks * GN_SCAN_CHANNELS;
    size_t wide = entry * s.length * s.channels, narrow = entry * s.length * s.states;
    (void)worker;
    s.x += wide, s.delta += wide, s.out += wide;
    s.b = moved(s.b, narrow), s.c = moved(s.c, narrow), s.gate = moved(s.gate, wide);
    if (s.state)
        s.state += entry * s.states * s.channels;
    job->ops->scan(&s, first, block_size(s.channels, first));
}

static void conv_part(void *of, size_t part, int worker)
{
    struct convolving *job = of;
    struct gn_conv_shape s = job->shape;
    size_t entry = part / job->blocks, first = part % job->blocks * GN_SCAN_CHANNELS;
    size_t wide = entry * s.length * s.channels;
    (void)worker;
    s.x = moved(s.x, wide);
    s.out = s.out ? s.out + wide : NULL;
    if (s.state)
        s.state += entry * (s.width - 1) * s.channels;
    job->ops->conv(&s, first, block_size(s.channels, first));
}

size_t gn_scan_scratch(size_t channels, size_t states)
{
    size_t floats = gn_times(channels, states);
    return gn_too_many(floats) ? SIZE_MAX : floats * sizeof(float);
}

static int missing(const float *p, size_t floats) { return floats && !p; }

struct extent {
    const float *at;
    size_t floats;
};

/* Whether any of the outputs lies on another of the arrays. Outputs come first. */
static int overlapping(const struct extent *arrays, size_t count, size_t outputs)
{
    for (size_t i = 0; i < outputs; i++)
        for (size_t j = i + 1; j < count; j++)
            if (gn_floats_overlap(arrays[i].at, arrays[i].floats, arrays[j].at, arrays[j].floats))
                return 1;
    return 0;
}

int gn_selective_scan(const float *x, const float *delta, const float *a_log, const float *b, const float *c,
                      const float *skip, const float *gate, const float *delta_bias, int softplus, size_t batch,
                      size_t length, size_t channels, size_t states, float *state, float *out, void *scratch,
                      gn_pool *pool)
{
    size_t rows = gn_times(batch, length), wide = gn_times(rows, channels), narrow = gn_times(rows, states);
    size_t table = gn_times(channels, states), kept = gn_times(batch, table);
    const struct extent arrays[] = {{out, wide}, {state, kept}, {x, wide}, {delta, wide}, {a_log, table}, {b, narrow},
                                    {c, narrow}, {skip, channels}, {gate, wide}, {delta_bias, channels}};
    struct scanning job = {.ops = levels[gn_isa_level], .blocks = blocks_of(channels)};
    if (gn_too_many(wide) || gn_too_many(narrow) || gn_too_many(table) || gn_too_many(kept))
        return GN_K_SIZE;
    if (missing(x, wide) || missing(delta, wide) || missing(out, wide) || (wide && missing(a_log, table)) ||
        (wide && (missing(b, narrow) || missing(c, narrow))) || (wide && missing(scratch, table)))
        return GN_K_NULL;
    if (overlapping(arrays, sizeof arrays / sizeof *arrays, 2))
        return GN_K_OVERLAP;
    if (!wide)
        return GN_K_OK;
    if (table)
        job.ops->decay(a_log, channels, states, scratch);
    job.shape = (struct gn_scan_shape){x, delta, b, c, skip, gate, delta_bias, scratch, softplus != 0, length, channels,
                                       states, state, out};
    gn_pool_run(pool, scan_part, &job, batch * job.blocks);
    return GN_K_OK;
}

int gn_causal_conv(const float *x, const float *weight, const float *bias, int silu, size_t batch, size_t length,
                   size_t channels, size_t width, float *state, float *out, gn_pool *pool)
{
    size_t wide = gn_times(gn_times(batch, length), channels), table = gn_times(width, channels);
    size_t kept = gn_times(batch, width ? table - channels : 0);
    const struct extent arrays[] = {{out, wide}, {state, kept}, {x, wide}, {weight, table}, {bias, channels}};
    struct convolving job = {.ops = levels[gn_isa_level], .blocks = blocks_of(channels)};
    if (!width || gn_too_many(wide) || gn_too_many(table) || gn_too_many(kept))
        return GN_K_SIZE;
    if (missing(x, wide) || missing(out, wide) || (wide && missing(weight, table)))
        return GN_K_NULL;
    if (overlapping(arrays, sizeof arrays / sizeof *arrays, 2))
        return GN_K_OVERLAP;
    if (!wide)
        return GN_K_OK;
    job.shape = (struct gn_conv_shape){x, weight, bias, silu != 0, length, channels, width, state, out};
    gn_pool_run(pool, conv_part, &job, batch * job.blocks);
    return GN_K_OK;
}
