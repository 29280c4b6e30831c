/* frame.c - head lines and commit lines, written and read.
 *
 * They are read strictly, by exactly the form in which they are written: whatever else is in a journal came from senders.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "journal/internal.h"

#define SUM_BYTES 13 /* ";sum=" and eight digits */
#define COMMIT "CONTROL:COMMIT:"
#define HEAD "CONTROL:JOURNAL:"

uint32_t gn_journal_salted(uint64_t salt)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(salt >> (56 - 8 * i));
    return gn_crc32c(0, bytes, sizeof bytes);
}

/* ---- reading: a cursor over one line; once something is not as expected, it stays so ---- */

struct cursor {
    const uint8_t *p, *end;
    int bad;
};

static void expect(struct cursor *c, const char *word)
{
    size_t n = strlen(word);

    if (c->bad || (size_t)(c->end - c->p) < n || memcmp(c->p, word, n))
        c->bad = 1;
    else
        c->p += n;
}

/* A decimal number as it is written: no sign, no zero in front (but for width digits, when width is not 0). */
static uint64_t number(struct cursor *c, size_t width)
{
    const uint8_t *begin = c->p;
    uint64_t n = 0;

    for (; !c->bad && c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++) {
        if (n > (UINT64_MAX - 9) / 10)
            c->bad = 1;
        n = n * 10 + (uint64_t)(*c->p - '0');
    }
    if (c->p == begin || (*begin == '0' && c->p - begin > 1 && (size_t)(c->p - begin) != width))
        c->bad = 1;
    return n;
}

static uint64_t hex(struct cursor *c, int digits)
{
    uint64_t n = 0;

    for (int i = 0; i < digits && !c->bad; i++) {
        int d = c->p < c->end ? *c->p : 0;

        if (d >= '0' && d <= '9')
            n = n << 4 | (uint64_t)(d - '0');
        else if (d >= 'a' && d <= 'f')
            n = n << 4 | (uint64_t)(d - 'a' + 10);
        else
            c->bad = 1;
        c->p++;
    }
    return n;
}

/* ---- commit lines ---- */

size_t gn_journal_commit_write(uint8_t *dst, uint64_t salt, uint64_t batch, const uint8_t *bytes, size_t len)
{
    char *line = (char *)dst;
    uint32_t salted = gn_journal_salted(salt), crc;
    int n = snprintf(line, GN_JOURNAL_COMMIT_BYTES_MAX, COMMIT "%" PRIu64 ";bytes=%zu", batch, len);

    crc = gn_crc32c(salted, bytes, len);
    crc = gn_crc32c(crc, dst, (size_t)n);
    n += snprintf(line + n, GN_JOURNAL_COMMIT_BYTES_MAX - (size_t)n, ";crc=%08" PRIx32, crc);
    n += snprintf(line + n, GN_JOURNAL_COMMIT_BYTES_MAX - (size_t)n, ";sum=%08" PRIx32 "\n", gn_crc32c(salted, dst, (size_t)n));
    return (size_t)n;
}

size_t gn_journal_commit_read(const uint8_t *text, size_t len, uint32_t salted, uint64_t *batch, uint64_t *bytes, uint32_t *crc,
                              size_t *covered)
{
    struct cursor c = {text, text + (len < GN_JOURNAL_COMMIT_BYTES_MAX ? len : GN_JOURNAL_COMMIT_BYTES_MAX), 0};
    size_t summed;

    expect(&c, COMMIT);
    *batch = number(&c, 0);
    expect(&c, ";bytes=");
    *bytes = number(&c, 0);
    *covered = (size_t)(c.p - text);
    expect(&c, ";crc=");
    *crc = (uint32_t)hex(&c, 8);
    summed = (size_t)(c.p - text);
    expect(&c, ";sum=");
    if (c.bad || gn_crc32c(salted, text, summed) != (uint32_t)hex(&c, 8))
        return 0;
    expect(&c, "\n");
    return c.bad || !*batch ? 0 : (size_t)(c.p - text);
}

/* ---- heads ---- */

void gn_journal_head_write(uint8_t *dst, const gn_journal_head *head)
{
    char line[GN_JOURNAL_HEAD_BYTES + 1];
    int n = snprintf(line, sizeof line,
                     HEAD "%08" PRIu64 ";v=%d;from=%" PRIu64 ";first=%" PRIu64 ";salt=%016" PRIx64 ";ts=%" PRIu64 ";instance=%.32s;pad=",
                     head->segment, GN_JOURNAL_VERSION, head->from, head->first, head->salt, head->ts_ms, head->instance);
    size_t end = GN_JOURNAL_HEAD_BYTES - SUM_BYTES - 1; /* the longest there can be is 226 bytes */

    memset(line + n, '_', end - (size_t)n);
    snprintf(line + end, SUM_BYTES + 2, ";sum=%08" PRIx32 "\n", gn_crc32c(0, (const uint8_t *)line, end));
    memcpy(dst, line, GN_JOURNAL_HEAD_BYTES);
    memcpy(dst + GN_JOURNAL_HEAD_BYTES, line, GN_JOURNAL_HEAD_BYTES);
}

/* Of one copy: 1 right, 0 not; -1: right as far as the version, which is a later one (its form is not known to us). */
static int read_copy(const uint8_t *text, gn_journal_head *out)
{
    struct cursor c = {text, text + GN_JOURNAL_HEAD_BYTES, 0};
    size_t end = GN_JOURNAL_HEAD_BYTES - SUM_BYTES - 1, n;
    struct cursor sum = {text + end, c.end, 0};

    memset(out, 0, sizeof *out);
    expect(&c, HEAD);
    out->segment = number(&c, 8);
    expect(&c, ";v=");
    out->version = (uint32_t)number(&c, 0);
    expect(&sum, ";sum=");
    if (gn_crc32c(0, text, end) != (uint32_t)hex(&sum, 8))
        sum.bad = 1;
    expect(&sum, "\n");
    if (c.bad || !out->segment || !out->version || sum.bad)
        return 0;
    if (out->version > GN_JOURNAL_VERSION)
        return -1;
    expect(&c, ";from=");
    out->from = number(&c, 0);
    expect(&c, ";first=");
    out->first = number(&c, 0);
    expect(&c, ";salt=");
    out->salt = hex(&c, 16);
    expect(&c, ";ts=");
    out->ts_ms = number(&c, 0);
    expect(&c, ";instance=");
    for (n = 0; !c.bad && c.p < c.end && *c.p != ';'; c.p++)
        if (n < sizeof out->instance - 1)
            out->instance[n++] = (char)*c.p;
    expect(&c, ";pad=");
    return !c.bad && out->first;
}

int gn_journal_head_read(const uint8_t *buf, size_t len, gn_journal_head *out)
{
    gn_journal_head second;
    int a = len >= GN_JOURNAL_HEAD_BYTES ? read_copy(buf, out) : 0;
    int b = len >= GN_JOURNAL_START ? read_copy(buf + GN_JOURNAL_HEAD_BYTES, &second) : 0;

    if (!a && b)
        *out = second;
    if (a < 0 || (!a && b < 0))
        return GN_HEAD_NEWER;
    if (a && b)
        return GN_HEAD_WHOLE;
    if (a || b)
        return GN_HEAD_COPY;
    memset(out, 0, sizeof *out);
    return GN_HEAD_LOST;
}
