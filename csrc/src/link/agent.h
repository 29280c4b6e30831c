/* agent.h - what the files of the runtime share. See ganglion/runtime.h for what it does.
 *
 * One lock guards everything below it in the struct. Descriptors are used with the lock released; whoever
 * does so notes `generation` first, and blames the connection for an error only if it has not changed since.
 */
#ifndef GN_LINK_AGENT_H
#define GN_LINK_AGENT_H

#include "ganglion/runtime.h"
#include "link/held.h"
#include "link/internal.h"
#include "link/ring.h"

#define GN_RUNTIME_BATCH 64          /* messages received at a time */
#define GN_RING_BYTES_MAX (1u << 20) /* over it the runtime's thread stops receiving: the inbox fills, credits hold */

struct gn_runtime {
    gn_runtime_config config;
    uint8_t *register_line;
    size_t register_body;    /* where the line's JSON begins, behind its brace; 0: nowhere */
    char beat_head[512];     /* the heartbeat line, up to its own parameters */
    size_t beat_head_len;
    uint8_t *beat;           /* what is sent: register line or heartbeats with the list; the thread's own */
    size_t beat_len, beat_cap;
    int queue;               /* 1: queues, 0: a socket; it changes when the coordinator comes back without a queue, or with one */
    gn_link *link;
    int self_mqd;            /* our own inbox, to wake the one who is blocked in it; -1 with a socket */
    int wake_thread;         /* eventfd: the runtime's thread */
    int wake_receiver;       /* eventfd: whoever receives from the socket */
    pthread_t thread;
    int thread_runs;

    pthread_mutex_t lock;
    pthread_cond_t taken;    /* something is in a ring, or nobody receives */
    pthread_cond_t overdue;  /* something that is no task is in its ring, and no taker is there */
    pthread_cond_t opened;   /* connected again, or closed, or nobody is inside any more */
    struct gn_ring tasks;    /* DATA */
    struct gn_ring others;   /* all else that is for handlers: CONTROL, ACK, RESPONSE */
    struct gn_held held;     /* the leases of this agent */
    uint32_t generation;     /* of the connection */
    int fd;                  /* the coordinator's queue or socket; -1: none */
    int open;                /* fd is there and REGISTER has been sent on it */
    int receiving;           /* somebody is in gn_link_recv */
    uint32_t inside;         /* threads in gn_runtime_take */
    uint32_t patient;        /* threads that take only what is overdue */
    uint32_t followers;      /* of them, waiting for `taken` */
    uint32_t picky;          /* of those, not content with just anything */
    uint64_t handed;         /* messages that came for handlers */
    int64_t left_us;         /* when the last of them left */
    int parked;              /* the thread sleeps until its next duty: tell it when the last taker leaves */
    int closed, stopped;

    int want_register, connected;
    int said_holds;          /* the last REGISTER did: a list is waited for */
    int64_t open_at_us, register_at_us, beat_at_us; /* next time each may or must be done */
    int64_t answer_us;       /* when the coordinator last answered, or was last connected to */
    int64_t heartbeat_us, backoff_us;
    gn_runtime_stats stats;
};

/* connect.c. The lock is held; connect releases it while it waits for others. */
void gn_runtime_lost(gn_runtime *rt, uint32_t generation); /* this connection is of no use any longer */
void gn_runtime_connect(gn_runtime *rt);                   /* try to open the coordinator again */
/* beat.c. Make rt->beat: the heartbeat with the list of what is held, in as many parts as it takes; or the REGISTER. */
void gn_runtime_write_beat(gn_runtime *rt);
void gn_runtime_write_register(gn_runtime *rt);
void gn_runtime_duties(gn_runtime *rt);                    /* open, register, heartbeat: whatever is due */
int64_t gn_runtime_next_duty(const gn_runtime *rt);
/* An answer for the runtime itself: 1, dealt with; 0: for a handler. */
int gn_runtime_answer(gn_runtime *rt, const uint8_t *base, const gn_msg *m);
/* Receive until deadline_us and put what came into the ring. The lock is held, and released meanwhile. As gn_link_recv. */
ptrdiff_t gn_runtime_receive(gn_runtime *rt, int64_t deadline_us);
void gn_runtime_nudge(int eventfd);
void gn_runtime_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_us);

#endif
