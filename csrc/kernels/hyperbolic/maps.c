/* Maps between a space and its tangents, Moebius sums, the isometry: row by row, in float64, the same on every level.
 *
 * Every result is a combination of at most two input rows, so a row costs its dot products, a few scalars and one pass.
 */
#include "hyperbolic/check.h"

#include <math.h>
#include <string.h>

static double dot(const float *a, const float *b, size_t n)
{
    double even = 0, odd = 0;
    size_t i = 0;
    for (; i + 2 <= n; i += 2) {
        even += (double)a[i] * b[i];
        odd += (double)a[i + 1] * b[i + 1];
    }
    return even + odd + (i < n ? (double)a[i] * b[i] : 0);
}

/* out = p a + q b; where `most` > 0, shortened to that length at most. */
static void mix(double p, const float *a, double q, const float *b, size_t n, double most, float *out)
{
    double square = 0, by;
    for (size_t i = 0; most > 0 && i < n; i++) {
        double x = p * a[i] + q * b[i];
        square += x * x;
    }
    by = most > 0 && square > most * most ? most / sqrt(square) : 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(by * (p * a[i] + q * b[i]));
}

static double edge(double c) { return (1 - GN_BALL_MARGIN) / sqrt(c); }

/* x (+) sign y, as factors of x and y (Ganea, Becigneul, Hofmann 2018, eq. 4). */
static void moebius(double xx, double xy, double yy, double c, double *of_x, double *of_y)
{
    double under = 1 + 2 * c * xy + c * c * xx * yy;
    *of_x = (1 + 2 * c * xy + c * yy) / under;
    *of_y = (1 - c * xx) / under;
}

static void poincare_exp(const float *p, const float *v, size_t n, double c, float *out)
{
    double pp = dot(p, p, n), vv = dot(v, v, n), length = sqrt(c * vv), s, a, b;
    if (length == 0) {
        memmove(out, p, n * sizeof *out);
        return;
    }
    s = tanh(length / (1 - c * pp)) / length; /* sqrt(c) lambda |v| / 2 = sqrt(c) |v| / (1 - c |p|^2) */
    moebius(pp, s * dot(p, v, n), s * s * vv, c, &a, &b);
    mix(a, p, b * s, v, n, edge(c), out);
}

static void poincare_log(const float *p, const float *y, size_t n, double c, float *out)
{
    double pp = dot(p, p, n), a, b, square = 0, length, s;
    moebius(pp, -dot(p, y, n), dot(y, y, n), c, &a, &b);
    for (size_t i = 0; i < n; i++) {
        double w = b * y[i] - a * p[i];
        square += w * w;
    }
    length = sqrt(c * square);
    s = length > 0 ? (1 - c * pp) * atanh(length) / length : 1 - c * pp;
    mix(-a * s, p, b * s, y, n, 0, out);
}

/* The time that a Lorentz point's place asks for. In float32 a far point's own time puts it off the hyperboloid by more
 * than its distances to near points, so the maps take times from places: points' like this, a tangent's from the right
 * angle to its base. */
static double time_of(const float *p, size_t n, double c) { return sqrt(1 / c + dot(p + 1, p + 1, n - 1)); }

static void lorentz_exp(const float *p, const float *v, size_t n, double c, float *out)
{
    double v0 = dot(p + 1, v + 1, n - 1) / time_of(p, n, c), square = dot(v + 1, v + 1, n - 1) - v0 * v0;
    double length = square > 0 ? sqrt(c * square) : square * 0, s = length != 0 ? sinh(length) / length : 1;
    mix(cosh(length), p + 1, s, v + 1, n - 1, 0, out + 1);
    out[0] = (float)time_of(out, n, c);
}

static void lorentz_log(const float *p, const float *y, size_t n, double c, float *out)
{
    double tp = time_of(p, n, c), ty = time_of(y, n, c), u = -(ty - tp) * (ty - tp), s;
    for (size_t i = 1; i < n; i++)
        u += ((double)y[i] - p[i]) * ((double)y[i] - p[i]);
    u = u < 0 ? 0 : u * c / 2;
    s = u > 0 ? log1p(u + sqrt(u * (u + 2))) / sqrt(u * (u + 2)) : 1 + u;
    mix(-s * (1 + u), p + 1, s, y + 1, n - 1, 0, out + 1);
    out[0] = (float)(s * (ty - (1 + u) * tp));
}

typedef void map_fn(const float *base, const float *row, size_t dim, double c, float *out);

static int map_rows(map_fn *map, int model, const float *base, size_t base_rows, const float *in, size_t rows,
                    size_t dim, float curvature, float *out)
{
    size_t all = gn_times(rows, dim), bases = gn_times(base_rows, dim);
    int status = gn_check_model(model, dim, curvature);
    if (status == GN_K_OK && (gn_too_many(all) || gn_too_many(bases) || (base_rows != 1 && base_rows != rows)))
        status = GN_K_SIZE;
    if (status != GN_K_OK || !all)
        return status;
    if (!base || !in || !out)
        return GN_K_NULL;
    if (gn_floats_overlap(out, all, base, bases) || (out != in && gn_floats_overlap(out, all, in, all)))
        return GN_K_OVERLAP;
    for (size_t r = 0; r < rows; r++)
        map(base + (base_rows == 1 ? 0 : r * dim), in + r * dim, dim, curvature, out + r * dim);
    return GN_K_OK;
}

int gn_hyperbolic_exp(int model, const float *base, size_t base_rows, const float *tangent, size_t rows, size_t dim,
                      float curvature, float *out)
{
    return map_rows(model == GN_LORENTZ ? lorentz_exp : poincare_exp, model, base, base_rows, tangent, rows, dim,
                    curvature, out);
}

int gn_hyperbolic_log(int model, const float *base, size_t base_rows, const float *point, size_t rows, size_t dim,
                      float curvature, float *out)
{
    return map_rows(model == GN_LORENTZ ? lorentz_log : poincare_log, model, base, base_rows, point, rows, dim,
                    curvature, out);
}

int gn_moebius_add(const float *x, const float *y, size_t rows, size_t dim, float curvature, float *out)
{
    size_t all = gn_times(rows, dim);
    if (gn_too_many(all))
        return GN_K_SIZE;
    if (gn_bad_scalar(curvature))
        return GN_K_VALUE;
    if (all && (!x || !y || !out))
        return GN_K_NULL;
    if ((out != x && gn_floats_overlap(out, all, x, all)) || (out != y && gn_floats_overlap(out, all, y, all)))
        return GN_K_OVERLAP;
    for (size_t at = 0; at < all; at += dim) {
        double a, b;
        moebius(dot(x + at, x + at, dim), dot(x + at, y + at, dim), dot(y + at, y + at, dim), curvature, &a, &b);
        mix(a, x + at, b, y + at, dim, edge(curvature), out + at);
    }
    return GN_K_OK;
}

int gn_poincare_project(const float *points, size_t rows, size_t dim, float curvature, float margin, float *out)
{
    size_t all = gn_times(rows, dim);
    double most = (1 - (double)margin) / sqrt(curvature);
    if (gn_too_many(all))
        return GN_K_SIZE;
    if (gn_bad_scalar(curvature) || !(margin > 0) || margin > 1)
        return GN_K_VALUE;
    if (all && (!points || !out))
        return GN_K_NULL;
    if (out != points && gn_floats_overlap(out, all, points, all))
        return GN_K_OVERLAP;
    for (size_t at = 0; at < all; at += dim) {
        double square = dot(points + at, points + at, dim), by = most / sqrt(square);
        for (size_t i = at; i < at + dim; i++)
            out[i] = square > most * most ? (float)(by * points[i]) : points[i];
    }
    return GN_K_OK;
}

int gn_poincare_to_lorentz(const float *poincare, size_t rows, size_t dim, float curvature, float *lorentz)
{
    size_t all = gn_times(rows, dim), more = gn_times(rows, gn_plus(dim, 1));
    double c = curvature;
    if (gn_too_many(more))
        return GN_K_SIZE;
    if (gn_bad_scalar(curvature))
        return GN_K_VALUE;
    if (gn_missing(poincare, all) || gn_missing(lorentz, more))
        return GN_K_NULL;
    if (gn_floats_overlap(lorentz, more, poincare, all))
        return GN_K_OVERLAP;
    for (size_t r = 0; r < rows; r++, lorentz += dim + 1) {
        const float *p = poincare + r * dim;
        double square = dim ? c * dot(p, p, dim) : 0, left = square < 1 ? 1 - square : square == 1 ? 0 : NAN;
        lorentz[0] = (float)((1 + square) / left / sqrt(c));
        for (size_t i = 0; i < dim; i++)
            lorentz[i + 1] = (float)(2 / left * p[i]);
    }
    return GN_K_OK;
}

int gn_lorentz_to_poincare(const float *lorentz, size_t rows, size_t dim, float curvature, float *poincare)
{
    size_t all = gn_times(rows, dim), more = gn_times(rows, gn_plus(dim, 1));
    if (gn_too_many(more))
        return GN_K_SIZE;
    if (gn_bad_scalar(curvature))
        return GN_K_VALUE;
    if (gn_missing(poincare, all) || gn_missing(lorentz, more))
        return GN_K_NULL;
    if (gn_floats_overlap(lorentz, more, poincare, all))
        return GN_K_OVERLAP;
    for (size_t r = 0; dim && r < rows; r++, lorentz += dim + 1) {
        double by = 1 / (1 + sqrt(curvature) * lorentz[0]);
        mix(by, lorentz + 1, 0, lorentz + 1, dim, edge(curvature), poincare + r * dim);
    }
    return GN_K_OK;
}
