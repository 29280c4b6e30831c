/* dispatch.c - tasks to agents, and back when a lease, an agent or a time to live ends. */
#include "core/internal.h"

static size_t put(uint8_t *dst, const void *src, size_t n)
{
    memcpy(dst, src, n);
    return n;
}

static size_t put_number(uint8_t *dst, const char *key, uint64_t v)
{
    size_t n = put(dst, key, strlen(key));
    return n + gn_u64((char *)dst + n, v);
}

/* DATA:<ACTION>:<task>;<what was kept>;lease=;try=;token=[;len=]:<payload> */
static size_t write_task(const gn_core *core, const struct gn_task *t, uint8_t *dst)
{
    const struct gn_action *a = gn_action_at(core, t->action);
    size_t n = put(dst, "DATA:", 5);
    n += put(dst + n, a->name, a->name_len);
    dst[n++] = ':';
    n += put(dst + n, t->mem, t->name_len);
    if (t->pass_len > 0) {
        dst[n++] = ';';
        n += put(dst + n, t->mem + t->name_len, t->pass_len);
    }
    n += put_number(dst + n, ";lease=", t->lease_ms);
    n += put_number(dst + n, ";try=", t->tries_used);
    n += put_number(dst + n, ";token=", t->token);
    if (t->flags & GN_TASK_LEN)
        n += put_number(dst + n, ";len=", t->payload_len);
    dst[n++] = ':';
    n += put(dst + n, gn_task_payload(t), t->payload_len);
    dst[n++] = '\n';
    return n;
}

/* Hand t to p. 1, or 0: its link takes nothing (out of memory: the link is doomed). */
int gn_dispatch(gn_core *core, struct gn_task *t, struct gn_peer *p)
{
    uint8_t *dst = NULL;
    struct gn_conn *c = NULL;
    if (p != NULL) {
        c = gn_conn_at(core, p->conn);
        dst = gn_out_reserve(core, c, (size_t)GN_HEADER_BYTES_MAX + t->payload_len + 2);
        if (dst == NULL) {
            gn_conn_doom(core, c);
            p->blocked = 1;
            gn_agent_relist(core, p);
            return 0;
        }
    }
    if (p == NULL)
        gn_key_take(core, t); /* the journal says it ran: so it had the turn */
    else if (core->limits > 0)
        gn_limits_spend(core, t);
    gn_partials_drop(core, t); /* of the try before */
    t->agent = p == NULL ? GN_NIL : p->self;
    t->token = ++core->token;
    t->tries_used++;
    t->leased_us = core->now;
    t->listed = 0;
    t->missing = 0;
    t->handed_out = p != NULL;
    t->due_us = core->now + (int64_t)t->lease_ms * GN_MS;
    gn_shift(core, t, GN_EVENT_DISPATCH);
    core->n.dispatched++;
    if (p != NULL) {
        if (t->flags & GN_TASK_ONCE && !GN_PLANTED(ONCE)) {
            gn_journal_leased(core, t);
            gn_out_hold(core, c, t->batch);
        }
        gn_out_commit(core, c, write_task(core, t, dst));
    }
    return 1;
}

static void pump_action(gn_core *core, struct gn_action *a)
{
    uint32_t task, peer;
    while (gn_queue_head(a) != GN_NIL && (peer = gn_agent_pick(core, a)) != GN_NIL && (task = gn_limits_head(core, a)) != GN_NIL)
        gn_dispatch(core, gn_task_at(core, task), gn_peer_at(core, peer));
}

/* Among the heads of the queues p serves: the most urgent, then the one that became ready first. */
static uint32_t best_for(gn_core *core, const struct gn_peer *p)
{
    uint32_t best = GN_NIL;
    for (uint32_t i = 0; i < p->serve_count; i++) {
        uint32_t head = gn_limits_head(core, gn_action_at(core, gn_serve_at(core, p->serves[i])->action));
        if (head == GN_NIL)
            continue;
        const struct gn_task *t = gn_task_at(core, head), *b = best == GN_NIL ? NULL : gn_task_at(core, best);
        if (b == NULL || t->prio > b->prio || (t->prio == b->prio && t->turn < b->turn))
            best = head;
    }
    return best;
}

static void pump_agent(gn_core *core, struct gn_peer *p)
{
    uint32_t task;
    while (p->share != GN_SHARE_OUT && (task = best_for(core, p)) != GN_NIL) {
        if (!gn_out_room(core, gn_conn_at(core, p->conn))) {
            p->blocked = 1;
            gn_agent_relist(core, p);
        } else {
            gn_dispatch(core, gn_task_at(core, task), p);
        }
    }
}

/* First every action that got a ready task looks for its least loaded agents, then every agent
 * that got a free slot looks for a task. After it no ready task (of an action not paused) has an agent that could take it. */
void gn_pump(gn_core *core)
{
    if (core->replaying || core->now < core->hold_until)
        return;
    while (core->actions_head != GN_NIL) {
        struct gn_action *a = gn_action_at(core, core->actions_head);
        core->actions_head = a->marked_next;
        if (core->actions_head == GN_NIL)
            core->actions_tail = GN_NIL;
        a->marked = 0;
        pump_action(core, a);
    }
    while (core->agents_head != GN_NIL) {
        struct gn_peer *p = gn_peer_at(core, core->agents_head);
        core->agents_head = p->marked_next;
        if (core->agents_head == GN_NIL)
            core->agents_tail = GN_NIL;
        p->marked = 0;
        pump_agent(core, p);
    }
}

/* The lease ran out or the agent went away: the try counts. */
void gn_lease_lost(gn_core *core, struct gn_task *t, int reason)
{
    int final = t->tries_used >= t->tries_max;
    if (t->state == GN_STATE_LEASED) {
        core->n.leases_lost++;
        if (final) {
            t->reason = (uint8_t)reason;
            gn_task_set_words(core, t, NULL, 0, 0);
        } else {
            core->n.retried++;
        }
        gn_journal_own(core, t, "RESPONSE:TASK_FAILED", gn_reason_word(reason));
    } else {
        gn_journal_own(core, t, "RESPONSE:TASK_RELEASED", gn_reason_word(reason));
    }
    gn_shift(core, t, final ? GN_EVENT_LEASE_FINAL : GN_EVENT_LEASE_RETRY);
}

static void lease_due(gn_core *core, struct gn_task *t)
{
    if (GN_PLANTED(ORPHAN) && t->agent == GN_NIL) {
        t->due_us = GN_NEVER;
        gn_timer_task(core, t);
        return;
    }
    if (t->agent == GN_NIL) { /* after a restart: nobody has come to claim it */
        gn_lease_lost(core, t, GN_REASON_AGENT_GONE);
        return;
    }
    /* Heartbeats do not touch the leases they extend; they are looked at here, when one would be over. */
    const struct gn_peer *p = gn_peer_at(core, t->agent);
    int64_t beat = p->lists || !gn_lease_extended(t) ? t->listed_us : p->beat_us;
    int64_t due = (beat > t->leased_us ? beat : t->leased_us) + (int64_t)t->lease_ms * GN_MS;
    if (due > core->now) {
        t->due_us = due;
        gn_timer_task(core, t);
        return;
    }
    gn_agent_tell_cancel(core, t);
    gn_lease_lost(core, t, GN_REASON_LEASE);
}

static void ttl_over(gn_core *core, struct gn_task *t)
{
    if (t->state == GN_STATE_LEASED)
        gn_agent_tell_cancel(core, t);
    if (t->state != GN_STATE_CANCELLING) {
        t->reason = (uint8_t)GN_REASON_TTL;
        gn_task_set_words(core, t, NULL, 0, 0);
    }
    gn_journal_own(core, t, "RESPONSE:TASK_BURIED", "ttl");
    gn_shift(core, t, GN_EVENT_TTL_OVER);
}

static void keep_over(gn_core *core, struct gn_task *t)
{
    if (t->watchers.head == GN_NIL && t->needed_by.head == GN_NIL) {
        gn_task_forget(core, t);
        return;
    }
    t->due_us = core->now + (int64_t)core->config.keep_ms * GN_MS;
    gn_timer_task(core, t);
}

void gn_task_due(gn_core *core, struct gn_task *t)
{
    if (t->ttl_us <= core->now) {
        ttl_over(core, t);
        return;
    }
    switch (t->state) {
    case GN_STATE_WAITING:
        t->flags &= (uint16_t)~GN_TASK_DELAY;
        t->due_us = GN_NEVER;
        gn_timer_task(core, t);
        if (t->waits == 0)
            gn_deps_go(core, t);
        break;
    case GN_STATE_DELAYED:
        gn_shift(core, t, GN_EVENT_DUE);
        break;
    case GN_STATE_LEASED:
        lease_due(core, t);
        break;
    case GN_STATE_CANCELLING:
        gn_journal_own(core, t, "RESPONSE:TASK_RELEASED", "cancelled");
        gn_shift(core, t, GN_EVENT_GRACE_OVER);
        break;
    default:
        keep_over(core, t);
    }
}

void gn_peer_due(gn_core *core, struct gn_peer *p)
{
    if (p->heard_us + (int64_t)core->config.agent_timeout_ms * GN_MS > core->now) {
        int64_t suspect_us = gn_suspect_us(core);
        if (!p->suspect && suspect_us > 0 && p->heard_us + suspect_us <= core->now) {
            p->suspect = 1;
            core->suspects++;
            gn_agent_relist(core, p);
        }
        gn_agent_arm(core, p);
        return;
    }
    gn_timer_peer_off(core, p);
    if (p->conn != GN_NIL)
        gn_conn_close(core, gn_conn_at(core, p->conn)); /* and with it the peer is gone */
}
