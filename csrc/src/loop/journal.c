/* journal.c - between the core and the store: batches out, commits back, trouble told, checkpoints when they are due.
 *
 * The order in a round: the core's lines are sealed and written before anything that leaves, and what depends on them is held
 * back by the core until the store says that they are committed. A checkpoint goes the same way, a piece in a round.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/internal.h"

#define RETRY_US 1000000            /* a journal that fails is tried again so often */
#define TELL_US 200000              /* so often STATUS learns what the store knows, when something happens at all */
#define STEP_BYTES 65536            /* of a checkpoint, in a round */
#define UNSYNCED_MAX (8U << 20)     /* a checkpoint waits for the disk at so many bytes */
#define RETAINED_MAX (64U << 20)    /* with so many bytes waiting for a disk that fails, outcomes are refused, too */
#define SEGMENTS_MAX 512            /* many short segments are compacted, too */
#define WALK_AGAIN_US 60000000      /* a checkpoint that could not begin is tried again then */
#define FINISH_US 2000000

static const char *policy_word(int policy)
{
    return policy == GN_POLICY_SYNC ? "sync" : policy == GN_POLICY_GROUP ? "group" : policy == GN_POLICY_MEMORY ? "memory" : "";
}

static uint64_t now_ms(const gn_loop *loop)
{
    return (uint64_t)(loop->now_us / 1000);
}

static void tell(gn_loop *loop, const gn_store_facts *facts)
{
    gn_core_facts out = {
        .journal_ms = loop->config.journal == GN_POLICY_GROUP ? loop->config.group_ms : 0,
        .failing = facts->failing != 0,
        .journal_bytes = facts->bytes,
        .segments = facts->segments,
        .syncs = facts->syncs,
        .sync_us = facts->sync_us_last,
        .sync_us_max = facts->sync_us_max,
        .lag_us = gn_loop_lag_us(loop),
    };

    snprintf(out.journal, sizeof out.journal, "%s", policy_word(loop->config.journal));
    if (facts->failing)
        snprintf(out.error, sizeof out.error, "%s; make room, it goes on by itself", strerror(facts->failing));
    gn_core_tell(loop->core, &out);
    loop->journal.tell_at_us = loop->now_us + TELL_US;
}

static int how(const gn_store_facts *facts)
{
    if (!facts->failing)
        return GN_JOURNAL_WELL;
    return facts->retained_bytes > RETAINED_MAX ? GN_JOURNAL_FULL : GN_JOURNAL_FAILING;
}

/* See how the store is, and pass it on. */
static void look(gn_loop *loop)
{
    struct gn_journal *j = &loop->journal;
    gn_store_facts facts;
    int now;

    gn_store_read_facts(j->store, &facts);
    now = how(&facts);
    if (now && !j->failing) {
        j->retry_at_us = loop->now_us + RETRY_US;
        gn_loop_log(loop, "journal: %s. No new task is accepted (they are told REJECTED journal) until it can be written again: make room or mend the "
                          "disk; it is tried every second. What was accepted is safe, results and status are served.", facts.why);
    } else if (!now && j->failing) {
        gn_loop_log(loop, "journal: it can be written again; new tasks are accepted");
        j->retry_at_us = INT64_MAX;
    }
    if (now != j->failing)
        gn_core_journal_failing(loop->core, now);
    j->failing = now;
    tell(loop, &facts);
}

/* ---- blobs: they go when the line after which nobody needs them is as safe as a line can be ---- */

struct gn_parting {
    struct gn_parting *next;
    uint64_t batch;
    char hash[65];
};

void gn_journal_part(gn_loop *loop, const char *hash)
{
    struct gn_journal *j = &loop->journal;
    struct gn_parting *parting = j->store ? malloc(sizeof *parting) : NULL;
    size_t len = 0;

    if (!parting) {
        if (!j->store)
            gn_blob_drop(loop, hash);
        return; /* the next start will find it */
    }
    gn_core_journal(loop->core, &len);
    parting->batch = j->written + (len != 0);
    snprintf(parting->hash, sizeof parting->hash, "%.64s", hash);
    parting->next = NULL;
    if (!j->partings)
        j->partings_end = &j->partings;
    *j->partings_end = parting;
    j->partings_end = &parting->next;
}

int gn_journal_parts(const gn_loop *loop, const char *hash)
{
    for (const struct gn_parting *parting = loop->journal.partings; parting; parting = parting->next)
        if (!strcmp(parting->hash, hash))
            return 1;
    return 0;
}

static void drop_blobs(gn_loop *loop, uint64_t committed)
{
    struct gn_journal *j = &loop->journal;

    while (j->partings && j->partings->batch <= committed) {
        struct gn_parting *parting = j->partings;

        j->partings = parting->next;
        gn_blob_drop(loop, parting->hash);
        free(parting);
    }
}

/* ---- commits ---- */

static void pass_on(gn_loop *loop)
{
    struct gn_journal *j = &loop->journal;
    uint64_t committed = gn_store_poll(j->store);

    if (committed <= j->committed)
        return;
    j->committed = committed;
    gn_core_journal_committed(loop->core, committed - j->base);
    drop_blobs(loop, committed);
    if (j->walk_end && committed >= j->walk_end) {
        j->walk_end = 0;
        j->walking = 0;
        gn_store_forget_below(j->store, j->walk_segment, now_ms(loop));
    }
}

/* ---- batches ---- */

/* The open batch into the journal. 1: there was one. */
static int write_batch(gn_loop *loop, int last_of_walk)
{
    struct gn_journal *j = &loop->journal;
    size_t len = 0;
    const uint8_t *bytes = gn_core_journal(loop->core, &len);
    uint64_t batch;
    int r;

    if (!len)
        return 0;
    loop->journal_bytes += len;
    if (!j->store) {
        gn_core_journal_committed(loop->core, gn_core_journal_seal(loop->core));
        return 1;
    }
    r = gn_store_write(j->store, ++j->written, bytes, len, now_ms(loop));
    batch = gn_core_journal_seal(loop->core);
    if (r || batch + j->base != j->written) {
        gn_loop_log(loop, "journal: no memory to keep a batch in: stopping, so that nothing is promised that is not kept");
        loop->broken = -ENOMEM;
        return 0;
    }
    if (last_of_walk) {
        gn_store_facts facts;

        gn_store_read_facts(j->store, &facts);
        j->walk_end = j->written;
        j->took = facts.written_bytes - j->began_at;
    }
    return 1;
}

/* ---- checkpoints ---- */

static int is_due(const gn_loop *loop, const gn_store_facts *facts)
{
    const struct gn_journal *j = &loop->journal;
    uint64_t since = facts->written_bytes - j->began_at + j->ahead_of_start, bound = loop->config.compact_bytes;

    if (j->took * 2 > bound)
        bound = j->took * 2;
    return j->wanted || since > bound || facts->segments > SEGMENTS_MAX;
}

static void begin_walk(gn_loop *loop)
{
    struct gn_journal *j = &loop->journal;
    gn_store_facts facts;

    if (j->walking || j->failing || loop->now_us < j->walk_at_us)
        return;
    gn_store_read_facts(j->store, &facts);
    if (!is_due(loop, &facts))
        return;
    write_batch(loop, 0); /* its first line is to be the first of the segment */
    j->walk_segment = gn_store_roll(j->store, now_ms(loop));
    if (!j->walk_segment) {
        gn_loop_log(loop, "journal: it cannot be compacted now (%s), and grows meanwhile; it is tried again in a minute", strerror(errno));
        j->walk_at_us = loop->now_us + WALK_AGAIN_US;
        return;
    }
    j->walking = 1;
    j->wanted = 0;
    j->walk_end = 0;
    j->ahead_of_start = 0;
    j->began_at = facts.written_bytes;
    gn_core_checkpoint(loop->core);
}

int gn_journal_walks(const gn_loop *loop)
{
    const struct gn_journal *j = &loop->journal;
    gn_store_facts facts;

    if (!j->store || !j->walking || j->walk_end || j->failing)
        return 0;
    gn_store_read_facts(j->store, &facts);
    return facts.retained_bytes < UNSYNCED_MAX;
}

/* ---- a round ---- */

void gn_journal_write(gn_loop *loop)
{
    struct gn_journal *j = &loop->journal;
    int ends = 0;

    if (gn_journal_walks(loop) && j->stepped != loop->wakeups) { /* one step in a round */
        j->stepped = loop->wakeups;
        ends = !gn_core_checkpoint_step(loop->core, STEP_BYTES);
    }
    if (!write_batch(loop, ends) || !j->store)
        return;
    if (loop->config.journal == GN_POLICY_MEMORY)
        pass_on(loop);
    if (gn_store_failing(j->store) || j->failing)
        look(loop);
    begin_walk(loop);
}

void gn_journal_care(gn_loop *loop)
{
    struct gn_journal *j = &loop->journal;

    if (!j->store) {
        if (loop->now_us >= j->tell_at_us)
            tell(loop, &(gn_store_facts){0}); /* of the loop there is something to say anyway */
        return;
    }
    if (loop->now_us >= j->retry_at_us) {
        j->retry_at_us = loop->now_us + RETRY_US;
        gn_store_retry(j->store, now_ms(loop));
        j->news = 1;
    }
    if (!j->news && loop->now_us < j->tell_at_us)
        return; /* nothing to hear, and STATUS was told a moment ago */
    j->news = 0;
    pass_on(loop);
    look(loop);
    if (j->wanted)
        begin_walk(loop);
}

int64_t gn_journal_next_us(const gn_loop *loop)
{
    return loop->journal.store ? loop->journal.retry_at_us : INT64_MAX;
}

void gn_journal_finish(gn_loop *loop)
{
    struct gn_journal *j = &loop->journal;
    gn_store_facts facts;

    if (!j->store)
        return;
    gn_loop_settle(loop);
    for (int waited = 0; waited < FINISH_US / 10000; waited++) {
        struct pollfd ready = {gn_store_fd(j->store), POLLIN, 0};

        pass_on(loop);
        gn_store_read_facts(j->store, &facts);
        if (j->committed >= j->written || facts.failing)
            break;
        poll(&ready, 1, 10);
    }
    gn_loop_settle(loop); /* the answers that waited for it */
}

void gn_journal_close(gn_loop *loop)
{
    while (loop->journal.partings) { /* the next start will find them */
        struct gn_parting *parting = loop->journal.partings;

        loop->journal.partings = parting->next;
        free(parting);
    }
    gn_store_close(loop->journal.store);
    loop->journal.store = NULL;
}
