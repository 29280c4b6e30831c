/* table.c - the state x event table. Total: every cell stands here; SPEC.md's diagram comes from it.
 *
 * To add an event or a state: append it in core.h, fill its column or row here (the tests fail
 * until every cell is there and reachable as they say), run `python -m ganglion.protocol.spec`.
 */
#include "core/internal.h"

#define GO(state, verb) {GN_STATE_##state, 0, verb}
#define NO(state, code) {GN_STATE_##state, GN_##code, "refuse"}
#define NEVER {-1, 0, "never"}

/* A whole row but for the cells given: so that none is filled by default, each macro names all. */
#define CELL(state, event) [GN_STATE_##state][GN_EVENT_##event]

/* Requests about a task in a state in which it has no agent: a late outcome. */
#define LATE(state)                                                                        \
    CELL(state, COMPLETE) = NO(state, STALE), CELL(state, COMPLETE_ON) = NO(state, STALE), \
    CELL(state, COMPLETE_WAIT) = NO(state, STALE), CELL(state, FAIL_RETRY) = NO(state, STALE), \
    CELL(state, FAIL_FINAL) = NO(state, STALE), CELL(state, RELEASE) = NO(state, STALE),   \
    CELL(state, BURY) = NO(state, STALE)
#define TAKEN(state)                                                                       \
    CELL(state, SUBMIT_READY) = NO(state, EXISTS), CELL(state, SUBMIT_DELAYED) = NO(state, EXISTS), \
    CELL(state, SUBMIT_WAITING) = NO(state, EXISTS)
#define NO_LEASE(state)                                                                    \
    CELL(state, LEASE_RETRY) = NEVER, CELL(state, LEASE_FINAL) = NEVER, CELL(state, GRACE_OVER) = NEVER
#define NOT_WAITING(state) CELL(state, AFTER_MET) = NEVER, CELL(state, AFTER_FAILED) = NEVER

static const gn_cell TABLE[GN_STATE_COUNT][GN_EVENT_COUNT] = {
    CELL(NONE, SUBMIT_READY) = GO(READY, "accept"),
    CELL(NONE, SUBMIT_DELAYED) = GO(DELAYED, "accept"),
    CELL(NONE, SUBMIT_WAITING) = GO(WAITING, "accept"),
    CELL(NONE, DUE) = NEVER,
    CELL(NONE, DISPATCH) = NO(NONE, UNKNOWN_TASK),
    CELL(NONE, COMPLETE) = NO(NONE, UNKNOWN_TASK),
    CELL(NONE, COMPLETE_ON) = NO(NONE, UNKNOWN_TASK),
    CELL(NONE, COMPLETE_WAIT) = NO(NONE, UNKNOWN_TASK),
    CELL(NONE, FAIL_RETRY) = NO(NONE, UNKNOWN_TASK),
    CELL(NONE, FAIL_FINAL) = NO(NONE, UNKNOWN_TASK),
    CELL(NONE, RELEASE) = NO(NONE, UNKNOWN_TASK),
    CELL(NONE, BURY) = NO(NONE, UNKNOWN_TASK),
    CELL(NONE, TTL_OVER) = NEVER,
    CELL(NONE, CANCEL) = NO(NONE, UNKNOWN_TASK),
    CELL(NONE, KICK) = NO(NONE, UNKNOWN_TASK),
    CELL(NONE, FORGET) = NEVER,
    CELL(NONE, REPLACE) = NO(NONE, UNKNOWN_TASK),
    NOT_WAITING(NONE), NO_LEASE(NONE),

    TAKEN(WAITING), LATE(WAITING), NO_LEASE(WAITING),
    CELL(WAITING, AFTER_MET) = GO(READY, "queue"),
    CELL(WAITING, AFTER_FAILED) = GO(BURIED, "bury"),
    CELL(WAITING, DUE) = NEVER,
    CELL(WAITING, DISPATCH) = NO(WAITING, BAD_STATE),
    CELL(WAITING, TTL_OVER) = GO(BURIED, "bury"),
    CELL(WAITING, CANCEL) = GO(CANCELLED, "cancel"),
    CELL(WAITING, KICK) = NO(WAITING, BAD_STATE),
    CELL(WAITING, FORGET) = NEVER,
    CELL(WAITING, REPLACE) = GO(NONE, "replace"),

    TAKEN(DELAYED), LATE(DELAYED), NO_LEASE(DELAYED), NOT_WAITING(DELAYED),
    CELL(DELAYED, DUE) = GO(READY, "queue"),
    CELL(DELAYED, DISPATCH) = GO(LEASED, "lease"),
    CELL(DELAYED, TTL_OVER) = GO(BURIED, "bury"),
    CELL(DELAYED, CANCEL) = GO(CANCELLED, "cancel"),
    CELL(DELAYED, KICK) = GO(READY, "queue"),
    CELL(DELAYED, FORGET) = NEVER,
    CELL(DELAYED, REPLACE) = GO(NONE, "replace"),

    TAKEN(READY), LATE(READY), NO_LEASE(READY), NOT_WAITING(READY),
    CELL(READY, DUE) = NEVER,
    CELL(READY, DISPATCH) = GO(LEASED, "lease"),
    CELL(READY, TTL_OVER) = GO(BURIED, "bury"),
    CELL(READY, CANCEL) = GO(CANCELLED, "cancel"),
    CELL(READY, KICK) = NO(READY, BAD_STATE),
    CELL(READY, FORGET) = NEVER,
    CELL(READY, REPLACE) = GO(NONE, "replace"),

    TAKEN(LEASED), NOT_WAITING(LEASED),
    CELL(LEASED, DUE) = NEVER,
    CELL(LEASED, DISPATCH) = NO(LEASED, BAD_STATE),
    CELL(LEASED, COMPLETE) = GO(DONE, "finish"),
    CELL(LEASED, COMPLETE_ON) = GO(READY, "advance"),
    CELL(LEASED, COMPLETE_WAIT) = GO(WAITING, "advance"),
    CELL(LEASED, FAIL_RETRY) = GO(DELAYED, "retry"),
    CELL(LEASED, FAIL_FINAL) = GO(BURIED, "bury"),
    CELL(LEASED, RELEASE) = GO(DELAYED, "release"),
    CELL(LEASED, BURY) = GO(BURIED, "bury"),
    CELL(LEASED, LEASE_RETRY) = GO(READY, "retry"),
    CELL(LEASED, LEASE_FINAL) = GO(BURIED, "bury"),
    CELL(LEASED, TTL_OVER) = GO(BURIED, "revoke"),
    CELL(LEASED, CANCEL) = GO(CANCELLING, "ask"),
    CELL(LEASED, GRACE_OVER) = NEVER,
    CELL(LEASED, KICK) = NO(LEASED, BAD_STATE),
    CELL(LEASED, FORGET) = NEVER,
    CELL(LEASED, REPLACE) = NO(LEASED, BAD_STATE),

    TAKEN(CANCELLING), NOT_WAITING(CANCELLING),
    CELL(CANCELLING, DUE) = NEVER,
    CELL(CANCELLING, DISPATCH) = NO(CANCELLING, BAD_STATE),
    CELL(CANCELLING, COMPLETE) = GO(DONE, "finish"),
    CELL(CANCELLING, COMPLETE_ON) = GO(CANCELLED, "cancel"),
    CELL(CANCELLING, COMPLETE_WAIT) = GO(CANCELLED, "cancel"),
    CELL(CANCELLING, FAIL_RETRY) = GO(CANCELLED, "cancel"),
    CELL(CANCELLING, FAIL_FINAL) = GO(CANCELLED, "cancel"),
    CELL(CANCELLING, RELEASE) = GO(CANCELLED, "cancel"),
    CELL(CANCELLING, BURY) = GO(CANCELLED, "cancel"),
    CELL(CANCELLING, LEASE_RETRY) = GO(CANCELLED, "cancel"),
    CELL(CANCELLING, LEASE_FINAL) = GO(CANCELLED, "cancel"),
    CELL(CANCELLING, TTL_OVER) = GO(CANCELLED, "revoke"),
    CELL(CANCELLING, CANCEL) = GO(CANCELLING, "ignore"),
    CELL(CANCELLING, GRACE_OVER) = GO(CANCELLED, "revoke"),
    CELL(CANCELLING, KICK) = NO(CANCELLING, BAD_STATE),
    CELL(CANCELLING, FORGET) = NEVER,
    CELL(CANCELLING, REPLACE) = NO(CANCELLING, BAD_STATE),

    TAKEN(DONE), LATE(DONE), NO_LEASE(DONE), NOT_WAITING(DONE),
    CELL(DONE, DUE) = NEVER,
    CELL(DONE, DISPATCH) = NO(DONE, BAD_STATE),
    CELL(DONE, TTL_OVER) = NEVER,
    CELL(DONE, CANCEL) = NO(DONE, BAD_STATE),
    CELL(DONE, KICK) = NO(DONE, BAD_STATE),
    CELL(DONE, FORGET) = GO(NONE, "forget"),
    CELL(DONE, REPLACE) = GO(NONE, "replace"),

    TAKEN(BURIED), LATE(BURIED), NO_LEASE(BURIED), NOT_WAITING(BURIED),
    CELL(BURIED, DUE) = NEVER,
    CELL(BURIED, DISPATCH) = NO(BURIED, BAD_STATE),
    CELL(BURIED, TTL_OVER) = NEVER,
    CELL(BURIED, CANCEL) = GO(CANCELLED, "cancel"),
    CELL(BURIED, KICK) = GO(READY, "queue"),
    CELL(BURIED, FORGET) = GO(NONE, "forget"),
    CELL(BURIED, REPLACE) = GO(NONE, "replace"),

    TAKEN(CANCELLED), LATE(CANCELLED), NO_LEASE(CANCELLED), NOT_WAITING(CANCELLED),
    CELL(CANCELLED, DUE) = NEVER,
    CELL(CANCELLED, DISPATCH) = NO(CANCELLED, BAD_STATE),
    CELL(CANCELLED, TTL_OVER) = NEVER,
    CELL(CANCELLED, CANCEL) = NO(CANCELLED, BAD_STATE),
    CELL(CANCELLED, KICK) = NO(CANCELLED, BAD_STATE),
    CELL(CANCELLED, FORGET) = GO(NONE, "forget"),
    CELL(CANCELLED, REPLACE) = GO(NONE, "replace"),
};

static const char *const STATES[] = {
#define X(name, word) word,
    GN_STATES(X)
#undef X
};
static const char *const EVENTS[] = {
#define X(name) #name,
    GN_EVENTS(X)
#undef X
};

int gn_state_count(void) { return GN_STATE_COUNT; }
int gn_event_count(void) { return GN_EVENT_COUNT; }

const char *gn_state_word(int state)
{
    return state >= 0 && state < GN_STATE_COUNT ? STATES[state] : "unknown";
}

const char *gn_event_name(int event)
{
    return event >= 0 && event < GN_EVENT_COUNT ? EVENTS[event] : "UNKNOWN";
}

/* A cell nobody filled has no verb: the tests look for it. */
void gn_table_cell(int state, int event, gn_cell *out)
{
    if (state >= 0 && state < GN_STATE_COUNT && event >= 0 && event < GN_EVENT_COUNT)
        *out = TABLE[state][event];
    else
        *out = (gn_cell)NEVER;
}
