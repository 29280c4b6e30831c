/* Linear attention: checks, threads, the choice of level.
 *
 * Every query sees every key: the keys are cut into SEGMENTS_MAX parts at most, by their number alone, each summed for
 * itself; the parts are merged in order, so that the number of threads changes nothing. The causal form is one part a
 * head.
 */
#include "ganglion/kernels/linear.h"
#include "linear/ops.h"

#include "base/pool.h"
#include "base/sizes.h"

#include <math.h>
#include <string.h>

static const struct gn_linear_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_linear);

#define LOG2_E 1.44269504f

enum { SEGMENTS_MAX = 8, SEGMENT_KEYS = 256, PART_CHUNKS = 2 };

struct job {
    const struct gn_linear_ops *ops;
    struct gn_linear_shape shape;
    const float *queries, *keys, *values;
    size_t heads, rows, count, segments, query_parts;
    float *sums; /* [heads][segments][state], or the caller's state */
    size_t state, work;
    float *works, *out;
};

static size_t up(size_t n) { return n > SIZE_MAX - 63 ? SIZE_MAX : (n + 63) / 64 * 64; }

static size_t segments_of(size_t heads, size_t count)
{
    size_t most = heads < SEGMENTS_MAX ? SEGMENTS_MAX / (heads ? heads : 1) : 1, wanted = count / SEGMENT_KEYS;
    return wanted < 1 ? 1 : wanted < most ? wanted : most;
}

static size_t row_of(size_t features)
{
    size_t padded = gn_plus(features, GN_LINEAR_PANEL - 1);
    return padded == SIZE_MAX ? SIZE_MAX : padded / GN_LINEAR_PANEL * GN_LINEAR_PANEL + GN_LINEAR_PAD;
}

size_t gn_linear_state(size_t features, size_t value_dim) { return gn_times(features, gn_plus(value_dim, 2)); }

static size_t packed_of(size_t dim, size_t features) { return up(gn_times(dim, row_of(features))); }

/* Floats of one thread's buffers. */
static size_t work_of(size_t features, int causal)
{
    size_t chunks = gn_times(2 * GN_LINEAR_CHUNK + 1, row_of(features));
    if (causal)
        chunks = gn_plus(chunks, gn_times(GN_LINEAR_CHUNK, gn_plus(features, GN_LINEAR_CHUNK)));
    return up(chunks);
}

static size_t bytes_of(size_t floats) { return gn_too_many(floats) ? SIZE_MAX : floats * sizeof(float); }

size_t gn_linear_scratch(size_t heads, size_t count, size_t dim, size_t value_dim, size_t features, int threads)
{
    size_t sums = gn_times(gn_times(heads, segments_of(heads, count)), up(gn_linear_state(features, value_dim)));
    size_t works = gn_times(threads > 1 ? (size_t)threads : 1, work_of(features, 0));
    return bytes_of(gn_plus(gn_plus(sums, works), packed_of(dim, features)));
}

size_t gn_linear_causal_scratch(size_t dim, size_t value_dim, size_t features, int threads)
{
    size_t works = gn_times(threads > 1 ? (size_t)threads : 1, work_of(features, 1));
    return gn_too_many(gn_linear_state(features, value_dim)) ? SIZE_MAX
                                                             : bytes_of(gn_plus(works, packed_of(dim, features)));
}

static struct gn_linear_sums sums_at(const struct job *job, size_t i)
{
    float *at = job->sums + i * job->state;
    size_t features = job->shape.features;
    struct gn_linear_sums sums = {at, at + features * job->shape.value_dim, at + features * (job->shape.value_dim + 1)};
    return sums;
}

static struct gn_linear_work work_at(const struct job *job, int worker)
{
    float *at = job->works + (size_t)worker * job->work;
    size_t chunk = GN_LINEAR_CHUNK * job->shape.row;
    struct gn_linear_work work = {.keys = at, .queries = at + chunk, .after = at + 2 * chunk};
    work.turned = work.after + job->shape.row;
    work.scores = work.turned + GN_LINEAR_CHUNK * job->shape.features;
    return work;
}

static void begin(const struct gn_linear_sums *sums, size_t features, size_t value_dim)
{
    memset(sums->sums, 0, features * (value_dim + 1) * sizeof(float));
    for (size_t f = 0; f < features; f++)
        sums->most[f] = -INFINITY;
}

static void learn_part(void *of, size_t part, int worker)
{
    struct job *job = of;
    size_t head = part / job->segments, i = part % job->segments, each = job->count / job->segments;
    size_t at = head * job->count + i * each, n = i + 1 == job->segments ? job->count - i * each : each;
    struct gn_linear_sums sums = sums_at(job, part);
    struct gn_linear_work work = work_at(job, worker);
    begin(&sums, job->shape.features, job->shape.value_dim);
    job->ops->learn(&job->shape, job->keys + at * job->shape.dim, job->values + at * job->shape.value_dim, n, &sums,
                    &work);
}

static void merge_part(void *of, size_t head, int worker)
{
    struct job *job = of;
    struct gn_linear_sums into = sums_at(job, head * job->segments);
    (void)worker;
    for (size_t i = 1; i < job->segments; i++) {
        struct gn_linear_sums from = sums_at(job, head * job->segments + i);
        job->ops->merge(&job->shape, &into, &from);
    }
}

static void answer_part(void *of, size_t part, int worker)
{
    struct job *job = of;
    size_t head = part / job->query_parts, first = part % job->query_parts * PART_CHUNKS * GN_LINEAR_CHUNK;
    size_t rows = job->rows - first, at = head * job->rows + first;
    struct gn_linear_sums sums = sums_at(job, head * job->segments);
    struct gn_linear_work work = work_at(job, worker);
    if (rows > PART_CHUNKS * GN_LINEAR_CHUNK)
        rows = PART_CHUNKS * GN_LINEAR_CHUNK;
    job->ops->answer(&job->shape, job->queries + at * job->shape.dim, rows, &sums, job->out + at * job->shape.value_dim,
                     &work);
}

static void follow_part(void *of, size_t head, int worker)
{
    struct job *job = of;
    struct gn_linear_sums sums = sums_at(job, head);
    struct gn_linear_work work = work_at(job, worker);
    size_t at = head * job->rows * job->shape.dim, v = head * job->rows * job->shape.value_dim;
    job->ops->follow(&job->shape, job->queries + at, job->keys + at, job->values + v, job->rows, &sums, job->out + v,
                     &work);
}

/* The level, the packed projection and where the rest of the scratch begins. */
static float *prepare(struct job *job, size_t dim, size_t value_dim, const float *projection, size_t features,
                      float scale, float *scratch)
{
    job->ops = levels[gn_isa_level];
    job->shape = (struct gn_linear_shape){dim, value_dim, features, row_of(features), scratch, 0.5f * scale * LOG2_E};
    job->ops->pack(projection, features, dim, sqrtf(scale) * LOG2_E, scratch);
    return scratch + packed_of(dim, features);
}

static int missing(const float *p, size_t floats) { return floats && !p; }

/* Sizes, NULLs and overlaps that both forms share. state_floats is 0 where there is no state. */
static int check(const struct job *job, size_t dim, size_t value_dim, const float *projection, size_t features,
                 float scale, size_t state_floats, const void *scratch)
{
    size_t q = gn_times(gn_times(job->heads, job->rows), dim), k = gn_times(gn_times(job->heads, job->count), dim);
    size_t v = gn_times(gn_times(job->heads, job->count), value_dim);
    size_t o = gn_times(gn_times(job->heads, job->rows), value_dim), w = gn_times(features, dim);
    if (gn_too_many(q) || gn_too_many(k) || gn_too_many(v) || gn_too_many(o) || gn_too_many(w) || !features ||
        gn_too_many(state_floats))
        return GN_K_SIZE;
    if (!(scale > 0) || scale > 3.4e38f)
        return GN_K_VALUE;
    if (missing(job->queries, q) || missing(job->keys, k) || missing(job->values, v) || missing(job->out, o) ||
        missing(projection, w) || missing(job->sums, state_floats) || !scratch)
        return GN_K_NULL;
    if (gn_floats_overlap(job->out, o, job->queries, q) || gn_floats_overlap(job->out, o, job->keys, k) ||
        gn_floats_overlap(job->out, o, job->values, v) || gn_floats_overlap(job->out, o, projection, w) ||
        gn_floats_overlap(job->sums, state_floats, job->queries, q) || gn_floats_overlap(job->sums, state_floats, job->keys, k) ||
        gn_floats_overlap(job->sums, state_floats, job->values, v) || gn_floats_overlap(job->sums, state_floats, job->out, o) ||
        gn_floats_overlap(job->sums, state_floats, projection, w))
        return GN_K_OVERLAP;
    return GN_K_OK;
}

int gn_linear_attention(const float *queries, size_t heads, size_t rows, const float *keys, size_t count, size_t dim,
                        const float *values, size_t value_dim, const float *projection, size_t features, float scale,
                        float *out, void *scratch, gn_pool *pool)
{
    struct job job = {.queries = queries, .keys = keys, .values = values, .out = out};
    int threads = gn_pool_threads(pool), status;
    float *rest;
    job.heads = heads, job.rows = rows, job.count = count;
    if (gn_linear_scratch(heads, count, dim, value_dim, features, threads) == SIZE_MAX)
        return GN_K_SIZE;
    status = check(&job, dim, value_dim, projection, features, scale, 0, scratch);
    if (status != GN_K_OK || !heads || !rows || !value_dim)
        return status;
    rest = prepare(&job, dim, value_dim, projection, features, scale, scratch);
    job.segments = segments_of(heads, count);
    job.query_parts = (rows + PART_CHUNKS * GN_LINEAR_CHUNK - 1) / (PART_CHUNKS * GN_LINEAR_CHUNK);
    job.state = up(gn_linear_state(features, value_dim));
    job.work = work_of(features, 0);
    job.sums = rest;
    job.works = rest + heads * job.segments * job.state;
    gn_pool_run(pool, learn_part, &job, heads * job.segments);
    gn_pool_run(pool, merge_part, &job, heads);
    gn_pool_run(pool, answer_part, &job, heads * job.query_parts);
    return GN_K_OK;
}

int gn_linear_begin(size_t heads, size_t features, size_t value_dim, float *state)
{
    size_t each = gn_linear_state(features, value_dim), all = gn_times(heads, each);
    if (gn_too_many(all))
        return GN_K_SIZE;
    if (missing(state, all))
        return GN_K_NULL;
    for (size_t head = 0; head < heads && each; head++, state += each) {
        struct gn_linear_sums sums = {state, state + features * value_dim, state + features * (value_dim + 1)};
        begin(&sums, features, value_dim);
    }
    return GN_K_OK;
}

int gn_linear_causal(const float *queries, const float *keys, const float *values, size_t heads, size_t length,
                     size_t dim, size_t value_dim, const float *projection, size_t features, float scale, float *state,
                     float *out, void *scratch, gn_pool *pool)
{
    struct job job = {.queries = queries, .keys = keys, .values = values, .sums = state, .out = out};
    int status;
    float *rest;
    job.heads = heads, job.rows = job.count = length;
    job.state = gn_linear_state(features, value_dim);
    if (gn_linear_causal_scratch(dim, value_dim, features, gn_pool_threads(pool)) == SIZE_MAX)
        return GN_K_SIZE;
    status = check(&job, dim, value_dim, projection, features, scale, gn_times(heads, job.state), scratch);
    if (status != GN_K_OK || !heads || !length)
        return status;
    rest = prepare(&job, dim, value_dim, projection, features, scale, scratch);
    job.work = work_of(features, 1);
    job.works = rest;
    gn_pool_run(pool, follow_part, &job, heads);
    return GN_K_OK;
}
