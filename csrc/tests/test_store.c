/* test_store.c - a journal on disk: read back what was written, whatever happened to its files in between. */
#include "store_check.h"

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

int main(void)
{
    start();
    each_policy();
    without_close();
    refusals();
    torn_tail();
    flipped_bit();
    gone_segment();
    no_heads();
    forget();
    return finish();
}
