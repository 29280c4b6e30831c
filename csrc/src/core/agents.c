/* agents.c - named peers, the actions they serve, and how full each is.
 *
 * Per action, agents with a free slot stand in 64 lists by floor(64 * used / slots), a bitmap
 * over them: the least loaded is the head of the first list, and the one longest at its share.
 */
#include <stdlib.h>

#include "core/internal.h"

#define SERVE_NODE offsetof(struct gn_serve, node)

static const char *name_of(const gn_core *core, uint32_t i, size_t *len)
{
    const struct gn_peer *p = gn_peer_at(core, i);
    *len = p->name_len;
    return p->name;
}

uint32_t gn_peer_find(const gn_core *core, const char *name, size_t len)
{
    uint32_t hash = (uint32_t)gn_hash(core->config.seed, name, len);
    return gn_names_find(core, &core->peer_names, name_of, hash, name, len);
}

struct gn_peer *gn_peer_new(gn_core *core, const char *name, size_t len)
{
    uint32_t i = GN_NIL;
    if (gn_names_reserve(&core->peer_names) && gn_timers_reserve(core))
        i = gn_pool_take(&core->peers);
    if (i == GN_NIL)
        return NULL;
    struct gn_peer *p = gn_peer_at(core, i);
    p->self = i;
    p->hash = (uint32_t)gn_hash(core->config.seed, name, len);
    p->name_len = (uint8_t)len;
    memcpy(p->name, name, len);
    p->conn = p->meter = GN_NIL;
    p->share = GN_SHARE_OUT;
    p->live = 1;
    p->slots = 1;
    p->held = GN_LIST_EMPTY;
    p->list = 1;
    p->heard_us = p->beat_us = core->now;
    gn_names_add(&core->peer_names, p->hash, i);
    return p;
}

static void unlist(gn_core *core, struct gn_peer *p)
{
    for (uint32_t i = 0; p->share != GN_SHARE_OUT && i < p->serve_count; i++) {
        struct gn_serve *s = gn_serve_at(core, p->serves[i]);
        struct gn_action *a = gn_action_at(core, s->action);
        gn_list_drop(&core->serves, SERVE_NODE, &a->share[p->share], s->self);
        if (a->share[p->share].head == GN_NIL)
            a->shares &= ~(UINT64_C(1) << p->share);
    }
    p->share = GN_SHARE_OUT;
}

void gn_agent_relist(gn_core *core, struct gn_peer *p)
{
    uint8_t share = GN_SHARE_OUT;
    if (p->serve_count > 0 && !p->draining && !p->blocked && !p->suspect && !p->claiming && p->used < p->slots)
        share = (uint8_t)((uint64_t)GN_SHARES * p->used / p->slots);
    if (share == p->share)
        return;
    unlist(core, p);
    p->share = share;
    for (uint32_t i = 0; share != GN_SHARE_OUT && i < p->serve_count; i++) {
        struct gn_serve *s = gn_serve_at(core, p->serves[i]);
        struct gn_action *a = gn_action_at(core, s->action);
        gn_list_push(&core->serves, SERVE_NODE, &a->share[share], s->self);
        a->shares |= UINT64_C(1) << share;
    }
}

void gn_peer_unserve(gn_core *core, struct gn_peer *p)
{
    unlist(core, p);
    for (uint32_t i = 0; i < p->serve_count; i++) {
        gn_action_at(core, gn_serve_at(core, p->serves[i])->action)->agents--;
        gn_pool_give(&core->serves, p->serves[i]);
    }
    core->agents -= p->serve_count > 0;
    free(p->serves);
    p->serves = NULL;
    p->serve_count = 0;
}

/* From now on p serves these (each counted in its action's agents by the caller); 0 or GN_BUSY, then nothing changed. */
int gn_peer_serve(gn_core *core, struct gn_peer *p, const uint32_t *actions, uint32_t count)
{
    uint32_t *serves = count == 0 ? NULL : malloc(count * sizeof *serves);
    uint32_t taken = 0;
    while (serves != NULL && taken < count && (serves[taken] = gn_pool_take(&core->serves)) != GN_NIL)
        taken++;
    if (taken < count) {
        while (taken > 0)
            gn_pool_give(&core->serves, serves[--taken]);
        free(serves);
        return GN_BUSY;
    }
    gn_peer_unserve(core, p);
    for (uint32_t i = 0; i < count; i++) {
        struct gn_serve *s = gn_serve_at(core, serves[i]);
        s->self = serves[i];
        s->peer = p->self;
        s->action = actions[i];
    }
    p->serves = serves;
    p->serve_count = count;
    core->agents += count > 0;
    return 0;
}

/* Out of the list of those that look for a task. It is short, but while a restart holds tasks back. */
static void unmark(gn_core *core, struct gn_peer *p)
{
    uint32_t before = GN_NIL, i = core->agents_head;
    while (i != p->self) {
        before = i;
        i = gn_peer_at(core, i)->marked_next;
    }
    if (before == GN_NIL)
        core->agents_head = p->marked_next;
    else
        gn_peer_at(core, before)->marked_next = p->marked_next;
    if (core->agents_tail == p->self)
        core->agents_tail = before;
    p->marked = 0;
}

void gn_peer_free(gn_core *core, struct gn_peer *p)
{
    gn_peer_unserve(core, p);
    gn_timer_peer_off(core, p);
    core->suspects -= p->suspect;
    if (p->meter != GN_NIL)
        gn_meter_unref(core, p->meter);
    if (p->conn != GN_NIL)
        gn_conn_at(core, p->conn)->peer = GN_NIL;
    gn_names_drop(&core->peer_names, p->hash, p->self);
    free(p->info);
    p->info = NULL;
    p->live = 0;
    if (p->marked)
        unmark(core, p);
    gn_pool_give(&core->peers, p->self);
}

/* The peer has left, by itself (released: its tries do not count) or not. */
void gn_peer_gone(gn_core *core, struct gn_peer *p, int released)
{
    p->draining = 1; /* gets nothing back of what it leaves */
    gn_agent_relist(core, p);
    while (p->held.head != GN_NIL) {
        struct gn_task *t = gn_task_at(core, p->held.head);
        if (released) {
            /* A replay may know of no lease, but ASSIGN_TASK may have passed over a delay that it knows of. */
            gn_journal_own(core, t, "RESPONSE:TASK_RELEASED", "bye");
            if (t->state == GN_STATE_LEASED)
                t->tries_used--;
            gn_unfinish_delay(core, t, GN_EVENT_RELEASE, 0);
        } else {
            gn_lease_lost(core, t, GN_REASON_AGENT_GONE);
        }
    }
    gn_peer_free(core, p);
}

/* Two missed heartbeats are no reason yet, however long one is. */
int64_t gn_suspect_us(const gn_core *core)
{
    uint64_t ms = core->config.suspect_ms, beats = 2 * (uint64_t)core->config.heartbeat_ms;
    return ms == 0 ? 0 : (int64_t)(ms > beats ? ms : beats) * GN_MS;
}

void gn_agent_arm(gn_core *core, struct gn_peer *p)
{
    int64_t gone = p->heard_us + (int64_t)core->config.agent_timeout_ms * GN_MS, suspect = p->heard_us + gn_suspect_us(core);
    if (p->serve_count == 0)
        gn_timer_peer_off(core, p);
    else
        gn_timer_peer(core, p, p->suspect || suspect == p->heard_us || suspect > gone ? gone : suspect);
}

void gn_agent_trust(gn_core *core, struct gn_peer *p)
{
    core->suspects -= p->suspect;
    p->suspect = 0;
    gn_agent_relist(core, p);
    gn_agent_mark(core, p);
    gn_agent_arm(core, p);
}

int gn_agent_serves(const gn_core *core, const struct gn_peer *p, uint32_t action)
{
    for (uint32_t i = 0; i < p->serve_count; i++)
        if (gn_serve_at(core, p->serves[i])->action == action)
            return 1;
    return 0;
}

void gn_agent_mark(gn_core *core, struct gn_peer *p)
{
    if (p->marked)
        return;
    p->marked = 1;
    p->marked_next = GN_NIL;
    if (core->agents_tail != GN_NIL)
        gn_peer_at(core, core->agents_tail)->marked_next = p->self;
    else
        core->agents_head = p->self;
    core->agents_tail = p->self;
}

/* The agent the next task of `a` goes to, or GN_NIL. One whose link is full steps aside until there is room. */
uint32_t gn_agent_pick(gn_core *core, struct gn_action *a)
{
    while (a->shares != 0) {
        uint32_t peer = gn_serve_at(core, a->share[__builtin_ctzll(a->shares)].head)->peer;
        struct gn_peer *p = gn_peer_at(core, peer);
        if (gn_out_room(core, gn_conn_at(core, p->conn)))
            return peer;
        p->blocked = 1;
        gn_agent_relist(core, p);
    }
    return GN_NIL;
}

void gn_agent_tell_cancel(gn_core *core, const struct gn_task *t)
{
    if (t->agent == GN_NIL)
        return;
    char params[32] = "token=";
    params[6 + gn_u64(params + 6, t->token)] = 0;
    gn_say(core, gn_peer_at(core, t->agent)->conn, "CONTROL:CANCEL", gn_task_name(t), t->name_len, params, NULL, 0);
}
