/* store_check.h - for the tests of csrc/src/store: a folder, batches that tell by themselves whether they are right, and reading back. */
#ifndef GN_STORE_CHECK_H
#define GN_STORE_CHECK_H

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
static inline void check(int ok, const char *what, uint64_t where)
{
    if (ok)
        return;
    fprintf(stderr, "%s: %s (%" PRIu64 "), files in %s\n", program_invocation_short_name, what, where, base);
    umount2(dir, MNT_DETACH);
    shm_unlink(BLOB);
    exit(1);
}

/* ---- a folder ---- */

static inline void empty_dir(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *entry;

    while (d && (entry = readdir(d)))
        unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
}

static inline void fresh(void)
{
    empty_dir(dir);
    empty_dir(blobs);
}

static inline int count_files(const char *suffix)
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

static inline void path_of(char path[128], uint64_t segment)
{
    snprintf(path, 128, "%s/%08" PRIu64 ".journal", dir, segment);
}

static inline off_t size_of(uint64_t segment)
{
    struct stat st;
    char path[128];

    path_of(path, segment);
    return stat(path, &st) ? -1 : st.st_size;
}

static inline void flip(uint64_t segment, off_t at)
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

static inline gn_store_config config_of(int policy)
{
    return (gn_store_config){dir, blobs, PREFIX, "main", policy, 1, 1 << 20, 1000};
}

static inline gn_store *open_it(const gn_store_config *config)
{
    char error[512] = "";
    gn_store *store = gn_store_open(config, error, sizeof error);

    check(store != NULL, error, 0);
    return store;
}

/* What a batch of this number says: so that one look tells whether it is right. */
static inline size_t text_of(uint64_t batch, char *text, size_t size)
{
    size_t n = (size_t)sprintf(text, "DATA:X:t%" PRIu64 ";ts=1:", batch);

    while (n < size)
        text[n++] = (char)('a' + batch % 26);
    text[n++] = '\n';
    return n;
}

static inline uint64_t sizes(uint64_t batch)
{
    return batch % 7 * 300;
}

static inline void write_one(gn_store *store, uint64_t batch)
{
    static char text[4096];

    check(!gn_store_write(store, batch, (const uint8_t *)text, text_of(batch, text, sizes(batch)), 1000), "write", batch);
}

static inline void until_committed(gn_store *store, uint64_t batch)
{
    struct pollfd ready = {gn_store_fd(store), POLLIN, 0};

    for (int i = 0; gn_store_poll(store) < batch; i++) {
        check(i < 2000, "committed in time", batch);
        poll(&ready, 1, 10);
    }
}

static inline int failing(gn_store *store)
{
    gn_store_facts facts;

    gn_store_read_facts(store, &facts);
    return facts.failing;
}

static inline void until_failing(gn_store *store, int wanted)
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

static inline void read_back(gn_store *store)
{
    static gn_store_found found;
    static char text[4096];
    int kind;

    memset(&back, 0, sizeof back);
    while ((kind = gn_store_read(store, &found))) {
        if (kind != GN_FOUND_BATCH) {
            back.notes += kind != GN_FOUND_LOSS;
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

static inline gn_store *recover(const gn_store_config *config)
{
    gn_store *store = open_it(config);
    char error[512] = "";

    read_back(store);
    check(!gn_store_begin(store, 2000, error, sizeof error), error, 0);
    return store;
}

static inline void write_many(gn_store *store, uint64_t from, uint64_t to)
{
    for (; from <= to; from++)
        write_one(store, from);
}

static inline void start(void)
{
    signal(SIGXFSZ, SIG_IGN);
    check(mkdtemp(base) != NULL, "a folder", 0);
    snprintf(dir, sizeof dir, "%s/journal", base);
    snprintf(blobs, sizeof blobs, "%s/blobs", base);
    check(!mkdir(dir, 0700), "a folder", 0);
}

static inline int finish(void)
{
    fresh();
    rmdir(dir);
    rmdir(blobs);
    rmdir(base);
    printf("%s: all passed\n", program_invocation_short_name);
    return 0;
}

#endif
