/* queue.c - actions, and per action ten FIFO lists of ready tasks with a bitmap over them. */
#include "core/internal.h"

static const char *name_of(const gn_core *core, uint32_t i, size_t *len)
{
    const struct gn_action *a = gn_action_at(core, i);
    *len = a->name_len;
    return a->name;
}

int gn_is_action(const char *name, size_t len)
{
    if (len == 0 || len > GN_ACTION_BYTES_MAX || name[0] < 'A' || name[0] > 'Z')
        return 0;
    for (size_t i = 1; i < len; i++)
        if (!((name[i] >= 'A' && name[i] <= 'Z') || (name[i] >= '0' && name[i] <= '9') || name[i] == '_'))
            return 0;
    return 1;
}

uint32_t gn_action_find(const gn_core *core, const char *name, size_t len)
{
    uint32_t hash = (uint32_t)gn_hash(core->config.seed, name, len);
    return gn_names_find(core, &core->action_names, name_of, hash, name, len);
}

/* An action nobody uses any longer makes room for a new one. */
static int reclaim(gn_core *core)
{
    for (uint32_t i = 0; i < core->actions.high; i++) {
        struct gn_action *a = gn_action_at(core, i);
        if (a->name_len == 0 || a->tasks > 0 || a->agents > 0 || a->paused || a->marked || a->meter != GN_NIL)
            continue;
        gn_names_drop(&core->action_names, a->hash, i);
        gn_pool_give(&core->actions, i);
        return 1;
    }
    return 0;
}

uint32_t gn_action_get(gn_core *core, const char *name, size_t len)
{
    uint32_t i = gn_action_find(core, name, len);
    if (i != GN_NIL)
        return i;
    if (core->actions.live >= core->config.actions_max && !core->replaying && !reclaim(core))
        return GN_NIL;
    if (!gn_names_reserve(&core->action_names) || (i = gn_pool_take(&core->actions)) == GN_NIL)
        return GN_NIL;
    struct gn_action *a = gn_action_at(core, i);
    a->self = i;
    a->hash = (uint32_t)gn_hash(core->config.seed, name, len);
    a->name_len = (uint8_t)len;
    memcpy(a->name, name, len);
    for (int p = 0; p < GN_PRIOS; p++)
        a->queue[p] = GN_LIST_EMPTY;
    memset(a->front, 0xff, sizeof a->front); /* GN_NIL */
    a->meter = GN_NIL;
    for (int s = 0; s < GN_SHARES; s++)
        a->share[s] = GN_LIST_EMPTY;
    a->buried = GN_LIST_EMPTY;
    gn_names_add(&core->action_names, a->hash, i);
    return i;
}

/* Into its action's queue, or, when another task of its key has the turn, to where it waits for that. */
void gn_queue_push(gn_core *core, struct gn_task *t)
{
    if (t->tags != GN_NIL && !gn_key_has_turn(core, t)) {
        t->stand = GN_STAND_LINE;
        return;
    }
    t->stand = GN_STAND_QUEUE;
    struct gn_action *a = gn_action_at(core, t->action);
    t->turn = ++core->turn;
    gn_list_push(&core->tasks, GN_TASK_Q, &a->queue[t->prio], t->self);
    a->prios |= (uint16_t)(1u << t->prio);
    gn_action_mark(core, t->action);
}

void gn_queue_drop(gn_core *core, struct gn_task *t)
{
    int stand = t->stand;
    t->stand = GN_STAND_NONE;
    if (stand != GN_STAND_QUEUE) {
        if (stand == GN_STAND_PARKED)
            gn_berth_left(core, t, 1);
        return;
    }
    struct gn_action *a = gn_action_at(core, t->action);
    if (a->front[t->prio] == t->self)
        a->front[t->prio] = t->q.prev;
    gn_list_drop(&core->tasks, GN_TASK_Q, &a->queue[t->prio], t->self);
    if (a->queue[t->prio].head == GN_NIL)
        a->prios &= (uint16_t)~(1u << t->prio);
    if (t->berth != GN_NIL)
        gn_berth_left(core, t, 0);
}

void gn_queue_return(gn_core *core, struct gn_task *t)
{
    struct gn_action *a = gn_action_at(core, t->action);
    gn_list_put(&core->tasks, GN_TASK_Q, &a->queue[t->prio], t->self, a->front[t->prio]);
    a->front[t->prio] = t->self;
    a->prios |= (uint16_t)(1u << t->prio);
    t->stand = GN_STAND_QUEUE;
    gn_action_mark(core, t->action);
}

uint32_t gn_queue_head(const struct gn_action *a)
{
    if (a->prios == 0 || a->paused)
        return GN_NIL;
    return a->queue[31 - __builtin_clz(a->prios)].head;
}

/* Ask gn_pump to look at it once the message is over. */
void gn_action_mark(gn_core *core, uint32_t action)
{
    struct gn_action *a = gn_action_at(core, action);
    if (a->marked)
        return;
    a->marked = 1;
    a->marked_next = GN_NIL;
    if (core->actions_tail != GN_NIL)
        gn_action_at(core, core->actions_tail)->marked_next = action;
    else
        core->actions_head = action;
    core->actions_tail = action;
}
