/* verbs_client.c - what clients ask: submit, cancel, result, watch, kick, pause, assign. */
#include <stdio.h>
#include <stdlib.h>

#include "core/internal.h"

/* ---- submit -------------------------------------------------------------------------------- */

static int times_are_sane(const gn_params *p)
{
    return p->prio <= GN_PRIO_MAX && p->ttl <= GN_MS_MAX && p->delay <= GN_MS_MAX && p->lease <= GN_MS_MAX &&
           p->keep <= GN_MS_MAX && p->tries <= GN_TRIES_MAX && !(p->present & GN_BIT(TTL) && p->ttl == 0) &&
           !(p->present & GN_BIT(LEASE) && p->lease == 0) && !(p->present & GN_BIT(TRIES) && p->tries == 0);
}

int gn_via_is_sane(const uint8_t *at, size_t len)
{
    const uint8_t *end = at + len;
    char name[GN_ACTION_BYTES_MAX];
    size_t n;
    int more;
    while ((more = gn_comma_next(&at, end, name, sizeof name, &n)) > 0)
        if (!gn_is_action(name, n))
            return 0;
    return more == 0;
}

int gn_submit_check(const struct gn_ctx *x)
{
    const gn_params *p = &x->p;
    if (p->present == 0)
        return 0;
    if (!times_are_sane(p))
        return GN_BAD_NUMBER;
    if (p->present & GN_BIT(VIA) && !gn_via_is_sane(x->buf + p->via.off, p->via.len))
        return GN_BAD_PARAM;
    if (p->present & GN_BIT(BLOB) && !gn_blob_is(gn_chars(x->buf, p->blob), p->blob.len))
        return GN_BAD_PARAM;
    if ((p->present & GN_BIT(KEY) && !gn_key_is_sane(x)) || (p->present & GN_BIT(LABEL) && !gn_label_is_sane(x)))
        return GN_BAD_PARAM;
    if (p->present & GN_BIT(RETRY) && !gn_retry_is_sane(x->buf + p->retry.off, p->retry.len))
        return GN_BAD_PARAM;
    if (p->present & GN_BIT(NEEDS) &&
        (!(p->present & GN_BIT(AFTER)) || gn_deps_policy(gn_chars(x->buf, p->needs), p->needs.len) < 0))
        return GN_BAD_PARAM;
    return gn_dup_of(x) < 0 ? GN_BAD_PARAM : 0;
}

#define CONTENT_SEED UINT64_C(0x67616e676c696f6e) /* the same in every run: it stands in the journal */

/* Two submissions are the same when their actions and their payloads (or blobs) are. */
static uint64_t content_of(const struct gn_ctx *x)
{
    const gn_msg *m = x->m;
    uint64_t h = gn_hash(CONTENT_SEED,  x->buf + m->action.off, m->action.len);
    if (x->p.present & GN_BIT(BLOB))
        h = gn_hash(h + 1, x->buf + x->p.blob.off, x->p.blob.len);
    return gn_hash(h, x->buf + m->payload.off, m->payload.len);
}

static void acknowledge(gn_core *core, const struct gn_ctx *x, const struct gn_task *t, const char *params)
{
    if (!(x->p.present & GN_BIT(ACK) && x->p.ack == 0))
        gn_say_held(core, x->conn, t->batch, "ACK:RECEIVED", t, params);
}

/* The first submission's blob may have gone before there was a copy of it (its sender died, the coordinator died): this sender
 * holds it until it is told that it is safe. Its copy is asked for, and the answer waits for a batch that follows the copy. */
static int keep_again(gn_core *core, const struct gn_ctx *x, struct gn_task *t)
{
    if (t->blob == GN_NIL || gn_task_ended(t) || !(x->p.present & GN_BIT(BLOB)))
        return 0;
    int code = gn_journal_reserve(core, x);
    if (code == 0 && !gn_checkpoint_define(core, t))
        code = GN_JOURNAL;
    if (code == 0)
        gn_blob_keep(core, t->blob);
    return code;
}

static void submit_again(gn_core *core, const struct gn_ctx *x, struct gn_task *t, uint64_t content)
{
    if (t->content != content || gn_dup_of(x) == GN_DUP_REJECT) {
        gn_reject_why(core, x, gn_shift_code(t, GN_EVENT_SUBMIT_READY));
        return;
    }
    int code = keep_again(core, x, t);
    if (code == 0 && x->conn != GN_NIL)
        code = gn_watch_add(core, t, x->conn);
    if (code != 0) {
        gn_reject(core, x, code);
        return;
    }
    acknowledge(core, x, t, "again=1");
    if (gn_task_ended(t))
        gn_watch_deliver(core, t);
}

/* A name nobody has: <epoch>-<n>. */
static size_t make_name(gn_core *core, char *name)
{
    size_t n;
    do {
        n = gn_u64(name, core->config.epoch);
        name[n++] = '-';
        n += gn_u64(name + n, ++core->named);
    } while (gn_task_find(core, name, n) != GN_NIL);
    return n;
}

static void settings(gn_core *core, struct gn_task *t, const struct gn_ctx *x, uint64_t content)
{
    const gn_params *p = &x->p;
    const gn_core_config *config = &core->config;
    t->content = content;
    t->prio = (uint8_t)p->prio;
    t->tries_max = p->present & GN_BIT(TRIES) ? (uint32_t)p->tries : config->tries;
    t->lease_ms = p->present & GN_BIT(LEASE) ? (uint32_t)p->lease : config->lease_ms;
    t->keep_ms = p->present & GN_BIT(KEEP) ? (uint32_t)p->keep : config->keep_ms;
    if (p->present & GN_BIT(KEEP))
        t->flags |= GN_TASK_KEEP;
    if (p->trace > 0)
        t->flags |= GN_TASK_TRACE;
    if (p->once > 0) {
        t->flags |= GN_TASK_ONCE;
        t->tries_max = 1;
    }
    if (x->m->flags & GN_MSG_LEN)
        t->flags |= GN_TASK_LEN;
    if (p->present & GN_BIT(TTL))
        t->ttl_us = core->now + (int64_t)p->ttl * GN_MS;
}

/* All that can fail, before anything shows. 0, or a code and nothing kept. */
static int prepare(gn_core *core, const struct gn_ctx *x, const char *name, size_t name_len, struct gn_task **out)
{
    const gn_msg *m = x->m;
    char pass[GN_HEADER_BYTES_MAX];
    ptrdiff_t n = gn_pairs_copy(pass, 0, GN_PASS_BYTES_MAX, gn_chars(x->buf, m->params), m->params.len, GN_TAKEN_OUT);
    if (n < 0)
        return GN_HEADER_TOO_BIG;
    int code = gn_make_room(core, name_len + (size_t)n + m->payload.len);
    if (code == 0)
        code = gn_journal_reserve(core, x);
    if (code != 0)
        return code;
    uint32_t action = gn_action_get(core, gn_chars(x->buf, m->action), m->action.len);
    if (action == GN_NIL)
        return GN_BUSY;
    struct gn_task *t = gn_task_new(core, name, name_len, pass, (size_t)n, x->buf + m->payload.off, m->payload.len);
    if (t == NULL)
        return GN_BUSY;
    t->action = action;
    if (x->p.present & (GN_BIT(KEY) | GN_BIT(LABEL)))
        code = gn_tags_set(core, t, x);
    if (code == 0)
        code = gn_sender_set(core, t, x);
    if (code == 0 && x->p.present & GN_BIT(AFTER))
        code = gn_deps_add(core, t, x->buf + x->p.after.off, x->p.after.len, gn_deps_policy_kept(t));
    if (code == 0 && x->conn != GN_NIL)
        code = gn_watch_add(core, t, x->conn);
    if (code == 0 && x->p.present & GN_BIT(BLOB)) {
        t->blob = gn_blob_ref(core, gn_chars(x->buf, x->p.blob), x->p.blob.len);
        code = t->blob == GN_NIL ? GN_BUSY : 0;
    }
    if (code != 0) {
        gn_task_free(core, t);
        core->serial--; /* it was never accepted: a replay counts the same */
        return code;
    }
    *out = t;
    return 0;
}

void gn_submit_take(gn_core *core, const struct gn_ctx *x, struct gn_task *t, uint64_t content, const char *params)
{
    settings(core, t, x, content);
    gn_journal_message(core, x, t, NULL);
    core->n.submitted++;
    acknowledge(core, x, t, params);
    int lost = gn_deps_lost(core, t);
    int after = (x->p.present & GN_BIT(AFTER) && x->p.delay > 0) || gn_deps_replayed(core, x); /* time decides, or gn_deps_resume */
    if (t->waits > 0 || lost || after) {
        if (x->p.delay > 0) {
            t->flags |= GN_TASK_DELAY;
            t->due_us = core->now + (int64_t)x->p.delay * GN_MS;
        }
        gn_shift(core, t, GN_EVENT_SUBMIT_WAITING);
        if (lost) {
            gn_journal_own(core, t, "RESPONSE:TASK_BURIED", "after"); /* in a replay what it names may be forgotten */
            t->reason = GN_REASON_AFTER;
            gn_shift(core, t, GN_EVENT_AFTER_FAILED);
        }
    } else if (x->p.delay > 0) {
        t->due_us = core->now + (int64_t)x->p.delay * GN_MS;
        gn_shift(core, t, GN_EVENT_SUBMIT_DELAYED);
    } else {
        gn_shift(core, t, GN_EVENT_SUBMIT_READY);
        gn_deps_note(core, t);
    }
}

void gn_verb_submit(gn_core *core, const struct gn_ctx *x)
{
    const char *name = gn_chars(x->buf, x->m->task);
    size_t name_len = x->m->task.len;
    char given[GN_TASK_BYTES_MAX];
    uint64_t content = content_of(x);
    int code = gn_submit_check(x);
    if (code == 0 && name_len > 0) {
        struct gn_task *t = gn_task_named(core, x);
        if (t != NULL && gn_dup_of(x) == GN_DUP_REPLACE && !(core->replaying && gn_shift_code(t, GN_EVENT_REPLACE) != 0)) {
            gn_replace(core, x, t, content);
            return;
        }
        if (t != NULL && core->replaying) {
            gn_task_drop(core, t); /* accepted anew, so it had been forgotten: the line that said so is lost */
        } else if (t != NULL) {
            submit_again(core, x, t, content);
            return;
        }
    }
    if (code == 0 && core->draining && !core->replaying)
        code = GN_DRAINING;
    if (code == 0 && name_len == 0) {
        name_len = make_name(core, given);
        name = given;
    }
    struct gn_task *t = NULL;
    if (code == 0)
        code = prepare(core, x, name, name_len, &t);
    if (code != 0)
        gn_reject_why(core, x, code);
    else
        gn_submit_take(core, x, t, content, NULL);
}

/* ---- the others ------------------------------------------------------------------------------ */

void gn_verb_cancel(gn_core *core, const struct gn_ctx *x)
{
    struct gn_task *t = gn_task_named(core, x);
    int code = t == NULL ? GN_UNKNOWN_TASK : gn_shift_code(t, GN_EVENT_CANCEL);
    if (code == 0 && t->state != GN_STATE_CANCELLING)
        code = gn_journal_reserve(core, x);
    if (code != 0) {
        gn_reject(core, x, code);
        return;
    }
    int held = t->state == GN_STATE_LEASED;
    if (t->state != GN_STATE_CANCELLING && !GN_PLANTED(CANCEL))
        gn_journal_message(core, x, t, held ? "held=1" : NULL);
    gn_done(core, x);
    if (t->state == GN_STATE_CANCELLING)
        return;
    if (core->replaying && gn_param_find(x->buf, x->m, "held", &(gn_span){0, 0}))
        gn_replay_lease(core, t);
    if (held)
        gn_agent_tell_cancel(core, t);
    gn_shift(core, t, GN_EVENT_CANCEL);
}

void gn_verb_result(gn_core *core, const struct gn_ctx *x)
{
    struct gn_task *t = gn_task_named(core, x);
    if (t == NULL) {
        gn_reject(core, x, GN_UNKNOWN_TASK);
        return;
    }
    if (gn_late_asked(x)) {
        gn_late_say(core, x, t);
        return;
    }
    if (!gn_task_ended(t)) {
        gn_verb_peek(core, x);
        return;
    }
    if (x->conn == GN_NIL)
        return;
    if (gn_watch_add(core, t, x->conn) != 0)
        gn_reject(core, x, GN_BUSY);
    else
        gn_watch_deliver(core, t);
}

void gn_verb_watch(gn_core *core, const struct gn_ctx *x)
{
    if (x->m->task.len == 0) {
        struct gn_conn *c = x->conn == GN_NIL ? NULL : gn_conn_at(core, x->conn);
        gn_done(core, x);
        if (c != NULL && !c->events && !c->closing && !c->doomed) {
            c->events = 1;
            gn_list_push(&core->conns, offsetof(struct gn_conn, event_node), &core->event_conns, c->self);
        }
        return;
    }
    struct gn_task *t = gn_task_named(core, x);
    int code = t == NULL ? GN_UNKNOWN_TASK : x->conn == GN_NIL ? 0 : gn_watch_add(core, t, x->conn);
    if (code != 0) {
        gn_reject(core, x, code);
        return;
    }
    gn_done(core, x);
    if (x->conn != GN_NIL && x->p.present & GN_BIT(SEQ))
        gn_partials_say(core, t, gn_conn_at(core, x->conn), x->p.seq);
    if (gn_task_ended(t))
        gn_watch_deliver(core, t);
}

void gn_verb_pause(gn_core *core, const struct gn_ctx *x, int paused)
{
    const char *name = gn_chars(x->buf, x->m->payload);
    size_t len = x->m->payload.len;
    int code = gn_is_action(name, len) ? gn_journal_reserve(core, x) : GN_BAD_PAYLOAD;
    uint32_t i = GN_NIL;
    if (code == 0) {
        i = paused ? gn_action_get(core, name, len) : gn_action_find(core, name, len);
        code = paused && i == GN_NIL ? GN_BUSY : 0;
    }
    if (code != 0) {
        gn_reject(core, x, code);
        return;
    }
    int change = i != GN_NIL && gn_action_at(core, i)->paused != paused;
    if (change)
        gn_journal_message(core, x, NULL, NULL);
    gn_done(core, x);
    if (!change)
        return;
    gn_action_at(core, i)->paused = (uint8_t)paused;
    gn_action_mark(core, i);
}

void gn_verb_assign(gn_core *core, const struct gn_ctx *x)
{
    struct gn_task *t = gn_task_named(core, x);
    int code = t == NULL ? GN_UNKNOWN_TASK : gn_shift_code(t, GN_EVENT_DISPATCH);
    uint32_t i = gn_peer_find(core, gn_chars(x->buf, x->m->payload), x->m->payload.len);
    if (code == 0) {
        const struct gn_peer *p = i == GN_NIL ? NULL : gn_peer_at(core, i);
        if (p == NULL || p->share == GN_SHARE_OUT || !gn_agent_serves(core, p, t->action) ||
            !gn_out_room(core, gn_conn_at(core, p->conn)))
            code = GN_NO_AGENT;
    }
    if (code == 0 && !gn_key_has_turn(core, t)) {
        static const char WORDS[] = "another task of its key has the turn";
        gn_reject_words(core, x, GN_BAD_STATE, WORDS, sizeof WORDS - 1);
        return;
    }
    uint32_t limit = code == 0 ? gn_limits_refuse(core, t) : GN_NIL;
    if (limit != GN_NIL) {
        char words[GN_METER_BYTES_MAX + 32];
        const struct gn_meter *m = gn_meter_at(core, limit);
        int n = snprintf(words, sizeof words, "%s is at its limit", m->name);
        gn_reject_words(core, x, GN_BUSY, words, (size_t)n);
        return;
    }
    int delayed = t != NULL && t->state == GN_STATE_DELAYED;
    if (code == 0 && !gn_dispatch(core, t, gn_peer_at(core, i)))
        code = GN_NO_AGENT;
    else if (code == 0 && delayed)
        gn_journal_own(core, t, "CONTROL:KICK", NULL); /* given back it is ready, and after a restart */
    if (code != 0)
        gn_reject(core, x, code);
    else
        gn_done(core, x);
}
