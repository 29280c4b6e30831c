/* test_store.c - a journal on disk: read back what was written, whatever happened to the files and the disk in between.
 *
 * fdatasync is this program's own, so that it can fail when a test says so.
 */
#include "ganglion/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCHES_MAX 20000
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PREFIX "/gn-store-test."
#define BLOB PREFIX HASH

static char base[] = "/tmp/gn-store-XXXXXX";
static char dir[64], blobs[64];
static _Atomic int sync_error;

int fdatasync(int fd)
{
    if (sync_error) {
        errno = sync_error;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

static void check(int ok, const char *what, uint64_t where)
{
    if (ok)
        return;
    fprintf(stderr, "test_store: %s (%" PRIu64 "), files in %s\n", what, where, base);
    umount2(dir, MNT_DETACH);
    shm_unlink(BLOB);
    exit(1);
}

/* ---- a folder ---- */

static void empty_dir(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *entry;

    while (d && (entry = readdir(d)))
        unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
}

static void fresh(void)
{
    empty_dir(dir);
    empty_dir(blobs);
}

static int count_files(const char *suffix)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    int n = 0;

    while (d && (entry = readdir(d)))
        n += strlen(entry->d_name) > strlen(suffix) && !strcmp(entry->d_name + strlen(entry->d_name) - strlen(suffix), suffix);
    if (d)
        closedir(d);
    return n;
}

static void path_of(char path[128], uint64_t segment)
{
    snprintf(path, 128, "%s/%08" PRIu64 ".journal", dir, segment);
}

static off_t size_of(uint64_t segment)
{
    struct stat st;
    char path[128];

    path_of(path, segment);
    return stat(path, &st) ? -1 : st.st_size;
}

static void flip(uint64_t segment, off_t at)
{
    char path[128];
    uint8_t byte;
    int fd;

    path_of(path, segment);
    fd = open(path, O_RDWR);
    check(fd >= 0 && pread(fd, &byte, 1, at) == 1, "open to flip", segment);
    byte ^= 16;
    check(pwrite(fd, &byte, 1, at) == 1, "flip", segment);
    close(fd);
}

/* ---- a store ---- */

static gn_store_config config_of(int policy)
{
    return (gn_store_config){dir, blobs, PREFIX, "main", policy, 1, 1 << 20, 1000};
}

static gn_store *open_it(const gn_store_config *config)
{
    char error[512] = "";
    gn_store *store = gn_store_open(config, error, sizeof error);

    check(store != NULL, error, 0);
    return store;
}

/* What a batch of this number says: so that one look tells whether it is right. */
static size_t text_of(uint64_t batch, char *text, size_t size)
{
    size_t n = (size_t)sprintf(text, "DATA:X:t%" PRIu64 ";ts=1:", batch);

    while (n < size)
        text[n++] = (char)('a' + batch % 26);
    text[n++] = '\n';
    return n;
}

static uint64_t sizes(uint64_t batch)
{
    return batch % 7 * 300;
}

static void write_one(gn_store *store, uint64_t batch)
{
    static char text[4096];

    check(!gn_store_write(store, batch, (const uint8_t *)text, text_of(batch, text, sizes(batch)), 1000), "write", batch);
}

static void until_committed(gn_store *store, uint64_t batch)
{
    struct pollfd ready = {gn_store_fd(store), POLLIN, 0};

    for (int i = 0; gn_store_poll(store) < batch; i++) {
        check(i < 2000, "committed in time", batch);
        poll(&ready, 1, 10);
    }
}

static int failing(gn_store *store)
{
    gn_store_facts facts;

    gn_store_read_facts(store, &facts);
    return facts.failing;
}

static void until_failing(gn_store *store, int wanted)
{
    struct pollfd ready = {gn_store_fd(store), POLLIN, 0};

    for (int i = 0; !failing(store) != !wanted; i++) {
        check(i < 2000, "failing in time", (uint64_t)wanted);
        poll(&ready, 1, 10);
        gn_store_poll(store);
    }
}

/* What was read back. */
static struct {
    uint8_t there[BATCHES_MAX];
    uint64_t last, count;
    int notes, losses;
    char text[16384];
} back;

static void read_back(gn_store *store)
{
    static gn_store_found found;
    static char text[4096];
    int kind;

    memset(&back, 0, sizeof back);
    while ((kind = gn_store_read(store, &found))) {
        if (kind != GN_FOUND_BATCH) {
            back.notes += kind == GN_FOUND_NOTE;
            back.losses += kind == GN_FOUND_LOSS;
            strncat(back.text, found.text, sizeof back.text - strlen(back.text) - 2);
            strcat(back.text, "\n");
            continue;
        }
        check(found.batch < BATCHES_MAX && found.batch > back.last, "each batch once, in order", found.batch);
        check(found.len == text_of(found.batch, text, sizes(found.batch)) && !memcmp(found.bytes, text, found.len), "as it was written", found.batch);
        back.there[found.batch] = 1;
        back.last = found.batch;
        back.count++;
    }
}

static gn_store *recover(const gn_store_config *config)
{
    gn_store *store = open_it(config);
    char error[512] = "";

    read_back(store);
    check(!gn_store_begin(store, 2000, error, sizeof error), error, 0);
    return store;
}

static void write_many(gn_store *store, uint64_t from, uint64_t to)
{
    for (; from <= to; from++)
        write_one(store, from);
}

/* ---- the tests ---- */

static void each_policy(void)
{
    for (int policy = GN_STORE_MEMORY; policy <= GN_STORE_SYNC; policy++) {
        gn_store_config config = config_of(policy);
        gn_store *store;

        fresh();
        config.segment_bytes = 65536;
        for (uint64_t run = 0; run < 3; run++) {
            store = recover(&config);
            check(back.count == run * 500 && back.last == run * 500 && !back.losses && !back.notes, "all that was written is there", run);
            write_many(store, run * 500 + 1, run * 500 + 500);
            if (policy == GN_STORE_MEMORY)
                check(gn_store_poll(store) == run * 500 + 500, "memory commits at once", run);
            until_committed(store, run * 500 + 500);
            gn_store_close(store);
        }
        check(count_files(".journal") > 10, "segments are rolled", (uint64_t)policy);
        for (int i = 0; i < 4; i++)
            gn_store_close(recover(&config));
        store = recover(&config);
        check(back.count == 1500 && count_files(".journal") < 40, "starts alone do not fill the folder", (uint64_t)count_files(".journal"));
        gn_store_close(store);
    }
}

/* What the kernel has is there after the process is gone, whatever the policy: nothing is held back in buffers of our own. */
static void without_close(void)
{
    gn_store_config config = config_of(GN_STORE_GROUP);
    char copy_dir[160];
    gn_store *store;

    fresh();
    store = recover(&config);
    write_many(store, 1, 50);
    snprintf(copy_dir, sizeof copy_dir, "cp -r %s %s/copy", dir, base);
    check(!system(copy_dir), "copy the folder", 0);
    gn_store_close(store);
    snprintf(copy_dir, sizeof copy_dir, "%s/copy", base);
    config.dir = copy_dir;
    store = recover(&config);
    check(back.count == 50 && !back.notes, "written is readable", back.count);
    gn_store_close(store);
    empty_dir(copy_dir);
    rmdir(copy_dir);
}

static void refusals(void)
{
    gn_store_config config = config_of(GN_STORE_SYNC);
    char error[512] = "", path[128];
    gn_store *store;
    int fd;

    fresh();
    store = recover(&config);
    check(!gn_store_open(&config, error, sizeof error) && strstr(error, "another coordinator"), "two writers", 0);
    gn_store_close(store);
    config.instance = "other";
    check(!gn_store_open(&config, error, sizeof error) && strstr(error, "belongs to the instance main"), "another instance", 0);
    config = config_of(GN_STORE_SYNC);
    path_of(path, 1);
    fd = open(path, O_WRONLY);
    check(fd >= 0, "open the segment", 0);
    for (off_t at = 0; at < GN_JOURNAL_START; at += GN_JOURNAL_HEAD_BYTES) {
        uint8_t head[GN_JOURNAL_HEAD_BYTES + 1] = "";
        char sum[16];

        check(pread(open(path, O_RDONLY), head, GN_JOURNAL_HEAD_BYTES, at) == GN_JOURNAL_HEAD_BYTES, "read the head", 0);
        strstr((char *)head, ";v=1")[3] = '9';
        snprintf(sum, sizeof sum, "%08" PRIx32, gn_crc32c(0, head, GN_JOURNAL_HEAD_BYTES - 14));
        memcpy(head + GN_JOURNAL_HEAD_BYTES - 9, sum, 8);
        check(pwrite(fd, head, GN_JOURNAL_HEAD_BYTES, at) == GN_JOURNAL_HEAD_BYTES, "write the head", 0);
    }
    close(fd);
    check(!gn_store_open(&config, error, sizeof error) && strstr(error, "later version"), "a later version", 0);
    config.dir = "/nonexistent/journal";
    check(!gn_store_open(&config, error, sizeof error) && strstr(error, "No such file"), "no such folder", 0);
}

static void torn_tail(void)
{
    gn_store_config config = config_of(GN_STORE_GROUP);
    gn_store *store;
    char path[128];
    off_t whole;
    int fd;

    fresh();
    store = recover(&config);
    write_many(store, 1, 20);
    gn_store_close(store);
    whole = size_of(1);
    path_of(path, 1);
    fd = open(path, O_WRONLY | O_APPEND);
    check(fd >= 0 && write(fd, "DATA:X:late;ts=1:ha", 19) == 19, "half a batch", 0);
    close(fd);
    store = recover(&config);
    check(back.count == 20 && back.notes == 1 && !back.losses, "a torn tail loses nothing that was committed", back.count);
    check(strstr(back.text, "19 bytes") && strstr(back.text, "late"), back.text, 0);
    check(size_of(1) == whole, "it is cut", (uint64_t)size_of(1));
    write_many(store, 21, 30);
    gn_store_close(store);
    store = recover(&config);
    check(back.count == 30 && !back.notes, "and it goes on behind it", back.count);
    gn_store_close(store);
}

static void flipped_bit(void)
{
    gn_store_config config = config_of(GN_STORE_GROUP);
    gn_store *store;
    gn_store_facts facts;
    uint64_t missing = 0;
    char name[32];

    fresh();
    store = recover(&config);
    write_many(store, 1, 40);
    gn_store_close(store);
    flip(1, 9000);
    store = recover(&config);
    for (uint64_t i = 1; i <= 40; i++)
        if (!back.there[i])
            missing = missing ? 99 : i;
    check(back.count == 39 && missing > 1 && missing < 40 && back.losses == 1, "one batch is lost", missing);
    snprintf(name, sizeof name, "t%" PRIu64, missing);
    check(strstr(back.text, name) != NULL && count_files(".damaged") == 1, back.text, missing);
    gn_store_read_facts(store, &facts);
    check(facts.lost_batches == 1, "and counted", facts.lost_batches);
    gn_store_close(store);
    flip(1, 10); /* and now a head */
    store = recover(&config);
    check(back.count == 39 && strstr(back.text, "one of the two heads"), "a head has a second copy", back.count);
    gn_store_close(store);
}

static void gone_segment(void)
{
    gn_store_config config = config_of(GN_STORE_GROUP);
    uint64_t count;
    gn_store *store;
    char path[128];

    fresh();
    config.segment_bytes = 65536;
    store = recover(&config);
    write_many(store, 1, 500);
    gn_store_close(store);
    path_of(path, 3);
    check(!unlink(path), "take one away", 0);
    store = recover(&config);
    count = back.count;
    check(count > 300 && count < 500 && back.last == 500 && strstr(back.text, "segment 3 is missing"), back.text, count);
    check(strstr(back.text, "batches ") != NULL, "by number, too", 0);
    gn_store_close(store);
    path_of(path, 1);
    check(!unlink(path), "and the first", 0);
    store = recover(&config);
    check(back.last == 500 && back.count < count && strstr(back.text, "segment 1 is missing"), back.text, back.count);
    gn_store_close(store);
}

/* Nothing but the file names' own heads, both copies, is destroyed: a neighbour's salt reads the segment. */
static void no_heads(void)
{
    gn_store_config config = config_of(GN_STORE_GROUP);
    gn_store *store;

    fresh();
    config.segment_bytes = 65536;
    store = recover(&config);
    write_many(store, 1, 300);
    gn_store_close(store);
    for (uint64_t segment = 1; segment < 4; segment += 2) {
        flip(segment, 20);
        flip(segment, 300);
    }
    store = recover(&config);
    check(back.count == 300 && back.notes == 2 && !back.losses, back.text, back.count);
    gn_store_close(store);
}

static void forget(void)
{
    gn_store_config config = config_of(GN_STORE_GROUP);
    uint64_t from;
    gn_store *store;
    char path[128];

    fresh();
    config.segment_bytes = 65536;
    store = recover(&config);
    write_many(store, 1, 400);
    from = gn_store_roll(store, 3000);
    check(from > 4, "a new segment", from);
    write_many(store, 401, 450);
    until_committed(store, 450);
    gn_store_forget_below(store, from, 3000);
    write_one(store, 451);
    path_of(path, from - 1);
    for (int i = 0; !access(path, F_OK); i++) {
        check(i < 2000, "deleted in time", from);
        poll(NULL, 0, 5);
    }
    gn_store_close(store);
    store = recover(&config);
    check(back.count == 51 && back.last == 451 && !back.losses && !back.notes, back.text, back.count);
    gn_store_close(store);
    path_of(path, from - 1); /* as if it had died while deleting */
    close(open(path, O_CREAT | O_WRONLY, 0600));
    store = recover(&config);
    check(back.count == 51 && access(path, F_OK), "what was to be deleted is deleted later", back.count);
    gn_store_close(store);
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
    check(gn_store_retry(store, 6000), "it goes on when there is room", batch);
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
        printf("test_store: no mount allowed here (%s): a full disk is tried by RLIMIT_FSIZE only\n", strerror(errno));
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
    signal(SIGXFSZ, SIG_IGN);
    check(mkdtemp(base) != NULL, "a folder", 0);
    snprintf(dir, sizeof dir, "%s/journal", base);
    snprintf(blobs, sizeof blobs, "%s/blobs", base);
    check(!mkdir(dir, 0700), "a folder", 0);
    each_policy();
    without_close();
    refusals();
    torn_tail();
    flipped_bit();
    gone_segment();
    no_heads();
    forget();
    failed_sync();
    file_size_limit();
    full_disk();
    blob_copies();
    blob_without_room();
    fresh();
    rmdir(dir);
    rmdir(blobs);
    rmdir(base);
    printf("test_store: all passed\n");
    return 0;
}
