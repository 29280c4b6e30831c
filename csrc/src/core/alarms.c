/* alarms.c - what an operator should know at once: the list "alarms" of STATUS.
 *
 * Worked out when somebody looks, from the states of tasks, agents and links alone: not from the pump's marks and
 * shares, so that a fault of the pump shows here. Each alarm says what it is (alarm), how it stands (numbers) and
 * what it means (words). To add one: a function here, a row in SPEC.md under STATUS, a dialogue.
 */
#include <stdio.h>

#include "core/internal.h"

#define ROWS_MAX 8 /* of one kind; then how many more there are */
#define IDLE_US (1000 * GN_MS)
#define UNSERVED_US (10000 * GN_MS)
#define STUCK_US (5000 * GN_MS)
#define LAG_US 1000000

static uint64_t ms(int64_t us)
{
    return us < 0 ? 0 : (uint64_t)(us / GN_MS);
}

/* The alarms of one kind. */
struct kind {
    const char *name;
    uint32_t count;
};

/* Begin a row: 1, or 0 when there are enough of them. */
static int begin(gn_core *core, struct kind *kind, const char *words)
{
    struct gn_text *t = &core->text;
    if (++kind->count > ROWS_MAX)
        return 0;
    gn_member_key(t, NULL);
    gn_text_str(t, "{");
    gn_member_string(t, "alarm", kind->name, strlen(kind->name));
    gn_member_string(t, "words", words, strlen(words));
    return 1;
}

static void end(gn_core *core)
{
    gn_text_str(&core->text, "}");
}

static void finish(gn_core *core, const struct kind *kind)
{
    char words[64];
    if (kind->count <= ROWS_MAX)
        return;
    uint32_t more = kind->count - ROWS_MAX;
    struct kind rest = {kind->name, 0};
    snprintf(words, sizeof words, "and %u more like this", more);
    begin(core, &rest, words);
    gn_member_number(&core->text, "more", more);
    end(core);
}

/* ---- tasks and agents ------------------------------------------------------------------------------ */

/* How long the oldest task at the head of a's queues has been ready; 0: there is none. */
static int64_t waited_us(const gn_core *core, const struct gn_action *a)
{
    int64_t longest = 0;
    for (int p = 0; p < GN_PRIOS; p++) {
        if (a->queue[p].head == GN_NIL)
            continue;
        int64_t waited = core->now - gn_task_at(core, a->queue[p].head)->ready_us;
        longest = waited > longest ? waited : longest;
    }
    return longest;
}

static int could_take(const gn_core *core, const struct gn_peer *p)
{
    return p->live && p->serve_count > 0 && p->held.count < p->slots && !p->draining && !p->suspect && !p->claiming &&
           gn_out_room(core, gn_conn_at(core, p->conn));
}

static void idle_agents(gn_core *core)
{
    struct kind kind = {"idle_agent", 0};
    char words[320];
    for (uint32_t i = 0; core->now >= core->hold_until && i < core->peers.high; i++) {
        const struct gn_peer *p = gn_peer_at(core, i);
        for (uint32_t k = 0; could_take(core, p) && k < p->serve_count; k++) {
            const struct gn_action *a = gn_action_at(core, gn_serve_at(core, p->serves[k])->action);
            int held = a->paused || (a->meter != GN_NIL && !gn_meter_open(core, gn_meter_at(core, a->meter)));
            int64_t waited = held ? 0 : waited_us(core, a);
            if (waited < IDLE_US)
                continue;
            snprintf(words, sizeof words,
                     "agent %s has a free slot while a task of %s has been ready for %llu ms: a fault of the coordinator", p->name,
                     a->name, (unsigned long long)ms(waited));
            if (!begin(core, &kind, words))
                break;
            gn_member_string(&core->text, "agent", p->name, p->name_len);
            gn_member_string(&core->text, "action", a->name, a->name_len);
            gn_member_number(&core->text, "waited_ms", ms(waited));
            end(core);
            break; /* one row an agent */
        }
    }
    finish(core, &kind);
}

static void unserved(gn_core *core)
{
    struct kind kind = {"unserved", 0};
    char words[200];
    for (uint32_t i = 0; i < core->actions.high; i++) {
        const struct gn_action *a = gn_action_at(core, i);
        int64_t waited = a->name_len == 0 || a->agents > 0 || a->paused ? 0 : waited_us(core, a);
        if (waited < UNSERVED_US)
            continue;
        snprintf(words, sizeof words, "no agent serves %s, and %u tasks of it are ready, the oldest for %llu s", a->name,
                 a->count[GN_STATE_READY], (unsigned long long)(ms(waited) / 1000));
        if (!begin(core, &kind, words))
            continue;
        gn_member_string(&core->text, "action", a->name, a->name_len);
        gn_member_number(&core->text, "ready", a->count[GN_STATE_READY]);
        gn_member_number(&core->text, "waited_ms", ms(waited));
        end(core);
    }
    finish(core, &kind);
}

static void suspects(gn_core *core)
{
    struct kind kind = {"suspect", 0};
    char words[256];
    for (uint32_t i = 0; core->suspects > 0 && i < core->peers.high; i++) {
        const struct gn_peer *p = gn_peer_at(core, i);
        if (!p->live || !p->suspect)
            continue;
        uint64_t silent = ms(core->now - p->heard_us);
        snprintf(words, sizeof words, "agent %s has been silent for %llu ms: it gets no tasks, and at %u ms its %u go to others",
                 p->name, (unsigned long long)silent, core->config.agent_timeout_ms, p->held.count);
        if (!begin(core, &kind, words))
            continue;
        gn_member_string(&core->text, "agent", p->name, p->name_len);
        gn_member_number(&core->text, "silent_ms", silent);
        gn_member_number(&core->text, "held", p->held.count);
        end(core);
    }
    finish(core, &kind);
}

static void stuck_links(gn_core *core)
{
    struct kind kind = {"stuck_link", 0};
    char words[256];
    if (core->facts.failing)
        return; /* output may wait for the journal, and that is told */
    for (uint32_t i = 0; core->out_bytes > 0 && i < core->peers.high; i++) {
        const struct gn_peer *p = gn_peer_at(core, i);
        if (!p->live || p->serve_count == 0)
            continue;
        const struct gn_conn *c = gn_conn_at(core, p->conn);
        int64_t stuck = core->now - c->moved_us;
        if (gn_out_bytes(c) == 0 || stuck < STUCK_US)
            continue;
        snprintf(words, sizeof words, "agent %s has taken nothing for %llu ms, and %zu bytes wait for it: it does not read",
                 p->name, (unsigned long long)ms(stuck), gn_out_bytes(c));
        if (!begin(core, &kind, words))
            continue;
        gn_member_string(&core->text, "agent", p->name, p->name_len);
        gn_member_number(&core->text, "stuck_ms", ms(stuck));
        gn_member_number(&core->text, "bytes", gn_out_bytes(c));
        end(core);
    }
    finish(core, &kind);
}

/* ---- what the outside told ----------------------------------------------------------------------------- */

static void journal_and_loop(gn_core *core)
{
    const gn_core_facts *facts = &core->facts;
    struct kind journal = {"journal", 0}, lag = {"lag", 0};
    char words[320];
    if (facts->failing) {
        snprintf(words, sizeof words, "the journal cannot be written: no new task is accepted (%s)", facts->error);
        begin(core, &journal, words);
        gn_member_string(&core->text, "policy", facts->journal, strlen(facts->journal));
        gn_member_string(&core->text, "error", facts->error, strlen(facts->error));
        end(core);
    }
    if (facts->lag_us >= LAG_US) {
        snprintf(words, sizeof words, "the coordinator's loop took %llu ms for one round: it has too much to do, or too little of the machine",
                 (unsigned long long)ms((int64_t)facts->lag_us));
        begin(core, &lag, words);
        gn_member_number(&core->text, "lag_us", facts->lag_us);
        end(core);
    }
}

/* ---- tables ------------------------------------------------------------------------------------------- */

/* What of a gauge cannot make room: ended tasks that were delivered go when it is needed. */
static uint64_t lasting(const gn_core *core, const char *name, uint64_t value)
{
    if (strcmp(name, "tasks") == 0 || strcmp(name, "results") == 0)
        return value - core->spent.count;
    return strcmp(name, "bytes") == 0 && core->spent.count > 0 ? 0 : value;
}

static void full_tables(gn_core *core)
{
    struct kind kind = {"table", 0};
    char words[160];
    for (int g = 0; g < gn_core_gauge_count(); g++) {
        const char *name = gn_core_gauge_name(g);
        uint64_t bound = gn_core_gauge_bound(core, g), value = lasting(core, name, gn_core_gauge(core, g));
        if (bound == 0 || value < bound - bound / 10)
            continue;
        snprintf(words, sizeof words, "the table of %s holds %llu of at most %llu: at its bound, what needs a place is told busy",
                 name, (unsigned long long)value, (unsigned long long)bound);
        if (!begin(core, &kind, words))
            continue;
        gn_member_string(&core->text, "gauge", name, strlen(name));
        gn_member_number(&core->text, "value", value);
        gn_member_number(&core->text, "bound", bound);
        end(core);
    }
    finish(core, &kind);
}

void gn_alarms(gn_core *core)
{
    gn_member_key(&core->text, "alarms");
    gn_text_str(&core->text, "[");
    idle_agents(core);
    suspects(core);
    stuck_links(core);
    unserved(core);
    full_tables(core);
    journal_and_loop(core);
    gn_text_str(&core->text, "]");
}
