/* deps.c - after=: edges from a task to those it waits for, and runs after. */
#include "core/internal.h"

#define EDGE_IN offsetof(struct gn_edge, in)

void gn_deps_trim(gn_core *core, struct gn_task *t, uint32_t stop)
{
    while (t->needs != stop) {
        struct gn_edge *e = gn_edge_at(core, t->needs);
        t->needs = e->out_next;
        if (!e->met)
            t->waits--;
        struct gn_task *to = gn_task_at(core, e->to);
        gn_list_drop(&core->edges, EDGE_IN, &to->needed_by, e->self);
        gn_pool_give(&core->edges, e->self);
        gn_result_spent(core, to);
    }
}

int gn_deps_add(gn_core *core, struct gn_task *t, const uint8_t *raw, size_t len)
{
    const uint8_t *at = raw, *end = raw + len;
    char name[GN_TASK_BYTES_MAX];
    size_t name_len;
    uint32_t before = t->needs;
    int more, code = 0;
    while (code == 0 && (more = gn_comma_next(&at, end, name, sizeof name, &name_len)) != 0) {
        uint32_t to = more < 0 ? GN_NIL : gn_task_find(core, name, name_len);
        if (to == GN_NIL || to == t->self) {
            if (more < 0)
                code = GN_BAD_PARAM;
            else if (to == t->self || !core->replaying)
                code = GN_UNKNOWN_TASK; /* a journal's line was accepted: what it names was there, and has been forgotten since */
            continue;
        }
        uint32_t i = gn_pool_take(&core->edges);
        if (i == GN_NIL) {
            code = GN_BUSY;
            continue;
        }
        struct gn_edge *e = gn_edge_at(core, i);
        *e = (struct gn_edge){.self = i, .from = t->self, .to = to, .out_next = t->needs};
        t->needs = i;
        e->met = gn_task_at(core, to)->state == GN_STATE_DONE;
        if (!e->met)
            t->waits++;
        gn_list_push(&core->edges, EDGE_IN, &gn_task_at(core, to)->needed_by, i);
        gn_result_spent(core, gn_task_at(core, to));
    }
    if (code != 0)
        gn_deps_trim(core, t, before);
    return code;
}

void gn_deps_drop(gn_core *core, struct gn_task *t)
{
    gn_deps_trim(core, t, GN_NIL);
}

int gn_deps_lost(const gn_core *core, const struct gn_task *t)
{
    for (uint32_t i = t->needs; i != GN_NIL; i = gn_edge_at(core, i)->out_next) {
        int state = gn_task_at(core, gn_edge_at(core, i)->to)->state;
        if (state == GN_STATE_BURIED || state == GN_STATE_CANCELLED)
            return 1;
    }
    return 0;
}

/* One edge after another, oldest first. What a shift does to this list is only to drop edges of
 * the task it shifts, so the next edge of another task is read before. Chains are walked by gn_settle's queue, not by recursion. */
void gn_deps_ended(gn_core *core, struct gn_task *t)
{
    int done = t->state == GN_STATE_DONE;
    uint32_t i = t->needed_by.head;
    while (i != GN_NIL) {
        struct gn_edge *e = gn_edge_at(core, i);
        struct gn_task *from = gn_task_at(core, e->from);
        i = e->in.next;
        if (e->met)
            continue;
        if (done) {
            e->met = 1;
            if (--from->waits == 0 && from->state == GN_STATE_WAITING && !(from->flags & GN_TASK_DELAY))
                gn_shift(core, from, GN_EVENT_AFTER_MET);
        } else if (from->state == GN_STATE_WAITING) {
            /* It may name t twice: both edges go with it. */
            while (i != GN_NIL && gn_edge_at(core, i)->from == from->self)
                i = gn_edge_at(core, i)->in.next;
            from->reason = GN_REASON_AFTER;
            gn_task_set_words(core, from, (const uint8_t *)gn_task_name(t), t->name_len, 0);
            gn_shift(core, from, GN_EVENT_AFTER_FAILED);
        }
    }
}

void gn_deps_cut(gn_core *core, struct gn_task *t)
{
    while (t->needed_by.head != GN_NIL) {
        struct gn_edge *e = gn_edge_at(core, t->needed_by.head);
        struct gn_task *from = gn_task_at(core, e->from);
        uint32_t *at = &from->needs;
        while (*at != e->self)
            at = &gn_edge_at(core, *at)->out_next;
        *at = e->out_next;
        if (!e->met)
            from->waits--;
        gn_list_drop(&core->edges, EDGE_IN, &t->needed_by, e->self);
        gn_pool_give(&core->edges, e->self);
    }
}
