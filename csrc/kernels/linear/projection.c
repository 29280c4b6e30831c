/* Orthogonal random rows for FAVOR+, the same on every level: plain C in float64. */
#include "ganglion/kernels/linear.h"

#include "base/sizes.h"

#include <math.h>

/* SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014). */
static double uniform(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return ((double)((z ^ z >> 31) >> 11) + 0.5) * 0x1p-53;
}

/* Standard normal (Box and Muller 1958). */
static double normal(uint64_t *state)
{
    double u = uniform(state), v = uniform(state);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* row, made orthogonal to the `rows` unit rows before it (Gram and Schmidt, twice for float32) and a unit itself.
 * Returns 0 when nothing is left of it. */
static int unit(const float *before, size_t rows, size_t dim, float *row)
{
    for (int pass = 0; pass < 2; pass++)
        for (size_t r = 0; r < rows; r++) {
            double along = dot(before + r * dim, row, dim);
            for (size_t i = 0; i < dim; i++)
                row[i] = (float)(row[i] - along * before[r * dim + i]);
        }
    double length = sqrt(dot(row, row, dim));
    for (size_t i = 0; length > 1e-3 && i < dim; i++)
        row[i] = (float)(row[i] / length);
    return length > 1e-3;
}

int gn_favor_projection(size_t features, size_t dim, uint64_t seed, float *projection)
{
    if (gn_too_many(gn_times(features, dim)))
        return GN_K_SIZE;
    if (!projection && features && dim)
        return GN_K_NULL;
    for (size_t block = 0; dim && block < features; block += dim) {
        size_t rows = features - block < dim ? features - block : dim;
        float *at = projection + block * dim;
        for (size_t r = 0; r < rows; r++)
            do
                for (size_t i = 0; i < dim; i++)
                    at[r * dim + i] = (float)normal(&seed);
            while (!unit(at, r, dim, at + r * dim));
        for (size_t r = 0; r < rows; r++) {
            double square = 0;
            for (size_t i = 0; i < dim; i++) {
                double x = normal(&seed);
                square += x * x;
            }
            for (size_t i = 0; i < dim; i++)
                at[r * dim + i] = (float)(at[r * dim + i] * sqrt(square));
        }
    }
    return GN_K_OK;
}
