/* What the kernels' tests share: CHECK, numbers from a seed, and arrays that end at a page nobody may touch.
 *
 * AddressSanitizer does not see masked vector loads; a guarded array does: its last byte lies against a page without
 * access, so that one element too many ends the program. `skew` bytes (a multiple of the element's size: less is no C
 * array) shift the start off a vector's alignment; they lie behind the array and must stay as they were.
 */
#ifndef GN_KERNEL_CHECK_H
#define GN_KERNEL_CHECK_H
#include "ganglion/kernels.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s [%s]: not so: %s\n", __FILE__, __LINE__, __func__,                    \
                    gn_isa_name(gn_isa_active()), #condition);                                               \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

#define UNUSED_FN __attribute__((unused)) static

/* For every level of this machine but serial: FOR_LEVELS(level) { gn_isa_force(level); ... } Restores the best. */
#define FOR_LEVELS(level) \
    for (int level = GN_ISA_SERIAL + 1; level < GN_ISA_COUNT; level++) \
        if (gn_isa_force(level) == GN_K_OK)

struct guarded {
    void *map;
    size_t mapped;
    unsigned char *data, *slack;
    size_t slack_bytes;
};

enum { GUARD_FILL = 0xA5 };

UNUSED_FN struct guarded guarded_new(size_t bytes, size_t skew)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes + skew + page - 1) / page * page + page;
    struct guarded it = {.mapped = room + page, .slack_bytes = skew};
    it.map = mmap(NULL, it.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(it.map != MAP_FAILED);
    CHECK(mprotect((char *)it.map + room, page, PROT_NONE) == 0);
    memset(it.map, GUARD_FILL, room);
    it.data = (unsigned char *)it.map + room - bytes - skew;
    it.slack = it.data + bytes;
    return it;
}

/* Also tells whether the bytes behind the array and the page's worth before it are untouched. */
UNUSED_FN void guarded_free(struct guarded *it)
{
    for (size_t i = 0; i < it->slack_bytes; i++)
        CHECK(it->slack[i] == GUARD_FILL);
    for (const unsigned char *p = it->map; p < it->data; p++)
        CHECK(*p == GUARD_FILL);
    munmap(it->map, it->mapped);
}

/* SplitMix64 (Steele, Lea, Flood 2014): GANGLION_TEST_SEED changes the run. */
UNUSED_FN uint64_t random_u64(void)
{
    static uint64_t state;
    static int begun;
    if (!begun) {
        const char *seed = getenv("GANGLION_TEST_SEED");
        state = seed ? strtoull(seed, NULL, 0) : 20260421;
        begun = 1;
    }
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

UNUSED_FN double random_unit(void) { return (double)(random_u64() >> 11) * 0x1p-53; }

/* Standard normal (Box and Muller). */
UNUSED_FN float random_normal(void)
{
    double u = 1.0 - random_unit(), v = random_unit();
    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

UNUSED_FN void fill_normal(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = random_normal();
}

/* The largest |a - b|; infinity when one is NaN and the other is not, or they are different infinities. */
UNUSED_FN double largest_gap(const float *a, const float *b, size_t n)
{
    double gap = 0;
    for (size_t i = 0; i < n; i++) {
        if (a[i] == b[i] || (isnan(a[i]) && isnan(b[i])))
            continue;
        double d = fabs((double)a[i] - (double)b[i]);
        if (isnan(d) || d > gap)
            gap = isnan(d) ? INFINITY : d;
    }
    return gap;
}
#endif
