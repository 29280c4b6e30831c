/* test_recover.c - from a journal on disk to a loop that serves: time, stops, damage, when the next checkpoint is due. */
#include "store_check.h"

#include "loop/internal.h"

#define HOUR_MS UINT64_C(3600000)

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A journal of these batches. */
static void make(const char *const *batches, size_t n)
{
    gn_store_config config = config_of(GN_STORE_GROUP);
    gn_store *store;

    fresh();
    store = recover(&config);
    for (size_t i = 0; i < n; i++)
        check(!gn_store_write(store, i + 1, (const uint8_t *)batches[i], strlen(batches[i]), 1000), "write", i);
    gn_store_close(store);
}

static gn_loop *loop_on_it(void)
{
    gn_core_config core;
    gn_loop_config config = {.journal = GN_POLICY_GROUP, .instance = "main", .group_ms = 1, .segment_bytes = 1 << 20,
                             .compact_bytes = 1 << 20, .log_fd = -1};
    gn_loop *loop;

    gn_core_defaults(&core);
    snprintf(config.journal_dir, sizeof config.journal_dir, "%s", dir);
    snprintf(config.copies_dir, sizeof config.copies_dir, "%s", blobs);
    loop = gn_loop_new(&core, &config);
    check(loop != NULL && !gn_loop_open_journal(loop), loop ? gn_loop_trouble(loop) : "a loop", 0);
    return loop;
}

static int state_of(const gn_loop *loop, const char *name)
{
    gn_task_view view;

    return gn_core_task(loop->core, name, strlen(name), &view) ? view.state : GN_STATE_NONE;
}

static void all_of_it(void)
{
    static const char *const batches[] = {"DATA:X:t1;ts=1000:a\nDATA:X:t2;ts=1000:b\n", "RESPONSE:TASK_COMPLETED:t1;ts=1001;from=a:done\n",
                                          "CONTROL:CANCEL:t2;ts=1002\n", "DATA:X:t3;ts=1003:c\n"};
    gn_loop_progress progress;
    gn_loop *loop;

    make(batches, 4);
    loop = loop_on_it();
    check(!gn_loop_recover(loop), gn_loop_trouble(loop), 0);
    gn_loop_read_progress(loop, &progress);
    check(progress.batches == 4 && progress.tasks == 3 && !progress.lost && progress.bytes == progress.bytes_total, "progress", progress.batches);
    check(state_of(loop, "t1") == GN_STATE_DONE && state_of(loop, "t2") == GN_STATE_CANCELLED && state_of(loop, "t3") == GN_STATE_READY,
          "the tasks are as they were", 0);
    check(!gn_core_check(loop->core), "the core's tables", (uint64_t)gn_core_check(loop->core));
    check(loop->journal.base == 4 && !loop->journal.wanted, "the next batch is the fifth", loop->journal.base);
    gn_loop_free(loop);
}

/* The clock was an hour ahead when the journal was written: deadlines run from there, none stands still for an hour. */
static void clock_set_back(void)
{
    char line[128];
    const char *batches[] = {line};
    uint64_t ahead = now_ms() + HOUR_MS;
    gn_loop *loop;

    snprintf(line, sizeof line, "DATA:X:t1;ts=%" PRIu64 ";delay=50:a\n", ahead);
    make(batches, 1);
    loop = loop_on_it();
    check(!gn_loop_recover(loop), gn_loop_trouble(loop), 0);
    check(state_of(loop, "t1") == GN_STATE_DELAYED, "not yet", 0);
    check((uint64_t)loop->now_us >= ahead * 1000, "time goes on from the last line", (uint64_t)loop->now_us);
    for (int i = 0; state_of(loop, "t1") != GN_STATE_READY; i++) {
        check(i < 2000, "due in time", 0);
        poll(NULL, 0, 5);
        gn_loop_look_at_clock(loop);
        gn_core_tick(loop->core, loop->now_us);
    }
    gn_loop_free(loop);
}

static void told_to_stop(void)
{
    static const char *const batches[] = {"DATA:X:t1;ts=1000:a\n", "DATA:X:t2;ts=1000:a\n"};
    gn_loop *loop;

    make(batches, 2);
    loop = loop_on_it();
    gn_loop_stop(loop);
    check(gn_loop_recover(loop) == -EINTR && !gn_loop_trouble(loop)[0], "it stops", 0);
    gn_loop_free(loop);
    loop = loop_on_it();
    check(!gn_loop_recover(loop) && state_of(loop, "t2") == GN_STATE_READY, "and the next one finds it all", 0);
    gn_loop_free(loop);
}

static void without_one(void)
{
    gn_core_config core;
    gn_loop_config config = {.log_fd = -1};
    gn_loop *loop;

    gn_core_defaults(&core);
    loop = gn_loop_new(&core, &config);
    check(loop && !gn_loop_open_journal(loop) && !gn_loop_recover(loop), "no journal is no trouble", 0);
    gn_loop_free(loop);
}

/* A flipped bit asks for everything to be written anew; a torn tail is nothing out of the ordinary. */
static void damage(void)
{
    static const char *const batches[] = {"DATA:X:t1;ts=1000:a\n", "DATA:X:t2;ts=1000:a\n", "DATA:X:t3;ts=1000:a\n"};
    gn_loop_progress progress;
    gn_loop *loop;
    char path[128];

    make(batches, 3);
    path_of(path, 1);
    check(!truncate(path, size_of(1) - 5), "cut", 0);
    loop = loop_on_it();
    check(!gn_loop_recover(loop), gn_loop_trouble(loop), 0);
    check(!loop->journal.wanted && state_of(loop, "t2") == GN_STATE_READY && !state_of(loop, "t3"), "a torn tail", 0);
    gn_loop_free(loop);
    make(batches, 3);
    flip(1, GN_JOURNAL_START + 100);
    loop = loop_on_it();
    check(!gn_loop_recover(loop), gn_loop_trouble(loop), 0);
    gn_loop_read_progress(loop, &progress);
    check(state_of(loop, "t1") == GN_STATE_READY && !state_of(loop, "t2") && state_of(loop, "t3") == GN_STATE_READY, "one is lost", 0);
    check(progress.lost == 1 && (loop->journal.wanted || loop->journal.walking), "all is to be written anew", progress.lost);
    gn_loop_free(loop);
}

/* When the next checkpoint is due is known from the last one that is whole. */
static void checkpoints(void)
{
    static const char *const batches[] = {"DATA:X:t1;ts=1000:a\n", "CONTROL:CHECKPOINT:begin;serial=1;ts=1000\n", "CONTROL:CHECKPOINT:end;ts=1000\n",
                                          "DATA:X:t2;ts=1001:b\n", "CONTROL:CHECKPOINT:begin;serial=2;ts=1002\n"};
    gn_loop *loop;

    make(batches, 5);
    loop = loop_on_it();
    check(!gn_loop_recover(loop), gn_loop_trouble(loop), 0);
    check(loop->journal.took == strlen(batches[1]) + strlen(batches[2]), "what the last one took", loop->journal.took);
    check(loop->journal.ahead_of_start == loop->journal.took + strlen(batches[3]) + strlen(batches[4]), "what there is since it began",
          loop->journal.ahead_of_start);
    gn_loop_free(loop);
}

int main(void)
{
    start();
    all_of_it();
    clock_set_back();
    told_to_stop();
    without_one();
    damage();
    checkpoints();
    return finish();
}
