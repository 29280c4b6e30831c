/* status.c - looking: STATUS, AGENTS, TASKS, PEEK, as JSON that fits one message. */
#include <stdlib.h>

#include "core/internal.h"

#define PROTOCOL_VERSION 1
/* A row is begun only while a page is shorter than this, and no row is longer than what is left. */
#define PAGE_BYTES(core) ((core)->config.inline_bytes_max - (core)->config.inline_bytes_max / 8 - GN_REGISTER_BYTES_MAX - 1024)

static uint64_t ms(int64_t us)
{
    return us < 0 ? 0 : (uint64_t)(us / GN_MS);
}

static void say_text(gn_core *core, const struct gn_ctx *x, const char *next, size_t next_len)
{
    char params[32 + GN_METER_BYTES_MAX] = "ct=json";
    if (next_len > 0) {
        memcpy(params + 7, ";next=", 6);
        memcpy(params + 13, next, next_len);
        params[13 + next_len] = 0;
    }
    if (core->text.failed) {
        core->text.failed = 0;
        gn_reject(core, x, GN_NO_MEMORY);
        return;
    }
    gn_say(core, x->conn, "RESPONSE:STATE", gn_chars(x->buf, x->m->task), x->m->task.len, params, core->text.p, core->text.len);
}

/* ---- rows in order of name, behind the one the payload gives ------------------------------------ */

struct row {
    const char *name;
    uint32_t index;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

static const char *agent_name(const gn_core *core, uint32_t i)
{
    const struct gn_peer *p = gn_peer_at(core, i);
    return p->live && p->serve_count > 0 ? p->name : NULL;
}

static const char *action_name(const gn_core *core, uint32_t i)
{
    const struct gn_action *a = gn_action_at(core, i);
    return a->name_len > 0 ? a->name : NULL;
}

/* All names behind `after`, sorted; *count of them; NULL when out of memory. */
static struct row *rows(const gn_core *core, const struct gn_pool *pool, const char *(*name_of)(const gn_core *, uint32_t),
                        const char *after, size_t after_len, size_t *count)
{
    struct row *out = malloc(((size_t)pool->live + 1) * sizeof *out);
    *count = 0;
    for (uint32_t i = 0; out != NULL && i < pool->high && *count < pool->live; i++) {
        const char *name = name_of(core, i);
        if (name == NULL)
            continue;
        size_t n = strlen(name), common = n < after_len ? n : after_len;
        int order = memcmp(name, after, common);
        if (order > 0 || (order == 0 && n > after_len))
            out[(*count)++] = (struct row){name, i};
    }
    if (out != NULL)
        qsort(out, *count, sizeof *out, by_name);
    return out;
}

static void page(gn_core *core, const struct gn_ctx *x, const struct gn_pool *pool,
                 const char *(*name_of)(const gn_core *, uint32_t), void (*put)(gn_core *, uint32_t), const char *close)
{
    size_t count, n = 0;
    struct row *list = rows(core, pool, name_of, gn_chars(x->buf, x->m->payload), x->m->payload.len, &count);
    if (list == NULL) {
        gn_reject(core, x, GN_NO_MEMORY);
        return;
    }
    while (n < count && n < GN_PAGE_ROWS && core->text.len < PAGE_BYTES(core))
        put(core, list[n++].index);
    gn_text_str(&core->text, close);
    const char *last = n > 0 && n < count ? list[n - 1].name : "";
    say_text(core, x, last, strlen(last));
    free(list);
}

static void put_action(gn_core *core, uint32_t i)
{
    const struct gn_action *a = gn_action_at(core, i);
    struct gn_text *t = &core->text;
    gn_member_key(t, a->name);
    gn_text_str(t, "{");
    for (int state = GN_STATE_WAITING; state < GN_STATE_COUNT; state++)
        gn_member_number(t, gn_state_word(state), a->count[state]);
    gn_member_number(t, "agents", a->agents);
    gn_member_flag(t, "paused", a->paused);
    gn_text_str(t, "}");
}

static void journal(struct gn_text *t, const gn_core_facts *facts)
{
    const char *policy = facts->journal[0] == 0 ? "none" : facts->journal;
    gn_member_string(t, "journal", policy, strlen(policy));
    gn_member_number(t, "lag_us", facts->lag_us);
    if (facts->journal[0] == 0)
        return;
    gn_member_key(t, "journal_state");
    gn_text_str(t, "{");
    gn_member_number(t, "ms", facts->journal_ms);
    gn_member_number(t, "bytes", facts->journal_bytes);
    gn_member_number(t, "segments", facts->segments);
    gn_member_number(t, "syncs", facts->syncs);
    gn_member_number(t, "sync_us", facts->sync_us);
    gn_member_number(t, "sync_us_max", facts->sync_us_max);
    gn_member_flag(t, "failing", facts->failing != 0);
    gn_member_string(t, "error", facts->error, strlen(facts->error));
    gn_text_str(t, "}");
}

void gn_verb_status(gn_core *core, const struct gn_ctx *x)
{
    struct gn_text *t = &core->text;
    t->len = 0;
    gn_text_str(t, "{");
    gn_member_number(t, "epoch", core->config.epoch);
    gn_member_number(t, "version", PROTOCOL_VERSION);
    gn_member_number(t, "now_ms", ms(core->now));
    gn_member_flag(t, "draining", core->draining);
    journal(t, &core->facts);
    gn_member_key(t, "gauges");
    gn_text_str(t, "{");
    for (int g = 0; g < gn_core_gauge_count(); g++) {
        gn_member_key(t, gn_core_gauge_name(g));
        gn_text_str(t, "{");
        gn_member_number(t, "value", gn_core_gauge(core, g));
        if (gn_core_gauge_bound(core, g) > 0)
            gn_member_number(t, "bound", gn_core_gauge_bound(core, g));
        gn_text_str(t, "}");
    }
    gn_text_str(t, "}");
    gn_alarms(core);
    gn_member_key(t, "actions");
    gn_text_str(t, "{");
    page(core, x, &core->actions, action_name, put_action, "}}");
}

static void put_agent(gn_core *core, uint32_t i)
{
    const struct gn_peer *p = gn_peer_at(core, i);
    struct gn_text *t = &core->text;
    gn_member_key(t, NULL);
    gn_text_str(t, "{");
    gn_member_string(t, "name", p->name, p->name_len);
    gn_member_key(t, "actions");
    gn_text_str(t, "[");
    for (uint32_t k = 0; k < p->serve_count; k++) {
        const struct gn_action *a = gn_action_at(core, gn_serve_at(core, p->serves[k])->action);
        gn_member_key(t, NULL);
        gn_text_json(t, a->name, a->name_len);
    }
    gn_text_str(t, "]");
    gn_member_number(t, "slots", p->slots);
    gn_member_number(t, "used", p->used);
    gn_member_number(t, "age_ms", ms(core->now - p->beat_us));
    gn_member_flag(t, "draining", p->draining);
    gn_member_flag(t, "suspect", p->suspect);
    gn_member_number(t, "done", p->done);
    gn_member_number(t, "failed", p->failed);
    gn_member_key(t, "info");
    gn_text_put(t, p->info, p->info_len);
    gn_text_str(t, "}");
}

void gn_verb_agents(gn_core *core, const struct gn_ctx *x)
{
    core->text.len = 0;
    gn_text_str(&core->text, "[");
    page(core, x, &core->peers, agent_name, put_agent, "]");
}

static const char *limit_name(const gn_core *core, uint32_t i)
{
    const struct gn_meter *m = gn_meter_at(core, i);
    return m->name_len > 0 && (m->rate > 0 || m->bound > 0) ? m->name : NULL;
}

void gn_verb_limits(gn_core *core, const struct gn_ctx *x)
{
    core->text.len = 0;
    gn_text_str(&core->text, "[");
    page(core, x, &core->meters, limit_name, gn_limit_row, "]");
}

static const char *schedule_name(const gn_core *core, uint32_t i)
{
    const struct gn_schedule *s = gn_schedule_at(core, i);
    return s->live ? s->name : NULL;
}

void gn_verb_schedules(gn_core *core, const struct gn_ctx *x)
{
    core->text.len = 0;
    gn_text_str(&core->text, "[");
    page(core, x, &core->schedules, schedule_name, gn_schedule_row, "]");
}

/* ---- tasks ------------------------------------------------------------------------------------------ */

static void task_members(gn_core *core, const struct gn_task *t)
{
    struct gn_text *text = &core->text;
    const struct gn_action *a = gn_action_at(core, t->action);
    const struct gn_peer *p = t->agent == GN_NIL ? NULL : gn_peer_at(core, t->agent);
    gn_member_string(text, "task", gn_task_name(t), t->name_len);
    gn_member_string(text, "state", gn_state_word(t->state), strlen(gn_state_word(t->state)));
    gn_member_string(text, "action", a->name, a->name_len);
    gn_member_number(text, "prio", t->prio);
    gn_member_number(text, "try", t->tries_used);
    gn_member_number(text, "tries", t->tries_max);
    gn_member_string(text, "agent", p == NULL ? NULL : p->name, p == NULL ? 0 : p->name_len);
    const char *reason = t->state == GN_STATE_BURIED ? gn_reason_word(t->reason) : NULL;
    gn_member_string(text, "reason", reason, reason == NULL ? 0 : strlen(reason));
    if (t->words != NULL)
        gn_member_string(text, "words", t->words, t->words_len < GN_PEEK_BYTES ? t->words_len : GN_PEEK_BYTES);
    gn_member_number(text, "accepted_ms", ms(t->accepted_us));
    gn_member_number(text, "size", t->payload_len);
}

void gn_verb_peek(gn_core *core, const struct gn_ctx *x)
{
    uint32_t i = gn_task_find(core, gn_chars(x->buf, x->m->task), x->m->task.len);
    if (i == GN_NIL) {
        gn_reject(core, x, GN_UNKNOWN_TASK);
        return;
    }
    const struct gn_task *t = gn_task_at(core, i);
    struct gn_text *text = &core->text;
    int64_t due = t->due_us < t->ttl_us ? t->due_us : t->ttl_us;
    text->len = 0;
    gn_text_str(text, "{");
    task_members(core, t);
    gn_member_number(text, "entered_ms", ms(t->entered_us));
    if (t->state == GN_STATE_LEASED || t->state == GN_STATE_CANCELLING)
        gn_member_number(text, "leased_ms", ms(t->leased_us));
    if (gn_task_ended(t))
        gn_member_number(text, "ended_ms", ms(t->ended_us));
    if (due != GN_NEVER)
        gn_member_number(text, "due_ms", ms(due));
    if (t->stand == GN_STAND_LINE)
        gn_member_string(text, "held_by", "key", 3);
    if (t->stand == GN_STAND_PARKED) {
        const struct gn_meter *m = gn_meter_at(core, gn_berth_at(core, t->berth)->meter);
        gn_member_string(text, "held_by", m->name, m->name_len);
    }
    gn_member_number(text, "waits_for", t->waits);
    gn_member_number(text, "watchers", t->watchers.count);
    gn_late_member(core, t);
    size_t shown = t->payload_len < GN_PEEK_BYTES ? t->payload_len : GN_PEEK_BYTES;
    gn_member_string(text, "payload", (const char *)gn_task_payload(t), shown);
    gn_text_str(text, "}");
    say_text(core, x, "", 0);
}

struct filter {
    int state;      /* -1: any */
    int unknown;    /* an action nobody has used: no row */
    uint32_t action; /* GN_NIL: any */
    uint64_t after; /* serial << 24 | index of the last row of the page before */
};

static int read_state(const struct gn_json_value *v)
{
    char word[16];
    if (gn_json_string(v, word, sizeof word) < 0)
        return -1;
    for (int s = GN_STATE_WAITING; s < GN_STATE_COUNT; s++)
        if (strcmp(gn_state_word(s), word) == 0)
            return s;
    return -1;
}

static int read_filter(const gn_core *core, const struct gn_ctx *x, struct filter *f)
{
    struct gn_json j;
    struct gn_json_value v;
    char name[64];
    int more;
    *f = (struct filter){-1, 0, GN_NIL, 0};
    if (x->m->payload.len == 0)
        return 1;
    if (!gn_json_open(&j, x->buf + x->m->payload.off, x->m->payload.len))
        return 0;
    while ((more = gn_json_next(&j, name, sizeof name, &v)) > 0) {
        int ok = 0;
        if (strcmp(name, "state") == 0) {
            ok = (f->state = read_state(&v)) >= 0;
        } else if (strcmp(name, "action") == 0) {
            ptrdiff_t n = gn_json_string(&v, name, sizeof name);
            ok = n >= 0 && gn_is_action(name, (size_t)n);
            f->action = ok ? gn_action_find(core, name, (size_t)n) : GN_NIL;
            f->unknown = f->action == GN_NIL;
        } else if (strcmp(name, "after") == 0) {
            ptrdiff_t n = gn_json_string(&v, name, sizeof name);
            ok = n >= 0 ? gn_read_u64(name, (size_t)n, &f->after)
                        : v.kind == GN_JSON_NUMBER && gn_read_u64((const char *)v.text, v.len, &f->after);
        }
        if (!ok)
            return 0;
    }
    return more == 0;
}

/* The first task behind the cursor: found at once by the index in it, by a walk when that task is forgotten. */
static uint32_t behind(const gn_core *core, uint64_t after)
{
    uint64_t serial = after >> 24;
    uint32_t i = (uint32_t)(after & 0xffffff);
    if (after == 0)
        return core->all.head;
    if (i < core->tasks.high && gn_task_at(core, i)->state != GN_STATE_NONE && gn_task_at(core, i)->serial == serial)
        return gn_task_at(core, i)->all.next;
    for (i = core->all.head; i != GN_NIL && gn_task_at(core, i)->serial <= serial;)
        i = gn_task_at(core, i)->all.next;
    return i;
}

void gn_verb_tasks(gn_core *core, const struct gn_ctx *x)
{
    struct filter f;
    if (!read_filter(core, x, &f)) {
        gn_reject(core, x, GN_BAD_PAYLOAD);
        return;
    }
    struct gn_text *text = &core->text;
    uint32_t rows_put = 0, visits = 0, i = f.unknown ? GN_NIL : behind(core, f.after);
    uint64_t last = 0;
    text->len = 0;
    gn_text_str(text, "[");
    while (i != GN_NIL && rows_put < GN_PAGE_ROWS && visits++ < GN_PAGE_VISITS && text->len < PAGE_BYTES(core)) {
        const struct gn_task *t = gn_task_at(core, i);
        last = t->serial << 24 | i;
        if ((f.state < 0 || t->state == f.state) && (f.action == GN_NIL || t->action == f.action)) {
            gn_member_key(text, NULL);
            gn_text_str(text, "{");
            task_members(core, t);
            gn_text_str(text, "}");
            rows_put++;
        }
        i = t->all.next;
    }
    gn_text_str(text, "]");
    char next[20];
    say_text(core, x, next, i != GN_NIL ? gn_u64(next, last) : 0);
}
