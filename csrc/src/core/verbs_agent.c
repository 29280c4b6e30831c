/* verbs_agent.c - what agents answer: outcomes, progress. Fenced by the token of the lease. */
#include <stdlib.h>

#include "core/internal.h"

/* Is x from whom t is leased to? With a token the token decides, without one the sender. */
static int holds(const struct gn_task *t, const struct gn_ctx *x)
{
    if (t->state != GN_STATE_LEASED && t->state != GN_STATE_CANCELLING)
        return 0;
    if (x->p.present & GN_BIT(TOKEN))
        return t->token == x->p.token || GN_PLANTED(UNFENCED);
    return x->peer == GN_NIL || t->agent == x->peer;
}

static void count_outcome(gn_core *core, const struct gn_task *t, int done)
{
    if (t->agent == GN_NIL)
        return;
    if (done)
        gn_peer_at(core, t->agent)->done++;
    else
        gn_peer_at(core, t->agent)->failed++;
}

static uint64_t pause_ms(gn_core *core, const struct gn_task *t, const struct gn_ctx *x)
{
    if (x->p.present & GN_BIT(DELAY) || t->tries_used >= t->tries_max)
        return x->p.delay;
    return gn_retry_ms(core, t);
}

/* A failed try: words are the agent's, or why its outcome could not be carried out. */
static void fail(gn_core *core, struct gn_task *t, int reason, uint64_t delay, const char *words, size_t len, int counted)
{
    int final = t->tries_used >= t->tries_max;
    count_outcome(core, t, 0);
    if (t->state == GN_STATE_LEASED)
        gn_task_set_words(core, t, (const uint8_t *)words, len, counted);
    if (final) {
        t->reason = (uint8_t)reason;
        gn_shift(core, t, GN_EVENT_FAIL_FINAL);
        return;
    }
    core->n.retried += t->state == GN_STATE_LEASED;
    gn_unfinish_delay(core, t, GN_EVENT_FAIL_RETRY, delay);
}

/* ---- completed ------------------------------------------------------------------------------- */

/* The actions t goes on through: those the outcome names, else what is left of its own via. */
static gn_span next_via(const struct gn_task *t, const struct gn_ctx *x, const char **text)
{
    if (x->p.present & GN_BIT(VIA)) {
        *text = gn_chars(x->buf, x->p.via);
        return x->p.via;
    }
    size_t len;
    *text = gn_task_passed(t, GN_PARAM_VIA, &len);
    return (gn_span){0, (uint32_t)len};
}

/* First action of via into name; the rest stays. 0 or GN_BAD_PARAM when any of them is none. */
static int split_via(const char *via, size_t len, char *name, size_t *name_len, const char **rest, size_t *rest_len)
{
    const uint8_t *at = (const uint8_t *)via, *end = at + len;
    char other[GN_ACTION_BYTES_MAX];
    size_t n;
    if (gn_comma_next(&at, end, name, GN_ACTION_BYTES_MAX, name_len) <= 0 || !gn_is_action(name, *name_len))
        return GN_BAD_PARAM;
    *rest = (const char *)at;
    *rest_len = (size_t)(end - at);
    int more;
    while ((more = gn_comma_next(&at, end, other, sizeof other, &n)) > 0)
        if (!gn_is_action(other, n))
            return GN_BAD_PARAM;
    return more == 0 ? 0 : GN_BAD_PARAM;
}

/* What the outcome names in after=, without waiting for each other. */
static int wait_for(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    const uint8_t *raw = x->buf + x->p.after.off;
    int policy = x->p.present & GN_BIT(NEEDS) ? gn_deps_policy(gn_chars(x->buf, x->p.needs), x->p.needs.len) : GN_NEEDS_ALL;
    if (policy < 0 || !(x->p.present & GN_BIT(AFTER)))
        return GN_BAD_PARAM;
    int code = gn_deps_add(core, t, raw, x->p.after.len, policy);
    return code == 0 && gn_deps_circle(core, t, raw, x->p.after.len) != GN_NIL ? GN_BAD_STATE : code;
}

/* t goes on with this result. 0; GN_BUSY, GN_NO_MEMORY: nothing changed, the lease stands; others: a failed try. */
static int go_on(gn_core *core, struct gn_task *t, const struct gn_ctx *x, const char *via, size_t via_len)
{
    char name[GN_ACTION_BYTES_MAX], rest[GN_HEADER_BYTES_MAX];
    const char *rest_at = NULL;
    size_t name_len, rest_len;
    uint32_t needs = t->needs, action = GN_NIL;
    int code = split_via(via, via_len, name, &name_len, &rest_at, &rest_len);
    if (code != 0)
        return code;
    memcpy(rest, rest_at, rest_len); /* it may stand in the memory that is about to be replaced */
    if (x->p.present & (GN_BIT(AFTER) | GN_BIT(NEEDS)))
        code = wait_for(core, t, x);
    if (code == 0 && (action = gn_action_get(core, name, name_len)) == GN_NIL)
        code = GN_BUSY;
    if (code == 0) {
        if (t->flags & GN_TASK_TRACE)
            gn_task_hop(core, t);
        code = gn_result_advance(core, t, x, rest, rest_len);
    }
    if (code != 0) {
        gn_deps_trim(core, t, needs);
        return code;
    }
    gn_journal_message(core, x, t, NULL);
    count_outcome(core, t, 1);
    int lost = gn_deps_lost(core, t), wait = t->waits > 0 || lost || gn_deps_replayed(core, x);
    t->next_action = action;
    t->tries_used = 0;
    t->entered_us = core->now;
    t->due_us = GN_NEVER;
    gn_task_set_words(core, t, NULL, 0, 0);
    gn_deps_past(core, needs);
    gn_shift(core, t, wait ? GN_EVENT_COMPLETE_WAIT : GN_EVENT_COMPLETE_ON);
    if (!wait)
        gn_deps_note(core, t);
    if (lost) {
        gn_journal_own(core, t, "RESPONSE:TASK_BURIED", "after");
        t->reason = GN_REASON_AFTER;
        gn_shift(core, t, GN_EVENT_AFTER_FAILED);
    }
    return 0;
}

static int finish(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    int code = gn_result_keep(core, t, x);
    if (code != 0)
        return code;
    gn_journal_message(core, x, t, NULL);
    count_outcome(core, t, 1);
    core->n.completed++;
    gn_shift(core, t, GN_EVENT_COMPLETE);
    return 0;
}

static int completed(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    const char *via = NULL;
    size_t via_len = next_via(t, x, &via).len;
    int code;
    if (via_len > 0 && t->state == GN_STATE_CANCELLING) {
        gn_journal_message(core, x, t, NULL);
        return gn_shift(core, t, GN_EVENT_COMPLETE_ON); /* it is not done yet, and will not be */
    }
    if (via_len > 0)
        code = go_on(core, t, x, via, via_len);
    else if (x->p.present & (GN_BIT(AFTER) | GN_BIT(VIA)) && t->state == GN_STATE_LEASED)
        code = GN_BAD_PARAM; /* after= with nothing to go on to */
    else
        code = finish(core, t, x);
    if (code == 0 || code == GN_BUSY || code == GN_NO_MEMORY)
        return code;
    char words[GN_WHY_BYTES_MAX];
    size_t len = gn_why(core, x, code, words);
    uint64_t delay = pause_ms(core, t, x);
    gn_task_set_words(core, t, (const uint8_t *)words, len, 0);
    gn_journal_failed(core, t, delay);
    fail(core, t, GN_REASON_TRIES, delay, words, len, 0);
    return 0;
}

/* ---- all outcomes ------------------------------------------------------------------------------ */

static int event_of(int verb)
{
    return verb == GN_VERB_TASK_COMPLETED ? GN_EVENT_COMPLETE
           : verb == GN_VERB_TASK_FAILED  ? GN_EVENT_FAIL_RETRY
           : verb == GN_VERB_TASK_BURIED  ? GN_EVENT_BURY
                                          : GN_EVENT_RELEASE;
}

int gn_reason_in(const struct gn_ctx *x, int otherwise)
{
    gn_span word;
    if (!gn_param_find(x->buf, x->m, "reason", &word))
        return otherwise;
    for (int i = 1; i < GN_REASON_COUNT; i++)
        if (strlen(gn_reason_word(i)) == word.len && memcmp(gn_reason_word(i), x->buf + word.off, word.len) == 0)
            return i;
    return otherwise;
}

/* A journal's outcome was applied when it was written: to a task with an agent, and there are none here. 1: all done. */
static int replay(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    int reason = x->m->verb == GN_VERB_TASK_BURIED ? gn_reason_in(x, GN_REASON_AGENT) : GN_REASON_NONE;
    int after = reason == GN_REASON_AFTER && t->state == GN_STATE_WAITING;
    if (after || (reason == GN_REASON_TTL && !gn_task_ended(t))) {
        t->reason = (uint8_t)reason;
        if (x->p.present & GN_BIT(TRY))
            t->tries_used = (uint32_t)x->p.try_;
        gn_task_set_words(core, t, x->buf + x->m->payload.off, x->m->payload.len, x->m->flags & GN_MSG_LEN);
        gn_shift(core, t, after ? GN_EVENT_AFTER_FAILED : GN_EVENT_TTL_OVER);
        return 1;
    }
    gn_replay_lease(core, t);
    return 0;
}

static int apply(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    const gn_msg *m = x->m;
    const char *words = gn_chars(x->buf, m->payload);
    int counted = m->flags & GN_MSG_LEN;
    if (m->verb == GN_VERB_TASK_COMPLETED)
        return completed(core, t, x);
    uint64_t delay = m->verb == GN_VERB_TASK_FAILED ? pause_ms(core, t, x) : x->p.delay;
    char text[32] = "delay=";
    text[6 + gn_u64(text + 6, delay)] = 0;
    gn_journal_message(core, x, t, m->verb == GN_VERB_TASK_BURIED ? NULL : text);
    if (m->verb == GN_VERB_TASK_FAILED) {
        int reason = core->replaying ? gn_reason_in(x, GN_REASON_TRIES) : GN_REASON_TRIES;
        fail(core, t, reason, delay, words, m->payload.len, counted);
    } else if (m->verb == GN_VERB_TASK_RELEASED) {
        t->tries_used -= t->state == GN_STATE_LEASED;
        gn_unfinish_delay(core, t, GN_EVENT_RELEASE, delay);
    } else {
        count_outcome(core, t, 0);
        if (t->state == GN_STATE_LEASED) {
            t->reason = (uint8_t)(core->replaying ? gn_reason_in(x, GN_REASON_AGENT) : GN_REASON_AGENT);
            gn_task_set_words(core, t, (const uint8_t *)words, m->payload.len, counted);
        }
        gn_shift(core, t, GN_EVENT_BURY);
    }
    return 0;
}

static int check(const struct gn_ctx *x)
{
    if (x->p.delay > GN_MS_MAX)
        return GN_BAD_NUMBER;
    if (x->p.present & GN_BIT(BLOB) && !gn_blob_is(gn_chars(x->buf, x->p.blob), x->p.blob.len))
        return GN_BAD_PARAM;
    return 0;
}

void gn_verb_outcome(gn_core *core, const struct gn_ctx *x)
{
    struct gn_task *t = gn_task_named(core, x);
    int code = t == NULL ? GN_UNKNOWN_TASK : check(x);
    if (t != NULL && core->replaying && gn_late_replay(core, t, x))
        return;
    if (code == 0 && core->replaying && replay(core, t, x))
        return;
    if (code == 0 && !core->replaying && x->p.present & GN_BIT(TOKEN))
        gn_lease_answered(core, t, x->peer, x->p.token);
    if (code == 0)
        code = gn_shift_code(t, event_of(x->m->verb));
    if (code == 0 && !holds(t, x))
        code = GN_STALE;
    if (code == 0)
        code = gn_journal_reserve(core, x);
    if (code == 0)
        code = apply(core, t, x);
    if (code != 0 && t == NULL)
        gn_reject(core, x, code);
    else if (code != 0)
        gn_reject_why(core, x, code);
    else if (x->p.ack > 0)
        gn_done(core, x);
    if (code == GN_STALE && !core->replaying)
        gn_late_keep(core, t, x);
}

void gn_verb_progress(gn_core *core, const struct gn_ctx *x)
{
    struct gn_task *t = gn_task_named(core, x);
    if (t == NULL)
        gn_reject(core, x, GN_UNKNOWN_TASK);
    else if (!holds(t, x))
        gn_reject(core, x, GN_STALE);
    else
        gn_watch_forward(core, t, x);
}
