/* For the families: sizes of arrays, and whether two of them lie on each other. */
#ifndef GN_KERNELS_SIZES_H
#define GN_KERNELS_SIZES_H
#include <stddef.h>
#include <stdint.h>

/* a * b, where SIZE_MAX stands for "too large" and stays it. */
static inline __attribute__((unused)) size_t gn_times(size_t a, size_t b)
{
    size_t product;
    return a == SIZE_MAX || b == SIZE_MAX || __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

static inline __attribute__((unused)) size_t gn_plus(size_t a, size_t b)
{
    size_t sum;
    return a == SIZE_MAX || b == SIZE_MAX || __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

/* Whether no array of that many floats can exist. */
static inline __attribute__((unused)) int gn_too_many(size_t floats) { return floats > PTRDIFF_MAX / sizeof(float); }

static inline __attribute__((unused)) int gn_overlap(const float *a, size_t a_floats, const float *b, size_t b_floats)
{
    uintptr_t p = (uintptr_t)a, q = (uintptr_t)b;
    return a && b && a_floats && b_floats && p < q + b_floats * sizeof(float) && q < p + a_floats * sizeof(float);
}
#endif
