/* The level that is used, and the pool. */
#include "kernel_check.h"

#include "base/pool.h"

#include <stdatomic.h>
#include <sys/wait.h>

static void levels(void)
{
    CHECK(gn_isa_has(GN_ISA_SERIAL));
    CHECK(gn_isa_has(gn_isa_active()));
    CHECK(!gn_isa_has(-1) && !gn_isa_has(GN_ISA_COUNT));
    CHECK(gn_isa_force(GN_ISA_COUNT) == GN_K_UNSUPPORTED);
    CHECK(gn_isa_find("haswell") == GN_ISA_HASWELL && gn_isa_find("") == -1 && gn_isa_find(NULL) == -1);
    for (int level = 0; level < GN_ISA_COUNT; level++) {
        CHECK(gn_isa_find(gn_isa_name(level)) == level);
        if (gn_isa_has(level)) {
            CHECK(gn_isa_force(level) == GN_K_OK);
            CHECK(gn_isa_active() == level);
        }
    }
    CHECK(gn_isa_name(GN_ISA_COUNT) == NULL);
    gn_isa_force(gn_isa_best());
    for (int status = -1; status <= GN_K_STATUS_COUNT; status++)
        CHECK(strlen(gn_k_error(status)) > 0);
}

struct tally {
    atomic_int times[1000];
    atomic_int by[8];
    gn_pool *inner;
};

static void count_part(void *job, size_t part, int worker)
{
    struct tally *tally = job;
    atomic_fetch_add(&tally->times[part], 1);
    atomic_fetch_add(&tally->by[worker], 1);
}

static void nested(void *job, size_t part, int worker)
{
    struct tally *tally = job;
    (void)worker;
    if (part == 0)
        gn_pool_run(tally->inner, count_part, tally, 10); /* the pool is at work: runs here */
}

static void pools(void)
{
    CHECK(gn_pool_open(0) == NULL && gn_pool_open(-1) == NULL && gn_pool_open(257) == NULL);
    CHECK(gn_pool_threads(NULL) == 1);
    gn_pool_close(NULL);
    for (int threads = 1; threads <= 4; threads++) {
        gn_pool *pool = gn_pool_open(threads);
        CHECK(gn_pool_threads(pool) == threads);
        for (size_t parts = 0; parts < 1000; parts = parts * 2 + 1) {
            struct tally tally = {0};
            gn_pool_run(pool, count_part, &tally, parts);
            for (size_t i = 0; i < 1000; i++)
                CHECK(tally.times[i] == (i < parts));
            for (int i = threads; i < 8; i++)
                CHECK(tally.by[i] == 0);
        }
        struct tally tally = {.inner = pool};
        gn_pool_run(pool, nested, &tally, 3);
        CHECK(tally.times[9] == 1);
        gn_pool_close(pool);
    }
}

/* Threads do not cross a fork: the child works alone, and closing there only frees. */
static void forked(void)
{
    gn_pool *pool = gn_pool_open(3);
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct tally tally = {0};
        gn_pool_run(pool, count_part, &tally, 100);
        gn_pool_close(pool);
        _exit(tally.by[0] == 100 ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    gn_pool_close(pool);
}

int main(void)
{
    levels();
    pools();
    forked();
    printf("test_kernels_base: ok\n");
    return 0;
}
