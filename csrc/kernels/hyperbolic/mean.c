/* Weighted means of points of hyperbolic space. */
#include "hyperbolic/check.h"
#include "hyperbolic/mean.h"

#include <math.h>
#include <string.h>

enum { ROUNDS_MAX = 500 };

static const struct gn_hyperbolic_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_hyperbolic);

void gn_hyperbolic_origin(int model, size_t dim, float curvature, float *out)
{
    memset(out, 0, dim * sizeof *out);
    if (model == GN_LORENTZ)
        out[0] = 1 / sqrtf(curvature);
}

/* `sum` holds the weighted sum of values (Poincare: of lambda v); time is the sum of weights (lambda - 1). A Lorentz
 * sum brought back to the hyperboloid; the Poincare point is where the same sum's ray meets it:
 * m / (t + sqrt(t^2 - c |m|^2)). */
void gn_einstein(int model, size_t dim, float curvature, double time, float *sum)
{
    double square = 0, left, by, c = curvature;
    for (size_t i = model == GN_LORENTZ; i < dim; i++)
        square += (double)sum[i] * sum[i];
    if (model == GN_LORENTZ) {
        left = (double)sum[0] * sum[0] - square;
        by = 1 / sqrt(c * left);
    } else {
        left = time * time - c * square;
        by = 1 / (time + sqrt(left > 0 ? left : left * 0));
    }
    for (size_t i = 0; i < dim; i++)
        sum[i] = (float)(by * sum[i]);
    if (model == GN_LORENTZ)
        sum[0] = (float)sqrt(1 / c + by * by * square);
}

/* One round's state: the mean as a Lorentz point of curvature -1, mu = (time, place[dim - model]). */
struct descent {
    const struct gn_hyperbolic_ops *ops;
    int model;
    const float *values, *weights, *factors;
    size_t count, dim;
    double root, total, time;
    double *place, *products, *shares, *sum; /* place and sum [dim], products and shares [count] */
};

/* The value's time coordinate; in float64 from what float32 says of it. */
static double time_of(const struct descent *d, size_t j)
{
    return d->model == GN_LORENTZ ? d->root * d->values[j * d->dim] : (double)d->factors[j] - 1;
}

static void begin(struct descent *d, const float *first)
{
    double square = 0, scale;
    if (d->model == GN_LORENTZ) {
        for (size_t i = 0; i < d->dim; i++)
            d->place[i] = i ? d->root * first[i] : 0;
        scale = 1;
    } else {
        for (size_t i = 0; i < d->dim; i++)
            square += d->root * first[i] * d->root * first[i];
        scale = 2 / (1 - square);
        for (size_t i = 0; i < d->dim; i++)
            d->place[i] = scale * d->root * first[i];
    }
    square = 0;
    for (size_t i = 0; i < d->dim; i++)
        square += d->place[i] * d->place[i];
    d->time = sqrt(1 + square);
    d->total = 0;
    for (size_t j = 0; j < d->count; j++)
        d->total += d->weights[j];
}

/* shares[j]: what value j's row is multiplied by in the gradient. Returns the sum of their times; *own is the share of
 * mu itself, *bound the mean of d coth d, which no eigenvalue of the Hessian exceeds (Karcher 1977). */
static double shares(struct descent *d, double *own, double *bound)
{
    double time = 0;
    *own = *bound = 0;
    d->ops->dots(d->values, d->count, d->dim, d->place, d->products);
    for (size_t j = 0; j < d->count; j++) {
        double scale = d->model == GN_LORENTZ ? d->root : d->root * d->factors[j], a, pull = 1, w, far, u;
        if (d->weights[j] == 0) {
            d->shares[j] = 0;
            continue;
        }
        w = d->weights[j] / d->total;
        a = d->time * time_of(d, j) - scale * d->products[j];
        u = a > 1 ? a - 1 : (a - a);
        far = log1p(u + sqrt(u * (u + 2)));
        if (u > 1e-12)
            pull = far / sqrt(u * (u + 2));
        *own += w * pull * (1 + u);
        *bound += w * pull * (1 + u); /* d coth d = d a / sqrt(a^2 - 1) */
        d->shares[j] = w * pull * scale;
        time += w * pull * time_of(d, j);
    }
    return time;
}

/* One step of descent; returns its length. */
static double step(struct descent *d)
{
    double own, bound, time = shares(d, &own, &bound), square, length, s, fresh = 0;
    d->ops->gather(d->shares, d->values, d->count, d->dim, d->sum);
    if (d->model == GN_LORENTZ)
        d->sum[0] = 0; /* the values' times: in `time` */
    time -= own * d->time;
    square = -time * time;
    for (size_t i = 0; i < d->dim; i++) {
        d->sum[i] -= own * d->place[i];
        square += d->sum[i] * d->sum[i];
    }
    length = sqrt(square > 0 ? square : square * 0) / bound;
    s = (length > 0 ? sinh(length) / length : 1) / bound;
    for (size_t i = 0; i < d->dim; i++) {
        d->place[i] = cosh(length) * d->place[i] + s * d->sum[i];
        fresh += d->place[i] * d->place[i];
    }
    d->time = sqrt(1 + fresh);
    return length;
}

void gn_frechet(const struct gn_hyperbolic_ops *ops, int model, const float *values, size_t count, size_t dim,
                const float *weights, const float *factors, float curvature, float *mean, double *work)
{
    struct descent d = {ops, model, values, weights, factors, count, dim, sqrt(curvature), 0, 0, NULL, NULL, NULL, NULL};
    double by;
    d.place = work, d.sum = work + dim, d.products = work + 2 * dim, d.shares = d.products + count;
    begin(&d, mean);
    for (int round = 0; round < ROUNDS_MAX; round++)
        if (!(step(&d) > 1e-7))
            break;
    by = model == GN_LORENTZ ? 1 / d.root : 1 / (d.root * (1 + d.time));
    for (size_t i = 0; i < dim; i++)
        mean[i] = (float)(by * d.place[i]);
    if (model == GN_LORENTZ)
        mean[0] = (float)(d.time / d.root);
}

/* work: doubles of gn_frechet, then factors[count] and weights[count] as floats. */
size_t gn_hyperbolic_mean_scratch(size_t count, size_t dim)
{
    size_t floats = gn_plus(gn_times(6, count), gn_times(4, dim));
    return gn_too_many(floats) ? SIZE_MAX : floats * sizeof(float);
}

static int check(int model, int mean, const float *points, size_t count, size_t dim, const float *weights,
                 float curvature, const float *out, const void *scratch)
{
    size_t all = gn_times(count, dim);
    int status = gn_check_model(model, dim, curvature);
    if (status != GN_K_OK)
        return status;
    if (gn_too_many(all) || gn_hyperbolic_mean_scratch(count, dim) == SIZE_MAX)
        return GN_K_SIZE;
    if (mean != GN_MEAN_EINSTEIN && mean != GN_MEAN_FRECHET)
        return GN_K_VALUE;
    if (gn_missing(points, all) || (all && gn_missing(weights, count)) || gn_missing(out, dim) || (all && !scratch))
        return GN_K_NULL;
    if (gn_floats_overlap(out, dim, points, all) || gn_floats_overlap(out, dim, weights, count))
        return GN_K_OVERLAP;
    for (size_t j = 0; all && j < count; j++)
        if (weights[j] < 0)
            return GN_K_VALUE;
    return GN_K_OK;
}

int gn_hyperbolic_mean(int model, int mean, const float *points, size_t count, size_t dim, const float *weights,
                       float curvature, float *out, void *scratch)
{
    const struct gn_hyperbolic_ops *ops = levels[gn_isa_level];
    int status = check(model, mean, points, count, dim, weights, curvature, out, scratch);
    double *work = scratch, plain = 0, whole = 0;
    float *factors, *scaled;
    if (status != GN_K_OK || !dim)
        return status;
    for (size_t j = 0; j < count; j++)
        plain += weights[j];
    if (plain == 0) {
        gn_hyperbolic_origin(model, dim, curvature, out);
        return GN_K_OK;
    }
    factors = (float *)(void *)(work + 2 * count + 2 * dim), scaled = factors + count;
    if (model == GN_POINCARE)
        ops->factors(points, count, dim, curvature, factors);
    for (size_t j = 0; j < count; j++) {
        double share = weights[j] / plain; /* so that no sum overflows */
        scaled[j] = weights[j] == 0 ? 0 : (float)(model == GN_POINCARE ? share * factors[j] : share);
        whole += scaled[j];
    }
    ops->combine(scaled, points, count, dim, out);
    gn_einstein(model, dim, curvature, whole - 1, out);
    if (mean == GN_MEAN_FRECHET)
        gn_frechet(ops, model, points, count, dim, weights, factors, curvature, out, work);
    return GN_K_OK;
}
