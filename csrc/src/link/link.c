/* link.c - a peer's line to the coordinator: life, locks, and the buffer what comes in is read from. */
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "link/internal.h"

#define DRAIN_SLOTS 32 /* most datagrams taken at a time */

static int name_is_good(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    if (!len || len > GN_TASK_BYTES_MAX)
        return 0;
    for (const char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || strchr("-_.", *c)))
            return 0;
    return 1;
}

/* Take the coordinator's queue: its slot size decides what fits a datagram. 0 or -1. */
static int take_queue(gn_link *link, int mqd)
{
    struct mq_attr attr;
    uint8_t *packed;

    if (mqd < 0) {
        link->write_fd = -1;
        return 0;
    }
    if (mq_getattr(mqd, &attr))
        return -1;
    packed = realloc(link->packed, (size_t)attr.mq_msgsize + 1);
    if (!packed)
        return -1;
    link->packed = packed;
    link->slot = (size_t)attr.mq_msgsize;
    link->write_fd = mqd;
    return 0;
}

static gn_link *new_link(int queue, int read_fd, size_t read_bytes)
{
    gn_link *link = calloc(1, sizeof *link);

    if (!link)
        return NULL;
    link->queue = queue;
    link->read_fd = read_fd;
    link->write_fd = -1;
    link->wake_fd = -1;
    link->read_bytes = read_bytes;
    link->in_cap = GN_MESSAGE_BYTES_MAX + (queue ? DRAIN_SLOTS : 2) * read_bytes;
    link->in = malloc(link->in_cap);
    pthread_mutex_init(&link->send_lock, NULL);
    pthread_mutex_init(&link->recv_lock, NULL);
    if (!link->in) {
        gn_link_free(link);
        return NULL;
    }
    return link;
}

gn_link *gn_link_mqueue(const char *name, int inbox_mqd, int coordinator_mqd)
{
    struct mq_attr attr;
    gn_link *link;

    if (!name_is_good(name)) {
        errno = EINVAL;
        return NULL;
    }
    if (mq_getattr(inbox_mqd, &attr))
        return NULL;
    link = new_link(1, inbox_mqd, (size_t)attr.mq_msgsize);
    if (!link)
        return NULL;
    memcpy(link->name, name, strlen(name) + 1);
    if (take_queue(link, coordinator_mqd)) {
        gn_link_free(link);
        return NULL;
    }
    return link;
}

gn_link *gn_link_stream(int read_fd, int write_fd)
{
    gn_link *link = new_link(0, read_fd, GN_READ_BYTES);

    if (link)
        link->write_fd = write_fd;
    return link;
}

void gn_link_free(gn_link *link)
{
    if (!link)
        return;
    pthread_mutex_destroy(&link->send_lock);
    pthread_mutex_destroy(&link->recv_lock);
    free(link->packed);
    free(link->tail);
    free(link->in);
    free(link);
}

/* Called by the receiver: what is half received came from a coordinator that is gone. */
static void forget_half(gn_link *link)
{
    uint32_t restarts = link->restarts;

    if (restarts == link->restarts_seen)
        return;
    link->restarts_seen = restarts;
    link->in_start = link->in_end = link->hello_len = 0;
    link->parser = (gn_parser){0};
    link->more = link->ended = 0;
}

void gn_link_reopen(gn_link *link, int read_fd, int write_fd)
{
    pthread_mutex_lock(&link->send_lock);
    if (link->queue) {
        if (take_queue(link, write_fd))
            link->write_fd = -1;
    } else {
        link->write_fd = write_fd;
        link->tail_len = 0;
        link->not_socket = 0;
    }
    pthread_mutex_unlock(&link->send_lock);
    if (link->queue) {
        /* The inbox stays; its receiver may be blocked in it, and looks at `restarts` when it wakes. */
        link->restarts++;
        return;
    }
    pthread_mutex_lock(&link->recv_lock);
    link->restarts++;
    link->read_fd = read_fd;
    forget_half(link);
    pthread_mutex_unlock(&link->recv_lock);
}

void gn_link_switch(gn_link *link, int queue, int read_fd, int write_fd)
{
    struct mq_attr attr;

    pthread_mutex_lock(&link->recv_lock); /* nobody else takes both */
    pthread_mutex_lock(&link->send_lock);
    link->queue = queue;
    link->read_fd = read_fd;
    link->write_fd = -1;
    link->tail_len = 0;
    link->not_socket = 0;
    if (!queue) {
        link->write_fd = write_fd;
        link->read_bytes = (link->in_cap - GN_MESSAGE_BYTES_MAX) / 2;
    } else if (!mq_getattr(read_fd, &attr) && !take_queue(link, write_fd)) {
        link->read_bytes = (size_t)attr.mq_msgsize;
    }
    link->restarts++;
    forget_half(link);
    pthread_mutex_unlock(&link->send_lock);
    pthread_mutex_unlock(&link->recv_lock);
}

size_t gn_link_message_bytes_max(const gn_link *link)
{
    if (!link->queue)
        return GN_MESSAGE_BYTES_MAX;
    return link->slot < GN_MESSAGE_BYTES_MAX ? link->slot : GN_MESSAGE_BYTES_MAX;
}

void gn_link_spin(gn_link *link, uint32_t spin_us)
{
    link->spin_us = spin_us;
}

int gn_link_read_fd(const gn_link *link)
{
    return link->read_fd;
}

ptrdiff_t gn_link_send_until(gn_link *link, const uint8_t *buf, size_t len, int64_t deadline_us)
{
    ptrdiff_t r;

    if (!len)
        return 0;
    if (gn_lock_until(&link->send_lock, deadline_us))
        return -EAGAIN;
    r = link->queue ? gn_queue_send(link, buf, len, deadline_us) : gn_stream_send(link, buf, len, deadline_us);
    pthread_mutex_unlock(&link->send_lock);
    return r;
}

ptrdiff_t gn_link_send(gn_link *link, const uint8_t *buf, size_t len, int timeout_ms)
{
    return gn_link_send_until(link, buf, len, gn_deadline_us(timeout_ms));
}

/* Whole messages from what has been read; their spans count from link->in. */
static size_t parse(gn_link *link, gn_msg *out, size_t cap)
{
    size_t used = 0, at = link->in_start, n;

    n = gn_parse(&link->parser, link->in + at, link->in_end - at, link->ended, out, cap, &used);
    for (size_t i = 0; at && i < n; i++) {
        out[i].whole.off += (uint32_t)at;
        out[i].action.off += (uint32_t)at;
        out[i].task.off += (uint32_t)at;
        out[i].params.off += (uint32_t)at;
        out[i].payload.off += (uint32_t)at;
    }
    link->in_start += used;
    link->more = n == cap;
    return n;
}

/* A coordinator that begins says HELLO in a datagram of its own, which starts with an LF. Whatever is half received came
 * from the one before it. No part of a longer message is taken for it: all parts but the last fill a slot, and a
 * last part that is this very datagram costs its own message alone. */
static int is_hello(const gn_link *link, const uint8_t *datagram, size_t len)
{
    static const char begin[] = "\nCONTROL:HELLO:";
    size_t head = sizeof begin - 1;

    return len > head && len < link->read_bytes && !memcmp(datagram, begin, head) &&
           memchr(datagram + head, '\n', len - head) == datagram + len - 1;
}

/* As parse; when all that stands before a HELLO has been taken, what is left of it is dropped, and the HELLO comes. */
static size_t parse_up_to_hello(gn_link *link, gn_msg *out, size_t cap)
{
    size_t n = parse(link, out, cap);

    if (n == cap || !link->hello_len)
        return n;
    link->parser = (gn_parser){0};
    link->in_start = link->in_end;
    link->in_end += link->hello_len;
    link->hello_len = 0;
    return n + parse(link, out + n, cap - n);
}

/* Room for one more read behind what is left. */
static void make_room(gn_link *link)
{
    if (link->in_start) {
        memmove(link->in, link->in + link->in_start, link->in_end - link->in_start);
        link->in_end -= link->in_start;
        link->in_start = 0;
    }
}

static ptrdiff_t read_some(gn_link *link, int64_t deadline_us)
{
    ptrdiff_t n = link->queue ? gn_queue_read(link, deadline_us) : gn_stream_read(link, deadline_us);
    uint32_t restarts = link->restarts;

    if (n <= 0)
        return n;
    if (restarts != link->restarts_seen && link->queue) { /* the new bytes are whole, the old ones are not */
        size_t at = link->in_end;

        forget_half(link);
        memmove(link->in, link->in + at, (size_t)n);
    }
    if (link->queue && is_hello(link, link->in + link->in_end, (size_t)n))
        link->hello_len = (size_t)n;
    else
        link->in_end += (size_t)n;
    return n;
}

/* After a first read: everything else that is there, while there is room. */
static void drain(gn_link *link)
{
    if (!link->queue)
        return;
    while (!link->hello_len && link->in_cap - link->in_end >= link->read_bytes && read_some(link, 0) > 0)
        ;
}

/* Read, looking for spin_us before going to sleep while the waits have been short: to wake a core that
 * has gone idle takes longer than many a task (bench/roundtrip). Yielding, so that whoever has work gets on. */
static ptrdiff_t read_soon(gn_link *link, int64_t deadline_us)
{
    int64_t start = gn_mono_us(), until = start + link->spin_us;
    ptrdiff_t r;

    if (!link->spin_us || deadline_us <= 0)
        return read_some(link, deadline_us);
    if (until > deadline_us)
        until = deadline_us;
    while (link->brisk && gn_mono_us() < until) {
        r = read_some(link, 0);
        if (r || link->woken)
            return r;
        sched_yield();
    }
    r = read_some(link, deadline_us);
    link->brisk = gn_mono_us() - start < GN_BRISK_US;
    return r;
}

static ptrdiff_t receive(gn_link *link, gn_msg *out, size_t cap, int64_t deadline_us)
{
    size_t n;

    if (link->queue)
        forget_half(link);
    if ((link->more || link->hello_len) && (n = parse_up_to_hello(link, out, cap)))
        return (ptrdiff_t)n;
    for (;;) {
        ptrdiff_t r;

        if (link->ended)
            return -EPIPE;
        make_room(link);
        r = read_soon(link, deadline_us);
        if (r == -EPIPE)
            link->ended = 1; /* a last line without its LF counts */
        else if (r <= 0)
            return r;
        else if (cap > 1)
            drain(link);
        n = parse_up_to_hello(link, out, cap);
        if (n || link->woken)
            return (ptrdiff_t)n;
    }
}

ptrdiff_t gn_link_recv_until(gn_link *link, gn_msg *out, size_t cap, int64_t deadline_us, const uint8_t **base)
{
    ptrdiff_t n;

    *base = link->in;
    if (!cap || gn_lock_until(&link->recv_lock, deadline_us))
        return 0;
    n = receive(link, out, cap, deadline_us);
    pthread_mutex_unlock(&link->recv_lock);
    return n;
}

ptrdiff_t gn_link_recv(gn_link *link, gn_msg *out, size_t cap, int timeout_ms, const uint8_t **base)
{
    return gn_link_recv_until(link, out, cap, gn_deadline_us(timeout_ms), base);
}
