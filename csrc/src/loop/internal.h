/* internal.h - what the files of csrc/src/loop share.
 *
 * A port is what the loop has for a descriptor: an inbox, a peer's queue, a stream or a listener. All but
 * listeners are links of the core. Only the loop's thread touches ports; the others leave commands.
 */
#ifndef GN_LOOP_INTERNAL_H
#define GN_LOOP_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "ganglion/loop.h"
#include "ganglion/store.h"

#define GN_STREAM_CHUNK 65536      /* read from a stream at a time */
#define GN_INBOX_ROUND 64          /* datagrams taken before streams have their turn */
#define GN_CLOSE_GRACE_US 500000   /* a link that is closed may flush that long */
#define GN_DRAIN_GRACE_US 2000000  /* so may all links at the end of a drain */
#define GN_ACCEPT_PAUSE_US 1000000 /* out of descriptors: try again then */
#define GN_BRISK_US 500            /* a wait shorter than this is a short one */
#define GN_LAG_TURN_US 5000000     /* lag of the last five to ten seconds is what STATUS shows */
#define GN_SLOT_BYTES_MIN 64       /* a queue with smaller slots is no peer's */

enum gn_port_kind { GN_PORT_INBOX, GN_PORT_QUEUE, GN_PORT_STREAM, GN_PORT_LISTENER };

struct gn_port {
    struct gn_port *next, *prev; /* loop->ports, or by next alone: loop->dead */
    struct gn_port *next_polled; /* loop->polled */
    int kind, link;              /* link: -1 for a listener */
    int read_fd, write_fd;       /* -1: none */
    unsigned given : 1;          /* not ours to close */
    unsigned ready : 1;          /* inbox: perhaps not empty */
    unsigned watched : 1;        /* queue: known to epoll */
    unsigned blocked : 1;        /* output waits for room */
    unsigned closing : 1;        /* flush until close_at_us, then close */
    unsigned read_ended : 1;     /* stream: nothing more will come in */
    unsigned deaf : 1;           /* stream: nothing more can go out; what came in before still counts */
    unsigned paused : 1;         /* stream: not read until its output is taken */
    unsigned held : 1;           /* stream: whole messages may be in half, to be fed when its output is taken */
    unsigned file : 1;           /* stream: epoll knows no such thing, it is always ready */
    unsigned not_socket : 1;
    unsigned gone : 1;           /* on loop->dead */
    int64_t close_at_us;
    size_t slot;                 /* queues: bytes of a datagram */
    size_t budget;               /* inbox: datagrams to take before answers leave */
    uint8_t *half;               /* stream: what the core has not used yet */
    size_t half_len, half_cap;
    char address[256];           /* queues: the name */
};

#define GN_JOURNAL_EVENT 2 /* data of the epoll event of the journal's descriptor: no port lies there */

/* The coordinator's end of a journal. */
struct gn_journal {
    gn_store *store;            /* NULL: there is none */
    uint64_t base;              /* number of the batch before the core's first */
    uint64_t written;           /* of the last one */
    uint64_t committed;         /* as the core was last told */
    int news;                   /* the store has something to say */
    int failing;                /* as the core was last told */
    int64_t retry_at_us, tell_at_us, walk_at_us; /* the last: no checkpoint before */
    /* checkpoints */
    int walking;                /* one is being written */
    int wanted;                 /* something was damaged: write all anew soon */
    uint64_t walk_segment;      /* where it began */
    uint64_t walk_end;          /* number of the batch that has its end; 0: not written yet */
    uint64_t began_at, took;    /* bytes written before it began; bytes the last one took */
    uint64_t ahead_of_start;    /* bytes in the journal since the last one that a replay found */
    uint64_t stepped;           /* the round in which the last piece of it was written */
    struct gn_parting *partings, **partings_end; /* blobs nobody needs, once a batch is committed */
    char trouble[512];
    _Atomic uint64_t batches, tasks;
};

enum gn_command_kind { GN_ADD_INBOX, GN_ADD_LISTENER, GN_ADD_STREAM, GN_PEER_GONE };

struct gn_command {
    struct gn_command *next;
    int kind, a, b;
    char text[256];
};

struct gn_loop {
    gn_core *core;
    gn_loop_config config;
    size_t pause_bytes;     /* output of a stream over which it is not read */
    int epoll, wake;
    _Atomic int stop, commanded;
    pthread_mutex_t lock;   /* guards commands */
    struct gn_command *commands, **commands_end;

    struct gn_port *ports, *dead;
    struct gn_port *polled; /* inboxes and regular files: looked at in every round; they are few */
    struct gn_port **by_link;
    size_t by_link_cap;
    uint8_t *scratch;       /* what is read before it is fed */
    size_t scratch_cap;

    int64_t offset_us;      /* Unix time less CLOCK_MONOTONIC, at the start: so time never jumps */
    int64_t now_us;
    int64_t sweep_at_us, accept_at_us, close_at_us, drained_at_us; /* INT64_MAX: not now */
    int64_t woken_us;
    int no_pwait2, drained, ran;
    int broken; /* -errno: the journal cannot go on, nor can we */
    uint64_t lag_lately_us[2]; /* longest in this and in the last few seconds */
    int64_t lag_turn_us;
    int brisk; /* the last wait was shorter than GN_BRISK_US */
    struct gn_journal journal;
    _Atomic uint64_t wakeups, datagrams_in, datagrams_out, bytes_in, bytes_out, journal_bytes, blocked, lag_us_max;
    _Atomic uint32_t links;
};

/* loop.c */
void gn_loop_log(gn_loop *loop, const char *format, ...) __attribute__((format(printf, 2, 3)));

void gn_loop_look_at_clock(gn_loop *loop);
uint64_t gn_loop_gauge(const gn_loop *loop, const char *name);
uint64_t gn_loop_lag_us(const gn_loop *loop); /* the longest of the last seconds */

/* port.c */
struct gn_port *gn_port_new(gn_loop *loop, int kind, int link, int read_fd, int write_fd);
/* Forget the port, close what is ours, tell the core. why: for the log; NULL: nothing to say. */
void gn_port_close(gn_loop *loop, struct gn_port *port, const char *why);
struct gn_port *gn_port_of(const gn_loop *loop, int link); /* NULL: none */
void gn_port_poll(gn_loop *loop, struct gn_port *port); /* look at it in every round */
int gn_port_watch(gn_loop *loop, struct gn_port *port, int fd, uint32_t events, int op); /* 0 or -errno */
/* Send what the core has for it, as far as it goes. */
void gn_port_flush(gn_loop *loop, struct gn_port *port);
void gn_ports_reap(gn_loop *loop);
void gn_ports_free(gn_loop *loop);
/* Effects, output, journal: until the core has nothing more to say. */
void gn_loop_settle(gn_loop *loop);

/* mqueue.c */
int gn_inbox_name(int mqd, char *name, size_t cap); /* 0 or -errno */
int gn_inbox_add(gn_loop *loop, int mqd);           /* 0 or -errno */
size_t gn_inbox_drain(gn_loop *loop, struct gn_port *port); /* datagrams fed */
void gn_queue_open(gn_loop *loop, int link, const char *address);
void gn_queue_flush(gn_loop *loop, struct gn_port *port);

/* stream.c */
int gn_stream_add(gn_loop *loop, int read_fd, int write_fd, int given);
void gn_stream_event(gn_loop *loop, struct gn_port *port, uint32_t events, int on_write_fd);
void gn_stream_take(gn_loop *loop, struct gn_port *port);
void gn_stream_press(gn_loop *loop, struct gn_port *port); /* it got more output while it was blocked */
void gn_stream_flush(gn_loop *loop, struct gn_port *port);
int gn_listener_add(gn_loop *loop, int fd);
void gn_listener_accept(gn_loop *loop, struct gn_port *port);

/* journal.c */
void gn_journal_write(gn_loop *loop);   /* what the core has for it, and what that allows */
void gn_journal_care(gn_loop *loop);    /* what is due: commits, retries, checkpoints, facts for STATUS */
int64_t gn_journal_next_us(const gn_loop *loop);
int gn_journal_walks(const gn_loop *loop); /* a checkpoint has more to write now */
void gn_journal_part(gn_loop *loop, const char *hash); /* nobody refers to this blob any longer */
int gn_journal_parts(const gn_loop *loop, const char *hash); /* it is to go, but not yet */
void gn_journal_finish(gn_loop *loop);  /* wait, but not for long, until all is committed */
void gn_journal_close(gn_loop *loop);

/* recover.c: the declarations are in loop.h */

/* blob.c */
void gn_blob_drop(gn_loop *loop, const char *hash);
void gn_blob_sweep(gn_loop *loop);
void gn_blob_keep_all(gn_loop *loop); /* those that tasks refer to: copied, unless they are */

#endif
