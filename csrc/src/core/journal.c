/* journal.c - what was accepted, in the form in which it came: feeding it to a fresh core over a
 * journal link gives the same tasks (replay.c).
 *
 * Beside the messages it holds what time did (a lease lost, a time to live over), as the outcome
 * it amounts to, and what left the table, so a replay depends on no clock and on no bound. To add a verb that
 * changes tasks: append it here when it has been applied, and see that it means the same without agents.
 *
 * Lines gather in the open batch. What promises something about a task is held back (out.c) until the
 * batch in which the task last changed is committed.
 */
#include <stdlib.h>

#include "core/internal.h"

/* What is not kept: who wants an answer, which lease it was; from and ts are set anew. */
#define NOT_KEPT (GN_BIT(FROM) | GN_BIT(TS) | GN_BIT(ACK) | GN_BIT(LEN) | GN_BIT(TOKEN) | GN_BIT(TRY))

static int is_outcome(const gn_msg *m)
{
    return m->type == GN_RESPONSE;
}

int gn_journal_reserve(gn_core *core, const struct gn_ctx *x)
{
    if (core->replaying)
        return 0;
    if (core->failing > (is_outcome(x->m) ? GN_JOURNAL_FAILING : GN_JOURNAL_WELL))
        return GN_JOURNAL;
    return gn_text_reserve(&core->journal, (size_t)GN_HEADER_BYTES_MAX + x->m->payload.len + 2) ? 0 : GN_JOURNAL;
}

static size_t stamp(gn_core *core, char *params, size_t n, size_t cap, uint32_t peer)
{
    char digits[20];
    ptrdiff_t more = gn_pairs_put(params, n, cap, "ts", digits, gn_u64(digits, (uint64_t)(core->now / GN_MS)));
    if (more > 0)
        n = (size_t)more;
    if (peer != GN_NIL) {
        const struct gn_peer *p = gn_peer_at(core, peer);
        more = gn_pairs_put(params, n, cap, "from", p->name, p->name_len);
        if (more > 0)
            n = (size_t)more; /* a header too full for it goes without */
    }
    return n;
}

static void append(gn_core *core, const char *verb, size_t verb_len, const char *name, size_t name_len,
                   const char *params, size_t params_len, int counted, const void *payload, size_t payload_len)
{
    struct gn_text *out = &core->journal;
    gn_text_put(out, verb, verb_len);
    gn_text_put(out, ":", 1);
    gn_text_put(out, name, name_len);
    gn_text_put(out, ";", 1);
    gn_text_put(out, params, params_len);
    if (counted) {
        gn_text_str(out, ";len=");
        gn_text_u64(out, payload_len);
    }
    if (payload != NULL) {
        gn_text_put(out, ":", 1);
        gn_text_put(out, payload, payload_len);
    }
    gn_text_put(out, "\n", 1);
}

void gn_journal_message(gn_core *core, const struct gn_ctx *x, struct gn_task *t, const char *more)
{
    if (core->replaying)
        return;
    const gn_msg *m = x->m;
    const char *name = t != NULL ? gn_task_name(t) : gn_chars(x->buf, m->task);
    size_t name_len = t != NULL ? t->name_len : m->task.len;
    char verb[16 + GN_ACTION_BYTES_MAX], params[GN_HEADER_BYTES_MAX];
    size_t verb_len = strlen(gn_type_name(m->type));
    memcpy(verb, gn_type_name(m->type), verb_len);
    verb[verb_len++] = ':';
    memcpy(verb + verb_len, gn_chars(x->buf, m->action), m->action.len);
    verb_len += m->action.len;
    /* name, ":" twice, ";", ";len=65536" */
    size_t cap = GN_HEADER_BYTES_MAX - verb_len - name_len - 14;
    uint64_t drop = more != NULL && is_outcome(m) ? NOT_KEPT | GN_BIT(DELAY) : NOT_KEPT; /* more: the delay it came to */
    ptrdiff_t n = more == NULL ? 0 : gn_pairs_copy(params, 0, cap, more, strlen(more), 0);
    ptrdiff_t with = gn_pairs_copy(params, (size_t)n, cap, gn_chars(x->buf, m->params), m->params.len, drop);
    if (with >= 0)
        n = with; /* else an outcome with a full header: its parameters are the agent's remarks */
    n = (ptrdiff_t)stamp(core, params, (size_t)n, cap, x->peer);
    if (x->from_len > 0 && (with = gn_pairs_put(params, (size_t)n, cap, "from", x->from, x->from_len)) >= 0)
        n = with;
    append(core, verb, verb_len, name, name_len, params, (size_t)n, m->flags & GN_MSG_LEN,
           m->flags & GN_MSG_PAYLOAD ? gn_chars(x->buf, m->payload) : NULL, m->payload.len);
    if (t != NULL)
        t->batch = core->batch;
}

void gn_journal_own(gn_core *core, struct gn_task *t, const char *verb, const char *reason)
{
    /* Without memory for it the line is missing and a replay tries the task again: safe. */
    if (core->replaying || !gn_text_reserve(&core->journal, (size_t)GN_HEADER_BYTES_MAX + t->words_len))
        return;
    char params[256] = "delay=0", digits[20];
    size_t n = 0;
    if (reason != NULL) {
        n = (size_t)gn_pairs_put(params, 7, sizeof params, "reason", reason, strlen(reason));
        n = (size_t)gn_pairs_put(params, n, sizeof params, "try", digits, gn_u64(digits, t->tries_used));
    }
    append(core, verb, strlen(verb), gn_task_name(t), t->name_len, params, stamp(core, params, n, sizeof params, GN_NIL),
           t->flags & GN_TASK_WORDS_LEN, reason != NULL ? t->words : NULL, reason != NULL ? t->words_len : 0);
    t->batch = core->batch;
}

void gn_journal_failed(gn_core *core, struct gn_task *t, uint64_t delay_ms)
{
    char params[256], digits[20];
    if (core->replaying || !gn_text_reserve(&core->journal, (size_t)GN_HEADER_BYTES_MAX + t->words_len))
        return;
    size_t n = (size_t)gn_pairs_put(params, 0, sizeof params, "delay", digits, gn_u64(digits, delay_ms));
    append(core, "RESPONSE:TASK_FAILED", 20, gn_task_name(t), t->name_len, params,
           stamp(core, params, n, sizeof params, GN_NIL), t->flags & GN_TASK_WORDS_LEN, t->words, t->words_len);
    t->batch = core->batch;
}

void gn_journal_leased(gn_core *core, struct gn_task *t)
{
    char params[256], digits[20];
    size_t n = 0;
    if (core->replaying || t->flags & GN_TASK_LOGGED || !gn_text_reserve(&core->journal, GN_HEADER_BYTES_MAX))
        return;
    n = (size_t)gn_pairs_put(params, n, sizeof params, "token", digits, gn_u64(digits, t->token));
    n = (size_t)gn_pairs_put(params, n, sizeof params, "try", digits, gn_u64(digits, t->tries_used));
    append(core, "CONTROL:LEASED", 14, gn_task_name(t), t->name_len, params, stamp(core, params, n, sizeof params, t->agent),
           0, NULL, 0);
    t->flags |= GN_TASK_LOGGED;
    t->batch = core->batch;
}

void gn_journal_forget(gn_core *core, const struct gn_task *t)
{
    struct gn_text *out = &core->journal;
    if (core->replaying || !gn_text_reserve(out, 32 + GN_TASK_BYTES_MAX))
        return; /* it comes back in a replay, and goes again when its time is over */
    gn_text_put(out, "CONTROL:FORGET:", 15);
    gn_text_put(out, gn_task_name(t), t->name_len);
    gn_text_put(out, "\n", 1);
}

uint64_t gn_journal_pending(const gn_core *core)
{
    if (core->journal.len > 0)
        return core->batch;
    return core->batch - 1 > core->committed ? core->batch - 1 : 0;
}

/* ---- the outside ---------------------------------------------------------------------------------- */

const uint8_t *gn_core_journal(gn_core *core, size_t *len)
{
    *len = core->journal.len;
    return core->journal.len == 0 ? NULL : (const uint8_t *)core->journal.p;
}

uint64_t gn_core_journal_seal(gn_core *core)
{
    if (core->journal.len == 0)
        return 0;
    core->journal.len = 0;
    if (core->journal.cap > 4u << 20) { /* a large batch is rare */
        free(core->journal.p);
        core->journal = (struct gn_text){0};
    }
    return core->batch++;
}

void gn_core_journal_failing(gn_core *core, int how)
{
    core->failing = (uint8_t)how;
}

void gn_core_tell(gn_core *core, const gn_core_facts *facts)
{
    core->facts = *facts;
    core->facts.journal[sizeof core->facts.journal - 1] = 0;
    core->facts.error[sizeof core->facts.error - 1] = 0;
}
