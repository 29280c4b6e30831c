/* internal.h - what the files of csrc/src/store share. */
#ifndef GN_STORE_INTERNAL_H
#define GN_STORE_INTERNAL_H

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "ganglion/store.h"

#define GN_NAME_BYTES 40                        /* of a file in the journal's directory */
#define GN_HASH_CHARS 64                        /* of a blob */
#define GN_RESERVE_CHUNK ((uint64_t)4 << 20)    /* taken from the file system at a time */
#define GN_RESERVE_LEAST ((uint64_t)256 << 10)  /* less than this ahead: nothing more is to be accepted */
#define GN_RESERVE_CRUMB ((uint64_t)64 << 10)   /* smaller pieces are not asked for */

struct gn_buffer {
    uint8_t *bytes;
    size_t len, cap;
};

/* A file being left behind, to be made durable and closed. */
struct gn_old {
    struct gn_old *next;
    int fd;
};

struct gn_segment {
    uint64_t number, bytes;
    gn_journal_head head; /* while reading */
    int head_state;       /* GN_HEAD_*; -1: of another segment, not ours */
    uint64_t until;
};

/* A blob to be copied. */
struct gn_copy {
    struct gn_copy *next;
    char hash[GN_HASH_CHARS + 1];
};

struct gn_store {
    gn_store_config config; /* its texts are ours */
    char *dir, *blob_dir, *shm_prefix, *instance;
    int dir_fd, notify;

    /* the caller's thread */
    uint64_t salt, from;
    int fd;                 /* of the segment written to; -1: none */
    uint64_t number;        /* of it, or of the last there was */
    uint64_t at, reserved;  /* end of what is whole in it; end of what the file system has set aside */
    int no_reserve;         /* the file system has no such thing */
    int hard;               /* failing: what is retained has to be written again; else only room is missing */

    /* reading */
    size_t reading;         /* index of the segment */
    int scanning, settled;
    uint8_t *image;
    size_t image_len, image_cap;
    gn_journal_scan scan;
    gn_journal_piece piece;
    uint64_t next;          /* batch that should come */
    uint64_t missing_from;  /* where to look for a gap in the numbers */
    uint64_t unreadable;    /* bytes of the image that the disk did not give */

    /* guarded by lock */
    pthread_mutex_t lock;
    pthread_cond_t work;
    pthread_t thread;
    int running, stop, busy, idle;
    int new_names;           /* files were made: the directory has to be synced, too */
    int copying;             /* failing because a blob could not be copied */
    int held;                /* a blob could not be copied: the thread rests until a retry */
    struct gn_buffer fill;   /* framed batches written (or, failing, only retained) since the last sync began */
    struct gn_buffer flight; /* those a sync is under way for, or failed for */
    uint64_t batch, committed, flight_batch;
    struct gn_segment *segments;
    size_t segment_count, segment_cap;
    struct gn_old *olds;
    struct gn_copy *copies;
    uint64_t delete_below;
    int64_t sync_due_us; /* `group`: when the next one would come if they came evenly */
    gn_store_facts facts;

    _Atomic int failing;     /* as in facts: read without the lock */
    _Atomic uint64_t replay_bytes, replay_bytes_total;
};

/* files.c: names, listing, reading, writing whole. 0 or -errno unless said otherwise. */
void gn_segment_name(char name[GN_NAME_BYTES], uint64_t number);
int gn_list_segments(gn_store *store);
int gn_note_segment(gn_store *store, uint64_t number, uint64_t bytes); /* with the lock */
int gn_write_all(int fd, const uint8_t *bytes, size_t len, uint64_t at);
/* Read a file of the directory, at most cap bytes of it. Blocks that the disk does not give are zero, and counted. Bytes or -errno. */
ssize_t gn_read_all(int fd, uint8_t *to, size_t cap, uint64_t *unreadable);
int64_t gn_monotonic_us(void);

/* read.c */
void gn_image_drop(gn_store *store);
void gn_segments_bound(gn_store *store); /* up to which batch each counts: where the first that comes later begins */

/* write.c */
int gn_buffer_add(struct gn_buffer *buffer, const void *bytes, size_t len);
/* Note that something failed: with a segment, or (0) with the folder of blobs. With the lock. */
void gn_store_fail(gn_store *store, int error, int hard, const char *what, uint64_t segment);
int gn_segment_open(gn_store *store, uint64_t first, uint64_t now_ms); /* with the lock; the segment before it is not touched */

/* sync.c */
int gn_sync_start(gn_store *store);
void gn_sync_stop(gn_store *store);
void gn_sync_wake(gn_store *store); /* with the lock */

/* copy.c: what the thread does for blobs. */
int gn_copy_blob(const gn_store *store, const char *hash, int durable); /* 0 (also: there is no such blob) or -errno */

#endif
