/* read.c - reading a journal back: every segment in order, each batch once, and words for whatever is not as it was written.
 *
 * The numbers of batches decide what is lost: a segment ends, for the reader, where the next one begins (`until`), so what was
 * written twice after a failed sync is read once, and half a batch that was written again later is no loss.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/internal.h"

#define NAMES_MAX 4096
#define PAGE 4096

static int note(gn_store_found *out, int kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int note(gn_store_found *out, int kind, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(out->text, sizeof out->text, format, arguments);
    va_end(arguments);
    return out->kind = kind;
}

static const gn_journal_head *any_head(const gn_store *store)
{
    for (size_t i = 0; i < store->segment_count; i++)
        if (store->segments[i].head_state == GN_HEAD_WHOLE || store->segments[i].head_state == GN_HEAD_COPY)
            return &store->segments[i].head;
    return NULL;
}

/* ---- one segment ---- */

void gn_image_drop(gn_store *store)
{
    if (store->image)
        munmap(store->image, store->image_cap);
    store->image = NULL;
}

/* Read it whole: from a map, a block that the disk does not give would be a signal, not an answer. */
static int load(gn_store *store, const struct gn_segment *segment)
{
    char name[GN_NAME_BYTES];
    ssize_t n;
    int fd;

    gn_image_drop(store);
    store->image_cap = (segment->bytes / PAGE + 1) * PAGE;
    store->image = mmap(NULL, store->image_cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (store->image == MAP_FAILED) {
        store->image = NULL;
        return -errno;
    }
    gn_segment_name(name, segment->number);
    fd = openat(store->dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    n = gn_read_all(fd, store->image, segment->bytes, &store->unreadable);
    close(fd);
    if (n < 0)
        return (int)n;
    store->image_len = (size_t)n;
    return 0;
}

/* Set a damaged piece aside, as a file: the segment itself goes when the journal is compacted. */
static void set_aside(gn_store *store, const struct gn_segment *segment, const gn_journal_piece *piece)
{
    char name[GN_NAME_BYTES + 24];
    int fd;

    if (!piece->len)
        return;
    snprintf(name, sizeof name, "%08" PRIu64 "-%zu.damaged", segment->number, piece->off);
    fd = openat(store->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (gn_write_all(fd, store->image + piece->off, piece->len, 0))
        unlinkat(store->dir_fd, name, 0);
    close(fd);
}

/* " with the tasks a, b, c and 7 more", or " with no task's name to be read in it". */
static void put_names(const gn_store *store, const gn_journal_piece *piece, char *text, size_t cap)
{
    gn_span *names = malloc(NAMES_MAX * sizeof *names);
    size_t n = names ? gn_journal_names(store->image + piece->off, piece->len, names, NAMES_MAX) : 0, at, i;

    at = (size_t)snprintf(text, cap, n ? "; tasks named there: " : "; no task's name can be read there");
    for (i = 0; i < n && at + names[i].len + 40 < cap; i++)
        at += (size_t)snprintf(text + at, cap - at, "%s%.*s", i ? ", " : "", (int)names[i].len, (const char *)store->image + piece->off + names[i].off);
    if (i < n)
        snprintf(text + at, cap - at, " and %zu%s more", n - i, n == NAMES_MAX ? " or" : "");
    free(names);
}

static int damaged(gn_store *store, const struct gn_segment *segment, gn_store_found *out)
{
    const gn_journal_piece *piece = &store->piece;
    char names[2048] = "", lost[96] = "no batch";

    if (piece->lost_first) {
        store->facts.lost_batches += piece->lost_last - piece->lost_first + 1;
        snprintf(lost, sizeof lost, piece->lost_first == piece->lost_last ? "batch %" PRIu64 : "batches %" PRIu64 " to %" PRIu64,
                 piece->lost_first, piece->lost_last);
    }
    if (!piece->len)
        return note(out, GN_FOUND_LOSS, "journal: segment %" PRIu64 ": %s missing at byte %zu", segment->number, lost, piece->off);
    put_names(store, piece, names, sizeof names);
    set_aside(store, segment, piece);
    return note(out, piece->lost_first ? GN_FOUND_LOSS : GN_FOUND_NOTE,
                "journal: segment %" PRIu64 " is damaged from byte %zu to %zu: %s lost%s; the bytes are kept in %08" PRIu64 "-%zu.damaged",
                segment->number, piece->off, piece->off + piece->len, lost, names, segment->number, piece->off);
}

static int torn(gn_store *store, const struct gn_segment *segment, gn_store_found *out)
{
    const gn_journal_piece *piece = &store->piece;
    char names[2048], name[GN_NAME_BYTES];
    int fd, cut = 0;

    put_names(store, piece, names, sizeof names);
    set_aside(store, segment, piece);
    gn_segment_name(name, segment->number);
    fd = openat(store->dir_fd, name, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        cut = !ftruncate(fd, (off_t)piece->off) && !fdatasync(fd);
        close(fd);
    }
    return note(out, GN_FOUND_TORN,
                "journal: segment %" PRIu64 " ended inside a batch that was never committed: its %zu bytes are %s (nobody was told that it was accepted)%s",
                segment->number, piece->len, cut ? "cut off" : "left out", names);
}

/* ---- the segments in order ---- */

/* A head that is lost does not say where its segment begins: the first batch that is whole does. */
static void look_for_first(gn_store *store, struct gn_segment *segment)
{
    const gn_journal_head *head = any_head(store);
    gn_journal_scan scan;
    gn_journal_piece piece;

    if (!head || segment->bytes <= GN_JOURNAL_START || load(store, segment))
        return;
    gn_journal_scan_begin(&scan, store->image, store->image_len, head, 0, 0);
    while (gn_journal_scan_next(&scan, &piece) && piece.kind != GN_PIECE_BATCH)
        ;
    segment->head.first = piece.kind == GN_PIECE_BATCH ? piece.batch : 0;
    store->unreadable = 0;
}

void gn_segments_bound(gn_store *store)
{
    uint64_t until = 0;

    for (size_t i = store->segment_count; i-- > 0;) {
        struct gn_segment *segment = &store->segments[i];

        if (segment->head_state == GN_HEAD_LOST)
            look_for_first(store, segment);
        segment->until = until;
        if (segment->head.first && segment->head_state >= 0 && (!until || segment->head.first < until))
            until = segment->head.first;
    }
}

static int begin_segment(gn_store *store, gn_store_found *out)
{
    struct gn_segment *segment = &store->segments[store->reading];
    const gn_journal_head *head = segment->head_state == GN_HEAD_LOST ? any_head(store) : &segment->head;
    uint64_t gap = store->missing_from;
    int r;

    if (segment->number > gap && gap) {
        store->missing_from = segment->number;
        if (segment->number == gap + 1)
            return note(out, GN_FOUND_LOSS, "journal: segment %" PRIu64 " is missing", gap);
        return note(out, GN_FOUND_LOSS, "journal: segments %" PRIu64 " to %" PRIu64 " are missing", gap, segment->number - 1);
    }
    store->missing_from = segment->number + 1;
    if (segment->head_state < 0) {
        store->reading++;
        return note(out, GN_FOUND_NOTE, "journal: the file of segment %" PRIu64 " is a copy of segment %" PRIu64 ": left out", segment->number, segment->head.segment);
    }
    r = load(store, segment);
    if (r) {
        store->reading++;
        return note(out, GN_FOUND_LOSS, "journal: segment %" PRIu64 " cannot be read: %s", segment->number, strerror(-r));
    }
    gn_journal_scan_begin(&store->scan, store->image, store->image_len, head,
                          segment->head.first ? segment->head.first : store->next, segment->until);
    store->scanning = 1;
    if (segment->head_state == GN_HEAD_LOST && segment->bytes >= GN_JOURNAL_START)
        return note(out, GN_FOUND_NOTE, "journal: both heads of segment %" PRIu64 " are damaged%s", segment->number,
                    head ? "; it is read with those of another" : ", and no other segment has one: nothing in it can be told from what senders wrote");
    if (segment->head_state == GN_HEAD_COPY && segment->bytes >= GN_JOURNAL_START)
        return note(out, GN_FOUND_NOTE, "journal: one of the two heads of segment %" PRIu64 " is damaged; the other is right", segment->number);
    return 0;
}

static void end_segment(gn_store *store)
{
    if (store->scan.next > store->next)
        store->next = store->scan.next;
    store->scanning = 0;
    store->reading++;
}

int gn_store_read(gn_store *store, gn_store_found *out)
{
    for (;;) {
        struct gn_segment *segment = store->scanning || store->unreadable ? &store->segments[store->reading] : NULL;
        int kind;

        out->kind = GN_FOUND_END;
        if (store->unreadable) {
            size_t bytes = (size_t)store->unreadable;

            store->unreadable = 0;
            return note(out, GN_FOUND_NOTE, "journal: segment %" PRIu64 ": the disk did not give %zu bytes of it", segment->number, bytes);
        }
        if (!store->scanning) {
            if (store->reading == store->segment_count) {
                gn_image_drop(store);
                return GN_FOUND_END;
            }
            kind = begin_segment(store, out);
            if (kind)
                return kind;
            continue;
        }
        kind = gn_journal_scan_next(&store->scan, &store->piece);
        atomic_fetch_add(&store->replay_bytes, store->piece.end - (store->piece.kind ? store->piece.off : store->piece.end));
        if (kind == GN_PIECE_DAMAGE)
            return damaged(store, segment, out);
        if (kind == GN_PIECE_TORN)
            return torn(store, segment, out);
        if (kind == GN_PIECE_END) {
            end_segment(store);
            continue;
        }
        out->bytes = store->image + store->piece.off;
        out->len = store->piece.len;
        out->batch = store->piece.batch;
        return out->kind = GN_FOUND_BATCH;
    }
}
