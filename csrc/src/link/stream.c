/* stream.c - a link over a stream: a socket, or a pair of pipes. */
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/internal.h"

#define BATCH 64

/* write(2) to something that is no socket, without the SIGPIPE: it is for this thread, so it can be kept from it. */
static ssize_t write_quietly(int fd, const uint8_t *buf, size_t len)
{
    static const struct timespec at_once;
    sigset_t pipe_only, old, pending;
    ssize_t n;
    int error;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
    n = write(fd, buf, len);
    error = errno;
    if (n < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&pipe_only, NULL, &at_once) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    return n;
}

/* One attempt. Bytes, or -errno; -EAGAIN: no room now. */
static ssize_t write_once(gn_link *link, const uint8_t *buf, size_t len, int64_t deadline_us)
{
    ssize_t n;

    if (!link->not_socket) {
        n = send(link->write_fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0 || errno != ENOTSOCK)
            return n < 0 ? -errno : n;
        link->not_socket = 1;
    }
    if (deadline_us != GN_NEVER) {
        int r = gn_wait_fd(link->write_fd, POLLOUT, -1, 0);

        if (r <= 0)
            return r ? r : -EAGAIN;
        len = len > PIPE_BUF ? PIPE_BUF : len; /* a ready pipe takes that much without blocking */
    }
    n = write_quietly(link->write_fd, buf, len);
    return n < 0 ? -errno : n;
}

/* Write all of buf by the deadline; *done counts. 0 or -errno. */
static int write_all(gn_link *link, const uint8_t *buf, size_t len, int64_t deadline_us, size_t *done)
{
    *done = 0;
    while (*done < len) {
        ssize_t n = write_once(link, buf + *done, len - *done, deadline_us);

        if (n == -EAGAIN) {
            int r = deadline_us ? gn_wait_fd(link->write_fd, POLLOUT, -1, deadline_us) : 0;

            if (r <= 0)
                return r ? r : -EAGAIN;
            continue;
        }
        if (n < 0)
            return (int)n;
        *done += (size_t)n;
    }
    return 0;
}

/* Where the message that byte `at` - 1 belongs to ends; *count: messages up to there. */
static size_t boundary(const uint8_t *buf, size_t len, size_t at, uint64_t *count)
{
    gn_parser parser = {0};
    gn_msg batch[BATCH];
    size_t from = 0;

    *count = 0;
    while (from < len) {
        size_t used = 0, n = gn_parse(&parser, buf + from, len - from, 1, batch, BATCH, &used);

        for (size_t i = 0; i < n; i++) {
            size_t end = from + gn_message_end(&batch[i], buf + from, len - from);

            ++*count;
            if (end >= at)
                return end;
        }
        from += used;
        if (!n)
            break;
    }
    return len;
}

/* The rest of a message of which a part has left must leave first, before any other. 0 or -errno. */
static int keep_tail(gn_link *link, const uint8_t *rest, size_t len)
{
    uint8_t *tail = malloc(len);

    if (!tail)
        return -ENOMEM;
    memcpy(tail, rest, len);
    free(link->tail);
    link->tail = tail;
    link->tail_len = len;
    return 0;
}

static int send_tail(gn_link *link, int64_t deadline_us)
{
    size_t done;
    int r;

    if (!link->tail_len)
        return 0;
    r = write_all(link, link->tail, link->tail_len, deadline_us, &done);
    link->tail_len -= done;
    memmove(link->tail, link->tail + done, link->tail_len);
    return r;
}

ptrdiff_t gn_stream_send(gn_link *link, const uint8_t *buf, size_t len, int64_t deadline_us)
{
    size_t done, end;
    uint64_t count;
    int r;

    if (link->write_fd < 0)
        return -ENOTCONN;
    r = send_tail(link, deadline_us);
    if (r)
        return r;
    len = len > UINT32_MAX ? UINT32_MAX : len;
    r = write_all(link, buf, len, deadline_us, &done);
    if (!done || (done == len && !link->counting))
        return done ? (ptrdiff_t)done : r;
    end = boundary(buf, len, done, &count);
    link->messages_out += count;
    if (end > done) {
        r = keep_tail(link, buf + done, end - done);
        if (r)
            return r;
    }
    return (ptrdiff_t)end;
}

ptrdiff_t gn_stream_read(gn_link *link, int64_t deadline_us)
{
    uint8_t *to = link->in + link->in_end;

    if (link->read_fd < 0)
        return -ENOTCONN;
    for (;;) {
        ssize_t n;
        int r = gn_wait_fd(link->read_fd, POLLIN, link->wake_fd, deadline_us);

        if (r <= 0)
            return r == -EINTR ? 0 : r;
        n = read(link->read_fd, to, link->read_bytes);
        if (n > 0)
            return n;
        if (!n || errno == ECONNRESET)
            return -EPIPE;
        if (errno == EINTR)
            return 0;
        if (errno != EAGAIN)
            return -errno;
        if (deadline_us <= 0)
            return 0;
    }
}
