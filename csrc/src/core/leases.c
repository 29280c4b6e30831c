/* leases.c - what an agent says it holds: the list in a HEARTBEAT, and taking over a lease that it names.
 *
 * A list is whole when a HEARTBEAT without more=1 has ended it. Then every task of the agent that it did not name
 * is missing; token= says which lease is the newest that has reached the agent, so one beyond it is only on its
 * way. Twice missing is lost: see gn_lease_lost and lease_due (dispatch.c).
 */
#include "core/internal.h"

#define MISSING_MAX 2          /* lists in a row without a task, and its lease is no longer extended */
#define NOTE_US (500 * GN_MS)  /* a lease held that long is worth a line in the journal */

struct claim {
    const char *name;
    size_t len;
    uint64_t token;
};

/* The next <task>=<token> of a list: 1; 0 at its end; -1 when that is none. */
static int next_claim(const uint8_t **at, const uint8_t *end, struct claim *out)
{
    if (*at >= end)
        return 0;
    const uint8_t *stop = memchr(*at, ',', (size_t)(end - *at));
    const uint8_t *last = stop == NULL ? end : stop;
    const uint8_t *equals = memchr(*at, '=', (size_t)(last - *at));
    if (equals == NULL || !gn_is_name((const char *)*at, (size_t)(equals - *at)) ||
        !gn_read_u64((const char *)equals + 1, (size_t)(last - equals - 1), &out->token) || (stop != NULL && stop + 1 == end))
        return -1;
    out->name = (const char *)*at;
    out->len = (size_t)(equals - *at);
    *at = stop == NULL ? end : stop + 1;
    return 1;
}

int gn_list_is_sane(const struct gn_ctx *x)
{
    const uint8_t *at = x->buf + x->m->payload.off, *end = at + x->m->payload.len;
    struct claim claim;
    int more;
    while ((more = next_claim(&at, end, &claim)) > 0)
        ;
    return more == 0;
}

/* ---- one claim ---------------------------------------------------------------------------------- */

static uint64_t run_of(uint64_t token)
{
    return token >> 32; /* gn_core_new */
}

/* May p have t by a lease of this token that is not in the books? One of a journal, leased to nobody since, or one of
 * an earlier coordinator that was in no journal, of a task that nobody got since; but not when the task has gone on
 * to another action: that lease is about the one before. */
static int is_free_for(const gn_core *core, const struct gn_peer *p, const struct gn_task *t, uint64_t token)
{
    if (t->state == GN_STATE_LEASED || t->state == GN_STATE_CANCELLING)
        return t->agent == GN_NIL && t->token == token;
    return t->state == GN_STATE_READY && !t->handed_out && t->entered_us == t->accepted_us && token != 0 &&
           run_of(token) != (core->config.epoch & 0xfffff) && (p == NULL || gn_agent_serves(core, p, t->action));
}

/* A lease of an earlier run, of an agent or (when only its outcome is there) of nobody. */
static void revive(gn_core *core, struct gn_task *t, uint32_t agent, uint64_t token)
{
    t->handed_out = 1;
    t->agent = agent;
    t->token = token;
    t->tries_used++;
    t->leased_us = core->now;
    t->due_us = core->now + (int64_t)t->lease_ms * GN_MS;
    gn_shift(core, t, GN_EVENT_DISPATCH);
}

void gn_lease_answered(gn_core *core, struct gn_task *t, uint32_t peer, uint64_t token)
{
    const struct gn_peer *p = peer == GN_NIL ? NULL : gn_peer_at(core, peer);
    if (t->state != GN_STATE_READY || !is_free_for(core, p, t, token) || !gn_key_take(core, t))
        return;
    core->n.adopted++;
    revive(core, t, peer, token);
}

static void adopt(gn_core *core, struct gn_peer *p, struct gn_task *t, uint64_t token)
{
    if (t->state == GN_STATE_READY && !gn_key_take(core, t))
        return; /* another one of its key runs */
    core->n.adopted++;
    if (t->state == GN_STATE_READY) {
        revive(core, t, p->self, token);
        gn_journal_leased(core, t);
        return;
    }
    t->handed_out = 1;
    t->agent = p->self;
    gn_list_push(&core->tasks, GN_TASK_Q, &p->held, t->self);
    p->used++;
    gn_agent_relist(core, p);
    if (t->state == GN_STATE_CANCELLING) {
        gn_agent_tell_cancel(core, t);
        return;
    }
    t->due_us = core->now + (int64_t)t->lease_ms * GN_MS;
    gn_timer_task(core, t);
}

static void not_yours(gn_core *core, const struct gn_peer *p, const struct claim *claim)
{
    char params[32] = "token=";
    params[6 + gn_u64(params + 6, claim->token)] = 0;
    gn_say(core, p->conn, "CONTROL:CANCEL", claim->name, claim->len, params, NULL, 0);
}

static void take_claim(gn_core *core, struct gn_peer *p, const struct claim *claim)
{
    uint32_t i = gn_task_find(core, claim->name, claim->len);
    struct gn_task *t = i == GN_NIL ? NULL : gn_task_at(core, i);
    if (t != NULL && is_free_for(core, p, t, claim->token))
        adopt(core, p, t, claim->token);
    if (t == NULL || t->agent != p->self || t->token != claim->token) {
        not_yours(core, p, claim);
        return;
    }
    t->listed = p->list;
    t->listed_us = core->now;
    t->missing = 0;
    if (t->state == GN_STATE_LEASED && core->now - t->leased_us >= NOTE_US)
        gn_journal_leased(core, t); /* a short one never pays for it */
}

/* ---- the whole list --------------------------------------------------------------------------------- */

/* Handed out behind the newest lease that the agent has: it is on its way. One of an earlier run never is. */
static int is_on_its_way(const gn_core *core, const struct gn_task *t, uint64_t newest)
{
    return run_of(t->token) == run_of(core->token) && (run_of(newest) != run_of(core->token) || t->token > newest);
}

/* HEARTBEATs do not count for it any more: it runs out counted from when it was last named. */
static void no_longer_extended(gn_core *core, struct gn_task *t)
{
    t->due_us = (t->listed_us > t->leased_us ? t->listed_us : t->leased_us) + (int64_t)t->lease_ms * GN_MS;
    gn_timer_task(core, t);
}

static void end_list(gn_core *core, const struct gn_ctx *x, struct gn_peer *p)
{
    int told = (x->p.present & GN_BIT(TOKEN)) != 0;
    for (uint32_t i = p->held.head, next; i != GN_NIL; i = next) {
        struct gn_task *t = gn_task_at(core, i);
        next = t->q.next;
        if (t->listed == p->list || (told && is_on_its_way(core, t, x->p.token)))
            continue;
        int twice = t->missing == MISSING_MAX - 1;
        t->missing += t->missing < MISSING_MAX;
        if (t->missing == MISSING_MAX && told)
            gn_lease_lost(core, t, GN_REASON_LEASE);
        else if (twice && t->state == GN_STATE_LEASED)
            no_longer_extended(core, t);
    }
    if (++p->list == 0)
        p->list = 1; /* 0: in no list yet */
    if (p->claiming) {
        p->claiming = 0;
        gn_agent_relist(core, p);
        gn_agent_mark(core, p);
    }
}

int gn_lease_extended(const struct gn_task *t)
{
    return t->missing < MISSING_MAX;
}

void gn_lease_list(gn_core *core, const struct gn_ctx *x, struct gn_peer *p)
{
    const uint8_t *at = x->buf + x->m->payload.off, *end = at + x->m->payload.len;
    struct claim claim;
    gn_span more;
    while (next_claim(&at, end, &claim) > 0)
        take_claim(core, p, &claim);
    if (!gn_param_find(x->buf, x->m, "more", &more) || more.len != 1 || x->buf[more.off] != '1')
        end_list(core, x, p);
}
