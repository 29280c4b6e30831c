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

#define GN_POLICY_NONE 0   /* no journal: tasks live as long as this process */
#define GN_POLICY_MEMORY 1 /* told that it is accepted once the kernel has it */
#define GN_POLICY_GROUP 2  /* once it is on disk; one sync in group_ms at most */
#define GN_POLICY_SYNC 3   /* once it is on disk; at once */

typedef struct gn_loop_config {
    int journal;               /* GN_POLICY_* */
    char journal_dir[1024];    /* exists; of this coordinator alone */
    char copies_dir[1024];     /* where blobs are copied to; made when needed */
    char instance[33];
    uint32_t group_ms;         /* 5 */
    uint64_t segment_bytes;    /* 64 MiB: a segment of the journal is closed when it is as long as that */
    uint64_t compact_bytes;    /* 64 MiB: what was added since the last checkpoint, before the next is written */
    char blob_prefix[128];     /* name of this instance's segments up to the hash: "/ganglion.main." */
    uint32_t sweep_ms;         /* 5000: how often unreferenced, unlocked segments are removed; 0: never */
    uint32_t spin_us;          /* before going to sleep, look this long for more, while more has come quickly; 0: sleep at once */
    int log_fd;                /* one line a happening (opened, closed, failed and why), non-blocking; -1: none */
} gn_loop_config;

/* NULL and errno set on failure. */
gn_loop *gn_loop_new(const gn_core_config *core, const gn_loop_config *config);
void gn_loop_free(gn_loop *loop); /* after gn_loop_run has returned; closes what it accepted or opened, not what it was given */

/* The journal, before gn_loop_run; without one there is nothing to do. In this order, each once, 0 or -errno, then gn_loop_trouble
 * has words for it. */
int gn_loop_open_journal(gn_loop *loop); /* lock it and look at its heads */
int gn_loop_recover(gn_loop *loop);      /* read it into the core and begin to write; -EINTR: gn_loop_stop was called */
const char *gn_loop_trouble(const gn_loop *loop);

typedef struct gn_loop_progress {
    uint64_t bytes, bytes_total; /* of the journal, read and to be read */
    uint64_t batches, tasks;     /* fed; in the table now (once it is over) */
    uint64_t lost;               /* batches that could not be read */
} gn_loop_progress;
void gn_loop_read_progress(gn_loop *loop, gn_loop_progress *out); /* any thread, while gn_loop_recover runs */

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
