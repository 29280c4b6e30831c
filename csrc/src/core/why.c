/* why.c - what of a refused message is wrong, in words. Looked for anew once it is refused, so that a good one pays nothing. */
#include "core/internal.h"

#define RANGE(name, low, high) [GN_PARAM_##name] = {low, high}
static const struct {
    uint64_t least, most;
} ranges[GN_PARAM_COUNT] = {
    RANGE(TS, 0, (UINT64_C(1) << 53) - 1), RANGE(PRIO, 0, GN_PRIO_MAX), RANGE(TTL, 1, GN_MS_MAX),
    RANGE(DELAY, 0, GN_MS_MAX),            RANGE(LEASE, 1, GN_MS_MAX),  RANGE(TRIES, 1, GN_TRIES_MAX),
    RANGE(TRY, 0, UINT32_MAX),             RANGE(TOKEN, 0, UINT64_MAX), RANGE(SEQ, 0, UINT64_MAX),
    RANGE(ACK, 0, 1),                      RANGE(KEEP, 0, GN_MS_MAX),   RANGE(TRACE, 0, 1),
    RANGE(LEN, 0, UINT64_MAX),             RANGE(ONCE, 0, 1),
};

static size_t put(char *dst, size_t n, const char *s)
{
    memcpy(dst + n, s, strlen(s));
    return n + strlen(s);
}

static size_t put_name(char *dst, size_t n, const struct gn_task *t)
{
    memcpy(dst + n, gn_task_name(t), t->name_len);
    return n + t->name_len;
}

/* "ttl: at least 1, at most 4294967295", "prio: 0 to 9" */
static size_t range(char *dst, int param)
{
    uint64_t least = ranges[param].least;
    size_t n = put(dst, put(dst, 0, gn_param_key(param)), least > 0 ? ": at least " : ": ");
    n += gn_u64(dst + n, least);
    n = put(dst, n, least > 0 ? ", at most " : " to ");
    return n + gn_u64(dst + n, ranges[param].most);
}

static int submits(const struct gn_ctx *x)
{
    return x->m->type == GN_DATA || x->m->verb == GN_VERB_SCHEDULE;
}

/* The parameter that cannot be read as its number, else the one beyond its range; -1: none. */
static int bad_number(const struct gn_ctx *x)
{
    const char *at = gn_chars(x->buf, x->m->params), *end = at + x->m->params.len;
    struct gn_pair pair;
    gn_params read;
    while (gn_pair_next(&at, end, &pair)) {
        gn_msg one = *x->m;
        one.params = (gn_span){(uint32_t)((const uint8_t *)pair.key - x->buf), (uint32_t)(pair.value + pair.value_len - pair.key)};
        if (gn_params_read(x->buf, &one, &read) == GN_BAD_NUMBER)
            return pair.id;
    }
    static const int CHECKED[] = {GN_PARAM_PRIO, GN_PARAM_TTL, GN_PARAM_DELAY, GN_PARAM_LEASE, GN_PARAM_TRIES, GN_PARAM_KEEP};
    const uint64_t value[] = {x->p.prio, x->p.ttl, x->p.delay, x->p.lease, x->p.tries, x->p.keep};
    for (size_t i = 0; i < sizeof CHECKED / sizeof *CHECKED; i++) {
        int k = CHECKED[i];
        if ((submits(x) || k == GN_PARAM_DELAY) && x->p.present >> k & 1 &&
            (value[i] < ranges[k].least || value[i] > ranges[k].most))
            return k;
    }
    return -1;
}

/* The names of after= until one that is missing; with none: what is wrong with the list, when it is. */
static size_t after(const gn_core *core, const struct gn_ctx *x, int code, char *dst)
{
    const uint8_t *at = x->buf + x->p.after.off, *end = at + x->p.after.len, *start = at;
    char name[GN_TASK_BYTES_MAX];
    size_t len;
    int more;
    while ((more = gn_comma_next(&at, end, name, sizeof name, &len)) > 0) {
        int self = len == x->m->task.len && memcmp(name, x->buf + x->m->task.off, len) == 0;
        if (code == GN_UNKNOWN_TASK && (self || gn_task_find(core, name, len) == GN_NIL)) {
            /* As it was written: decoded it might hold an LF. At most 3 bytes for each of a name. */
            size_t raw = (size_t)(at - start) - (at < end || at[-1] == ',');
            size_t n = put(dst, 0, "after=");
            memcpy(dst + n, start, raw);
            return put(dst, n + raw, self ? ": a task cannot wait for itself" : ": no task of this name is known here");
        }
        start = at;
    }
    return code == GN_BAD_PARAM && more < 0 ? put(dst, 0, "after: task names of 1 to 64 bytes, a comma between two") : 0;
}

/* "after=x closes a circle: t1 after x after y after t1"; a long one is cut in the middle. */
static size_t circle(gn_core *core, const struct gn_ctx *x, char *dst)
{
    uint32_t i = gn_task_find(core, gn_chars(x->buf, x->m->task), x->m->task.len);
    struct gn_task *t = i == GN_NIL ? NULL : gn_task_at(core, i);
    if (t != NULL && x->m->type == GN_DATA && (gn_task_ended(t) || gn_shift_code(t, GN_EVENT_REPLACE) != 0))
        return 0; /* that is what is wrong with it */
    i = t == NULL ? GN_NIL : gn_deps_circle(core, t, x->buf + x->p.after.off, x->p.after.len);
    if (i == GN_NIL)
        return 0;
    size_t n = put(dst, 0, "after=");
    n = put_name(dst, n, gn_task_at(core, i));
    n = put_name(dst, put(dst, n, " closes a circle: "), t);
    for (; i != t->self; i = gn_task_at(core, i)->visit_from) {
        n = put(dst, n, " after ");
        if (n + 2 * (GN_TASK_BYTES_MAX + 7) > GN_WHY_BYTES_MAX) {
            n = put(dst, n, "...");
            break;
        }
        n = put_name(dst, n, gn_task_at(core, i));
    }
    return put_name(dst, put(dst, n, " after "), t);
}

/* What a submission may ask for in words, or an outcome that goes on. */
static size_t bad_word(const struct gn_ctx *x, char *dst)
{
    if (x->p.present & GN_BIT(NEEDS) && gn_deps_policy(gn_chars(x->buf, x->p.needs), x->p.needs.len) < 0)
        return put(dst, 0, "needs: all, ended or any");
    if (x->p.present & GN_BIT(NEEDS) && !(x->p.present & GN_BIT(AFTER)))
        return put(dst, 0, "needs: there is no after= it could be about");
    if (submits(x) && x->p.present & GN_BIT(RETRY) && !gn_retry_is_sane(x->buf + x->p.retry.off, x->p.retry.len))
        return put(dst, 0, "retry: milliseconds, at most 4294967295 each, a comma between two");
    if (submits(x) && gn_dup_of(x) < 0)
        return put(dst, 0, "dup: existing, reject or replace");
    return 0;
}

static size_t bad_param(gn_core *core, const struct gn_ctx *x, char *dst)
{
    size_t n = bad_word(x, dst);
    if (n > 0)
        return n;
    if (x->p.present & GN_BIT(VIA) && ((x->p.via.len == 0 && !submits(x)) || !gn_via_is_sane(x->buf + x->p.via.off, x->p.via.len)))
        return put(dst, 0, "via: action names (A-Z 0-9 _), a comma between two");
    if (x->p.present & GN_BIT(BLOB) && !gn_blob_is(gn_chars(x->buf, x->p.blob), x->p.blob.len))
        return put(dst, 0, "blob: <64 hex digits>.<bytes>");
    if (x->p.present & GN_BIT(KEY) && submits(x) && !gn_key_is_sane(x))
        return put(dst, 0, "key: 1 to 64 bytes");
    if (x->p.present & GN_BIT(LABEL) && submits(x) && !gn_label_is_sane(x))
        return put(dst, 0, "label: 1 to 4 names of letters digits - _ ., a comma between two");
    if (x->p.present & GN_BIT(AFTER) && (n = after(core, x, GN_BAD_PARAM, dst)) > 0)
        return n;
    return x->p.present & GN_BIT(AFTER) && !submits(x) ? put(dst, 0, "after: there is no via= to go on to") : 0;
}

/* A submission that says what to do about its name being taken. */
static size_t taken(const struct gn_ctx *x, int code, char *dst)
{
    int dup = x->m->type == GN_DATA ? gn_dup_of(x) : GN_DUP_EXISTING;
    if (dup == GN_DUP_REJECT && code == GN_EXISTS)
        return put(dst, 0, "dup=reject: a task of this name is known here");
    if (dup == GN_DUP_REPLACE && code == GN_BAD_STATE)
        return put(dst, 0, "dup=replace: an agent has it, or somebody needs what came of it");
    return 0;
}

size_t gn_why(gn_core *core, const struct gn_ctx *x, int code, char *dst)
{
    size_t n = x->m->code == 0 && x->m->verb == GN_VERB_SCHEDULE ? gn_schedule_why(core, x, code, dst) : 0;
    int param = n == 0 && code == GN_BAD_NUMBER ? bad_number(x) : -1;
    if (n > 0)
        return n;
    if (param >= 0)
        n = range(dst, param);
    else if (code == GN_BAD_PARAM && x->m->code == 0)
        n = bad_param(core, x, dst);
    else if (code == GN_UNKNOWN_TASK && x->p.present & GN_BIT(AFTER))
        n = after(core, x, code, dst);
    else if (code == GN_BAD_STATE && x->p.present & GN_BIT(AFTER))
        n = circle(core, x, dst);
    if (n > 0)
        return n;
    if (x->p.present & GN_BIT(DUP))
        n = taken(x, code, dst);
    return n > 0 ? n : put(dst, 0, gn_code_text(code));
}
