/* verbs_limit.c - LIMIT and LIMITS: setting limits and looking at them; and their lines in a journal. */
#include "core/internal.h"

struct setting {
    int kind; /* -1: none yet */
    size_t len;
    char name[GN_TASK_BYTES_MAX + 1];
    struct gn_limit limit;
    int burst;
};

/* A decimal number in thousandths, at most three digits behind the point; 0: it is none, or over the largest rate. */
static int read_rate(const struct gn_json_value *v, uint64_t *out)
{
    uint64_t n = 0;
    int behind = -1;
    for (size_t i = 0; i < v->len; i++) {
        if (v->text[i] == '.' && behind < 0) {
            behind = 0;
            continue;
        }
        if (v->text[i] < '0' || v->text[i] > '9' || n > GN_RATE_MAX || (behind >= 3 && v->text[i] != '0'))
            return 0;
        if (behind < 3)
            n = n * 10 + (v->text[i] - '0');
        behind += behind >= 0 && behind < 3;
    }
    for (behind = behind < 0 ? 0 : behind; behind < 3; behind++)
        n *= 10;
    *out = n;
    return v->kind == GN_JSON_NUMBER && n <= GN_RATE_MAX;
}

static int read_count(const struct gn_json_value *v, uint64_t most, uint64_t *out)
{
    return v->kind == GN_JSON_NUMBER && gn_read_u64((const char *)v->text, v->len, out) && *out <= most;
}

static int read_name(const struct gn_json_value *v, int kind, struct setting *s)
{
    ptrdiff_t n = gn_json_string(v, s->name, sizeof s->name);
    if (s->kind >= 0 || n < 0 || !(kind == GN_METER_ACTION ? gn_is_action(s->name, (size_t)n) : gn_is_name(s->name, (size_t)n)))
        return 0;
    s->kind = kind;
    s->len = (size_t)n;
    return 1;
}

/* One member: NULL, or what is wrong with it. */
static const char *read_member(const char *key, const struct gn_json_value *v, struct setting *s)
{
    uint64_t n = 0;
    for (int kind = 0; kind < GN_METER_KINDS; kind++)
        if (strcmp(key, gn_meter_kind(kind)) == 0)
            return read_name(v, kind, s) ? NULL : "one of action, sender and label, and its name";
    if (strcmp(key, "rate") == 0)
        return read_rate(v, &s->limit.rate) ? NULL : "rate: tokens a second, 0.001 to 1000000, at most three decimals; 0: none";
    if (strcmp(key, "burst") == 0) {
        s->burst = read_count(v, GN_BURST_MAX, &s->limit.burst) && s->limit.burst > 0;
        return s->burst ? NULL : "burst: tokens, 1 to 1000000";
    }
    if (strcmp(key, "running") != 0)
        return "action, sender or label; rate, burst, running";
    if (!read_count(v, GN_RUNNING_MAX, &n))
        return "running: tasks, 1 to 1000000; 0: no limit";
    s->limit.running = (uint32_t)n;
    return NULL;
}

/* NULL, or what is wrong. */
static const char *read_setting(const struct gn_ctx *x, struct setting *s)
{
    struct gn_json j;
    struct gn_json_value v;
    char key[16];
    const char *wrong = NULL;
    int more = -1;
    *s = (struct setting){.kind = -1, .limit = {.burst = 1}};
    if (gn_json_open(&j, x->buf + x->m->payload.off, x->m->payload.len))
        while (wrong == NULL && (more = gn_json_next(&j, key, sizeof key, &v)) > 0)
            wrong = read_member(key, &v, s);
    if (wrong != NULL)
        return wrong;
    if (more != 0)
        return "not a flat JSON object";
    if (s->burst && s->limit.rate == 0)
        return "burst: only with a rate";
    return s->kind < 0 ? "one of action, sender and label, and its name" : NULL;
}

void gn_verb_limit(gn_core *core, const struct gn_ctx *x)
{
    struct setting s;
    const char *wrong = read_setting(x, &s);
    if (wrong != NULL) {
        gn_reject_words(core, x, GN_BAD_PAYLOAD, wrong, strlen(wrong));
        return;
    }
    int code = gn_journal_reserve(core, x);
    if (code == 0)
        code = gn_limit_set(core, s.kind, s.name, s.len, &s.limit);
    if (code != 0) {
        gn_reject(core, x, code);
        return;
    }
    gn_journal_message(core, x, NULL, NULL);
    gn_done(core, x);
}

static void put_rate(struct gn_text *t, uint64_t rate)
{
    gn_text_u64(t, rate / 1000);
    if (rate % 1000 == 0)
        return;
    char point[4] = {'.', (char)('0' + rate / 100 % 10), (char)('0' + rate / 10 % 10), (char)('0' + rate % 10)};
    size_t n = sizeof point;
    while (point[n - 1] == '0')
        n--;
    gn_text_put(t, point, n);
}

/* The members that LIMIT takes. */
static void put_setting(struct gn_text *t, const struct gn_meter *m)
{
    size_t len;
    const char *name = gn_meter_bare(m, &len);
    gn_member_string(t, gn_meter_kind(m->kind), name, len);
    if (m->rate > 0) {
        gn_member_key(t, "rate");
        put_rate(t, m->rate);
        gn_member_number(t, "burst", m->burst);
    }
    if (m->bound > 0)
        gn_member_number(t, "running", m->bound);
}

void gn_limit_row(gn_core *core, uint32_t meter)
{
    const struct gn_meter *m = gn_meter_at(core, meter);
    struct gn_text *t = &core->text;
    uint32_t parked = m->parked;
    if (m->kind == GN_METER_ACTION && !gn_meter_open(core, m))
        parked = gn_action_at(core, m->action)->count[GN_STATE_READY];
    gn_member_key(t, NULL);
    gn_text_str(t, "{");
    put_setting(t, m);
    if (m->rate > 0)
        gn_member_number(t, "level", gn_meter_level(core, m));
    gn_member_number(t, "now", gn_meter_running(core, m));
    gn_member_number(t, "parked", parked);
    gn_text_str(t, "}");
}

void gn_limits_checkpoint(gn_core *core)
{
    struct gn_text *t = &core->journal;
    for (uint32_t i = 0; i < core->meters.high; i++) {
        const struct gn_meter *m = gn_meter_at(core, i);
        if (m->name_len == 0 || (m->rate == 0 && m->bound == 0) || !gn_text_reserve(t, GN_HEADER_BYTES_MAX))
            continue;
        gn_text_str(t, "CONTROL:LIMIT:;ts=");
        gn_text_u64(t, (uint64_t)(core->now / GN_MS));
        gn_text_str(t, ":{");
        put_setting(t, m);
        gn_text_str(t, "}\n");
    }
}
