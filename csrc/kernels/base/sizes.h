/* For the families: sizes that callers give, without overflow; pieces of a scratch; whether two arrays overlap. */
#ifndef GN_KERNELS_SIZES_H
#define GN_KERNELS_SIZES_H
#include <stddef.h>
#include <stdint.h>

#define GN_SIZES static inline __attribute__((unused))

/* a * b, where SIZE_MAX stands for "too large" and stays it. */
GN_SIZES size_t gn_times(size_t a, size_t b)
{
    size_t product;
    return a == SIZE_MAX || b == SIZE_MAX || __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

GN_SIZES size_t gn_plus(size_t a, size_t b)
{
    size_t sum;
    return a == SIZE_MAX || b == SIZE_MAX || __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

/* Whether no array of that many floats can exist. */
GN_SIZES int gn_too_many(size_t floats) { return floats > PTRDIFF_MAX / sizeof(float); }

/* Whether a * b elements of `each` bytes are more than an array can have. */
GN_SIZES int gn_too_large(size_t a, size_t b, size_t each) { return gn_times(gn_times(a, b), each) > PTRDIFF_MAX; }

/* Adds a piece of a * b elements of `each` bytes to a scratch of *size bytes and returns where it begins. Pieces begin
 * on cache lines. After an overflow *size stays SIZE_MAX. */
GN_SIZES size_t gn_room(size_t *size, size_t a, size_t b, size_t each)
{
    size_t at = *size, bytes;
    if (at == SIZE_MAX || gn_too_large(a, b, each)) {
        *size = SIZE_MAX;
        return 0;
    }
    bytes = (a * b * each + 63) & ~(size_t)63;
    *size = at + bytes > PTRDIFF_MAX ? SIZE_MAX : at + bytes;
    return at;
}

/* Whether two arrays, sizes in bytes, share any; not when one is NULL. */
GN_SIZES int gn_overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    uintptr_t p = (uintptr_t)a, q = (uintptr_t)b;
    return a && b && a_bytes && b_bytes && p < q + b_bytes && q < p + a_bytes;
}

GN_SIZES int gn_floats_overlap(const float *a, size_t a_floats, const float *b, size_t b_floats)
{
    return gn_overlap(a, a_floats * sizeof *a, b, b_floats * sizeof *b);
}
#endif
