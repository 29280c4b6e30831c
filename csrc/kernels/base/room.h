/* For the families: sizes from callers, and pieces of a scratch, without overflow; whether arrays overlap. */
#ifndef GN_KERNELS_ROOM_H
#define GN_KERNELS_ROOM_H
#include <stddef.h>
#include <stdint.h>

/* Whether a * b elements of `each` bytes are more than an array can have. */
static inline __attribute__((unused)) int gn_too_large(size_t a, size_t b, size_t each)
{
    size_t size;
    return __builtin_mul_overflow(a, b, &size) || __builtin_mul_overflow(size, each, &size) || size > PTRDIFF_MAX;
}

/* Adds a piece of a * b elements of `each` bytes to a scratch of *size bytes and returns where it begins. Pieces begin
 * on cache lines. After an overflow *size stays SIZE_MAX. */
static inline __attribute__((unused)) size_t gn_room(size_t *size, size_t a, size_t b, size_t each)
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

/* Whether two arrays, sizes in bytes, share any. */
static inline __attribute__((unused)) int gn_overlap(const void *a, size_t size_a, const void *b, size_t size_b)
{
    uintptr_t at = (uintptr_t)a, other = (uintptr_t)b;
    return a && b && size_a && size_b && at < other + size_b && other < at + size_a;
}
#endif
