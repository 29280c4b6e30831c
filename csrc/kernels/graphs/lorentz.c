/* Nodes on the hyperboloid: depth is the distance from the origin, features are the direction.
 *
 * A point is (cosh r, sinh r u), u of length 1. Distances come from cosh d = cosh(r - s) + sinh r sinh s |u - w|^2 / 2,
 * and the centroid's length from a sum of terms above 0: no difference of large numbers anywhere. In double.
 */
#include "graphs/dag.h"

#include <float.h>
#include <math.h>

/* Beyond, the rounding of a direction (2^-53 of its length) moves a point further than it is from the edge. */
#define GN_LORENTZ_RADIUS_MAX 30

struct lorentz {
    struct gn_dag dag;
    const float *features;
    size_t width;
    double radius;
    double *to; /* a direction, of length 1 or 0, in whose direction distances go */
    double to_radius;
};

/* Its square could leave double's range only past float's. */
static double length_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

static int all_finite(const float *x, size_t n)
{
    int wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong |= !(fabsf(x[i]) <= FLT_MAX);
    return !wrong;
}

/* raw[v] holds the length of a node's features while this runs. */
static double radius_of(const struct lorentz *it, size_t v)
{
    return it->dag.raw[v] > 0 ? it->radius * (it->dag.depths[v] + 1) / (double)it->dag.levels : 0;
}

/* |u - to|^2 / 2 = 1 - cos, in four sums for the sake of speed. */
static double apart(const struct lorentz *it, size_t v)
{
    const float *x = it->features + v * it->width;
    double by = it->dag.raw[v] > 0 ? 1 / it->dag.raw[v] : 0, sum[4] = {0}, gap;
    size_t i = 0;
    for (; it->width - i >= 4; i += 4)
        for (size_t k = 0; k < 4; k++) {
            gap = (double)x[i + k] * by - it->to[i + k];
            sum[k] += gap * gap;
        }
    for (; i < it->width; i++) {
        gap = (double)x[i] * by - it->to[i];
        sum[0] += gap * gap;
    }
    return (sum[0] + sum[1] + (sum[2] + sum[3])) / 2;
}

/* acosh(1 + x) without losing a small x. */
static double distance(double r, double s, double one_less_cosine)
{
    double half = sinh((r - s) / 2), x = 2 * half * half + sinh(r) * sinh(s) * one_less_cosine;
    return log1p(x + sqrt(x * (x + 2)));
}

/* The sum of all points, scaled back to the hyperboloid: tanh of its radius is |space| / time, and
 * time - |space| = sum of e^-r + sinh r (1 - cos to that direction). */
static void centroid(struct lorentz *it)
{
    double time = 0, space = 0, rest = 0;
    for (size_t i = 0; i < it->width; i++)
        it->to[i] = 0;
    for (size_t v = 0; v < it->dag.graph.nodes; v++) {
        const float *x = it->features + v * it->width;
        double r = radius_of(it, v), by = it->dag.raw[v] > 0 ? sinh(r) / it->dag.raw[v] : 0;
        time += cosh(r);
        for (size_t i = 0; i < it->width; i++)
            it->to[i] += by * (double)x[i];
    }
    for (size_t i = 0; i < it->width; i++)
        space += it->to[i] * it->to[i];
    space = sqrt(space);
    for (size_t i = 0; i < it->width; i++)
        it->to[i] = space > 0 ? it->to[i] / space : 0;
    for (size_t v = 0; space > 0 && v < it->dag.graph.nodes; v++) {
        double r = radius_of(it, v);
        rest += exp(-r) + (r > 0 ? sinh(r) * apart(it, v) : 0);
    }
    it->to_radius = space > 0 ? log((time + space) / rest) / 2 : 0;
}

static void aim(struct lorentz *it, const float *query, float query_radius)
{
    double length = length_of(query, it->width), by = length > 0 ? 1 / length : 0; /* rounded as a node's, in apart */
    for (size_t i = 0; i < it->width; i++)
        it->to[i] = (double)query[i] * by;
    it->to_radius = length > 0 ? query_radius : 0;
}

static int lorentz_values(const struct lorentz *it, const float *query, float query_radius, float temperature,
                          const float *scores)
{
    size_t nodes = it->dag.graph.nodes, all;
    if (__builtin_mul_overflow(nodes, it->width, &all) || all > PTRDIFF_MAX / sizeof(float))
        return GN_K_SIZE;
    if (all && !it->features)
        return GN_K_NULL;
    if (gn_dag_over(&it->dag, scores, it->features, all * sizeof(float)) ||
        gn_dag_over(&it->dag, scores, query, it->width * sizeof(float)))
        return GN_K_OVERLAP;
    if (!(it->radius > 0 && it->radius <= GN_LORENTZ_RADIUS_MAX) || !(query_radius >= 0 && query_radius <= GN_LORENTZ_RADIUS_MAX) ||
        !(temperature > 0 && isfinite(temperature)))
        return GN_K_VALUE;
    return all_finite(it->features, all) && (!query || all_finite(query, it->width)) ? GN_K_OK : GN_K_VALUE;
}

int gn_dag_lorentz(const int32_t *starts, const int32_t *targets, size_t nodes, size_t edges, const float *features,
                   size_t width, const float *query, float radius, float query_radius, float temperature,
                   float *scores, void *scratch)
{
    struct lorentz it = {.dag = {.graph = {starts, targets, nodes, edges}}, .features = features, .width = width,
                         .radius = radius};
    int status = gn_dag_scratch(nodes, edges, width) == SIZE_MAX ? GN_K_SIZE : gn_dag_begin(&it.dag, scores, sizeof *scores, scratch);
    double nearest = INFINITY;
    if (status == GN_K_OK)
        status = lorentz_values(&it, query, query_radius, temperature, scores);
    if (status != GN_K_OK)
        return status;
    it.to = gn_take(&it.dag.rest, width * sizeof *it.to);
    for (size_t v = 0; v < nodes; v++)
        it.dag.raw[v] = length_of(features + v * width, width);
    if (query)
        aim(&it, query, query_radius);
    else
        centroid(&it);
    for (size_t v = 0; v < nodes; v++) {
        it.dag.tail[v] = distance(radius_of(&it, v), it.to_radius, apart(&it, v));
        nearest = it.dag.tail[v] < nearest ? it.dag.tail[v] : nearest;
    }
    for (size_t v = 0; v < nodes; v++)
        it.dag.raw[v] = exp((nearest - it.dag.tail[v]) / temperature);
    gn_dag_normal(it.dag.raw, nodes, scores);
    return GN_K_OK;
}
