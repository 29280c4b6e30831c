/* internal.h - what the files of csrc/src/link share.
 *
 * Times are microseconds of CLOCK_MONOTONIC; a deadline of GN_NEVER waits for ever, one in the past
 * does not wait.
 */
#ifndef GN_LINK_INTERNAL_H
#define GN_LINK_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "ganglion/link.h"

#define GN_NEVER INT64_MAX
#define GN_BRISK_US 500     /* a wait shorter than this is a short one */
#define GN_READ_BYTES 65536 /* asked of a stream at a time */

struct gn_link {
    _Atomic int queue;    /* 1: queues, 0: streams; changed with both locks */
    int not_socket;       /* a pipe or a file: MSG_NOSIGNAL is not for it */
    int wake_fd;          /* streams: receiving ends when this is readable; -1: none */
    _Atomic int woken;    /* queues: receiving ends at the next datagram, be it a blank line */
    char name[GN_TASK_BYTES_MAX + 1];

    pthread_mutex_t send_lock;
    _Atomic int write_fd; /* -1: not open yet */
    _Atomic size_t slot;  /* of the coordinator's queue, bytes */
    uint8_t *packed;      /* slot bytes: the datagram being built */
    uint8_t *tail;        /* stream: the rest of a message that the deadline cut */
    size_t tail_len;
    int counting;         /* streams: count messages_out, at the price of reading what is sent */
    _Atomic uint64_t messages_out;

    pthread_mutex_t recv_lock;
    int read_fd;
    size_t read_bytes;    /* room one read needs: a slot, or GN_READ_BYTES */
    uint8_t *in;
    size_t in_cap, in_start, in_end;
    gn_parser parser;
    int more;             /* whole messages may be left between in_start and in_end */
    uint32_t spin_us;     /* gn_link_spin */
    int brisk;            /* the last wait was a short one */
    int ended;            /* the stream's end was read */
    _Atomic uint32_t restarts, restarts_seen; /* the other end began anew: drop what is half received */
    size_t hello_len;     /* queues: a HELLO stands behind in_end, from the one that comes after */
};

/* As gn_link_reopen, to the other kind of descriptors. Whoever receives must have been woken for it. */
void gn_link_switch(gn_link *link, int queue, int read_fd, int write_fd);
int64_t gn_mono_us(void);
int64_t gn_deadline_us(int timeout_ms); /* < 0: GN_NEVER */
/* The lock, or ETIMEDOUT. */
int gn_lock_until(pthread_mutex_t *lock, int64_t deadline_us);
/* poll for events on fd (and reading on wake_fd unless -1). 1 ready, 0 time-out or woken, -errno. */
int gn_wait_fd(int fd, short events, int wake_fd, int64_t deadline_us);
/* The CLOCK_REALTIME moment that the mq_timed functions want for this deadline (GN_NEVER has none). */
struct timespec gn_queue_time(int64_t deadline_us);

/* As gn_link_send and gn_link_recv, with a deadline; the lock is held by the caller. */
ptrdiff_t gn_queue_send(gn_link *link, const uint8_t *buf, size_t len, int64_t deadline_us);
ptrdiff_t gn_stream_send(gn_link *link, const uint8_t *buf, size_t len, int64_t deadline_us);
/* Read once into in[in_end..]. Bytes, 0 at the deadline or when interrupted, -errno, -EPIPE at the end. */
ptrdiff_t gn_queue_read(gn_link *link, int64_t deadline_us);
ptrdiff_t gn_stream_read(gn_link *link, int64_t deadline_us);

ptrdiff_t gn_link_send_until(gn_link *link, const uint8_t *buf, size_t len, int64_t deadline_us);
ptrdiff_t gn_link_recv_until(gn_link *link, gn_msg *out, size_t cap, int64_t deadline_us, const uint8_t **base);

/* The end of message m in buf[0..len), its LF included. */
static inline size_t gn_message_end(const gn_msg *m, const uint8_t *buf, size_t len)
{
    size_t end = (size_t)m->whole.off + m->whole.len;

    return end < len && buf[end] == '\n' ? end + 1 : end;
}

#endif
