/* journal.h - the form of a journal: head lines, commit lines, checksums, and a scanner that finds what is whole.
 *
 * Owns: the bytes of a segment file. Knows nothing of files, clocks or what the lines in a batch mean: the same
 * functions serve the coordinator's disk (store.h), a simulator's memory and a tool that looks at a segment.
 *
 * A segment is GN_JOURNAL_START bytes of head (the same line twice, so that a damaged block of one copy costs nothing)
 * and then batches: lines of the protocol, closed by a commit line
 *
 *     CONTROL:JOURNAL:<segment>;v=1;from=<segment>;first=<batch>;salt=<16 hex>;ts=<ms>;instance=<name>;pad=__;sum=<8 hex>
 *     CONTROL:COMMIT:<batch>;bytes=<n>;crc=<8 hex>;sum=<8 hex>
 *
 * crc is CRC32C over the salt, the n bytes before the commit line, and the commit line up to ";crc="; sum is CRC32C
 * over the salt (not in a head line) and the line up to ";sum=". The salt is 64 random bits that no sender ever sees:
 * a payload may hold what looks like a commit line, but not one whose sum is right. So a commit line is known for
 * genuine by itself, and after damage the next batch is found by it. Batches are numbered from 1 through all segments.
 *
 * To change the form: give it the next v=, keep reading the old ones. The first line of a segment keeps its first two
 * fields and v= for ever.
 */
#ifndef GANGLION_JOURNAL_H
#define GANGLION_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "ganglion/wire.h"

// <cdef>
#define GN_JOURNAL_VERSION 1
#define GN_JOURNAL_HEAD_BYTES 256        /* of one copy of the head, LF included */
#define GN_JOURNAL_START 512             /* where the first batch begins */
#define GN_JOURNAL_COMMIT_BYTES_MAX 108  /* LF included */

/* Go on from crc (0: begin) over len bytes: CRC-32C (Castagnoli), as in iSCSI and ext4. */
uint32_t gn_crc32c(uint32_t crc, const uint8_t *bytes, size_t len);
const char *gn_crc32c_how(void); /* "sse4.2", "armv8" or "table": what this processor gave us */

typedef struct gn_journal_head {
    uint64_t segment;  /* its number, from 1; also its file's name */
    uint64_t from;     /* the oldest segment that a replay needs, as known when this one was begun */
    uint64_t first;    /* the number its first batch has or would have had */
    uint64_t salt;
    uint64_t ts_ms;    /* when it was begun, Unix time */
    uint32_t version;
    char instance[33]; /* NUL-terminated, letters digits - _ */
} gn_journal_head;

/* Both copies, GN_JOURNAL_START bytes; version is ours whatever head says. dst has room for that many. */
void gn_journal_head_write(uint8_t *dst, const gn_journal_head *head);
/* The commit line for these bytes into dst (room for GN_JOURNAL_COMMIT_BYTES_MAX). Its length. */
size_t gn_journal_commit_write(uint8_t *dst, uint64_t salt, uint64_t batch, const uint8_t *bytes, size_t len);

#define GN_HEAD_WHOLE 0   /* both copies are right */
#define GN_HEAD_COPY 1    /* one of them is damaged */
#define GN_HEAD_LOST 2    /* neither can be read, or the segment is shorter than one */
#define GN_HEAD_NEWER 3   /* right, but of a later version than this program reads */

/* Read the head of a segment whose first len bytes are buf: GN_HEAD_*. *out is zero when lost. */
int gn_journal_head_read(const uint8_t *buf, size_t len, gn_journal_head *out);

#define GN_PIECE_END 0    /* that was all of the segment */
#define GN_PIECE_BATCH 1  /* a whole batch: its lines, without the commit line */
#define GN_PIECE_DAMAGE 2 /* bytes that are no batch, or batches that should be here and are not */
#define GN_PIECE_TORN 3   /* the rest of the last segment: a batch that was never closed */

typedef struct gn_journal_piece {
    int kind;
    size_t off, len;     /* in the segment; len may be 0 for damage: the bytes are gone altogether */
    uint64_t batch;      /* BATCH: its number */
    uint64_t lost_first; /* DAMAGE: numbers lost, 0 and 0: none (nothing that was ever closed) */
    uint64_t lost_last;
    size_t end;          /* where the next piece begins: behind the commit line of a batch */
} gn_journal_piece;

typedef struct gn_journal_scan {
    const uint8_t *buf;
    size_t len, at;
    uint64_t salt;
    uint64_t next;        /* the number of the batch that should come now; 0: any */
    uint64_t until;
    int blind;            /* no salt: nothing can be known for genuine */
    int held;             /* a good batch was found behind damage: it comes next */
    gn_journal_piece ahead;
} gn_journal_scan;

/* Begin to scan a segment. head: as read, or, when it is lost, the head of a neighbour (all segments of a journal have one
 * salt), or NULL: then nothing can be known for genuine. next: the number of the batch that should come first: what the
 * segment's own head says, or where the one before it ended; 0: unknown. until: the first batch of the segment after it
 * (0: there is none). What this segment has from there on has been written again in the next one, after a write that
 * failed, and is left out. buf must stay. */
void gn_journal_scan_begin(gn_journal_scan *scan, const uint8_t *buf, size_t len, const gn_journal_head *head,
                           uint64_t next, uint64_t until);
/* The next piece. Its kind. After the end, scan->next is the number of the next batch. Time is linear in the bytes, whatever they hold. */
int gn_journal_scan_next(gn_journal_scan *scan, gn_journal_piece *out);

/* The tasks named in damaged bytes, as far as they can be read: each once, in order, up to cap of them. How many. */
size_t gn_journal_names(const uint8_t *buf, size_t len, gn_span *out, size_t cap);
// </cdef>

#endif
