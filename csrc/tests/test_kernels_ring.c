/* The ring of records: a real writer and real readers, and headers that lie. */
#include "kernel_check.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SLOTS = 4, RECORD = 100, READERS = 3, PUSHES = 60000 };

struct shared {
    void *ring;
    size_t bytes;
    atomic_int done;
    atomic_ullong whole, refused;
};

/* A record is its number, over and over: one that is torn shows two. */
static void compose(unsigned char *record, uint64_t number)
{
    for (size_t i = 0; i < RECORD; i++)
        record[i] = (unsigned char)(number * 31 + i * (number | 1));
}

static void *write_all(void *argument)
{
    struct shared *it = argument;
    unsigned char record[RECORD];
    uint64_t number;
    for (uint64_t i = 0; i < PUSHES; i++) {
        compose(record, i);
        CHECK(gn_ring_push(it->ring, it->bytes, record, RECORD, &number) == GN_K_OK && number == i);
    }
    atomic_store(&it->done, 1);
    return NULL;
}

static void *read_all(void *argument)
{
    struct shared *it = argument;
    unsigned char record[RECORD], wanted[RECORD];
    uint64_t count, last = 0;
    int status;
    do {
        CHECK(gn_ring_count(it->ring, it->bytes, &count) == GN_K_OK && count >= last);
        last = count;
        for (uint64_t back = 1; back <= SLOTS && back <= count; back++) {
            status = gn_ring_read(it->ring, it->bytes, count - back, record, RECORD);
            CHECK(status == GN_K_OK || status == GN_K_VALUE);
            atomic_fetch_add(status == GN_K_OK ? &it->whole : &it->refused, 1);
            if (status != GN_K_OK)
                continue;
            compose(wanted, count - back);
            CHECK(memcmp(record, wanted, RECORD) == 0);
        }
    } while (!atomic_load(&it->done) || count < PUSHES);
    return NULL;
}

/* One writer, three readers of a ring so small that it is written over all the time. */
static void at_once(void)
{
    struct shared it = {.bytes = gn_ring_bytes(SLOTS, RECORD)};
    pthread_t threads[READERS + 1];
    it.ring = malloc(it.bytes);
    CHECK(gn_ring_init(it.ring, it.bytes, SLOTS, RECORD) == GN_K_OK);
    for (int i = 0; i <= READERS; i++)
        CHECK(pthread_create(&threads[i], NULL, i ? read_all : write_all, &it) == 0);
    for (int i = 0; i <= READERS; i++)
        pthread_join(threads[i], NULL);
    CHECK(it.whole >= SLOTS);
    free(it.ring);
}

/* What is kept, what is gone, what is not there yet; a write that was cut short is refused and written over. */
static void in_order(size_t slots, size_t record)
{
    size_t bytes = gn_ring_bytes(slots, record), told_slots, told_record;
    struct guarded ring = guarded_new(bytes, 0), in = guarded_new(record, 0), out = guarded_new(record, 0);
    uint64_t count, *words = (uint64_t *)(void *)ring.data;
    CHECK(gn_ring_init(ring.data, bytes, slots, record) == GN_K_OK);
    CHECK(gn_ring_check(ring.data, bytes, &told_slots, &told_record) == GN_K_OK);
    CHECK(told_slots == slots && told_record == record);
    CHECK(gn_ring_read(ring.data, bytes, 0, out.data, record) == GN_K_VALUE);
    for (uint64_t t = 0; t < 3 * slots; t++) {
        memset(in.data, (int)(t + 1), record);
        CHECK(gn_ring_push(ring.data, bytes, in.data, record, NULL) == GN_K_OK);
        CHECK(gn_ring_count(ring.data, bytes, &count) == GN_K_OK && count == t + 1);
        for (uint64_t r = 0; r <= t + 1; r++) {
            int status = gn_ring_read(ring.data, bytes, r, out.data, record);
            CHECK(status == (r <= t && r + slots > t ? GN_K_OK : GN_K_VALUE));
            CHECK(status != GN_K_OK || (out.data[0] == (unsigned char)(r + 1) && out.data[record - 1] == out.data[0]));
        }
    }
    CHECK(gn_ring_read(ring.data, bytes, UINT64_MAX, out.data, record) == GN_K_VALUE);
    words[8]++; /* as if the writer had died between its two marks */
    CHECK(gn_ring_read(ring.data, bytes, 2 * slots, out.data, record) == GN_K_VALUE);
    CHECK(gn_ring_push(ring.data, bytes, in.data, record, NULL) == GN_K_OK);
    CHECK(gn_ring_read(ring.data, bytes, 3 * slots, out.data, record) == GN_K_OK);
    guarded_free(&ring);
    guarded_free(&in);
    guarded_free(&out);
}

static void lies(void)
{
    size_t bytes = gn_ring_bytes(3, 20);
    uint64_t words[64] = {0}, was;
    char record[512] = {0}; /* more than the whole ring */
    CHECK(bytes <= sizeof words);
    CHECK(gn_ring_bytes(0, 1) == 0 && gn_ring_bytes(1, 0) == 0 && gn_ring_bytes(SIZE_MAX / 8, 100) == 0);
    CHECK(gn_ring_bytes(1, SIZE_MAX) == 0 && gn_ring_bytes(SIZE_MAX, 8) == 0);
    CHECK(gn_ring_check(words, bytes, NULL, NULL) == GN_K_FORMAT);
    CHECK(gn_ring_init(words, bytes - 1, 3, 20) == GN_K_SIZE && gn_ring_init(NULL, bytes, 3, 20) == GN_K_NULL);
    CHECK(gn_ring_init((char *)words + 1, bytes, 3, 20) == GN_K_VALUE);
    CHECK(gn_ring_init(words, bytes, 3, 20) == GN_K_OK);
    CHECK(gn_ring_check(words, bytes - 1, NULL, NULL) == GN_K_FORMAT && gn_ring_check(words, 8, NULL, NULL) == GN_K_FORMAT);
    CHECK(gn_ring_push(words, bytes, record, 19, NULL) == GN_K_SIZE && gn_ring_push(words, bytes, NULL, 20, NULL) == GN_K_NULL);
    for (int at = 0; at < 3; at++)
        for (uint64_t lie = 0; lie < 70; lie++) {
            was = words[at];
            words[at] = lie < 64 ? was ^ (uint64_t)1 << lie : lie - 64 ? UINT64_MAX / (lie - 64) : 0;
            if (gn_ring_check(words, bytes, NULL, NULL) == GN_K_OK) { /* smaller than it was: in bounds all the same */
                CHECK(at == 1 || at == 2);
                CHECK(gn_ring_push(words, bytes, record, (size_t)words[2], NULL) == GN_K_OK);
            } else {
                CHECK(gn_ring_push(words, bytes, record, 20, NULL) == GN_K_FORMAT);
                CHECK(gn_ring_read(words, bytes, 0, record, 20) == GN_K_FORMAT);
            }
            words[at] = was;
        }
    words[3] = UINT64_MAX; /* a count that cannot be */
    CHECK(gn_ring_push(words, bytes, record, 20, NULL) == GN_K_OK);
}

int main(void)
{
    for (size_t slots = 1; slots < 6; slots++)
        for (size_t record = 1; record < 27; record += 5)
            in_order(slots, record);
    lies();
    at_once();
    printf("test_kernels_ring: ok\n");
    return 0;
}
