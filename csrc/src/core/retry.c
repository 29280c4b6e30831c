/* retry.c - how long before a failed task is tried again: its own schedule, or the backoff. */
#include "core/internal.h"

/* The next of a schedule's pauses: 1, 0 at the end, -1 what is no number of ms. */
static int pause_next(const uint8_t **at, const uint8_t *end, uint64_t *ms)
{
    char digits[20];
    size_t n;
    int more = gn_comma_next(at, end, digits, sizeof digits, &n);
    return more > 0 && !(gn_read_u64(digits, n, ms) && *ms <= GN_MS_MAX) ? -1 : more;
}

int gn_retry_is_sane(const uint8_t *raw, size_t len)
{
    const uint8_t *at = raw, *end = raw + len;
    uint64_t ms;
    int more;
    while ((more = pause_next(&at, end, &ms)) > 0)
        ;
    return more == 0 && len > 0;
}

/* retry= is with what is passed on: it is looked for only when a try has failed. */
static int scheduled(const struct gn_task *t, uint64_t *ms)
{
    size_t len;
    const uint8_t *at = (const uint8_t *)gn_task_passed(t, GN_PARAM_RETRY, &len), *end = at + len;
    int found = 0;
    for (uint32_t i = 0; i < t->tries_used && pause_next(&at, end, ms) > 0; i++)
        found = 1; /* behind the last one it stays the last one */
    return found;
}

static uint64_t jitter(gn_core *core, uint64_t n)
{
    uint64_t z = (core->random += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % n;
}

uint64_t gn_retry_ms(gn_core *core, const struct gn_task *t)
{
    uint64_t ms = core->config.backoff_ms;
    if (scheduled(t, &ms))
        return ms;
    for (uint32_t i = 1; i < t->tries_used && ms < core->config.backoff_ms_max; i++)
        ms *= 2;
    if (ms > core->config.backoff_ms_max)
        ms = core->config.backoff_ms_max;
    return ms + jitter(core, ms / 2 + 1);
}
