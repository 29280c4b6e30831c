/* codes.h - the one registry of reasons for which Ganglion says no.
 *
 * A code is a lowercase word on the wire: RESPONSE:REJECTED:<task>:<word> <text>.
 * SPEC.md's table, Python's exceptions and the C enum below all come from this list.
 * To add one: append a line (a number is never reused) and run the tests, which
 * regenerate SPEC.md's table and compare. To retire one: keep the line, say so in the text.
 *
 * X(NAME, word, owner, text); owner is whose fault it is: PEER (the bytes or the request
 * of the sender), STATE (the request is fine, the state of things is not), HOST (this
 * machine or this coordinator is at a limit).
 */
#ifndef GANGLION_CODES_H
#define GANGLION_CODES_H

#define GN_CODES(X)                                                                             \
    X(OK, "ok", PEER, "nothing is wrong")                                                       \
    X(BAD_TYPE, "bad_type", PEER, "a message begins with CONTROL, DATA, RESPONSE or ACK and a colon") \
    X(BAD_ACTION, "bad_action", PEER, "the second field is A-Z then up to 31 of A-Z 0-9 _")     \
    X(BAD_TASK, "bad_task", PEER, "a task name is at most 64 of letters digits - _ .")          \
    X(BAD_PARAM, "bad_param", PEER, "header parameters are ;key=value with a-z 0-9 _ keys")     \
    X(BAD_PERCENT, "bad_percent", PEER, "a percent sign is followed by two hexadecimal digits") \
    X(BAD_NUMBER, "bad_number", PEER, "this parameter is a decimal number within its range")    \
    X(BAD_LEN, "bad_len", PEER, "the payload does not end where len says")                      \
    X(BAD_PAYLOAD, "bad_payload", PEER, "the payload is not what this verb takes")              \
    X(TOO_BIG, "too_big", PEER, "the payload is over the inline limit: send it as a blob")      \
    X(HEADER_TOO_BIG, "header_too_big", PEER, "the header is over 1024 bytes")                  \
    X(TRUNCATED, "truncated", PEER, "the datagram or stream ended inside a message")            \
    X(UNKNOWN_VERB, "unknown_verb", PEER, "no such verb from this kind of sender")              \
    X(UNKNOWN_TASK, "unknown_task", STATE, "no task of this name is known here")                \
    X(UNKNOWN_SENDER, "unknown_sender", STATE, "register first, then send this with from=")     \
    X(BAD_STATE, "bad_state", STATE, "the task is not in a state in which this can be done")    \
    X(STALE, "stale", STATE, "that lease is over: the outcome was not applied")                 \
    X(EXISTS, "exists", STATE, "another task holds this name with other content")               \
    X(NO_AGENT, "no_agent", STATE, "that agent is not here, does not serve this action or has no free slot") \
    X(BUSY, "busy", HOST, "a table is at its bound: try again later")                           \
    X(DRAINING, "draining", HOST, "the coordinator takes no new tasks: it is draining")         \
    X(JOURNAL, "journal", HOST, "the journal cannot be written: nothing can be accepted")       \
    X(NO_BLOB, "no_blob", HOST, "the blob is not in the spool or does not match its name")      \
    X(SLOW_PEER, "slow_peer", PEER, "the receiver did not read and was disconnected")           \
    X(NO_MEMORY, "no_memory", HOST, "out of memory")

enum gn_code_number {
#define X(name, word, owner, text) GN_##name,
    GN_CODES(X)
#undef X
    GN_CODE_COUNT
};

// <cdef>
int gn_code_count(void);
const char *gn_code_word(int code);  /* "bad_type"; "unknown" outside the registry */
const char *gn_code_text(int code);  /* one sentence in plain words */
const char *gn_code_owner(int code); /* "PEER", "STATE" or "HOST" */
// </cdef>

#endif
