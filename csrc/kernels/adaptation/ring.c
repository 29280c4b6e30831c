/* The ring of records. Words of 64 bits, in the machine's own order (memory is shared by one machine's programs):
 *
 *     0 magic, with the version in its last byte     1 slots     2 record_bytes     3 records ever pushed     4..7 zero
 *     then slots times: a sequence word, the record in whole words
 *
 * A slot's sequence is 2 t + 1 while record t is written into it and 2 t + 2 when it stands. A reader takes the record
 * between two looks at the sequence and keeps it only if both say 2 t + 2. All words are atomic, so that a race is a
 * refusal and not undefined behaviour. To change the layout, change the version. */
#include "adaptation/ops.h"

#include <stdatomic.h>
#include <string.h>

#define MAGIC 0x474e52494e470001u /* "GNRING", version 1 */

enum { WORD = 8, HEADER_WORDS = 8, SLOTS = 1, RECORD = 2, COUNT = 3 };
typedef _Atomic uint64_t word;

_Static_assert(sizeof(word) == WORD && ATOMIC_LLONG_LOCK_FREE == 2, "words are shared between processes");

struct ring {
    word *words;
    size_t slots, record_bytes, slot_words;
};

static size_t words_of(size_t record_bytes) { return 1 + record_bytes / WORD + (record_bytes % WORD != 0); }

size_t gn_ring_bytes(size_t slots, size_t record_bytes)
{
    if (!slots || !record_bytes || record_bytes > SIZE_MAX / 4 || slots > SIZE_MAX / 4 / WORD / words_of(record_bytes))
        return 0;
    return (HEADER_WORDS + slots * words_of(record_bytes)) * WORD;
}

static uint64_t look(const word *at) { return atomic_load_explicit((word *)(uintptr_t)at, memory_order_relaxed); }

/* The header is read once: what another process does to it later moves no bound of this call. */
static int open_ring(const void *memory, size_t bytes, struct ring *ring)
{
    uint64_t slots, record;
    if (!memory)
        return GN_K_NULL;
    if ((uintptr_t)memory % WORD)
        return GN_K_VALUE;
    if (bytes < HEADER_WORDS * WORD)
        return GN_K_FORMAT;
    ring->words = (word *)(uintptr_t)memory;
    slots = look(&ring->words[SLOTS]);
    record = look(&ring->words[RECORD]);
    if (look(&ring->words[0]) != MAGIC || slots > SIZE_MAX || record > SIZE_MAX)
        return GN_K_FORMAT;
    ring->slots = (size_t)slots;
    ring->record_bytes = (size_t)record;
    if (!gn_ring_bytes(ring->slots, ring->record_bytes) || gn_ring_bytes(ring->slots, ring->record_bytes) > bytes)
        return GN_K_FORMAT;
    ring->slot_words = words_of(ring->record_bytes);
    return GN_K_OK;
}

int gn_ring_init(void *memory, size_t bytes, size_t slots, size_t record_bytes)
{
    size_t wanted = gn_ring_bytes(slots, record_bytes);
    word *words = memory;
    if (!memory)
        return GN_K_NULL;
    if ((uintptr_t)memory % WORD)
        return GN_K_VALUE;
    if (!wanted || wanted > bytes)
        return GN_K_SIZE;
    for (size_t i = 0; i < wanted / WORD; i++)
        atomic_store_explicit(&words[i], 0, memory_order_relaxed);
    atomic_store_explicit(&words[SLOTS], slots, memory_order_relaxed);
    atomic_store_explicit(&words[RECORD], record_bytes, memory_order_relaxed);
    atomic_store_explicit(&words[0], MAGIC, memory_order_release);
    return GN_K_OK;
}

int gn_ring_check(const void *memory, size_t bytes, size_t *slots, size_t *record_bytes)
{
    struct ring ring;
    int status = open_ring(memory, bytes, &ring);
    if (status == GN_K_OK && slots)
        *slots = ring.slots;
    if (status == GN_K_OK && record_bytes)
        *record_bytes = ring.record_bytes;
    return status;
}

static word *slot_of(const struct ring *ring, uint64_t number)
{
    return ring->words + HEADER_WORDS + (size_t)(number % ring->slots) * ring->slot_words;
}

int gn_ring_push(void *memory, size_t bytes, const void *record, size_t record_bytes, uint64_t *number)
{
    struct ring ring;
    int status = open_ring(memory, bytes, &ring);
    uint64_t now;
    word *slot;
    if (status != GN_K_OK)
        return status;
    if (!record)
        return GN_K_NULL;
    if (record_bytes != ring.record_bytes)
        return GN_K_SIZE;
    now = look(&ring.words[COUNT]);
    slot = slot_of(&ring, now);
    atomic_store_explicit(slot, 2 * now + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t at = 0, k; at < record_bytes; at += k) {
        uint64_t value = 0;
        k = record_bytes - at < WORD ? record_bytes - at : WORD;
        memcpy(&value, (const char *)record + at, k);
        atomic_store_explicit(++slot, value, memory_order_relaxed);
    }
    atomic_store_explicit(slot_of(&ring, now), 2 * now + 2, memory_order_release);
    atomic_store_explicit(&ring.words[COUNT], now + 1, memory_order_release);
    if (number)
        *number = now;
    return GN_K_OK;
}

int gn_ring_count(const void *memory, size_t bytes, uint64_t *count)
{
    struct ring ring;
    int status = open_ring(memory, bytes, &ring);
    if (status != GN_K_OK)
        return status;
    if (!count)
        return GN_K_NULL;
    *count = atomic_load_explicit(&ring.words[COUNT], memory_order_acquire);
    return GN_K_OK;
}

int gn_ring_read(const void *memory, size_t bytes, uint64_t number, void *out, size_t record_bytes)
{
    struct ring ring;
    int status = open_ring(memory, bytes, &ring);
    const word *slot;
    if (status != GN_K_OK)
        return status;
    if (!out)
        return GN_K_NULL;
    if (record_bytes != ring.record_bytes)
        return GN_K_SIZE;
    slot = slot_of(&ring, number);
    if (number > UINT64_MAX / 2 - 1 ||
        atomic_load_explicit((word *)(uintptr_t)slot, memory_order_acquire) != 2 * number + 2)
        return GN_K_VALUE;
    for (size_t at = 0, k; at < record_bytes; at += k) {
        uint64_t value = look(++slot);
        k = record_bytes - at < WORD ? record_bytes - at : WORD;
        memcpy((char *)out + at, &value, k);
    }
    atomic_thread_fence(memory_order_acquire);
    return look(slot_of(&ring, number)) == 2 * number + 2 ? GN_K_OK : GN_K_VALUE;
}
