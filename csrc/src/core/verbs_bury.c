/* verbs_bury.c - what becomes of buried tasks: kick, with another payload if need be, and purge. */
#include "core/internal.h"

static void kick(gn_core *core, struct gn_task *t)
{
    if (t->state == GN_STATE_BURIED) {
        gn_deps_kicked(core, t);
        t->tries_used = 0;
        t->ttl_us = GN_NEVER; /* it was over, or would be over again at once */
        t->reason = GN_REASON_NONE;
        t->entered_us = core->now;
        gn_task_set_words(core, t, NULL, 0, 0);
    }
    gn_shift(core, t, GN_EVENT_KICK);
}

/* "<ACTION> [<n>]"; 0 when it is not. */
static int read_action(const struct gn_ctx *x, size_t *action_len, uint64_t *count)
{
    const char *p = gn_chars(x->buf, x->m->payload);
    size_t len = x->m->payload.len;
    const char *blank = memchr(p, ' ', len);
    *action_len = blank == NULL ? len : (size_t)(blank - p);
    *count = UINT64_MAX;
    return gn_is_action(p, *action_len) && (blank == NULL || gn_read_u64(blank + 1, len - *action_len - 1, count));
}

static void say_count(gn_core *core, const struct gn_ctx *x, uint64_t count)
{
    char text[20];
    if (x->conn != GN_NIL)
        gn_out_hold(core, gn_conn_at(core, x->conn), gn_journal_pending(core));
    gn_say(core, x->conn, "ACK:DONE", gn_chars(x->buf, x->m->task), x->m->task.len, NULL, text, gn_u64(text, count));
}

static void kick_action(gn_core *core, const struct gn_ctx *x)
{
    size_t len;
    uint64_t count, kicked = 0;
    if (!read_action(x, &len, &count)) {
        gn_reject(core, x, GN_BAD_PAYLOAD);
        return;
    }
    uint32_t i = gn_action_find(core, gn_chars(x->buf, x->m->payload), len);
    if (i != GN_NIL) {
        struct gn_action *a = gn_action_at(core, i);
        for (; kicked < count && a->buried.head != GN_NIL; kicked++) {
            /* One by one: which are the oldest depends on those forgotten by now. */
            gn_journal_own(core, gn_task_at(core, a->buried.head), "CONTROL:KICK", NULL);
            kick(core, gn_task_at(core, a->buried.head));
        }
    }
    say_count(core, x, kicked);
}

static int wants_edit(const struct gn_ctx *x)
{
    gn_span edit;
    return gn_param_find(x->buf, x->m, "edit", &edit) && edit.len == 1 && x->buf[edit.off] == '1';
}

/* Only one that is buried: nobody has seen the payload of a delayed one fail. */
static int edit_code(const struct gn_ctx *x, const struct gn_task *t)
{
    if (t->state != GN_STATE_BURIED)
        return GN_BAD_STATE;
    return x->p.present & GN_BIT(BLOB) && !gn_blob_is(gn_chars(x->buf, x->p.blob), x->p.blob.len) ? GN_BAD_PARAM : 0;
}

void gn_verb_kick(gn_core *core, const struct gn_ctx *x)
{
    int edit = wants_edit(x);
    if (x->m->payload.len > 0 && !edit) {
        kick_action(core, x);
        return;
    }
    struct gn_task *t = gn_task_named(core, x);
    if (core->replaying && t != NULL && t->state == GN_STATE_WAITING) {
        gn_shift(core, t, GN_EVENT_AFTER_MET); /* gn_deps_note */
        return;
    }
    int code = t == NULL ? GN_UNKNOWN_TASK : gn_shift_code(t, GN_EVENT_KICK);
    if (code == 0 && edit)
        code = edit_code(x, t);
    if (code == 0)
        code = gn_journal_reserve(core, x);
    if (code == 0 && edit)
        code = gn_payload_replace(core, t, x);
    if (code != 0) {
        gn_reject_why(core, x, code);
        return;
    }
    gn_journal_message(core, x, t, NULL);
    gn_done(core, x);
    kick(core, t);
}

/* ---- purge -------------------------------------------------------------------------------------- */

/* Nobody is still to be told of it, and nothing that runs reads what came of it. */
static int is_free(const struct gn_task *t)
{
    return t->watchers.head == GN_NIL && t->needed_by.head == GN_NIL;
}

static void purge_action(gn_core *core, const struct gn_ctx *x)
{
    size_t len;
    uint64_t count, purged = 0;
    if (!read_action(x, &len, &count)) {
        gn_reject(core, x, GN_BAD_PAYLOAD);
        return;
    }
    uint32_t i = gn_action_find(core, gn_chars(x->buf, x->m->payload), len), next;
    for (i = i == GN_NIL ? GN_NIL : gn_action_at(core, i)->buried.head; purged < count && i != GN_NIL; i = next) {
        struct gn_task *t = gn_task_at(core, i);
        next = t->q.next;
        if (!is_free(t))
            continue;
        gn_task_forget(core, t);
        purged++;
    }
    core->n.purged += purged;
    say_count(core, x, purged);
}

void gn_verb_purge(gn_core *core, const struct gn_ctx *x)
{
    int code = gn_journal_reserve(core, x);
    if (code == 0 && x->m->payload.len > 0) {
        purge_action(core, x);
        return;
    }
    struct gn_task *t = gn_task_named(core, x);
    if (code == 0)
        code = t == NULL ? GN_UNKNOWN_TASK : t->state != GN_STATE_BURIED || !is_free(t) ? GN_BAD_STATE : 0;
    if (code != 0) {
        gn_reject(core, x, code);
        return;
    }
    gn_task_forget(core, t);
    core->n.purged++;
    gn_done(core, x);
}
