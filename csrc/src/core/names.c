/* names.c - a hash table from names to indices: open addressing, linear probing, seeded. */
#include <stdlib.h>

#include "core/internal.h"

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Eight bytes at a time through a 64x64 -> 128 bit product. Who does not know the seed cannot
 * choose names that collide. */
uint64_t gn_hash(uint64_t seed, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint64_t secret = (seed ^ UINT64_C(0x2545f4914f6cdd1d)) | 1;
    uint64_t h = mix(seed ^ UINT64_C(0x9e3779b97f4a7c15), len + UINT64_C(0xd1342543de82ef95));
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = mix(h ^ word, secret);
    }
    uint64_t word = 0;
    if (len > 0)
        memcpy(&word, p, len);
    h = mix(h ^ word, UINT64_C(0xda942042e4dd58b5));
    return mix(h ^ seed, UINT64_C(0xaf251af3b0f025b5));
}

static void place(uint64_t *slots, uint32_t mask, uint64_t entry)
{
    uint32_t at = (uint32_t)(entry >> 32) & mask;
    while (slots[at] != 0)
        at = (at + 1) & mask;
    slots[at] = entry;
}

int gn_names_reserve(struct gn_names *names)
{
    if (names->slot != NULL && (names->count + 1) <= names->mask - names->mask / 4)
        return 1;
    size_t cap = names->slot == NULL ? 64 : ((size_t)names->mask + 1) * 2;
    uint64_t *slots = calloc(cap, sizeof *slots);
    if (slots == NULL)
        return 0;
    for (size_t i = 0; names->slot != NULL && i <= names->mask; i++)
        if (names->slot[i] != 0)
            place(slots, (uint32_t)(cap - 1), names->slot[i]);
    free(names->slot);
    names->slot = slots;
    names->mask = (uint32_t)(cap - 1);
    return 1;
}

void gn_names_add(struct gn_names *names, uint32_t hash, uint32_t index)
{
    place(names->slot, names->mask, (uint64_t)hash << 32 | (index + 1));
    names->count++;
}

void gn_names_drop(struct gn_names *names, uint32_t hash, uint32_t index)
{
    uint64_t entry = (uint64_t)hash << 32 | (index + 1);
    uint32_t hole = hash & names->mask;
    while (names->slot[hole] != entry)
        hole = (hole + 1) & names->mask;
    /* Close the gap: move up whatever may not stand behind an empty slot. */
    for (uint32_t at = (hole + 1) & names->mask; names->slot[at] != 0; at = (at + 1) & names->mask) {
        uint32_t home = (uint32_t)(names->slot[at] >> 32) & names->mask;
        if (((at - home) & names->mask) >= ((at - hole) & names->mask)) {
            names->slot[hole] = names->slot[at];
            hole = at;
        }
    }
    names->slot[hole] = 0;
    names->count--;
}

uint32_t gn_names_find(const gn_core *core, const struct gn_names *names, gn_name_of *name_of,
                       uint32_t hash, const char *name, size_t len)
{
    if (names->slot == NULL)
        return GN_NIL;
    for (uint32_t at = hash & names->mask; names->slot[at] != 0; at = (at + 1) & names->mask) {
        if ((uint32_t)(names->slot[at] >> 32) != hash)
            continue;
        uint32_t index = (uint32_t)names->slot[at] - 1;
        size_t other_len;
        const char *other = name_of(core, index, &other_len);
        if (other_len == len && memcmp(other, name, len) == 0)
            return index;
    }
    return GN_NIL;
}
