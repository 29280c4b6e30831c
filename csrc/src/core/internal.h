/* internal.h - the map of the dispatch core: every table, and who owns what in it.
 *
 * All objects live in pools and are named by index (GN_NIL: none), so a pool can grow and no
 * pointer goes stale: a pool grows by chunks that never move. Lists are intrusive.
 *
 * One message goes: core.c (feed) -> verbs_*.c -> shift.c (the only place that changes a state,
 * by the table of table.c) -> and after the message gn_settle (core.c): ended tasks are
 * delivered and their dependents woken, doomed links closed, ready tasks and free agents matched.
 * So an answer always stands before what follows from it.
 */
#ifndef GANGLION_CORE_INTERNAL_H
#define GANGLION_CORE_INTERNAL_H

#include <string.h>

#include "ganglion/core.h"
#include "ganglion/plant.h"
#include "ganglion/cron.h"

#define GN_NIL UINT32_MAX
#define GN_NEVER INT64_MAX
#define GN_MS INT64_C(1000)              /* microseconds */
#define GN_MS_MAX UINT64_C(4294967295)   /* the longest time a parameter may ask for: 49 days */
#define GN_TRIES_MAX 65535
#define GN_SLOTS_MAX 65535
#define GN_SERVES_MAX 64                 /* actions of one agent */
#define GN_SHARES 64                     /* classes of load: floor(64 * used / slots) of an agent with a free slot */
#define GN_REGISTER_BYTES_MAX 1024
#define GN_KEPT_BYTES_MAX 900             /* of the hops= kept in a definition */
#define GN_WORDS_BYTES_MAX 4096          /* of a burial, kept with the task */
#define GN_LATE_BYTES_MAX 4096           /* of a late outcome, kept with the task */
#define GN_PAGE_ROWS 100
#define GN_PAGE_VISITS 10000             /* tasks looked at for one page of TASKS */
#define GN_PEEK_BYTES 256
#define GN_PRIOS (GN_PRIO_MAX + 1)
#define GN_BLOB_HEX 64
#define GN_TURN_BYTES_MAX 64             /* of key=, decoded */
#define GN_LABELS_MAX 4                  /* of one task */
#define GN_METER_BYTES_MAX (8 + GN_TASK_BYTES_MAX) /* "sender/" and a name */
#define GN_RATE_MAX UINT64_C(1000000000) /* thousandths of a token a second */
#define GN_BURST_MAX UINT64_C(1000000)
#define GN_RUNNING_MAX UINT64_C(1000000)
#define GN_SCHEDULE_NAME_MAX 48          /* "." and unix ms up to the year 9999 behind it are a task's name */
#define GN_SCHEDULE_EVERY_MIN 100        /* ms */
#define GN_SCHEDULE_BEHIND_MAX 1000      /* missed=all: so many are made up for */
_Static_assert(GN_SCHEDULE_NAME_MAX + 1 + 15 <= GN_TASK_BYTES_MAX, "a firing's task has a name");
/* Parameters passed on must leave room in a header for all the coordinator adds: the longest verb or action,
 * a full name, lease, try, token, len, or from and ts in the journal. */
#define GN_PASS_BYTES_MAX 750
_Static_assert(GN_PASS_BYTES_MAX + 24 + 64 + 1 + 54 + 10 + 17 + 70 + 30 <= GN_HEADER_BYTES_MAX,
               "what is passed on fits a header");

/* ---- pool.c: objects by index ------------------------------------------------------------- */

#define GN_CHUNK 1024
struct gn_pool {
    uint8_t **chunk;
    uint32_t item_bytes, bound;
    uint32_t high;  /* indices ever used */
    uint32_t live;
    uint32_t free;  /* first of the freed ones, each holding the next in its first four bytes */
};

int gn_pool_open(struct gn_pool *pool, size_t item_bytes, uint32_t bound);
void gn_pool_close(struct gn_pool *pool);
uint32_t gn_pool_take(struct gn_pool *pool); /* zeroed; GN_NIL at the bound or out of memory */
void gn_pool_give(struct gn_pool *pool, uint32_t i);

static inline void *gn_pool_at(const struct gn_pool *pool, uint32_t i)
{
    return pool->chunk[i / GN_CHUNK] + (size_t)(i % GN_CHUNK) * pool->item_bytes;
}

/* Intrusive doubly linked lists over a pool; `off` is the node's place in the item. */
struct gn_node {
    uint32_t next, prev;
};
struct gn_list {
    uint32_t head, tail, count;
};
#define GN_LIST_EMPTY ((struct gn_list){GN_NIL, GN_NIL, 0})

static inline struct gn_node *gn_node_at(const struct gn_pool *pool, uint32_t i, size_t off)
{
    return (struct gn_node *)((uint8_t *)gn_pool_at(pool, i) + off);
}
void gn_list_push(const struct gn_pool *pool, size_t off, struct gn_list *list, uint32_t i);
void gn_list_put(const struct gn_pool *pool, size_t off, struct gn_list *list, uint32_t i, uint32_t behind); /* GN_NIL: first */
void gn_list_drop(const struct gn_pool *pool, size_t off, struct gn_list *list, uint32_t i);

/* ---- names.c: name -> index ---------------------------------------------------------------- */

struct gn_names {
    uint64_t *slot; /* hash << 32 | index + 1; 0: free */
    uint32_t mask, count;
};
/* The name of item `index`, for comparing. */
typedef const char *gn_name_of(const gn_core *core, uint32_t index, size_t *len);

uint64_t gn_hash(uint64_t seed, const void *bytes, size_t len);
int gn_names_reserve(struct gn_names *names); /* room for one more; 0 when out of memory */
void gn_names_add(struct gn_names *names, uint32_t hash, uint32_t index);
void gn_names_drop(struct gn_names *names, uint32_t hash, uint32_t index);
uint32_t gn_names_find(const gn_core *core, const struct gn_names *names, gn_name_of *name_of,
                       uint32_t hash, const char *name, size_t len);

/* ---- the objects ---------------------------------------------------------------------------- */

enum gn_reason { GN_REASON_NONE, GN_REASON_TTL, GN_REASON_AFTER, GN_REASON_TRIES, GN_REASON_AGENT,
                 GN_REASON_AGENT_GONE, GN_REASON_LEASE, GN_REASON_COUNT };

enum gn_timer_kind { GN_TIMER_OFF, GN_TIMER_HEAP, GN_TIMER_LEASE, GN_TIMER_KEEP };

#define GN_TASK_LEN 1      /* its payload travels with len= */
#define GN_TASK_TRACE 2    /* hops= wanted */
#define GN_TASK_DELAY 4    /* waiting, and its delay is not over either */
#define GN_TASK_SETTLE 8   /* ended, in core->settle */
#define GN_TASK_KEEP 16    /* keep= was given */
#define GN_TASK_SPENT 32   /* in core->spent */
#define GN_TASK_ONCE 64    /* once=1: its lease is journalled before it leaves */
#define GN_TASK_WORDS_LEN 128
#define GN_TASK_LOGGED 256 /* its lease stands in the journal */

/* Where a ready task stands, by its node q. */
enum gn_stand { GN_STAND_NONE, GN_STAND_QUEUE, GN_STAND_LINE, GN_STAND_PARKED };

struct gn_task {
    struct gn_node all;   /* core->all: order of acceptance */
    struct gn_node q;     /* ready: as stand says; leased, cancelling: its agent's list; buried: its action's */
    struct gn_node lane;  /* timers.c */
    struct gn_node spent; /* core->spent: ended, delivered, not pinned: may make room, oldest first */
    uint32_t settle_next;
    uint32_t self, hash;
    uint32_t action;      /* the one it is at; GN_NIL only before acceptance */
    uint32_t next_action; /* where COMPLETE_ON and COMPLETE_WAIT take it, else GN_NIL */
    uint32_t agent;       /* peer that holds it, or GN_NIL */
    uint32_t blob;        /* of its payload or result */
    uint32_t heap_at;     /* place in the timer heap */
    uint32_t tags;        /* its key and labels, or GN_NIL */
    uint32_t sender;      /* the meter of who submitted it, or GN_NIL */
    uint32_t stream;      /* of what is kept of its PARTIALs, or GN_NIL */
    uint32_t berth;       /* parked there, or in the queue on its invitation; else GN_NIL */
    uint32_t late;        /* an outcome that came when its lease was over, or GN_NIL */
    uint32_t needs;       /* first edge to a task it waits for or runs after */
    struct gn_list needed_by; /* edges from tasks that wait for this one or run after it: its result is kept */
    uint32_t waits;       /* unmet ones among needs */
    uint32_t visit_next, visit_from; /* gn_deps_circle: its list, and whom this one waits for on the way */
    uint64_t visit;
    struct gn_list watchers; /* oldest first */
    uint32_t tries_used, tries_max;
    uint32_t lease_ms, keep_ms;
    uint8_t state, prio, reason, timer, stand;
    uint8_t policy;       /* of what it waits for: enum gn_policy */
    uint16_t flags;
    uint8_t name_len, name_off; /* where in mem the name stands */
    uint16_t pass_len;    /* parameters passed on, behind the name in mem; the payload follows */
    uint32_t payload_len;
    uint32_t mem_bytes;
    uint32_t words_len;   /* of a failure */
    uint16_t hops_len;
    uint8_t *mem;         /* name, parameters, payload; when done: the outcome line as it is sent */
    char *words;
    char *hops;
    uint64_t content;     /* hash of action and payload (or blob) as submitted */
    uint64_t serial;      /* number of its acceptance, from 1 */
    uint64_t batch;       /* of the journal in which it last changed */
    uint64_t turn;        /* when it became ready, as a sequence number */
    uint64_t token;       /* of the lease, 0 without */
    uint32_t listed;      /* the list of its agent (gn_peer.list) that named it last */
    uint8_t missing;      /* lists in a row without it */
    uint8_t handed_out;   /* to an agent, by this run of the coordinator */
    int64_t listed_us;    /* when its agent last named it */
    int64_t ready_us;     /* when it last became ready */
    uint64_t timer_seq;
    int64_t timer_at;
    int64_t due_us;       /* of its state */
    int64_t ttl_us;       /* of its unfinished life */
    int64_t accepted_us, entered_us /* its action */, leased_us, ended_us;
};

/* What is kept of a task's PARTIALs and PROGRESS: lines as they were sent. */
struct gn_stream {
    struct gn_node node;  /* core->kept_streams: oldest first */
    uint32_t self, task;
    uint8_t *buf;         /* buf[head..tail): of each line a struct gn_piece, then the line */
    size_t head, tail, cap;
    uint32_t bytes;       /* of the lines */
    uint32_t progress_len;
    uint8_t *progress;    /* the last PROGRESS, or NULL */
};
struct gn_piece {
    uint64_t seq;
    uint32_t len;
};

struct gn_action {
    uint32_t self, hash;
    uint8_t name_len, paused, marked;
    char name[GN_ACTION_BYTES_MAX + 1];
    uint16_t prios;                      /* bit p: queue p is not empty */
    uint64_t shares;                     /* bit s: share s is not empty */
    struct gn_list queue[GN_PRIOS];      /* ready tasks, by gn_task.q */
    uint32_t front[GN_PRIOS];            /* last of those at the queue's head that were parked before, or GN_NIL */
    uint32_t meter;                      /* of its limit, or GN_NIL */
    struct gn_list share[GN_SHARES];     /* agents with a free slot, by gn_serve.node */
    struct gn_list buried;               /* by gn_task.q, oldest first */
    uint32_t agents;
    uint32_t count[16];                  /* tasks by state */
    uint32_t tasks;
    uint32_t marked_next;
};
_Static_assert(GN_STATE_COUNT <= 16, "count[] has a place for every state");

/* A text of key=, and who has its turn: the first in the line. */
struct gn_key {
    uint32_t self, hash, refs;
    uint8_t name_len; /* 0: not live */
    char name[GN_TURN_BYTES_MAX];
    struct gn_list line; /* tags of tasks that have been ready and have not ended */
};

/* What few tasks have. */
struct gn_tags {
    struct gn_node line; /* key->line */
    uint32_t self, task, key;
    uint32_t label[GN_LABELS_MAX]; /* meters */
    uint8_t labels, in_line;
    int64_t since_us;    /* when it joined the line */
};

enum gn_meter_kind { GN_METER_ACTION, GN_METER_SENDER, GN_METER_LABEL, GN_METER_KINDS };

/* What a limit is or can be set on. There as long as somebody refers to it: a limit, a peer, a task that may run (again). */
struct gn_meter {
    struct gn_list berths;
    uint32_t self, hash, refs, heap_at;
    uint32_t action;            /* of kind action */
    uint32_t running, parked;   /* tasks; running is not counted for kind action */
    uint32_t bound;             /* of those running; 0: none */
    uint64_t rate;              /* thousandths of a token a second; 0: no bucket */
    uint64_t burst, level;      /* tokens; thousand-millionths of one, at level_us */
    int64_t level_us;
    uint8_t kind, timer, name_len; /* 0: not live */
    char name[GN_METER_BYTES_MAX + 1]; /* "label/openai" */
};

/* The tasks of one action that wait at one meter. */
struct gn_berth {
    struct gn_node on_meter;
    uint32_t self, meter, action;
    uint16_t prios, invited; /* bit p: parked[p] is not empty; a task of it is back in the queue */
    struct gn_list parked[GN_PRIOS]; /* by gn_task.q */
};

struct gn_limit {
    uint64_t rate, burst;
    uint32_t running;
};

/* One agent serving one action. */
struct gn_serve {
    struct gn_node node; /* of a share of the action */
    uint32_t self, peer, action;
};

#define GN_SHARE_OUT 255 /* the agent gets nothing: full, draining, suspect, claiming, or its link is full */

struct gn_peer {
    uint32_t self, hash;
    uint32_t conn;
    uint32_t heap_at;
    uint32_t *serves;    /* none: a client */
    uint32_t serve_count;
    uint32_t slots, used;
    uint8_t name_len, run_len, share, live, draining, blocked, marked, timer;
    uint8_t suspect;     /* silent for suspect_ms */
    uint8_t claiming;    /* it registered with tasks it holds, and has not listed them yet */
    uint8_t lists;       /* its last HEARTBEAT had a list: what none named is not extended */
    uint32_t list;       /* number of the list it is at, from 1 */
    uint32_t marked_next;
    char name[GN_TASK_BYTES_MAX + 1];
    char run[GN_TASK_BYTES_MAX + 1];
    char *info;          /* what it registered with, JSON */
    uint32_t info_len;
    struct gn_list held; /* tasks, by gn_task.q */
    uint32_t meter;      /* of its submissions, once there was one */
    int64_t heard_us;    /* any message */
    int64_t beat_us;     /* HEARTBEAT or REGISTER: leases count from here */
    uint64_t done, failed;
};

/* From this byte of a link's output on, nothing leaves before that batch of the journal is committed. */
struct gn_hold {
    uint64_t off, batch;
};

#define GN_CONN_OPENED 9 /* kind of a link the core asked to be opened: output only */

struct gn_conn {
    struct gn_node dirty;   /* core->dirty */
    struct gn_node effect;  /* core->effects */
    uint32_t self;
    uint32_t peer;          /* registered on it, or GN_NIL */
    uint8_t kind, live, is_dirty, doomed, closing, want_open, want_close, in_effects, events;
    int64_t moved_us;       /* when its output last left, or began to wait */
    uint32_t doomed_next;
    struct gn_node event_node;
    gn_parser parser;
    char address[256];
    uint8_t *buf;           /* output: buf[head..tail) */
    size_t head, tail, cap;
    uint64_t head_abs;      /* bytes taken so far */
    uint64_t *ends;         /* ring of the absolute ends of the messages in buf */
    uint32_t ends_head, ends_count, ends_cap;
    struct gn_hold *holds;   /* ring, in order: what waits for the journal */
    uint32_t holds_head, holds_count, holds_cap;
    struct gn_node holding;  /* core->holding */
    struct gn_list watching; /* watches whose task has not ended */
    struct gn_list waiting;  /* watches whose result waits for room here */
    uint64_t events_lost;
};

/* Somebody waits for a task. */
struct gn_watch {
    struct gn_node on_conn; /* conn->watching or ->waiting */
    struct gn_node on_task; /* task->watchers */
    uint32_t self, task, conn;
    uint8_t waiting;
};

/* needs=: when what is named in after= lets a task run. */
enum gn_policy { GN_NEEDS_ALL, GN_NEEDS_ENDED, GN_NEEDS_ANY };

/* PAST: of an action of `from` before the one it is at. */
enum gn_met { GN_EDGE_UNMET, GN_EDGE_MET, GN_EDGE_PAST };

/* task `from` waits for, or runs after, task `to`. */
struct gn_edge {
    struct gn_node in;  /* to->needed_by, oldest first */
    uint32_t out_next;  /* from->needs */
    uint32_t self, from, to;
    uint8_t met;        /* enum gn_met */
};

/* An outcome of a task that was refused as stale. */
struct gn_late {
    struct gn_node node; /* core->late_list */
    uint32_t task, payload_len;
    uint8_t from_len;
    int verb;
    uint64_t token;      /* 0: it came without */
    uint64_t size;       /* of its payload as it came */
    uint64_t batch;      /* of the journal it stands in */
    char *mem;           /* who sent it, and the payload, perhaps cut */
};

struct gn_blob {
    struct gn_node drop; /* core->blob_drops, or core->blob_keeps */
    uint32_t self, hash, refs;
    uint8_t dropping, keeping; /* in which of them */
    char name[GN_BLOB_HEX + 1];
};

enum gn_missed { GN_MISSED_ONE, GN_MISSED_ALL, GN_MISSED_NONE };
enum gn_overlap { GN_OVERLAP_ALLOW, GN_OVERLAP_SKIP };

struct gn_schedule {
    uint32_t self, hash, heap_at, blob;
    uint8_t live, timer, name_len, action_len, missed, overlap;
    uint8_t counted;      /* its payload travels with len= */
    uint16_t params_len;  /* of what it came with, in mem; the payload follows */
    uint32_t payload_len;
    uint32_t every_ms;    /* 0: cron */
    uint32_t behind;      /* how many that were due together are still to come */
    int offset;           /* minutes east of UTC */
    gn_cron cron;
    char name[GN_SCHEDULE_NAME_MAX + 1];
    char action[GN_ACTION_BYTES_MAX + 1];
    uint8_t *mem;
    int64_t base_ms;      /* its acceptance: every= counts from here */
    int64_t from_ms;      /* up to here all has been dealt with */
    int64_t next_ms;      /* GN_NEVER: not in this calendar */
    int64_t last_ms;      /* due time of its last task, 0: none */
    uint64_t fired, missed_count;
};

/* ---- timers.c ------------------------------------------------------------------------------ */

/* Whose deadline it is: the high bits of an id in the heap. An index has the other 24 (INDEX_MAX in core.c). */
enum gn_timed { GN_TIMED_TASK, GN_TIMED_PEER, GN_TIMED_METER, GN_TIMED_SCHEDULE };
#define GN_TIMED_SHIFT 24
#define GN_TIMED_ID(what, index) ((uint32_t)(what) << GN_TIMED_SHIFT | (index))
#define GN_TIMED_WHAT(id) ((int)((id) >> GN_TIMED_SHIFT))
#define GN_TIMED_INDEX(id) ((id) & ((UINT32_C(1) << GN_TIMED_SHIFT) - 1))
struct gn_timer {
    int64_t at;
    uint64_t seq;
    uint32_t id; /* GN_TIMED_ID */
};
struct gn_timers {
    struct gn_timer *heap; /* 4-ary, by (at, seq) */
    uint32_t count, cap;
    struct gn_list lease, keep; /* lanes: deadlines that came in order need no heap */
    uint64_t seq;
};

/* ---- text.c: a buffer JSON and messages are put together in -------------------------------- */

struct gn_text {
    char *p;
    size_t len, cap;
    int failed; /* out of memory: what is in it is not whole */
};

/* ---- the gauges: X(name, value, bound) ------------------------------------------------------ */

#define GN_GAUGES(X)                                                                       \
    X(tasks, core->tasks.live, core->config.tasks_max)                                     \
    X(unfinished, core->unfinished, 0)                                                     \
    X(results, core->results, core->config.results_max)                                    \
    X(spent, core->spent.count, 0)                                                         \
    X(late, core->lates.live, 0)                                                           \
    X(bytes, core->bytes, core->config.bytes_max)                                          \
    X(partial_bytes, core->partial_bytes, 0)                                               \
    X(actions, core->actions.live, core->config.actions_max)                               \
    X(peers, core->peers.live, core->config.peers_max)                                     \
    X(agents, core->agents, 0)                                                             \
    X(suspects, core->suspects, 0)                                                         \
    X(links, core->conns.live, core->config.links_max)                                     \
    X(watches, core->watches.live, core->config.watches_max)                               \
    X(edges, core->edges.live, core->config.edges_max)                                     \
    X(keys, core->keys.live, core->config.tasks_max)                                       \
    X(meters, core->meters.live, core->config.limits_max)                                  \
    X(limits, core->limits, 0)                                                             \
    X(parked, core->parked, 0)                                                             \
    X(schedules, core->schedules.live, core->config.schedules_max)                         \
    X(blobs, core->blobs.live, 0)                                                          \
    X(out_bytes, core->out_bytes, 0)                                                       \
    X(journal_bytes, core->journal.len, 0)                                                 \
    X(waiting, core->count[GN_STATE_WAITING], 0)                                           \
    X(delayed, core->count[GN_STATE_DELAYED], 0)                                           \
    X(ready, core->count[GN_STATE_READY], 0)                                               \
    X(leased, core->count[GN_STATE_LEASED], 0)                                             \
    X(cancelling, core->count[GN_STATE_CANCELLING], 0)                                     \
    X(done, core->count[GN_STATE_DONE], 0)                                                 \
    X(buried, core->count[GN_STATE_BURIED], 0)                                             \
    X(cancelled, core->count[GN_STATE_CANCELLED], 0)                                       \
    X(messages, core->n.messages, 0)                                                       \
    X(submitted, core->n.submitted, 0)                                                     \
    X(dispatched, core->n.dispatched, 0)                                                   \
    X(completed, core->n.completed, 0)                                                     \
    X(retried, core->n.retried, 0)                                                         \
    X(leases_lost, core->n.leases_lost, 0)                                                 \
    X(adopted, core->n.adopted, 0)                                                         \
    X(stale, core->n.stale, 0)                                                             \
    X(rejected, core->n.rejected, 0)                                                       \
    X(busy, core->n.busy, 0)                                                               \
    X(evicted, core->n.evicted, 0)                                                         \
    X(purged, core->n.purged, 0)                                                           \
    X(schedules_fired, core->n.schedules_fired, 0)                                         \
    X(schedules_missed, core->n.schedules_missed, 0)                                       \
    X(progress_dropped, core->n.progress_dropped, 0)                                       \
    X(events_lost, core->n.events_lost, 0)                                                 \
    X(links_closed_slow, core->n.links_closed_slow, 0)

struct gn_core {
    gn_core_config config;
    int64_t now; /* us */
    uint64_t random;
    uint64_t token, serial, turn, named, visit;
    struct gn_pool tasks, actions, serves, peers, conns, watches, edges, blobs, keys, tags, meters, berths, schedules, lates, streams;
    struct gn_names task_names, action_names, peer_names, blob_names, key_names, meter_names, schedule_names;
    struct gn_timers timers;
    struct gn_list all, spent, dirty, effects, event_conns, blob_drops, blob_keeps, holding;
    struct gn_list late_list, kept_streams; /* oldest first */
    uint32_t settle_head, settle_tail;
    uint32_t doomed;                      /* links to be closed */
    uint32_t actions_head, actions_tail;  /* marked: got a ready task, were resumed, ... */
    uint32_t agents_head, agents_tail;    /* marked: got a free slot, room, ... */
    uint64_t bytes, out_bytes, partial_bytes; /* the last are among the first */
    uint32_t limits, parked; /* limits that are set; tasks parked by one */
    uint32_t unfinished, results, agents, suspects;
    uint32_t count[16];
    uint8_t draining, drained, replaying, resuming, failing;
    uint64_t batch, committed;            /* of the journal: the open one, and the last that is safe */
    uint32_t walk;                        /* checkpoint: the next task, or GN_NIL */
    uint64_t walk_end;                    /* and the serial it ends at; 0: no checkpoint */
    int64_t hold_until;                   /* after a restart: nothing is handed out before, agents may come back */
    struct gn_kept *kept;                 /* replay: the definition whose second line comes next */
    gn_core_facts facts;
    struct gn_text journal, text, line, firing;
    struct {
        uint64_t messages, submitted, dispatched, completed, retried, leases_lost, adopted, stale, rejected, busy, evicted, purged,
            progress_dropped, events_lost, links_closed_slow, schedules_fired, schedules_missed;
    } n;
};

/* A message being carried out, and who it is from. */
struct gn_ctx {
    const uint8_t *buf;
    const gn_msg *m;
    gn_params p;
    uint32_t conn; /* where answers go, or GN_NIL */
    uint32_t peer; /* the sender, when registered, or GN_NIL */
    uint32_t link; /* where it came in */
    const char *from; /* who says to have sent it, when that is no registered peer */
    size_t from_len;
};

#include "core/calls.h"

#endif
