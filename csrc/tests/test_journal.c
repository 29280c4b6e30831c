/* test_journal.c - the form of a journal: known checksums, every cut, every flipped bit, forgeries, gaps.
 *
 * Buffers handed to the scanner are heap blocks of exactly their length, so that ASan sees one byte too far.
 */
#include "journal/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SALT UINT64_C(0x0123456789abcdef)
#define BATCHES 5

static void die(const char *what, size_t where)
{
    fprintf(stderr, "test_journal: %s (at %zu)\n", what, where);
    exit(1);
}

static void check(int ok, const char *what, size_t where)
{
    if (!ok)
        die(what, where);
}

static uint8_t *copy(const void *bytes, size_t len)
{
    uint8_t *block = malloc(len ? len : 1);

    check(block != NULL, "out of memory", len);
    return memcpy(block, bytes, len);
}

/* ---- checksums ---- */

static void known_sums(void)
{
    uint8_t bytes[48];

    check(gn_crc32c(0, (const uint8_t *)"123456789", 9) == 0xE3069283, "crc of 123456789", 0);
    memset(bytes, 0, 32); /* the vectors of RFC 3720, B.4 */
    check(gn_crc32c(0, bytes, 32) == 0x8A9136AA, "crc of zeros", 0);
    memset(bytes, 255, 32);
    check(gn_crc32c(0, bytes, 32) == 0x62A8AB43, "crc of ones", 0);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    check(gn_crc32c(0, bytes, 32) == 0x46DD794E, "crc going up", 0);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    check(gn_crc32c(0, bytes, 32) == 0x113FDB5C, "crc going down", 0);
    check(gn_crc32c(7, bytes, 0) == 7, "nothing changes nothing", 0);
}

/* The processor's way and the tables agree at every length and alignment, in one piece and in two. */
static void sums_agree(void)
{
    uint8_t bytes[300];
    uint32_t x = 1;

    for (size_t i = 0; i < sizeof bytes; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(x >> 24);
    }
    for (size_t off = 0; off < 9; off++)
        for (size_t len = 0; len + off <= 270; len++) {
            uint8_t *block = copy(bytes + off, len);
            uint32_t whole = gn_crc32c(5, block, len);

            check(whole == gn_crc32c_table(5, block, len), "the tables disagree", len);
            check(whole == gn_crc32c(gn_crc32c(5, block, len / 3), block + len / 3, len - len / 3), "in two pieces", len);
            free(block);
        }
}

/* ---- a small segment ---- */

struct segment {
    uint8_t *bytes;
    size_t len;
    size_t begin[BATCHES + 1]; /* of each batch, and the end */
};

static const char *const lines[BATCHES] = {
    "DATA:X:t1;ts=1:one\nDATA:X:t2;ts=1;len=3:\n\n\n\n", "RESPONSE:TASK_COMPLETED:t1;ts=2:yes\n", "DATA:X:t3;ts=3:three\n",
    "CONTROL:CANCEL:t2;ts=4\n", "DATA:X:t4;ts=5:four\nDATA:X:t5;ts=5:five\nDATA:X:t4;ts=5:again\n"};

static gn_journal_head head_of(uint64_t segment, uint64_t first)
{
    gn_journal_head head = {.segment = segment, .from = 1, .first = first, .salt = SALT, .ts_ms = 1700000000000};

    snprintf(head.instance, sizeof head.instance, "main");
    return head;
}

static void append(struct segment *s, const void *bytes, size_t len)
{
    s->bytes = realloc(s->bytes, s->len + len);
    check(s->bytes != NULL, "out of memory", len);
    memcpy(s->bytes + s->len, bytes, len);
    s->len += len;
}

static void append_batch(struct segment *s, uint64_t batch, const void *bytes, size_t len, uint64_t salt)
{
    uint8_t line[GN_JOURNAL_COMMIT_BYTES_MAX];
    size_t n = gn_journal_commit_write(line, salt, batch, bytes, len);

    check(n <= sizeof line && line[n - 1] == '\n', "a commit line", n);
    append(s, bytes, len);
    append(s, line, n);
}

static struct segment make(uint64_t segment, uint64_t first)
{
    struct segment s = {0};
    gn_journal_head head = head_of(segment, first);

    s.bytes = malloc(GN_JOURNAL_START);
    check(s.bytes != NULL, "out of memory", 0);
    gn_journal_head_write(s.bytes, &head);
    s.len = GN_JOURNAL_START;
    for (size_t i = 0; i < BATCHES; i++) {
        s.begin[i] = s.len;
        append_batch(&s, first + i, lines[i], strlen(lines[i]), SALT);
    }
    s.begin[BATCHES] = s.len;
    return s;
}

/* What a scan found: bit i of good is batch first + i; each must be what was written. */
struct found {
    unsigned good, lost;
    size_t torn, damaged;
    uint64_t next;
};

static void note_loss(struct found *found, const gn_journal_piece *piece, uint64_t first)
{
    for (uint64_t n = piece->lost_first; n && n <= piece->lost_last; n++)
        if (n >= first && n < first + 32)
            found->lost |= 1U << (n - first);
}

static struct found scan(const uint8_t *bytes, size_t len, const gn_journal_head *head, uint64_t first, uint64_t until)
{
    struct found found = {0};
    gn_journal_scan scan;
    gn_journal_piece piece;
    size_t at = len < GN_JOURNAL_START ? len : GN_JOURNAL_START;

    gn_journal_scan_begin(&scan, bytes, len, head, first, until);
    while (gn_journal_scan_next(&scan, &piece)) {
        check(piece.off == at && piece.off + piece.len <= piece.end && piece.end <= len, "pieces lie end to end", piece.off);
        at = piece.end;
        note_loss(&found, &piece, first);
        if (piece.kind == GN_PIECE_TORN)
            found.torn = piece.len;
        if (piece.kind == GN_PIECE_DAMAGE)
            found.damaged += piece.len;
        if (piece.kind != GN_PIECE_BATCH)
            continue;
        check(piece.batch >= first && piece.batch < first + BATCHES, "a batch nobody wrote", (size_t)piece.batch);
        check(piece.len == strlen(lines[piece.batch - first]) && !memcmp(bytes + piece.off, lines[piece.batch - first], piece.len),
              "a batch is not what was written", (size_t)piece.batch);
        found.good |= 1U << (piece.batch - first);
    }
    found.next = scan.next;
    check(gn_journal_scan_next(&scan, &piece) == GN_PIECE_END, "the end stays the end", 0);
    return found;
}

static struct found scan_copy(const uint8_t *bytes, size_t len, uint64_t first, uint64_t until)
{
    uint8_t *block = copy(bytes, len);
    gn_journal_head head, own = head_of(1, first);
    struct found found = scan(block, len, gn_journal_head_read(block, len, &head) == GN_HEAD_LOST ? &own : &head, first, until);

    free(block);
    return found;
}

static void heads(void)
{
    struct segment s = make(12, 7);
    gn_journal_head head;

    check(gn_journal_head_read(s.bytes, s.len, &head) == GN_HEAD_WHOLE, "a head is read", 0);
    check(head.segment == 12 && head.first == 7 && head.from == 1 && head.salt == SALT && head.ts_ms == 1700000000000 &&
              head.version == GN_JOURNAL_VERSION && !strcmp(head.instance, "main"),
          "a head says what was written", 0);
    for (size_t bit = 0; bit < GN_JOURNAL_START * 8; bit++) {
        s.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        check(gn_journal_head_read(s.bytes, s.len, &head) == GN_HEAD_COPY && head.first == 7, "one copy is enough", bit);
        s.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < GN_JOURNAL_START; len++) {
        uint8_t *block = copy(s.bytes, len);

        check(gn_journal_head_read(block, len, &head) == (len < GN_JOURNAL_HEAD_BYTES ? GN_HEAD_LOST : GN_HEAD_COPY), "a short head", len);
        free(block);
    }
    free(s.bytes);
}

static void longest_lines(void)
{
    gn_journal_head head = {UINT64_MAX - 9, UINT64_MAX - 9, UINT64_MAX - 9, UINT64_MAX, UINT64_MAX - 9, 1, "abcdefghijklmnopqrstuvwxyz-0123-"}, out;
    uint8_t bytes[GN_JOURNAL_START], line[GN_JOURNAL_COMMIT_BYTES_MAX];

    gn_journal_head_write(bytes, &head);
    check(gn_journal_head_read(bytes, sizeof bytes, &out) == GN_HEAD_WHOLE && !strcmp(out.instance, head.instance), "the longest head", 0);
    check(gn_journal_commit_write(line, UINT64_MAX, UINT64_MAX - 9, bytes, sizeof bytes) < sizeof line, "the longest commit line", 0);
}

static void a_later_version(void)
{
    struct segment s = make(1, 1);
    gn_journal_head head;
    char sum[16];

    for (size_t at = 0; at < GN_JOURNAL_START; at += GN_JOURNAL_HEAD_BYTES) {
        char *v = memmem(s.bytes + at, GN_JOURNAL_HEAD_BYTES, ";v=1", 4);

        check(v != NULL, "a version", at);
        v[3] = '2';
        snprintf(sum, sizeof sum, "%08" PRIx32, gn_crc32c(0, s.bytes + at, GN_JOURNAL_HEAD_BYTES - 14));
        memcpy(s.bytes + at + GN_JOURNAL_HEAD_BYTES - 9, sum, 8);
    }
    check(gn_journal_head_read(s.bytes, s.len, &head) == GN_HEAD_NEWER && head.version == 2, "a later version is told", 0);
    free(s.bytes);
}

static void whole(void)
{
    struct segment s = make(1, 1);
    struct found found = scan_copy(s.bytes, s.len, 1, 0);

    check(found.good == 31 && !found.lost && !found.torn && !found.damaged && found.next == 6, "a whole segment", 0);
    found = scan_copy(s.bytes, s.len, 1, 4); /* 4 and 5 were written again in the next one */
    check(found.good == 7 && !found.lost && !found.damaged && found.next == 4, "what the next segment has is left out", 0);
    free(s.bytes);
}

/* Cut anywhere: the batches closed before the cut, and a tail that is as long as what is left. */
static void every_cut(void)
{
    struct segment s = make(1, 1);

    for (size_t len = 0; len <= s.len; len++) {
        struct found found = scan_copy(s.bytes, len, 1, 0);
        size_t closed = 0;

        while (closed < BATCHES && s.begin[closed + 1] <= len)
            closed++;
        check(found.good == (1U << closed) - 1 && !found.lost && !found.damaged && found.next == closed + 1, "closed before the cut", len);
        check(found.torn == (len > GN_JOURNAL_START ? len - s.begin[closed] : 0), "the torn tail", len);
        found = scan_copy(s.bytes, len, 1, BATCHES + 1);
        check(found.good == (1U << closed) - 1 && found.lost == 31U - ((1U << closed) - 1) && found.next == BATCHES + 1, "lost before the next segment", len);
    }
    free(s.bytes);
}

static void every_flipped_bit(void)
{
    struct segment s = make(1, 1);

    for (size_t bit = 0; bit < s.len * 8; bit++) {
        size_t hit = 0;
        struct found found;
        unsigned rest;

        s.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        found = scan_copy(s.bytes, s.len, 1, 0);
        s.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        while (hit < BATCHES && s.begin[hit + 1] <= bit / 8)
            hit++;
        rest = bit / 8 < GN_JOURNAL_START ? 31 : 31 & ~(1U << hit);
        check(found.good == rest, "a flipped bit loses its batch, and only that", bit);
        if (rest == 31)
            check(!found.lost && !found.damaged && !found.torn, "the head has a second copy", bit);
        else if (hit == BATCHES - 1) /* its commit line may be what is damaged: then it is a torn tail */
            check(found.torn || found.lost == 1U << hit, "the last is lost or torn", bit);
        else
            check(found.lost == 1U << hit && !found.torn, "the loss is told by number", bit);
    }
    free(s.bytes);
}

/* Any run of bytes gone to zero: what lies wholly outside is kept. */
static void every_hole(void)
{
    struct segment s = make(1, 1);
    uint8_t *bytes = malloc(s.len);

    check(bytes != NULL, "out of memory", 0);
    for (size_t from = 0; from < s.len; from += 7)
        for (size_t to = from + 1; to <= s.len; to += 31) {
            unsigned kept = 0;

            memcpy(bytes, s.bytes, s.len);
            memset(bytes + from, 0, to - from);
            for (size_t i = 0; i < BATCHES; i++)
                if (s.begin[i + 1] <= from || s.begin[i] >= to)
                    kept |= 1U << i;
            check(scan_copy(bytes, s.len, 1, 0).good == kept, "a hole loses what it touches, and only that", from);
            check(scan_copy(bytes, s.len, 1, 6).lost == (31 & ~kept), "and all of that is told", from);
        }
    free(bytes);
    free(s.bytes);
}

/* A payload that holds batches made without the salt, and those of another journal: never taken for genuine, damaged or not. */
static void forgeries(void)
{
    struct segment s = make(1, 1), all = {0};
    uint8_t forged[4096];
    size_t n = 0, at;
    unsigned good = 0;
    gn_journal_scan scan;
    gn_journal_piece piece;
    gn_journal_head head = head_of(1, 1);

    memcpy(forged, "DATA:X:evil;len=9999:\n", 22);
    n = 22;
    for (uint64_t i = 1; i < 20; i++) {
        n += (size_t)sprintf((char *)forged + n, "CONTROL:FORGET:t%" PRIu64 "\n", i);
        n += gn_journal_commit_write(forged + n, SALT + 1, i, forged, i % 2 ? n : 17);
    }
    append(&all, s.bytes, s.begin[2]);
    at = all.len;
    append_batch(&all, 3, forged, n, SALT);
    append_batch(&all, 4, lines[3], strlen(lines[3]), SALT);
    for (size_t hit = at; hit < all.len; hit += 5) {
        all.bytes[hit] ^= 4;
        good = 0;
        gn_journal_scan_begin(&scan, all.bytes, all.len, &head, 1, 5);
        while (gn_journal_scan_next(&scan, &piece)) {
            if (piece.kind == GN_PIECE_BATCH)
                good |= 1U << piece.batch;
            check(piece.kind != GN_PIECE_BATCH || piece.batch < 3 || piece.batch == 4 || piece.len == n, "a forged batch was taken", hit);
            check(piece.kind != GN_PIECE_BATCH || piece.off < at || piece.off >= at + n || piece.len == n, "a forged batch was taken", hit);
        }
        check((good & 6) == 6, "the batches before it are there", hit);
        all.bytes[hit] ^= 4;
    }
    free(all.bytes);
    free(s.bytes);
}

/* Blocks of this very journal, in the wrong place: an old batch does not come back. */
static void stale_blocks(void)
{
    struct segment s = make(1, 1), all = {0};
    gn_journal_scan scan;
    gn_journal_piece piece;
    gn_journal_head head = head_of(1, 1);
    uint64_t last = 0;

    append(&all, s.bytes, s.begin[4]);
    append(&all, s.bytes + s.begin[0], s.begin[2] - s.begin[0]);
    append(&all, s.bytes + s.begin[4], s.begin[5] - s.begin[4]);
    gn_journal_scan_begin(&scan, all.bytes, all.len, &head, 1, 0);
    while (gn_journal_scan_next(&scan, &piece)) {
        check(!piece.lost_first, "nothing is missed", piece.off);
        if (piece.kind == GN_PIECE_BATCH) {
            check(piece.batch == last + 1, "in order, each once", (size_t)piece.batch);
            last = piece.batch;
        }
    }
    check(last == 5, "to the end", (size_t)last);
    free(all.bytes);
    free(s.bytes);
}

/* A segment between two is gone, and one has neither a head nor a neighbour. */
static void gaps(void)
{
    struct segment s = make(1, 1);
    gn_journal_scan scan;
    gn_journal_piece piece;
    gn_journal_head head = head_of(1, 1);

    gn_journal_scan_begin(&scan, s.bytes, s.len, &head, 1, 40);
    while (gn_journal_scan_next(&scan, &piece) == GN_PIECE_BATCH)
        ;
    check(piece.kind == GN_PIECE_DAMAGE && !piece.len && piece.lost_first == 6 && piece.lost_last == 39, "missing batches are told by number", 0);
    check(gn_journal_scan_next(&scan, &piece) == GN_PIECE_END && scan.next == 40, "and then it goes on", 0);
    gn_journal_scan_begin(&scan, s.bytes, s.len, NULL, 0, 0);
    check(gn_journal_scan_next(&scan, &piece) == GN_PIECE_DAMAGE && piece.len == s.len - GN_JOURNAL_START, "without a salt nothing is genuine", 0);
    check(gn_journal_scan_next(&scan, &piece) == GN_PIECE_END, "and then it ends", 0);
    free(s.bytes);
}

static void names(void)
{
    static const char text[] = "DATA:X:t1;ts=1:one\ngarbage\xff\nRESPONSE:TASK_COMPLETED:t1;ts=2\nCONTROL:PAUSE:p:X\nCONTROL:COMMIT:3;bytes=1\nDATA:X:t2;tr";
    gn_span found[4];
    uint8_t *block = copy(text, sizeof text - 1);
    size_t n = gn_journal_names(block, sizeof text - 1, found, 4);

    check(n >= 1 && found[0].len == 2 && !memcmp(block + found[0].off, "t1", 2), "a damaged range names its tasks", n);
    check(n <= 2, "each once, and only tasks", n);
    check(gn_journal_names(block, sizeof text - 1, found, 0) == 0, "no room", 0);
    free(block);
}

/* Anything at all: the scan ends, and its pieces lie end to end. */
static void noise(void)
{
    struct segment s = make(1, 1);
    uint32_t x = 7;
    uint8_t *bytes = malloc(s.len);

    check(bytes != NULL, "out of memory", 0);
    for (int round = 0; round < 20000; round++) {
        memcpy(bytes, s.bytes, s.len);
        for (int i = 0; i < round % 23; i++) {
            size_t to, from;

            x = x * 1664525 + 1013904223;
            to = x % s.len;
            x = x * 1664525 + 1013904223;
            from = x % s.len;
            memmove(bytes + to, s.bytes + from, (x >> 9) % (s.len - (to > from ? to : from)));
        }
        scan_copy(bytes, s.len, 1, (uint64_t)(round % 8));
    }
    free(bytes);
    free(s.bytes);
}

int main(void)
{
    known_sums();
    sums_agree();
    heads();
    longest_lines();
    a_later_version();
    whole();
    every_cut();
    every_flipped_bit();
    every_hole();
    forgeries();
    stale_blocks();
    gaps();
    names();
    noise();
    printf("test_journal: all passed (crc32c by %s)\n", gn_crc32c_how());
    return 0;
}
