/* loop.h - the coordinator's data plane: queues and sockets to the core and back.
 *
 * Owns: file descriptors, buffers, and the thread it runs on. Knows nothing of what messages mean.
 * Runs gn_core on one thread: epoll over the inbox queue, the listening socket, the accepted
 * connections, and the peers' queues that were full. A wake-up drains all that is there, feeds
 * the core once, then sends each dirty link as few and as full datagrams as fit. No GIL, no
 * allocation per message. The control plane talks to it as any peer does: over a socket pair
 * given to gn_loop_add_stream.
 */
#ifndef GANGLION_LOOP_H
#define GANGLION_LOOP_H

#include "ganglion/core.h"

// <cdef>
typedef struct gn_loop gn_loop;

typedef struct gn_loop_config {
    char blob_prefix[128];     /* name of this instance's segments up to the hash: "/ganglion.main." */
    uint32_t sweep_ms;         /* 5000: how often unreferenced, unlocked segments are removed; 0: never */
    uint32_t spin_us;          /* before going to sleep, look this long for more, while more has come quickly; 0: sleep at once */
    int log_fd;                /* one line a happening (opened, closed, failed and why), non-blocking; -1: none */
} gn_loop_config;

/* NULL and errno set on failure. */
gn_loop *gn_loop_new(const gn_core_config *core, const gn_loop_config *config);
void gn_loop_free(gn_loop *loop); /* after gn_loop_run has returned; closes what it accepted or opened, not what it was given */

/* Before gn_loop_run, or while it runs (they take effect at its next wake-up). 0 or -errno. */
int gn_loop_add_inbox(gn_loop *loop, int mqd);             /* a queue to read from; shared */
int gn_loop_add_listener(gn_loop *loop, int fd);           /* a listening stream socket; made non-blocking */
int gn_loop_add_stream(gn_loop *loop, int read_fd, int write_fd); /* may be the same */
/* The process that owns this queue is gone: close its link. */
int gn_loop_peer_gone(gn_loop *loop, const char *address);

/* Runs until gn_loop_stop, or until a drain has ended. 0: stopped; 1: drained; -errno. */
int gn_loop_run(gn_loop *loop);
void gn_loop_stop(gn_loop *loop); /* from any thread or a signal handler */

typedef struct gn_loop_stats {
    uint64_t wakeups, datagrams_in, datagrams_out, bytes_in, bytes_out, journal_bytes;
    uint64_t blocked;          /* times a queue was full when something was to be sent */
    uint64_t lag_us_max;       /* longest time from wake-up to the end of its work since last asked */
    uint32_t links;
} gn_loop_stats;
void gn_loop_read_stats(gn_loop *loop, gn_loop_stats *out); /* any thread */

/* Blob segments (csrc/src/loop/blob.c), also used by clients. A segment lives while somebody holds a shared
 * lock on it or the coordinator refers to it. */
/* Remove `name` unless somebody holds a lock on it. 1 removed, 0 locked or not there, -errno. */
int gn_blob_unlink(const char *name);
// </cdef>

#endif
