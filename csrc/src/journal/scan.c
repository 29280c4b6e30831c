/* scan.c - what in a segment's bytes is whole.
 *
 * A scan goes from one genuine commit line to the next; what stands between two is a batch when the number, the length and
 * the checksum say so. Nothing between them is interpreted: a batch is good or not. Each byte is searched once and
 * checksummed at most twice.
 */
#include <string.h>

#include "ganglion/plant.h"
#include "journal/internal.h"

#define COMMIT "CONTROL:COMMIT:"
#define NAMES_AT_ONCE 64

void gn_journal_scan_begin(gn_journal_scan *scan, const uint8_t *buf, size_t len, const gn_journal_head *head,
                           uint64_t next, uint64_t until)
{
    *scan = (gn_journal_scan){.buf = buf, .len = len, .next = next, .until = until, .blind = head == NULL};
    scan->at = len < GN_JOURNAL_START ? len : GN_JOURNAL_START;
    if (head)
        scan->salt = head->salt;
}

struct commit {
    size_t at, len;
    uint64_t batch, bytes;
    uint32_t crc;
    size_t covered;
};

/* The first genuine commit line at or behind `from`. */
static int find_commit(const gn_journal_scan *scan, size_t from, uint32_t salted, struct commit *out)
{
    const uint8_t *buf = scan->buf, *found;

    for (; from < scan->len; from = out->at + 1) {
        found = memmem(buf + from, scan->len - from, COMMIT, sizeof COMMIT - 1);
        if (!found)
            return 0;
        out->at = (size_t)(found - buf);
        out->len = gn_journal_commit_read(found, scan->len - out->at, salted, &out->batch, &out->bytes, &out->crc, &out->covered);
        if (out->len)
            return 1;
    }
    return 0;
}

static int is_whole(const gn_journal_scan *scan, const struct commit *c, uint32_t salted)
{
    if (c->bytes > c->at - scan->at) /* it would begin before what is already told */
        return 0;
    if (GN_PLANTED(CHECKSUM))
        return 1;
    return gn_crc32c(gn_crc32c(salted, scan->buf + c->at - c->bytes, c->bytes), scan->buf + c->at, c->covered) == c->crc;
}

static int give(gn_journal_scan *scan, gn_journal_piece *out, int kind, size_t off, size_t end)
{
    *out = (gn_journal_piece){.kind = kind, .off = off, .len = end - off, .end = end};
    scan->at = end;
    return kind;
}

/* Damage from here to end, and with it the batches before `next`. */
static int damage(gn_journal_scan *scan, gn_journal_piece *out, size_t end, uint64_t next)
{
    give(scan, out, GN_PIECE_DAMAGE, scan->at, end);
    if (scan->next && next > scan->next) {
        out->lost_first = scan->next;
        out->lost_last = next - 1;
    }
    if (next > scan->next)
        scan->next = next;
    return GN_PIECE_DAMAGE;
}

/* No genuine commit line is left. */
static int rest(gn_journal_scan *scan, gn_journal_piece *out)
{
    if (scan->until && scan->next < scan->until && (scan->next || scan->at < scan->len))
        return damage(scan, out, scan->len, scan->until);
    if (scan->at < scan->len && scan->blind)
        return damage(scan, out, scan->len, scan->next);
    if (GN_PLANTED(TAIL) && scan->at < scan->len && !scan->until) {
        size_t begin = scan->at;
        give(scan, out, GN_PIECE_BATCH, begin, scan->len);
        out->batch = scan->next++;
        return GN_PIECE_BATCH;
    }
    if (scan->at < scan->len && !scan->until)
        return give(scan, out, GN_PIECE_TORN, scan->at, scan->len);
    return give(scan, out, GN_PIECE_END, scan->len, scan->len);
}

int gn_journal_scan_next(gn_journal_scan *scan, gn_journal_piece *out)
{
    uint32_t salted = gn_journal_salted(scan->salt);
    struct commit c;
    size_t begin;

    if (scan->held) {
        scan->held = 0;
        scan->at = scan->ahead.end;
        scan->next = scan->ahead.batch + 1;
        *out = scan->ahead;
        return out->kind;
    }
    if (scan->blind || !find_commit(scan, scan->at, salted, &c))
        return rest(scan, out);
    if (scan->until && c.batch >= scan->until) {
        if (scan->next && scan->next < scan->until)
            return damage(scan, out, c.at - (c.bytes < c.at - scan->at ? (size_t)c.bytes : c.at - scan->at), scan->until);
        return give(scan, out, GN_PIECE_END, scan->len, scan->len);
    }
    if (c.batch < scan->next) /* of an older journal, or one that stood here before: nothing that is missed */
        return damage(scan, out, c.at + c.len, scan->next);
    if (!is_whole(scan, &c, salted))
        return damage(scan, out, c.at + c.len, c.batch + 1);
    begin = c.at - (size_t)c.bytes;
    scan->ahead = (gn_journal_piece){GN_PIECE_BATCH, begin, (size_t)c.bytes, c.batch, 0, 0, c.at + c.len};
    scan->held = 1;
    if (begin > scan->at || (scan->next && c.batch > scan->next))
        return damage(scan, out, begin, c.batch);
    return gn_journal_scan_next(scan, out);
}

/* ---- names ---- */

static int named(const uint8_t *buf, const gn_span *out, size_t n, gn_span name)
{
    for (size_t i = 0; i < n; i++)
        if (out[i].len == name.len && !memcmp(buf + out[i].off, buf + name.off, name.len))
            return 1;
    return 0;
}

/* Lines that are about the journal itself, an action or nobody's task. */
static int has_task(const uint8_t *buf, const gn_msg *m)
{
    static const char *const others[] = {"JOURNAL", "COMMIT", "CHECKPOINT", "PAUSE", "RESUME", "LIMIT"};

    if (m->code || !(m->flags & GN_MSG_TASK) || !m->task.len)
        return 0;
    for (size_t i = 0; m->type == GN_CONTROL && i < sizeof others / sizeof *others; i++)
        if (m->action.len == strlen(others[i]) && !memcmp(buf + m->action.off, others[i], m->action.len))
            return 0;
    return 1;
}

size_t gn_journal_names(const uint8_t *buf, size_t len, gn_span *out, size_t cap)
{
    gn_parser parser = {0};
    gn_msg messages[NAMES_AT_ONCE];
    size_t at = 0, n = 0, used, count;

    do {
        count = gn_parse(&parser, buf + at, len - at, 1, messages, NAMES_AT_ONCE, &used);
        for (size_t i = 0; i < count && n < cap; i++) {
            gn_span name = messages[i].task;

            if (!has_task(buf + at, &messages[i]))
                continue;
            name.off += (uint32_t)at;
            if (!named(buf, out, n, name))
                out[n++] = name;
        }
        at += used;
    } while (count && n < cap);
    return n;
}
