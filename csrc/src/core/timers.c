/* timers.c - what is due when, in order of (deadline, sequence), so always the same.
 *
 * A 4-ary heap with each item knowing its place; beside it two lanes. Leases of the default
 * length, and results of the default keep, come in order of their deadlines: a list does for
 * them what the heap would, without touching a path of other tasks at every message.
 */
#include <stdlib.h>

#include "core/internal.h"

#define NO_PLACE GN_NIL

static int before(const struct gn_timer *a, const struct gn_timer *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void put(gn_core *core, uint32_t place, struct gn_timer timer)
{
    uint32_t i = GN_TIMED_INDEX(timer.id);
    core->timers.heap[place] = timer;
    switch (GN_TIMED_WHAT(timer.id)) {
    case GN_TIMED_PEER: gn_peer_at(core, i)->heap_at = place; break;
    case GN_TIMED_METER: gn_meter_at(core, i)->heap_at = place; break;
    case GN_TIMED_SCHEDULE: gn_schedule_at(core, i)->heap_at = place; break;
    default: gn_task_at(core, i)->heap_at = place;
    }
}

static void sift(gn_core *core, uint32_t place, struct gn_timer timer)
{
    struct gn_timers *h = &core->timers;
    while (place > 0 && before(&timer, &h->heap[(place - 1) / 4])) {
        put(core, place, h->heap[(place - 1) / 4]);
        place = (place - 1) / 4;
    }
    for (;;) {
        uint32_t least = NO_PLACE;
        for (uint32_t child = place * 4 + 1; child <= place * 4 + 4 && child < h->count; child++)
            if (before(&h->heap[child], least == NO_PLACE ? &timer : &h->heap[least]))
                least = child;
        if (least == NO_PLACE)
            break;
        put(core, place, h->heap[least]);
        place = least;
    }
    put(core, place, timer);
}

static void heap_remove(gn_core *core, uint32_t place)
{
    struct gn_timer last = core->timers.heap[--core->timers.count];
    if (place < core->timers.count)
        sift(core, place, last);
}

int gn_timers_reserve(gn_core *core)
{
    struct gn_timers *h = &core->timers;
    size_t need = (size_t)core->tasks.live + core->peers.live + core->meters.live + core->schedules.live + 2;
    if (need <= h->cap)
        return 1;
    size_t cap = h->cap == 0 ? 256 : (size_t)h->cap * 2;
    struct gn_timer *heap = realloc(h->heap, cap * sizeof *heap);
    if (heap == NULL)
        return 0;
    h->heap = heap;
    h->cap = (uint32_t)cap;
    return 1;
}

static struct gn_list *lane_of(gn_core *core, int kind)
{
    return kind == GN_TIMER_LEASE ? &core->timers.lease : &core->timers.keep;
}

void gn_timer_task_off(gn_core *core, struct gn_task *t)
{
    if (t->timer == GN_TIMER_HEAP)
        heap_remove(core, t->heap_at);
    else if (t->timer != GN_TIMER_OFF)
        gn_list_drop(&core->tasks, GN_TASK_LANE, lane_of(core, t->timer), t->self);
    t->timer = GN_TIMER_OFF;
    t->timer_at = GN_NEVER;
}

/* The lane whose order t keeps when it goes to the end of it; the heap for all others. */
static int kind_for(gn_core *core, const struct gn_task *t, int64_t at)
{
    int kind = t->state == GN_STATE_LEASED ? GN_TIMER_LEASE : gn_task_ended(t) ? GN_TIMER_KEEP : GN_TIMER_HEAP;
    if (kind == GN_TIMER_HEAP)
        return kind;
    uint32_t tail = lane_of(core, kind)->tail;
    int in_order = tail == GN_NIL || gn_task_at(core, tail)->timer_at <= at;
    uint32_t usual_ms = kind == GN_TIMER_LEASE ? core->config.lease_ms : core->config.keep_ms;
    int usual = at <= core->now + (int64_t)usual_ms * GN_MS; /* one far deadline would shut the lane to all others */
    return in_order && usual ? kind : GN_TIMER_HEAP;
}

void gn_timer_task(gn_core *core, struct gn_task *t)
{
    int64_t at = t->due_us < t->ttl_us ? t->due_us : t->ttl_us;
    if (t->timer != GN_TIMER_OFF)
        gn_timer_task_off(core, t);
    if (at == GN_NEVER)
        return;
    t->timer = (uint8_t)kind_for(core, t, at);
    t->timer_at = at;
    t->timer_seq = ++core->timers.seq;
    if (t->timer == GN_TIMER_HEAP)
        sift(core, core->timers.count++, (struct gn_timer){at, t->timer_seq, t->self});
    else
        gn_list_push(&core->tasks, GN_TASK_LANE, lane_of(core, t->timer), t->self);
}

/* The timers of all but tasks are in the heap or off. */
static void heap_off(gn_core *core, uint8_t *on, uint32_t place)
{
    if (*on)
        heap_remove(core, place);
    *on = 0;
}

/* place: where it is, when it is on. */
static void heap_on(gn_core *core, uint8_t *on, uint32_t place, int64_t at, uint32_t id)
{
    heap_off(core, on, place);
    *on = 1;
    sift(core, core->timers.count++, (struct gn_timer){at, ++core->timers.seq, id});
}

void gn_timer_peer_off(gn_core *core, struct gn_peer *p)
{
    heap_off(core, &p->timer, p->heap_at);
}

void gn_timer_peer(gn_core *core, struct gn_peer *p, int64_t at)
{
    heap_on(core, &p->timer, p->heap_at, at, GN_TIMED_ID(GN_TIMED_PEER, p->self));
}

void gn_timer_meter_off(gn_core *core, struct gn_meter *m)
{
    heap_off(core, &m->timer, m->heap_at);
}

void gn_timer_meter(gn_core *core, struct gn_meter *m, int64_t at)
{
    heap_on(core, &m->timer, m->heap_at, at, GN_TIMED_ID(GN_TIMED_METER, m->self));
}

void gn_timer_schedule_off(gn_core *core, struct gn_schedule *s)
{
    heap_off(core, &s->timer, s->heap_at);
}

void gn_timer_schedule(gn_core *core, struct gn_schedule *s, int64_t at)
{
    heap_on(core, &s->timer, s->heap_at, at, GN_TIMED_ID(GN_TIMED_SCHEDULE, s->self));
}

static void lane_first(const gn_core *core, const struct gn_list *lane, struct gn_timer *best)
{
    if (lane->head == GN_NIL)
        return;
    const struct gn_task *t = gn_task_at(core, lane->head);
    struct gn_timer timer = {t->timer_at, t->timer_seq, t->self};
    if (before(&timer, best))
        *best = timer;
}

int gn_timer_first(const gn_core *core, struct gn_timer *out)
{
    struct gn_timer best = {GN_NEVER, UINT64_MAX, GN_NIL};
    if (core->timers.count > 0)
        best = core->timers.heap[0];
    lane_first(core, &core->timers.lease, &best);
    lane_first(core, &core->timers.keep, &best);
    *out = best;
    return best.at != GN_NEVER;
}
