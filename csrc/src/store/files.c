/* files.c - the files of a journal's directory: their names, and reading and writing them to the last byte. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/internal.h"

#define SUFFIX ".journal"
#define DIGITS 8            /* at least */
#define BLOCK 4096
#define CHUNK ((size_t)1 << 20)

int64_t gn_monotonic_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void gn_segment_name(char name[GN_NAME_BYTES], uint64_t number)
{
    snprintf(name, GN_NAME_BYTES, "%08" PRIu64 SUFFIX, number);
}

/* The number that a file's name says, 0: it is no segment's. */
static uint64_t number_of(const char *name)
{
    size_t digits = strspn(name, "0123456789");

    if (digits < DIGITS || digits > 18 || strcmp(name + digits, SUFFIX))
        return 0;
    return strtoull(name, NULL, 10);
}

int gn_note_segment(gn_store *store, uint64_t number, uint64_t bytes)
{
    struct gn_segment *grown;
    size_t cap = store->segment_cap ? store->segment_cap * 2 : 16;

    if (store->segment_count == store->segment_cap) {
        grown = realloc(store->segments, cap * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        store->segments = grown;
        store->segment_cap = cap;
    }
    store->segments[store->segment_count++] = (struct gn_segment){.number = number, .bytes = bytes};
    store->facts.segments = store->segment_count;
    store->facts.bytes += bytes;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const struct gn_segment *)a)->number, y = ((const struct gn_segment *)b)->number;

    return x < y ? -1 : x > y;
}

int gn_list_segments(gn_store *store)
{
    int fd = openat(store->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct stat st;

    if (!dir) {
        r = -errno;
        if (fd >= 0)
            close(fd);
        return r;
    }
    while (!r && (entry = readdir(dir))) {
        uint64_t number = number_of(entry->d_name);

        if (number && !fstatat(store->dir_fd, entry->d_name, &st, 0) && S_ISREG(st.st_mode))
            r = gn_note_segment(store, number, (uint64_t)st.st_size);
    }
    closedir(dir);
    if (store->segment_count)
        qsort(store->segments, store->segment_count, sizeof *store->segments, by_number);
    return r;
}

int gn_write_all(int fd, const uint8_t *bytes, size_t len, uint64_t at)
{
    while (len) {
        ssize_t n = pwrite(fd, bytes, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -ENOSPC;
        bytes += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* A chunk that could not be read at once: block by block. */
static void read_blocks(int fd, uint8_t *to, size_t len, size_t at, uint64_t *unreadable)
{
    for (size_t done = 0; done < len; done += BLOCK) {
        size_t want = len - done < BLOCK ? len - done : BLOCK;
        ssize_t n = pread(fd, to + done, want, (off_t)(at + done));

        if (n == (ssize_t)want)
            continue;
        memset(to + done, 0, want);
        *unreadable += want;
    }
}

ssize_t gn_read_all(int fd, uint8_t *to, size_t cap, uint64_t *unreadable)
{
    size_t at = 0;

    while (at < cap) {
        size_t want = cap - at < CHUNK ? cap - at : CHUNK;
        ssize_t n = pread(fd, to + at, want, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EIO)
            return -errno;
        if (!n)
            break;
        if (n < 0) {
            read_blocks(fd, to + at, want, at, unreadable);
            n = (ssize_t)want;
        }
        at += (size_t)n;
    }
    return (ssize_t)at;
}
