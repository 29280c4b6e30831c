/* write.c - appending batches, taking room ahead, and what happens when that fails.
 *
 * The file system is asked for room before it is needed: when it has none, the store is failing while all that was
 * accepted still fits (soft). When a write or a sync has failed (hard), the segment is given up: what is not
 * known to be durable is still in fill and flight, and goes into a new segment, whose head says with which number it begins.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/internal.h"

int gn_buffer_add(struct gn_buffer *buffer, const void *bytes, size_t len)
{
    size_t cap = buffer->cap ? buffer->cap : 65536;
    uint8_t *grown;

    if (!len)
        return 0;
    while (cap - buffer->len < len)
        cap *= 2;
    if (cap != buffer->cap) {
        grown = realloc(buffer->bytes, cap);
        if (!grown)
            return -ENOMEM;
        buffer->bytes = grown;
        buffer->cap = cap;
    }
    memcpy(buffer->bytes + buffer->len, bytes, len);
    buffer->len += len;
    return 0;
}

void gn_store_fail(gn_store *store, int error, int hard, const char *what, uint64_t segment)
{
    char name[GN_NAME_BYTES];

    store->hard |= hard;
    store->failing = store->facts.failing = error;
    if (!segment) {
        snprintf(store->facts.why, sizeof store->facts.why, "cannot %s %.300s: %s", what, store->blob_dir, strerror(error));
        return;
    }
    gn_segment_name(name, segment);
    snprintf(store->facts.why, sizeof store->facts.why, "cannot %s %.300s/%s: %s", what, store->dir, name, strerror(error));
}

/* Have the file system set aside up to `want` bytes behind `at`, in smaller pieces when it has not as many. */
static int reserve(gn_store *store, int fd, uint64_t at, uint64_t want, uint64_t *reserved)
{
    while (!store->no_reserve && *reserved < at + want) {
        uint64_t piece = GN_RESERVE_CHUNK;
        int r = -1;

        while (r && piece >= GN_RESERVE_CRUMB) {
            r = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)*reserved, (off_t)piece);
            if (r && errno == EINTR)
                continue;
            if (r && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)) {
                store->no_reserve = 1;
                return 0;
            }
            if (r)
                piece /= 2;
        }
        if (r)
            return -errno;
        *reserved += piece;
    }
    return 0;
}

/* A file of this number with its head in it. The descriptor, or -errno; then there is none. */
static int make_segment(gn_store *store, uint64_t number, uint64_t first, uint64_t now_ms)
{
    gn_journal_head head = {.segment = number, .from = store->from ? store->from : number, .first = first, .salt = store->salt, .ts_ms = now_ms};
    uint8_t bytes[GN_JOURNAL_START];
    char name[GN_NAME_BYTES];
    int fd, r;

    snprintf(head.instance, sizeof head.instance, "%s", store->instance);
    gn_journal_head_write(bytes, &head);
    gn_segment_name(name, number);
    fd = openat(store->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    r = gn_write_all(fd, bytes, sizeof bytes, 0);
    if (r) {
        close(fd);
        unlinkat(store->dir_fd, name, 0);
    }
    return r ? r : fd;
}

/* All that is retained, into a segment of its own. 0 or -errno. */
static int write_retained(gn_store *store, int fd, uint64_t *at, uint64_t *reserved)
{
    int r = reserve(store, fd, *at, store->flight.len + store->fill.len + GN_RESERVE_LEAST, reserved);

    if (!r)
        r = gn_write_all(fd, store->flight.bytes, store->flight.len, *at);
    if (!r)
        r = gn_write_all(fd, store->fill.bytes, store->fill.len, *at + store->flight.len);
    if (!r)
        *at += store->flight.len + store->fill.len;
    return r;
}

/* Let go of the segment being written: the thread makes it durable. What was set aside and not used goes back. */
static int leave(gn_store *store)
{
    struct gn_old *old;
    int r;

    if (store->fd < 0)
        return 0;
    r = ftruncate(store->fd, (off_t)store->at); /* it is as long as that; what lies beyond its end is let go */
    (void)r;
    old = malloc(sizeof *old);
    if (!old)
        return -ENOMEM;
    old->fd = store->fd;
    old->next = store->olds;
    store->olds = old;
    store->fd = -1;
    return 0;
}

int gn_segment_open(gn_store *store, uint64_t first, uint64_t now_ms)
{
    uint64_t number = store->number + 1, at = GN_JOURNAL_START, reserved = GN_JOURNAL_START;
    char name[GN_NAME_BYTES];
    int fd = make_segment(store, number, first, now_ms);
    int r = fd < 0 ? fd : write_retained(store, fd, &at, &reserved);

    if (!r)
        r = gn_note_segment(store, number, at);
    if (!r) {
        r = leave(store);
        store->segment_count -= r != 0;
    }
    if (r) {
        if (fd >= 0) {
            gn_segment_name(name, number);
            close(fd);
            unlinkat(store->dir_fd, name, 0);
        }
        return r;
    }
    store->fd = fd;
    store->number = number;
    store->at = at;
    store->reserved = reserved;
    if (!store->from)
        store->from = number;
    store->new_names = 1;
    return 0;
}

/* Begin the next segment, with nothing in it. While all goes well nothing has to be written again: what is retained is in the last one. */
static int roll(gn_store *store, uint64_t now_ms)
{
    struct gn_buffer fill = store->fill, flight = store->flight;
    int r;

    store->fill = store->flight = (struct gn_buffer){0};
    r = gn_segment_open(store, store->batch + 1, now_ms);
    store->fill = fill;
    store->flight = flight;
    return r;
}

/* Append what stands at the end of fill to the segment. */
static void append(gn_store *store, size_t len)
{
    int r;

    if (store->at >= store->config.segment_bytes && store->at > GN_JOURNAL_START) {
        store->batch--; /* the new segment begins with this batch */
        r = roll(store, store->config.now_ms);
        store->batch++; /* when it cannot be begun nothing is lost yet: the old one goes on growing, as long as it can */
    }
    r = gn_write_all(store->fd, store->fill.bytes + store->fill.len - len, len, store->at);
    if (r) {
        int cut = ftruncate(store->fd, (off_t)store->at);

        (void)cut; /* half a batch at its end would be found and left out, too */
        store->reserved = store->at;
        gn_store_fail(store, -r, 1, "write", store->number);
        return;
    }
    store->at += len;
    store->segments[store->segment_count - 1].bytes += len;
    store->facts.bytes += len;
    store->facts.written_bytes += len;
    r = reserve(store, store->fd, store->at, GN_RESERVE_LEAST, &store->reserved);
    if (r)
        gn_store_fail(store, -r, 0, "find room for more in", store->number);
}

int gn_store_write(gn_store *store, uint64_t batch, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
    uint8_t line[GN_JOURNAL_COMMIT_BYTES_MAX];
    size_t before, n = gn_journal_commit_write(line, store->salt, batch, bytes, len);
    int r;

    pthread_mutex_lock(&store->lock);
    before = store->fill.len;
    r = gn_buffer_add(&store->fill, bytes, len);
    r = r ? r : gn_buffer_add(&store->fill, line, n);
    if (r) {
        store->fill.len = before;
        pthread_mutex_unlock(&store->lock);
        return r;
    }
    store->config.now_ms = now_ms;
    store->batch = batch;
    if (!store->hard)
        append(store, len + n);
    if (!store->hard && store->config.policy == GN_STORE_MEMORY) {
        store->committed = batch;
        store->fill.len = 0;
    }
    gn_sync_wake(store);
    pthread_mutex_unlock(&store->lock);
    return 0;
}

int gn_store_retry(gn_store *store, uint64_t now_ms)
{
    int r = 0;

    store->config.now_ms = now_ms;
    pthread_mutex_lock(&store->lock);
    if (store->held) { /* the thread will tell */
        store->held = 0;
        gn_sync_wake(store);
    } else if (store->facts.failing && !(store->hard && store->busy)) {
        if (store->hard) {
            r = gn_segment_open(store, store->committed + 1, now_ms);
            if (r)
                gn_store_fail(store, -r, 1, "begin", store->number + 1);
        } else {
            r = reserve(store, store->fd, store->at, GN_RESERVE_LEAST, &store->reserved);
            if (r)
                gn_store_fail(store, -r, 0, "find room for more in", store->number);
        }
        if (!r) {
            store->hard = store->failing = store->facts.failing = 0;
            store->facts.why[0] = 0;
            if (store->config.policy == GN_STORE_MEMORY) {
                store->committed = store->batch;
                store->fill.len = store->flight.len = 0;
            }
            gn_sync_wake(store);
        }
    }
    r = !store->facts.failing;
    pthread_mutex_unlock(&store->lock);
    return r;
}

uint64_t gn_store_roll(gn_store *store, uint64_t now_ms)
{
    uint64_t number = 0;
    int r = -EAGAIN;

    store->config.now_ms = now_ms;
    pthread_mutex_lock(&store->lock);
    if (!store->hard)
        r = roll(store, now_ms);
    if (!r)
        number = store->number;
    gn_sync_wake(store);
    pthread_mutex_unlock(&store->lock);
    errno = -r;
    return number;
}

void gn_store_forget_below(gn_store *store, uint64_t from, uint64_t now_ms)
{
    uint64_t before = store->from;

    store->from = from;
    if (!gn_store_roll(store, now_ms)) {
        store->from = before; /* the next checkpoint will do it */
        return;
    }
    pthread_mutex_lock(&store->lock);
    store->delete_below = from;
    gn_sync_wake(store);
    pthread_mutex_unlock(&store->lock);
}
