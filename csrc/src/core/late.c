/* late.c - outcomes that came when their lease was over: not applied, but kept beside the task for who wants to see.
 *
 * An agent that was thought lost may have done the work after all. What it reports is refused as stale; the newest such
 * report of a task is kept as a labelled duplicate. It is a courtesy: its payload is cut, no blob is kept for it, and
 * it goes first when room is needed. In the journal it is an outcome's line with late=1 and the token it came with:
 * no outcome that was applied has a token there, so a replay cannot mistake one for the other.
 */
#include <stdlib.h>

#include "core/internal.h"

#define NODE offsetof(struct gn_late, node)

static const char *verb_of(const struct gn_late *l)
{
    return l->verb == GN_VERB_TASK_COMPLETED ? "RESPONSE:TASK_COMPLETED"
           : l->verb == GN_VERB_TASK_FAILED  ? "RESPONSE:TASK_FAILED"
                                             : "RESPONSE:TASK_BURIED";
}

static const char *payload_of(const struct gn_late *l)
{
    return l->mem + l->from_len;
}

void gn_late_drop(gn_core *core, struct gn_task *t)
{
    if (t->late == GN_NIL)
        return;
    struct gn_late *l = gn_late_at(core, t->late);
    gn_list_drop(&core->lates, NODE, &core->late_list, t->late);
    core->bytes -= gn_late_bytes(l);
    free(l->mem);
    gn_pool_give(&core->lates, t->late);
    t->late = GN_NIL;
}

int gn_late_give_way(gn_core *core)
{
    uint32_t i = core->late_list.head;
    if (i != GN_NIL)
        gn_late_drop(core, gn_task_at(core, gn_late_at(core, i)->task));
    return i != GN_NIL;
}

/* Who sent x: in a journal it is said, elsewhere it is known. */
static size_t sender_of(const gn_core *core, const struct gn_ctx *x, const char **name)
{
    gn_span from;
    if (core->replaying) {
        if (!gn_param_find(x->buf, x->m, "from", &from) || !gn_is_name(gn_chars(x->buf, from), from.len))
            return 0;
        *name = gn_chars(x->buf, from);
        return from.len;
    }
    if (x->peer == GN_NIL) {
        *name = x->from;
        return x->from_len;
    }
    *name = gn_peer_at(core, x->peer)->name;
    return gn_peer_at(core, x->peer)->name_len;
}

/* How long the payload was when it came. */
static uint64_t size_of(const gn_core *core, const struct gn_ctx *x)
{
    gn_span size;
    uint64_t v;
    if (core->replaying && gn_param_find(x->buf, x->m, "size", &size) && gn_read_u64(gn_chars(x->buf, size), size.len, &v))
        return v;
    return x->m->payload.len;
}

/* In place of the one before; without room for it there is none. */
static struct gn_late *take(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    const gn_msg *m = x->m;
    const char *from = NULL;
    size_t from_len = sender_of(core, x, &from);
    size_t len = m->payload.len < GN_LATE_BYTES_MAX ? m->payload.len : GN_LATE_BYTES_MAX;
    gn_late_drop(core, t);
    if (!core->replaying)
        gn_partials_yield(core, from_len + len);
    while (!core->replaying && core->bytes + from_len + len > core->config.bytes_max)
        if (!gn_late_give_way(core))
            return NULL;
    char *mem = malloc(from_len + len + 1);
    uint32_t i = mem == NULL ? GN_NIL : gn_pool_take(&core->lates);
    if (i == GN_NIL) {
        free(mem);
        return NULL;
    }
    if (from_len > 0)
        memcpy(mem, from, from_len);
    if (len > 0)
        memcpy(mem + from_len, x->buf + m->payload.off, len);
    struct gn_late *l = gn_late_at(core, i);
    l->task = t->self;
    l->verb = m->verb;
    l->token = x->p.present & GN_BIT(TOKEN) ? x->p.token : 0;
    l->from_len = (uint8_t)from_len;
    l->payload_len = (uint32_t)len;
    l->size = size_of(core, x);
    l->mem = mem;
    t->late = i;
    gn_list_push(&core->lates, NODE, &core->late_list, i);
    core->bytes += gn_late_bytes(l);
    return l;
}

/* "late=1;token=7;from=up", and the size of what was cut; NUL-terminated. */
static void label(const struct gn_late *l, char *params, size_t cap)
{
    char digits[20];
    ptrdiff_t n = gn_pairs_put(params, 0, cap, "late", "1", 1);
    n = gn_pairs_put(params, (size_t)n, cap, "token", digits, gn_u64(digits, l->token));
    if (l->from_len > 0)
        n = gn_pairs_put(params, (size_t)n, cap, "from", l->mem, l->from_len);
    if (l->size > l->payload_len)
        n = gn_pairs_put(params, (size_t)n, cap, "size", digits, gn_u64(digits, l->size));
    params[n] = 0;
}

#define LABEL_BYTES_MAX (7 + 27 + 6 + GN_TASK_BYTES_MAX + 26 + 1)

size_t gn_late_room(const gn_core *core, const struct gn_task *t)
{
    return t->late == GN_NIL ? 0 : (size_t)GN_HEADER_BYTES_MAX + gn_late_at(core, t->late)->payload_len + 2;
}

void gn_late_checkpoint(gn_core *core, const struct gn_task *t)
{
    struct gn_text *out = &core->journal;
    char params[LABEL_BYTES_MAX];
    if (t->late == GN_NIL || !gn_text_reserve(out, gn_late_room(core, t)))
        return;
    struct gn_late *l = gn_late_at(core, t->late);
    label(l, params, sizeof params);
    gn_text_str(out, verb_of(l));
    gn_text_put(out, ":", 1);
    gn_text_put(out, gn_task_name(t), t->name_len);
    gn_text_put(out, ";", 1);
    gn_text_str(out, params);
    gn_text_str(out, ";ts=");
    gn_text_u64(out, (uint64_t)(core->now / GN_MS));
    if (gn_must_count(payload_of(l), l->payload_len)) {
        gn_text_str(out, ";len=");
        gn_text_u64(out, l->payload_len);
    }
    gn_text_put(out, ":", 1);
    gn_text_put(out, payload_of(l), l->payload_len);
    gn_text_put(out, "\n", 1);
    l->batch = core->batch;
}

void gn_late_keep(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    if (x->m->verb == GN_VERB_TASK_RELEASED || gn_journal_reserve(core, x) != 0)
        return;
    if (take(core, t, x) != NULL)
        gn_late_checkpoint(core, t);
}

int gn_late_replay(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    if (!(x->p.present & GN_BIT(TOKEN)) || !gn_late_asked(x))
        return 0;
    if (x->m->verb != GN_VERB_TASK_RELEASED)
        take(core, t, x);
    return 1;
}

int gn_late_asked(const struct gn_ctx *x)
{
    gn_span late;
    return gn_param_find(x->buf, x->m, "late", &late) && late.len == 1 && x->buf[late.off] == '1';
}

void gn_late_say(gn_core *core, const struct gn_ctx *x, const struct gn_task *t)
{
    if (t->late == GN_NIL) {
        static const char WORDS[] = "late: no outcome of this task came late, or it made room";
        gn_reject_words(core, x, GN_UNKNOWN_TASK, WORDS, sizeof WORDS - 1);
        return;
    }
    const struct gn_late *l = gn_late_at(core, t->late);
    char params[LABEL_BYTES_MAX];
    label(l, params, sizeof params);
    if (x->conn != GN_NIL)
        gn_out_hold(core, gn_conn_at(core, x->conn), l->batch);
    gn_say(core, x->conn, verb_of(l), gn_task_name(t), t->name_len, params, payload_of(l), l->payload_len);
}

void gn_late_member(gn_core *core, const struct gn_task *t)
{
    if (t->late == GN_NIL)
        return;
    const struct gn_late *l = gn_late_at(core, t->late);
    const char *verb = verb_of(l) + sizeof "RESPONSE:" - 1;
    gn_member_key(&core->text, "late");
    gn_text_str(&core->text, "{");
    gn_member_string(&core->text, "verb", verb, strlen(verb));
    gn_member_number(&core->text, "token", l->token);
    gn_member_string(&core->text, "from", l->from_len > 0 ? l->mem : NULL, l->from_len);
    gn_member_number(&core->text, "bytes", l->size);
    gn_text_str(&core->text, "}");
}
