/* mqueue.c - the coordinator's inbox and the peers' queues. */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/internal.h"

int gn_inbox_name(int mqd, char *name, size_t cap)
{
    static const char deleted[] = " (deleted)";
    char path[64];
    size_t tail = sizeof deleted - 1, len;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/self/fd/%d", mqd);
    n = readlink(path, name, cap - 1);
    if (n < 0)
        return -errno;
    len = (size_t)n;
    name[len] = 0;
    if (len > tail && !strcmp(name + len - tail, deleted))
        name[len - tail] = 0;
    return 0;
}

int gn_inbox_add(gn_loop *loop, int mqd)
{
    struct gn_port *port;
    struct mq_attr attr;
    uint8_t *scratch;
    int link, r;

    if (mq_getattr(mqd, &attr))
        return -errno;
    if ((size_t)attr.mq_msgsize > loop->scratch_cap) {
        scratch = realloc(loop->scratch, (size_t)attr.mq_msgsize);
        if (!scratch)
            return -ENOMEM;
        loop->scratch = scratch;
        loop->scratch_cap = (size_t)attr.mq_msgsize;
    }
    link = gn_core_link_open(loop->core, loop->now_us, GN_LINK_SHARED);
    if (link < 0)
        return -ENOSPC;
    port = gn_port_new(loop, GN_PORT_INBOX, link, mqd, -1);
    if (!port) {
        gn_core_link_closed(loop->core, loop->now_us, link);
        return -ENOMEM;
    }
    gn_port_poll(loop, port);
    port->given = 1;
    port->slot = (size_t)attr.mq_msgsize;
    if (gn_inbox_name(mqd, port->address, sizeof port->address)) {
        port->address[0] = 0;
        gn_loop_log(loop, "cannot tell the name of the inbox: no peer's queue will be opened");
    }
    r = gn_port_watch(loop, port, mqd, EPOLLIN, EPOLL_CTL_ADD);
    if (r)
        gn_port_close(loop, port, "epoll refused it");
    port->ready = 1;
    return r;
}

/* Take as many datagrams as the last rounds had, so that one alone is answered at once and many are answered in few
 * datagrams. The last attempt finds nothing; whether to make it costs a system call, so it is part of the budget. */
size_t gn_inbox_drain(gn_loop *loop, struct gn_port *port)
{
    static const struct timespec at_once;
    size_t n = 0;

    while (n < port->budget) {
        ssize_t len = mq_timedreceive(port->read_fd, (char *)loop->scratch, port->slot, NULL, &at_once);

        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0) {
            port->ready = 0;
            if (errno != ETIMEDOUT && errno != EAGAIN)
                gn_port_close(loop, port, strerror(errno));
            break;
        }
        n++;
        loop->bytes_in += (uint64_t)len;
        gn_core_feed(loop->core, loop->now_us, port->link, loop->scratch, (size_t)len, 1);
    }
    loop->datagrams_in += n;
    if (n == port->budget)
        port->budget = n * 2 > GN_INBOX_ROUND ? GN_INBOX_ROUND : n * 2;
    else if (n)
        port->budget = n;
    else
        port->budget = port->budget > 1 ? port->budget / 2 : 1;
    return n;
}

static int plain(const char *name)
{
    for (; *name; name++)
        if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9') ||
              strchr("-_.", *name)))
            return 0;
    return 1;
}

/* A peer's queue is the inbox's name, a dot, and a name. Anything else a peer asks us to write to is not its own. */
static int is_peers(const gn_loop *loop, const char *address)
{
    for (const struct gn_port *port = loop->polled; port; port = port->next_polled) {
        size_t len = strlen(port->address);

        if (port->kind == GN_PORT_INBOX && len && !strncmp(address, port->address, len) && address[len] == '.' &&
            address[len + 1] && plain(address + len + 1))
            return 1;
    }
    return 0;
}

/* A descriptor and its slot size, or -errno. */
static int open_peer(const gn_loop *loop, const char *address, size_t *slot)
{
    struct mq_attr attr;
    int fd;

    if (!is_peers(loop, address))
        return -EACCES;
    fd = mq_open(address, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (mq_getattr(fd, &attr) || attr.mq_msgsize < GN_SLOT_BYTES_MIN) {
        close(fd);
        return -EMSGSIZE;
    }
    *slot = (size_t)attr.mq_msgsize;
    return fd;
}

void gn_queue_open(gn_loop *loop, int link, const char *address)
{
    struct gn_port *port = NULL;
    size_t slot = 0;
    int fd = open_peer(loop, address, &slot);

    if (fd >= 0) {
        port = gn_port_new(loop, GN_PORT_QUEUE, link, -1, fd);
        if (!port)
            close(fd);
    }
    if (!port) {
        gn_loop_log(loop, "cannot open queue %.255s: %s", address, strerror(fd < 0 ? -fd : ENOMEM));
        gn_core_link_closed(loop->core, loop->now_us, link);
        return;
    }
    port->slot = slot;
    snprintf(port->address, sizeof port->address, "%s", address);
    gn_loop_log(loop, "opened link %d %s", link, address);
}

/* The queue is full: hear of the next free slot, once. */
static void block(gn_loop *loop, struct gn_port *port)
{
    int r = gn_port_watch(loop, port, port->write_fd, EPOLLOUT | EPOLLONESHOT,
                          port->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD);

    loop->blocked++;
    port->watched = port->blocked = 1;
    if (r)
        gn_port_close(loop, port, strerror(-r));
}

void gn_queue_flush(gn_loop *loop, struct gn_port *port)
{
    const uint8_t *bytes;
    size_t len;
    int whole;

    port->blocked = 0;
    while ((bytes = gn_core_output(loop->core, port->link, port->slot, &len, &whole))) {
        if (!mq_send(port->write_fd, (const char *)bytes, len, 0)) {
            loop->datagrams_out++;
            loop->bytes_out += len;
            gn_core_sent(loop->core, loop->now_us, port->link, len);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN)
            block(loop, port);
        else
            gn_port_close(loop, port, strerror(errno));
        return;
    }
}
