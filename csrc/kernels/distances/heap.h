/* The k nearest so far: a heap whose root is the farthest of them. */
#ifndef GN_KERNELS_DISTANCES_HEAP_H
#define GN_KERNELS_DISTANCES_HEAP_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A larger rank is nearer. The order is total: NaN has the least rank, and ties go to the lower index. */
struct gn_near {
    int32_t rank;
    uint32_t index;
};

/* Floats in order are their bits in order once the negative ones are turned round. */
static inline int32_t gn_rank(int smallest, float score)
{
    int32_t bits;
    if (score != score)
        return INT32_MIN;
    score = smallest ? 0.0f - score : score + 0.0f; /* both zeros become +0 */
    memcpy(&bits, &score, sizeof bits);
    return bits < 0 ? bits ^ INT32_MAX : bits;
}

static inline float gn_unrank(int smallest, int32_t rank)
{
    float score;
    if (rank == INT32_MIN)
        return __builtin_nanf("");
    rank = rank < 0 ? rank ^ INT32_MAX : rank;
    memcpy(&score, &rank, sizeof score);
    return smallest ? 0.0f - score : score;
}

static inline int gn_farther(struct gn_near a, struct gn_near b)
{
    return a.rank < b.rank || (a.rank == b.rank && a.index > b.index);
}

static inline void gn_sink(struct gn_near *heap, size_t n, size_t at, struct gn_near it)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && gn_farther(heap[child + 1], heap[child]))
            child++;
        if (!gn_farther(heap[child], it))
            break;
        heap[at] = heap[child];
    }
    heap[at] = it;
}

/* Takes it in when there is room or it is nearer than the root; returns how many there are now. */
static inline size_t gn_take(struct gn_near *heap, size_t n, size_t k, struct gn_near it)
{
    size_t at = n;
    if (n == k) {
        if (gn_farther(heap[0], it))
            gn_sink(heap, k, 0, it);
        return k;
    }
    for (; at && gn_farther(it, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = it;
    return n + 1;
}

/* Nearest first. */
static inline void gn_sort_near(struct gn_near *heap, size_t n)
{
    while (n > 1) {
        struct gn_near last = heap[--n];
        heap[n] = heap[0];
        gn_sink(heap, n, 0, last);
    }
}
#endif
