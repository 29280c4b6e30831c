/* deps.c - after=: edges from a task to those it waits for, and runs after. */
#include "core/internal.h"

#define EDGE_IN offsetof(struct gn_edge, in)

static const char *const POLICIES[] = {[GN_NEEDS_ALL] = "all", [GN_NEEDS_ENDED] = "ended", [GN_NEEDS_ANY] = "any"};

int gn_deps_policy(const char *word, size_t len)
{
    for (int i = GN_NEEDS_ALL; i <= GN_NEEDS_ANY; i++)
        if (strlen(POLICIES[i]) == len && memcmp(POLICIES[i], word, len) == 0)
            return i;
    return -1;
}

int gn_deps_policy_kept(const struct gn_task *t)
{
    size_t len;
    const char *word = gn_task_passed(t, GN_PARAM_NEEDS, &len);
    int policy = len == 0 ? GN_NEEDS_ALL : gn_deps_policy(word, len);
    return policy < 0 ? GN_NEEDS_ALL : policy;
}

static int is_lost(const struct gn_task *t)
{
    return t->state == GN_STATE_BURIED || t->state == GN_STATE_CANCELLED;
}

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

/* Nothing more is waited for, by the edges in front of stop. */
static void meet(gn_core *core, struct gn_task *t, uint32_t stop)
{
    for (uint32_t i = t->needs; i != stop; i = gn_edge_at(core, i)->out_next)
        if (gn_edge_at(core, i)->met == GN_EDGE_UNMET) {
            gn_edge_at(core, i)->met = GN_EDGE_MET;
            t->waits--;
        }
}

int gn_deps_add(gn_core *core, struct gn_task *t, const uint8_t *raw, size_t len, int policy)
{
    const uint8_t *at = raw, *end = raw + len;
    char name[GN_TASK_BYTES_MAX];
    size_t name_len;
    uint32_t before = t->needs;
    int more, code = 0, any_done = 0;
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
        int done = gn_task_at(core, to)->state == GN_STATE_DONE;
        e->met = done || (policy == GN_NEEDS_ENDED && gn_task_ended(gn_task_at(core, to)));
        t->waits += !e->met;
        any_done |= done;
        gn_list_push(&core->edges, EDGE_IN, &gn_task_at(core, to)->needed_by, i);
        gn_result_spent(core, gn_task_at(core, to));
    }
    if (code != 0) {
        gn_deps_trim(core, t, before);
        return code;
    }
    if (policy == GN_NEEDS_ANY && any_done)
        meet(core, t, before);
    t->policy = (uint8_t)policy;
    return 0;
}

void gn_deps_drop(gn_core *core, struct gn_task *t)
{
    gn_deps_trim(core, t, GN_NIL);
}

void gn_deps_renew(gn_core *core, struct gn_task *t, uint32_t stop)
{
    uint32_t *at = &t->needs;
    while (*at != stop)
        at = &gn_edge_at(core, *at)->out_next;
    *at = GN_NIL;
    uint32_t fresh = t->needs;
    t->needs = stop;
    gn_deps_trim(core, t, GN_NIL);
    t->needs = fresh;
}

/* Of those still waited for: one is enough with needs=all, with any it must be each. */
int gn_deps_lost(const gn_core *core, const struct gn_task *t)
{
    uint32_t n = 0;
    for (uint32_t i = t->needs; i != GN_NIL; i = gn_edge_at(core, i)->out_next)
        n += !gn_edge_at(core, i)->met && is_lost(gn_task_at(core, gn_edge_at(core, i)->to));
    return t->policy == GN_NEEDS_ANY ? n > 0 && n == t->waits : n > 0;
}

static void bury(gn_core *core, struct gn_task *t, const char *name, size_t len)
{
    t->reason = GN_REASON_AFTER;
    gn_task_set_words(core, t, (const uint8_t *)name, len, 0);
    gn_journal_own(core, t, "RESPONSE:TASK_BURIED", "after");
    gn_shift(core, t, GN_EVENT_AFTER_FAILED);
}

void gn_deps_note(gn_core *core, struct gn_task *t)
{
    for (uint32_t i = t->needs; i != GN_NIL && t->policy == GN_NEEDS_ENDED; i = gn_edge_at(core, i)->out_next) {
        const struct gn_edge *e = gn_edge_at(core, i);
        if (e->met == GN_EDGE_MET && gn_task_at(core, e->to)->state == GN_STATE_BURIED) {
            gn_journal_own(core, t, "CONTROL:KICK", NULL);
            return;
        }
    }
}

void gn_deps_go(gn_core *core, struct gn_task *t)
{
    gn_shift(core, t, GN_EVENT_AFTER_MET);
    gn_deps_note(core, t);
}

void gn_deps_past(gn_core *core, uint32_t edge)
{
    for (uint32_t i = edge; i != GN_NIL; i = gn_edge_at(core, i)->out_next)
        gn_edge_at(core, i)->met = GN_EDGE_PAST;
}

void gn_deps_kicked(gn_core *core, struct gn_task *t)
{
    for (uint32_t i = t->needed_by.head; i != GN_NIL; i = gn_edge_at(core, i)->in.next) {
        struct gn_edge *e = gn_edge_at(core, i);
        struct gn_task *from = gn_task_at(core, e->from);
        if (e->met == GN_EDGE_MET && from->policy == GN_NEEDS_ENDED && from->state == GN_STATE_WAITING) {
            e->met = GN_EDGE_UNMET;
            from->waits++;
        }
    }
}

/* One edge after another, oldest first. What a shift does to this list is only to drop edges of
 * the task it shifts, so the next edge of another task is read before. Chains are walked by gn_settle's queue, not by recursion. */
void gn_deps_ended(gn_core *core, struct gn_task *t)
{
    uint32_t i = t->needed_by.head;
    while (i != GN_NIL) {
        struct gn_edge *e = gn_edge_at(core, i);
        struct gn_task *from = gn_task_at(core, e->from);
        i = e->in.next;
        if (e->met)
            continue;
        if (t->state == GN_STATE_DONE || from->policy == GN_NEEDS_ENDED) {
            if (from->policy == GN_NEEDS_ANY)
                meet(core, from, GN_NIL);
            else
                from->waits--;
            e->met = GN_EDGE_MET;
            if (from->waits == 0 && from->state == GN_STATE_WAITING && !(from->flags & GN_TASK_DELAY))
                gn_deps_go(core, from);
        } else if (from->state == GN_STATE_WAITING && gn_deps_lost(core, from)) {
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

static int one_done(const gn_core *core, const struct gn_task *t)
{
    for (uint32_t i = t->needs; i != GN_NIL; i = gn_edge_at(core, i)->out_next)
        if (gn_task_at(core, gn_edge_at(core, i)->to)->state == GN_STATE_DONE)
            return 1;
    return 0;
}

/* Edges one by one: a name that is not here any longer (its batch of the journal was lost) must not cost the others. */
static int resume_edges(gn_core *core, struct gn_task *t, const char *text, size_t len, char *missing, size_t *missing_len)
{
    const char *at = text, *end = text + len;
    int lost = 0;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        size_t n = (size_t)((comma == NULL ? end : comma) - at);
        if (gn_deps_add(core, t, (const uint8_t *)at, n, t->policy) != 0 && !lost) {
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
    size_t missing_len = 0, len;
    const char *text = gn_task_passed(t, GN_PARAM_AFTER, &len);
    t->policy = (uint8_t)gn_deps_policy_kept(t);
    int gone = resume_edges(core, t, text, len, missing, &missing_len);
    if (t->state != GN_STATE_WAITING || (t->policy == GN_NEEDS_ANY && one_done(core, t)))
        meet(core, t, GN_NIL); /* it went on already: what it waited for may have been kicked since */
    if (t->state != GN_STATE_WAITING)
        return;
    /* What is not here is neither done nor waited for. */
    if (gn_deps_lost(core, t) || (gone && (t->policy == GN_NEEDS_ALL || (t->policy == GN_NEEDS_ANY && t->needs == GN_NIL)))) {
        bury(core, t, missing, missing_len);
    } else if (t->waits == 0 && !(t->flags & GN_TASK_DELAY)) {
        gn_deps_go(core, t);
    }
}

uint32_t gn_deps_circle(gn_core *core, struct gn_task *t, const uint8_t *raw, size_t len)
{
    if (t->needed_by.head == GN_NIL)
        return GN_NIL;
    uint64_t visit = ++core->visit;
    uint32_t tail = t->self;
    t->visit = visit;
    t->visit_next = t->visit_from = GN_NIL;
    /* Everybody who waits for t, for one of those, and so on: each is met once, whatever the lattice. */
    for (uint32_t at = t->self; at != GN_NIL; at = gn_task_at(core, at)->visit_next)
        for (uint32_t i = gn_task_at(core, at)->needed_by.head; i != GN_NIL; i = gn_edge_at(core, i)->in.next) {
            struct gn_task *from = gn_task_at(core, gn_edge_at(core, i)->from);
            if (gn_edge_at(core, i)->met || from->visit == visit)
                continue;
            from->visit = visit;
            from->visit_from = at;
            from->visit_next = GN_NIL;
            gn_task_at(core, tail)->visit_next = from->self;
            tail = from->self;
        }
    const uint8_t *at = raw, *end = raw + len;
    char name[GN_TASK_BYTES_MAX];
    size_t name_len;
    while (gn_comma_next(&at, end, name, sizeof name, &name_len) > 0) {
        uint32_t i = gn_task_find(core, name, name_len);
        if (i != GN_NIL && i != t->self && gn_task_at(core, i)->visit == visit)
            return i;
    }
    return GN_NIL;
}
