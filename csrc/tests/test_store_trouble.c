/* test_store_trouble.c - a journal whose disk fails, is full, or has no room for a blob: nothing is committed that is not safe, and it
 * goes on by itself.
 *
 * fdatasync is this program's own, so that it can fail when a test says so.
 */
#include "store_check.h"

static _Atomic int sync_error;

int fdatasync(int fd)
{
    if (sync_error) {
        errno = sync_error;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

static void failed_sync(void)
{
    gn_store_config config = config_of(GN_STORE_SYNC);
    gn_store *store;

    fresh();
    store = recover(&config);
    write_many(store, 1, 10);
    until_committed(store, 10);
    sync_error = EIO;
    write_many(store, 11, 15);
    until_failing(store, 1);
    check(gn_store_poll(store) == 10, "not committed without the disk", gn_store_poll(store));
    write_many(store, 16, 20);
    gn_store_retry(store, 4000); /* the disk still fails: written again, but not committed */
    until_failing(store, 1);
    check(gn_store_poll(store) == 10, "not committed without the disk", gn_store_poll(store));
    sync_error = 0;
    while (!gn_store_retry(store, 4000))
        poll(NULL, 0, 5);
    until_committed(store, 20);
    write_many(store, 21, 30);
    until_committed(store, 30);
    gn_store_close(store);
    flip(1, (off_t)GN_JOURNAL_START + 10 * 960); /* what was not known to be on disk may be anything */
    store = recover(&config);
    check(back.count == 30 || (back.count == 29 && back.losses == 1), "each batch once", back.count);
    gn_store_close(store);
}

/* Write until it fails, go on while it fails, make room, and see that everything is there once. */
static void fill_and_make_room(gn_store_config *config, void (*room)(int more))
{
    uint64_t batch = 0, kept;
    gn_store *store = recover(config);
    gn_store_facts facts;

    while (!failing(store) && batch < 10000)
        write_one(store, ++batch);
    check(batch > 20 && batch < 10000, "it is noticed that there is no room", batch);
    gn_store_read_facts(store, &facts);
    check(strstr(facts.why, "cannot ") != NULL && facts.failing, facts.why, batch);
    if (strstr(facts.why, "find room"))
        until_committed(store, batch); /* noticed ahead: what was accepted has found room */
    kept = gn_store_poll(store);
    write_many(store, batch + 1, batch + 2000); /* outcomes go on; they no longer fit */
    batch += 2000;
    gn_store_retry(store, 5000);
    check(failing(store), "still no room", batch);
    check(gn_store_poll(store) >= kept && gn_store_poll(store) < batch, "what does not fit waits", gn_store_poll(store));
    room(1);
    for (int i = 0; !gn_store_retry(store, 6000); i++) { /* a sync may still be under way */
        check(i < 2000, "it goes on when there is room", batch);
        poll(NULL, 0, 5);
    }
    write_many(store, batch + 1, batch + 10);
    batch += 10;
    until_committed(store, batch);
    gn_store_close(store);
    store = recover(config);
    check(back.count == batch && !back.losses, back.text, back.count);
    gn_store_close(store);
}

static void limit(int more)
{
    struct rlimit now;

    getrlimit(RLIMIT_FSIZE, &now);
    now.rlim_cur = more ? now.rlim_max : 700000;
    check(!setrlimit(RLIMIT_FSIZE, &now), "RLIMIT_FSIZE", 0);
}

/* A segment that cannot be begun costs nothing: the old one goes on. */
static void no_new_segment(void)
{
    gn_store_config config = config_of(GN_STORE_SYNC);
    struct rlimit before, now;
    gn_store *store;

    fresh();
    store = recover(&config);
    write_many(store, 1, 5);
    getrlimit(RLIMIT_FSIZE, &before);
    now = before;
    now.rlim_cur = 100;
    check(!setrlimit(RLIMIT_FSIZE, &now), "RLIMIT_FSIZE", 0);
    check(!gn_store_roll(store, 2000) && errno == EFBIG && !failing(store), "no new one, and no harm", (uint64_t)errno);
    setrlimit(RLIMIT_FSIZE, &before);
    write_many(store, 6, 10);
    until_committed(store, 10);
    gn_store_close(store);
    check(count_files(".journal") == 1, "nothing of it is left", 0);
    store = recover(&config);
    check(back.count == 10 && !back.notes && !back.losses, back.text, back.count);
    gn_store_close(store);
}

static void file_size_limit(void)
{
    for (int policy = GN_STORE_MEMORY; policy <= GN_STORE_SYNC; policy++) {
        gn_store_config config = config_of(policy);

        fresh();
        config.segment_bytes = 64 << 20;
        limit(0);
        fill_and_make_room(&config, limit);
        limit(1);
    }
}

static void ballast(int more)
{
    char path[128];
    int fd;

    snprintf(path, sizeof path, "%s/ballast", dir);
    unlink(path);
    if (more)
        return;
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    check(fd >= 0 && !posix_fallocate(fd, 0, 14 << 20), "ballast", 0);
    close(fd);
}

static void full_disk(void)
{
    if (mount("tmpfs", dir, "tmpfs", 0, "size=16m")) {
        printf("test_store_trouble: no mount allowed here (%s): a full disk is tried by RLIMIT_FSIZE only\n", strerror(errno));
        return;
    }
    for (int policy = GN_STORE_MEMORY; policy <= GN_STORE_SYNC; policy++) {
        gn_store_config config = config_of(policy);

        empty_dir(dir);
        ballast(0);
        fill_and_make_room(&config, ballast);
        ballast(1);
    }
    check(!umount(dir), "umount", 0);
}

/* ---- blobs ---- */

static const char hash[] = HASH;

static int wanted(void *arg, const char *name)
{
    return *(int *)arg && !strcmp(name, hash);
}

static void blob_copies(void)
{
    gn_store_config config = config_of(GN_STORE_GROUP);
    char path[160];
    gn_store *store;
    struct stat st;
    int fd, keep = 1;

    fresh();
    snprintf(path, sizeof path, "%s/%s", blobs, hash);
    fd = shm_open(BLOB, O_RDWR | O_CREAT, 0600);
    check(fd >= 0 && !ftruncate(fd, 200000) && pwrite(fd, "end", 3, 199997) == 3, "a blob", 0);
    close(fd);
    store = recover(&config);
    gn_store_blob_keep(store, hash);
    write_one(store, 1);
    until_committed(store, 1);
    check(!stat(path, &st) && st.st_size == 200000, "a copy is there before the batch is committed", 0);
    check(gn_store_blob_restore(store, hash) == 1, "nothing to restore", 0);
    shm_unlink(BLOB);
    check(gn_store_blob_restore(store, hash) == 1, "restored", 0);
    fd = shm_open(BLOB, O_RDWR, 0);
    check(fd >= 0 && !fstat(fd, &st) && st.st_size == 200000, "as long as it was", 0);
    check(!ftruncate(fd, 5), "as if the restore had been cut short", 0);
    close(fd);
    check(gn_store_blob_restore(store, hash) == 1, "restored again", 0);
    fd = shm_open(BLOB, O_RDONLY, 0);
    check(fd >= 0 && !fstat(fd, &st) && st.st_size == 200000, "as long as it was", 0);
    close(fd);
    gn_store_blob_sweep(store, wanted, &keep);
    check(!access(path, F_OK), "a wanted copy stays", 0);
    gn_store_blob_drop(store, hash);
    check(access(path, F_OK), "a dropped one goes", 0);
    shm_unlink(BLOB);
    check(gn_store_blob_restore(store, hash) == 0, "no copy", 0);
    gn_store_blob_keep(store, hash); /* a blob that is nowhere holds nothing up */
    write_one(store, 2);
    until_committed(store, 2);
    gn_store_close(store);
}

/* The copy does not fit: nothing is committed, until it does. */
static void blob_without_room(void)
{
    gn_store_config config = config_of(GN_STORE_GROUP);
    gn_store *store;
    int fd;

    fresh();
    fd = shm_open(BLOB, O_RDWR | O_CREAT, 0600);
    check(fd >= 0 && !ftruncate(fd, 3000000), "a blob", 0);
    close(fd);
    store = recover(&config);
    limit(0);
    gn_store_blob_keep(store, hash);
    write_one(store, 1);
    until_failing(store, 1);
    check(gn_store_poll(store) == 0, "not without its blob", 0);
    limit(1);
    gn_store_retry(store, 7000);
    until_committed(store, 1);
    until_failing(store, 0);
    shm_unlink(BLOB);
    gn_store_close(store);
}

int main(void)
{
    start();
    failed_sync();
    no_new_segment();
    file_size_limit();
    full_disk();
    blob_copies();
    blob_without_room();
    return finish();
}
