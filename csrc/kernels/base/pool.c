/* Threads that a caller opened, and that wait for parts of a job.
 *
 * A job is published under the lock as a new round; who is free takes the next part by one atomic add. Threads spin a
 * while before they sleep, so that kernels called one after another pay no wake-up. The caller works too, and waits
 * for those still busy with their last part.
 */
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS_MAX = 256, SPINS = 4000 };

struct worker {
    pthread_t thread;
    gn_pool *pool;
    int index;
};

struct gn_pool {
    int threads;
    pid_t owner;
    pthread_mutex_t lock;    /* guards round, asleep and the two conditions */
    pthread_mutex_t calling; /* held by the thread whose job runs */
    pthread_cond_t wake, idle;
    atomic_uint round; /* changes when there is a new job; the pool is closing when part is NULL */
    atomic_size_t next;
    atomic_int busy; /* workers that have not finished this round */
    gn_part_fn *part;
    void *job;
    size_t parts;
    struct worker workers[]; /* threads - 1 */
};

static void pause_a_moment(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_parts(gn_pool *pool, int worker)
{
    size_t i;
    while ((i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed)) < pool->parts)
        pool->part(pool->job, i, worker);
}

static unsigned wait_round(gn_pool *pool, unsigned seen)
{
    unsigned now;
    for (int spin = 0; spin < SPINS; spin++) {
        if ((now = atomic_load_explicit(&pool->round, memory_order_acquire)) != seen)
            return now;
        pause_a_moment();
    }
    pthread_mutex_lock(&pool->lock);
    while ((now = atomic_load_explicit(&pool->round, memory_order_acquire)) == seen)
        pthread_cond_wait(&pool->wake, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    return now;
}

static void *work(void *argument)
{
    struct worker *me = argument;
    gn_pool *pool = me->pool;
    unsigned round = 0;
    for (;;) {
        round = wait_round(pool, round);
        if (!pool->part)
            return NULL;
        take_parts(pool, me->index);
        if (atomic_fetch_sub_explicit(&pool->busy, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->idle);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

static void publish(gn_pool *pool, gn_part_fn *part, void *job, size_t parts)
{
    pthread_mutex_lock(&pool->lock);
    pool->part = part;
    pool->job = job;
    pool->parts = parts;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->busy, pool->threads - 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&pool->round, 1, memory_order_release);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

static void wait_idle(gn_pool *pool)
{
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load_explicit(&pool->busy, memory_order_acquire) == 0)
            return;
        pause_a_moment();
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load_explicit(&pool->busy, memory_order_acquire) != 0)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void gn_pool_run(gn_pool *pool, gn_part_fn *part, void *job, size_t parts)
{
    if (!pool || pool->threads == 1 || parts < 2 || pool->owner != getpid() ||
        pthread_mutex_trylock(&pool->calling) != 0) {
        for (size_t i = 0; i < parts; i++)
            part(job, i, 0);
        return;
    }
    publish(pool, part, job, parts);
    take_parts(pool, 0);
    wait_idle(pool);
    pthread_mutex_unlock(&pool->calling);
}

gn_pool *gn_pool_open(int threads)
{
    gn_pool *pool;
    if (threads < 1 || threads > THREADS_MAX)
        return NULL;
    pool = calloc(1, sizeof *pool + (size_t)(threads - 1) * sizeof pool->workers[0]);
    if (!pool)
        return NULL;
    pool->owner = getpid();
    pthread_mutex_init(&pool->lock, NULL);
    pthread_mutex_init(&pool->calling, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->idle, NULL);
    for (pool->threads = 1; pool->threads < threads; pool->threads++) {
        struct worker *worker = &pool->workers[pool->threads - 1];
        worker->pool = pool;
        worker->index = pool->threads;
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) {
            gn_pool_close(pool);
            return NULL;
        }
    }
    return pool;
}

void gn_pool_close(gn_pool *pool)
{
    if (!pool)
        return;
    if (pool->owner == getpid()) {
        publish(pool, NULL, NULL, 0);
        for (int i = 0; i < pool->threads - 1; i++)
            pthread_join(pool->workers[i].thread, NULL);
        pthread_cond_destroy(&pool->wake);
        pthread_cond_destroy(&pool->idle);
        pthread_mutex_destroy(&pool->lock);
        pthread_mutex_destroy(&pool->calling);
    }
    free(pool);
}

int gn_pool_threads(const gn_pool *pool) { return pool ? pool->threads : 1; }
