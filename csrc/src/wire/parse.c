/* parse.c - bytes to messages, incrementally, without allocating.
 *
 * A header is at most 1024 bytes and holds no LF, so a message is understood as soon as its first LF
 * or its 1025th byte is there, whichever comes first, and never before: that is why the result cannot
 * depend on how a stream was cut. What is then still missing (the rest of a counted payload, the LF of a
 * long line) is remembered as a byte count in the parser, so that no byte is looked at again and again.
 */
#include "ganglion/wire.h"

#include <string.h>

#include "wire/chars.h"

#define BUFFER_MAX UINT32_C(0x7fffffff)    /* so that no offset overflows a span */
#define INLINE_CEILING (UINT32_C(1) << 30) /* same reason, for a parser with a limit of its own */

enum step { WAIT, DROPPED, STORED };

/* Where a header ends and what it claims. Offsets from the start of the message. */
struct head {
    uint32_t end;   /* the payload's colon, or the end of the line */
    uint64_t claim; /* len=, when GN_MSG_LEN */
};

/* One feed. at: how far the buffer has been read. */
struct feed {
    gn_parser *parser;
    const uint8_t *buf;
    uint32_t len, at, limit;
    int final;
};

static int type_of(const uint8_t *b, uint32_t n, uint32_t *after)
{
    static const struct {
        const char *word;
        uint8_t len;
    } words[] = {{"CONTROL:", 8}, {"DATA:", 5}, {"RESPONSE:", 9}, {"ACK:", 4}};
    int type;

    switch (b[0]) {
    case 'C': type = GN_CONTROL; break;
    case 'D': type = GN_DATA; break;
    case 'R': type = GN_RESPONSE; break;
    case 'A': type = GN_ACK; break;
    default: return -1;
    }
    if (n < words[type].len || memcmp(b, words[type].word, words[type].len) != 0)
        return -1;
    *after = words[type].len;
    return type;
}

/* Parameters from b[i] on. cut: the line goes on behind b[n], so running out is a header over its limit. */
static int read_params(const uint8_t *b, uint32_t i, uint32_t n, int cut, uint32_t base, gn_msg *m, struct head *head)
{
    struct gn_walk walk;
    int code = gn_params_walk(b + i, n - i, &walk);

    if (code)
        return cut && walk.ended ? GN_HEADER_TOO_BIG : code;
    m->params = (gn_span){base + i, walk.at};
    head->end = i + walk.at;
    if (head->end == n && cut)
        return GN_HEADER_TOO_BIG;
    if (walk.len_off != UINT32_MAX) {
        if (!gn_number(b + i + walk.len_off, walk.len_len, &head->claim))
            return GN_BAD_NUMBER;
        m->flags |= GN_MSG_LEN;
    }
    return GN_OK;
}

/* The third field from b[i] on: a task with or without parameters, or else the payload. */
static int read_task(const uint8_t *b, uint32_t i, uint32_t n, int cut, uint32_t base, gn_msg *m, struct head *head)
{
    uint32_t start = i;
    int fits;

    while (i < n && gn_is(b[i], GN_CHAR_TASK))
        i++;
    fits = i - start <= GN_TASK_BYTES_MAX;
    if (i < n && b[i] == ';') {
        if (!fits)
            return GN_BAD_TASK;
        m->flags |= GN_MSG_TASK;
        m->task = (gn_span){base + start, i - start};
        return read_params(b, i + 1, n, cut, base, m, head);
    }
    if (fits && (i == n || b[i] == ':')) {
        m->flags |= GN_MSG_TASK;
        m->task = (gn_span){base + start, i - start};
        head->end = i;
        return GN_OK;
    }
    head->end = start - 1; /* no task field: the second colon is the payload's */
    return GN_OK;
}

/* Read the header in b[0..n). cut: more of the line follows, n is one over the limit.
 * base is added to every offset stored in m. */
static int read_head(const uint8_t *b, uint32_t n, int cut, uint32_t base, gn_msg *m, struct head *head)
{
    uint32_t i = 0, action;
    int type = type_of(b, n, &i), code = GN_OK;

    if (type < 0)
        return GN_BAD_TYPE;
    m->type = (uint8_t)type;
    action = i;
    if (i == n || !gn_is(b[i], GN_CHAR_ACTION_FIRST))
        return GN_BAD_ACTION;
    while (i < n && gn_is(b[i], GN_CHAR_ACTION))
        i++;
    if (i - action > GN_ACTION_BYTES_MAX || (i < n && b[i] != ':'))
        return GN_BAD_ACTION;
    m->action = (gn_span){base + action, i - action};
    head->end = i;
    if (i < n)
        code = read_task(b, i + 1, n, cut, base, m, head);
    if (code)
        return code;
    if (head->end < n)
        m->flags |= GN_MSG_PAYLOAD;
    if (type != GN_DATA)
        m->verb = (uint16_t)gn_verb_find(b + action, m->action.len);
    return GN_OK;
}

static void forget(gn_parser *p)
{
    p->scanned = p->need = 0;
    p->counted = 0;
}

/* m is an error of `shown` bytes; go on behind the first LF at or after `past` bytes from here. */
static enum step fail(struct feed *f, gn_msg *m, int code, uint32_t shown, uint32_t past)
{
    m->code = (uint16_t)code;
    m->whole = (gn_span){f->at, shown < GN_HEADER_BYTES_MAX ? shown : GN_HEADER_BYTES_MAX};
    m->payload = (gn_span){0, 0};
    forget(f->parser);
    f->parser->resync = 1;
    f->at += past;
    return STORED;
}

/* m ends after `size` bytes, its LF (if it has one) not counted. */
static enum step take(struct feed *f, gn_msg *m, const struct head *head, uint32_t size)
{
    m->whole = (gn_span){f->at, size};
    if (m->flags & GN_MSG_PAYLOAD)
        m->payload = (gn_span){f->at + head->end + 1, size - head->end - 1};
    forget(f->parser);
    f->at += size;
    if (f->at < f->len && f->buf[f->at] == '\n')
        f->at++;
    return STORED;
}

static int only_nuls(const uint8_t *b, uint32_t n)
{
    while (n && !b[n - 1])
        n--;
    return n == 0;
}

/* The end of a message with len=: the bytes say nothing, the count everything. */
static enum step finish_counted(struct feed *f, gn_msg *m, const struct head *head)
{
    uint32_t avail = f->len - f->at, size;

    if (!(m->flags & GN_MSG_PAYLOAD))
        return head->claim ? fail(f, m, GN_BAD_LEN, head->end, head->end) : take(f, m, head, head->end);
    if (head->claim > f->limit) {
        f->parser->skip = head->claim;
        return fail(f, m, GN_TOO_BIG, head->end, head->end + 1);
    }
    size = head->end + 1 + (uint32_t)head->claim;
    if (avail <= size && !f->final) {
        f->parser->need = size + 1;
        f->parser->counted = 1;
        return WAIT;
    }
    if (avail < size)
        return fail(f, m, GN_TRUNCATED, head->end, avail);
    if (avail == size || f->buf[f->at + size] == '\n')
        return take(f, m, head, size);
    if (f->final && only_nuls(f->buf + f->at + size, avail - size))
        return take(f, m, head, size);
    return fail(f, m, GN_BAD_LEN, head->end, size);
}

/* The end of a message without len=. line: its length where the end was seen, else UINT32_MAX. */
static enum step finish_line(struct feed *f, gn_msg *m, const struct head *head, uint32_t line)
{
    uint32_t avail = f->len - f->at, most = head->end + 1 + f->limit;

    if (line == UINT32_MAX) {
        const uint8_t *b = f->buf + f->at, *lf;
        uint32_t from = f->parser->scanned, to = avail < most + 1 ? avail : most + 1;

        lf = from < to ? memchr(b + from, '\n', to - from) : NULL;
        if (!lf && avail <= most) {
            f->parser->scanned = avail;
            f->parser->need = most + 1;
            return WAIT;
        }
        line = lf ? (uint32_t)(lf - b) : avail;
    }
    if ((m->flags & GN_MSG_PAYLOAD) && line > most)
        return fail(f, m, GN_TOO_BIG, head->end, head->end + 1);
    return take(f, m, head, line);
}

/* A message known to be unfinished at the last feed: is it still? */
static int still_unfinished(gn_parser *p, const uint8_t *b, uint32_t avail)
{
    if (avail >= p->need)
        return 0;
    if (p->counted)
        return 1;
    if (p->scanned < avail && memchr(b + p->scanned, '\n', avail - p->scanned))
        return 0;
    p->scanned = avail;
    return 1;
}

/* How long the line at b is, as far as that matters: its LF among the first 1025 bytes, or
 * anywhere (or the end without trailing NULs) when this feed is final; else UINT32_MAX. */
static uint32_t line_length(const struct feed *f, const uint8_t *b, uint32_t avail)
{
    uint32_t window = GN_HEADER_BYTES_MAX + 1, from = f->parser->scanned;
    uint32_t to = f->final || avail < window ? avail : window;
    const uint8_t *lf = from < to ? memchr(b + from, '\n', to - from) : NULL;

    if (lf)
        return (uint32_t)(lf - b);
    if (!f->final)
        return UINT32_MAX;
    while (avail && !b[avail - 1])
        avail--;
    return avail;
}

static enum step next_message(struct feed *f, gn_msg *m)
{
    const uint8_t *b = f->buf + f->at;
    uint32_t avail = f->len - f->at, line, n;
    struct head head;
    int code, cut;

    if (f->parser->need && !f->final && still_unfinished(f->parser, b, avail))
        return WAIT;
    line = line_length(f, b, avail);
    if (line == UINT32_MAX && avail <= GN_HEADER_BYTES_MAX) {
        f->parser->scanned = avail;
        return WAIT;
    }
    if (line == 1 && b[0] == '\r') { /* a blank line cut inside CR LF, or a CR at the very end */
        forget(f->parser);
        f->at++;
        return DROPPED;
    }
    cut = line > GN_HEADER_BYTES_MAX;
    n = cut ? GN_HEADER_BYTES_MAX + 1 : line;
    memset(m, 0, sizeof *m);
    code = read_head(b, n, cut, f->at, m, &head);
    if (code)
        return fail(f, m, code, n, n);
    if (m->flags & GN_MSG_LEN)
        return finish_counted(f, m, &head);
    return finish_line(f, m, &head, line);
}

/* Throw away what an error left over. */
static void drop_rest(struct feed *f)
{
    gn_parser *p = f->parser;
    const uint8_t *lf;
    uint32_t left = f->len - f->at;

    if (p->skip) {
        uint32_t n = p->skip < left ? (uint32_t)p->skip : left;

        p->skip -= n;
        f->at += n;
        left -= n;
    }
    if (!p->resync || !left)
        return;
    lf = memchr(f->buf + f->at, '\n', left);
    f->at = lf ? (uint32_t)(lf - f->buf) + 1 : f->len;
    p->resync = !lf;
}

static void skip_blank(struct feed *f)
{
    while (f->at < f->len) {
        uint8_t c = f->buf[f->at];

        if (c == '\n' || !c)
            f->at++;
        else if (c == '\r' && f->len - f->at > 1 && f->buf[f->at + 1] == '\n')
            f->at += 2;
        else
            return;
    }
}

size_t gn_parse(gn_parser *parser, const uint8_t *buf, size_t len, int final,
                gn_msg *out, size_t cap, size_t *consumed)
{
    uint32_t most = parser->inline_bytes_max ? parser->inline_bytes_max : GN_INLINE_BYTES_MAX;
    struct feed f = {
        .parser = parser,
        .buf = buf,
        .len = len > BUFFER_MAX ? BUFFER_MAX : (uint32_t)len,
        .limit = most < INLINE_CEILING ? most : INLINE_CEILING,
        .final = final && len <= BUFFER_MAX,
    };
    size_t count = 0;

    for (;;) {
        enum step step;

        if (parser->skip || parser->resync)
            drop_rest(&f);
        if (!parser->need && !parser->scanned)
            skip_blank(&f);
        if (f.at == f.len || count == cap)
            break;
        step = next_message(&f, &out[count]);
        if (step == WAIT)
            break;
        count += step == STORED;
    }
    if (f.final && f.at == f.len) {
        forget(parser);
        parser->skip = 0;
        parser->resync = 0;
    }
    *consumed = f.at;
    return count;
}
