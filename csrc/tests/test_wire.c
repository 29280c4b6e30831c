/* test_wire.c - the wire codec: every vector, then a deterministic fuzz.
 *
 * The vectors come from tests/vectors/load.py by way of the file that GN_VECTORS names (the Makefile writes it).
 * Every buffer handed to the parser is a heap block of exactly its length, so that ASan sees one byte too far.
 */
#include "ganglion/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_ROUNDS 200000

static void die(const char *what, const char *where)
{
    fprintf(stderr, "test_wire: %s: %s\n", where, what);
    exit(1);
}

/* What came out: each item as text, in one string, so that two runs are compared with strcmp. */
struct log {
    char *text;
    size_t len, cap;
};

static void note(struct log *log, const void *bytes, size_t len)
{
    if (log->len + len + 1 > log->cap) {
        log->cap = (log->len + len + 1) * 2;
        log->text = realloc(log->text, log->cap);
        if (!log->text)
            die("out of memory", "log");
    }
    memcpy(log->text + log->len, bytes, len);
    log->len += len;
    log->text[log->len] = 0;
}

static void note_word(struct log *log, const char *word)
{
    note(log, word, strlen(word));
}

static void note_hex(struct log *log, const uint8_t *bytes, size_t len, int there)
{
    static const char digits[] = "0123456789abcdef";

    if (!there) {
        note(log, "\t-", 2);
        return;
    }
    note(log, "\t", 1);
    for (size_t i = 0; i < len; i++) {
        char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};

        note(log, pair, 2);
    }
}

static void note_message(struct log *log, const uint8_t *buf, const gn_msg *m)
{
    int has_task = m->flags & GN_MSG_TASK;
    gn_params params;

    if (m->code) {
        note_word(log, "E\t");
        note_word(log, gn_code_word(m->code));
        note_hex(log, buf + m->task.off, m->task.len, has_task);
        note(log, "\n", 1);
        return;
    }
    note_word(log, "M\t");
    note_word(log, gn_type_name(m->type));
    note_hex(log, buf + m->action.off, m->action.len, 1);
    note_hex(log, buf + m->task.off, m->task.len, has_task);
    note_hex(log, buf + m->params.off, m->params.len, 1);
    note_hex(log, buf + m->payload.off, m->payload.len, m->flags & GN_MSG_PAYLOAD);
    note(log, "\t", 1);
    note_word(log, gn_code_word(gn_params_read(buf, m, &params)));
    note(log, "\n", 1);
}

/* No span may leave the bytes that were consumed. */
static void check_spans(const gn_msg *m, size_t consumed)
{
    const gn_span spans[] = {m->whole, m->action, m->task, m->params, m->payload};

    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        if ((uint64_t)spans[i].off + spans[i].len > consumed)
            die("a span leaves the consumed bytes", "spans");
}

/* A stream as a caller keeps it: what was not consumed, in a block of exactly that size. */
struct stream {
    gn_parser parser;
    uint8_t *pending;
    size_t len;
    struct log log;
};

static void feed(struct stream *s, const uint8_t *bytes, size_t len, int final, size_t cap)
{
    gn_msg out[8];
    size_t count, consumed;
    uint8_t *joined = malloc(s->len + len + !(s->len + len));

    if (!joined || cap > 8)
        die("out of memory", "feed");
    if (s->len)
        memcpy(joined, s->pending, s->len);
    if (len)
        memcpy(joined + s->len, bytes, len);
    free(s->pending);
    s->pending = joined;
    s->len += len;
    do {
        count = gn_parse(&s->parser, s->pending, s->len, final, out, cap, &consumed);
        if (count > cap || consumed > s->len)
            die("more than there is", "feed");
        for (size_t i = 0; i < count; i++) {
            check_spans(&out[i], consumed);
            note_message(&s->log, s->pending, &out[i]);
        }
        s->len -= consumed;
        joined = malloc(s->len + !s->len);
        if (!joined)
            die("out of memory", "feed");
        memcpy(joined, s->pending + consumed, s->len);
        free(s->pending);
        s->pending = joined;
    } while (count == cap);
    if (s->len >= GN_MESSAGE_BYTES_MAX || (final && s->len))
        die("too much is kept", "feed");
}

/* Start a stream with this limit; stop it and give its log away. */
static struct stream start(uint32_t inline_max)
{
    return (struct stream){.parser.inline_bytes_max = inline_max};
}

static char *finish(struct stream *s)
{
    note(&s->log, "", 0);
    free(s->pending);
    s->pending = NULL;
    return s->log.text;
}

/* One way of feeding a vector, compared with what it must give. */
struct vector {
    char name[256], kind[16];
    uint32_t inline_max;
    uint8_t *bytes;
    size_t len;
    struct log want;
};

static void compare(struct stream *s, const struct vector *v, const char *how)
{
    char *got = finish(s);

    if (strcmp(got, v->want.text ? v->want.text : "") != 0) {
        fprintf(stderr, "test_wire: %s (%s)\nwanted\n%.2000s\ngot\n%.2000s\n", v->name, how,
                v->want.text ? v->want.text : "", got);
        exit(1);
    }
    free(got);
}

static void replay(const struct vector *v)
{
    size_t every = v->len <= 4096 ? v->len : 64;
    struct stream s;

    if (strcmp(v->kind, "stream") != 0) {
        s = start(v->inline_max);
        feed(&s, v->bytes, v->len, 1, 8);
        compare(&s, v, "datagram");
    }
    if (!strcmp(v->kind, "datagram"))
        return;
    for (size_t at = 0; at <= every; at++) {
        s = start(v->inline_max);
        feed(&s, v->bytes, at, 0, 1 + at % 8);
        feed(&s, v->bytes + at, v->len - at, 0, 1 + at % 8);
        feed(&s, NULL, 0, 1, 1);
        compare(&s, v, "cut in two");
    }
    s = start(v->inline_max);
    for (size_t at = 0; at < v->len; at += v->len <= 4096 ? 1 : 61)
        feed(&s, v->bytes + at, v->len - at < 61 && v->len > 4096 ? v->len - at : v->len <= 4096 ? 1 : 61, 0, 8);
    feed(&s, NULL, 0, 1, 8);
    compare(&s, v, "in small pieces");
}

/* A long counted and a long uncounted payload byte by byte: nothing may be searched twice, so the
 * parser is fed in place, as it would be from a buffer that grows. */
static void grow_byte_by_byte(const char *header, uint8_t fill, size_t total)
{
    gn_parser parser = {0};
    size_t head = strlen(header), consumed = 0, count = 0;
    uint8_t *buf = malloc(total);
    gn_msg m;

    if (!buf)
        die("out of memory", "grow");
    memset(buf, fill, total);
    memcpy(buf, header, head);
    buf[total - 1] = '\n';
    for (size_t n = 1; n <= total; n++) {
        count = gn_parse(&parser, buf, n, 0, &m, 1, &consumed);
        if (n < total && (count || consumed))
            die("taken before its end", header);
        if (n < total && parser.scanned != n && !parser.counted)
            die("not all that was there counts as searched", header);
    }
    if (count != 1 || consumed != total || m.code || m.payload.len != total - head - 1)
        die("not taken at its end", header);
    free(buf);
}

static uint8_t *from_hex(const char *hex, size_t *len)
{
    uint8_t *bytes;

    *len = strlen(hex) / 2;
    bytes = malloc(*len + !*len);
    if (!bytes)
        die("out of memory", "vectors");
    for (size_t i = 0; i < *len; i++) {
        unsigned byte;

        if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
            die("not hexadecimal", "vectors");
        bytes[i] = (uint8_t)byte;
    }
    return bytes;
}

static void end_vector(struct vector *v)
{
    if (v->bytes)
        replay(v);
    free(v->bytes);
    free(v->want.text);
    memset(v, 0, sizeof *v);
}

static void begin_vector(struct vector *v, char *line)
{
    char *field[5], *rest = line;

    for (int i = 0; i < 5; i++)
        if (!(field[i] = strsep(&rest, "\t")))
            die("a field is missing", "vectors");
    snprintf(v->name, sizeof v->name, "%s", field[1]);
    snprintf(v->kind, sizeof v->kind, "%s", field[2]);
    v->inline_max = (uint32_t)strtoul(field[3], NULL, 10);
    v->bytes = from_hex(field[4], &v->len);
}

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "r");
    struct vector v = {0};
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    int count = 0;

    if (!file)
        die("cannot be opened", path);
    while ((len = getline(&line, &cap, file)) > 0) {
        if (line[0] == 'V') {
            end_vector(&v);
            line[len - 1] = 0;
            begin_vector(&v, line);
            count++;
        } else {
            note(&v.want, line, (size_t)len);
        }
    }
    end_vector(&v);
    free(line);
    fclose(file);
    return count;
}

static uint64_t seed = 42;

/* Marsaglia, "Xorshift RNGs", 2003. */
static uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

/* A buffer of pieces of the grammar, then some bytes of it changed. */
static size_t make_input(uint8_t *buf, size_t cap)
{
    static const char *const pieces[] = {
        "DATA:", "CONTROL:", "RESPONSE:", "ACK:", "X", "REJECTED", ":", ":", ";", "=", "\n", "\n", "\r\n", "len=",
        "len=5", "prio=9", "%41", "%", "t1", "DATA:X:t:p\n", "DATA:X:t;len=3:a\nb\n", "ACK:PONG\n", "hello", "18446744073709551615",
        "DATA:X:t;len=40:", ";from=a%20b", "[1, 2]", "0", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    size_t len = 0, count = 1 + rnd(12);

    while (count--) {
        const char *piece = pieces[rnd(sizeof pieces / sizeof *pieces)];
        size_t n = strlen(piece), times = rnd(40) ? 1 : 1 + rnd(40);

        while (times-- && len + n <= cap) {
            memcpy(buf + len, piece, n);
            len += n;
        }
    }
    for (uint32_t changes = rnd(3); changes && len; changes--)
        buf[rnd((uint32_t)len)] = (uint8_t)(rnd(4) ? rnd(256) : 0);
    return len;
}

/* What was parsed is formatted and parsed again: the same fields, whatever its bytes were. */
static void format_again(const uint8_t *buf, const gn_msg *m)
{
    uint8_t out[8192], text[8192];
    struct log was = {0}, is = {0};
    const char *params = (const char *)buf + m->params.off, *task = (const char *)buf + m->task.off;
    size_t consumed;
    gn_parser parser = {0};
    gn_msg again;
    gn_span span;
    ptrdiff_t len;

    if (gn_param_find(buf, m, "len", &span)) /* it is the writer's: -(100 + GN_BAD_PARAM) */
        return;
    len = gn_format(out, sizeof out, m->type, (const char *)buf + m->action.off, m->action.len,
                    m->flags & GN_MSG_TASK ? task : NULL, m->task.len, params, m->params.len,
                    m->flags & GN_MSG_PAYLOAD ? buf + m->payload.off : NULL, m->payload.len);
    if (len == -(100 + GN_HEADER_TOO_BIG)) /* len= made it so */
        return;
    if (len < 0 || gn_parse(&parser, out, (size_t)len, 0, &again, 1, &consumed) != 1 || consumed != (size_t)len || again.code)
        die("what was parsed cannot be written and read again", "fuzz");
    note_hex(&was, buf + m->payload.off, m->payload.len, m->flags & GN_MSG_PAYLOAD);
    note_hex(&was, buf + m->task.off, m->task.len, 1);
    note_hex(&is, out + again.payload.off, again.payload.len, again.flags & GN_MSG_PAYLOAD);
    note_hex(&is, out + again.task.off, again.task.len, 1);
    if (strcmp(was.text, is.text) != 0 || m->type != again.type || m->verb != again.verb)
        die("the fields differ", "fuzz");
    free(was.text);
    free(is.text);
    len = gn_escape(buf + m->whole.off, m->whole.len < 2048 ? m->whole.len : 2048, out, sizeof out);
    if (len < 0 || gn_unescape(out, (size_t)len, text, sizeof text) != (ptrdiff_t)(m->whole.len < 2048 ? m->whole.len : 2048) ||
        memcmp(text, buf + m->whole.off, m->whole.len < 2048 ? m->whole.len : 2048) != 0)
        die("escape and unescape", "fuzz");
}

static void fuzz_once(void)
{
    static const uint32_t limits[] = {0, 1, 16, 40};
    uint32_t limit = limits[rnd(4)];
    uint8_t buf[4096];
    size_t len = make_input(buf, sizeof buf), at = 0, consumed;
    struct stream whole = start(limit), cut = start(limit), datagram = start(limit);
    gn_parser parser = {0};
    gn_msg m;
    char *a, *b;

    feed(&whole, buf, len, 0, 8);
    feed(&whole, NULL, 0, 1, 8);
    while (at < len) {
        size_t n = 1 + rnd(rnd(2) ? 3 : 200);

        n = n < len - at ? n : len - at;
        feed(&cut, buf + at, n, 0, 1 + rnd(8));
        at += n;
    }
    feed(&cut, NULL, 0, 1, 1);
    feed(&datagram, buf, len, 1, 1 + rnd(8));
    free(finish(&datagram));
    a = finish(&whole);
    b = finish(&cut);
    if (strcmp(a, b) != 0) {
        fprintf(stderr, "whole\n%s\ncut\n%s\n", a, b);
        die("the cut changes the messages", "fuzz");
    }
    free(a);
    free(b);
    for (at = 0; gn_parse(&parser, buf + at, len - at, 1, &m, 1, &consumed) == 1; at += consumed)
        if (!m.code)
            format_again(buf + at, &m);
}

static void limits_of_format(void)
{
    uint8_t out[64];
    const uint8_t payload[] = {'a', '\n'};
    static uint8_t big[GN_INLINE_BYTES_MAX + 1];

    for (size_t cap = 0; cap < 20; cap++) {
        uint8_t *exact = malloc(cap + !cap);

        if (gn_format(exact, cap, GN_DATA, "X", 1, "t", 1, NULL, 0, payload, 2) != (cap < 18 ? -1 : 18))
            die("writes what does not fit, or not what fits", "format");
        free(exact);
    }
    if (gn_format(out, sizeof out, 4, "X", 1, NULL, 0, NULL, 0, NULL, 0) != -(100 + GN_BAD_TYPE) ||
        gn_format(out, sizeof out, GN_DATA, "x", 1, NULL, 0, NULL, 0, NULL, 0) != -(100 + GN_BAD_ACTION) ||
        gn_format(out, sizeof out, GN_DATA, "X", 1, "a b", 3, NULL, 0, NULL, 0) != -(100 + GN_BAD_TASK) ||
        gn_format(out, sizeof out, GN_DATA, "X", 1, "t", 1, "len=1", 5, NULL, 0) != -(100 + GN_BAD_PARAM) ||
        gn_format(out, sizeof out, GN_DATA, "X", 1, NULL, 0, "a=1", 3, NULL, 0) != -(100 + GN_BAD_PARAM) ||
        gn_format(out, sizeof out, GN_DATA, "X", 1, "t", 1, "a=1:", 4, NULL, 0) != -(100 + GN_BAD_PARAM) ||
        gn_format(out, sizeof out, GN_DATA, "X", 1, "t", 1, "a=%4", 4, NULL, 0) != -(100 + GN_BAD_PERCENT) ||
        gn_format(out, sizeof out, GN_DATA, "X", 1, "t", 1, NULL, 0, big, sizeof big) != -(100 + GN_TOO_BIG))
        die("a field that breaks the grammar is written", "format");
    if (gn_format(out, sizeof out, GN_DATA, "X", 1, NULL, 0, NULL, 0, (const uint8_t *)"hello", 5) != 14 ||
        memcmp(out, "DATA:X::hello\n", 14) != 0)
        die("a payload that looks like a task", "format");
}

/* What needs len= has it, and a header may be 1024 bytes but no more. */
static void counts_and_headers(void)
{
    static const struct {
        const char *payload, *line;
        size_t len, line_len;
    } cases[] = {
        {"a\0", "DATA:X:t;len=2:a\0\n", 2, 18},
        {"\n", "DATA:X:t;len=1:\n\n", 1, 17},
        {"\0a", "DATA:X:t:\0a\n", 2, 12},
        {"a\r", "DATA:X:t:a\r\n", 2, 12},
        {"", "DATA:X:t:\n", 0, 10},
    };
    uint8_t out[GN_HEADER_BYTES_MAX + 8];
    char params[GN_HEADER_BYTES_MAX];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (gn_format(out, sizeof out, GN_DATA, "X", 1, "t", 1, NULL, 0, (const uint8_t *)cases[i].payload,
                      cases[i].len) != (ptrdiff_t)cases[i].line_len ||
            memcmp(out, cases[i].line, cases[i].line_len) != 0)
            die("is not the line expected", cases[i].line);
    memset(params, 'v', sizeof params);
    memcpy(params, "a=", 2);
    if (gn_format(out, sizeof out, GN_DATA, "X", 1, "t", 1, params, 1015, NULL, 0) != 1025 ||
        gn_format(out, sizeof out, GN_DATA, "X", 1, "t", 1, params, 1016, NULL, 0) != -(100 + GN_HEADER_TOO_BIG))
        die("the limit of a header", "format");
}

/* A line without end under the longest header is given up with its first byte too many, not later. */
static void give_up_in_time(void)
{
    gn_parser parser = {0};
    size_t consumed = 0, limit = GN_HEADER_BYTES_MAX + 1 + GN_INLINE_BYTES_MAX + 1;
    uint8_t *buf = malloc(limit);
    gn_msg m;

    if (!buf)
        die("out of memory", "give_up_in_time");
    memset(buf, 'v', limit);
    memcpy(buf, "DATA:X:t;a=", 11);
    buf[GN_HEADER_BYTES_MAX] = ':';
    for (size_t n = 1; n < limit; n++)
        if (gn_parse(&parser, buf, n, 0, &m, 1, &consumed) || consumed)
            die("given up too early", "give_up_in_time");
    if (gn_parse(&parser, buf, limit, 0, &m, 1, &consumed) != 1 || m.code != GN_TOO_BIG || consumed != limit)
        die("not given up in time", "give_up_in_time");
    free(buf);
}

static void registries(void)
{
    for (int verb = 1; verb < gn_verb_count(); verb++) {
        char line[64];
        int len = snprintf(line, sizeof line, "ACK:%s\n", gn_verb_name(verb));
        gn_parser parser = {0};
        size_t consumed;
        gn_msg m;

        if (gn_parse(&parser, (const uint8_t *)line, (size_t)len, 1, &m, 1, &consumed) != 1 || m.verb != verb)
            die("is not found by its word", gn_verb_name(verb));
    }
    if (*gn_verb_name(-1) || *gn_verb_name(gn_verb_count()) || *gn_param_key(-1) || *gn_param_key(gn_param_count()) ||
        *gn_type_name(-1) || *gn_type_name(4) || strcmp(gn_code_word(-1), "unknown") != 0 ||
        strcmp(gn_code_word(gn_code_count()), "unknown") != 0)
        die("a number outside", "registries");
}

int main(void)
{
    const char *path = getenv("GN_VECTORS");
    int vectors = replay_file(path ? path : "../build/csrc/vectors.txt");

    if (vectors < 100)
        die("hardly any vectors", "vectors");
    registries();
    limits_of_format();
    counts_and_headers();
    give_up_in_time();
    grow_byte_by_byte("DATA:X:t;len=65536:", '\n', 19 + 65536 + 1);
    grow_byte_by_byte("DATA:X:t:", 'a', 9 + 65536 + 1);
    for (int round = 0; round < FUZZ_ROUNDS; round++)
        fuzz_once();
    printf("test_wire: %d vectors, %d rounds of fuzz\n", vectors, FUZZ_ROUNDS);
    return 0;
}
