/* port.c - the life of a port, and what the core wants done with it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/internal.h"

struct gn_port *gn_port_of(const gn_loop *loop, int link)
{
    return link >= 0 && (size_t)link < loop->by_link_cap ? loop->by_link[link] : NULL;
}

static int remember(gn_loop *loop, struct gn_port *port)
{
    size_t cap = loop->by_link_cap ? loop->by_link_cap : 64;
    struct gn_port **grown;

    if (port->link < 0)
        return 0;
    while (cap <= (size_t)port->link)
        cap *= 2;
    if (cap != loop->by_link_cap) {
        grown = realloc(loop->by_link, cap * sizeof *grown);
        if (!grown)
            return -1;
        memset(grown + loop->by_link_cap, 0, (cap - loop->by_link_cap) * sizeof *grown);
        loop->by_link = grown;
        loop->by_link_cap = cap;
    }
    loop->by_link[port->link] = port;
    loop->links++;
    return 0;
}

struct gn_port *gn_port_new(gn_loop *loop, int kind, int link, int read_fd, int write_fd)
{
    struct gn_port *port = calloc(1, sizeof *port);

    if (!port)
        return NULL;
    port->kind = kind;
    port->link = link;
    port->read_fd = read_fd;
    port->write_fd = write_fd;
    port->budget = 1;
    if (remember(loop, port)) {
        free(port);
        return NULL;
    }
    port->next = loop->ports;
    if (port->next)
        port->next->prev = port;
    loop->ports = port;
    return port;
}

void gn_port_poll(gn_loop *loop, struct gn_port *port)
{
    port->next_polled = loop->polled;
    loop->polled = port;
}

static void poll_no_more(gn_loop *loop, const struct gn_port *port)
{
    for (struct gn_port **at = &loop->polled; *at; at = &(*at)->next_polled)
        if (*at == port) {
            *at = port->next_polled;
            return;
        }
}

int gn_port_watch(gn_loop *loop, struct gn_port *port, int fd, uint32_t events, int op)
{
    struct epoll_event event = {.events = events};

    /* The lowest bit tells the write end of a pair from the read end. */
    event.data.u64 = (uint64_t)(uintptr_t)port | (fd == port->write_fd && fd != port->read_fd);
    return epoll_ctl(loop->epoll, op, fd, &event) ? -errno : 0;
}

static void forget_fd(gn_loop *loop, const struct gn_port *port, int fd)
{
    struct epoll_event none = {0};

    if (fd < 0)
        return;
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, &none); /* it may not be known there: that is as well */
    if (!port->given)
        close(fd);
}

void gn_port_close(gn_loop *loop, struct gn_port *port, const char *why)
{
    int link = port->link;

    if (port->gone)
        return;
    port->gone = 1;
    if (why)
        gn_loop_log(loop, "closed link %d %s: %s", link, port->address, why);
    if (port->kind == GN_PORT_INBOX || port->file)
        poll_no_more(loop, port);
    forget_fd(loop, port, port->read_fd);
    if (port->write_fd != port->read_fd)
        forget_fd(loop, port, port->write_fd);
    if (port->prev)
        port->prev->next = port->next;
    else
        loop->ports = port->next;
    if (port->next)
        port->next->prev = port->prev;
    port->next = loop->dead; /* events of this round may still name it */
    loop->dead = port;
    if (loop->accept_at_us != INT64_MAX)
        loop->accept_at_us = 0; /* a descriptor has become free */
    if (link < 0)
        return;
    loop->by_link[link] = NULL;
    loop->links--;
    gn_core_link_closed(loop->core, loop->now_us, link);
}

void gn_ports_reap(gn_loop *loop)
{
    while (loop->dead) {
        struct gn_port *port = loop->dead;

        loop->dead = port->next;
        free(port->half);
        free(port);
    }
}

void gn_ports_free(gn_loop *loop)
{
    while (loop->ports)
        gn_port_close(loop, loop->ports, NULL);
    gn_ports_reap(loop);
    free(loop->by_link);
    loop->by_link = NULL;
}

void gn_port_flush(gn_loop *loop, struct gn_port *port)
{
    size_t len;
    int whole;

    if (port->kind == GN_PORT_QUEUE)
        gn_queue_flush(loop, port);
    else if (port->kind == GN_PORT_STREAM)
        gn_stream_flush(loop, port);
    if (port->closing && !port->gone &&
        (port->deaf || !(gn_core_output(loop->core, port->link, SIZE_MAX, &len, &whole) || gn_core_held(loop->core, port->link))))
        gn_port_close(loop, port, "the core closed it");
}

static void begin_close(gn_loop *loop, int link)
{
    struct gn_port *port = gn_port_of(loop, link);

    if (!port) {
        gn_core_link_closed(loop->core, loop->now_us, link);
        return;
    }
    port->closing = 1;
    port->close_at_us = loop->now_us + GN_CLOSE_GRACE_US;
    if (port->close_at_us < loop->close_at_us)
        loop->close_at_us = port->close_at_us;
    gn_port_flush(loop, port);
}

static void apply(gn_loop *loop, const gn_effect *effect)
{
    switch (effect->kind) {
    case GN_EFFECT_OPEN:
        gn_queue_open(loop, effect->link, effect->text);
        break;
    case GN_EFFECT_CLOSE:
        begin_close(loop, effect->link);
        break;
    case GN_EFFECT_BLOB_KEEP:
        if (loop->journal.store)
            gn_store_blob_keep(loop->journal.store, effect->text);
        break;
    case GN_EFFECT_BLOB_DROP:
        gn_journal_part(loop, effect->text);
        break;
    case GN_EFFECT_DRAINED:
        loop->drained = 1;
        loop->drained_at_us = loop->now_us + GN_DRAIN_GRACE_US;
        break;
    default:
        break;
    }
}

void gn_loop_settle(gn_loop *loop)
{
    for (int busy = 1; busy;) {
        gn_effect effect;
        int link;

        busy = 0;
        while (gn_core_effect(loop->core, &effect)) {
            busy = 1;
            apply(loop, &effect);
        }
        gn_journal_write(loop); /* before anything leaves */
        while ((link = gn_core_dirty(loop->core)) >= 0) {
            struct gn_port *port = gn_port_of(loop, link);

            busy = 1;
            if (port && !port->blocked)
                gn_port_flush(loop, port);
            else if (port && port->kind == GN_PORT_STREAM)
                gn_stream_press(loop, port);
        }
    }
}
