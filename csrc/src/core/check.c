/* check.c - every invariant of the tables, one after another. For tests: it reads all there is. */
#include "core/internal.h"

#define TRUE(condition)  \
    do {                 \
        if (!(condition)) \
            return __LINE__; \
    } while (0)
#define SUB(call)             \
    do {                      \
        int line_ = (call);   \
        if (line_ != 0)       \
            return line_;     \
    } while (0)

/* Every list is walked from both ends' point of view; its count is the number of steps. */
static int list_ok(const struct gn_pool *pool, size_t off, const struct gn_list *list)
{
    uint32_t n = 0, before = GN_NIL;
    for (uint32_t i = list->head; i != GN_NIL; i = gn_node_at(pool, i, off)->next) {
        TRUE(gn_node_at(pool, i, off)->prev == before);
        TRUE(++n <= pool->live);
        before = i;
    }
    TRUE(list->tail == before);
    TRUE(n == list->count);
    return 0;
}

/* The line of a key: its first has the turn, the others have been ready and stand nowhere else. */
static int key_ok(const gn_core *core, const struct gn_key *k)
{
    SUB(list_ok(&core->tags, offsetof(struct gn_tags, line), &k->line));
    TRUE(k->refs >= k->line.count && k->refs > 0);
    for (uint32_t i = k->line.head; i != GN_NIL; i = gn_tags_at(core, i)->line.next) {
        const struct gn_tags *g = gn_tags_at(core, i);
        const struct gn_task *t = gn_task_at(core, g->task);
        TRUE(g->in_line && g->key == k->self && t->tags == i);
        TRUE(!gn_task_ended(t) && (t->state != GN_STATE_WAITING || t->waits == 0)); /* its delay was over before a restart */
        TRUE(t->state != GN_STATE_READY || (t->stand == GN_STAND_LINE) == (i != k->line.head));
        TRUE(i == k->line.head || (t->state != GN_STATE_LEASED && t->state != GN_STATE_CANCELLING));
    }
    return 0;
}

static int tags_ok(const gn_core *core, const struct gn_task *t)
{
    const struct gn_tags *g = gn_tags_at(core, t->tags);
    TRUE(g->self == t->tags && g->task == t->self);
    TRUE(g->key == GN_NIL || gn_key_at(core, g->key)->name_len > 0);
    TRUE(g->labels <= GN_LABELS_MAX && (g->key != GN_NIL || g->labels > 0 || core->config.limits_max == core->meters.live));
    int must = t->state == GN_STATE_READY || t->state == GN_STATE_LEASED || t->state == GN_STATE_CANCELLING;
    TRUE(g->key == GN_NIL || g->in_line || !must);
    return 0;
}

static int keys_ok(const gn_core *core)
{
    uint32_t live = 0, refs = 0, tags = 0;
    for (uint32_t i = 0; i < core->keys.high; i++)
        if (gn_key_at(core, i)->name_len > 0) {
            live++;
            refs += gn_key_at(core, i)->refs;
            SUB(key_ok(core, gn_key_at(core, i)));
        }
    for (uint32_t i = core->all.head; i != GN_NIL; i = gn_task_at(core, i)->all.next)
        if (gn_task_at(core, i)->tags != GN_NIL) {
            SUB(tags_ok(core, gn_task_at(core, i)));
            refs -= gn_tags_at(core, gn_task_at(core, i)->tags)->key != GN_NIL;
            tags++;
        }
    TRUE(live == core->keys.live && core->key_names.count == live);
    TRUE(refs == 0 && tags == core->tags.live);
    return 0;
}

/* Right after a restart nothing is handed out, and what could be is marked. */
static int holding(const gn_core *core)
{
    return core->replaying || core->now < core->hold_until;
}

static int lacks_slots(const gn_core *core, const struct gn_meter *m)
{
    return m->bound > 0 && gn_meter_running(core, m) >= m->bound;
}

static int action_ok(const gn_core *core, const struct gn_action *a)
{
    uint32_t queued = 0, sum = 0, listed = 0;
    for (int p = 0; p < GN_PRIOS; p++) {
        SUB(list_ok(&core->tasks, GN_TASK_Q, &a->queue[p]));
        TRUE((a->prios >> p & 1) == (a->queue[p].head != GN_NIL));
        TRUE(a->front[p] == GN_NIL || (gn_task_at(core, a->front[p])->stand == GN_STAND_QUEUE && gn_task_at(core, a->front[p])->prio == p));
        queued += a->queue[p].count;
        for (uint32_t i = a->queue[p].head; i != GN_NIL; i = gn_task_at(core, i)->q.next)
            TRUE(gn_task_at(core, i)->prio == p && gn_task_at(core, i)->state == GN_STATE_READY &&
                 gn_task_at(core, i)->stand == GN_STAND_QUEUE && gn_task_at(core, i)->action == a->self);
    }
    TRUE(queued <= a->count[GN_STATE_READY]); /* the others stand in the lines of their keys: sums_ok */
    SUB(list_ok(&core->tasks, GN_TASK_Q, &a->buried));
    TRUE(a->buried.count == a->count[GN_STATE_BURIED]);
    for (int s = 0; s < GN_SHARES; s++) {
        SUB(list_ok(&core->serves, offsetof(struct gn_serve, node), &a->share[s]));
        TRUE((a->shares >> s & 1) == (a->share[s].head != GN_NIL));
        listed += a->share[s].count;
        for (uint32_t i = a->share[s].head; i != GN_NIL; i = gn_serve_at(core, i)->node.next)
            TRUE(gn_peer_at(core, gn_serve_at(core, i)->peer)->share == s);
    }
    for (int state = 0; state < GN_STATE_COUNT; state++)
        sum += a->count[state];
    TRUE(sum == a->tasks);
    TRUE(!a->marked || holding(core));
    /* Nobody idles beside work. */
    const struct gn_meter *m = a->meter == GN_NIL ? NULL : gn_meter_at(core, a->meter);
    if (queued > 0 && !a->paused && !holding(core) && (m == NULL || !(m->timer || lacks_slots(core, m))))
        for (int s = 0; s < GN_SHARES; s++)
            for (uint32_t i = a->share[s].head; i != GN_NIL; i = gn_serve_at(core, i)->node.next)
                TRUE(!gn_out_room(core, gn_conn_at(core, gn_peer_at(core, gn_serve_at(core, i)->peer)->conn)));
    TRUE(listed <= a->agents);
    return 0;
}

static int peer_ok(const gn_core *core, const struct gn_peer *p)
{
    const struct gn_conn *c = gn_conn_at(core, p->conn);
    SUB(list_ok(&core->tasks, GN_TASK_Q, &p->held));
    TRUE(p->held.count == p->used);
    TRUE(c->live && !c->closing && c->peer == p->self);
    TRUE(gn_peer_find(core, p->name, p->name_len) == p->self);
    int out = p->serve_count == 0 || p->draining || p->blocked || p->suspect || p->claiming || p->used >= p->slots;
    TRUE(p->share == (out ? GN_SHARE_OUT : GN_SHARES * (uint64_t)p->used / p->slots));
    TRUE(!p->marked || holding(core));
    TRUE(!p->timer || core->timers.heap[p->heap_at].id == GN_TIMED_ID(GN_TIMED_PEER, p->self));
    for (uint32_t i = p->held.head; i != GN_NIL; i = gn_task_at(core, i)->q.next)
        TRUE(gn_task_at(core, i)->agent == p->self);
    return 0;
}

/* In order, behind one another, at the ends of messages or the head; none that is over. */
static int holds_ok(const gn_core *core, const struct gn_conn *c)
{
    uint64_t off = c->head_abs, batch = core->committed;
    for (uint32_t i = 0; i < c->holds_count; i++) {
        const struct gn_hold *h = &c->holds[(c->holds_head + i) & (c->holds_cap - 1)];
        TRUE(i == 0 ? h->off >= off : h->off > off);
        TRUE(h->batch > batch && h->batch <= core->batch);
        TRUE(h->off < c->head_abs + gn_out_bytes(c) || c->closing);
        off = h->off;
        batch = h->batch;
    }
    return 0;
}

static int conn_ok(const gn_core *core, const struct gn_conn *c)
{
    SUB(list_ok(&core->watches, offsetof(struct gn_watch, on_conn), &c->watching));
    SUB(list_ok(&core->watches, offsetof(struct gn_watch, on_conn), &c->waiting));
    TRUE(!c->doomed || c->closing);
    TRUE(!c->closing || (c->peer == GN_NIL && c->watching.count == 0 && c->waiting.count == 0 && !c->events));
    TRUE(c->peer == GN_NIL || gn_peer_at(core, c->peer)->conn == c->self);
    TRUE((c->ends_count == 0) == (c->head == c->tail));
    SUB(holds_ok(core, c));
    uint64_t before = c->head_abs;
    for (uint32_t i = 0; i < c->ends_count; i++) {
        uint64_t end = c->ends[(c->ends_head + i) & (c->ends_cap - 1)];
        TRUE(end > before);
        before = end;
    }
    TRUE(before == c->head_abs + gn_out_bytes(c));
    TRUE(c->is_dirty <= (gn_out_bytes(c) > 0 || c->closing || c->head_abs > 0));
    for (uint32_t i = c->waiting.head; i != GN_NIL; i = gn_watch_at(core, i)->on_conn.next)
        TRUE(gn_watch_at(core, i)->waiting && gn_watch_at(core, i)->conn == c->self);
    for (uint32_t i = c->watching.head; i != GN_NIL; i = gn_watch_at(core, i)->on_conn.next)
        TRUE(!gn_watch_at(core, i)->waiting && !gn_task_ended(gn_task_at(core, gn_watch_at(core, i)->task)));
    return 0;
}

static int needs_ok(const gn_core *core, const struct gn_task *t)
{
    uint32_t waits = 0, n = 0;
    for (uint32_t i = t->needs; i != GN_NIL; i = gn_edge_at(core, i)->out_next) {
        const struct gn_edge *e = gn_edge_at(core, i);
        TRUE(++n <= core->edges.live && e->from == t->self);
        TRUE(gn_task_at(core, e->to)->state != GN_STATE_NONE);
        TRUE(e->met || gn_task_at(core, e->to)->state != GN_STATE_DONE);
        TRUE(e->met || t->policy != GN_NEEDS_ENDED || !gn_task_ended(gn_task_at(core, e->to)));
        waits += !e->met;
    }
    TRUE(waits == t->waits);
    TRUE(!gn_deps_lost(core, t));
    TRUE(waits == 0 || t->state == GN_STATE_WAITING);
    TRUE(t->batch <= core->batch);
    TRUE(t->needs == GN_NIL || !gn_task_ended(t));
    return list_ok(&core->edges, offsetof(struct gn_edge, in), &t->needed_by);
}

static int task_ok(const gn_core *core, const struct gn_task *t)
{
    int held = t->state == GN_STATE_LEASED || t->state == GN_STATE_CANCELLING;
    TRUE(gn_task_find(core, gn_task_name(t), t->name_len) == t->self);
    TRUE(gn_action_at(core, t->action)->name_len > 0);
    TRUE((t->token != 0) == held);
    TRUE((t->stand != GN_STAND_NONE) == (t->state == GN_STATE_READY));
    TRUE(t->agent == GN_NIL || held);
    TRUE(t->next_action == GN_NIL);
    TRUE(!(t->flags & GN_TASK_SETTLE));
    TRUE(!(t->flags & GN_TASK_DELAY) || t->state == GN_STATE_WAITING);
    TRUE(t->state != GN_STATE_WAITING || t->waits > 0 || t->flags & GN_TASK_DELAY || core->replaying);
    TRUE((t->reason != 0) >= (t->state == GN_STATE_BURIED));
    int64_t at = t->due_us < t->ttl_us ? t->due_us : t->ttl_us;
    TRUE((t->timer == GN_TIMER_OFF) == (at == GN_NEVER));
    TRUE(t->timer == GN_TIMER_OFF || t->timer_at == at);
    TRUE(t->timer != GN_TIMER_HEAP || (t->heap_at < core->timers.count && core->timers.heap[t->heap_at].id == t->self));
    int spent = (t->state == GN_STATE_DONE || t->state == GN_STATE_CANCELLED) && t->watchers.count == 0 && t->needed_by.count == 0;
    TRUE(spent == !!(t->flags & GN_TASK_SPENT));
    TRUE(!gn_task_ended(t) || t->ttl_us == GN_NEVER);
    SUB(list_ok(&core->watches, offsetof(struct gn_watch, on_task), &t->watchers));
    return needs_ok(core, t);
}

static int schedules_ok(const gn_core *core, uint64_t *bytes)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < core->schedules.high; i++) {
        const struct gn_schedule *s = gn_schedule_at(core, i);
        if (!s->live)
            continue;
        live++;
        *bytes += (uint64_t)s->params_len + s->payload_len;
        TRUE(s->self == i && s->mem != NULL && s->name_len > 0 && strlen(s->name) == s->name_len);
        TRUE(s->next_ms > s->from_ms && s->from_ms >= s->base_ms && s->last_ms <= s->from_ms);
        TRUE(s->behind <= GN_SCHEDULE_BEHIND_MAX);
        TRUE(!s->timer || core->timers.heap[s->heap_at].id == GN_TIMED_ID(GN_TIMED_SCHEDULE, i));
        TRUE(s->blob == GN_NIL || gn_blob_at(core, s->blob)->refs > 0);
    }
    TRUE(live == core->schedules.live && live == core->schedule_names.count);
    return 0;
}

static int due_ok(const gn_core *core)
{
    const struct gn_timers *h = &core->timers;
    for (uint32_t i = 1; i < h->count; i++) {
        const struct gn_timer *up = &h->heap[(i - 1) / 4];
        TRUE(up->at < h->heap[i].at || (up->at == h->heap[i].at && up->seq < h->heap[i].seq));
    }
    const struct gn_list *lanes[] = {&h->lease, &h->keep};
    for (int k = 0; k < 2; k++) {
        SUB(list_ok(&core->tasks, GN_TASK_LANE, lanes[k]));
        int64_t before = 0;
        for (uint32_t i = lanes[k]->head; i != GN_NIL; i = gn_task_at(core, i)->lane.next) {
            TRUE(gn_task_at(core, i)->timer_at >= before);
            before = gn_task_at(core, i)->timer_at;
        }
    }
    return 0;
}

/* ---- limits ---- */

/* What is parked is of this action and meter; with room at the meter one that is as urgent is back in the queue. */
static int berth_ok(const gn_core *core, const struct gn_meter *m, const struct gn_berth *b, uint32_t *parked)
{
    TRUE(b->meter == m->self && (b->prios | b->invited) != 0);
    for (int p = 0; p < GN_PRIOS; p++) {
        SUB(list_ok(&core->tasks, GN_TASK_Q, &b->parked[p]));
        TRUE((b->prios >> p & 1) == (b->parked[p].head != GN_NIL));
        *parked += b->parked[p].count;
        for (uint32_t i = b->parked[p].head; i != GN_NIL; i = gn_task_at(core, i)->q.next) {
            const struct gn_task *t = gn_task_at(core, i);
            TRUE(t->state == GN_STATE_READY && t->stand == GN_STAND_PARKED && t->berth == b->self && t->prio == p);
            TRUE(t->action == b->action);
        }
    }
    int invited = b->prios != 0 && b->invited >> (31 - __builtin_clz(b->prios)) != 0;
    TRUE(b->prios == 0 || invited || m->timer || lacks_slots(core, m));
    return 0;
}

static int meter_ok(const gn_core *core, const struct gn_meter *m)
{
    uint32_t parked = 0;
    SUB(list_ok(&core->berths, offsetof(struct gn_berth, on_meter), &m->berths));
    TRUE(m->refs > 0 && gn_meter_find(core, m->kind, m->name + strlen(gn_meter_kind(m->kind)) + 1,
                                      m->name_len - strlen(gn_meter_kind(m->kind)) - 1) == m->self);
    TRUE(m->rate == 0 || m->level <= m->burst * UINT64_C(1000000000));
    TRUE(!m->timer || (m->rate > 0 && core->timers.heap[m->heap_at].id == GN_TIMED_ID(GN_TIMED_METER, m->self)));
    TRUE(m->kind != GN_METER_ACTION || gn_action_at(core, m->action)->meter == m->self);
    for (uint32_t i = m->berths.head; i != GN_NIL; i = gn_berth_at(core, i)->on_meter.next)
        SUB(berth_ok(core, m, gn_berth_at(core, i), &parked));
    TRUE(parked == m->parked);
    TRUE(parked == 0 || gn_meter_open(core, m) || m->timer || lacks_slots(core, m));
    return 0;
}

/* A task in its action's queue on the invitation of a berth is the only one of its priority. */
static int invited_ok(const gn_core *core)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < core->berths.high; i++)
        if ((gn_berth_at(core, i)->prios | gn_berth_at(core, i)->invited) != 0)
            bits += (uint32_t)__builtin_popcount(gn_berth_at(core, i)->invited);
    for (uint32_t i = core->all.head; i != GN_NIL; i = gn_task_at(core, i)->all.next) {
        const struct gn_task *t = gn_task_at(core, i);
        TRUE(t->berth == GN_NIL || t->stand == GN_STAND_PARKED || t->stand == GN_STAND_QUEUE);
        if (t->stand == GN_STAND_QUEUE && t->berth != GN_NIL) {
            TRUE(gn_berth_at(core, t->berth)->invited >> t->prio & 1);
            bits--;
        }
    }
    TRUE(bits == 0);
    return 0;
}

static uint32_t under(const struct gn_task *t, const struct gn_tags *g, uint32_t meter)
{
    uint32_t n = t->sender == meter;
    for (int i = 0; g != NULL && i < g->labels; i++)
        n += g->label[i] == meter;
    return n;
}

/* Running tasks and references are what a walk finds. */
static int meters_ok(const gn_core *core)
{
    uint32_t live = 0, limits = 0, parked = 0;
    for (uint32_t k = 0; k < core->meters.high; k++) {
        const struct gn_meter *m = gn_meter_at(core, k);
        if (m->name_len == 0)
            continue;
        uint32_t running = 0, refs = m->rate > 0 || m->bound > 0;
        live++;
        limits += refs;
        parked += m->parked;
        SUB(meter_ok(core, m));
        for (uint32_t i = core->all.head; i != GN_NIL; i = gn_task_at(core, i)->all.next) {
            const struct gn_task *t = gn_task_at(core, i);
            uint32_t n = under(t, t->tags == GN_NIL ? NULL : gn_tags_at(core, t->tags), k);
            refs += n;
            running += t->state == GN_STATE_LEASED || t->state == GN_STATE_CANCELLING ? n : 0;
        }
        for (uint32_t i = 0; i < core->peers.high; i++)
            refs += gn_peer_at(core, i)->live && gn_peer_at(core, i)->meter == k;
        TRUE(running == m->running && refs == m->refs);
    }
    TRUE(live == core->meters.live && live == core->meter_names.count);
    TRUE(limits == core->limits && parked == core->parked);
    return invited_ok(core);
}

static uint32_t in_queues(const gn_core *core)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < core->actions.high; i++)
        for (int p = 0; gn_action_at(core, i)->name_len > 0 && p < GN_PRIOS; p++)
            n += gn_action_at(core, i)->queue[p].count;
    return n;
}

static int streams_ok(const gn_core *core, uint64_t *bytes)
{
    uint64_t kept = 0;
    SUB(list_ok(&core->streams, offsetof(struct gn_stream, node), &core->kept_streams));
    TRUE(core->kept_streams.count == core->streams.live);
    for (uint32_t i = core->kept_streams.head; i != GN_NIL; i = gn_stream_at(core, i)->node.next) {
        const struct gn_stream *s = gn_stream_at(core, i);
        const struct gn_task *t = gn_task_at(core, s->task);
        uint64_t lines = 0;
        struct gn_piece piece;
        for (size_t at = s->head; at < s->tail; at += sizeof piece + piece.len) {
            memcpy(&piece, s->buf + at, sizeof piece);
            TRUE(piece.len > 0 && piece.len <= s->tail - at - sizeof piece);
            lines += piece.len;
        }
        TRUE(t->stream == i && t->state != GN_STATE_NONE && !gn_task_ended(t));
        TRUE(lines == s->bytes && lines <= core->config.partial_bytes_max && s->progress_len <= core->config.partial_bytes_max);
        TRUE(s->bytes + s->progress_len > 0 && s->tail <= s->cap && (s->progress == NULL) == (s->progress_len == 0));
        kept += lines + s->progress_len;
    }
    TRUE(kept == core->partial_bytes);
    *bytes += kept;
    return 0;
}

/* What the counters say is what a walk over all tasks finds. */
static int sums_ok(const gn_core *core)
{
    uint32_t count[16] = {0}, unfinished = 0, queued = 0, lates = 0;
    uint64_t bytes = 0;
    SUB(list_ok(&core->tasks, GN_TASK_ALL, &core->all));
    SUB(list_ok(&core->tasks, GN_TASK_SPENT_NODE, &core->spent));
    SUB(list_ok(&core->lates, offsetof(struct gn_late, node), &core->late_list));
    uint64_t serial = 0;
    for (uint32_t i = core->all.head; i != GN_NIL; i = gn_task_at(core, i)->all.next) {
        const struct gn_task *t = gn_task_at(core, i);
        TRUE(t->serial > serial || core->replaying);
        serial = t->serial;
        count[t->state]++;
        unfinished += !gn_task_ended(t);
        queued += t->stand == GN_STAND_QUEUE;
        bytes += (uint64_t)t->mem_bytes + t->words_len + t->hops_len;
        if (t->late != GN_NIL) {
            lates++;
            bytes += gn_late_bytes(gn_late_at(core, t->late));
            TRUE(gn_late_at(core, t->late)->task == i && gn_late_at(core, t->late)->payload_len <= GN_LATE_BYTES_MAX);
        }
        SUB(task_ok(core, t));
    }
    TRUE(core->all.count == core->tasks.live && core->task_names.count == core->tasks.live);
    TRUE(memcmp(count, core->count, sizeof count) == 0);
    TRUE(unfinished == core->unfinished);
    TRUE(queued == in_queues(core));
    SUB(schedules_ok(core, &bytes));
    SUB(streams_ok(core, &bytes));
    TRUE(bytes == core->bytes);
    TRUE(lates == core->lates.live && lates == core->late_list.count);
    TRUE(core->results == count[GN_STATE_DONE] + count[GN_STATE_CANCELLED]);
    TRUE(core->results <= core->config.results_max || core->spent.count == 0);
    return 0;
}

int gn_core_check(const gn_core *core)
{
    uint32_t agents = 0, suspects = 0, watches = 0;
    uint64_t out_bytes = 0;
    TRUE(core->settle_head == GN_NIL && core->doomed == GN_NIL);
    SUB(sums_ok(core));
    SUB(list_ok(&core->conns, offsetof(struct gn_conn, holding), &core->holding));
    SUB(due_ok(core));
    SUB(keys_ok(core));
    SUB(meters_ok(core));
    for (uint32_t i = 0; i < core->actions.high; i++)
        if (gn_action_at(core, i)->name_len > 0)
            SUB(action_ok(core, gn_action_at(core, i)));
    for (uint32_t i = 0; i < core->peers.high; i++)
        if (gn_peer_at(core, i)->live) {
            SUB(peer_ok(core, gn_peer_at(core, i)));
            agents += gn_peer_at(core, i)->serve_count > 0;
            suspects += gn_peer_at(core, i)->suspect;
        }
    for (uint32_t i = 0; i < core->conns.high; i++)
        if (gn_conn_at(core, i)->live) {
            const struct gn_conn *c = gn_conn_at(core, i);
            SUB(conn_ok(core, c));
            out_bytes += gn_out_bytes(c);
            watches += c->watching.count + c->waiting.count;
        }
    TRUE(agents == core->agents && suspects == core->suspects);
    TRUE(watches == core->watches.live);
    TRUE(out_bytes == core->out_bytes);
    TRUE(core->peer_names.count == core->peers.live);
    TRUE(core->blob_names.count == core->blobs.live);
    return 0;
}
