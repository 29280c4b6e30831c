/* wait.c - deadlines: one clock, whatever the system call wants. */
#include <poll.h>

#include "link/internal.h"

int64_t gn_mono_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t gn_deadline_us(int timeout_ms)
{
    if (timeout_ms < 0)
        return GN_NEVER;
    return timeout_ms ? gn_mono_us() + (int64_t)timeout_ms * 1000 : 0;
}

int gn_lock_until(pthread_mutex_t *lock, int64_t deadline_us)
{
    struct timespec at;

    if (!pthread_mutex_trylock(lock))
        return 0;
    if (deadline_us == GN_NEVER)
        return pthread_mutex_lock(lock);
    at.tv_sec = (time_t)(deadline_us / 1000000);
    at.tv_nsec = (long)(deadline_us % 1000000) * 1000;
    return pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &at);
}

int gn_wait_fd(int fd, short events, int wake_fd, int64_t deadline_us)
{
    struct pollfd fds[2] = {{fd, events, 0}, {wake_fd, POLLIN, 0}};
    struct timespec left, *timeout = NULL;
    int n;

    if (deadline_us != GN_NEVER) {
        int64_t us = deadline_us ? deadline_us - gn_mono_us() : 0;

        us = us < 0 ? 0 : us;
        left = (struct timespec){(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
        timeout = &left;
    }
    n = ppoll(fds, wake_fd < 0 ? 1 : 2, timeout, NULL);
    if (n < 0)
        return -errno;
    return fds[0].revents ? 1 : 0;
}

struct timespec gn_queue_time(int64_t deadline_us)
{
    struct timespec now;
    int64_t us;

    if (deadline_us <= 0 || deadline_us == GN_NEVER)
        return (struct timespec){0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + (deadline_us - gn_mono_us());
    if (us < 0)
        us = 0;
    return (struct timespec){(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
}
