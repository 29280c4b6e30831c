/* Distances and attention of hyperbolic space: checks, threads, the choice of level. A part of the work is
 * GN_HYPERBOLIC_ROWS queries. */
#include "hyperbolic/check.h"
#include "hyperbolic/mean.h"

#include "base/pool.h"

#include <math.h>

static const struct gn_hyperbolic_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_hyperbolic);

struct job {
    const struct gn_hyperbolic_ops *ops;
    int model, mean;
    const float *points, *others, *values, *factors;
    size_t rows, count, dim, value_dim;
    float curvature, temperature, *out;
    unsigned char *work; /* each thread's, of `room` bytes */
    size_t room;
};

static size_t parts_of(size_t rows) { return rows / GN_HYPERBOLIC_ROWS + (rows % GN_HYPERBOLIC_ROWS != 0); }

static size_t part_rows(const struct job *job, size_t first)
{
    return job->rows - first < GN_HYPERBOLIC_ROWS ? job->rows - first : GN_HYPERBOLIC_ROWS;
}

static void distances(const struct job *job, size_t first, size_t rows, float *to)
{
    const float *from = job->points + first * job->dim;
    if (job->model == GN_LORENTZ)
        job->ops->lorentz(from, rows, job->others, job->count, job->dim, job->curvature, to);
    else
        job->ops->poincare(from, rows, job->others, job->count, job->dim, job->curvature, to);
}

static void distance_part(void *of, size_t part, int worker)
{
    struct job *job = of;
    size_t first = part * GN_HYPERBOLIC_ROWS;
    (void)worker;
    distances(job, first, part_rows(job, first), job->out + first * job->count);
}

int gn_hyperbolic_distances(int model, const float *points, size_t rows, const float *others, size_t count, size_t dim,
                            float curvature, float *out, gn_pool *pool)
{
    size_t p = gn_times(rows, dim), o = gn_times(count, dim), all = gn_times(rows, count);
    struct job job = {.ops = levels[gn_isa_level], .model = model, .points = points, .others = others};
    int status = gn_check_model(model, dim, curvature);
    if (status != GN_K_OK)
        return status;
    if (gn_too_many(p) || gn_too_many(o) || gn_too_many(all))
        return GN_K_SIZE;
    if (!all)
        return GN_K_OK;
    if (gn_missing(points, p) || gn_missing(others, o) || !out)
        return GN_K_NULL;
    if (gn_floats_overlap(out, all, points, p) || gn_floats_overlap(out, all, others, o))
        return GN_K_OVERLAP;
    job.rows = rows, job.count = count, job.dim = dim, job.curvature = curvature, job.out = out;
    gn_pool_run(pool, distance_part, &job, parts_of(rows));
    return GN_K_OK;
}

/* Bytes of one thread's part: distances of GN_HYPERBOLIC_ROWS queries, plain weights and doubles for Frechet. */
static size_t room_of(size_t count, size_t value_dim)
{
    size_t floats = gn_plus(gn_times(GN_HYPERBOLIC_ROWS + 4, count), gn_times(4, value_dim));
    floats = gn_plus(floats, 31);
    return gn_too_many(floats) ? SIZE_MAX : floats / 16 * 16 * sizeof(float);
}

static size_t factors_room(size_t count) { return gn_plus(count, 15) / 16 * 16; }

size_t gn_hyperbolic_attention_scratch(size_t count, size_t dim, size_t value_dim, int threads)
{
    size_t works = gn_times(threads > 1 ? (size_t)threads : 1, room_of(count, value_dim));
    size_t all = gn_plus(works, gn_times(factors_room(count), sizeof(float)));
    return gn_too_many(gn_times(count, dim)) || gn_too_many(gn_times(count, value_dim)) || all > PTRDIFF_MAX ? SIZE_MAX
                                                                                                             : all;
}

/* One query's distances in `row` to its mean in out. */
static void mean_of(const struct job *job, float *row, float *out, double *work)
{
    const float *factors = job->model == GN_POINCARE ? job->factors : NULL;
    size_t dim = job->value_dim;
    float plain, whole;
    int frechet = job->mean == GN_MEAN_FRECHET;
    job->ops->weigh(row, job->count, job->temperature, frechet ? NULL : factors, &plain, &whole);
    if (plain == 0) {
        gn_hyperbolic_origin(job->model, dim, job->curvature, out);
        return;
    }
    if (isnan(plain)) {
        for (size_t i = 0; i < dim; i++)
            out[i] = NAN;
        return;
    }
    if (!frechet) {
        if (job->model == GN_POINCARE && !factors)
            job->ops->blend(row, job->values, job->count, dim, job->curvature, &whole, out);
        else
            job->ops->combine(row, job->values, job->count, dim, out);
        gn_einstein(job->model, dim, job->curvature, (double)whole - plain, out);
        return;
    }
    /* The first guess needs weights with the factors in, the descent needs them without: work's end holds the former. */
    float *scaled = (float *)(void *)(work + job->count + 2 * dim);
    whole = 0;
    for (size_t j = 0; j < job->count; j++) {
        scaled[j] = row[j] == 0 ? 0 : factors ? row[j] * factors[j] : row[j];
        whole += scaled[j];
    }
    job->ops->combine(scaled, job->values, job->count, dim, out);
    gn_einstein(job->model, dim, job->curvature, (double)whole - plain, out);
    gn_frechet(job->ops, job->model, job->values, job->count, dim, row, job->factors, job->curvature, out, work);
}

static void attention_part(void *of, size_t part, int worker)
{
    struct job *job = of;
    size_t first = part * GN_HYPERBOLIC_ROWS, rows = part_rows(job, first);
    double *work = (double *)(void *)(job->work + (size_t)worker * job->room);
    float *row = (float *)(void *)(work + 2 * job->count + 2 * job->value_dim);
    distances(job, first, rows, row);
    for (size_t r = 0; r < rows; r++)
        mean_of(job, row + r * job->count, job->out + (first + r) * job->value_dim, work);
}

static int check(const struct job *job, const void *scratch)
{
    size_t q = gn_times(job->rows, job->dim), k = gn_times(job->count, job->dim);
    size_t v = gn_times(job->count, job->value_dim), o = gn_times(job->rows, job->value_dim);
    int status = gn_check_model(job->model, job->dim, job->curvature);
    if (status == GN_K_OK)
        status = gn_check_model(job->model, job->value_dim, job->curvature);
    if (status != GN_K_OK)
        return status;
    if ((job->mean != GN_MEAN_EINSTEIN && job->mean != GN_MEAN_FRECHET) || gn_bad_scalar(job->temperature))
        return GN_K_VALUE;
    if (gn_too_many(q) || gn_too_many(k) || gn_too_many(v) || gn_too_many(o))
        return GN_K_SIZE;
    if (o && (gn_missing(job->points, q) || gn_missing(job->others, k) || gn_missing(job->values, v) || !job->out ||
              (job->count && !scratch)))
        return GN_K_NULL;
    if (gn_floats_overlap(job->out, o, job->points, q) || gn_floats_overlap(job->out, o, job->others, k) ||
        gn_floats_overlap(job->out, o, job->values, v))
        return GN_K_OVERLAP;
    return GN_K_OK;
}

int gn_hyperbolic_attention(int model, int mean, const float *queries, size_t rows, const float *keys, size_t count,
                            size_t dim, const float *values, size_t value_dim, float curvature, float temperature,
                            float *out, void *scratch, gn_pool *pool)
{
    struct job job = {levels[gn_isa_level], model, mean, queries, keys, values, scratch, rows, count, dim, value_dim,
                      curvature, temperature, out, NULL, 0};
    int status = gn_hyperbolic_attention_scratch(count, dim, value_dim, gn_pool_threads(pool)) == SIZE_MAX
                     ? GN_K_SIZE
                     : check(&job, scratch);
    if (status != GN_K_OK || !rows || !value_dim)
        return status;
    if (!count) {
        for (size_t r = 0; r < rows; r++)
            gn_hyperbolic_origin(model, value_dim, curvature, out + r * value_dim);
        return GN_K_OK;
    }
    if (rows == 1 && mean == GN_MEAN_EINSTEIN)
        job.factors = NULL;
    else if (model == GN_POINCARE)
        job.ops->factors(values, count, value_dim, curvature, scratch);
    job.work = (unsigned char *)scratch + factors_room(count) * sizeof(float);
    job.room = room_of(count, value_dim);
    gn_pool_run(pool, attention_part, &job, parts_of(rows));
    return GN_K_OK;
}
