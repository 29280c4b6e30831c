/* core.h - the dispatch core: messages in, messages out, and nothing else.
 *
 * Owns: tasks, per-ACTION queues, agents and their credits, leases, retries, results, watches.
 * Knows nothing of sockets, queues, files, clocks, logs or randomness: time is an argument
 * (microseconds of the Unix clock, never going backwards: a smaller one counts as the last),
 * entropy is a seed, and all it wants done is read off its outputs. The same calls with the
 * same arguments give the same bytes, always. What each message means is protocol/SPEC.md.
 *
 * Use: feed or tick; then take every effect, then every dirty link's output, then the journal.
 * One thread at a time.
 */
#ifndef GANGLION_CORE_H
#define GANGLION_CORE_H

#include "ganglion/wire.h"

/* Task states. SPEC.md's diagram is generated from csrc/src/core/table.c. X(NAME, word) */
#define GN_STATES(X)                                                                           \
    X(NONE, "none")             /* not in the table */                                         \
    X(WAITING, "waiting")       /* for the tasks named in after= */                            \
    X(DELAYED, "delayed")       /* until delay= or the backoff is over */                      \
    X(READY, "ready")           /* in its action's queue */                                    \
    X(LEASED, "leased")         /* with an agent */                                            \
    X(CANCELLING, "cancelling") /* with an agent that was told to stop */                      \
    X(DONE, "done")             /* result kept */                                              \
    X(BURIED, "buried")         /* given up, with a reason; kick brings it back */             \
    X(CANCELLED, "cancelled")

#define GN_EVENTS(X)                                                                           \
    X(SUBMIT_READY) X(SUBMIT_DELAYED) X(SUBMIT_WAITING)                                        \
    X(AFTER_MET) X(AFTER_FAILED) X(DUE) X(DISPATCH)                                            \
    X(COMPLETE) X(COMPLETE_ON) X(COMPLETE_WAIT)      /* COMPLETE_ON: via= goes on */           \
    X(FAIL_RETRY) X(FAIL_FINAL) X(RELEASE) X(BURY)                                             \
    X(LEASE_RETRY) X(LEASE_FINAL)                     /* lease over or agent gone */           \
    X(TTL_OVER) X(CANCEL) X(GRACE_OVER) X(KICK) X(FORGET) X(REPLACE) /* dup=replace: then SUBMIT_* anew */

enum gn_state {
#define X(name, word) GN_STATE_##name,
    GN_STATES(X)
#undef X
    GN_STATE_COUNT
};

enum gn_event {
#define X(name) GN_EVENT_##name,
    GN_EVENTS(X)
#undef X
    GN_EVENT_COUNT
};

// <cdef>
typedef struct gn_core gn_core;

/* Every table's bound, every default. Times in ms. gn_core_defaults fills it. */
typedef struct gn_core_config {
    uint64_t seed;              /* of the hash tables and the backoff jitter */
    uint64_t epoch;             /* names this run of the coordinator; in WELCOME and in given task names */
    uint32_t tasks_max;         /* 1048576: in all states */
    uint32_t results_max;       /* 131072: done, buried or cancelled and already delivered; the oldest go first */
    uint64_t bytes_max;         /* 512 MiB: payloads and results held */
    uint32_t actions_max;       /* 1024 */
    uint32_t peers_max;         /* 4096: named clients and agents */
    uint32_t links_max;         /* 4096 */
    uint32_t watches_max;       /* 2097152: who waits for which task */
    uint32_t edges_max;         /* 1048576: after= */
    uint32_t limits_max;        /* 65536: actions, senders and labels that limits are or could be set on */
    uint32_t schedules_max;     /* 4096 */
    uint32_t partial_bytes_max; /* 65536: of each running task's PARTIAL lines kept for who watches later, and of its last PROGRESS; 0: none */
    uint32_t out_bytes_max;     /* 4 MiB: output of one link not taken yet; over it results wait in the table,
                                   and a link that goes to twice this with answers is closed (slow_peer) */
    uint32_t inline_bytes_max;  /* 65536 */
    uint32_t tries;             /* 3 */
    uint32_t lease_ms;          /* 30000 */
    uint32_t backoff_ms;        /* 200: doubled per failed try, plus 0 to half of itself by jitter */
    uint32_t backoff_ms_max;    /* 60000 */
    uint32_t keep_ms;           /* 300000: how long a result is kept */
    uint32_t keep_buried_ms;    /* 0: for ever */
    uint32_t heartbeat_ms;      /* 1000: told to agents in WELCOME */
    uint32_t agent_timeout_ms;  /* 10000: an agent silent for this long is gone */
    uint32_t suspect_ms;        /* 3000: one silent for this long (and two heartbeats) gets no new tasks; 0: it does */
    uint32_t cancel_grace_ms;   /* 5000 */
    uint32_t resume_hold_ms;    /* 200: after a restart nothing is handed out before, so that agents come back to what they hold */
} gn_core_config;

#define GN_LINK_STREAM 0 /* one peer at the other end: answers go back on it */
#define GN_LINK_SHARED 1 /* an inbox many write to: from= says who, answers go to that peer's own link */
#define GN_LINK_JOURNAL 2 /* a journal being replayed: time is each line's ts=, nothing is answered or journalled again; gn_core_resume ends it */

#define GN_EFFECT_OPEN 1      /* open link to the address text (a queue name); on failure call gn_core_link_closed */
#define GN_EFFECT_CLOSE 2     /* flush what can be, close the link, then call gn_core_link_closed: only then is its number free */
#define GN_EFFECT_BLOB_DROP 3 /* text is a blob's name (64 hex digits) no task refers to any longer */
#define GN_EFFECT_BLOB_KEEP 5 /* text is a blob's name that a task refers to from now on: keep it as safe as the open batch */
#define GN_EFFECT_DRAINED 4   /* draining, and no unfinished task is left */

typedef struct gn_effect {
    int kind;
    int link;
    char text[256]; /* NUL-terminated */
} gn_effect;

/* A task as tests, tools and the model see it. */
typedef struct gn_task_view {
    int state;
    int prio;
    uint32_t tries_used, tries_max;
    uint64_t token;       /* of the current lease, 0 when not leased */
    int64_t due_us;       /* next deadline, INT64_MAX when none */
    uint32_t waits_for;   /* unmet after= */
    int stand;            /* of a ready one: 1 in its action's queue, 2 in the line of its key, 3 parked by a limit */
    uint32_t watchers;
    char action[33];
    char agent[65];       /* empty when not leased */
    char reason[33];      /* of a burial */
} gn_task_view;

void gn_core_defaults(gn_core_config *config);
gn_core *gn_core_new(const gn_core_config *config); /* NULL: out of memory or a bound of 0 */
void gn_core_free(gn_core *core);

/* A link that the outside opened (an accepted connection, or the inbox). Its number, or -(code). */
int gn_core_link_open(gn_core *core, int64_t now_us, int kind);
/* The other end is gone: its agent's tasks go to others, its watches end. */
void gn_core_link_closed(gn_core *core, int64_t now_us, int link);

/* Bytes that came in on a link. Returns how many were used; the caller keeps the rest and feeds
 * it again with more behind it. A stream whose output is over out_bytes_max is not read on: take that first. A datagram of a shared inbox: one call with final = 1. */
size_t gn_core_feed(gn_core *core, int64_t now_us, int link, const uint8_t *buf, size_t len, int final);
/* Do all that is due by now. */
void gn_core_tick(gn_core *core, int64_t now_us);
/* What it takes for now: the latest it was told, or the latest of a journal that was fed. */
int64_t gn_core_now_us(const gn_core *core);
/* When the next tick has something to do; INT64_MAX: never. */
int64_t gn_core_next_us(const gn_core *core);

/* Outputs. */
int gn_core_effect(gn_core *core, gn_effect *out);           /* 1: one taken; 0: no more */
int gn_core_dirty(gn_core *core);                            /* a link that got output since it was last asked about; -1: none */
/* The longest run of whole messages that fits in cap bytes; when not even the first fits, its
 * first cap bytes (then *whole = 0). NULL and 0 when there is nothing. Valid until the next call with core. */
const uint8_t *gn_core_output(gn_core *core, int link, size_t cap, size_t *len, int *whole);
void gn_core_sent(gn_core *core, int64_t now_us, int link, size_t len); /* that many bytes have left; may make room for waiting results */

/* The journal: accepted input and what time did, as lines, in batches. Answers that promise something are held
 * back, each link's in order, until the batch they depend on is committed; gn_core_output does not show them before.
 * Without a journal: seal and commit whenever there is something. */
const uint8_t *gn_core_journal(gn_core *core, size_t *len);    /* the open batch: lines since the last seal */
uint64_t gn_core_journal_seal(gn_core *core);                  /* close it; its number, from 1 on; 0: it was empty. Its bytes are gone */
void gn_core_journal_committed(gn_core *core, uint64_t batch); /* all batches up to it are as safe as the policy promises */
#define GN_JOURNAL_WELL 0
#define GN_JOURNAL_FAILING 1 /* refuse (code journal) what would have to be journalled, but take outcomes */
#define GN_JOURNAL_FULL 2    /* refuse outcomes too */
void gn_core_journal_failing(gn_core *core, int how);
size_t gn_core_held(const gn_core *core, int link);            /* bytes of its output that wait for the journal, and what stands behind them */
/* Write all there is into the journal, beside what goes on: after the last step is committed, what was written
 * before the first is not needed any longer. */
void gn_core_checkpoint(gn_core *core);                        /* begin (anew); its first line is the next of the open batch */
int gn_core_checkpoint_step(gn_core *core, size_t bytes);      /* about so many bytes more; 1: not all yet; 0: that was the end, or there is none */
/* The journal has been fed: sort out what was going on, and live from now on. */
void gn_core_resume(gn_core *core, int64_t now_us);

/* What only the outside knows, for STATUS. All 0: no journal. */
typedef struct gn_core_facts {
    char journal[16];       /* the policy: memory, group, sync; empty: none */
    uint32_t journal_ms;    /* group: one sync in so many ms */
    uint32_t failing;       /* 1: it cannot be written */
    char error[128];        /* why, and what to do */
    uint64_t journal_bytes; /* on disk */
    uint64_t segments, syncs, sync_us, sync_us_max;
    uint64_t lag_us;        /* of the loop: the longest lately */
} gn_core_facts;
void gn_core_tell(gn_core *core, const gn_core_facts *facts);

void gn_core_drain(gn_core *core, int64_t now_us);            /* as CONTROL:DRAIN by an operator */
uint32_t gn_core_blob_refs(const gn_core *core, const char *name); /* name: the 64 hex digits */

/* Gauges: a value for each, and a bound where there is one (0: none). */
int gn_core_gauge_count(void);
const char *gn_core_gauge_name(int gauge);
uint64_t gn_core_gauge(const gn_core *core, int gauge);
uint64_t gn_core_gauge_bound(const gn_core *core, int gauge);

int gn_core_task(const gn_core *core, const char *name, size_t len, gn_task_view *out); /* 1 or 0 */
/* Check every internal invariant (lists, counts, heaps, gauges). 0, or the line of the first that fails. For tests. */
int gn_core_check(const gn_core *core);

/* The state x event table: total. A cell that cannot happen has next = -1; a cell in which the
 * request is refused has next = the state itself and code != 0. */
typedef struct gn_cell {
    int next;         /* state, or -1 */
    int code;         /* what the sender of the request is told; 0: done */
    const char *verb; /* what is done, one word, for the diagram */
} gn_cell;
int gn_state_count(void);
int gn_event_count(void);
const char *gn_state_word(int state);
const char *gn_event_name(int event);
void gn_table_cell(int state, int event, gn_cell *out);
// </cdef>

#endif
