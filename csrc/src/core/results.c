/* results.c - outcomes: made when a task ends, written to those who wait, kept, and which go first. */
#include <stdlib.h>

#include "core/internal.h"

/* Of an outcome's parameters, what is for the coordinator alone. */
#define OUTCOME_DROP (GN_TAKEN_OUT | GN_BIT(VIA) | GN_BIT(AFTER) | GN_BIT(PRIO) | GN_BIT(TTL) | GN_BIT(TRIES) | \
                      GN_BIT(TRACE) | GN_BIT(NEED) | GN_BIT(KEY) | GN_BIT(LABEL) | GN_BIT(RETRY) | GN_BIT(NEEDS))
#define CONTENT (GN_BIT(CT) | GN_BIT(SHAPE) | GN_BIT(BLOB))
#define LEN_ROOM 12 /* ";len=65536" and the colon behind it */

/* What came with the submission and goes back with the outcome: tp and all the protocol gives no
 * meaning, unless the agent said it anew. What does not fit is left out. */
static size_t echo(const struct gn_task *t, char *dst, size_t len, size_t cap)
{
    const char *at = (const char *)t->mem + t->name_len, *end = at + t->pass_len;
    size_t own = len;
    struct gn_pair pair;
    while (gn_pair_next(&at, end, &pair)) {
        size_t n = (size_t)(pair.value + pair.value_len - pair.key);
        if ((pair.id >= 0 && pair.id != GN_PARAM_TP) || len + n + 1 > cap || gn_pairs_have(dst, own, pair.key, pair.key_len))
            continue;
        if (len > 0)
            dst[len++] = ';';
        memcpy(dst + len, pair.key, n);
        len += n;
    }
    if (t->hops_len > 0) {
        ptrdiff_t more = gn_pairs_put(dst, len, cap, "hops", t->hops, t->hops_len);
        len = more > 0 ? (size_t)more : len;
    }
    return len;
}

/* VERB:<task>[;params][;len=n][:payload] LF into dst; the length. */
static size_t line(uint8_t *dst, const char *verb, const struct gn_task *t, const char *params, size_t params_len,
                   int counted, const void *payload, size_t payload_len)
{
    size_t n = strlen(verb);
    memcpy(dst, verb, n);
    dst[n++] = ':';
    memcpy(dst + n, gn_task_name(t), t->name_len);
    n += t->name_len;
    if (params_len > 0) {
        dst[n++] = ';';
        memcpy(dst + n, params, params_len);
        n += params_len;
    }
    if (counted) {
        memcpy(dst + n, ";len=", 5);
        n += 5 + gn_u64((char *)dst + n + 5, payload_len);
    }
    if (payload != NULL) {
        dst[n++] = ':';
        memcpy(dst + n, payload, payload_len);
        n += payload_len;
    }
    dst[n++] = '\n';
    return n;
}

static size_t params_cap(const char *verb, const struct gn_task *t)
{
    return GN_HEADER_BYTES_MAX - strlen(verb) - t->name_len - 2 - LEN_ROOM;
}

/* The result may take the table over its bound of bytes (submissions wait then), but never over twice that. */
static int room_for_result(gn_core *core, size_t bytes)
{
    if (core->replaying)
        return 0;
    gn_partials_yield(core, bytes);
    while (core->bytes + bytes > core->config.bytes_max * 2 && (core->late_list.head != GN_NIL || core->spent.head != GN_NIL)) {
        if (gn_late_give_way(core))
            continue;
        core->n.evicted++;
        gn_task_forget(core, gn_task_at(core, core->spent.head));
    }
    return core->bytes + bytes <= core->config.bytes_max * 2 ? 0 : GN_BUSY;
}

/* The blob that an outcome names in place of the task's. */
static int swap_blob(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    uint32_t blob = GN_NIL;
    if (x->p.present & GN_BIT(BLOB)) {
        blob = gn_blob_ref(core, gn_chars(x->buf, x->p.blob), x->p.blob.len);
        if (blob == GN_NIL)
            return GN_NO_MEMORY;
    }
    gn_blob_unref(core, t->blob);
    t->blob = blob;
    return 0;
}

int gn_result_keep(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    static const char VERB[] = "RESPONSE:TASK_COMPLETED";
    const gn_msg *m = x->m;
    char params[GN_HEADER_BYTES_MAX];
    if (t->flags & GN_TASK_TRACE)
        gn_task_hop(core, t);
    size_t cap = params_cap(VERB, t);
    ptrdiff_t n = gn_pairs_copy(params, 0, cap, gn_chars(x->buf, m->params), m->params.len, OUTCOME_DROP);
    if (n < 0)
        return GN_HEADER_TOO_BIG;
    if (t->pass_len > 0 || t->hops_len > 0)
        n = (ptrdiff_t)echo(t, params, (size_t)n, cap);
    size_t bytes = sizeof VERB + 1 + t->name_len + (size_t)n + LEN_ROOM + m->payload.len + 2;
    int code = room_for_result(core, bytes);
    uint8_t *mem = code == 0 ? malloc(bytes) : NULL;
    if (mem == NULL)
        return code != 0 ? code : GN_NO_MEMORY;
    if ((t->blob != GN_NIL || x->p.present & GN_BIT(BLOB)) && (code = swap_blob(core, t, x)) != 0) {
        free(mem);
        return code;
    }
    bytes = line(mem, VERB, t, params, (size_t)n, m->flags & GN_MSG_LEN,
                 m->flags & GN_MSG_PAYLOAD ? x->buf + m->payload.off : (const uint8_t *)"", m->payload.len);
    t->payload_len = m->payload.len;
    t->pass_len = 0;
    gn_task_set_mem(core, t, mem, bytes);
    t->name_off = sizeof VERB; /* the verb and its colon */
    return 0;
}

/* What t was sent with, but for its content and what the outcome says anew; then via and after for the next leg; then
 * the agent's remarks. The length, or -1: too long. */
static ptrdiff_t next_pass(const struct gn_task *t, const struct gn_ctx *x, const char *via, size_t via_len, char *pass)
{
    const char *remarks = gn_chars(x->buf, x->m->params);
    const char *at = (const char *)t->mem + t->name_len, *end = at + t->pass_len;
    uint64_t drop = CONTENT | GN_BIT(VIA) | GN_BIT(AFTER) | GN_BIT(NEEDS);
    const size_t cap = GN_PASS_BYTES_MAX;
    struct gn_pair pair;
    ptrdiff_t n = 0;
    while (n >= 0 && gn_pair_next(&at, end, &pair))
        if (pair.id >= 0 ? !(drop >> pair.id & 1) : !gn_pairs_have(remarks, x->m->params.len, pair.key, pair.key_len))
            n = gn_pairs_copy(pass, (size_t)n, cap, pair.key, (size_t)(pair.value + pair.value_len - pair.key), 0);
    if (n >= 0 && via_len > 0)
        n = gn_pairs_put(pass, (size_t)n, cap, "via", via, via_len);
    if (n >= 0 && x->p.present & GN_BIT(AFTER))
        n = gn_pairs_put(pass, (size_t)n, cap, "after", gn_chars(x->buf, x->p.after), x->p.after.len);
    if (n >= 0 && x->p.present & GN_BIT(NEEDS))
        n = gn_pairs_put(pass, (size_t)n, cap, "needs", gn_chars(x->buf, x->p.needs), x->p.needs.len);
    if (n >= 0)
        n = gn_pairs_copy(pass, (size_t)n, cap, remarks, x->m->params.len, (OUTCOME_DROP & ~CONTENT) | GN_BIT(SEQ) | GN_BIT(TP));
    return n;
}

/* x's payload and blob are t's, passed on with pass. */
static int set_payload(gn_core *core, struct gn_task *t, const struct gn_ctx *x, const char *pass, size_t n)
{
    const gn_msg *m = x->m;
    size_t bytes = t->name_len + n + m->payload.len;
    int code = room_for_result(core, bytes);
    uint8_t *mem = code == 0 ? malloc(bytes) : NULL;
    if (mem == NULL)
        return code != 0 ? code : GN_NO_MEMORY;
    if ((code = swap_blob(core, t, x)) != 0) {
        free(mem);
        return code;
    }
    memcpy(mem, gn_task_name(t), t->name_len);
    memcpy(mem + t->name_len, pass, (size_t)n);
    if (m->payload.len > 0)
        memcpy(mem + t->name_len + n, x->buf + m->payload.off, m->payload.len);
    gn_task_set_mem(core, t, mem, bytes);
    t->pass_len = (uint16_t)n;
    t->payload_len = m->payload.len;
    t->flags = (uint16_t)((t->flags & ~GN_TASK_LEN) | (m->flags & GN_MSG_LEN ? GN_TASK_LEN : 0));
    return 0;
}

int gn_result_advance(gn_core *core, struct gn_task *t, const struct gn_ctx *x, const char *via, size_t via_len)
{
    char pass[GN_HEADER_BYTES_MAX];
    ptrdiff_t n = next_pass(t, x, via, via_len, pass);
    return n < 0 ? GN_HEADER_TOO_BIG : set_payload(core, t, x, pass, (size_t)n);
}

/* x's payload, ct, shape and blob in place of t's; all else of it stays. 0 or a code: nothing changed. */
int gn_payload_replace(gn_core *core, struct gn_task *t, const struct gn_ctx *x)
{
    const gn_msg *m = x->m;
    char pass[GN_HEADER_BYTES_MAX];
    ptrdiff_t n = gn_pairs_copy(pass, 0, GN_PASS_BYTES_MAX, (const char *)t->mem + t->name_len, t->pass_len, CONTENT);
    const char *at = gn_chars(x->buf, m->params), *end = at + m->params.len;
    struct gn_pair pair;
    while (n >= 0 && gn_pair_next(&at, end, &pair))
        if (pair.id >= 0 && CONTENT >> pair.id & 1)
            n = gn_pairs_copy(pass, (size_t)n, GN_PASS_BYTES_MAX, pair.key, (size_t)(pair.value + pair.value_len - pair.key), 0);
    return n < 0 ? GN_HEADER_TOO_BIG : set_payload(core, t, x, pass, (size_t)n);
}

static size_t buried_params(const struct gn_task *t, char *params, size_t cap)
{
    char digits[20];
    size_t n = 0;
    n = (size_t)gn_pairs_put(params, n, cap, "reason", gn_reason_word(t->reason), strlen(gn_reason_word(t->reason)));
    n = (size_t)gn_pairs_put(params, n, cap, "try", digits, gn_u64(digits, t->tries_used));
    return echo(t, params, n, cap);
}

/* The outcome of t to c: 1, or 0 when c takes nothing. */
int gn_result_write(gn_core *core, const struct gn_task *t, struct gn_conn *c)
{
    size_t words_len = t->words != NULL ? t->words_len : strlen(gn_reason_text(t->reason));
    const char *words = t->words != NULL ? t->words : gn_reason_text(t->reason);
    size_t bytes = t->state == GN_STATE_DONE ? t->mem_bytes : GN_HEADER_BYTES_MAX + words_len + 2;
    uint8_t *dst = gn_out_reserve(core, c, bytes);
    if (dst == NULL)
        return 0;
    gn_out_hold(core, c, t->batch);
    char params[GN_HEADER_BYTES_MAX];
    if (t->state == GN_STATE_DONE) {
        memcpy(dst, t->mem, bytes);
    } else if (t->state == GN_STATE_BURIED) {
        static const char VERB[] = "RESPONSE:TASK_BURIED";
        size_t n = buried_params(t, params, params_cap(VERB, t));
        bytes = line(dst, VERB, t, params, n, t->flags & GN_TASK_WORDS_LEN, words, words_len);
    } else {
        static const char VERB[] = "RESPONSE:TASK_CANCELLED";
        size_t n = echo(t, params, 0, params_cap(VERB, t));
        bytes = line(dst, VERB, t, params, n, 0, NULL, 0);
    }
    gn_out_commit(core, c, bytes);
    return 1;
}

/* Done or cancelled, nobody waits for it and nothing runs after it: it may make room for another. */
void gn_result_spent(gn_core *core, struct gn_task *t)
{
    int spent = (t->state == GN_STATE_DONE || t->state == GN_STATE_CANCELLED) && !(t->flags & GN_TASK_SETTLE) &&
                t->watchers.head == GN_NIL && t->needed_by.head == GN_NIL;
    if (spent == !!(t->flags & GN_TASK_SPENT))
        return;
    t->flags ^= GN_TASK_SPENT;
    if (spent)
        gn_list_push(&core->tasks, GN_TASK_SPENT_NODE, &core->spent, t->self);
    else
        gn_list_drop(&core->tasks, GN_TASK_SPENT_NODE, &core->spent, t->self);
}

int gn_make_room(gn_core *core, size_t bytes)
{
    if (core->replaying)
        return 0; /* it was accepted, and what made room for it stands in the journal as forgotten */
    if (core->results >= core->config.results_max && core->spent.head == GN_NIL)
        return GN_BUSY;
    gn_partials_yield(core, bytes);
    while (core->tasks.live >= core->config.tasks_max || core->bytes + bytes > core->config.bytes_max) {
        if (core->tasks.live < core->config.tasks_max && gn_late_give_way(core))
            continue;
        if (core->spent.head == GN_NIL)
            return GN_BUSY;
        core->n.evicted++;
        gn_task_forget(core, gn_task_at(core, core->spent.head));
    }
    return 0;
}

void gn_results_trim(gn_core *core)
{
    while (!core->replaying && core->results > core->config.results_max && core->spent.head != GN_NIL) {
        core->n.evicted++;
        gn_task_forget(core, gn_task_at(core, core->spent.head));
    }
}

void gn_task_forget(gn_core *core, struct gn_task *t)
{
    gn_journal_forget(core, t);
    gn_shift(core, t, GN_EVENT_FORGET);
    gn_task_free(core, t);
}
