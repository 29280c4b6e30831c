/* store.h - a journal on disk: segment files that are appended to, made durable, read back and thrown away.
 *
 * Owns: the files of one journal directory and of the folder of blob copies, the lock on the directory, and a thread that waits
 * for the disk so that nobody else has to. Knows nothing of what the lines in a batch mean (journal.h has their frame).
 *
 * One thread (the loop's) makes all calls. A batch that is written is retained in memory until it is known to be durable:
 * after a failed write or sync, what is retained is written again, into a new segment, as soon as that can be done. So a
 * batch is committed once and for all, or it waits; it is never in between.
 */
#ifndef GANGLION_STORE_H
#define GANGLION_STORE_H

#include "ganglion/journal.h"

typedef struct gn_store gn_store;

#define GN_STORE_MEMORY 1 /* committed when the kernel has it: survives the end of this process, not that of the machine */
#define GN_STORE_GROUP 2  /* one fdatasync per group_ms at most; the first after a pause at once */
#define GN_STORE_SYNC 3   /* fdatasync as soon as something is written */

typedef struct gn_store_config {
    const char *dir;        /* of the segments; exists */
    const char *blob_dir;   /* of the copies of blobs; made when first needed */
    const char *shm_prefix; /* of the segments of shared memory that blobs are copied from: "/ganglion.main."; "": no blobs */
    const char *instance;
    int policy;
    uint32_t group_ms;
    uint64_t segment_bytes; /* a segment is closed when it is as long as that */
    uint64_t now_ms;        /* Unix time, for the heads */
} gn_store_config;

/* Open and lock the journal. NULL, and why in words (error, cap bytes): not a directory one may write to, in use, of another
 * instance, of a later version. */
gn_store *gn_store_open(const gn_store_config *config, char *error, size_t cap);
/* Wait for the disk, give back what is reserved, unlock. */
void gn_store_close(gn_store *store);

/* ---- reading back: before the first write ---- */

#define GN_FOUND_END 0
#define GN_FOUND_BATCH 1
#define GN_FOUND_NOTE 2 /* something for the log */
#define GN_FOUND_LOSS 3 /* something for the log that cost batches */
#define GN_FOUND_TORN 4 /* something for the log: a batch that was not closed, as a sudden end leaves it */

typedef struct gn_store_found {
    int kind;
    const uint8_t *bytes; /* a batch; valid until the next call */
    size_t len;
    uint64_t batch;
    char text[3072];      /* a note */
} gn_store_found;

int gn_store_read(gn_store *store, gn_store_found *out); /* its kind */

/* Reading is over: begin a segment. 0, or -errno and why in words. A full disk is no error: then the store is failing. */
int gn_store_begin(gn_store *store, uint64_t now_ms, char *error, size_t cap);

/* ---- writing ---- */

/* Append a batch; its number is one more than that of the last. 0, also while failing: it is retained; -ENOMEM: it is not. */
int gn_store_write(gn_store *store, uint64_t batch, const uint8_t *bytes, size_t len, uint64_t now_ms);
/* Readable when gn_store_poll has news. */
int gn_store_fd(const gn_store *store);
/* Batches up to this number are committed. */
uint64_t gn_store_poll(gn_store *store);
int gn_store_failing(const gn_store *store); /* errno, or 0: all is well */
/* While failing: try again what failed, now. 1: it goes again. */
int gn_store_retry(gn_store *store, uint64_t now_ms);

/* Begin a new segment now: its number, or 0 and errno; then the old one goes on. */
uint64_t gn_store_roll(gn_store *store, uint64_t now_ms);
/* A replay needs segment `from` and what follows: say so in the head of a new segment and, once that is on disk, delete the others. */
void gn_store_forget_below(gn_store *store, uint64_t from, uint64_t now_ms);

/* The blob of this name is referred to by the batch being made: copy it, before that batch counts as committed. */
void gn_store_blob_keep(gn_store *store, const char *hash);
void gn_store_blob_drop(gn_store *store, const char *hash);
/* Put a blob that is not in shared memory back there from its copy. 1 done or there already, 0 no copy, -errno. */
int gn_store_blob_restore(gn_store *store, const char *hash);
/* Remove copies for which wanted says 0. */
void gn_store_blob_sweep(gn_store *store, int (*wanted)(void *arg, const char *hash), void *arg);

typedef struct gn_store_facts {
    uint64_t batch;          /* last one written or retained */
    uint64_t committed;
    uint64_t segments, bytes; /* on disk now */
    uint64_t written_bytes;  /* since the start, frames included */
    uint64_t replay_bytes, replay_bytes_total; /* progress of reading */
    uint64_t lost_batches;   /* found missing or damaged at the start */
    uint64_t syncs;
    uint64_t sync_us_last, sync_us_max;
    uint64_t retained_bytes; /* waiting for the disk */
    int failing;             /* errno, 0: all is well */
    char why[512];           /* words for it */
} gn_store_facts;
void gn_store_read_facts(gn_store *store, gn_store_facts *out); /* any thread */

#endif
