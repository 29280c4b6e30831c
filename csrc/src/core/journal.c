/* journal.c - what was accepted, in the form in which it came: feeding it to a fresh core over a
 * journal link gives the same unfinished tasks (those agents held are ready again).
 *
 * Beside the messages it holds what time did (a lease lost, a time to live over), as the outcome
 * it amounts to, so a replay depends on no clock. To add a verb that changes what tasks are
 * unfinished: append it here when it has been applied, and see that it means the same without agents.
 */
#include "core/internal.h"

/* What is not kept: who wants an answer, which lease it was; from and ts are set anew. */
#define NOT_KEPT (GN_BIT(FROM) | GN_BIT(TS) | GN_BIT(ACK) | GN_BIT(LEN) | GN_BIT(TOKEN) | GN_BIT(TRY))

int gn_journal_reserve(gn_core *core, const struct gn_ctx *x)
{
    if (core->replaying)
        return 0;
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
                   const char *params, size_t params_len, const struct gn_ctx *x)
{
    struct gn_text *out = &core->journal;
    gn_text_put(out, verb, verb_len);
    gn_text_put(out, ":", 1);
    gn_text_put(out, name, name_len);
    gn_text_put(out, ";", 1);
    gn_text_put(out, params, params_len);
    if (x != NULL && x->m->flags & GN_MSG_LEN) {
        gn_text_str(out, ";len=");
        gn_text_u64(out, x->m->payload.len);
    }
    if (x != NULL && x->m->flags & GN_MSG_PAYLOAD) {
        gn_text_put(out, ":", 1);
        gn_text_put(out, gn_chars(x->buf, x->m->payload), x->m->payload.len);
    }
    gn_text_put(out, "\n", 1);
}

void gn_journal_message(gn_core *core, const struct gn_ctx *x, const char *name, size_t name_len, const char *mark)
{
    if (core->replaying)
        return;
    const gn_msg *m = x->m;
    char verb[16 + GN_ACTION_BYTES_MAX], params[GN_HEADER_BYTES_MAX];
    size_t verb_len = strlen(gn_type_name(m->type));
    memcpy(verb, gn_type_name(m->type), verb_len);
    verb[verb_len++] = ':';
    memcpy(verb + verb_len, gn_chars(x->buf, m->action), m->action.len);
    verb_len += m->action.len;
    /* name, ":" twice, ";", ";len=65536" */
    size_t cap = GN_HEADER_BYTES_MAX - verb_len - name_len - 14;
    ptrdiff_t n = gn_pairs_copy(params, 0, cap, gn_chars(x->buf, m->params), m->params.len, NOT_KEPT);
    if (n < 0)
        n = 0; /* only an outcome with a full header: its parameters are the agent's remarks */
    if (mark != NULL) {
        ptrdiff_t more = gn_pairs_put(params, (size_t)n, cap, mark, "1", 1);
        n = more > 0 ? more : n;
    }
    append(core, verb, verb_len, name, name_len, params, stamp(core, params, (size_t)n, cap, x->peer), x);
}

void gn_journal_own(gn_core *core, const struct gn_task *t, const char *verb, const char *reason)
{
    /* Without memory for it the line is missing and a replay tries the task again: safe. */
    if (core->replaying || !gn_text_reserve(&core->journal, GN_HEADER_BYTES_MAX))
        return;
    char params[256] = "delay=0";
    size_t n = 0;
    if (reason != NULL)
        n = (size_t)gn_pairs_put(params, 7, sizeof params, "reason", reason, strlen(reason));
    append(core, verb, strlen(verb), gn_task_name(t), t->name_len, params, stamp(core, params, n, sizeof params, GN_NIL), NULL);
}

const uint8_t *gn_core_journal(gn_core *core, size_t *len)
{
    *len = core->journal.len;
    return core->journal.len == 0 ? NULL : (const uint8_t *)core->journal.p;
}

void gn_core_journal_done(gn_core *core)
{
    core->journal.len = 0;
}
