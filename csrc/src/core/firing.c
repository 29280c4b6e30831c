/* firing.c - schedules that are due: the task each makes, what became of those that were not made in time, and when next.
 *
 * The task is submitted as a message is, by gn_verb_submit, so whatever a submission may say a schedule may say too.
 * from_ms is the last time that has been dealt with; next_ms the first after it. A firing for which there is no room
 * stays next_ms and is tried again; once a later time is due too it counts as missed.
 */
#include "core/internal.h"

#define LAST_MS (GN_CRON_LAST_S * 1000 + 999)
#define RETRY_MS 1000

int64_t gn_schedule_after(const struct gn_schedule *s, int64_t ms)
{
    if (s->every_ms > 0) {
        int64_t k = ms < s->base_ms ? 1 : (ms - s->base_ms) / s->every_ms + 1;
        int64_t due = s->base_ms + k * s->every_ms;
        return due > LAST_MS ? GN_NEVER : due;
    }
    int64_t due = gn_cron_next(&s->cron, ms / 1000, s->offset);
    return due < 0 ? GN_NEVER : due * 1000;
}

/* The last one due by ms, not before next_ms, which is. */
static int64_t latest(const struct gn_schedule *s, int64_t ms)
{
    if (s->every_ms > 0)
        return s->base_ms + (ms - s->base_ms) / s->every_ms * s->every_ms;
    int64_t due = gn_cron_previous(&s->cron, ms / 1000 + 1, s->offset) * 1000;
    return due < s->next_ms ? s->next_ms : due;
}

/* How many are due from next_ms to the one at `last`. */
static uint64_t due_count(const struct gn_schedule *s, int64_t last)
{
    if (s->every_ms > 0)
        return (uint64_t)((last - s->next_ms) / s->every_ms + 1);
    return gn_cron_count(&s->cron, s->next_ms / 1000, last / 1000, s->offset);
}

/* The n-th but one before `last` (n from 1: itself). */
static int64_t back(const struct gn_schedule *s, int64_t last, uint64_t n)
{
    if (s->every_ms > 0)
        return last - (int64_t)(n - 1) * s->every_ms;
    for (; n > 1; n--)
        last = gn_cron_previous(&s->cron, last / 1000, s->offset) * 1000;
    return last;
}

/* Leave out the first `n` of those due. */
static void miss(gn_core *core, struct gn_schedule *s, uint64_t n)
{
    s->missed_count += n;
    core->n.schedules_missed += n;
}

/* Which of those due by now_ms comes first: next_ms moves up to it. 1 when it moved. */
static int catch_up(gn_core *core, struct gn_schedule *s, int64_t now_ms)
{
    if (s->behind > 0)
        return 0; /* it is in the middle of them */
    int64_t last = latest(s, now_ms);
    uint64_t n = last > s->next_ms ? due_count(s, last) : 1;
    uint64_t keep = s->missed == GN_MISSED_ALL ? GN_SCHEDULE_BEHIND_MAX : 1;
    s->behind = (uint32_t)(n < keep ? n : keep);
    if (n <= keep)
        return 0;
    s->from_ms = back(s, last, keep + 1);
    s->next_ms = gn_schedule_after(s, s->from_ms);
    miss(core, s, n - keep);
    return 1;
}

static size_t task_name(const struct gn_schedule *s, int64_t due_ms, int in_ms, char *dst)
{
    memcpy(dst, s->name, s->name_len);
    dst[s->name_len] = '.';
    return s->name_len + 1u + gn_u64(dst + s->name_len + 1, (uint64_t)(in_ms ? due_ms : due_ms / 1000));
}

static int in_ms(const struct gn_schedule *s)
{
    return s->every_ms > 0 && s->every_ms < 1000;
}

/* Has the task that this schedule made last not ended? Its times may have been others then: both names are looked for. */
static int overlaps(const gn_core *core, const struct gn_schedule *s)
{
    char name[GN_TASK_BYTES_MAX];
    for (int ms = 0; s->last_ms > 0 && ms < 2; ms++) {
        uint32_t i = gn_task_find(core, name, task_name(s, s->last_ms, ms, name));
        if (i != GN_NIL && !gn_task_ended(gn_task_at(core, i)))
            return 1;
    }
    return 0;
}

/* DATA:<ACTION>:<name>.<due>;params:payload, as if it had come in. */
static void submit(gn_core *core, const struct gn_schedule *s, const char *name, size_t name_len)
{
    struct gn_text *line = &core->firing;
    char pairs[GN_HEADER_BYTES_MAX];
    ptrdiff_t n = gn_schedule_pairs(pairs, sizeof pairs, (const char *)s->mem, s->params_len, 0);
    line->len = 0;
    if (!gn_text_reserve(line, GN_HEADER_BYTES_MAX + (size_t)s->payload_len + 2)) {
        line->failed = 0;
        return;
    }
    gn_text_str(line, "DATA:");
    gn_text_put(line, s->action, s->action_len);
    gn_text_put(line, ":", 1);
    gn_text_put(line, name, name_len);
    if (n > 0) {
        gn_text_put(line, ";", 1);
        gn_text_put(line, pairs, (size_t)n);
    }
    if (s->counted) {
        gn_text_str(line, ";len=");
        gn_text_u64(line, s->payload_len);
    }
    gn_text_put(line, ":", 1);
    gn_text_put(line, (const char *)s->mem + s->params_len, s->payload_len);
    gn_text_put(line, "\n", 1);
    gn_msg m;
    gn_parser parser = {.inline_bytes_max = core->config.inline_bytes_max};
    size_t used;
    struct gn_ctx x = {.buf = (const uint8_t *)line->p, .m = &m, .conn = GN_NIL, .peer = GN_NIL, .link = GN_NIL};
    if (gn_parse(&parser, x.buf, line->len, 1, &m, 1, &used) == 1 && m.code == 0 && gn_params_read(x.buf, &m, &x.p) == 0)
        gn_verb_submit(core, &x);
}

/* The one at next_ms: 1 when it has been dealt with, 0 when there is no room for its task. */
static int fire(gn_core *core, struct gn_schedule *s)
{
    char name[GN_TASK_BYTES_MAX];
    if (s->overlap == GN_OVERLAP_SKIP && overlaps(core, s)) {
        miss(core, s, 1);
        return 1;
    }
    size_t len = task_name(s, s->next_ms, in_ms(s), name);
    if (gn_task_find(core, name, len) == GN_NIL) {
        submit(core, s, name, len);
        if (gn_task_find(core, name, len) == GN_NIL)
            return 0;
    }
    s->last_ms = s->next_ms;
    s->fired++;
    core->n.schedules_fired++;
    return 1;
}

void gn_schedule_arm(gn_core *core, struct gn_schedule *s)
{
    if (s->next_ms == GN_NEVER)
        gn_timer_schedule_off(core, s);
    else
        gn_timer_schedule(core, s, s->next_ms * GN_MS);
}

void gn_schedule_due(gn_core *core, struct gn_schedule *s)
{
    int64_t now_ms = core->now / GN_MS;
    if (core->draining) {
        gn_timer_schedule_off(core, s); /* what is due now is missed; a coordinator that starts after this one sees to it */
        return;
    }
    int moved = catch_up(core, s, now_ms);
    if (!fire(core, s)) {
        if (moved)
            gn_schedule_note(core, s);
        int64_t later = gn_schedule_after(s, now_ms);
        s->behind = 0;
        gn_timer_schedule(core, s, (later < now_ms + RETRY_MS ? later : now_ms + RETRY_MS) * GN_MS);
        return;
    }
    s->behind--;
    s->from_ms = s->next_ms;
    s->next_ms = gn_schedule_after(s, s->from_ms);
    gn_schedule_note(core, s);
    gn_schedule_arm(core, s);
}

void gn_schedules_resume(gn_core *core)
{
    int64_t now_ms = core->now / GN_MS;
    for (uint32_t i = 0; i < core->schedules.high; i++) {
        struct gn_schedule *s = gn_schedule_at(core, i);
        if (!s->live)
            continue;
        if (s->missed == GN_MISSED_NONE && s->next_ms <= now_ms) {
            s->from_ms = latest(s, now_ms);
            miss(core, s, due_count(s, s->from_ms));
            s->next_ms = gn_schedule_after(s, s->from_ms);
        }
        gn_schedule_arm(core, s);
    }
}
