/* calls.h - what the files of the core offer each other, file by file. Included by internal.h alone, behind the tables.
 */
#ifndef GANGLION_CORE_CALLS_H
#define GANGLION_CORE_CALLS_H

/* ---- access ---------------------------------------------------------------------------------- */

#define GN_ACCESS(type, pool)                                                              \
    static inline struct gn_##type *gn_##type##_at(const gn_core *core, uint32_t i)        \
    {                                                                                      \
        return &((struct gn_##type *)core->pool.chunk[i / GN_CHUNK])[i % GN_CHUNK];        \
    }
GN_ACCESS(task, tasks)
GN_ACCESS(action, actions)
GN_ACCESS(serve, serves)
GN_ACCESS(peer, peers)
GN_ACCESS(conn, conns)
GN_ACCESS(watch, watches)
GN_ACCESS(edge, edges)
GN_ACCESS(blob, blobs)
GN_ACCESS(key, keys)
GN_ACCESS(tags, tags)
GN_ACCESS(meter, meters)
GN_ACCESS(berth, berths)
GN_ACCESS(schedule, schedules)
GN_ACCESS(late, lates)
GN_ACCESS(stream, streams)
#undef GN_ACCESS

#define GN_TASK_ALL offsetof(struct gn_task, all)
#define GN_TASK_Q offsetof(struct gn_task, q)
#define GN_TASK_LANE offsetof(struct gn_task, lane)
#define GN_TASK_SPENT_NODE offsetof(struct gn_task, spent)

static inline const char *gn_task_name(const struct gn_task *t)
{
    return (const char *)t->mem + t->name_off;
}
static inline int gn_task_ended(const struct gn_task *t)
{
    return t->state == GN_STATE_DONE || t->state == GN_STATE_BURIED || t->state == GN_STATE_CANCELLED;
}
static inline const char *gn_chars(const uint8_t *buf, gn_span s)
{
    return (const char *)buf + s.off;
}

/* ---- table.c, shift.c ------------------------------------------------------------------------ */

/* The only way to change a state. 0, or the code of a refused cell (the task is as it was).
 * What the new state needs (agent, due_us, reason ...) is set by the caller before. */
int gn_shift(gn_core *core, struct gn_task *t, int event);
/* What gn_shift would say; for a request that has more to check before it. */
int gn_shift_code(const struct gn_task *t, int event);
void gn_unfinish_delay(gn_core *core, struct gn_task *t, int event, uint64_t delay_ms); /* to delayed, and on at once without a delay */

/* ---- tasks.c --------------------------------------------------------------------------------- */

int gn_is_name(const char *s, size_t n); /* 1 to 64 of letters digits - _ . */
uint32_t gn_task_find(const gn_core *core, const char *name, size_t len);
struct gn_task *gn_task_named(const gn_core *core, const struct gn_ctx *x); /* that x is about, or NULL */
/* A parameter that t is passed on with, as written; the last of a key given twice. "" and 0: none. */
const char *gn_task_passed(const struct gn_task *t, int param, size_t *len);
struct gn_task *gn_task_new(gn_core *core, const char *name, size_t name_len, const char *pass, size_t pass_len,
                            const uint8_t *payload, size_t payload_len); /* NULL: bound or memory; state none */
void gn_task_free(gn_core *core, struct gn_task *t); /* state none: accepted never, or forgotten */
void gn_task_set_mem(gn_core *core, struct gn_task *t, uint8_t *mem, size_t bytes); /* takes mem over */
void gn_task_set_words(gn_core *core, struct gn_task *t, const uint8_t *words, size_t len, int counted);
const char *gn_reason_word(int reason);
const char *gn_reason_text(int reason);
const uint8_t *gn_task_payload(const struct gn_task *t);
void gn_task_hop(gn_core *core, struct gn_task *t);

/* ---- queue.c: actions and their queues -------------------------------------------------------- */

uint32_t gn_action_find(const gn_core *core, const char *name, size_t len);
uint32_t gn_action_get(gn_core *core, const char *name, size_t len); /* makes it; GN_NIL: bound or memory */
void gn_queue_push(gn_core *core, struct gn_task *t);
void gn_queue_drop(gn_core *core, struct gn_task *t); /* out of wherever a ready task stands */
void gn_queue_return(gn_core *core, struct gn_task *t); /* one that was parked: to the front, behind those that came back before */
uint32_t gn_queue_head(const struct gn_action *a); /* the next task, or GN_NIL */
void gn_action_mark(gn_core *core, uint32_t action);
int gn_is_action(const char *name, size_t len);

/* ---- keys.c: key= and the other tags of a task --------------------------------------------------- */

int gn_key_is_sane(const struct gn_ctx *x);
int gn_label_is_sane(const struct gn_ctx *x);
int gn_tags_set(gn_core *core, struct gn_task *t, const struct gn_ctx *x); /* from x's key= and label=; 0 or a code: none kept */
void gn_tags_free(gn_core *core, struct gn_task *t); /* it needs them no longer; also without any */
/* Into the line of its key, since then; nothing when it stands there, or has no key. t has tags. */
void gn_key_claim(gn_core *core, struct gn_task *t, int64_t since);
void gn_key_leave(gn_core *core, struct gn_task *t);            /* out of it: the next one has the turn */
int gn_key_has_turn(const gn_core *core, const struct gn_task *t); /* or would have it; 1 without a key */
int gn_key_take(gn_core *core, struct gn_task *t); /* to the front of the line: it runs already. 0: another one does */
void gn_keys_resume(gn_core *core); /* after a replay, the clock being set and the edges of after= made */

/* ---- meters.c: what limits are set on ------------------------------------------------------------- */

const char *gn_meter_kind(int kind);
const char *gn_meter_bare(const struct gn_meter *m, size_t *len); /* its name without the kind */
uint32_t gn_meter_find(const gn_core *core, int kind, const char *name, size_t len);
uint32_t gn_meter_ref(gn_core *core, int kind, const char *name, size_t len); /* makes it; GN_NIL: bound or memory */
void gn_meter_unref(gn_core *core, uint32_t meter);
int gn_meter_open(const gn_core *core, const struct gn_meter *m); /* a task may run under it now */
uint64_t gn_meter_level(const gn_core *core, const struct gn_meter *m); /* whole tokens */
uint32_t gn_meter_running(const gn_core *core, const struct gn_meter *m);
void gn_meter_take(gn_core *core, struct gn_meter *m); /* a token */
void gn_meter_arm(gn_core *core, struct gn_meter *m);
void gn_meter_set(gn_core *core, struct gn_meter *m, uint64_t rate, uint64_t burst, uint32_t bound);
void gn_limits_resume(gn_core *core); /* after a replay, the clock being set */

/* ---- limits.c: who may not run now ------------------------------------------------------------------ */

uint32_t gn_limits_head(gn_core *core, struct gn_action *a); /* the next task that may run; parks those that may not */
uint32_t gn_limits_refuse(const gn_core *core, const struct gn_task *t); /* the meter that forbids it to run now, or GN_NIL */
void gn_limits_spend(gn_core *core, const struct gn_task *t); /* it is handed out: tokens */
void gn_limits_hold(gn_core *core, const struct gn_task *t);  /* it is about to be with an agent, or, in a replay, was */
void gn_limits_give(gn_core *core, const struct gn_task *t);  /* it no longer is */
void gn_berth_left(gn_core *core, struct gn_task *t, int was_parked); /* t->berth != GN_NIL, and it has left it or the queue */
void gn_meter_due(gn_core *core, struct gn_meter *m);
int gn_sender_set(gn_core *core, struct gn_task *t, const struct gn_ctx *x);
void gn_sender_free(gn_core *core, struct gn_task *t);
int gn_limit_set(gn_core *core, int kind, const char *name, size_t len, const struct gn_limit *limit); /* 0 or GN_BUSY */

/* ---- verbs_limit.c ------------------------------------------------------------------------------------ */

void gn_limit_row(gn_core *core, uint32_t meter);
void gn_limits_checkpoint(gn_core *core); /* those that are set, as LIMIT lines into the journal */

/* ---- timers.c --------------------------------------------------------------------------------- */

int gn_timers_reserve(gn_core *core); /* room for every task, peer and schedule and one more */
void gn_timer_task(gn_core *core, struct gn_task *t); /* (re)arm from due_us and ttl_us */
void gn_timer_task_off(gn_core *core, struct gn_task *t);
void gn_timer_peer(gn_core *core, struct gn_peer *p, int64_t at);
void gn_timer_peer_off(gn_core *core, struct gn_peer *p);
void gn_timer_meter(gn_core *core, struct gn_meter *m, int64_t at);
void gn_timer_meter_off(gn_core *core, struct gn_meter *m);
void gn_timer_schedule(gn_core *core, struct gn_schedule *s, int64_t at);
void gn_timer_schedule_off(gn_core *core, struct gn_schedule *s);
int gn_timer_first(const gn_core *core, struct gn_timer *out);

/* ---- agents.c: peers, their actions and credits ------------------------------------------------ */

uint32_t gn_peer_find(const gn_core *core, const char *name, size_t len);
struct gn_peer *gn_peer_new(gn_core *core, const char *name, size_t len);
int gn_peer_serve(gn_core *core, struct gn_peer *p, const uint32_t *actions, uint32_t count); /* 0 or a code */
void gn_peer_unserve(gn_core *core, struct gn_peer *p);
void gn_peer_free(gn_core *core, struct gn_peer *p);
void gn_peer_gone(gn_core *core, struct gn_peer *p, int released); /* its tasks go to others; the link stays */
void gn_agent_relist(gn_core *core, struct gn_peer *p); /* after used, slots, draining, blocked changed */
void gn_agent_mark(gn_core *core, struct gn_peer *p);
int gn_agent_serves(const gn_core *core, const struct gn_peer *p, uint32_t action);
uint32_t gn_agent_pick(gn_core *core, struct gn_action *a);
void gn_agent_tell_cancel(gn_core *core, const struct gn_task *t);
void gn_agent_arm(gn_core *core, struct gn_peer *p);   /* when its silence next means something */
void gn_agent_trust(gn_core *core, struct gn_peer *p); /* a suspect was heard again */
static inline void gn_peer_heard(gn_core *core, struct gn_peer *p)
{
    p->heard_us = core->now;
    if (p->suspect)
        gn_agent_trust(core, p);
}
int64_t gn_suspect_us(const gn_core *core); /* 0: never */

/* ---- dispatch.c ---------------------------------------------------------------------------------- */

int gn_dispatch(gn_core *core, struct gn_task *t, struct gn_peer *p); /* p NULL: replay */
void gn_pump(gn_core *core);
void gn_lease_lost(gn_core *core, struct gn_task *t, int reason);
void gn_task_due(gn_core *core, struct gn_task *t);
void gn_peer_due(gn_core *core, struct gn_peer *p);

/* ---- leases.c -------------------------------------------------------------------------------------- */

int gn_list_is_sane(const struct gn_ctx *x);
void gn_lease_list(gn_core *core, const struct gn_ctx *x, struct gn_peer *p); /* a HEARTBEAT's, or a part of it */
/* The outcome of a lease of an earlier run has come: when nobody was handed t since, it counts. */
void gn_lease_answered(gn_core *core, struct gn_task *t, uint32_t peer, uint64_t token);
int gn_lease_extended(const struct gn_task *t); /* by every HEARTBEAT of its agent, or only when it is named */

/* ---- alarms.c --------------------------------------------------------------------------------------- */

void gn_alarms(gn_core *core); /* the member "alarms" of the object in core->text */

/* ---- deps.c ---------------------------------------------------------------------------------------- */

int gn_deps_policy(const char *word, size_t len); /* enum gn_policy of the value of needs=, or -1 */
int gn_deps_policy_kept(const struct gn_task *t); /* the one in what is passed on */
int gn_deps_add(gn_core *core, struct gn_task *t, const uint8_t *raw, size_t len, int policy); /* after=; 0 or a code: none kept */
void gn_deps_drop(gn_core *core, struct gn_task *t);
void gn_deps_trim(gn_core *core, struct gn_task *t, uint32_t stop); /* those added since t->needs was stop */
void gn_deps_ended(gn_core *core, struct gn_task *t); /* wake or bury what waits for t */
int gn_deps_replayed(const gn_core *core, const struct gn_ctx *x); /* a replay, and not all that x's after= names is known to be done: gn_deps_resume decides */
void gn_deps_resume(gn_core *core, struct gn_task *t); /* after a replay: its edges, and whether it may go */
int gn_deps_lost(const gn_core *core, const struct gn_task *t); /* what it waits for can no longer be met */
void gn_deps_go(gn_core *core, struct gn_task *t);   /* what it waited for is so: ready */
void gn_deps_note(gn_core *core, struct gn_task *t); /* it went on: in the journal, when the tasks it waited for may not show it later */
void gn_deps_past(gn_core *core, uint32_t edge);     /* this edge and those behind it are of an action before */
void gn_deps_kicked(gn_core *core, struct gn_task *t); /* t, which was buried, is about to be ready: who waits for its end waits on */
void gn_deps_renew(gn_core *core, struct gn_task *t, uint32_t stop); /* drop those it had when t->needs was stop */
/* A task that raw (the value of after=) names and that waits, perhaps through others, for t; or GN_NIL. The way from it
 * to t is in visit_from. */
uint32_t gn_deps_circle(gn_core *core, struct gn_task *t, const uint8_t *raw, size_t len);

/* ---- watches.c ---------------------------------------------------------------------------------------- */

int gn_watch_add(gn_core *core, struct gn_task *t, uint32_t conn); /* 0 or GN_BUSY; once per link */
void gn_watch_free(gn_core *core, struct gn_watch *w);
void gn_watch_deliver(gn_core *core, struct gn_task *t);       /* t has ended: to everybody who waits */
void gn_watch_room(gn_core *core, struct gn_conn *c);
void gn_watch_forward(gn_core *core, struct gn_task *t, const struct gn_ctx *x);
void gn_events_tell(gn_core *core, const struct gn_task *t, int event, int state);

/* ---- partials.c: what a late watcher can hear again ---------------------------------------------------- */

/* The line in core->line, a PARTIAL of that number or the last PROGRESS. It is not kept where it does not fit. */
void gn_partials_keep_line(gn_core *core, struct gn_task *t, uint64_t seq);
void gn_partials_keep_progress(gn_core *core, struct gn_task *t);
void gn_partials_say(gn_core *core, const struct gn_task *t, struct gn_conn *c, uint64_t from); /* to c: the last PROGRESS, and those from this number on */
void gn_partials_drop(gn_core *core, struct gn_task *t); /* all; also without any */
void gn_partials_yield(gn_core *core, uint64_t bytes);   /* they go, of whole tasks, until so many bytes fit, or none are left */

/* ---- results.c ------------------------------------------------------------------------------------------ */

int gn_result_keep(gn_core *core, struct gn_task *t, const struct gn_ctx *x); /* 0 or a code: nothing changed */
int gn_result_advance(gn_core *core, struct gn_task *t, const struct gn_ctx *x, const char *via, size_t via_len); /* the same, as the next action's payload */
int gn_payload_replace(gn_core *core, struct gn_task *t, const struct gn_ctx *x);
int gn_result_write(gn_core *core, const struct gn_task *t, struct gn_conn *c);
void gn_result_spent(gn_core *core, struct gn_task *t); /* in or out of core->spent, as it must be */
int gn_make_room(gn_core *core, size_t bytes);          /* 0 or GN_BUSY */
void gn_results_trim(gn_core *core);
void gn_task_forget(gn_core *core, struct gn_task *t);

/* ---- late.c: outcomes that came when their lease was over --------------------------------------------------- */

void gn_late_keep(gn_core *core, struct gn_task *t, const struct gn_ctx *x); /* x was refused as stale: in place of the one before */
int gn_late_replay(gn_core *core, struct gn_task *t, const struct gn_ctx *x); /* 1: x is one from a journal, and kept */
void gn_late_drop(gn_core *core, struct gn_task *t); /* also without one */
int gn_late_give_way(gn_core *core);                 /* the oldest of all goes; 0: there is none */
int gn_late_asked(const struct gn_ctx *x);           /* late=1 */
void gn_late_say(gn_core *core, const struct gn_ctx *x, const struct gn_task *t);
void gn_late_member(gn_core *core, const struct gn_task *t); /* of the object that core->text ends in */
size_t gn_late_room(const gn_core *core, const struct gn_task *t); /* bytes that gn_late_checkpoint needs at most */
void gn_late_checkpoint(gn_core *core, const struct gn_task *t); /* into the journal, behind t's definition */
static inline uint64_t gn_late_bytes(const struct gn_late *l)
{
    return (uint64_t)l->from_len + l->payload_len;
}

/* ---- params.c: parameter texts "key=value;key=value" ------------------------------------------------------ */

struct gn_pair {
    const char *key, *value;
    uint32_t key_len, value_len;
    int id; /* enum gn_param, or -1 */
};
#define GN_BIT(name) (UINT64_C(1) << GN_PARAM_##name)
/* The coordinator's own in a submission, an outcome, a progress. */
#define GN_TAKEN_OUT (GN_BIT(FROM) | GN_BIT(ACK) | GN_BIT(DELAY) | GN_BIT(LEN) | GN_BIT(LEASE) | GN_BIT(TRY) |       \
                      GN_BIT(TOKEN) | GN_BIT(TS) | GN_BIT(KEEP) | GN_BIT(HOPS) | GN_BIT(DUP))
int gn_pair_next(const char **at, const char *end, struct gn_pair *out);
/* Append all pairs of text whose id is not in drop. Returns the new length; never over cap (then -1). */
ptrdiff_t gn_pairs_copy(char *dst, size_t len, size_t cap, const char *text, size_t text_len, uint64_t drop);
ptrdiff_t gn_pairs_put(char *dst, size_t len, size_t cap, const char *key, const char *value, size_t value_len);
int gn_pairs_have(const char *text, size_t len, const char *key, size_t key_len);
int gn_comma_next(const uint8_t **at, const uint8_t *end, char *dst, size_t cap, size_t *len); /* 1, 0 end, -1 bad */

/* ---- blobs.c -------------------------------------------------------------------------------------------------- */

int gn_via_is_sane(const uint8_t *at, size_t len);
int gn_blob_is(const char *value, size_t len);
uint32_t gn_blob_ref(gn_core *core, const char *value, size_t len); /* GN_NIL: out of memory */
void gn_blob_keep(gn_core *core, uint32_t blob); /* of one that is referred to: ask for its copy (again: it may have had none) */
void gn_blob_unref(gn_core *core, uint32_t blob);

/* ---- schedules.c, firing.c --------------------------------------------------------------------------------------- */

ptrdiff_t gn_schedule_pairs(char *dst, size_t cap, const char *text, size_t len, uint64_t drop);
size_t gn_schedule_why(const gn_core *core, const struct gn_ctx *x, int code, char *dst); /* 0: nothing to add */
void gn_schedule_note(gn_core *core, const struct gn_schedule *s); /* into the journal: how far it has come */
void gn_schedule_row(gn_core *core, uint32_t i);
int64_t gn_schedule_after(const struct gn_schedule *s, int64_t ms); /* the first one due after it, or GN_NEVER */
void gn_schedule_arm(gn_core *core, struct gn_schedule *s);
void gn_schedule_due(gn_core *core, struct gn_schedule *s);
void gn_schedules_checkpoint(gn_core *core); /* all of them, into the journal, as what makes them anew */
void gn_schedules_resume(gn_core *core);     /* the journal has been fed: from core->now on they fire */

/* ---- journal.c ------------------------------------------------------------------------------------------------- */

int gn_journal_reserve(gn_core *core, const struct gn_ctx *x); /* 0 or GN_JOURNAL: room for this message */
/* Append x as accepted; t: the task it is about, or NULL (then x's own third field stands). more: further parameters, or NULL. */
void gn_journal_message(gn_core *core, const struct gn_ctx *x, struct gn_task *t, const char *more);
void gn_journal_failed(gn_core *core, struct gn_task *t, uint64_t delay_ms); /* a try that failed for t's words */
/* Append what became of t by no message of its own: time, a lost agent, a kick of its whole action. reason may be
 * NULL; with it, t's words go along. */
void gn_journal_own(gn_core *core, struct gn_task *t, const char *verb, const char *reason);
void gn_journal_leased(gn_core *core, struct gn_task *t); /* once: this lease survives a restart */
void gn_journal_forget(gn_core *core, const struct gn_task *t);
/* The newest batch that is not committed yet, for an answer that depends on all so far; 0: none. */
uint64_t gn_journal_pending(const gn_core *core);

/* ---- checkpoint.c, replay.c ------------------------------------------------------------------------------------- */

int gn_checkpoint_define(gn_core *core, struct gn_task *t); /* t as it stands, into the open batch. 0: out of memory */
void gn_checkpoint_skip(gn_core *core, const struct gn_task *t); /* t is about to go: the walk goes on behind it */
void gn_replay_control(gn_core *core, const struct gn_ctx *x); /* FORGET, LEASED, KEPT, CHECKPOINT */
int gn_reason_in(const struct gn_ctx *x, int otherwise); /* reason= of a journal's line */
int gn_replay_kept(gn_core *core, const struct gn_ctx *x);     /* 1: x is the second line of a definition, and done */
void gn_replay_lease(gn_core *core, struct gn_task *t); /* it was with an agent when the journal's line was written */
void gn_task_drop(gn_core *core, struct gn_task *t);    /* whatever its state, it is not here any longer */

/* ---- out.c: links and their output ------------------------------------------------------------------------------ */

struct gn_conn *gn_conn_new(gn_core *core, int kind);
void gn_conn_free(gn_core *core, struct gn_conn *c);
uint8_t *gn_out_reserve(gn_core *core, struct gn_conn *c, size_t n); /* NULL: closing, or out of memory */
void gn_out_hold(gn_core *core, struct gn_conn *c, uint64_t batch);  /* the next message, and all behind it, wait for this batch */
void gn_out_commit(gn_core *core, struct gn_conn *c, size_t n);      /* one message of n bytes */
void gn_out_plain(gn_core *core, struct gn_conn *c, size_t n);       /* the same for an answer: may doom the link */
static inline size_t gn_out_bytes(const struct gn_conn *c)
{
    return c->tail - c->head;
}
static inline int gn_out_room(const gn_core *core, const struct gn_conn *c)
{
    return gn_out_bytes(c) < core->config.out_bytes_max;
}
void gn_conn_doom(gn_core *core, struct gn_conn *c);
void gn_conn_close(gn_core *core, struct gn_conn *c); /* detach everything, ask for CLOSE */
struct gn_conn *gn_conn_ask_open(gn_core *core, const char *address);
struct gn_conn *gn_conn_by_address(gn_core *core, const char *address);
void gn_out_discard(gn_core *core, struct gn_conn *c); /* what has not been taken */
void gn_effect_list(gn_core *core, struct gn_conn *c);

/* ---- say.c: answers ------------------------------------------------------------------------------------------------ */

/* verb is "ACK:DONE"; a NULL payload: none; without a task, parameters and a payload the verb stands alone. */
void gn_say(gn_core *core, uint32_t conn, const char *verb, const char *task, size_t task_len, const char *params,
            const char *payload, size_t payload_len);
int gn_must_count(const char *payload, size_t len); /* it holds an LF, or ends in a NUL: it needs a len= */
/* The same about t into core->line, and a line that is there already to c. */
int gn_say_make(gn_core *core, const char *verb, const struct gn_task *t, const char *params, const char *payload, size_t payload_len); /* 0: out of memory */
void gn_say_line(gn_core *core, struct gn_conn *c, const void *line, size_t len);
/* The same about t, held back until that batch is committed, and saying what is promised: journal=<policy>. */
void gn_say_held(gn_core *core, uint32_t conn, uint64_t batch, const char *verb, const struct gn_task *t, const char *params);
void gn_reject(gn_core *core, const struct gn_ctx *x, int code);
/* The same, saying which of its parameters is to blame. */
void gn_reject_why(gn_core *core, const struct gn_ctx *x, int code);
void gn_reject_words(gn_core *core, const struct gn_ctx *x, int code, const char *words, size_t len);
void gn_done(gn_core *core, const struct gn_ctx *x); /* held back until all that was journalled so far is safe */
/* A refusal to somebody we have no link to: one to `inbox` is opened for it and closed again. */
void gn_reject_inbox(gn_core *core, const struct gn_ctx *x, const char *inbox, int code, const char *words);

/* ---- why.c ---------------------------------------------------------------------------------------------------------- */

#define GN_WHY_BYTES_MAX 320 /* a name of after= as written, and the longest words around it */
_Static_assert(3 * GN_TASK_BYTES_MAX + 100 <= GN_WHY_BYTES_MAX, "any name fits");
size_t gn_why(gn_core *core, const struct gn_ctx *x, int code, char *dst); /* not NUL-terminated */

/* ---- text.c, json.c -------------------------------------------------------------------------------------------------- */

int gn_text_reserve(struct gn_text *t, size_t more);
void gn_text_put(struct gn_text *t, const char *p, size_t n);
void gn_text_str(struct gn_text *t, const char *s);
void gn_text_u64(struct gn_text *t, uint64_t v);
void gn_text_json(struct gn_text *t, const char *s, size_t n); /* a JSON string, quotes and all; bad UTF-8 as U+FFFD */
/* The next member of the object (or, without a name, the next item of the list) that t ends in: a comma where it needs one. */
void gn_member_key(struct gn_text *t, const char *name);
void gn_member_number(struct gn_text *t, const char *name, uint64_t v);
void gn_member_string(struct gn_text *t, const char *name, const char *s, size_t n); /* s NULL: null */
void gn_member_flag(struct gn_text *t, const char *name, int on);
size_t gn_u64(char *dst, uint64_t v); /* decimal, no NUL; at most 20 */
size_t gn_utf8(const uint8_t *s, size_t n); /* length of the UTF-8 character at s, 0: none */
int gn_read_u64(const char *s, size_t n, uint64_t *out); /* 1 or 0 */

enum gn_json_kind { GN_JSON_STRING, GN_JSON_NUMBER, GN_JSON_WORD, GN_JSON_LIST };
struct gn_json {
    const uint8_t *at, *end;
    int first;
};
struct gn_json_value {
    int kind;
    const uint8_t *text; /* as it stands: a string with its quotes, a list with its brackets */
    size_t len;
};
int gn_json_open(struct gn_json *j, const uint8_t *text, size_t len);
/* The next member of the flat object: 1, 0 after the last (and nothing but space behind), -1 not flat JSON. */
int gn_json_next(struct gn_json *j, char *key, size_t cap, struct gn_json_value *value);
int gn_json_item(struct gn_json_value *list, struct gn_json_value *item); /* 1, 0; list is used up */
ptrdiff_t gn_json_string(const struct gn_json_value *v, char *dst, size_t cap); /* NUL-terminated; -1 too long or holds NUL */

/* ---- retry.c: pauses between tries ------------------------------------------------------------------------------------ */

int gn_retry_is_sane(const uint8_t *raw, size_t len); /* the value of retry= */
uint64_t gn_retry_ms(gn_core *core, const struct gn_task *t); /* before the next try of t: its schedule's, or the backoff */

/* ---- replace.c: dup= --------------------------------------------------------------------------------------------------- */

enum gn_dup { GN_DUP_EXISTING, GN_DUP_REJECT, GN_DUP_REPLACE };
int gn_dup_of(const struct gn_ctx *x); /* enum gn_dup, or -1 */
void gn_replace(gn_core *core, const struct gn_ctx *x, struct gn_task *t, uint64_t content);

/* ---- verbs ---------------------------------------------------------------------------------------------------------------- */

/* t, made ready by what may fail, is in: its settings, the journal, the answer (with params), its first state. */
void gn_submit_take(gn_core *core, const struct gn_ctx *x, struct gn_task *t, uint64_t content, const char *params);
int gn_submit_check(const struct gn_ctx *x); /* of its parameters alone: 0 or a code */
void gn_verb_submit(gn_core *core, const struct gn_ctx *x);
void gn_verb_schedule(gn_core *core, const struct gn_ctx *x);
void gn_verb_unschedule(gn_core *core, const struct gn_ctx *x);
void gn_verb_fired(gn_core *core, const struct gn_ctx *x);
void gn_verb_schedules(gn_core *core, const struct gn_ctx *x);
void gn_verb_cancel(gn_core *core, const struct gn_ctx *x);
void gn_verb_result(gn_core *core, const struct gn_ctx *x);
void gn_verb_watch(gn_core *core, const struct gn_ctx *x);
void gn_verb_kick(gn_core *core, const struct gn_ctx *x);
void gn_verb_purge(gn_core *core, const struct gn_ctx *x);
void gn_verb_pause(gn_core *core, const struct gn_ctx *x, int paused);
void gn_verb_limit(gn_core *core, const struct gn_ctx *x);
void gn_verb_limits(gn_core *core, const struct gn_ctx *x);
void gn_verb_assign(gn_core *core, const struct gn_ctx *x);
void gn_verb_register(gn_core *core, const struct gn_ctx *x);
void gn_verb_heartbeat(gn_core *core, const struct gn_ctx *x);
void gn_verb_bye(gn_core *core, const struct gn_ctx *x);
void gn_verb_drain(gn_core *core, const struct gn_ctx *x);
void gn_verb_outcome(gn_core *core, const struct gn_ctx *x);
void gn_verb_progress(gn_core *core, const struct gn_ctx *x);
void gn_verb_status(gn_core *core, const struct gn_ctx *x);
void gn_verb_agents(gn_core *core, const struct gn_ctx *x);
void gn_verb_tasks(gn_core *core, const struct gn_ctx *x);
void gn_verb_peek(gn_core *core, const struct gn_ctx *x);

void gn_settle(gn_core *core);

#endif
