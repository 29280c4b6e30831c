/* runtime.h - what keeps an agent alive and fed, without the GIL.
 *
 * Owns: one thread that receives, sends heartbeats, notices a coordinator that went away, opens it
 * again and registers again; a ring of tasks taken by handler threads. Knows nothing of handlers.
 *
 * Fewest wake-ups: while a handler thread waits in gn_runtime_take it receives by itself, and the
 * runtime's thread only keeps time; the runtime's thread takes over receiving when nobody has waited for
 * 2 ms (so a long-running handler neither delays a CANCEL nor lets the inbox fill up).
 */
#ifndef GANGLION_RUNTIME_H
#define GANGLION_RUNTIME_H

#include "ganglion/link.h"

// <cdef>
typedef struct gn_runtime gn_runtime;

typedef struct gn_runtime_config {
    char name[65];             /* of the agent */
    char queue[256];           /* the coordinator's queue; empty: a socket is used */
    char socket_path[256];     /* the coordinator's socket; empty: a queue is used. With both: when there is no queue */
    char inbox[256];           /* this agent's queue, with queue */
    int inbox_mqd;             /* its descriptor, owned by the caller; -1 with a socket */
    uint32_t spin_us;          /* as gn_link_spin */
    uint32_t heartbeat_ms;     /* until WELCOME says otherwise */
    const uint8_t *register_line; /* sent at the start and after every reconnect; copied */
    size_t register_len;
} gn_runtime_config;

/* NULL and errno on failure (no such queue or socket is not one: it keeps trying). */
gn_runtime *gn_runtime_new(const gn_runtime_config *config);
void gn_runtime_free(gn_runtime *runtime); /* stops the thread; sends nothing more */

/* Take up to cap messages (tasks, and CONTROL, ACK, RESPONSE addressed to this agent; PONG and the like are
 * dealt with inside). Waits up to timeout_ms for the first, then, when window_us > 0, up to that much longer for
 * more until cap is reached. The bytes are copied into buf[0..buf_cap) and the spans count from it; a message
 * that does not fit stays for the next call (-EMSGSIZE when it is the first). Returns how many, 0 on time-out or
 * when a signal came, -EPIPE after gn_runtime_close. Any number of threads. */
ptrdiff_t gn_runtime_take(gn_runtime *runtime, gn_msg *out, size_t cap, uint8_t *buf, size_t buf_cap,
                          int timeout_ms, uint32_t window_us);

#define GN_TAKE_TASKS 1  /* DATA */
#define GN_TAKE_OTHERS 2 /* CONTROL, ACK, RESPONSE: they come first */
#define GN_TAKE_OVERDUE 4 /* with OTHERS: only what lies there while every other taker is busy; never receives by itself */

/* What a taker wants. With an action, of the tasks only those of it: the taking ends at the first of another. */
typedef struct gn_wanted {
    int kinds;
    const char *action;
    size_t action_len;
} gn_wanted;

/* As gn_runtime_take, for what is wanted; the rest stays for other takers. */
ptrdiff_t gn_runtime_take_wanted(gn_runtime *runtime, const gn_wanted *wanted, gn_msg *out, size_t cap, uint8_t *buf,
                                 size_t buf_cap, int timeout_ms, uint32_t window_us);
/* Send whole messages (outcomes, progress, submissions). Any thread. As gn_link_send; while there is no coordinator
 * it waits for one until the deadline. -EPIPE: closed, and there is none. */
ptrdiff_t gn_runtime_send(gn_runtime *runtime, const uint8_t *buf, size_t len, int timeout_ms);
/* Wake every taker with -EPIPE; for shutting down. */
void gn_runtime_close(gn_runtime *runtime);

typedef struct gn_runtime_stats {
    uint64_t received, sent, heartbeats, pongs, reconnects;
    uint64_t pong_age_ms; /* since the coordinator last answered */
    int connected;        /* WELCOME has come since the last reconnect */
    uint64_t epoch;       /* of the coordinator, from WELCOME */
} gn_runtime_stats;
void gn_runtime_read_stats(gn_runtime *runtime, gn_runtime_stats *out);
/* As gn_link_message_bytes_max; 0 until the coordinator's queue was first opened. */
size_t gn_runtime_message_bytes_max(gn_runtime *runtime);
// </cdef>

#endif
