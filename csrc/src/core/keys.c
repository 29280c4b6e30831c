/* keys.c - the tags of a task: its labels, and key=: tasks of one key run one at a time, in the order in which they became
 * ready the first time.
 *
 * Each key has a line of the tasks that have become ready and not ended; the first of them has the turn, whatever state
 * its retries and legs take it to. Those behind it are ready, but stand in the line and not in the queue of their action.
 */
#include "core/internal.h"

#define LINE_NODE offsetof(struct gn_tags, line)

static const char *name_of(const gn_core *core, uint32_t i, size_t *len)
{
    const struct gn_key *k = gn_key_at(core, i);
    *len = k->name_len;
    return k->name;
}

static ptrdiff_t decode(const struct gn_ctx *x, uint8_t *name)
{
    uint8_t text[GN_HEADER_BYTES_MAX];
    ptrdiff_t n = x->p.key.len > sizeof text ? -1 : gn_unescape(x->buf + x->p.key.off, x->p.key.len, text, sizeof text);
    if (n <= 0 || n > GN_TURN_BYTES_MAX)
        return -1;
    memcpy(name, text, (size_t)n);
    return n;
}

int gn_key_is_sane(const struct gn_ctx *x)
{
    uint8_t name[GN_TURN_BYTES_MAX];
    return decode(x, name) > 0;
}

static uint32_t key_get(gn_core *core, const char *name, size_t len)
{
    uint32_t hash = (uint32_t)gn_hash(core->config.seed, name, len);
    uint32_t i = gn_names_find(core, &core->key_names, name_of, hash, name, len);
    if (i != GN_NIL)
        return i;
    if (!gn_names_reserve(&core->key_names) || (i = gn_pool_take(&core->keys)) == GN_NIL)
        return GN_NIL;
    struct gn_key *k = gn_key_at(core, i);
    k->self = i;
    k->hash = hash;
    k->name_len = (uint8_t)len;
    memcpy(k->name, name, len);
    k->line = GN_LIST_EMPTY;
    gn_names_add(&core->key_names, hash, i);
    return i;
}

static void key_unref(gn_core *core, uint32_t key)
{
    struct gn_key *k = gn_key_at(core, key);
    if (--k->refs > 0)
        return;
    gn_names_drop(&core->key_names, k->hash, key);
    gn_pool_give(&core->keys, key);
}

/* The next label of x: 1; 0 after the last; -1 when that is none. */
static int next_label(const uint8_t **at, const uint8_t *end, char *name, size_t *len)
{
    int more = gn_comma_next(at, end, name, GN_TASK_BYTES_MAX, len);
    return more > 0 && !gn_is_name(name, *len) ? -1 : more;
}

int gn_label_is_sane(const struct gn_ctx *x)
{
    const uint8_t *at = x->buf + x->p.label.off, *end = at + x->p.label.len;
    char name[GN_TASK_BYTES_MAX];
    size_t len;
    int more, n = 0;
    while ((more = next_label(&at, end, name, &len)) > 0)
        n++;
    return more == 0 && n > 0 && n <= GN_LABELS_MAX;
}

static int set_key(gn_core *core, struct gn_tags *g, const struct gn_ctx *x)
{
    char name[GN_TURN_BYTES_MAX];
    ptrdiff_t n = decode(x, (uint8_t *)name);
    if (n < 0)
        return GN_BAD_PARAM;
    uint32_t key = key_get(core, name, (size_t)n);
    if (key == GN_NIL)
        return GN_BUSY;
    gn_key_at(core, key)->refs++;
    g->key = key;
    return 0;
}

/* Each once. In a replay a name too many goes unlimited. */
static int set_labels(gn_core *core, struct gn_tags *g, const struct gn_ctx *x)
{
    const uint8_t *at = x->buf + x->p.label.off, *end = at + x->p.label.len;
    char name[GN_TASK_BYTES_MAX];
    size_t len;
    int more;
    while ((more = next_label(&at, end, name, &len)) > 0 && g->labels < GN_LABELS_MAX) {
        uint32_t meter = gn_meter_ref(core, GN_METER_LABEL, name, len);
        int i = 0;
        if (meter == GN_NIL && core->replaying)
            continue;
        if (meter == GN_NIL)
            return GN_BUSY;
        while (i < g->labels && g->label[i] != meter)
            i++;
        if (i < g->labels)
            gn_meter_unref(core, meter);
        else
            g->label[g->labels++] = meter;
    }
    return more < 0 ? GN_BAD_PARAM : 0;
}

int gn_tags_set(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    uint32_t tags = gn_pool_take(&core->tags);
    if (tags == GN_NIL)
        return GN_BUSY;
    struct gn_tags *g = gn_tags_at(core, tags);
    *g = (struct gn_tags){.self = tags, .task = t->self, .key = GN_NIL};
    t->tags = tags;
    int code = x->p.present & GN_BIT(KEY) ? set_key(core, g, x) : 0;
    if (code == 0 && x->p.present & GN_BIT(LABEL))
        code = set_labels(core, g, x);
    if (code != 0)
        gn_tags_free(core, t);
    return code;
}

void gn_tags_free(gn_core *core, struct gn_task *t)
{
    if (t->tags == GN_NIL)
        return;
    struct gn_tags *g = gn_tags_at(core, t->tags);
    gn_key_leave(core, t);
    if (g->key != GN_NIL)
        key_unref(core, g->key);
    for (int i = 0; i < g->labels; i++)
        gn_meter_unref(core, g->label[i]);
    gn_pool_give(&core->tags, t->tags);
    t->tags = GN_NIL;
}

static int is_held(const struct gn_task *t)
{
    return t->state == GN_STATE_LEASED || t->state == GN_STATE_CANCELLING;
}

/* The task that has the key's turn, or NULL. */
static struct gn_task *first_of(const gn_core *core, const struct gn_key *k)
{
    return k->line.head == GN_NIL ? NULL : gn_task_at(core, gn_tags_at(core, k->line.head)->task);
}

/* Out of its action's queue and back into the line, or the other way round, as its place in the line says. */
static void settle_first(gn_core *core, struct gn_task *before, struct gn_task *after)
{
    if (before == after)
        return;
    if (before != NULL && before->state == GN_STATE_READY && before->stand != GN_STAND_LINE) {
        gn_queue_drop(core, before);
        before->stand = GN_STAND_LINE;
    }
    if (after != NULL && after->state == GN_STATE_READY && after->stand == GN_STAND_LINE)
        gn_queue_push(core, after);
}

/* Was a ready before b? A journal's lines know the millisecond; within one, the order of acceptance decides. */
static int is_before(const gn_core *core, const struct gn_tags *a, const struct gn_tags *b)
{
    if (a->since_us / GN_MS != b->since_us / GN_MS)
        return a->since_us < b->since_us;
    return gn_task_at(core, a->task)->serial < gn_task_at(core, b->task)->serial;
}

/* To the line's end; in a replay, where what time did is found out late, and definitions stand behind what came after
 * them, to the place it had. */
static void stand_in(gn_core *core, struct gn_tags *g, int64_t since)
{
    struct gn_key *k = gn_key_at(core, g->key);
    uint32_t behind = k->line.tail;
    g->since_us = since;
    g->in_line = 1;
    while ((core->replaying || core->resuming) && behind != GN_NIL && is_before(core, g, gn_tags_at(core, behind)) &&
           !is_held(gn_task_at(core, gn_tags_at(core, behind)->task)))
        behind = gn_tags_at(core, behind)->line.prev;
    gn_list_put(&core->tags, LINE_NODE, &k->line, g->self, behind);
}

void gn_key_claim(gn_core *core, struct gn_task *t, int64_t since)
{
    struct gn_tags *g = gn_tags_at(core, t->tags);
    if (g->key == GN_NIL || g->in_line)
        return;
    struct gn_task *before = first_of(core, gn_key_at(core, g->key));
    stand_in(core, g, since);
    settle_first(core, before, first_of(core, gn_key_at(core, g->key)));
}

void gn_key_leave(gn_core *core, struct gn_task *t)
{
    struct gn_tags *g = gn_tags_at(core, t->tags);
    if (g->key == GN_NIL || !g->in_line)
        return;
    struct gn_key *k = gn_key_at(core, g->key);
    struct gn_task *before = first_of(core, k);
    gn_list_drop(&core->tags, LINE_NODE, &k->line, g->self);
    g->in_line = 0;
    if (before == t)
        settle_first(core, NULL, first_of(core, k));
}

int gn_key_has_turn(const gn_core *core, const struct gn_task *t)
{
    if (t->tags == GN_NIL || gn_tags_at(core, t->tags)->key == GN_NIL)
        return 1;
    const struct gn_task *first = first_of(core, gn_key_at(core, gn_tags_at(core, t->tags)->key));
    return first == NULL || first == t || GN_PLANTED(KEY);
}

int gn_key_take(gn_core *core, struct gn_task *t)
{
    if (gn_key_has_turn(core, t))
        return 1;
    struct gn_tags *g = gn_tags_at(core, t->tags);
    struct gn_key *k = gn_key_at(core, g->key);
    struct gn_task *before = first_of(core, k);
    if (is_held(before) && core->replaying) { /* what ended its lease was in a batch that is lost */
        gn_lease_lost(core, before, GN_REASON_AGENT_GONE);
        return gn_key_take(core, t);
    }
    if (is_held(before))
        return 0;
    if (g->in_line)
        gn_list_drop(&core->tags, LINE_NODE, &k->line, g->self);
    else
        g->since_us = core->now;
    g->in_line = 1;
    gn_list_put(&core->tags, LINE_NODE, &k->line, g->self, GN_NIL);
    settle_first(core, before, t);
    return 1;
}

/* Time wrote nothing down: whose delay was over by now got in line then. */
void gn_keys_resume(gn_core *core)
{
    for (uint32_t i = core->all.head; i != GN_NIL; i = gn_task_at(core, i)->all.next) {
        struct gn_task *t = gn_task_at(core, i);
        int delayed = t->state == GN_STATE_DELAYED || (t->state == GN_STATE_WAITING && t->waits == 0);
        if (t->tags != GN_NIL && delayed && t->due_us <= core->now)
            gn_key_claim(core, t, t->due_us);
    }
}
