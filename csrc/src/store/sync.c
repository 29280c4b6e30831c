/* sync.c - the thread that waits for the disk.
 *
 * It takes what has been written so far (fill becomes flight), copies the blobs that it refers to, syncs the files that were left
 * and the one being written, and says up to which batch all is committed. Under `memory` nothing is synced but what a
 * checkpoint replaces: old segments are not deleted before the new ones are on disk, whatever the policy.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "store/internal.h"

static void tell(gn_store *store)
{
    uint64_t one = 1;
    ssize_t n = write(store->notify, &one, sizeof one);

    (void)n; /* full means readable */
}

static int has_work(const gn_store *store)
{
    return !store->hard && !store->held &&
           (store->batch > store->committed || store->olds || store->copies || store->delete_below);
}

/* It is woken when there is something to do and it sleeps for want of it: not for each batch while a sync is under way or waits for its time. */
void gn_sync_wake(gn_store *store)
{
    if (store->idle && has_work(store)) {
        store->idle = 0;
        pthread_cond_signal(&store->work);
    }
}

/* `group`: one sync per group_ms over any stretch of time, and one beyond it: a task that comes alone is accepted and
 * answered without waiting twice (GCRA: ITU-T I.371, with a tolerance of one). With the lock. */
static void keep_distance(gn_store *store)
{
    int64_t pause = (int64_t)store->config.group_ms * 1000, until = store->sync_due_us - pause, now;
    struct timespec at = {until / 1000000, until % 1000000 * 1000};

    if (store->config.policy != GN_STORE_GROUP)
        return;
    while ((now = gn_monotonic_us()) < until && !store->stop)
        pthread_cond_timedwait(&store->work, &store->lock, &at);
    store->sync_due_us = (now > store->sync_due_us ? now : store->sync_due_us) + pause;
}

/* What one round of the thread is about: taken with the lock, done without. */
struct round {
    struct gn_old *olds;
    struct gn_copy *copies;
    uint64_t batch, delete_below, number;
    int fd, names, durable;
};

static struct round take(gn_store *store)
{
    struct round round = {store->olds, store->copies, store->batch, store->delete_below, store->number, store->fd, store->new_names,
                          store->config.policy != GN_STORE_MEMORY || store->delete_below};
    struct gn_buffer empty = store->flight;

    store->olds = NULL;
    store->copies = NULL;
    store->delete_below = 0;
    store->new_names = 0;
    if (!store->flight.len) {
        store->flight = store->fill;
        store->fill = empty;
    } else if (!gn_buffer_add(&store->flight, store->fill.bytes, store->fill.len)) {
        store->fill.len = 0;
    } else {
        round.batch = store->flight_batch; /* no memory to take more: what was in flight is done again alone */
    }
    store->flight_batch = round.batch;
    store->busy = 1;
    return round;
}

/* Segments that a checkpoint needs, when nothing but it will sync them. */
static int sync_from(const gn_store *store, uint64_t from, uint64_t to)
{
    char name[GN_NAME_BYTES];
    int r = 0;

    for (; !r && from < to; from++) {
        int fd;

        gn_segment_name(name, from);
        fd = openat(store->dir_fd, name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        r = fdatasync(fd) ? -errno : 0;
        close(fd);
    }
    return r;
}

static int sync_files(const gn_store *store, const struct round *round)
{
    int r = 0;

    for (const struct gn_old *old = round->olds; old; old = old->next)
        if (round->durable && fdatasync(old->fd))
            r = -errno;
    if (round->durable && round->fd >= 0 && fdatasync(round->fd))
        r = -errno;
    if (!r && store->config.policy == GN_STORE_MEMORY && round->delete_below)
        r = sync_from(store, round->delete_below, round->number);
    if (!r && round->durable && (round->names || round->delete_below) && fsync(store->dir_fd))
        r = -errno;
    return r;
}

/* The blobs, then the lines that refer to them. 0 or -errno; *of_blob: it was a blob. */
static int carry_out(gn_store *store, struct round *round, int *of_blob)
{
    int r = 0;

    while (round->copies && !r) {
        struct gn_copy *copy = round->copies;

        r = gn_copy_blob(store, copy->hash, round->durable);
        if (r) {
            *of_blob = 1;
            return r;
        }
        round->copies = copy->next;
        free(copy);
    }
    return sync_files(store, round);
}

/* With the lock. */
static void delete_old(gn_store *store, uint64_t below)
{
    char name[GN_NAME_BYTES];
    size_t kept = 0;

    for (size_t i = 0; i < store->segment_count; i++) {
        struct gn_segment *segment = &store->segments[i];

        if (segment->number >= below) {
            store->segments[kept++] = *segment;
            continue;
        }
        gn_segment_name(name, segment->number);
        unlinkat(store->dir_fd, name, 0); /* the oldest first */
        store->facts.bytes -= segment->bytes;
    }
    store->segment_count = kept;
    store->facts.segments = kept;
}

static void put_back(gn_store *store, struct round *round)
{
    struct gn_copy **end = &round->copies;

    while (*end)
        end = &(*end)->next;
    *end = store->copies;
    store->copies = round->copies;
    if (round->delete_below > store->delete_below)
        store->delete_below = round->delete_below;
    store->new_names |= round->names;
}

/* With the lock. The files that were left are closed either way: when a sync failed, all of it is written again. */
static void settle(gn_store *store, struct round *round, int r, int of_blob)
{
    int failing = store->facts.failing;

    store->busy = 0;
    if (r && of_blob) {
        struct gn_old **end = &round->olds;

        while (*end)
            end = &(*end)->next;
        *end = store->olds; /* not synced yet */
        store->olds = round->olds;
        round->olds = NULL;
        put_back(store, round);
        store->held = 1;
        gn_store_fail(store, -r, 0, "copy a blob into", 0);
    } else if (r) {
        put_back(store, round);
        gn_store_fail(store, -r, 1, "sync", round->number);
    } else {
        if (round->batch > store->committed)
            store->committed = round->batch;
        store->flight.len = 0;
        if (failing && !store->hard && store->copying) {
            store->failing = store->facts.failing = 0;
            store->facts.why[0] = 0;
        }
        if (round->delete_below)
            delete_old(store, round->delete_below);
    }
    store->copying = r && of_blob;
    while (round->olds) {
        struct gn_old *old = round->olds;

        round->olds = old->next;
        close(old->fd);
        free(old);
    }
    tell(store);
}

static void *work(void *arg)
{
    gn_store *store = arg;

    pthread_mutex_lock(&store->lock);
    for (;;) {
        struct round round;
        int64_t began;
        int r, of_blob = 0;

        while (!store->stop && !has_work(store)) {
            store->idle = 1;
            pthread_cond_wait(&store->work, &store->lock);
        }
        store->idle = 0;
        if (has_work(store))
            keep_distance(store);
        if (!has_work(store)) {
            if (store->stop)
                break;
            continue;
        }
        round = take(store);
        began = gn_monotonic_us();
        pthread_mutex_unlock(&store->lock);
        r = carry_out(store, &round, &of_blob);
        pthread_mutex_lock(&store->lock);
        store->facts.syncs += (uint64_t)round.durable;
        store->facts.sync_us_last = (uint64_t)(gn_monotonic_us() - began);
        if (store->facts.sync_us_last > store->facts.sync_us_max)
            store->facts.sync_us_max = store->facts.sync_us_last;
        settle(store, &round, r, of_blob);
    }
    pthread_mutex_unlock(&store->lock);
    return NULL;
}

int gn_sync_start(gn_store *store)
{
    sigset_t all, old;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are for the threads that wait for them */
    r = pthread_create(&store->thread, NULL, work, store);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    store->running = !r;
    return -r;
}

void gn_sync_stop(gn_store *store)
{
    if (!store->running)
        return;
    pthread_mutex_lock(&store->lock);
    store->stop = 1;
    pthread_cond_signal(&store->work);
    pthread_mutex_unlock(&store->lock);
    pthread_join(store->thread, NULL);
    store->running = 0;
}
