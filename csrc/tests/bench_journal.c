/* bench_journal.c - how quickly a journal is written, checksummed, scanned and read back into a core. JSON lines.
 *
 *   bench_journal [MESSAGES [FOLDER]]     1,000,000 messages, in a folder of its own under FOLDER (/tmp)
 *
 * Messages are those of a working coordinator: submissions with 64 bytes of payload and outcomes with as many, in batches of
 * 64. "waiting" is a journal of submissions only; "ended" one in which each task is completed, and forgotten after a while.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ganglion/loop.h"
#include "journal/internal.h"
#include "store/internal.h"

#define BATCH 64
#define WINDOW 1000 /* ended tasks that are remembered, in the journal of ended ones */
#define PAYLOAD "a payload of the usual kind, sixty-four bytes of it............."

static char dir[256];

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void need(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_journal: %s failed\n", what);
    exit(1);
}

static void empty(void)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    while (d && (entry = readdir(d)))
        unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
}

static size_t submission(char *to, long task)
{
    return (size_t)sprintf(to, "DATA:UPPER:task-%ld;ts=1700000000000;from=c1:" PAYLOAD "\n", task);
}

static size_t outcome(char *to, long task)
{
    return (size_t)sprintf(to, "RESPONSE:TASK_COMPLETED:task-%ld;ts=1700000000000;from=upper-1:" PAYLOAD "\n", task);
}

/* Write about so many messages; how many it were. */
static long write_journal(long messages, int ended, uint64_t *bytes)
{
    static char text[BATCH * 512];
    gn_store_config config = {dir, dir, "", "bench", GN_STORE_MEMORY, 5, (uint64_t)64 << 20, 1};
    char error[512];
    gn_store *store = gn_store_open(&config, error, sizeof error);
    gn_store_found found;
    gn_store_facts facts;
    double begin, took = 0;
    long written = 0, task = 0;

    need(store != NULL && !gn_store_read(store, &found) && !gn_store_begin(store, 1, error, sizeof error), "opening a journal");
    for (uint64_t batch = 1; written < messages; batch++) {
        size_t len = 0;

        for (int i = 0; i < BATCH; i++, task++) {
            len += submission(text + len, task);
            written++;
            if (!ended)
                continue;
            len += outcome(text + len, task);
            written++;
            if (task < WINDOW)
                continue;
            len += (size_t)sprintf(text + len, "CONTROL:FORGET:task-%ld;ts=1700000000000\n", task - WINDOW);
            written++;
        }
        begin = seconds();
        need(!gn_store_write(store, batch, (const uint8_t *)text, len, 1), "a write");
        took += seconds() - begin;
    }
    gn_store_read_facts(store, &facts);
    *bytes = facts.written_bytes;
    gn_store_close(store);
    printf("{\"bench\": \"journal\", \"what\": \"append\", \"messages\": %ld, \"messages_per_s\": %.0f, \"mb_per_s\": %.0f, \"bytes_per_message\": %.1f}\n",
           written, (double)written / took, (double)*bytes / took / 1e6, (double)*bytes / (double)written);
    return written;
}

static void read_journal(long messages, uint64_t bytes, const char *what)
{
    gn_core_config core;
    gn_loop_config config = {.journal = GN_POLICY_MEMORY, .instance = "bench", .group_ms = 5, .segment_bytes = (uint64_t)64 << 20,
                             .compact_bytes = (uint64_t)1 << 40, .log_fd = 2};
    gn_loop_progress progress;
    gn_loop *loop;
    double begin, took;

    gn_core_defaults(&core);
    core.tasks_max = 4000000;
    core.bytes_max = (uint64_t)4 << 30;
    snprintf(config.journal_dir, sizeof config.journal_dir, "%s", dir);
    snprintf(config.copies_dir, sizeof config.copies_dir, "%s/blobs", dir);
    loop = gn_loop_new(&core, &config);
    need(loop != NULL, "making a loop");
    begin = seconds();
    need(!gn_loop_open_journal(loop) && !gn_loop_recover(loop), "reading the journal back");
    took = seconds() - begin;
    gn_loop_read_progress(loop, &progress);
    need(!progress.lost, "reading all of it");
    printf("{\"bench\": \"journal\", \"what\": \"replay\", \"of\": \"%s\", \"messages\": %ld, \"tasks\": %llu, \"seconds\": %.3f, "
           "\"messages_per_s\": %.0f, \"mb_per_s\": %.0f}\n",
           what, messages, (unsigned long long)progress.tasks, took, (double)messages / took, (double)bytes / took / 1e6);
    gn_loop_free(loop);
}

/* Scanning and checksums alone, over what a segment of outcomes looks like. */
static void frames(void)
{
    size_t cap = (size_t)64 << 20, len = GN_JOURNAL_START, n = 0;
    uint8_t *bytes = malloc(cap + 65536);
    gn_journal_head head = {1, 1, 1, 7, 1, 1, "bench"};
    gn_journal_scan scan;
    gn_journal_piece piece;
    double begin, took;
    uint32_t sum = 0;

    need(bytes != NULL, "memory");
    gn_journal_head_write(bytes, &head);
    for (uint64_t batch = 1; len < cap; batch++) {
        size_t from = len;

        for (int i = 0; i < BATCH; i++)
            len += outcome((char *)bytes + len, i);
        len += gn_journal_commit_write(bytes + len, 7, batch, bytes + from, len - from);
    }
    begin = seconds();
    gn_journal_scan_begin(&scan, bytes, len, &head, 1, 0);
    while (gn_journal_scan_next(&scan, &piece))
        n += piece.kind == GN_PIECE_BATCH;
    took = seconds() - begin;
    need(n * BATCH > 100000, "scanning");
    printf("{\"bench\": \"journal\", \"what\": \"scan\", \"batches\": %zu, \"gb_per_s\": %.2f}\n", n, (double)len / took / 1e9);
    begin = seconds();
    sum = gn_crc32c(sum, bytes, len);
    took = seconds() - begin;
    printf("{\"bench\": \"journal\", \"what\": \"crc32c\", \"how\": \"%s\", \"gb_per_s\": %.2f}\n", gn_crc32c_how(), (double)len / took / 1e9);
    begin = seconds();
    need(gn_crc32c_table(0, bytes, len) == sum, "two ways to one checksum");
    took = seconds() - begin;
    printf("{\"bench\": \"journal\", \"what\": \"crc32c\", \"how\": \"table\", \"gb_per_s\": %.2f}\n", (double)len / took / 1e9);
    free(bytes);
}

int main(int argc, char **argv)
{
    long messages = argc > 1 ? atol(argv[1]) : 1000000;
    uint64_t bytes;

    snprintf(dir, sizeof dir, "%s/gn-bench-XXXXXX", argc > 2 ? argv[2] : "/tmp");
    need(mkdtemp(dir) != NULL, "making a folder");
    frames();
    for (int ended = 0; ended < 2; ended++) {
        long written = write_journal(messages, ended, &bytes);

        read_journal(written, bytes, ended ? "ended" : "waiting");
        empty();
    }
    rmdir(dir);
    return 0;
}
