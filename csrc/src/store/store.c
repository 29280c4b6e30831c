/* store.c - a journal's life: opened and locked, its heads read, begun, closed. */
#include "ganglion/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/internal.h"

static int open_dir(gn_store *store, char *error, size_t cap)
{
    store->dir_fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir_fd < 0) {
        snprintf(error, cap, "cannot open the journal's directory %s: %s", store->dir, strerror(errno));
        return -errno;
    }
    if (flock(store->dir_fd, LOCK_EX | LOCK_NB)) {
        int r = -errno;

        snprintf(error, cap, r == -EWOULDBLOCK ? "another coordinator writes the journal in %s" : "cannot lock the journal in %s: %s", store->dir, strerror(-r));
        return r;
    }
    if (faccessat(store->dir_fd, ".", W_OK, 0)) {
        snprintf(error, cap, "the journal's directory %s may not be written to: %s", store->dir, strerror(errno));
        return -errno;
    }
    return 0;
}

static int read_head(gn_store *store, struct gn_segment *segment, char *error, size_t cap)
{
    uint8_t bytes[GN_JOURNAL_START];
    char name[GN_NAME_BYTES];
    uint64_t unreadable = 0;
    ssize_t n;
    int fd;

    gn_segment_name(name, segment->number);
    fd = openat(store->dir_fd, name, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -errno : gn_read_all(fd, bytes, sizeof bytes, &unreadable);
    if (fd >= 0)
        close(fd);
    if (n < 0) {
        snprintf(error, cap, "cannot read %s/%s: %s", store->dir, name, strerror((int)-n));
        return (int)n;
    }
    segment->head_state = gn_journal_head_read(bytes, (size_t)n, &segment->head);
    if (segment->head_state == GN_HEAD_NEWER) {
        snprintf(error, cap, "%s/%s has the form v=%" PRIu32 " of a later version of Ganglion; this one reads up to v=%d", store->dir, name,
                 segment->head.version, GN_JOURNAL_VERSION);
        return -EPROTO;
    }
    if (segment->head_state == GN_HEAD_LOST)
        return 0;
    if (strcmp(segment->head.instance, store->instance)) {
        snprintf(error, cap, "the journal in %s belongs to the instance %s, not to %s", store->dir, segment->head.instance, store->instance);
        return -EPERM;
    }
    if (segment->head.segment != segment->number)
        segment->head_state = -1;
    return 0;
}

/* Segments that the newest head says nobody needs: a coordinator died while it was deleting them. */
static void drop_below(gn_store *store)
{
    char name[GN_NAME_BYTES];
    size_t kept = 0;

    for (size_t i = 0; i < store->segment_count; i++) {
        struct gn_segment *segment = &store->segments[i];

        if (segment->number >= store->from) {
            store->segments[kept++] = *segment;
            continue;
        }
        gn_segment_name(name, segment->number);
        unlinkat(store->dir_fd, name, 0);
        store->facts.bytes -= segment->bytes;
    }
    store->segment_count = store->facts.segments = kept;
}

static int read_heads(gn_store *store, char *error, size_t cap)
{
    uint64_t total = 0;

    for (size_t i = 0; i < store->segment_count; i++) {
        struct gn_segment *segment = &store->segments[i];
        int r = read_head(store, segment, error, cap);

        if (r)
            return r;
        if (segment->head_state < 0 || segment->head_state == GN_HEAD_LOST)
            continue;
        store->salt = segment->head.salt;
        store->from = segment->head.from;
    }
    if (!store->segment_count) {
        ssize_t n = getrandom(&store->salt, sizeof store->salt, 0);

        if (n != sizeof store->salt) {
            snprintf(error, cap, "the system gives no random numbers: %s", strerror(errno));
            return -EIO;
        }
        return 0;
    }
    drop_below(store);
    store->number = store->segment_count ? store->segments[store->segment_count - 1].number : store->from;
    gn_segments_bound(store);
    store->missing_from = store->from;
    for (size_t i = 0; i < store->segment_count; i++)
        total += store->segments[i].bytes > GN_JOURNAL_START ? store->segments[i].bytes - GN_JOURNAL_START : 0;
    store->replay_bytes_total = total;
    return 0;
}

static int set_up(gn_store *store, const gn_store_config *config)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&store->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&store->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    store->config = *config;
    store->dir_fd = store->fd = -1;
    store->dir = strdup(config->dir);
    store->blob_dir = strdup(config->blob_dir ? config->blob_dir : "");
    store->shm_prefix = strdup(config->shm_prefix ? config->shm_prefix : "");
    store->instance = strdup(config->instance);
    store->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return store->dir && store->blob_dir && store->shm_prefix && store->instance && store->notify >= 0 ? 0 : -1;
}

gn_store *gn_store_open(const gn_store_config *config, char *error, size_t cap)
{
    gn_store *store = calloc(1, sizeof *store);
    int r;

    if (!store || set_up(store, config)) {
        snprintf(error, cap, "no memory or no descriptor left for the journal");
        gn_store_close(store);
        return NULL;
    }
    r = open_dir(store, error, cap);
    if (!r) {
        r = gn_list_segments(store);
        if (r)
            snprintf(error, cap, "cannot list %s: %s", store->dir, strerror(-r));
    }
    if (r || read_heads(store, error, cap)) {
        gn_store_close(store);
        return NULL;
    }
    return store;
}

/* What was read may be in the page cache only, and is about to be built on. What a coordinator that was killed had set aside
 * behind the end of its last segment goes back. */
static void make_durable(gn_store *store)
{
    char name[GN_NAME_BYTES];

    for (size_t i = 0; i < store->segment_count; i++) {
        struct stat st;
        int fd;

        gn_segment_name(name, store->segments[i].number);
        fd = openat(store->dir_fd, name, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (!fstat(fd, &st) && ftruncate(fd, st.st_size)) {
            /* it keeps the room, and nothing else is wrong */
        }
        if (store->config.policy != GN_STORE_MEMORY)
            fdatasync(fd);
        close(fd);
    }
    if (store->config.policy != GN_STORE_MEMORY)
        fsync(store->dir_fd); /* their names, too */
}

/* The last segment, when no batch was ever written to it. */
static void drop_empty(gn_store *store)
{
    struct gn_segment *last = store->segment_count ? &store->segments[store->segment_count - 1] : NULL;
    char name[GN_NAME_BYTES];

    if (!last || last->bytes > GN_JOURNAL_START || last->number == store->from)
        return;
    gn_segment_name(name, last->number);
    if (unlinkat(store->dir_fd, name, 0))
        return;
    store->facts.bytes -= last->bytes;
    store->segment_count--;
    store->facts.segments--;
    store->number--;
}

int gn_store_begin(gn_store *store, uint64_t now_ms, char *error, size_t cap)
{
    int r;

    store->config.now_ms = now_ms;
    make_durable(store);
    drop_empty(store);
    store->batch = store->committed = store->next ? store->next - 1 : 0;
    pthread_mutex_lock(&store->lock);
    r = gn_segment_open(store, store->batch + 1, now_ms);
    if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG || r == -EIO) {
        gn_store_fail(store, -r, 1, "begin", store->number + 1);
        r = 0;
    }
    pthread_mutex_unlock(&store->lock);
    if (r) {
        snprintf(error, cap, "cannot begin a segment of the journal in %s: %s", store->dir, strerror(-r));
        return r;
    }
    r = gn_sync_start(store);
    if (r)
        snprintf(error, cap, "cannot start the journal's thread: %s", strerror(-r));
    return r;
}

static void free_lists(gn_store *store)
{
    while (store->olds) {
        struct gn_old *old = store->olds;

        store->olds = old->next;
        close(old->fd);
        free(old);
    }
    while (store->copies) {
        struct gn_copy *copy = store->copies;

        store->copies = copy->next;
        free(copy);
    }
}

void gn_store_close(gn_store *store)
{
    if (!store)
        return;
    if (store->running && store->facts.failing)
        gn_store_retry(store, store->config.now_ms);
    gn_sync_stop(store);
    gn_image_drop(store);
    if (store->fd >= 0) {
        int r = ftruncate(store->fd, (off_t)store->at);

        (void)r; /* what is set aside goes back */
        close(store->fd);
    }
    free_lists(store);
    free(store->fill.bytes);
    free(store->flight.bytes);
    free(store->segments);
    free(store->dir);
    free(store->blob_dir);
    free(store->shm_prefix);
    free(store->instance);
    if (store->dir_fd >= 0)
        close(store->dir_fd);
    if (store->notify >= 0)
        close(store->notify);
    pthread_cond_destroy(&store->work);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

int gn_store_fd(const gn_store *store)
{
    return store->notify;
}

int gn_store_failing(const gn_store *store)
{
    return store->failing;
}

uint64_t gn_store_poll(gn_store *store)
{
    uint64_t counter, committed;
    ssize_t n = read(store->notify, &counter, sizeof counter);

    (void)n;
    pthread_mutex_lock(&store->lock);
    committed = store->committed;
    pthread_mutex_unlock(&store->lock);
    return committed;
}

void gn_store_read_facts(gn_store *store, gn_store_facts *out)
{
    pthread_mutex_lock(&store->lock);
    *out = store->facts;
    out->batch = store->batch;
    out->committed = store->committed;
    out->retained_bytes = store->fill.len + store->flight.len;
    out->replay_bytes = store->replay_bytes;
    out->replay_bytes_total = store->replay_bytes_total;
    pthread_mutex_unlock(&store->lock);
}
