/* recover.c - from the journal to the core, before anybody is served. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "loop/internal.h"

int gn_loop_open_journal(gn_loop *loop)
{
    struct gn_journal *j = &loop->journal;
    gn_store_config config = {
        .dir = loop->config.journal_dir,
        .blob_dir = loop->config.copies_dir,
        .shm_prefix = loop->config.blob_prefix,
        .instance = loop->config.instance,
        .policy = loop->config.journal, /* the numbers are the same */
        .group_ms = loop->config.group_ms,
        .segment_bytes = loop->config.segment_bytes,
        .now_ms = (uint64_t)(loop->now_us / 1000),
    };

    _Static_assert(GN_POLICY_MEMORY == GN_STORE_MEMORY && GN_POLICY_GROUP == GN_STORE_GROUP && GN_POLICY_SYNC == GN_STORE_SYNC, "one list");
    if (loop->config.journal == GN_POLICY_NONE || j->store)
        return 0;
    j->store = gn_store_open(&config, j->trouble, sizeof j->trouble);
    return j->store ? 0 : -EIO;
}

const char *gn_loop_trouble(const gn_loop *loop)
{
    return loop->journal.trouble;
}

/* Where the last checkpoint that is whole begins and what it took: the next is due by that. A payload that says the same
 * words can only make the next one come sooner or later than it should. */
struct marks {
    uint64_t bytes, begin, took, since;
    int open;
};

static int begins_with(const uint8_t *bytes, size_t len, const char *word)
{
    size_t n = strlen(word);

    return len >= n && !memcmp(bytes, word, n);
}

static void mark(struct marks *m, const uint8_t *bytes, size_t len)
{
    static const char end[] = "CONTROL:CHECKPOINT:end";

    if (begins_with(bytes, len, "CONTROL:CHECKPOINT:begin")) {
        m->open = 1;
        m->begin = m->bytes;
    }
    m->bytes += len;
    if (!m->open || !memmem(bytes, len, end, sizeof end - 1))
        return;
    m->open = 0;
    m->took = m->bytes - m->begin;
    m->since = m->begin;
}

static int feed(gn_loop *loop, struct marks *marks)
{
    struct gn_journal *j = &loop->journal;
    int link = gn_core_link_open(loop->core, loop->now_us, GN_LINK_JOURNAL), kind;
    gn_store_found found;
    gn_effect effect;

    if (link < 0)
        return -ENOMEM;
    while ((kind = gn_store_read(j->store, &found)) && !loop->stop) {
        if (kind != GN_FOUND_BATCH) {
            gn_loop_log(loop, "%s", found.text);
            j->wanted |= kind != GN_FOUND_TORN;
            continue;
        }
        gn_core_feed(loop->core, loop->now_us, link, found.bytes, found.len, 1);
        mark(marks, found.bytes, found.len);
        j->batches++;
        while (gn_core_effect(loop->core, &effect)) /* nothing has been opened, and blobs are looked at when it is over */
            ;
    }
    return loop->stop ? -EINTR : 0;
}

static int is_needed(void *arg, const char *hash)
{
    gn_loop *loop = arg;

    if (!gn_core_blob_refs(loop->core, hash))
        return 0;
    if (gn_store_blob_restore(loop->journal.store, hash) < 0)
        gn_loop_log(loop, "cannot put blob %s back into shared memory: the task that refers to it will say no_blob", hash);
    return 1;
}

/* The clock may have been set back since the journal was written. Time goes on from its last line then: deadlines run. */
static void keep_ahead(gn_loop *loop)
{
    int64_t last = gn_core_now_us(loop->core);

    gn_loop_look_at_clock(loop);
    if (last <= loop->now_us)
        return;
    gn_loop_log(loop, "journal: its last line is %" PRId64 " s in the future: time goes on from there", (last - loop->now_us) / 1000000);
    loop->offset_us += last - loop->now_us;
    gn_loop_look_at_clock(loop);
}

int gn_loop_recover(gn_loop *loop)
{
    struct gn_journal *j = &loop->journal;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = GN_JOURNAL_EVENT};
    struct marks marks = {0};
    gn_core_facts none = {0};
    gn_store_facts facts;
    int r;

    if (!j->store) {
        gn_core_tell(loop->core, &none);
        return 0;
    }
    r = feed(loop, &marks);
    if (r)
        return r;
    keep_ahead(loop);
    r = gn_store_begin(j->store, (uint64_t)(loop->now_us / 1000), j->trouble, sizeof j->trouble);
    if (!r && epoll_ctl(loop->epoll, EPOLL_CTL_ADD, gn_store_fd(j->store), &event))
        r = -errno;
    if (r)
        return r;
    gn_store_read_facts(j->store, &facts);
    j->base = j->written = j->committed = facts.batch;
    j->ahead_of_start = marks.bytes - marks.since;
    j->took = marks.took;
    j->retry_at_us = INT64_MAX;
    j->news = 1;
    gn_core_resume(loop->core, loop->now_us);
    gn_store_blob_sweep(j->store, is_needed, loop);
    gn_blob_sweep(loop);
    gn_blob_keep_all(loop); /* one that was not copied yet when it ended, or was kept in memory only */
    j->tasks = gn_loop_gauge(loop, "tasks");
    gn_journal_care(loop); /* the first answer says what it promises, too */
    return 0;
}

void gn_loop_read_progress(gn_loop *loop, gn_loop_progress *out)
{
    gn_store_facts facts = {0};

    if (loop->journal.store)
        gn_store_read_facts(loop->journal.store, &facts);
    *out = (gn_loop_progress){facts.replay_bytes, facts.replay_bytes_total, loop->journal.batches, loop->journal.tasks, facts.lost_batches};
}
