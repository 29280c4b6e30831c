/* Layouts of block-sparse attention. */
#include "ganglion/kernels/attention.h"

/* SplitMix64 (Steele, Lea, Flood 2014): the n-th number of a stream that begins at `seed`. */
static uint64_t mixed(uint64_t seed, uint64_t n)
{
    uint64_t z = seed + (n + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int always(size_t r, size_t c, size_t window, size_t globals)
{
    return r < globals || c < globals || (r > c ? r - c : c - r) <= window;
}

int gn_bigbird_layout(size_t blocks, size_t window, size_t globals, size_t randoms, uint64_t seed, uint32_t *starts,
                      uint32_t *columns)
{
    uint32_t at = 0;
    if (blocks > 65535)
        return GN_K_SIZE;
    if (!starts)
        return GN_K_NULL;
    for (size_t r = 0; r < blocks; r++) {
        size_t left = 0, wanted;
        starts[r] = at;
        for (size_t c = 0; c < blocks; c++)
            left += !always(r, c, window, globals);
        wanted = randoms < left ? randoms : left;
        for (size_t c = 0; c < blocks; c++) {
            int taken = always(r, c, window, globals);
            if (!taken) { /* one of the `left` that are still to come, with the chance wanted / left (Knuth, 3.4.2 S) */
                taken = mixed(seed, r * blocks + c) % left < wanted;
                wanted -= (size_t)taken;
                left--;
            }
            if (taken && columns)
                columns[at] = (uint32_t)c;
            at += (uint32_t)taken;
        }
    }
    starts[blocks] = at;
    return GN_K_OK;
}
