/* held.h - the leases an agent has: from the arrival of a task to the leaving of its outcome. Not locked: its owner does that.
 *
 * An open table by name and token (a task may come again under a new lease while the old one still runs), grown by
 * doubling and never shrunk: in the long run no allocation.
 */
#ifndef GN_LINK_HELD_H
#define GN_LINK_HELD_H

#include "ganglion/wire.h"

struct gn_lease {
    uint64_t token;
    uint32_t hash;
    uint8_t name_len; /* 0: a free place */
    char name[GN_TASK_BYTES_MAX];
};

struct gn_held {
    struct gn_lease *place;
    uint32_t places, count; /* places: 0 or a power of two */
    uint64_t newest;        /* token received from this run of the coordinator; 0: none */
};

void gn_held_free(struct gn_held *held);
/* A task that came (its spans count from base). Without memory for it, or without a name, it is not in the list. */
void gn_held_take(struct gn_held *held, const uint8_t *base, const gn_msg *task);
/* Whole messages that have left: the leases that the outcomes among them end. */
void gn_held_sent(struct gn_held *held, const uint8_t *buf, size_t len);
/* Is the message about a lease that is not here? Without a token it is about any of its task. */
int gn_held_lacks(const struct gn_held *held, const uint8_t *base, const gn_msg *m);
/* "<task>=<token>,..." into dst as far as cap goes, from place *at on, which moves on. Returns the bytes. */
size_t gn_held_write(const struct gn_held *held, uint32_t *at, char *dst, size_t cap);

#endif
