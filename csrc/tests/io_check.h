/* io_check.h - what the tests of link, runtime and loop share: checks, and queues that leave no trace. */
#ifndef GN_TESTS_IO_CHECK_H
#define GN_TESTS_IO_CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 10000 /* no state may take longer; a test that waits for one polls it until then */

static char queue_names[16][64];
static int queue_count;

static void unlink_queues(void)
{
    while (queue_count)
        mq_unlink(queue_names[--queue_count]);
}

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno);  \
            unlink_queues();                                                                   \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* Poll `condition` until it holds. */
#define UNTIL(condition)                                                                       \
    do {                                                                                       \
        int left = PATIENCE_MS;                                                                \
        while (!(condition) && left-- > 0)                                                     \
            pause_ms(1);                                                                       \
        CHECK(condition);                                                                      \
    } while (0)

/* A queue /gt<pid><suffix>; over the user's limit of queue bytes (other tests run too) it is tried again. */
static inline int make_queue(const char *suffix, long slots, long bytes, char *name)
{
    struct mq_attr attr = {.mq_maxmsg = slots, .mq_msgsize = bytes};
    mqd_t q;

    snprintf(name, 64, "/gt%d%s", (int)getpid(), suffix);
    mq_unlink(name);
    for (int left = PATIENCE_MS / 10; (q = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr)) < 0 &&
                                      errno == EMFILE && left > 0;
         left--)
        pause_ms(10);
    CHECK(q >= 0);
    strcpy(queue_names[queue_count++], name);
    return q;
}

/* One datagram as text, or "" when none comes. */
static inline char *next_datagram(int q, char *buf, size_t cap, int timeout_ms)
{
    struct timespec at;
    ssize_t n;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += timeout_ms / 1000;
    n = mq_timedreceive(q, buf, cap - 1, NULL, &at);
    buf[n > 0 ? n : 0] = 0;
    return buf;
}

#endif
