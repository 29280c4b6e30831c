/* shift.c - the one function that changes a task's state: event -> cell -> code, or the next state. */
#include "core/internal.h"

/* Take t out of what its state has it in. */
static void leave(gn_core *core, struct gn_task *t, int next)
{
    struct gn_action *a = gn_action_at(core, t->action);
    core->count[t->state]--;
    a->count[t->state]--;
    switch (t->state) {
    case GN_STATE_WAITING:
        t->flags &= (uint16_t)~GN_TASK_DELAY;
        break;
    case GN_STATE_READY:
        gn_queue_drop(core, t);
        break;
    case GN_STATE_LEASED:
    case GN_STATE_CANCELLING:
        if (next != GN_STATE_CANCELLING && t->agent != GN_NIL) {
            struct gn_peer *p = gn_peer_at(core, t->agent);
            gn_list_drop(&core->tasks, GN_TASK_Q, &p->held, t->self);
            p->used--;
            t->agent = GN_NIL;
            gn_agent_relist(core, p);
            gn_agent_mark(core, p);
        }
        if (next != GN_STATE_CANCELLING) {
            t->token = 0;
            t->flags &= (uint16_t)~GN_TASK_LOGGED;
            gn_limits_give(core, t);
        }
        break;
    case GN_STATE_BURIED:
        gn_list_drop(&core->tasks, GN_TASK_Q, &a->buried, t->self);
        break;
    case GN_STATE_DONE:
    case GN_STATE_CANCELLED:
        core->results--;
        break;
    default:
        break;
    }
    if (gn_task_ended(t))
        core->unfinished++;
    a->tasks--;
}

static int64_t after_ms(const gn_core *core, uint64_t ms)
{
    return ms == 0 ? GN_NEVER : core->now + (int64_t)ms * GN_MS;
}

static void enter_ended(gn_core *core, struct gn_task *t)
{
    core->unfinished--;
    t->ended_us = core->now;
    t->ttl_us = GN_NEVER;
    gn_deps_drop(core, t);
    gn_partials_drop(core, t);
    if (t->state == GN_STATE_BURIED) {
        gn_list_push(&core->tasks, GN_TASK_Q, &gn_action_at(core, t->action)->buried, t->self);
        t->due_us = after_ms(core, t->flags & GN_TASK_KEEP ? t->keep_ms : core->config.keep_buried_ms);
    } else {
        core->results++;
        t->due_us = core->now + (int64_t)t->keep_ms * GN_MS;
    }
    if (!(t->flags & GN_TASK_SETTLE)) {
        t->flags |= GN_TASK_SETTLE;
        t->settle_next = GN_NIL;
        if (core->settle_tail != GN_NIL)
            gn_task_at(core, core->settle_tail)->settle_next = t->self;
        else
            core->settle_head = t->self;
        core->settle_tail = t->self;
    }
}

/* Put t into what its new state has it in. */
static void enter(gn_core *core, struct gn_task *t)
{
    struct gn_action *a = gn_action_at(core, t->action);
    core->count[t->state]++;
    a->count[t->state]++;
    a->tasks++;
    switch (t->state) {
    case GN_STATE_READY:
        t->due_us = GN_NEVER;
        t->ready_us = core->now;
        if (t->tags != GN_NIL)
            gn_key_claim(core, t, core->now);
        gn_queue_push(core, t);
        break;
    case GN_STATE_LEASED:
        if (t->agent != GN_NIL) {
            struct gn_peer *p = gn_peer_at(core, t->agent);
            gn_list_push(&core->tasks, GN_TASK_Q, &p->held, t->self);
            p->used++;
            gn_agent_relist(core, p);
        }
        break;
    case GN_STATE_CANCELLING:
        t->due_us = core->now + (int64_t)core->config.cancel_grace_ms * GN_MS;
        break;
    case GN_STATE_CANCELLED:
        gn_blob_unref(core, t->blob); /* nobody will run it, and its outcome has no payload */
        t->blob = GN_NIL;
        enter_ended(core, t);
        break;
    case GN_STATE_DONE:
    case GN_STATE_BURIED:
        enter_ended(core, t);
        break;
    default:
        break;
    }
    gn_timer_task(core, t);
}

/* What a task with tags has of them in its new state. */
static void retag(gn_core *core, struct gn_task *t)
{
    switch (t->state) {
    case GN_STATE_LEASED:
        gn_key_claim(core, t, core->now); /* handed out before it was ready */
        break;
    case GN_STATE_WAITING: /* perhaps for a task of its own key */
    case GN_STATE_BURIED:
        gn_key_leave(core, t);
        break;
    case GN_STATE_DONE:
    case GN_STATE_CANCELLED:
        gn_tags_free(core, t);
        break;
    default:
        break;
    }
}

int gn_shift_code(const struct gn_task *t, int event)
{
    gn_cell cell;
    gn_table_cell(t->state, event, &cell);
    return cell.code;
}

int gn_shift(gn_core *core, struct gn_task *t, int event)
{
    gn_cell cell;
    gn_table_cell(t->state, event, &cell);
    if (cell.code != 0 || cell.next < 0 || cell.next == t->state)
        return cell.code; /* next < 0 cannot happen: gn_core_check and the model look for its traces */
    int before = t->state;
    uint32_t agent = t->agent;
    if (cell.next == GN_STATE_LEASED)
        gn_limits_hold(core, t);
    if (before != GN_STATE_NONE) {
        leave(core, t, cell.next);
    } else {
        core->unfinished++;
    }
    int ended = cell.next == GN_STATE_DONE || cell.next == GN_STATE_BURIED || cell.next == GN_STATE_CANCELLED;
    if (t->next_action != GN_NIL && !ended)
        t->action = t->next_action;
    t->next_action = GN_NIL;
    t->state = (uint8_t)cell.next;
    if (cell.next != GN_STATE_NONE) {
        enter(core, t);
    } else {
        core->unfinished--;
        gn_timer_task_off(core, t);
    }
    if (t->tags != GN_NIL)
        retag(core, t);
    if (t->state == GN_STATE_DONE || t->state == GN_STATE_CANCELLED)
        gn_sender_free(core, t);
    gn_result_spent(core, t);
    if (core->event_conns.count > 0) {
        uint32_t now_with = t->agent;
        if (now_with == GN_NIL)
            t->agent = agent; /* the event names the agent it left */
        gn_events_tell(core, t, event, cell.next);
        t->agent = now_with;
    }
    return 0;
}

void gn_unfinish_delay(gn_core *core, struct gn_task *t, int event, uint64_t delay_ms)
{
    t->due_us = core->now + (int64_t)delay_ms * GN_MS;
    gn_shift(core, t, event);
    if (delay_ms == 0 && t->state == GN_STATE_DELAYED)
        gn_shift(core, t, GN_EVENT_DUE);
}
