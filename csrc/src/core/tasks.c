/* tasks.c - the table of tasks: one allocation for a task's name, parameters and payload. */
#include <stdlib.h>

#include "core/internal.h"

static const struct {
    const char *word, *text;
} REASONS[GN_REASON_COUNT] = {
    [GN_REASON_NONE] = {"", ""},
    [GN_REASON_TTL] = {"ttl", "its time to live is over"},
    [GN_REASON_AFTER] = {"after", "a task it waits for was buried or cancelled"},
    [GN_REASON_TRIES] = {"tries", "it failed as often as it may be tried"},
    [GN_REASON_AGENT] = {"agent", "its agent gave it up"},
    [GN_REASON_AGENT_GONE] = {"agent_gone", "its agent went away on the last try"},
    [GN_REASON_LEASE] = {"lease", "its lease ran out on the last try"},
};

const char *gn_reason_word(int reason) { return REASONS[reason].word; }
const char *gn_reason_text(int reason) { return REASONS[reason].text; }

int gn_is_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-' ||
              s[i] == '_' || s[i] == '.'))
            return 0;
    return n > 0 && n <= GN_TASK_BYTES_MAX;
}

static const char *name_of(const gn_core *core, uint32_t i, size_t *len)
{
    const struct gn_task *t = gn_task_at(core, i);
    *len = t->name_len;
    return gn_task_name(t);
}

uint32_t gn_task_find(const gn_core *core, const char *name, size_t len)
{
    return gn_names_find(core, &core->task_names, name_of, (uint32_t)gn_hash(core->config.seed, name, len), name, len);
}

struct gn_task *gn_task_named(const gn_core *core, const struct gn_ctx *x)
{
    uint32_t i = gn_task_find(core, gn_chars(x->buf, x->m->task), x->m->task.len);
    return i == GN_NIL ? NULL : gn_task_at(core, i);
}

const char *gn_task_passed(const struct gn_task *t, int param, size_t *len)
{
    const char *at = (const char *)t->mem + t->name_len, *end = at + t->pass_len, *found = "";
    struct gn_pair pair;
    *len = 0;
    while (t->pass_len > 0 && gn_pair_next(&at, end, &pair))
        if (pair.id == param) {
            found = pair.value;
            *len = pair.value_len;
        }
    return found;
}

/* Take the fresh task i over into the table's own books. */
static void enlist(gn_core *core, struct gn_task *t, const char *name, size_t name_len)
{
    t->hash = (uint32_t)gn_hash(core->config.seed, name, name_len);
    t->action = t->next_action = t->agent = t->blob = t->heap_at = GN_NIL;
    t->needs = t->settle_next = t->tags = t->sender = t->berth = t->late = t->stream = GN_NIL;
    t->needed_by = t->watchers = GN_LIST_EMPTY;
    t->due_us = t->ttl_us = GN_NEVER;
    t->accepted_us = t->entered_us = core->now;
    t->serial = ++core->serial;
    gn_names_add(&core->task_names, t->hash, t->self);
    gn_list_push(&core->tasks, GN_TASK_ALL, &core->all, t->self);
    core->bytes += t->mem_bytes;
}

struct gn_task *gn_task_new(gn_core *core, const char *name, size_t name_len, const char *pass, size_t pass_len,
                            const uint8_t *payload, size_t payload_len)
{
    if (!gn_names_reserve(&core->task_names) || !gn_timers_reserve(core))
        return NULL;
    size_t bytes = name_len + pass_len + payload_len;
    uint8_t *mem = malloc(bytes > 0 ? bytes : 1);
    uint32_t i = mem == NULL ? GN_NIL : gn_pool_take(&core->tasks);
    if (i == GN_NIL) {
        free(mem);
        return NULL;
    }
    struct gn_task *t = gn_task_at(core, i);
    t->self = i;
    memcpy(mem, name, name_len);
    if (pass_len > 0)
        memcpy(mem + name_len, pass, pass_len);
    if (payload_len > 0)
        memcpy(mem + name_len + pass_len, payload, payload_len);
    t->mem = mem;
    t->mem_bytes = (uint32_t)bytes;
    t->name_len = (uint8_t)name_len;
    t->pass_len = (uint16_t)pass_len;
    t->payload_len = (uint32_t)payload_len;
    enlist(core, t, name, name_len);
    return t;
}

void gn_task_free(gn_core *core, struct gn_task *t)
{
    gn_checkpoint_skip(core, t);
    gn_deps_drop(core, t);
    gn_tags_free(core, t);
    gn_sender_free(core, t);
    gn_late_drop(core, t);
    gn_partials_drop(core, t);
    while (t->watchers.head != GN_NIL)
        gn_watch_free(core, gn_watch_at(core, t->watchers.head));
    gn_blob_unref(core, t->blob);
    gn_names_drop(&core->task_names, t->hash, t->self);
    gn_list_drop(&core->tasks, GN_TASK_ALL, &core->all, t->self);
    core->bytes -= t->mem_bytes + t->words_len + t->hops_len;
    free(t->mem);
    free(t->words);
    free(t->hops);
    gn_pool_give(&core->tasks, t->self);
}

void gn_task_set_mem(gn_core *core, struct gn_task *t, uint8_t *mem, size_t bytes)
{
    core->bytes += bytes;
    core->bytes -= t->mem_bytes;
    free(t->mem);
    t->mem = mem;
    t->mem_bytes = (uint32_t)bytes;
}

/* Words are a courtesy: without memory for them the burial stands, with the reason alone. */
void gn_task_set_words(gn_core *core, struct gn_task *t, const uint8_t *words, size_t len, int counted)
{
    core->bytes -= t->words_len;
    free(t->words);
    t->words = NULL;
    t->words_len = 0;
    t->flags &= (uint16_t)~GN_TASK_WORDS_LEN;
    if (len > GN_WORDS_BYTES_MAX)
        len = GN_WORDS_BYTES_MAX;
    if (len == 0 || (t->words = malloc(len)) == NULL)
        return;
    memcpy(t->words, words, len);
    t->words_len = (uint32_t)len;
    core->bytes += len;
    if (counted)
        t->flags |= GN_TASK_WORDS_LEN;
}

const uint8_t *gn_task_payload(const struct gn_task *t)
{
    return t->mem + (t->mem_bytes - t->payload_len) - (t->state == GN_STATE_DONE ? 1 : 0);
}

static size_t put_us(char *dst, int64_t us)
{
    dst[0] = '.';
    return 1 + gn_u64(dst + 1, us < 0 ? 0 : (uint64_t)us);
}

/* hops= grows by ACTION.agent.wait_us.run_us when a try at an action has succeeded. */
void gn_task_hop(gn_core *core, struct gn_task *t)
{
    const struct gn_action *a = gn_action_at(core, t->action);
    const struct gn_peer *p = t->agent == GN_NIL ? NULL : gn_peer_at(core, t->agent);
    char hop[GN_ACTION_BYTES_MAX + GN_TASK_BYTES_MAX + 48];
    size_t n = 0;
    if (t->hops_len > 0)
        hop[n++] = ',';
    memcpy(hop + n, a->name, a->name_len);
    n += a->name_len;
    hop[n++] = '.';
    if (p != NULL) {
        memcpy(hop + n, p->name, p->name_len);
        n += p->name_len;
    }
    n += put_us(hop + n, t->leased_us - t->entered_us);
    n += put_us(hop + n, core->now - t->leased_us);
    if (t->hops_len + n > GN_HEADER_BYTES_MAX)
        return; /* it would not fit the header of the outcome */
    char *hops = realloc(t->hops, t->hops_len + n);
    if (hops == NULL)
        return;
    memcpy(hops + t->hops_len, hop, n);
    t->hops = hops;
    t->hops_len = (uint16_t)(t->hops_len + n);
    core->bytes += n;
}
