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
    if (core->replaying)
        return 0; /* gn_deps_resume makes them, when all tasks are there */
    while (code == 0 && (more = gn_comma_next(&at, end, name, sizeof name, &name_len)) != 0) {
        uint32_t to = more < 0 ? GN_NIL : gn_task_find(core, name, name_len);
        if (to == GN_NIL || to == t->self) {
            code = more < 0 ? GN_BAD_PARAM : GN_UNKNOWN_TASK;
            continue;
        }
        /* After a replay there may be more than the bound of today. */
        uint32_t i = core->edges.live < core->config.edges_max || core->resuming ? gn_pool_take(&core->edges) : GN_NIL;
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

static void bury(gn_core *core, struct gn_task *t, const char *name, size_t len)
{
    t->reason = GN_REASON_AFTER;
    gn_task_set_words(core, t, (const uint8_t *)name, len, 0);
    gn_journal_own(core, t, "RESPONSE:TASK_BURIED", "after");
    gn_shift(core, t, GN_EVENT_AFTER_FAILED);
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
            bury(core, from, gn_task_name(t), t->name_len);
        }
    }
}

int gn_deps_replayed(const gn_core *core, const struct gn_ctx *x)
{
    const uint8_t *at = x->buf + x->p.after.off, *end = at + x->p.after.len;
    char name[GN_TASK_BYTES_MAX];
    size_t len;
    if (!core->replaying || !(x->p.present & GN_BIT(AFTER)))
        return 0;
    while (gn_comma_next(&at, end, name, sizeof name, &len) > 0) {
        uint32_t to = gn_task_find(core, name, len);
        if (to == GN_NIL || gn_task_at(core, to)->state != GN_STATE_DONE)
            return 1;
    }
    return 0;
}

/* The text of after= that t was passed on with; 0: none. */
static size_t after_of(const struct gn_task *t, const char **text)
{
    const char *at = (const char *)t->mem + t->name_len, *end = at + t->pass_len;
    struct gn_pair pair;
    size_t n = 0;
    while (t->pass_len > 0 && gn_pair_next(&at, end, &pair))
        if (pair.id == GN_PARAM_AFTER) {
            *text = pair.value;
            n = pair.value_len;
        }
    return n;
}

/* Edges one by one: a name that is not here any longer (its batch of the journal was lost) must not cost the others. */
static int resume_edges(gn_core *core, struct gn_task *t, const char *text, size_t len, char *missing, size_t *missing_len)
{
    const char *at = text, *end = text + len;
    int lost = 0;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t n = (size_t)((comma == NULL ? end : comma) - at);
        if (gn_deps_add(core, t, (const uint8_t *)at, n) != 0 && !lost) {
            lost = 1;
            *missing_len = n < GN_TASK_BYTES_MAX ? n : GN_TASK_BYTES_MAX;
            memcpy(missing, at, *missing_len);
        }
        at += n + 1;
    }
    return lost;
}

void gn_deps_resume(gn_core *core, struct gn_task *t)
{
    char missing[GN_TASK_BYTES_MAX];
    const char *text = NULL;
    size_t missing_len = 0, len = after_of(t, &text);
    int lost = resume_edges(core, t, text, len, missing, &missing_len);
    if (t->state != GN_STATE_WAITING) {
        for (uint32_t i = t->needs; i != GN_NIL; i = gn_edge_at(core, i)->out_next)
            if (!gn_edge_at(core, i)->met) { /* it went on already: what it waited for was kicked since */
                gn_deps_drop(core, t);
                break;
            }
    } else if (lost || gn_deps_lost(core, t)) {
        bury(core, t, missing, missing_len);
    } else if (t->waits == 0 && !(t->flags & GN_TASK_DELAY)) {
        gn_shift(core, t, GN_EVENT_AFTER_MET);
    }
}
