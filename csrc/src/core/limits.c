/* limits.c - who may not run now, because of a limit on its action, its sender or one of its labels.
 *
 * An action at its limit holds its whole queue back. A task at the head of its action's queue whose sender or label is at
 * its limit is parked there, so that the others of the action pass: in a berth, which is all that one action has parked on one
 * meter. When there is room again, each berth of the meter invites one task (the most urgent, then the first parked)
 * back to the front of its action's queue, and another when that one has left it: so a meter with room is never hidden
 * from an agent, whatever happens to the tasks of other actions, and an event costs a step per action, not per task.
 */
#include "core/internal.h"

#define ON_METER offsetof(struct gn_berth, on_meter)

static int top(uint16_t prios)
{
    return 31 - __builtin_clz(prios);
}

/* ---- berths ----------------------------------------------------------------------------------- */

static struct gn_berth *berth_get(gn_core *core, uint32_t meter, uint32_t action)
{
    struct gn_meter *m = gn_meter_at(core, meter);
    for (uint32_t i = m->berths.head; i != GN_NIL; i = gn_berth_at(core, i)->on_meter.next)
        if (gn_berth_at(core, i)->action == action)
            return gn_berth_at(core, i);
    uint32_t i = gn_pool_take(&core->berths);
    if (i == GN_NIL)
        return NULL;
    struct gn_berth *b = gn_berth_at(core, i);
    *b = (struct gn_berth){.self = i, .meter = meter, .action = action};
    for (int p = 0; p < GN_PRIOS; p++)
        b->parked[p] = GN_LIST_EMPTY;
    gn_list_push(&core->berths, ON_METER, &m->berths, i);
    return b;
}

static void moor(gn_core *core, struct gn_berth *b, struct gn_task *t, int first)
{
    struct gn_list *list = &b->parked[t->prio];
    gn_list_put(&core->tasks, GN_TASK_Q, list, t->self, first ? GN_NIL : list->tail);
    b->prios |= (uint16_t)(1u << t->prio);
    gn_meter_at(core, b->meter)->parked++;
    core->parked++;
    t->stand = GN_STAND_PARKED;
    t->berth = b->self;
}

static void unmoor(gn_core *core, struct gn_berth *b, struct gn_task *t)
{
    gn_list_drop(&core->tasks, GN_TASK_Q, &b->parked[t->prio], t->self);
    if (b->parked[t->prio].head == GN_NIL)
        b->prios &= (uint16_t)~(1u << t->prio);
    gn_meter_at(core, b->meter)->parked--;
    core->parked--;
}

/* Something of b has gone: the next one, or, when nothing is left, no berth. */
static void invite(gn_core *core, struct gn_berth *b)
{
    struct gn_meter *m = gn_meter_at(core, b->meter);
    if (b->prios == 0) {
        if (b->invited == 0) {
            gn_list_drop(&core->berths, ON_METER, &m->berths, b->self);
            gn_pool_give(&core->berths, b->self);
        }
        return;
    }
    if (!gn_meter_open(core, m)) {
        gn_meter_arm(core, m);
        return;
    }
    int p = top(b->prios);
    if (b->invited >> p & 1)
        return;
    struct gn_task *t = gn_task_at(core, b->parked[p].head);
    unmoor(core, b, t);
    b->invited |= (uint16_t)(1u << p);
    gn_queue_return(core, t);
}

/* There may be room at m, or it lacks but time. */
static void wake(gn_core *core, struct gn_meter *m)
{
    if (m->kind == GN_METER_ACTION) {
        gn_action_mark(core, m->action);
        return;
    }
    for (uint32_t i = m->berths.head, next; i != GN_NIL; i = next) {
        next = gn_berth_at(core, i)->on_meter.next;
        invite(core, gn_berth_at(core, i));
    }
}

void gn_berth_left(gn_core *core, struct gn_task *t, int was_parked)
{
    struct gn_berth *b = gn_berth_at(core, t->berth);
    if (was_parked)
        unmoor(core, b, t);
    else
        b->invited &= (uint16_t)~(1u << t->prio);
    t->berth = GN_NIL;
    invite(core, b);
}

/* ---- may it run ---------------------------------------------------------------------------------- */

/* The first of its sender and labels that is at its limit, or GN_NIL. */
static uint32_t closed_for(const gn_core *core, const struct gn_task *t)
{
    if (t->sender != GN_NIL && !gn_meter_open(core, gn_meter_at(core, t->sender)))
        return t->sender;
    if (t->tags == GN_NIL)
        return GN_NIL;
    const struct gn_tags *g = gn_tags_at(core, t->tags);
    for (int i = 0; i < g->labels; i++)
        if (!gn_meter_open(core, gn_meter_at(core, g->label[i])))
            return g->label[i];
    return GN_NIL;
}

uint32_t gn_limits_refuse(const gn_core *core, const struct gn_task *t)
{
    uint32_t meter = gn_action_at(core, t->action)->meter;
    return meter != GN_NIL && !gn_meter_open(core, gn_meter_at(core, meter)) ? meter : closed_for(core, t);
}

/* Out of the queue, so that others of its action pass. 0: no memory for a berth. */
static int park(gn_core *core, struct gn_task *t, uint32_t meter)
{
    struct gn_berth *b = berth_get(core, meter, t->action);
    if (b == NULL)
        return 0;
    if (t->berth == b->self) { /* somebody else was quicker: it is the first again */
        t->berth = GN_NIL;
        gn_queue_drop(core, t);
        b->invited &= (uint16_t)~(1u << t->prio);
        moor(core, b, t, 1);
    } else {
        gn_queue_drop(core, t);
        moor(core, b, t, 0);
    }
    gn_meter_arm(core, gn_meter_at(core, meter));
    return 1;
}

uint32_t gn_limits_head(gn_core *core, struct gn_action *a)
{
    uint32_t head;
    while ((head = gn_queue_head(a)) != GN_NIL && core->limits > 0) {
        struct gn_meter *m = a->meter == GN_NIL ? NULL : gn_meter_at(core, a->meter);
        if (m != NULL && !gn_meter_open(core, m)) {
            gn_meter_arm(core, m);
            return GN_NIL;
        }
        uint32_t closed = closed_for(core, gn_task_at(core, head));
        if (closed == GN_NIL)
            return head;
        if (!park(core, gn_task_at(core, head), closed))
            return GN_NIL;
    }
    return head;
}

/* ---- tasks come and go ------------------------------------------------------------------------------- */

static void each(gn_core *core, const struct gn_task *t, void (*one)(gn_core *, struct gn_meter *))
{
    if (t->sender != GN_NIL)
        one(core, gn_meter_at(core, t->sender));
    if (t->tags == GN_NIL)
        return;
    const struct gn_tags *g = gn_tags_at(core, t->tags);
    for (int i = 0; i < g->labels; i++)
        one(core, gn_meter_at(core, g->label[i]));
}

static void spend_one(gn_core *core, struct gn_meter *m)
{
    gn_meter_take(core, m);
    if (m->parked > 0)
        gn_meter_arm(core, m);
}

void gn_limits_spend(gn_core *core, const struct gn_task *t)
{
    uint32_t action = gn_action_at(core, t->action)->meter;
    if (action != GN_NIL)
        gn_meter_take(core, gn_meter_at(core, action));
    each(core, t, spend_one);
}

static void hold_one(gn_core *core, struct gn_meter *m)
{
    (void)core;
    m->running++;
}

void gn_limits_hold(gn_core *core, const struct gn_task *t)
{
    each(core, t, hold_one);
}

static void give_one(gn_core *core, struct gn_meter *m)
{
    m->running--;
    if (m->bound > 0 && m->parked > 0)
        wake(core, m);
}

void gn_limits_give(gn_core *core, const struct gn_task *t)
{
    if (gn_action_at(core, t->action)->meter != GN_NIL)
        gn_action_mark(core, t->action);
    each(core, t, give_one);
}

void gn_meter_due(gn_core *core, struct gn_meter *m)
{
    gn_timer_meter_off(core, m);
    wake(core, m);
}

/* The sender of x, for its limits; 0 or GN_BUSY. A peer knows its own. In a replay a name too many goes unlimited. */
int gn_sender_set(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    if (x->peer != GN_NIL) {
        struct gn_peer *p = gn_peer_at(core, x->peer);
        if (p->meter == GN_NIL)
            p->meter = gn_meter_ref(core, GN_METER_SENDER, p->name, p->name_len);
        t->sender = p->meter;
        if (t->sender != GN_NIL)
            gn_meter_at(core, t->sender)->refs++;
    } else if (x->from_len > 0) {
        t->sender = gn_meter_ref(core, GN_METER_SENDER, x->from, x->from_len);
    } else {
        return 0;
    }
    return t->sender == GN_NIL && !core->replaying ? GN_BUSY : 0;
}

void gn_sender_free(gn_core *core, struct gn_task *t)
{
    if (t->sender == GN_NIL)
        return;
    gn_meter_unref(core, t->sender);
    t->sender = GN_NIL;
}

/* ---- settings ---------------------------------------------------------------------------------------------- */

int gn_limit_set(gn_core *core, int kind, const char *name, size_t len, const struct gn_limit *limit)
{
    int on = limit->rate > 0 || limit->running > 0;
    uint32_t i = gn_meter_find(core, kind, name, len);
    if (i == GN_NIL && !on)
        return 0;
    uint32_t action = kind == GN_METER_ACTION ? gn_action_get(core, name, len) : GN_NIL;
    if (kind == GN_METER_ACTION && action == GN_NIL)
        return GN_BUSY;
    if ((i = gn_meter_ref(core, kind, name, len)) == GN_NIL)
        return GN_BUSY;
    struct gn_meter *m = gn_meter_at(core, i);
    int was = m->rate > 0 || m->bound > 0;
    m->action = action;
    gn_meter_set(core, m, limit->rate, limit->burst, limit->running);
    if (kind == GN_METER_ACTION)
        gn_action_at(core, action)->meter = on ? i : GN_NIL;
    wake(core, m);
    if (was) /* the limit itself is one that refers to it */
        gn_meter_unref(core, i);
    if (!on)
        gn_meter_unref(core, i);
    return 0;
}
