/* replace.c - dup=: what a submission means whose name is taken; and one that takes the place of another.
 *
 * A replacement happens in the task that is there: its name, who watches it and who waits for it stay, all else is as
 * if it had been accepted now.
 */
#include <stdlib.h>

#include "core/internal.h"

static const char *const WORDS[] = {
    [GN_DUP_EXISTING] = "existing", [GN_DUP_REJECT] = "reject", [GN_DUP_REPLACE] = "replace"};

int gn_dup_of(const struct gn_ctx *x)
{
    if (!(x->p.present & GN_BIT(DUP)))
        return GN_DUP_EXISTING;
    for (int i = GN_DUP_EXISTING; i <= GN_DUP_REPLACE; i++)
        if (strlen(WORDS[i]) == x->p.dup.len && memcmp(WORDS[i], x->buf + x->p.dup.off, x->p.dup.len) == 0)
            return i;
    return -1;
}

/* What the new content brings with it, while t still has its own. */
struct ties {
    uint32_t needs; /* t->needs as it was: those in front of it are new */
    uint32_t tags, sender, blob;
};

/* What must be so before anything is tried: t has not started, or has ended and nobody needs what came of it. */
static int may(const gn_core *core, const struct gn_task *t)
{
    int code = gn_shift_code(t, GN_EVENT_REPLACE);
    if (code == 0 && gn_task_ended(t) && (t->watchers.head != GN_NIL || t->needed_by.head != GN_NIL))
        code = GN_BAD_STATE;
    return code == 0 && core->draining && !core->replaying ? GN_DRAINING : code;
}

/* Room for bytes in place of t's, without t making it. */
static int make_room(gn_core *core, const struct gn_task *t, size_t bytes)
{
    if (!core->replaying)
        gn_partials_yield(core, bytes);
    while (!core->replaying && core->bytes + bytes > core->config.bytes_max + t->mem_bytes) {
        if (gn_late_give_way(core))
            continue;
        uint32_t i = core->spent.head == t->self ? t->spent.next : core->spent.head;
        if (i == GN_NIL)
            return GN_BUSY;
        core->n.evicted++;
        gn_task_forget(core, gn_task_at(core, i));
    }
    return 0;
}

/* Its key, labels and sender; t keeps its own till then. */
static int tie_tags(gn_core *core, const struct gn_ctx *x, struct gn_task *t, struct ties *ties)
{
    uint32_t tags = t->tags, sender = t->sender;
    int code = 0;
    t->tags = t->sender = GN_NIL;
    if (x->p.present & (GN_BIT(KEY) | GN_BIT(LABEL)))
        code = gn_tags_set(core, t, x);
    if (code == 0)
        code = gn_sender_set(core, t, x);
    ties->tags = t->tags;
    ties->sender = t->sender;
    t->tags = tags;
    t->sender = sender;
    return code;
}

static void untie(gn_core *core, struct gn_task *t, const struct ties *ties)
{
    uint32_t tags = t->tags, sender = t->sender;
    t->tags = ties->tags;
    t->sender = ties->sender;
    gn_tags_free(core, t);
    gn_sender_free(core, t);
    t->tags = tags;
    t->sender = sender;
    gn_blob_unref(core, ties->blob);
    gn_deps_trim(core, t, ties->needs);
}

/* Edges, key, blob and watch. 0, or a code and none of them. */
static int tie(gn_core *core, const struct gn_ctx *x, struct gn_task *t, struct ties *ties)
{
    const uint8_t *after = x->buf + x->p.after.off;
    int policy = x->p.present & GN_BIT(NEEDS) ? gn_deps_policy(gn_chars(x->buf, x->p.needs), x->p.needs.len) : GN_NEEDS_ALL;
    uint8_t policy_before = t->policy;
    int code = 0;
    *ties = (struct ties){.needs = t->needs, .tags = GN_NIL, .sender = GN_NIL, .blob = GN_NIL};
    if (x->p.present & GN_BIT(AFTER)) {
        code = gn_deps_add(core, t, after, x->p.after.len, policy);
        if (code == 0 && gn_deps_circle(core, t, after, x->p.after.len) != GN_NIL)
            code = GN_BAD_STATE;
    }
    if (code == 0)
        code = tie_tags(core, x, t, ties);
    if (code == 0 && x->p.present & GN_BIT(BLOB)) {
        ties->blob = gn_blob_ref(core, gn_chars(x->buf, x->p.blob), x->p.blob.len);
        code = ties->blob == GN_NIL ? GN_BUSY : 0;
    }
    if (code == 0 && x->conn != GN_NIL)
        code = gn_watch_add(core, t, x->conn);
    if (code != 0) {
        untie(core, t, ties);
        t->policy = policy_before;
    }
    return code;
}

/* t as if nothing had ever happened to it, tied as its new content is. */
static void forget_life(gn_core *core, struct gn_task *t, const struct ties *ties)
{
    gn_shift(core, t, GN_EVENT_REPLACE);
    gn_deps_renew(core, t, ties->needs);
    gn_tags_free(core, t);
    gn_sender_free(core, t);
    gn_partials_drop(core, t);
    t->tags = ties->tags;
    t->sender = ties->sender;
    gn_blob_unref(core, t->blob);
    t->blob = ties->blob;
    gn_task_set_words(core, t, NULL, 0, 0);
    gn_late_drop(core, t);
    core->bytes -= t->hops_len;
    free(t->hops);
    t->hops = NULL;
    t->hops_len = 0;
    t->flags = 0;
    t->reason = 0;
    t->tries_used = 0;
    t->due_us = t->ttl_us = GN_NEVER;
    t->accepted_us = t->entered_us = core->now;
    t->leased_us = t->ended_us = 0;
    t->handed_out = 1; /* a lease of an earlier coordinator, should one turn up, is about the content before */
}

static int replace(gn_core *core, const struct gn_ctx *x, struct gn_task *t)
{
    const gn_msg *m = x->m;
    char pass[GN_HEADER_BYTES_MAX];
    ptrdiff_t n = gn_pairs_copy(pass, 0, GN_PASS_BYTES_MAX, gn_chars(x->buf, m->params), m->params.len, GN_TAKEN_OUT);
    int code = n < 0 ? GN_HEADER_TOO_BIG : may(core, t);
    size_t bytes = t->name_len + (size_t)n + m->payload.len;
    uint32_t action = GN_NIL;
    struct ties ties;
    if (code == 0)
        code = make_room(core, t, bytes);
    if (code == 0)
        code = gn_journal_reserve(core, x);
    if (code == 0 && (action = gn_action_get(core, gn_chars(x->buf, m->action), m->action.len)) == GN_NIL)
        code = GN_BUSY;
    uint8_t *mem = code == 0 ? malloc(bytes) : NULL;
    if (code == 0)
        code = mem == NULL ? GN_BUSY : tie(core, x, t, &ties);
    if (code != 0) {
        free(mem);
        return code;
    }
    memcpy(mem, gn_task_name(t), t->name_len);
    memcpy(mem + t->name_len, pass, (size_t)n);
    if (m->payload.len > 0)
        memcpy(mem + t->name_len + n, x->buf + m->payload.off, m->payload.len);
    forget_life(core, t, &ties);
    gn_task_set_mem(core, t, mem, bytes);
    t->name_off = 0;
    t->pass_len = (uint16_t)n;
    t->payload_len = m->payload.len;
    t->action = action;
    return 0;
}

void gn_replace(gn_core *core, const struct gn_ctx *x, struct gn_task *t, uint64_t content)
{
    const char *how = gn_task_ended(t) ? NULL : "replaced=1";
    int code = replace(core, x, t);
    if (code != 0)
        gn_reject_why(core, x, code);
    else
        gn_submit_take(core, x, t, content, how);
}
