/* wire.h - the grammar TYPE:ACTION:TASK;key=value:PAYLOAD LF, read and written.
 *
 * Owns: the bytes of a message. Knows nothing of tasks, queues, sockets or clocks.
 * Allocates nothing, keeps no pointers: every result is an offset into the caller's buffer.
 * Any bytes may be fed; every answer is a message or a code of codes.h.
 */
#ifndef GANGLION_WIRE_H
#define GANGLION_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "ganglion/codes.h"

/* The words of CONTROL, RESPONSE and ACK that the coordinator gives a meaning.
 * DATA actions are names of queues, never verbs. X(NAME): the word is the name itself. */
#define GN_VERBS(X)                                                                            \
    /* CONTROL */                                                                              \
    X(REGISTER) X(HEARTBEAT) X(BYE) X(CANCEL) X(RESULT) X(WATCH) X(PEEK) X(KICK) X(PAUSE)      \
    X(RESUME) X(STATUS) X(TASKS) X(AGENTS) X(PING) X(ASSIGN_TASK) X(DRAIN) X(HELLO) X(PURGE)            \
    X(LIMIT) X(LIMITS) X(SCHEDULE) X(UNSCHEDULE) X(SCHEDULES)                                  \
    /* CONTROL, in a journal only */                                                           \
    X(FORGET) X(LEASED) X(KEPT) X(CHECKPOINT) X(JOURNAL) X(COMMIT) X(FIRED)                    \
    /* RESPONSE */                                                                             \
    X(TASK_COMPLETED) X(TASK_FAILED) X(TASK_RELEASED) X(TASK_BURIED) X(TASK_CANCELLED)         \
    X(PROGRESS) X(PARTIAL) X(REJECTED) X(STATE) X(EVENT)                                       \
    /* ACK */                                                                                  \
    X(RECEIVED) X(WELCOME) X(PONG) X(DONE)

/* Header parameters with a meaning. All others are kept and passed on.
 * X(NAME, key, kind): U64 decimal number; STR anything printable, percent-decoded on demand. */
#define GN_PARAMS(X)                                                                           \
    X(FROM, "from", STR)    /* the sender's name; in a datagram it holds for what follows too */ \
    X(TS, "ts", U64)        /* when the sender sent it, unix ms */                             \
    X(PRIO, "prio", U64)    /* 0..9, 9 most urgent, default 4 */                               \
    X(TTL, "ttl", U64)      /* ms from acceptance until an unfinished task is buried */        \
    X(DELAY, "delay", U64)  /* ms before the task may run */                                   \
    X(LEASE, "lease", U64)  /* ms an agent may hold the task between heartbeats */             \
    X(TRIES, "tries", U64)  /* how often it may be tried */                                    \
    X(TRY, "try", U64)      /* which try this is, from 1 */                                    \
    X(TOKEN, "token", U64)  /* which lease this is: an outcome carries it back */              \
    X(SEQ, "seq", U64)      /* number of a PARTIAL, from 0 */                                  \
    X(LEN, "len", U64)      /* exact payload length in bytes */                                \
    X(ACK, "ack", U64)      /* 0: no ACK:RECEIVED wanted, the outcome will do */               \
    X(KEEP, "keep", U64)    /* ms a result is kept */                                          \
    X(VIA, "via", STR)      /* further actions, comma-separated */                             \
    X(AFTER, "after", STR)  /* tasks whose results it waits for, comma-separated */            \
    X(KEY, "key", STR)      /* tasks of one key run one at a time, in order */                 \
    X(LABEL, "label", STR)  /* names that limits can be set on, comma-separated */             \
    X(CT, "ct", STR)        /* content type: text json msgpack f32 f64 i64 u8 ... */           \
    X(SHAPE, "shape", STR)  /* of an array, comma-separated */                                 \
    X(BLOB, "blob", STR)    /* <sha256 hex>.<bytes>: the payload is in the spool */            \
    X(TP, "tp", STR)        /* W3C traceparent */                                              \
    X(NEED, "need", STR)    /* resources */                                                    \
    X(ONCE, "once", U64)    /* 1: handed out at most once */                                   \
    X(TRACE, "trace", U64)  /* 1: note the time of every hop in hops= of the outcome */        \
    X(HOPS, "hops", STR)    /* ACTION.agent.wait_us.run_us, comma-separated */                 \
    X(DUP, "dup", STR)      /* existing, reject or replace: when the name is taken */          \
    X(RETRY, "retry", STR)  /* ms between tries, comma-separated; the last one repeats */      \
    X(NEEDS, "needs", STR)  /* all, ended or any: of the tasks in after= */

enum gn_verb {
    GN_VERB_NONE,
#define X(name) GN_VERB_##name,
    GN_VERBS(X)
#undef X
    GN_VERB_COUNT
};

enum gn_param {
#define X(name, key, kind) GN_PARAM_##name,
    GN_PARAMS(X)
#undef X
    GN_PARAM_COUNT
};

// <cdef>
#define GN_CONTROL 0
#define GN_DATA 1
#define GN_RESPONSE 2
#define GN_ACK 3

#define GN_ACTION_BYTES_MAX 32
#define GN_TASK_BYTES_MAX 64
#define GN_KEY_BYTES_MAX 16        /* of a header parameter */
#define GN_HEADER_BYTES_MAX 1024   /* type to the byte before the payload's colon */
#define GN_INLINE_BYTES_MAX 65536  /* payload that may stand in a message, on any transport */
#define GN_MESSAGE_BYTES_MAX 66562 /* header, colon, payload, LF */
#define GN_PRIO_MAX 9
#define GN_PRIO_DEFAULT 4

#define GN_MSG_TASK 1    /* there is a task field, perhaps empty */
#define GN_MSG_PAYLOAD 2 /* there is a payload, perhaps empty */
#define GN_MSG_LEN 4     /* the payload was counted by len= */

typedef struct gn_span {
    uint32_t off, len;
} gn_span;

typedef struct gn_msg {
    uint8_t type;   /* GN_CONTROL .. GN_ACK */
    uint8_t flags;  /* GN_MSG_* */
    uint16_t code;  /* 0, or why this is not a message; then only whole (its header, or at most 1024 bytes of what
                     * stands in place of one) and, where it could be read (GN_MSG_TASK), task count */
    uint16_t verb;  /* enum gn_verb when type is not DATA and the action is a known verb, else 0 */
    gn_span whole;  /* all of it, without the LF */
    gn_span action;
    gn_span task;
    gn_span params; /* "key=value;key=value", without the first semicolon */
    gn_span payload;
} gn_msg;

/* One for each stream; zero it first. For a datagram use a zeroed one each time. */
typedef struct gn_parser {
    uint64_t skip;             /* bytes still to be thrown away: the rest of a payload over the limit */
    uint32_t scanned;          /* bytes of the unfinished message already searched for its end */
    uint32_t need;             /* bytes at which the unfinished message is decided; 0: its header is not whole yet */
    uint32_t inline_bytes_max; /* 0: GN_INLINE_BYTES_MAX; at most 1 GiB counts */
    uint8_t resync;            /* throwing away up to the next LF, after an error */
    uint8_t counted;           /* the unfinished message has len=: only need decides, no LF does */
} gn_parser;

/* Read up to `cap` messages from buf[0..len). Returns how many were stored in out.
 * *consumed: bytes the caller may drop; an unfinished message stays, and is fed again
 * with more behind it (its offset is then 0). At most GN_MESSAGE_BYTES_MAX bytes are ever
 * left unconsumed when fewer than cap messages came back.
 * final != 0: buf ends a datagram or the stream: trailing NULs are dropped, the last LF may
 * be missing, and an unfinished message is an error message (GN_TRUNCATED / GN_BAD_LEN).
 * Blank lines (LF or CR LF alone) and NULs before a message are skipped. A CR before the LF of a message
 * without len belongs to the payload. After GN_BAD_LEN and GN_TOO_BIG no byte that len counted is ever
 * read as a message: reading goes on behind the first LF after them.
 * The messages do not depend on how a stream is cut. Work is linear in the bytes, however they are cut.
 * A buffer over 2 GiB is read up to there: call again with the rest, as after a full out. */
size_t gn_parse(gn_parser *parser, const uint8_t *buf, size_t len, int final,
                gn_msg *out, size_t cap, size_t *consumed);

/* The header's known parameters. present has bit GN_PARAM_x set when it was given. */
typedef struct gn_params {
    uint64_t present;
    uint64_t prio, ttl, delay, lease, tries, try_, token, seq, ack, keep, ts, trace, once; /* 0 when absent; prio 4 */
    gn_span from, via, after, key, label, ct, shape, blob, tp, need, hops, dup, retry, needs; /* raw, still percent-encoded */
} gn_params;

/* Decode m's parameters. Returns 0 or a code (GN_BAD_PARAM, GN_BAD_NUMBER, GN_BAD_PERCENT). A key given twice: the last counts.
 * Ranges: prio 0..9; ack, trace and once 0 or 1; tries and try below 2^32; the times (ts ttl delay lease keep) below 2^53, so
 * that a sum of two never overflows and every language can hold them; token, seq and len below 2^64. */
int gn_params_read(const uint8_t *buf, const gn_msg *m, gn_params *out);

/* Find one parameter by key in m. 1 and *value set, or 0. */
int gn_param_find(const uint8_t *buf, const gn_msg *m, const char *key, gn_span *value);

/* Percent-decode src into dst (cap >= len is always enough). Returns the length or -1 (bad percent code). */
ptrdiff_t gn_unescape(const uint8_t *src, size_t len, uint8_t *dst, size_t cap);
/* Percent-encode; cap >= 3 * len is always enough. Returns the length or -1 (cap too small). */
ptrdiff_t gn_escape(const uint8_t *src, size_t len, uint8_t *dst, size_t cap);

/* Write one message with its LF. params is written as given (without the first ";"; any len=
 * in it is an error); len= is added when the payload holds an LF, ends in NUL, or is empty-but-needed.
 * A NULL payload writes no payload field; a NULL task writes no task field (then params must be empty), or an
 * empty one where the payload would otherwise be read as a task field ("DATA:X::hello").
 * Returns bytes written, or -1 if cap is too small, or -(100 + code) for fields that break the grammar. */
ptrdiff_t gn_format(uint8_t *dst, size_t cap, int type, const char *action, size_t action_len,
                    const char *task, size_t task_len, const char *params, size_t params_len,
                    const uint8_t *payload, size_t payload_len);

int gn_verb_count(void);
const char *gn_verb_name(int verb);
int gn_param_count(void);
const char *gn_param_key(int param);
const char *gn_type_name(int type);
// </cdef>

#endif
