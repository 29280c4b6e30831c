/* ring.h - messages that were received and not yet taken, in order. Not locked: its owner does that. */
#ifndef GN_LINK_RING_H
#define GN_LINK_RING_H

#include "ganglion/wire.h"

struct gn_ring {
    uint8_t *bytes;
    size_t cap, head, tail; /* bytes[head..tail) are in use */
    gn_msg *msgs;           /* spans count from the message's own first byte */
    size_t msgs_cap, first, count;
};

void gn_ring_free(struct gn_ring *ring);
/* Copy m (its spans count from base) to the end. 0, or -1: out of memory. */
int gn_ring_push(struct gn_ring *ring, const gn_msg *m, const uint8_t *base);
/* Move up to cap messages out, with an action only while they are of that one; their bytes go behind
 * buf[*used]. *stuck: the next one has no room, or is of another action. */
size_t gn_ring_pop(struct gn_ring *ring, gn_msg *out, size_t cap, const char *action, size_t action_len, uint8_t *buf,
                   size_t buf_cap, size_t *used, int *stuck);

static inline size_t gn_ring_bytes(const struct gn_ring *ring)
{
    return ring->tail - ring->head;
}

#endif
