/* out.c - links: output buffers with the ends of their messages, the dirty list, what is asked of the outside. */
#include <stdlib.h>

#include "core/internal.h"

#define DIRTY offsetof(struct gn_conn, dirty)
#define EFFECT offsetof(struct gn_conn, effect)
#define EVENT_NODE offsetof(struct gn_conn, event_node)
#define HOLDING offsetof(struct gn_conn, holding)
#define OUT_KEEP (256u * 1024) /* an empty buffer larger than this is given back */

struct gn_conn *gn_conn_new(gn_core *core, int kind)
{
    uint32_t i = gn_pool_take(&core->conns);
    if (i == GN_NIL)
        return NULL;
    struct gn_conn *c = gn_conn_at(core, i);
    c->self = i;
    c->kind = (uint8_t)kind;
    c->live = 1;
    c->peer = GN_NIL;
    c->watching = c->waiting = GN_LIST_EMPTY;
    c->parser.inline_bytes_max = core->config.inline_bytes_max;
    return c;
}

static void drop_holds(gn_core *core, struct gn_conn *c)
{
    if (c->holds_count > 0)
        gn_list_drop(&core->conns, HOLDING, &core->holding, c->self);
    c->holds_count = 0;
}

static void make_dirty(gn_core *core, struct gn_conn *c)
{
    if (c->is_dirty)
        return;
    c->is_dirty = 1;
    gn_list_push(&core->conns, DIRTY, &core->dirty, c->self);
}

void gn_conn_free(gn_core *core, struct gn_conn *c)
{
    if (c->is_dirty)
        gn_list_drop(&core->conns, DIRTY, &core->dirty, c->self);
    if (c->in_effects)
        gn_list_drop(&core->conns, EFFECT, &core->effects, c->self);
    core->out_bytes -= gn_out_bytes(c);
    free(c->buf);
    drop_holds(core, c);
    free(c->holds);
    free(c->ends);
    gn_pool_give(&core->conns, c->self);
}

/* Room for n bytes at the tail and one more end. */
static int grow(struct gn_conn *c, size_t n)
{
    if (c->ends_count == c->ends_cap) {
        uint32_t cap = c->ends_cap == 0 ? 64 : c->ends_cap * 2;
        uint64_t *ends = malloc(cap * sizeof *ends);
        if (ends == NULL)
            return 0;
        for (uint32_t i = 0; i < c->ends_count; i++)
            ends[i] = c->ends[(c->ends_head + i) & (c->ends_cap - 1)];
        free(c->ends);
        c->ends = ends;
        c->ends_cap = cap;
        c->ends_head = 0;
    }
    if (c->tail + n <= c->cap)
        return 1;
    size_t used = gn_out_bytes(c);
    if (used + n <= c->cap && c->head >= c->cap / 2) {
        memmove(c->buf, c->buf + c->head, used);
    } else {
        size_t cap = c->cap == 0 ? 4096 : c->cap * 2;
        while (cap < used + n)
            cap *= 2;
        uint8_t *buf = malloc(cap);
        if (buf == NULL)
            return 0;
        if (used > 0)
            memcpy(buf, c->buf + c->head, used);
        free(c->buf);
        c->buf = buf;
        c->cap = cap;
    }
    c->head = 0;
    c->tail = used;
    return 1;
}

uint8_t *gn_out_reserve(gn_core *core, struct gn_conn *c, size_t n)
{
    if (c->closing || c->doomed)
        return NULL;
    if ((c->tail + n > c->cap || c->ends_count == c->ends_cap) && !grow(c, n)) {
        gn_conn_doom(core, c);
        return NULL;
    }
    return c->buf + c->tail;
}

void gn_out_commit(gn_core *core, struct gn_conn *c, size_t n)
{
    if (c->head == c->tail)
        c->moved_us = core->now;
    c->tail += n;
    core->out_bytes += n;
    c->ends[(c->ends_head + c->ends_count++) & (c->ends_cap - 1)] = c->head_abs + gn_out_bytes(c);
    make_dirty(core, c);
}

/* ---- what waits for the journal --------------------------------------------------------------------- */

static struct gn_hold *hold_at(const struct gn_conn *c, uint32_t i)
{
    return &c->holds[(c->holds_head + i) & (c->holds_cap - 1)];
}

static int grow_holds(struct gn_conn *c)
{
    uint32_t cap = c->holds_cap == 0 ? 8 : c->holds_cap * 2;
    struct gn_hold *holds = malloc(cap * sizeof *holds);
    if (holds == NULL)
        return 0;
    for (uint32_t i = 0; i < c->holds_count; i++)
        holds[i] = *hold_at(c, i);
    free(c->holds);
    c->holds = holds;
    c->holds_cap = cap;
    c->holds_head = 0;
    return 1;
}

void gn_out_hold(gn_core *core, struct gn_conn *c, uint64_t batch)
{
    if (GN_PLANTED(ACK_EARLY) || batch <= core->committed || c->closing || c->doomed ||
        (c->holds_count > 0 && hold_at(c, c->holds_count - 1)->batch >= batch))
        return;
    if (c->holds_count == c->holds_cap && !grow_holds(c)) {
        gn_conn_doom(core, c); /* a promise must not leave early */
        return;
    }
    if (c->holds_count == 0)
        gn_list_push(&core->conns, HOLDING, &core->holding, c->self);
    *hold_at(c, c->holds_count++) = (struct gn_hold){c->head_abs + gn_out_bytes(c), batch};
}

void gn_core_journal_committed(gn_core *core, uint64_t batch)
{
    uint32_t next;
    if (batch > core->committed)
        core->committed = batch;
    for (uint32_t i = core->holding.head; i != GN_NIL; i = next) {
        struct gn_conn *c = gn_conn_at(core, i);
        uint32_t before = c->holds_count;
        next = c->holding.next;
        while (c->holds_count > 0 && hold_at(c, 0)->batch <= core->committed) {
            c->holds_head = (c->holds_head + 1) & (c->holds_cap - 1);
            c->holds_count--;
        }
        if (c->holds_count == 0)
            gn_list_drop(&core->conns, HOLDING, &core->holding, i);
        if (c->holds_count < before)
            make_dirty(core, c);
    }
}

/* Bytes that may leave now: whole messages. */
static size_t free_bytes(const struct gn_conn *c)
{
    return c->holds_count > 0 ? (size_t)(hold_at(c, 0)->off - c->head_abs) : gn_out_bytes(c);
}

void gn_out_plain(gn_core *core, struct gn_conn *c, size_t n)
{
    gn_out_commit(core, c, n);
    if (gn_out_bytes(c) > (size_t)core->config.out_bytes_max * 2) {
        core->n.links_closed_slow++;
        gn_conn_doom(core, c);
    }
}

/* Close it once the message is over: nobody is in the middle of its lists then. */
void gn_conn_doom(gn_core *core, struct gn_conn *c)
{
    if (c->doomed || c->closing)
        return;
    c->doomed = 1;
    c->doomed_next = core->doomed;
    core->doomed = c->self;
}

void gn_effect_list(gn_core *core, struct gn_conn *c)
{
    if (c->in_effects)
        gn_list_drop(&core->conns, EFFECT, &core->effects, c->self);
    c->in_effects = 1;
    gn_list_push(&core->conns, EFFECT, &core->effects, c->self);
}

void gn_out_discard(gn_core *core, struct gn_conn *c)
{
    drop_holds(core, c);
    core->out_bytes -= gn_out_bytes(c);
    c->head_abs += gn_out_bytes(c);
    c->head = c->tail = 0;
    c->ends_count = 0;
}

/* Nothing points to it any longer; what it holds may still be flushed. */
void gn_conn_close(gn_core *core, struct gn_conn *c)
{
    if (c->closing)
        return;
    c->closing = 1;
    while (c->watching.head != GN_NIL)
        gn_watch_free(core, gn_watch_at(core, c->watching.head));
    while (c->waiting.head != GN_NIL)
        gn_watch_free(core, gn_watch_at(core, c->waiting.head));
    if (c->events)
        gn_list_drop(&core->conns, EVENT_NODE, &core->event_conns, c->self);
    c->events = 0;
    if (c->peer != GN_NIL)
        gn_peer_gone(core, gn_peer_at(core, c->peer), 0);
    c->want_close = 1;
    gn_effect_list(core, c);
}

struct gn_conn *gn_conn_ask_open(gn_core *core, const char *address)
{
    struct gn_conn *c = gn_conn_new(core, GN_CONN_OPENED);
    if (c == NULL)
        return NULL;
    strncpy(c->address, address, sizeof c->address - 1);
    c->want_open = 1;
    gn_effect_list(core, c);
    return c;
}

struct gn_conn *gn_conn_by_address(gn_core *core, const char *address)
{
    for (uint32_t i = 0; i < core->conns.high; i++) {
        struct gn_conn *c = gn_conn_at(core, i);
        if (c->live && !c->closing && c->kind == GN_CONN_OPENED && strcmp(c->address, address) == 0)
            return c;
    }
    return NULL;
}

int gn_core_dirty(gn_core *core)
{
    uint32_t i = core->dirty.head;
    if (i == GN_NIL)
        return -1;
    gn_list_drop(&core->conns, DIRTY, &core->dirty, i);
    gn_conn_at(core, i)->is_dirty = 0;
    return (int)i;
}

static struct gn_conn *live_conn(gn_core *core, int link)
{
    if (link < 0 || (uint32_t)link >= core->conns.high)
        return NULL;
    struct gn_conn *c = gn_conn_at(core, (uint32_t)link);
    return c->live ? c : NULL;
}

const uint8_t *gn_core_output(gn_core *core, int link, size_t cap, size_t *len, int *whole)
{
    struct gn_conn *c = live_conn(core, link);
    *len = 0;
    *whole = 1;
    size_t used = c == NULL ? 0 : free_bytes(c);
    if (used == 0)
        return NULL;
    if (used <= cap) {
        *len = used;
        return c->buf + c->head;
    }
    /* The last end within cap: the ends are in order. */
    uint32_t low = 0, high = c->ends_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (c->ends[(c->ends_head + mid) & (c->ends_cap - 1)] <= c->head_abs + cap)
            low = mid + 1;
        else
            high = mid;
    }
    *whole = low > 0;
    *len = low > 0 ? (size_t)(c->ends[(c->ends_head + low - 1) & (c->ends_cap - 1)] - c->head_abs) : cap;
    return c->buf + c->head;
}

size_t gn_core_held(const gn_core *core, int link)
{
    if (link < 0 || (uint32_t)link >= core->conns.high)
        return 0;
    const struct gn_conn *c = gn_conn_at(core, (uint32_t)link);
    return c->live ? gn_out_bytes(c) - free_bytes(c) : 0;
}

void gn_core_sent(gn_core *core, int64_t now_us, int link, size_t len)
{
    struct gn_conn *c = live_conn(core, link);
    if (now_us > core->now)
        core->now = now_us;
    if (c == NULL)
        return;
    if (len > free_bytes(c))
        len = free_bytes(c);
    c->head += len;
    c->head_abs += len;
    c->moved_us = core->now;
    core->out_bytes -= len;
    while (c->ends_count > 0 && c->ends[c->ends_head] <= c->head_abs) {
        c->ends_head = (c->ends_head + 1) & (c->ends_cap - 1);
        c->ends_count--;
    }
    if (c->head == c->tail) {
        c->head = c->tail = 0;
        if (c->cap > OUT_KEEP) {
            free(c->buf);
            c->buf = NULL;
            c->cap = 0;
        }
    }
    if (c->closing || !gn_out_room(core, c))
        return;
    gn_watch_room(core, c);
    if (c->peer != GN_NIL && gn_peer_at(core, c->peer)->blocked && gn_out_room(core, c)) {
        gn_peer_at(core, c->peer)->blocked = 0;
        gn_agent_relist(core, gn_peer_at(core, c->peer));
        gn_agent_mark(core, gn_peer_at(core, c->peer));
    }
    gn_settle(core);
}
