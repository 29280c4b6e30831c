/* stream.c - sockets, pipes and the listener. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/internal.h"

#define ACCEPT_ROUND 32
#define HALF_FIRST 1024

static int paired(const struct gn_port *port)
{
    return port->read_fd == port->write_fd;
}

/* Tell epoll what we wait for: input unless it has ended or output is piling up, room when output waits. */
static void interest(gn_loop *loop, struct gn_port *port)
{
    uint32_t in = port->read_ended || port->paused ? 0 : EPOLLIN, out = port->blocked && !port->deaf ? EPOLLOUT : 0;

    if (paired(port)) {
        gn_port_watch(loop, port, port->read_fd, in | out, EPOLL_CTL_MOD);
        return;
    }
    if (!port->file && !port->read_ended)
        gn_port_watch(loop, port, port->read_fd, in, EPOLL_CTL_MOD);
    gn_port_watch(loop, port, port->write_fd, out, EPOLL_CTL_MOD);
}

int gn_stream_add(gn_loop *loop, int read_fd, int write_fd, int given)
{
    int link = gn_core_link_open(loop->core, loop->now_us, GN_LINK_STREAM), r;
    struct gn_port *port;

    if (link < 0)
        return link;
    port = gn_port_new(loop, GN_PORT_STREAM, link, read_fd, write_fd);
    if (!port) {
        gn_core_link_closed(loop->core, loop->now_us, link);
        return -GN_NO_MEMORY;
    }
    port->given = given != 0;
    r = gn_port_watch(loop, port, read_fd, EPOLLIN, EPOLL_CTL_ADD);
    if (r == -EPERM) { /* a regular file */
        port->file = 1;
        gn_port_poll(loop, port);
        r = 0;
    }
    if (!r && write_fd != read_fd) {
        r = gn_port_watch(loop, port, write_fd, 0, EPOLL_CTL_ADD);
        r = r == -EPERM ? 0 : r;
    }
    if (r)
        gn_port_close(loop, port, "epoll refused it");
    else
        gn_loop_log(loop, "opened link %d, a stream", link);
    return 0;
}

/* Both ways are over. */
static void hang_up(gn_loop *loop, struct gn_port *port)
{
    gn_port_close(loop, port, "the other end is gone");
}

/* The other end says no more. It may still be listening (shutdown(2), or the write end of a pipe closed). */
static void end_of_input(gn_loop *loop, struct gn_port *port)
{
    struct pollfd now = {port->write_fd, 0, 0};

    if (port->half_len)
        gn_core_feed(loop->core, loop->now_us, port->link, port->half, port->half_len, 1);
    port->half_len = 0;
    port->read_ended = 1;
    poll(&now, 1, 0);
    if (port->deaf || now.revents & (POLLHUP | POLLERR)) {
        hang_up(loop, port);
        return;
    }
    if (!paired(port) && !port->file) {
        struct epoll_event none = {0};

        epoll_ctl(loop->epoll, EPOLL_CTL_DEL, port->read_fd, &none);
    }
    interest(loop, port);
}

/* Keep what the core has not used. 0 or -1. */
static int keep_half(struct gn_port *port, const uint8_t *rest, size_t len)
{
    size_t cap = port->half_cap ? port->half_cap : HALF_FIRST;
    uint8_t *grown;

    while (cap < len)
        cap *= 2;
    if (len && cap != port->half_cap) {
        grown = realloc(port->half, cap);
        if (!grown)
            return -1;
        port->half = grown;
        port->half_cap = cap;
    }
    if (len)
        memcpy(port->half, rest, len);
    port->half_len = len;
    return 0;
}

static size_t pending(const gn_loop *loop, const struct gn_port *port)
{
    size_t len;
    int whole;

    return gn_core_output(loop->core, port->link, SIZE_MAX, &len, &whole) ? len : 0;
}

/* All that is not sent, what the journal holds back included. */
static size_t waiting(const gn_loop *loop, const struct gn_port *port)
{
    return pending(loop, port) + gn_core_held(loop->core, port->link);
}

/* Feed scratch[0..len) and keep what is left of it. The core stops where this stream's own output is at its bound; then
 * that leaves first, and if it does not, the rest is held back until it has. */
static void feed(gn_loop *loop, struct gn_port *port, size_t len)
{
    size_t at = 0;

    port->held = 0;
    for (;;) {
        at += gn_core_feed(loop->core, loop->now_us, port->link, loop->scratch + at, len - at, 0);
        if (at == len || waiting(loop, port) <= loop->pause_bytes)
            break;
        gn_port_flush(loop, port);
        if (port->deaf && !port->gone)
            hang_up(loop, port); /* nobody will ever take it */
        if (port->gone)
            return;
        if (!port->paused && waiting(loop, port) > loop->pause_bytes) {
            port->paused = 1; /* until the journal's next commit */
            interest(loop, port);
        }
        if (port->paused) {
            port->held = 1;
            break;
        }
    }
    if (keep_half(port, loop->scratch + at, len - at))
        gn_port_close(loop, port, "out of memory");
}

/* Read once. Bytes, 0 at the end, -1: nothing now, or the port is closed. */
static ssize_t read_once(gn_loop *loop, struct gn_port *port)
{
    uint8_t *to = loop->scratch + port->half_len;
    size_t room = loop->scratch_cap - port->half_len; /* GN_STREAM_CHUNK at least: half is an unfinished message */
    ssize_t n = -1;

    if (!port->not_socket) {
        n = recv(port->read_fd, to, room, MSG_DONTWAIT);
        if (n < 0 && errno == ENOTSOCK)
            port->not_socket = 1;
    }
    if (port->not_socket)
        n = read(port->read_fd, to, room);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        gn_port_close(loop, port, strerror(errno));
    if (n > 0)
        loop->bytes_in += (uint64_t)n;
    return n;
}

void gn_stream_take(gn_loop *loop, struct gn_port *port)
{
    ssize_t n;

    if (port->gone || port->paused || (port->read_ended && !port->held))
        return;
    n = port->held ? 0 : read_once(loop, port);
    if (n < 0)
        return;
    if (!n && !port->held) {
        end_of_input(loop, port);
        return;
    }
    if (port->half_len)
        memcpy(loop->scratch, port->half, port->half_len);
    feed(loop, port, port->half_len + (size_t)n);
}

/* Bytes written, or -errno. Never blocks: a pipe that is ready takes PIPE_BUF bytes. */
static ssize_t write_some(struct gn_port *port, const uint8_t *bytes, size_t len)
{
    struct pollfd ready = {port->write_fd, POLLOUT, 0};
    ssize_t n;

    if (!port->not_socket) {
        n = send(port->write_fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0 || errno != ENOTSOCK)
            return n < 0 ? -errno : n;
        port->not_socket = 1;
    }
    if (poll(&ready, 1, 0) < 1)
        return -EAGAIN;
    n = write(port->write_fd, bytes, len > PIPE_BUF ? PIPE_BUF : len); /* the loop's thread has SIGPIPE blocked */
    return n < 0 ? -errno : n;
}

/* There is output that does not go. */
static void block(gn_loop *loop, struct gn_port *port)
{
    size_t waits = pending(loop, port);

    port->blocked = 1;
    port->paused = waits > loop->pause_bytes || (port->paused && waits > loop->pause_bytes / 2);
    interest(loop, port);
}

void gn_stream_press(gn_loop *loop, struct gn_port *port)
{
    if (!port->paused && !port->deaf && pending(loop, port) > loop->pause_bytes)
        block(loop, port);
}

void gn_stream_flush(gn_loop *loop, struct gn_port *port)
{
    unsigned waited = port->blocked || port->paused;
    const uint8_t *bytes;
    size_t len;
    int whole;

    if (port->deaf)
        return;
    port->blocked = 0;
    while ((bytes = gn_core_output(loop->core, port->link, SIZE_MAX, &len, &whole))) {
        ssize_t n = write_some(port, bytes, len);

        if (n >= 0) {
            loop->bytes_out += (uint64_t)n;
            loop->datagrams_out++;
            gn_core_sent(loop->core, loop->now_us, port->link, (size_t)n);
        } else if (n == -EAGAIN) {
            loop->blocked++;
            block(loop, port);
            return;
        } else if (n != -EINTR) {
            port->deaf = 1; /* what it said before it went still counts: read on to the end */
            break;
        }
    }
    port->paused = !port->deaf && gn_core_held(loop->core, port->link) > loop->pause_bytes;
    if (port->deaf && (port->read_ended || !paired(port)))
        hang_up(loop, port);
    else if (waited || port->deaf)
        interest(loop, port);
    if (port->held && !port->paused && !port->gone && !port->deaf)
        gn_stream_take(loop, port);
}

void gn_stream_event(gn_loop *loop, struct gn_port *port, uint32_t events, int on_write_fd)
{
    if (port->gone)
        return;
    if (events & EPOLLOUT)
        gn_port_flush(loop, port);
    if (port->held && !port->paused)
        gn_stream_take(loop, port);
    if (port->gone)
        return;
    if (on_write_fd) {
        if (events & (EPOLLERR | EPOLLHUP))
            hang_up(loop, port); /* nobody reads our pipe */
        return;
    }
    if (events & (EPOLLERR | EPOLLHUP)) {
        port->paused = 0;
        if (port->read_ended) {
            hang_up(loop, port);
            return;
        }
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        gn_stream_take(loop, port);
}

int gn_listener_add(gn_loop *loop, int fd)
{
    struct gn_port *port = gn_port_new(loop, GN_PORT_LISTENER, -1, fd, -1);
    int r;

    if (!port)
        return -ENOMEM;
    port->given = 1;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); /* a peer may be gone again when accept comes */
    r = gn_port_watch(loop, port, fd, EPOLLIN, EPOLL_CTL_ADD);
    if (r)
        gn_port_close(loop, port, "epoll refused it");
    return r;
}

/* Say why not, and hang up. */
static void refuse(gn_loop *loop, int fd, int code)
{
    char line[256];
    int len = snprintf(line, sizeof line, "RESPONSE:REJECTED::%s %s\n", gn_code_word(code), gn_code_text(code));
    ssize_t n = send(fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);

    (void)n; /* it is told if it can be */
    gn_loop_log(loop, "refused a connection: %s", gn_code_word(code));
    close(fd);
}

void gn_listener_accept(gn_loop *loop, struct gn_port *port)
{
    for (int i = 0; i < ACCEPT_ROUND; i++) {
        int fd = accept4(port->read_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), r;

        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            if (errno == EAGAIN)
                return;
            gn_loop_log(loop, "cannot accept connections for now: %s", strerror(errno));
            gn_port_watch(loop, port, port->read_fd, 0, EPOLL_CTL_MOD);
            loop->accept_at_us = loop->now_us + GN_ACCEPT_PAUSE_US;
            return;
        }
        r = gn_stream_add(loop, fd, fd, 0);
        if (r)
            refuse(loop, fd, -r);
    }
}
