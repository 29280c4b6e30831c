/* meters.c - what limits are set on: an action, a sender, a label. Who refers to it, how many tasks run under it, its bucket.
 *
 * A bucket counts in thousand-millionths of a token, a rate in thousandths of a token a second: a microsecond then adds exactly
 * `rate` of those, so nothing is ever rounded and the same times give the same decisions.
 */
#include "core/internal.h"

#define TOKEN UINT64_C(1000000000)
_Static_assert(GN_BURST_MAX <= UINT64_MAX / TOKEN / 2 && GN_RATE_MAX <= UINT64_MAX / TOKEN, "no level overflows");

static const char *const KINDS[] = {"action", "sender", "label"};

const char *gn_meter_kind(int kind) { return KINDS[kind]; }

const char *gn_meter_bare(const struct gn_meter *m, size_t *len)
{
    size_t kind = strlen(KINDS[m->kind]) + 1;
    *len = m->name_len - kind;
    return m->name + kind;
}

static const char *name_of(const gn_core *core, uint32_t i, size_t *len)
{
    const struct gn_meter *m = gn_meter_at(core, i);
    *len = m->name_len;
    return m->name;
}

/* "label/openai" */
static size_t whole_name(char *dst, int kind, const char *name, size_t len)
{
    size_t n = strlen(KINDS[kind]);
    memcpy(dst, KINDS[kind], n);
    dst[n++] = '/';
    memcpy(dst + n, name, len);
    return n + len;
}

uint32_t gn_meter_find(const gn_core *core, int kind, const char *name, size_t len)
{
    char whole[GN_METER_BYTES_MAX];
    if (len > GN_TASK_BYTES_MAX)
        return GN_NIL;
    len = whole_name(whole, kind, name, len);
    return gn_names_find(core, &core->meter_names, name_of, (uint32_t)gn_hash(core->config.seed, whole, len), whole, len);
}

uint32_t gn_meter_ref(gn_core *core, int kind, const char *name, size_t len)
{
    uint32_t i = gn_meter_find(core, kind, name, len);
    if (i == GN_NIL) {
        if (core->meters.live >= core->config.limits_max && !core->replaying)
            return GN_NIL;
        if (!gn_names_reserve(&core->meter_names) || !gn_timers_reserve(core) || (i = gn_pool_take(&core->meters)) == GN_NIL)
            return GN_NIL;
        struct gn_meter *m = gn_meter_at(core, i);
        m->self = i;
        m->kind = (uint8_t)kind;
        m->name_len = (uint8_t)whole_name(m->name, kind, name, len);
        m->hash = (uint32_t)gn_hash(core->config.seed, m->name, m->name_len);
        m->berths = GN_LIST_EMPTY;
        m->action = GN_NIL;
        gn_names_add(&core->meter_names, m->hash, i);
    }
    gn_meter_at(core, i)->refs++;
    return i;
}

void gn_meter_unref(gn_core *core, uint32_t meter)
{
    struct gn_meter *m = gn_meter_at(core, meter);
    if (--m->refs > 0)
        return;
    gn_timer_meter_off(core, m);
    gn_names_drop(&core->meter_names, m->hash, meter);
    gn_pool_give(&core->meters, meter);
}

static uint64_t level_at(const struct gn_meter *m, int64_t now)
{
    uint64_t full = m->burst * TOKEN, past = (uint64_t)(now - m->level_us);
    if (m->rate == 0 || past > (full - m->level) / m->rate)
        return full;
    return m->level + past * m->rate;
}

uint64_t gn_meter_level(const gn_core *core, const struct gn_meter *m)
{
    return level_at(m, core->now) / TOKEN;
}

static void fill(gn_core *core, struct gn_meter *m)
{
    m->level = level_at(m, core->now);
    m->level_us = core->now;
}

uint32_t gn_meter_running(const gn_core *core, const struct gn_meter *m)
{
    if (m->kind != GN_METER_ACTION)
        return m->running;
    const struct gn_action *a = gn_action_at(core, m->action);
    return a->count[GN_STATE_LEASED] + a->count[GN_STATE_CANCELLING];
}

int gn_meter_open(const gn_core *core, const struct gn_meter *m)
{
    return (m->rate == 0 || level_at(m, core->now) >= TOKEN) && (m->bound == 0 || gn_meter_running(core, m) < m->bound + GN_PLANTED(LIMIT));
}

void gn_meter_take(gn_core *core, struct gn_meter *m)
{
    if (m->rate == 0)
        return;
    fill(core, m);
    m->level -= m->level < TOKEN ? m->level : TOKEN; /* less than one: nobody asked whether it was open */
}

/* Wake it up when the next token is there, if that is what it lacks. */
void gn_meter_arm(gn_core *core, struct gn_meter *m)
{
    if (m->timer || m->rate == 0 || level_at(m, core->now) >= TOKEN)
        return;
    fill(core, m);
    uint64_t us = (TOKEN - m->level + m->rate - 1) / m->rate;
    gn_timer_meter(core, m, core->now + (int64_t)us);
}

void gn_meter_set(gn_core *core, struct gn_meter *m, uint64_t rate, uint64_t burst, uint32_t bound)
{
    int limited = m->rate > 0 || m->bound > 0, fresh = m->rate == 0;
    fill(core, m);
    m->rate = rate;
    m->burst = burst;
    m->bound = bound;
    if (fresh || m->level > burst * TOKEN)
        m->level = burst * TOKEN;
    core->limits += (rate > 0 || bound > 0) - limited;
    gn_timer_meter_off(core, m);
}

/* How much was taken before a restart nobody knows: none is left. */
void gn_limits_resume(gn_core *core)
{
    for (uint32_t i = 0; i < core->meters.high; i++) {
        struct gn_meter *m = gn_meter_at(core, i);
        if (m->name_len > 0 && m->rate > 0) {
            m->level = 0;
            m->level_us = core->now;
        }
    }
}
