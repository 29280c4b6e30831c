/* ring.c - see ring.h. One copy in, one copy out; memory grows by doubling and is used again. */
#include "link/ring.h"

#include <stdlib.h>
#include <string.h>

#define BYTES_FIRST 16384
#define MSGS_FIRST 64

void gn_ring_free(struct gn_ring *ring)
{
    free(ring->bytes);
    free(ring->msgs);
    memset(ring, 0, sizeof *ring);
}

/* Room for len more bytes behind tail. */
static int room_for_bytes(struct gn_ring *ring, size_t len)
{
    size_t used = ring->tail - ring->head, cap = ring->cap ? ring->cap : BYTES_FIRST;
    uint8_t *bytes;

    if (ring->cap - ring->tail >= len && ring->cap)
        return 0;
    if (ring->head) {
        memmove(ring->bytes, ring->bytes + ring->head, used);
        ring->head = 0;
        ring->tail = used;
    }
    while (cap - used < len)
        cap *= 2;
    if (cap == ring->cap)
        return 0;
    bytes = realloc(ring->bytes, cap);
    if (!bytes)
        return -1;
    ring->bytes = bytes;
    ring->cap = cap;
    return 0;
}

static int room_for_msg(struct gn_ring *ring)
{
    size_t cap = ring->msgs_cap ? 2 * ring->msgs_cap : MSGS_FIRST;
    gn_msg *msgs;

    if (ring->first + ring->count < ring->msgs_cap)
        return 0;
    if (ring->first) {
        memmove(ring->msgs, ring->msgs + ring->first, ring->count * sizeof *ring->msgs);
        ring->first = 0;
        if (ring->count < ring->msgs_cap / 2 + 1)
            return 0;
    }
    msgs = realloc(ring->msgs, cap * sizeof *msgs);
    if (!msgs)
        return ring->count < ring->msgs_cap ? 0 : -1;
    ring->msgs = msgs;
    ring->msgs_cap = cap;
    return 0;
}

static void shift(gn_msg *m, uint32_t from, uint32_t to)
{
    gn_span *spans[] = {&m->whole, &m->action, &m->task, &m->params, &m->payload};

    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        spans[i]->off = spans[i]->off >= from ? spans[i]->off - from + to : to;
}

int gn_ring_push(struct gn_ring *ring, const gn_msg *m, const uint8_t *base)
{
    gn_msg *copy;

    if (room_for_bytes(ring, m->whole.len) || room_for_msg(ring))
        return -1;
    if (m->whole.len)
        memcpy(ring->bytes + ring->tail, base + m->whole.off, m->whole.len);
    ring->tail += m->whole.len;
    copy = &ring->msgs[ring->first + ring->count++];
    *copy = *m;
    shift(copy, m->whole.off, 0);
    return 0;
}

static int is_of(const struct gn_ring *ring, const gn_msg *m, const char *action, size_t action_len)
{
    return m->action.len == action_len && memcmp(ring->bytes + ring->head + m->action.off, action, action_len) == 0;
}

size_t gn_ring_pop(struct gn_ring *ring, gn_msg *out, size_t cap, const char *action, size_t action_len, uint8_t *buf,
                   size_t buf_cap, size_t *used, int *stuck)
{
    size_t n = 0;

    *stuck = 0;
    while (n < cap && ring->count) {
        gn_msg *m = &ring->msgs[ring->first];
        size_t len = m->whole.len;

        if (buf_cap - *used < len || (action_len && !is_of(ring, m, action, action_len))) {
            *stuck = 1;
            break;
        }
        if (len)
            memcpy(buf + *used, ring->bytes + ring->head, len);
        out[n] = *m;
        shift(&out[n++], 0, (uint32_t)*used);
        *used += len;
        ring->head += len;
        ring->first++;
        ring->count--;
    }
    if (!ring->count)
        ring->first = ring->head = ring->tail = 0;
    return n;
}
