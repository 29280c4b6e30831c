/* replay.c - a journal read back: the same tasks in a fresh core.
 *
 * A journal's line was accepted when it was written, so nothing is refused here for a bound or a state
 * that only time can have brought about; a task an outcome is for was with an agent then. Edges of after=
 * are made at the end, when all tasks are there. A journal that lost a batch still gives the best there is: a line
 * about a task that is not known is passed over, a definition replaces what is there.
 */
#include <stdlib.h>

#include "core/internal.h"

/* The first line of a definition, waiting for the second. */
struct gn_kept {
    char name[GN_TASK_BYTES_MAX];
    size_t name_len;
    char action[GN_ACTION_BYTES_MAX];
    size_t action_len;
    int state, reason;
    uint64_t serial, content, token;
    uint32_t tries_max, used, lease_ms, keep_ms;
    uint16_t flags;
    int64_t accepted, entered, due, ttl, ended, since;
    char from[GN_TASK_BYTES_MAX];
    size_t from_len;
    char hops[GN_HEADER_BYTES_MAX];
    size_t hops_len;
    uint8_t words[GN_WORDS_BYTES_MAX];
    size_t words_len;
};

/* Time does not pass in a replay: a delay that is not over here was over then. */
void gn_replay_lease(gn_core *core, struct gn_task *t)
{
    if (t->state == GN_STATE_WAITING)
        gn_shift(core, t, GN_EVENT_AFTER_MET);
    if (t->state == GN_STATE_READY || t->state == GN_STATE_DELAYED)
        gn_dispatch(core, t, NULL);
}

void gn_task_drop(gn_core *core, struct gn_task *t)
{
    if (!gn_task_ended(t))
        gn_shift(core, t, GN_EVENT_TTL_OVER); /* to buried, or cancelled */
    gn_settle(core);
    gn_task_forget(core, t);
}

/* ---- definitions ---------------------------------------------------------------------------------- */

static uint64_t number(const struct gn_ctx *x, const char *key, uint64_t otherwise)
{
    gn_span s;
    uint64_t v;
    if (!gn_param_find(x->buf, x->m, key, &s) || !gn_read_u64(gn_chars(x->buf, s), s.len, &v))
        return otherwise;
    return v;
}

static int64_t time_us(const struct gn_ctx *x, const char *key, int64_t otherwise)
{
    uint64_t v = number(x, key, UINT64_MAX);
    return v > (uint64_t)INT64_MAX ? otherwise : (int64_t)v;
}

static size_t word(const struct gn_ctx *x, const char *key, char *dst, size_t cap)
{
    gn_span s;
    if (!gn_param_find(x->buf, x->m, key, &s) || s.len > cap)
        return 0;
    memcpy(dst, gn_chars(x->buf, s), s.len);
    return s.len;
}

static int state_of(const struct gn_ctx *x)
{
    char text[16];
    size_t n = word(x, "state", text, sizeof text);
    for (int i = GN_STATE_NONE + 1; i < GN_STATE_COUNT; i++)
        if (strlen(gn_state_word(i)) == n && memcmp(gn_state_word(i), text, n) == 0)
            return i;
    return GN_STATE_NONE;
}

static void keep_books(gn_core *core, const struct gn_ctx *x)
{
    if (core->kept == NULL && (core->kept = malloc(sizeof *core->kept)) == NULL)
        return;
    struct gn_kept *k = core->kept;
    k->name_len = x->m->task.len;
    memcpy(k->name, gn_chars(x->buf, x->m->task), k->name_len);
    k->action_len = word(x, "action", k->action, sizeof k->action);
    k->state = state_of(x);
    k->reason = gn_reason_in(x, GN_REASON_NONE);
    k->serial = number(x, "serial", 0);
    k->content = number(x, "content", 0);
    k->token = number(x, "token", 0);
    k->tries_max = (uint32_t)number(x, "tries", core->config.tries);
    k->used = (uint32_t)number(x, "used", 0);
    k->lease_ms = (uint32_t)number(x, "lease", core->config.lease_ms);
    k->keep_ms = (uint32_t)number(x, "keep", core->config.keep_ms);
    k->flags = (uint16_t)number(x, "flags", 0);
    k->accepted = time_us(x, "accepted", core->now);
    k->entered = time_us(x, "entered", k->accepted);
    k->due = time_us(x, "due", GN_NEVER);
    k->ttl = time_us(x, "ttl", GN_NEVER);
    k->ended = time_us(x, "ended", core->now);
    k->since = time_us(x, "since", GN_NEVER);
    k->from_len = word(x, "from", k->from, sizeof k->from);
    k->hops_len = word(x, "hops", k->hops, sizeof k->hops);
    k->words_len = x->m->payload.len < sizeof k->words ? x->m->payload.len : sizeof k->words;
    memcpy(k->words, x->buf + x->m->payload.off, k->words_len);
    if (k->state == GN_STATE_NONE || k->name_len == 0 || !gn_is_action(k->action, k->action_len)) {
        free(core->kept);
        core->kept = NULL;
    }
}

/* The task of the second line, in no state yet. For one that is done the line itself is what is kept. */
static struct gn_task *make(gn_core *core, const struct gn_ctx *x, const struct gn_kept *k)
{
    const gn_msg *m = x->m;
    int done = m->type == GN_RESPONSE;
    uint32_t action = gn_action_get(core, k->action, k->action_len);
    char pass[GN_HEADER_BYTES_MAX];
    ptrdiff_t n = done ? 0 : gn_pairs_copy(pass, 0, sizeof pass, gn_chars(x->buf, m->params), m->params.len, GN_BIT(LEN));
    if (action == GN_NIL || n < 0)
        return NULL;
    struct gn_task *t = gn_task_new(core, k->name, k->name_len, pass, (size_t)n, x->buf + m->payload.off, done ? 0 : m->payload.len);
    if (t == NULL)
        return NULL;
    core->serial--; /* it has its own */
    t->action = action;
    if (x->p.present & GN_BIT(BLOB) && gn_blob_is(gn_chars(x->buf, x->p.blob), x->p.blob.len))
        t->blob = gn_blob_ref(core, gn_chars(x->buf, x->p.blob), x->p.blob.len);
    if (!done && x->p.present & (GN_BIT(KEY) | GN_BIT(LABEL)))
        gn_tags_set(core, t, x); /* without memory for it: it goes without its turn */
    if (!done && gn_is_name(k->from, k->from_len))
        t->sender = gn_meter_ref(core, GN_METER_SENDER, k->from, k->from_len);
    t->prio = (uint8_t)(done ? GN_PRIO_DEFAULT : x->p.prio);
    return t;
}

static void fill(gn_core *core, struct gn_task *t, const struct gn_kept *k)
{
    t->serial = k->serial;
    if (k->serial > core->serial)
        core->serial = k->serial;
    t->content = k->content;
    t->tries_max = k->tries_max;
    t->lease_ms = k->lease_ms;
    t->keep_ms = k->keep_ms;
    t->flags = k->flags & (GN_TASK_LEN | GN_TASK_TRACE | GN_TASK_KEEP | GN_TASK_ONCE);
    t->accepted_us = k->accepted;
    t->entered_us = k->entered;
    t->ttl_us = k->ttl;
    if (k->hops_len > 0 && (t->hops = malloc(k->hops_len)) != NULL) {
        memcpy(t->hops, k->hops, k->hops_len);
        t->hops_len = (uint16_t)k->hops_len;
        core->bytes += k->hops_len;
    }
}

/* Through the table, as ever, to the state it was in. */
static void bring(gn_core *core, struct gn_task *t, const struct gn_kept *k)
{
    if (t->tags != GN_NIL && k->since != GN_NEVER)
        gn_key_claim(core, t, k->since);
    gn_shift(core, t, k->state == GN_STATE_WAITING ? GN_EVENT_SUBMIT_WAITING
                      : k->state == GN_STATE_DELAYED ? GN_EVENT_SUBMIT_DELAYED
                                                     : GN_EVENT_SUBMIT_READY);
    t->tries_used = k->used;
    if (k->state == GN_STATE_LEASED || k->state == GN_STATE_CANCELLING || k->state == GN_STATE_DONE) {
        if (k->state == GN_STATE_LEASED && k->token == 0)
            t->tries_used = k->used > 0 ? k->used - 1 : 0; /* with whom is not known: ready, as if it had not gone out */
        else
            gn_dispatch(core, t, NULL);
    }
    if (k->state == GN_STATE_LEASED && k->token != 0) {
        t->token = k->token;
        t->flags |= GN_TASK_LOGGED;
    } else if (k->state == GN_STATE_CANCELLING || k->state == GN_STATE_CANCELLED) {
        gn_shift(core, t, GN_EVENT_CANCEL);
    } else if (k->state == GN_STATE_DONE) {
        gn_shift(core, t, GN_EVENT_COMPLETE);
    } else if (k->state == GN_STATE_BURIED) {
        t->reason = (uint8_t)(k->reason != GN_REASON_NONE ? k->reason : GN_REASON_AGENT);
        gn_shift(core, t, GN_EVENT_TTL_OVER);
    }
    if (t->state == k->state)
        t->tries_used = k->used;
}

static void date(gn_core *core, struct gn_task *t, const struct gn_kept *k)
{
    if (t->state == GN_STATE_READY || t->state == GN_STATE_LEASED)
        return;
    t->due_us = k->due;
    if (t->state == GN_STATE_WAITING)
        t->flags |= k->flags & GN_TASK_DELAY;
    if (gn_task_ended(t))
        t->ended_us = k->ended;
    gn_timer_task(core, t);
}

/* The outcome as it is sent, LF and all. */
static int take_outcome(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    const gn_msg *m = x->m;
    uint8_t *mem = malloc((size_t)m->whole.len + 1);
    if (mem == NULL)
        return 0;
    memcpy(mem, x->buf + m->whole.off, m->whole.len);
    mem[m->whole.len] = '\n';
    gn_task_set_mem(core, t, mem, (size_t)m->whole.len + 1);
    t->name_off = (uint8_t)(m->task.off - m->whole.off);
    t->pass_len = 0;
    t->payload_len = m->payload.len;
    return 1;
}

int gn_replay_kept(gn_core *core, const struct gn_ctx *x)
{
    struct gn_kept *k = core->kept;
    if (k == NULL)
        return 0;
    int mine = x->m->task.len == k->name_len && memcmp(gn_chars(x->buf, x->m->task), k->name, k->name_len) == 0 &&
               (k->state == GN_STATE_DONE ? x->m->verb == GN_VERB_TASK_COMPLETED : x->m->type == GN_DATA);
    struct gn_task *t = mine ? gn_task_named(core, x) : NULL;
    if (t != NULL)
        gn_task_drop(core, t);
    t = mine ? make(core, x, k) : NULL;
    if (t != NULL) {
        fill(core, t, k);
        bring(core, t, k);
        if (k->state == GN_STATE_DONE && !take_outcome(core, t, x))
            gn_task_drop(core, t); /* without memory for a result it is as if it had been forgotten */
        else {
            gn_task_set_words(core, t, k->words, k->words_len, k->flags & GN_TASK_WORDS_LEN);
            date(core, t, k);
        }
    }
    free(core->kept);
    core->kept = NULL;
    return mine;
}

/* ---- lines of the journal's own ---------------------------------------------------------------------- */

static void leased(gn_core *core, const struct gn_ctx *x)
{
    struct gn_task *t = gn_task_named(core, x);
    if (t == NULL || x->p.token == 0)
        return;
    gn_replay_lease(core, t);
    if (t->state != GN_STATE_LEASED)
        return;
    t->token = x->p.token;
    if (x->p.present & GN_BIT(TRY))
        t->tries_used = (uint32_t)x->p.try_;
    t->flags |= GN_TASK_LOGGED;
}

void gn_replay_control(gn_core *core, const struct gn_ctx *x)
{
    struct gn_task *t;
    uint64_t serial;
    switch (x->m->verb) {
    case GN_VERB_FORGET:
        if ((t = gn_task_named(core, x)) != NULL)
            gn_task_drop(core, t);
        break;
    case GN_VERB_LEASED:
        leased(core, x);
        break;
    case GN_VERB_KEPT:
        keep_books(core, x);
        break;
    case GN_VERB_CHECKPOINT:
        serial = number(x, "serial", 0);
        if (serial > core->serial)
            core->serial = serial;
        break;
    default:
        break;
    }
}

/* ---- the end ------------------------------------------------------------------------------------------- */

struct place {
    uint64_t key, then;
    uint32_t task;
};

static int by_key(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->then < y->then ? -1 : x->then > y->then;
}

/* All tasks in order of acceptance, or of their end; NULL without memory for it: the order of the journal stays. */
static struct place *sorted(const gn_core *core, int by_end, uint32_t *count)
{
    struct place *out = malloc(((size_t)core->all.count + 1) * sizeof *out);
    *count = 0;
    for (uint32_t i = core->all.head; out != NULL && i != GN_NIL; i = gn_task_at(core, i)->all.next) {
        const struct gn_task *t = gn_task_at(core, i);
        if (!by_end || gn_task_ended(t))
            out[(*count)++] = (struct place){by_end ? (uint64_t)t->ended_us : t->serial, t->serial, i};
    }
    if (out != NULL)
        qsort(out, *count, sizeof *out, by_key);
    return out;
}

/* The table in order of acceptance, numbered so, and the ready ones queued in it: those agents held stand first again. */
static void put_in_order(gn_core *core)
{
    uint32_t n;
    uint64_t before = 0;
    struct place *places = sorted(core, 0, &n);
    for (uint32_t i = 0; places != NULL && i < n; i++) {
        struct gn_task *t = gn_task_at(core, places[i].task);
        gn_list_drop(&core->tasks, GN_TASK_ALL, &core->all, t->self);
        gn_list_push(&core->tasks, GN_TASK_ALL, &core->all, t->self);
        if (t->serial <= before)
            t->serial = before + 1; /* a lost batch makes a replay count otherwise */
        before = t->serial;
        if (t->state == GN_STATE_READY)
            gn_queue_drop(core, t);
    }
    for (uint32_t i = 0; places != NULL && i < n; i++) {
        struct gn_task *t = gn_task_at(core, places[i].task);
        if (t->state == GN_STATE_READY)
            gn_queue_push(core, t);
    }
    if (before > core->serial)
        core->serial = before;
    free(places);
}

/* Ended ones are kept as long as if the coordinator had not been away; those whose time was over but who were
 * waited for get some more. */
static void keep_on(gn_core *core, struct gn_task *t, int64_t last)
{
    if (t->due_us == GN_NEVER)
        return;
    t->due_us = t->due_us <= last ? core->now + (int64_t)core->config.keep_ms * GN_MS : t->due_us + (core->now - last);
    gn_timer_task(core, t);
}

static void put_ended_in_order(gn_core *core, int64_t last)
{
    uint32_t n;
    struct place *places = sorted(core, 1, &n);
    for (uint32_t i = 0; places != NULL && i < n; i++) {
        struct gn_task *t = gn_task_at(core, places[i].task);
        struct gn_list *buried = &gn_action_at(core, t->action)->buried;
        if (t->flags & GN_TASK_SPENT) {
            gn_list_drop(&core->tasks, GN_TASK_SPENT_NODE, &core->spent, t->self);
            gn_list_push(&core->tasks, GN_TASK_SPENT_NODE, &core->spent, t->self);
        }
        if (t->state == GN_STATE_BURIED) {
            gn_list_drop(&core->tasks, GN_TASK_Q, buried, t->self);
            gn_list_push(&core->tasks, GN_TASK_Q, buried, t->self);
        }
        keep_on(core, t, last);
    }
    free(places);
}

void gn_core_resume(gn_core *core, int64_t now_us)
{
    int64_t last = core->now;
    if (now_us > core->now)
        core->now = now_us;
    free(core->kept);
    core->kept = NULL;
    core->replaying = 0;
    core->resuming = 1;
    gn_limits_resume(core);
    put_in_order(core);
    put_ended_in_order(core, last);
    for (uint32_t i = core->all.head; i != GN_NIL; i = gn_task_at(core, i)->all.next) {
        struct gn_task *t = gn_task_at(core, i);
        if (GN_PLANTED(RETRY) && t->state == GN_STATE_DELAYED) {
            t->due_us = GN_NEVER;
            gn_timer_task(core, t);
        }
        if (!gn_task_ended(t) && !GN_PLANTED(DEPS))
            gn_deps_resume(core, t);
        if (t->state == GN_STATE_LEASED) { /* its agent has as long to come back as one that fell silent */
            t->leased_us = core->now;
            t->due_us = core->now + (int64_t)core->config.agent_timeout_ms * GN_MS;
            gn_timer_task(core, t);
        }
    }
    for (uint32_t i = 0; i < core->blobs.high; i++) /* one that was accepted a moment before the end has no copy yet */
        if (gn_blob_at(core, i)->refs > 0)
            gn_blob_keep(core, i);
    gn_keys_resume(core);
    gn_schedules_resume(core);
    core->resuming = 0;
    core->hold_until = core->all.count > 0 ? core->now + (int64_t)core->config.resume_hold_ms * GN_MS : 0;
    gn_settle(core);
}
