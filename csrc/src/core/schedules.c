/* schedules.c - the table of schedules: what SCHEDULE asks for, checked, kept, journalled and shown. When one is due: firing.c.
 *
 * A schedule keeps the message it came in: its parameters and payload are those of every task it makes. To add a parameter
 * of the schedule itself: OWN, read_plan, SPEC.md.
 */
#include <stdlib.h>

#include "core/internal.h"

/* Those that are no submission's. */
static const char *const OWN[] = {"action", "cron", "every", "offset", "missed", "overlap"};
#define NOT_KEPT (GN_BIT(FROM) | GN_BIT(TS) | GN_BIT(ACK) | GN_BIT(LEN) | GN_BIT(TOKEN) | GN_BIT(TRY) | GN_BIT(HOPS))
/* The parameters of a SCHEDULE must leave room in a header: of the journal's line, and of a task's. */
#define PARAMS_BYTES_MAX 850
_Static_assert(24 + GN_SCHEDULE_NAME_MAX + PARAMS_BYTES_MAX + 17 + 10 <= GN_HEADER_BYTES_MAX, "the journal's line fits");
_Static_assert(5 + GN_ACTION_BYTES_MAX + 2 + GN_TASK_BYTES_MAX + PARAMS_BYTES_MAX + 10 <= GN_HEADER_BYTES_MAX, "a task's line fits");

static const char *name_of(const gn_core *core, uint32_t i, size_t *len)
{
    *len = gn_schedule_at(core, i)->name_len;
    return gn_schedule_at(core, i)->name;
}

static uint32_t find(const gn_core *core, const struct gn_ctx *x)
{
    const char *name = gn_chars(x->buf, x->m->task);
    uint32_t hash = (uint32_t)gn_hash(core->config.seed, name, x->m->task.len);
    return gn_names_find(core, &core->schedule_names, name_of, hash, name, x->m->task.len);
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* What of a SCHEDULE is not kept as it came. */
struct plan {
    gn_cron cron;
    uint64_t every_ms; /* 0: cron */
    int offset;
    uint8_t missed, overlap;
    char action[GN_ACTION_BYTES_MAX + 1];
    size_t action_len;
};

/* The value of a parameter, decoded; its length, 0 when it is not there (or empty, or longer than cap). */
static size_t text_of(const struct gn_ctx *x, const char *key, char *dst, size_t cap)
{
    uint8_t text[GN_HEADER_BYTES_MAX];
    gn_span value;
    if (!gn_param_find(x->buf, x->m, key, &value) || value.len > sizeof text)
        return 0;
    ptrdiff_t n = gn_unescape(x->buf + value.off, value.len, text, sizeof text);
    if (n <= 0 || (size_t)n > cap)
        return 0;
    memcpy(dst, text, (size_t)n);
    return (size_t)n;
}

/* Which of the words the value is; 0 when the parameter is not there, -1 when it is none of them. */
static int word_of(const struct gn_ctx *x, const char *key, const char *const *words, int count)
{
    char text[16];
    gn_span value;
    if (!gn_param_find(x->buf, x->m, key, &value))
        return 0;
    size_t n = text_of(x, key, text, sizeof text);
    for (int i = 0; i < count; i++)
        if (strlen(words[i]) == n && memcmp(words[i], text, n) == 0)
            return i;
    return -1;
}

static int read_offset(const struct gn_ctx *x, int *offset)
{
    char text[8];
    gn_span value;
    uint64_t minutes;
    *offset = 0;
    if (!gn_param_find(x->buf, x->m, "offset", &value))
        return 1;
    size_t n = text_of(x, "offset", text, sizeof text);
    int sign = n > 0 && (text[0] == '-' || text[0] == '+');
    if (!gn_read_u64(text + sign, n - (size_t)sign, &minutes) || minutes > GN_CRON_OFFSET_MAX)
        return 0;
    *offset = sign && text[0] == '-' ? -(int)minutes : (int)minutes;
    return 1;
}

/* cron= or every=, one of them. 0, or a code and why. */
static int read_times(const struct gn_ctx *x, struct plan *p, const char **why)
{
    char text[GN_HEADER_BYTES_MAX];
    gn_span value;
    int has_cron = gn_param_find(x->buf, x->m, "cron", &value), has_every = gn_param_find(x->buf, x->m, "every", &value);
    if (has_cron == has_every) {
        *why = "cron or every: one of them says when";
        return GN_BAD_PARAM;
    }
    if (has_every) {
        size_t n = text_of(x, "every", text, sizeof text);
        *why = "every: at least 100, at most 4294967295";
        if (!gn_read_u64(text, n, &p->every_ms) || p->every_ms < GN_SCHEDULE_EVERY_MIN || p->every_ms > GN_MS_MAX)
            return GN_BAD_NUMBER;
        *why = "offset: it goes with cron";
        return gn_param_find(x->buf, x->m, "offset", &value) ? GN_BAD_PARAM : 0;
    }
    int wrong = gn_cron_read(&p->cron, text, text_of(x, "cron", text, sizeof text));
    *why = gn_cron_words(wrong);
    if (wrong != 0)
        return GN_BAD_PARAM;
    *why = "offset: minutes east of UTC, -1439 to 1439";
    return read_offset(x, &p->offset) ? 0 : GN_BAD_NUMBER;
}

static int read_plan(const struct gn_ctx *x, struct plan *p, const char **why)
{
    static const char *const MISSED[] = {"one", "all", "none"}, *const OVERLAP[] = {"allow", "skip"};
    memset(p, 0, sizeof *p);
    *why = "the name of a schedule has 1 to 48 letters, digits, - _ or .";
    if (x->m->task.len == 0 || x->m->task.len > GN_SCHEDULE_NAME_MAX)
        return GN_BAD_TASK;
    p->action_len = text_of(x, "action", p->action, GN_ACTION_BYTES_MAX);
    *why = "action: the name of an action (A-Z 0-9 _) is needed";
    if (!gn_is_action(p->action, p->action_len))
        return GN_BAD_PARAM;
    int code = read_times(x, p, why);
    if (code != 0)
        return code;
    int missed = word_of(x, "missed", MISSED, 3), overlap = word_of(x, "overlap", OVERLAP, 2);
    *why = missed < 0 ? "missed: one, all or none" : "overlap: allow or skip";
    if (missed < 0 || overlap < 0)
        return GN_BAD_PARAM;
    p->missed = (uint8_t)missed;
    p->overlap = (uint8_t)overlap;
    return 0;
}

/* The pairs of text that are a submission's: neither ours nor in drop. Their length, or -1: over cap. */
ptrdiff_t gn_schedule_pairs(char *dst, size_t cap, const char *text, size_t len, uint64_t drop)
{
    const char *at = text, *end = text + len;
    struct gn_pair pair;
    ptrdiff_t n = 0;
    while (n >= 0 && gn_pair_next(&at, end, &pair)) {
        int own = 0;
        for (size_t i = 0; i < sizeof OWN / sizeof *OWN; i++)
            own |= strlen(OWN[i]) == pair.key_len && memcmp(OWN[i], pair.key, pair.key_len) == 0;
        if (!own)
            n = gn_pairs_copy(dst, (size_t)n, cap, pair.key, (size_t)(pair.value + pair.value_len - pair.key), drop);
    }
    return n;
}

/* Everything that the message alone decides. */
static int check(const gn_core *core, const struct gn_ctx *x, struct plan *p, const char **why)
{
    char pairs[GN_HEADER_BYTES_MAX];
    int code = read_plan(x, p, why);
    if (code != 0)
        return code;
    *why = "cron: no such date ever comes";
    if (p->every_ms == 0 && !core->replaying && gn_cron_next(&p->cron, core->now / 1000000, p->offset) < 0)
        return GN_BAD_PARAM;
    *why = NULL;
    if ((code = gn_submit_check(x)) != 0)
        return code;
    const char *params = gn_chars(x->buf, x->m->params);
    return gn_pairs_copy(pairs, 0, PARAMS_BYTES_MAX, params, x->m->params.len, NOT_KEPT) < 0 ||
                   gn_schedule_pairs(pairs, GN_PASS_BYTES_MAX, params, x->m->params.len, GN_TAKEN_OUT) < 0
               ? GN_HEADER_TOO_BIG
               : 0;
}

size_t gn_schedule_why(const gn_core *core, const struct gn_ctx *x, int code, char *dst)
{
    struct plan plan;
    const char *why = NULL;
    if (check(core, x, &plan, &why) != code || why == NULL)
        return 0;
    memcpy(dst, why, strlen(why));
    return strlen(why);
}

/* ---- the table ---------------------------------------------------------------------------------- */

static uint64_t bytes_of(const struct gn_schedule *s)
{
    return (uint64_t)s->params_len + s->payload_len;
}

/* 0, or GN_BUSY: `more` bytes do not fit beside the unfinished tasks. */
static int make_room(gn_core *core, uint64_t more)
{
    if (!core->replaying)
        gn_partials_yield(core, more);
    while (!core->replaying && core->bytes + more > core->config.bytes_max) {
        if (core->spent.head == GN_NIL)
            return GN_BUSY;
        core->n.evicted++;
        gn_task_forget(core, gn_task_at(core, core->spent.head));
    }
    return 0;
}

static void let_go(gn_core *core, struct gn_schedule *s)
{
    core->bytes -= bytes_of(s);
    gn_blob_unref(core, s->blob);
    free(s->mem);
}

static struct gn_schedule *fresh(gn_core *core, const struct gn_ctx *x)
{
    if (!gn_names_reserve(&core->schedule_names))
        return NULL;
    uint32_t i = core->schedules.live < core->config.schedules_max || core->replaying ? gn_pool_take(&core->schedules) : GN_NIL;
    if (i == GN_NIL)
        return NULL;
    struct gn_schedule *s = gn_schedule_at(core, i);
    s->self = i;
    s->blob = s->heap_at = GN_NIL;
    s->name_len = (uint8_t)x->m->task.len;
    memcpy(s->name, gn_chars(x->buf, x->m->task), s->name_len);
    s->hash = (uint32_t)gn_hash(core->config.seed, s->name, s->name_len);
    gn_names_add(&core->schedule_names, s->hash, i);
    return s;
}

static int same_times(const struct gn_schedule *s, const struct plan *p)
{
    const gn_cron *a = &s->cron, *b = &p->cron;
    return s->every_ms == p->every_ms && s->offset == p->offset && a->minutes == b->minutes && a->hours == b->hours &&
           a->days == b->days && a->months == b->months && a->weekdays == b->weekdays && a->either == b->either;
}

/* What the message says, in place of what was there. The times go on when they are the same ones. */
static void fill(struct gn_schedule *s, const struct plan *p, int64_t now_ms)
{
    /* An older line is a checkpoint's, in a journal of which the beginning is gone: it knows better. */
    if (!s->live || !same_times(s, p) || now_ms < s->base_ms) {
        s->cron = p->cron;
        s->every_ms = (uint32_t)p->every_ms;
        s->offset = p->offset;
        s->base_ms = s->from_ms = now_ms;
        s->next_ms = gn_schedule_after(s, s->from_ms);
        s->behind = 0;
    }
    s->live = 1;
    s->missed = p->missed;
    s->overlap = p->overlap;
    s->action_len = (uint8_t)p->action_len;
    memcpy(s->action, p->action, sizeof s->action);
}

/* All that can fail first, so that a refused one leaves what was there. */
static int put(gn_core *core, const struct gn_ctx *x, const struct plan *p, uint32_t i, struct gn_schedule **out)
{
    const gn_msg *m = x->m;
    char pairs[GN_HEADER_BYTES_MAX];
    size_t n = (size_t)gn_pairs_copy(pairs, 0, PARAMS_BYTES_MAX, gn_chars(x->buf, m->params), m->params.len, NOT_KEPT);
    int code = make_room(core, n + m->payload.len);
    if (code == 0)
        code = gn_journal_reserve(core, x);
    if (code != 0)
        return code;
    uint32_t blob = x->p.present & GN_BIT(BLOB) ? gn_blob_ref(core, gn_chars(x->buf, x->p.blob), x->p.blob.len) : GN_NIL;
    uint8_t *mem = malloc(n + m->payload.len + 1);
    struct gn_schedule *s = i == GN_NIL ? NULL : gn_schedule_at(core, i);
    if (mem == NULL || (x->p.present & GN_BIT(BLOB) && blob == GN_NIL) || !gn_timers_reserve(core) ||
        (s == NULL && (s = fresh(core, x)) == NULL)) {
        gn_blob_unref(core, blob);
        free(mem);
        return GN_BUSY;
    }
    memcpy(mem, pairs, n);
    if (m->payload.len > 0)
        memcpy(mem + n, x->buf + m->payload.off, m->payload.len);
    let_go(core, s);
    s->mem = mem;
    s->params_len = (uint16_t)n;
    s->payload_len = m->payload.len;
    s->counted = (m->flags & GN_MSG_LEN) != 0;
    s->blob = blob;
    core->bytes += bytes_of(s);
    /* In a replay the line says when it was: what followed may have been fed before it. */
    fill(s, p, core->replaying ? (int64_t)x->p.ts : core->now / GN_MS);
    *out = s;
    return 0;
}

void gn_verb_schedule(gn_core *core, const struct gn_ctx *x)
{
    struct plan plan;
    const char *why;
    struct gn_schedule *s = NULL;
    int code = check(core, x, &plan, &why);
    if (code == 0)
        code = put(core, x, &plan, find(core, x), &s);
    if (code != 0) {
        gn_reject_why(core, x, code);
        return;
    }
    gn_journal_message(core, x, NULL, NULL);
    if (!core->replaying)
        gn_schedule_arm(core, s);
    char next[32] = "";
    if (s->next_ms != GN_NEVER) {
        memcpy(next, "next=", 5);
        next[5 + gn_u64(next + 5, (uint64_t)s->next_ms)] = 0;
    }
    if (x->conn != GN_NIL)
        gn_out_hold(core, gn_conn_at(core, x->conn), gn_journal_pending(core));
    gn_say(core, x->conn, "ACK:DONE", s->name, s->name_len, next, NULL, 0);
}

void gn_verb_unschedule(gn_core *core, const struct gn_ctx *x)
{
    uint32_t i = find(core, x);
    int code = i == GN_NIL ? GN_UNKNOWN_TASK : gn_journal_reserve(core, x);
    if (code == GN_UNKNOWN_TASK) {
        static const char WORDS[] = "no schedule of this name is known here";
        gn_reject_words(core, x, code, WORDS, sizeof WORDS - 1);
        return;
    }
    if (code != 0) {
        gn_reject(core, x, code);
        return;
    }
    struct gn_schedule *s = gn_schedule_at(core, i);
    gn_journal_message(core, x, NULL, NULL);
    gn_done(core, x);
    gn_timer_schedule_off(core, s);
    let_go(core, s);
    gn_names_drop(&core->schedule_names, s->hash, i);
    gn_pool_give(&core->schedules, i);
}

/* ---- the journal -------------------------------------------------------------------------------- */

static void put_number(struct gn_text *t, const char *key, uint64_t value)
{
    gn_text_str(t, key);
    gn_text_u64(t, value);
}

void gn_schedule_note(gn_core *core, const struct gn_schedule *s)
{
    struct gn_text *out = &core->journal;
    /* Without memory for it the line is missing: the next one says the same and more. */
    if (core->replaying || !gn_text_reserve(out, GN_HEADER_BYTES_MAX))
        return;
    gn_text_str(out, "CONTROL:FIRED:");
    gn_text_put(out, s->name, s->name_len);
    put_number(out, ";due=", (uint64_t)s->from_ms);
    put_number(out, ";last=", (uint64_t)s->last_ms);
    put_number(out, ";fired=", s->fired);
    put_number(out, ";missed=", s->missed_count);
    put_number(out, ";ts=", (uint64_t)(core->now / GN_MS));
    gn_text_put(out, "\n", 1);
}

static uint64_t number_of(const struct gn_ctx *x, const char *key)
{
    char text[24];
    uint64_t value;
    return gn_read_u64(text, text_of(x, key, text, sizeof text), &value) ? value : 0;
}

/* In a replay alone: how far this schedule had come. */
void gn_verb_fired(gn_core *core, const struct gn_ctx *x)
{
    if (!core->replaying)
        gn_reject(core, x, GN_UNKNOWN_VERB);
    uint32_t i = core->replaying ? find(core, x) : GN_NIL;
    if (i == GN_NIL)
        return;
    struct gn_schedule *s = gn_schedule_at(core, i);
    const int64_t most = GN_CRON_LAST_S * 1000;
    uint64_t due = number_of(x, "due"), last = number_of(x, "last");
    s->from_ms = due > (uint64_t)most ? most : (int64_t)due < s->base_ms ? s->base_ms : (int64_t)due;
    s->last_ms = last > (uint64_t)s->from_ms ? s->from_ms : (int64_t)last;
    s->fired = number_of(x, "fired");
    s->missed_count = number_of(x, "missed");
    s->next_ms = gn_schedule_after(s, s->from_ms);
}

void gn_schedules_checkpoint(gn_core *core)
{
    struct gn_text *out = &core->journal;
    for (uint32_t i = 0; i < core->schedules.high; i++) {
        const struct gn_schedule *s = gn_schedule_at(core, i);
        if (!s->live || !gn_text_reserve(out, GN_HEADER_BYTES_MAX + (size_t)s->payload_len + 2))
            continue;
        gn_text_str(out, "CONTROL:SCHEDULE:");
        gn_text_put(out, s->name, s->name_len);
        gn_text_put(out, ";", 1);
        gn_text_put(out, (const char *)s->mem, s->params_len);
        put_number(out, ";ts=", (uint64_t)s->base_ms);
        if (s->counted)
            put_number(out, ";len=", s->payload_len);
        gn_text_put(out, ":", 1);
        gn_text_put(out, (const char *)s->mem + s->params_len, s->payload_len);
        gn_text_put(out, "\n", 1);
        gn_schedule_note(core, s);
    }
}

/* ---- looking -------------------------------------------------------------------------------------- */

void gn_schedule_row(gn_core *core, uint32_t i)
{
    static const char *const MISSED[] = {"one", "all", "none"}, *const OVERLAP[] = {"allow", "skip"};
    const struct gn_schedule *s = gn_schedule_at(core, i);
    struct gn_text *t = &core->text;
    const char *at = (const char *)s->mem, *end = at + s->params_len;
    uint8_t text[GN_HEADER_BYTES_MAX];
    struct gn_pair pair;
    gn_member_key(t, NULL);
    gn_text_str(t, "{");
    gn_member_string(t, "name", s->name, s->name_len);
    gn_member_string(t, "action", s->action, s->action_len);
    ptrdiff_t n = -1;
    while (gn_pair_next(&at, end, &pair)) /* of a key given twice the last counts */
        if (pair.key_len == 4 && memcmp(pair.key, "cron", 4) == 0)
            n = gn_unescape((const uint8_t *)pair.value, pair.value_len, text, sizeof text);
    if (s->every_ms > 0)
        gn_member_number(t, "every", s->every_ms);
    else
        gn_member_string(t, "cron", (const char *)text, n < 0 ? 0 : (size_t)n);
    gn_member_key(t, "offset");
    if (s->offset < 0)
        gn_text_put(t, "-", 1);
    gn_text_u64(t, (uint64_t)(s->offset < 0 ? -s->offset : s->offset));
    gn_member_string(t, "on_missed", MISSED[s->missed], strlen(MISSED[s->missed]));
    gn_member_string(t, "overlap", OVERLAP[s->overlap], strlen(OVERLAP[s->overlap]));
    if (s->next_ms == GN_NEVER)
        gn_member_string(t, "next_ms", NULL, 0);
    else
        gn_member_number(t, "next_ms", (uint64_t)s->next_ms);
    if (s->last_ms == 0)
        gn_member_string(t, "last_ms", NULL, 0);
    else
        gn_member_number(t, "last_ms", (uint64_t)s->last_ms);
    gn_member_number(t, "fired", s->fired);
    gn_member_number(t, "missed", s->missed_count);
    gn_member_number(t, "size", s->payload_len);
    gn_text_str(t, "}");
}
