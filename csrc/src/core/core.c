/* core.c - the doors of the core: new, links, feed, tick, effects, gauges. */
#include <stdlib.h>

#include "core/internal.h"

#define BATCH 64 /* messages parsed at a time */

void gn_core_defaults(gn_core_config *config)
{
    *config = (gn_core_config){
        .tasks_max = 1u << 20,
        .results_max = 131072,
        .bytes_max = UINT64_C(512) << 20,
        .actions_max = 1024,
        .peers_max = 4096,
        .links_max = 4096,
        .watches_max = 1u << 21,
        .edges_max = 1u << 20,
        .limits_max = 65536,
        .schedules_max = 4096,
        .partial_bytes_max = 65536,
        .out_bytes_max = 4u << 20,
        .inline_bytes_max = GN_INLINE_BYTES_MAX,
        .tries = 3,
        .lease_ms = 30000,
        .backoff_ms = 200,
        .backoff_ms_max = 60000,
        .keep_ms = 300000,
        .heartbeat_ms = 1000,
        .agent_timeout_ms = 10000,
        .suspect_ms = 3000,
        .cancel_grace_ms = 5000,
        .resume_hold_ms = 200,
    };
}

/* The cursor of TASKS and the mark of whose timer it is leave 24 bits for an index. */
#define INDEX_MAX (UINT32_C(1) << GN_TIMED_SHIFT)

static int sane(const gn_core_config *c)
{
    return c->tasks_max > 0 && c->tasks_max <= INDEX_MAX && c->results_max > 0 && c->bytes_max > 0 && c->actions_max > 0 &&
           c->actions_max <= INDEX_MAX && c->peers_max > 0 && c->peers_max <= INDEX_MAX / GN_SERVES_MAX && c->links_max > 0 &&
           c->links_max <= INDEX_MAX && c->watches_max > 0 && c->watches_max < GN_NIL && c->edges_max > 0 &&
           c->edges_max < GN_NIL && c->out_bytes_max > 0 && c->inline_bytes_max >= 16384 &&
           c->inline_bytes_max <= GN_INLINE_BYTES_MAX && c->limits_max > 0 && c->limits_max <= INDEX_MAX &&
           c->schedules_max > 0 && c->schedules_max <= INDEX_MAX && c->tries > 0 &&
           c->tries <= GN_TRIES_MAX && c->lease_ms > 0 &&
           c->agent_timeout_ms > 0;
}

static int make_tables(gn_core *core)
{
    const gn_core_config *c = &core->config;
    /* A journal may hold more than the bounds of today: those apply to what is new (gn_make_room, gn_action_get, gn_deps_add). */
    return gn_pool_open(&core->tasks, sizeof(struct gn_task), INDEX_MAX) &&
           gn_pool_open(&core->actions, sizeof(struct gn_action), INDEX_MAX) &&
           gn_pool_open(&core->serves, sizeof(struct gn_serve), (c->peers_max + 1) * GN_SERVES_MAX) &&
           gn_pool_open(&core->peers, sizeof(struct gn_peer), c->peers_max + 4) && /* those gone in this message still have a place */
           gn_pool_open(&core->conns, sizeof(struct gn_conn), c->links_max) &&
           gn_pool_open(&core->watches, sizeof(struct gn_watch), c->watches_max) &&
           gn_pool_open(&core->edges, sizeof(struct gn_edge), c->edges_max > INDEX_MAX ? c->edges_max : INDEX_MAX) &&
           gn_pool_open(&core->blobs, sizeof(struct gn_blob), INDEX_MAX * 2 + 2) && /* those to be dropped too */
           gn_pool_open(&core->keys, sizeof(struct gn_key), INDEX_MAX) &&
           gn_pool_open(&core->tags, sizeof(struct gn_tags), INDEX_MAX) &&
           gn_pool_open(&core->meters, sizeof(struct gn_meter), INDEX_MAX) &&
           gn_pool_open(&core->berths, sizeof(struct gn_berth), INDEX_MAX) && /* each holds a task or invited one */
           gn_pool_open(&core->schedules, sizeof(struct gn_schedule), INDEX_MAX) &&
           gn_pool_open(&core->lates, sizeof(struct gn_late), INDEX_MAX) &&
           gn_pool_open(&core->streams, sizeof(struct gn_stream), INDEX_MAX) &&
           gn_timers_reserve(core);
}

gn_core *gn_core_new(const gn_core_config *config)
{
    gn_core *core = sane(config) ? calloc(1, sizeof *core) : NULL;
    if (core == NULL)
        return NULL;
    core->config = *config;
    core->random = config->seed;
    /* Tokens of different runs of the coordinator differ, and still fit 53 bits. */
    core->token = (config->epoch & 0xfffff) << 32;
    core->settle_head = core->settle_tail = core->doomed = GN_NIL;
    core->actions_head = core->actions_tail = core->agents_head = core->agents_tail = GN_NIL;
    core->all = core->spent = core->dirty = core->effects = core->event_conns = core->blob_drops = core->blob_keeps = core->holding =
        core->kept_streams = GN_LIST_EMPTY;
    core->late_list = GN_LIST_EMPTY;
    core->batch = 1;
    core->walk = GN_NIL;
    core->timers.lease = core->timers.keep = GN_LIST_EMPTY;
    if (!make_tables(core)) {
        gn_core_free(core);
        return NULL;
    }
    return core;
}

static void free_contents(gn_core *core)
{
    for (uint32_t i = 0; core->tasks.chunk != NULL && i < core->tasks.high; i++) {
        struct gn_task *t = gn_task_at(core, i);
        if (t->state != GN_STATE_NONE) {
            free(t->mem);
            free(t->words);
            free(t->hops);
        }
    }
    for (uint32_t i = core->late_list.head; i != GN_NIL; i = gn_late_at(core, i)->node.next)
        free(gn_late_at(core, i)->mem);
    for (uint32_t i = core->kept_streams.head; i != GN_NIL; i = gn_stream_at(core, i)->node.next) {
        free(gn_stream_at(core, i)->buf);
        free(gn_stream_at(core, i)->progress);
    }
    for (uint32_t i = 0; core->peers.chunk != NULL && i < core->peers.high; i++) {
        struct gn_peer *p = gn_peer_at(core, i);
        if (p->live) {
            free(p->serves);
            free(p->info);
        }
    }
    for (uint32_t i = 0; core->schedules.chunk != NULL && i < core->schedules.high; i++)
        if (gn_schedule_at(core, i)->live)
            free(gn_schedule_at(core, i)->mem);
    for (uint32_t i = 0; core->conns.chunk != NULL && i < core->conns.high; i++) {
        struct gn_conn *c = gn_conn_at(core, i);
        if (c->live) {
            free(c->buf);
            free(c->ends);
            free(c->holds);
        }
    }
}

void gn_core_free(gn_core *core)
{
    if (core == NULL)
        return;
    free_contents(core);
    struct gn_pool *pools[] = {&core->tasks, &core->actions, &core->serves, &core->peers,
                               &core->conns, &core->watches, &core->edges,  &core->blobs,
                               &core->keys,  &core->tags,    &core->meters, &core->berths,
                               &core->schedules, &core->lates, &core->streams};
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        gn_pool_close(pools[i]);
    free(core->task_names.slot);
    free(core->action_names.slot);
    free(core->peer_names.slot);
    free(core->blob_names.slot);
    free(core->key_names.slot);
    free(core->meter_names.slot);
    free(core->schedule_names.slot);
    free(core->timers.heap);
    free(core->kept);
    free(core->journal.p);
    free(core->text.p);
    free(core->line.p);
    free(core->firing.p);
    free(core);
}

static void set_now(gn_core *core, int64_t now_us)
{
    if (now_us > core->now)
        core->now = now_us;
}

int gn_core_link_open(gn_core *core, int64_t now_us, int kind)
{
    set_now(core, now_us);
    if (kind != GN_LINK_STREAM && kind != GN_LINK_SHARED && kind != GN_LINK_JOURNAL)
        return -GN_BAD_TYPE;
    struct gn_conn *c = gn_conn_new(core, kind);
    return c == NULL ? -GN_BUSY : (int)c->self;
}

void gn_core_link_closed(gn_core *core, int64_t now_us, int link)
{
    set_now(core, now_us);
    if (link < 0 || (uint32_t)link >= core->conns.high || !gn_conn_at(core, (uint32_t)link)->live)
        return;
    gn_conn_close(core, gn_conn_at(core, (uint32_t)link));
    gn_settle(core); /* before the number is free: it may stand in the list of the doomed */
    gn_conn_free(core, gn_conn_at(core, (uint32_t)link));
}

/* ---- a message ---------------------------------------------------------------------------------- */

static void ping(gn_core *core, const struct gn_ctx *x)
{
    const gn_msg *m = x->m;
    gn_say(core, x->conn, "ACK:PONG", gn_chars(x->buf, m->task), m->task.len, NULL,
           m->flags & GN_MSG_PAYLOAD ? gn_chars(x->buf, m->payload) : NULL, m->payload.len);
}

static void control(gn_core *core, const struct gn_ctx *x)
{
    switch (x->m->verb) {
    case GN_VERB_REGISTER: gn_verb_register(core, x); break;
    case GN_VERB_HEARTBEAT: gn_verb_heartbeat(core, x); break;
    case GN_VERB_BYE: gn_verb_bye(core, x); break;
    case GN_VERB_CANCEL: gn_verb_cancel(core, x); break;
    case GN_VERB_RESULT: gn_verb_result(core, x); break;
    case GN_VERB_WATCH: gn_verb_watch(core, x); break;
    case GN_VERB_PEEK: gn_verb_peek(core, x); break;
    case GN_VERB_KICK: gn_verb_kick(core, x); break;
    case GN_VERB_PURGE: gn_verb_purge(core, x); break;
    case GN_VERB_PAUSE: gn_verb_pause(core, x, 1); break;
    case GN_VERB_RESUME: gn_verb_pause(core, x, 0); break;
    case GN_VERB_STATUS: gn_verb_status(core, x); break;
    case GN_VERB_TASKS: gn_verb_tasks(core, x); break;
    case GN_VERB_AGENTS: gn_verb_agents(core, x); break;
    case GN_VERB_PING: ping(core, x); break;
    case GN_VERB_ASSIGN_TASK: gn_verb_assign(core, x); break;
    case GN_VERB_DRAIN: gn_verb_drain(core, x); break;
    case GN_VERB_LIMIT: gn_verb_limit(core, x); break;
    case GN_VERB_LIMITS: gn_verb_limits(core, x); break;
    case GN_VERB_SCHEDULE: gn_verb_schedule(core, x); break;
    case GN_VERB_UNSCHEDULE: gn_verb_unschedule(core, x); break;
    case GN_VERB_SCHEDULES: gn_verb_schedules(core, x); break;
    case GN_VERB_FIRED: gn_verb_fired(core, x); break;
    default: gn_reject(core, x, GN_UNKNOWN_VERB);
    }
}

static void response(gn_core *core, const struct gn_ctx *x)
{
    switch (x->m->verb) {
    case GN_VERB_TASK_COMPLETED:
    case GN_VERB_TASK_FAILED:
    case GN_VERB_TASK_RELEASED:
    case GN_VERB_TASK_BURIED:
        gn_verb_outcome(core, x);
        break;
    case GN_VERB_PROGRESS:
    case GN_VERB_PARTIAL:
        gn_verb_progress(core, x);
        break;
    case GN_VERB_REJECTED:
        break; /* never a refusal of a refusal */
    default:
        gn_reject(core, x, GN_UNKNOWN_VERB);
    }
}

/* In a journal: only what gn_journal_message writes, and the journal's own. */
static int replayable(const gn_msg *m)
{
    return m->type == GN_DATA || m->type == GN_RESPONSE || m->verb == GN_VERB_CANCEL || m->verb == GN_VERB_KICK ||
           m->verb == GN_VERB_PAUSE || m->verb == GN_VERB_RESUME || m->verb == GN_VERB_LIMIT || m->verb == GN_VERB_SCHEDULE ||
           m->verb == GN_VERB_UNSCHEDULE || m->verb == GN_VERB_FIRED;
}

static void carry_out(gn_core *core, const struct gn_ctx *x)
{
    const gn_msg *m = x->m;
    if (core->replaying) {
        set_now(core, x->p.ts <= (uint64_t)(INT64_MAX / GN_MS) ? (int64_t)x->p.ts * GN_MS : 0);
        if (gn_replay_kept(core, x))
            return;
        if (!replayable(m)) {
            gn_replay_control(core, x);
            return;
        }
    }
    if (m->type == GN_DATA)
        gn_verb_submit(core, x);
    else if (m->type == GN_CONTROL)
        control(core, x);
    else if (m->type == GN_RESPONSE)
        response(core, x);
    /* An ACK asks for nothing. */
}

/* Who sent what came in so far on this feed; on a shared link only. */
struct sender {
    char name[GN_TASK_BYTES_MAX];
    size_t len;
};

/* By its key alone: a message whose other parameters are wrong still says who is to be told. */
static void read_from(const struct gn_ctx *x, struct sender *from)
{
    uint8_t name[GN_HEADER_BYTES_MAX];
    gn_span value;
    if (!gn_param_find(x->buf, x->m, gn_param_key(GN_PARAM_FROM), &value) || value.len > sizeof name)
        return;
    ptrdiff_t n = gn_unescape(x->buf + value.off, value.len, name, sizeof name);
    from->len = n > 0 && (size_t)n <= sizeof from->name ? (size_t)n : 0;
    memcpy(from->name, name, from->len);
}

static void message(gn_core *core, struct gn_conn *in, const uint8_t *buf, const gn_msg *m, struct sender *from)
{
    struct gn_ctx x = {.buf = buf, .m = m, .conn = GN_NIL, .peer = GN_NIL, .link = in->self};
    int code = m->code;
    core->n.messages++;
    if (code == 0)
        code = gn_params_read(buf, m, &x.p);
    if (in->kind == GN_LINK_STREAM) {
        x.conn = in->self;
        x.peer = in->peer;
        from->len = 0; /* no message before it speaks for this one */
    }
    if (x.peer == GN_NIL && in->kind != GN_LINK_JOURNAL) {
        if (m->code == 0)
            read_from(&x, from);
        if (from->len > 0)
            x.peer = gn_peer_find(core, from->name, from->len);
        if (x.peer != GN_NIL && x.conn == GN_NIL)
            x.conn = gn_peer_at(core, x.peer)->conn;
    }
    if (in->kind == GN_LINK_JOURNAL) { /* each line stands alone */
        from->len = 0;
        if (m->type == GN_DATA && m->code == 0)
            read_from(&x, from);
    }
    if (x.peer == GN_NIL && gn_is_name(from->name, from->len)) {
        x.from = from->name;
        x.from_len = from->len;
    }
    if (x.peer != GN_NIL)
        gn_peer_heard(core, gn_peer_at(core, x.peer));
    if (code == 0)
        carry_out(core, &x);
    else if (!core->replaying)
        gn_reject_why(core, &x, code);
}

size_t gn_core_feed(gn_core *core, int64_t now_us, int link, const uint8_t *buf, size_t len, int final)
{
    if (link < 0 || (uint32_t)link >= core->conns.high || !gn_conn_at(core, (uint32_t)link)->live)
        return len;
    struct gn_conn *in = gn_conn_at(core, (uint32_t)link);
    if (in->kind == GN_CONN_OPENED)
        return len; /* output only */
    if (in->kind != GN_LINK_JOURNAL)
        set_now(core, now_us);
    gn_parser once = {.inline_bytes_max = core->config.inline_bytes_max};
    gn_parser *parser = in->kind == GN_LINK_SHARED ? &once : &in->parser;
    struct sender from = {.len = 0};
    gn_msg msgs[BATCH];
    size_t used = 0;
    core->replaying |= in->kind == GN_LINK_JOURNAL; /* until gn_core_resume */
    for (;;) {
        size_t consumed = 0;
        size_t count = gn_parse(parser, buf + used, len - used, final, msgs, BATCH, &consumed);
        for (size_t i = 0; i < count && !in->closing; i++) {
            if (in->kind == GN_LINK_STREAM && gn_out_bytes(in) > core->config.out_bytes_max) {
                in->parser = (gn_parser){.inline_bytes_max = core->config.inline_bytes_max};
                return used + msgs[i].whole.off; /* it asks faster than it takes the answers */
            }
            message(core, in, buf + used, &msgs[i], &from);
            gn_settle(core);
        }
        used += consumed;
        if (in->closing || count < BATCH)
            break;
    }
    return in->closing ? len : used;
}

/* ---- after a message -------------------------------------------------------------------------------- */

static void settle_ended(gn_core *core)
{
    while (core->settle_head != GN_NIL) {
        struct gn_task *t = gn_task_at(core, core->settle_head);
        core->settle_head = t->settle_next;
        if (core->settle_head == GN_NIL)
            core->settle_tail = GN_NIL;
        t->flags &= (uint16_t)~GN_TASK_SETTLE;
        gn_watch_deliver(core, t);
        gn_deps_ended(core, t);
    }
}

void gn_settle(gn_core *core)
{
    do {
        settle_ended(core);
        while (core->doomed != GN_NIL) {
            struct gn_conn *c = gn_conn_at(core, core->doomed);
            core->doomed = c->doomed_next;
            gn_conn_close(core, c);
        }
        gn_pump(core);
    } while (core->settle_head != GN_NIL || core->doomed != GN_NIL ||
             (!core->replaying && core->now >= core->hold_until && (core->actions_head != GN_NIL || core->agents_head != GN_NIL)));
    if (core->results > core->config.results_max)
        gn_results_trim(core);
}

void gn_core_tick(gn_core *core, int64_t now_us)
{
    struct gn_timer timer;
    set_now(core, now_us);
    if (core->hold_until != 0 && core->now >= core->hold_until) {
        core->hold_until = 0;
        gn_settle(core);
    }
    while (gn_timer_first(core, &timer) && timer.at <= core->now) {
        uint32_t i = GN_TIMED_INDEX(timer.id);
        switch (GN_TIMED_WHAT(timer.id)) {
        case GN_TIMED_PEER: gn_peer_due(core, gn_peer_at(core, i)); break;
        case GN_TIMED_METER: gn_meter_due(core, gn_meter_at(core, i)); break;
        case GN_TIMED_SCHEDULE: gn_schedule_due(core, gn_schedule_at(core, i)); break;
        default: gn_task_due(core, gn_task_at(core, i));
        }
        gn_settle(core);
    }
}

int64_t gn_core_now_us(const gn_core *core)
{
    return core->now;
}

int64_t gn_core_next_us(const gn_core *core)
{
    struct gn_timer timer;
    int64_t at = gn_timer_first(core, &timer) ? timer.at : GN_NEVER;
    return core->hold_until != 0 && core->hold_until < at ? core->hold_until : at;
}

/* ---- effects ------------------------------------------------------------------------------------------ */

static int link_effect(gn_core *core, gn_effect *out)
{
    uint32_t i = core->effects.head;
    if (i == GN_NIL)
        return 0;
    struct gn_conn *c = gn_conn_at(core, i);
    out->link = (int)i;
    out->kind = c->want_open ? GN_EFFECT_OPEN : GN_EFFECT_CLOSE;
    memcpy(out->text, c->address, sizeof out->text);
    if (c->want_open)
        c->want_open = 0;
    else
        c->want_close = 0;
    if (!c->want_close) {
        gn_list_drop(&core->conns, offsetof(struct gn_conn, effect), &core->effects, i);
        c->in_effects = 0;
    }
    return 1;
}

static int blob_effect(gn_core *core, gn_effect *out)
{
    uint32_t i = core->blob_keeps.head;
    if (i != GN_NIL) {
        out->kind = GN_EFFECT_BLOB_KEEP;
        memcpy(out->text, gn_blob_at(core, i)->name, sizeof gn_blob_at(core, i)->name);
        gn_list_drop(&core->blobs, offsetof(struct gn_blob, drop), &core->blob_keeps, i);
        gn_blob_at(core, i)->keeping = 0;
        return 1;
    }
    i = core->blob_drops.head;
    if (i == GN_NIL)
        return 0;
    struct gn_blob *b = gn_blob_at(core, i);
    out->kind = GN_EFFECT_BLOB_DROP;
    memcpy(out->text, b->name, sizeof b->name);
    gn_list_drop(&core->blobs, offsetof(struct gn_blob, drop), &core->blob_drops, i);
    gn_names_drop(&core->blob_names, b->hash, i);
    gn_pool_give(&core->blobs, i);
    return 1;
}

int gn_core_effect(gn_core *core, gn_effect *out)
{
    memset(out, 0, sizeof *out);
    out->link = -1;
    if (link_effect(core, out) || blob_effect(core, out))
        return 1;
    if (core->draining && !core->drained && core->unfinished == 0) {
        core->drained = 1;
        out->kind = GN_EFFECT_DRAINED;
        return 1;
    }
    return 0;
}

void gn_core_drain(gn_core *core, int64_t now_us)
{
    set_now(core, now_us);
    core->draining = 1;
}

/* ---- gauges and views ------------------------------------------------------------------------------------ */

enum gauge {
#define X(name, value, bound) GAUGE_##name,
    GN_GAUGES(X)
#undef X
    GAUGE_COUNT
};

int gn_core_gauge_count(void)
{
    return GAUGE_COUNT;
}

const char *gn_core_gauge_name(int gauge)
{
    static const char *const NAMES[] = {
#define X(name, value, bound) #name,
        GN_GAUGES(X)
#undef X
    };
    return gauge >= 0 && gauge < GAUGE_COUNT ? NAMES[gauge] : "unknown";
}

uint64_t gn_core_gauge(const gn_core *core, int gauge)
{
    switch (gauge) {
#define X(name, value, bound) \
    case GAUGE_##name: return value;
        GN_GAUGES(X)
#undef X
    default: return 0;
    }
}

uint64_t gn_core_gauge_bound(const gn_core *core, int gauge)
{
    switch (gauge) {
#define X(name, value, bound) \
    case GAUGE_##name: return bound;
        GN_GAUGES(X)
#undef X
    default: return 0;
    }
}

int gn_core_task(const gn_core *core, const char *name, size_t len, gn_task_view *out)
{
    uint32_t i = gn_task_find(core, name, len);
    memset(out, 0, sizeof *out);
    if (i == GN_NIL)
        return 0;
    const struct gn_task *t = gn_task_at(core, i);
    out->state = t->state;
    out->prio = t->prio;
    out->tries_used = t->tries_used;
    out->tries_max = t->tries_max;
    out->token = t->token;
    out->due_us = t->due_us < t->ttl_us ? t->due_us : t->ttl_us;
    out->waits_for = t->waits;
    out->stand = t->stand;
    out->watchers = t->watchers.count;
    memcpy(out->action, gn_action_at(core, t->action)->name, sizeof out->action);
    if (t->agent != GN_NIL)
        memcpy(out->agent, gn_peer_at(core, t->agent)->name, sizeof out->agent);
    if (t->state == GN_STATE_BURIED)
        strcpy(out->reason, gn_reason_word(t->reason));
    return 1;
}
