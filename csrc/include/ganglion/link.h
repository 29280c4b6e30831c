/* link.h - the peer's end of a line to the coordinator: send lines, receive messages.
 *
 * Owns: one pair of descriptors and its buffers. Knows nothing of tasks.
 * Over queues, what is sent goes into the coordinator's inbox in datagrams of whole messages,
 * the first of each carrying from=; what comes in is a stream cut into slots (SPEC.md, Transports).
 * Sending and receiving may go on in two threads at once; each is serialised by a lock.
 */
#ifndef GANGLION_LINK_H
#define GANGLION_LINK_H

#include "ganglion/wire.h"

// <cdef>
typedef struct gn_link gn_link;

/* name: this peer, put into from=. The link owns neither descriptor; a coordinator_mqd of -1 is not open
 * yet (sending says ENOTCONN until gn_link_reopen). NULL and errno: out of memory, or bad name or descriptor. */
gn_link *gn_link_mqueue(const char *name, int inbox_mqd, int coordinator_mqd);
gn_link *gn_link_stream(int read_fd, int write_fd);
void gn_link_free(gn_link *link);
/* Replace the descriptors after the coordinator came back; what was half received is thrown away. It
 * waits for those who use the link: shut a socket down first. */
void gn_link_reopen(gn_link *link, int read_fd, int write_fd);

/* The longest message that can be sent, LF and from= included. */
size_t gn_link_message_bytes_max(const gn_link *link);
/* Before going to sleep in a receive, look for this many microseconds whether something comes, while it has
 * been coming quickly. 0, the default: sleep at once. */
void gn_link_spin(gn_link *link, uint32_t spin_us);
int gn_link_read_fd(const gn_link *link);

/* Send whole messages, back to back. Returns the bytes taken (all of them, or whole messages up
 * to the deadline), or -errno: EMSGSIZE (first one too long), EAGAIN (nothing before the deadline), EPIPE, EINTR,
 * EBADMSG (over queues: the first is no message, so it cannot say from=; gn_parse tells why)...
 * timeout_ms < 0: wait for ever; 0: do not wait. */
ptrdiff_t gn_link_send(gn_link *link, const uint8_t *buf, size_t len, int timeout_ms);

/* Receive up to cap messages into out; their spans count from *base, valid until the next receive.
 * Returns how many (0: nothing before the deadline), or -errno; -EPIPE: the coordinator closed. EINTR returns 0.
 * cap of them: there may be more in the buffer, which the descriptor knows nothing of. */
ptrdiff_t gn_link_recv(gn_link *link, gn_msg *out, size_t cap, int timeout_ms, const uint8_t **base);
// </cdef>

#endif
