/* checkpoint.c - all there is, written into the journal beside what goes on.
 *
 * A task's definition is two lines: CONTROL:KEPT with its books, then its submission or its outcome as it stands.
 * It replaces whatever a replay knows of the task by then, so it may stand anywhere in the stream: the walk goes
 * some tasks at a time, in order of acceptance, and what happens meanwhile is journalled as ever. Once the walk has
 * come to the tasks accepted after its beginning (they stand in the journal behind it anyhow), everything before its first line
 * may be thrown away.
 */
#include "core/internal.h"

struct line {
    char params[GN_HEADER_BYTES_MAX];
    size_t len;
};

static void text(struct line *l, const char *key, const char *value, size_t n)
{
    ptrdiff_t len = gn_pairs_put(l->params, l->len, sizeof l->params, key, value, n);
    if (len >= 0)
        l->len = (size_t)len; /* only hops= could be too long: it is a remark */
}

static void number(struct line *l, const char *key, uint64_t v)
{
    char digits[20];
    text(l, key, digits, gn_u64(digits, v));
}

static void time_us(struct line *l, const char *key, int64_t us)
{
    if (us != GN_NEVER)
        number(l, key, us < 0 ? 0 : (uint64_t)us);
}

static void books(const gn_core *core, const struct gn_task *t, struct line *l)
{
    const struct gn_action *a = gn_action_at(core, t->action);
    l->len = 0;
    text(l, "state", gn_state_word(t->state), strlen(gn_state_word(t->state)));
    text(l, "action", a->name, a->name_len);
    number(l, "serial", t->serial);
    number(l, "content", t->content);
    number(l, "tries", t->tries_max);
    number(l, "used", t->tries_used);
    number(l, "flags", t->flags & (GN_TASK_LEN | GN_TASK_TRACE | GN_TASK_DELAY | GN_TASK_KEEP | GN_TASK_ONCE |
                                   GN_TASK_WORDS_LEN | GN_TASK_LOGGED));
    number(l, "lease", t->lease_ms);
    number(l, "keep", t->keep_ms);
    time_us(l, "accepted", t->accepted_us);
    time_us(l, "entered", t->entered_us);
    time_us(l, "due", t->state == GN_STATE_LEASED ? GN_NEVER : t->due_us);
    time_us(l, "ttl", t->ttl_us);
    if (gn_task_ended(t))
        time_us(l, "ended", t->ended_us);
    if (t->sender != GN_NIL) {
        size_t len;
        const char *from = gn_meter_bare(gn_meter_at(core, t->sender), &len);
        text(l, "from", from, len);
    }
    if (t->tags != GN_NIL && gn_tags_at(core, t->tags)->in_line)
        time_us(l, "since", gn_tags_at(core, t->tags)->since_us);
    if (t->flags & GN_TASK_LOGGED && t->token != 0)
        number(l, "token", t->token);
    if (t->state == GN_STATE_BURIED)
        text(l, "reason", gn_reason_word(t->reason), strlen(gn_reason_word(t->reason)));
    if (t->hops_len > 0 && t->hops_len < GN_KEPT_BYTES_MAX - l->len)
        text(l, "hops", t->hops, t->hops_len);
}

/* As it came, but for what the books say. */
static void submission(gn_core *core, const struct gn_task *t, struct gn_text *out)
{
    const struct gn_action *a = gn_action_at(core, t->action);
    gn_text_put(out, "DATA:", 5);
    gn_text_put(out, a->name, a->name_len);
    gn_text_put(out, ":", 1);
    gn_text_put(out, gn_task_name(t), t->name_len);
    if (t->pass_len > 0) {
        gn_text_put(out, ";", 1);
        gn_text_put(out, (const char *)t->mem + t->name_len, t->pass_len);
    }
    if (t->flags & GN_TASK_LEN) {
        gn_text_str(out, ";len=");
        gn_text_u64(out, t->payload_len);
    }
    gn_text_put(out, ":", 1);
    gn_text_put(out, (const char *)gn_task_payload(t), t->payload_len);
    gn_text_put(out, "\n", 1);
}

/* 0: out of memory, and nothing was written. */
static int define(gn_core *core, const struct gn_task *t)
{
    struct gn_text *out = &core->journal;
    struct line l;
    if (!gn_text_reserve(out, 4u * GN_HEADER_BYTES_MAX + t->mem_bytes + t->words_len + gn_late_room(core, t)))
        return 0;
    books(core, t, &l);
    gn_text_put(out, "CONTROL:KEPT:", 13);
    gn_text_put(out, gn_task_name(t), t->name_len);
    gn_text_put(out, ";", 1);
    gn_text_put(out, l.params, l.len);
    if (t->words_len > 0) {
        gn_text_str(out, ";len=");
        gn_text_u64(out, t->words_len);
        gn_text_put(out, ":", 1);
        gn_text_put(out, t->words, t->words_len);
    }
    gn_text_put(out, "\n", 1);
    if (t->state == GN_STATE_DONE)
        gn_text_put(out, (const char *)t->mem, t->mem_bytes);
    else
        submission(core, t, out);
    gn_late_checkpoint(core, t);
    return 1;
}

static int mark(gn_core *core, const char *which)
{
    struct gn_text *out = &core->journal;
    if (!gn_text_reserve(out, 128))
        return 0;
    gn_text_str(out, "CONTROL:CHECKPOINT:");
    gn_text_str(out, which);
    gn_text_str(out, ";serial=");
    gn_text_u64(out, core->serial);
    gn_text_str(out, ";ts=");
    gn_text_u64(out, (uint64_t)(core->now / GN_MS));
    gn_text_put(out, "\n", 1);
    return 1;
}

static void pauses(gn_core *core)
{
    struct gn_text *out = &core->journal;
    for (uint32_t i = 0; i < core->actions.high; i++) {
        const struct gn_action *a = gn_action_at(core, i);
        if (a->name_len == 0 || !a->paused || !gn_text_reserve(out, 64))
            continue;
        gn_text_str(out, "CONTROL:PAUSE::");
        gn_text_put(out, a->name, a->name_len);
        gn_text_put(out, "\n", 1);
    }
}

void gn_core_checkpoint(gn_core *core)
{
    core->walk = core->all.head;
    core->walk_end = core->serial + 1;
    mark(core, "begin");
    pauses(core);
    gn_limits_checkpoint(core);
    gn_schedules_checkpoint(core);
}

int gn_checkpoint_define(gn_core *core, struct gn_task *t)
{
    if (!define(core, t))
        return 0;
    t->batch = core->batch;
    return 1;
}

void gn_checkpoint_skip(gn_core *core, const struct gn_task *t)
{
    if (core->walk == t->self)
        core->walk = t->all.next;
}

int gn_core_checkpoint_step(gn_core *core, size_t bytes)
{
    size_t stop = core->journal.len + bytes;
    if (core->walk_end == 0)
        return 0;
    while (core->walk != GN_NIL && core->journal.len < stop) {
        const struct gn_task *t = gn_task_at(core, core->walk);
        if (t->serial >= core->walk_end) {
            core->walk = GN_NIL;
        } else if (define(core, t)) {
            core->walk = t->all.next;
        } else {
            return 1;
        }
    }
    if (core->walk != GN_NIL || !mark(core, "end"))
        return 1;
    core->walk_end = 0;
    return 0;
}
