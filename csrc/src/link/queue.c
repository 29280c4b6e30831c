/* queue.c - a link over POSIX queues: whole messages into datagrams, slots into a stream. */
#include <mqueue.h>
#include <poll.h>
#include <string.h>

#include "link/internal.h"

#define BATCH 64 /* messages parsed at a time */

/* The datagram being built. */
struct packing {
    gn_link *link;
    int64_t deadline_us;
    size_t len;      /* bytes of link->packed in use */
    size_t slot;
    size_t taken;    /* bytes of the caller's that are in the queue */
    size_t reached;  /* bytes of the caller's in the queue or in the datagram */
    int named;       /* what follows in this datagram is taken as ours */
    size_t name_len;
    uint64_t messages; /* in the datagram */
};

/* 0 or -errno. Tries first, so that a deadline of 0 and a non-blocking descriptor do what they say. */
static int push(struct packing *p)
{
    int fd = p->link->write_fd;

    while (p->len) {
        struct timespec at = gn_queue_time(p->deadline_us);
        int r = p->deadline_us == GN_NEVER ? mq_send(fd, (const char *)p->link->packed, p->len, 0)
                                           : mq_timedsend(fd, (const char *)p->link->packed, p->len, 0, &at);

        if (!r) {
            p->len = 0;
            break;
        }
        if (errno == ETIMEDOUT)
            return -EAGAIN;
        if (errno != EAGAIN)
            return -errno;
        if (p->deadline_us <= 0) /* the descriptor is non-blocking */
            return -EAGAIN;
        r = gn_wait_fd(fd, POLLOUT, -1, p->deadline_us);
        if (r <= 0)
            return r ? r : -EAGAIN;
    }
    p->link->messages_out += p->messages;
    p->messages = 0;
    p->taken = p->reached;
    p->named = 0;
    return 0;
}

static uint8_t *append(uint8_t *to, const void *from, size_t len)
{
    if (len)
        memcpy(to, from, len);
    return to + len;
}

/* Message m (its bytes, LF or not) behind what is in the datagram, with from= put in when `name`. */
static void copy_message(struct packing *p, const uint8_t *buf, const gn_msg *m, int name)
{
    size_t begin = m->whole.off, end = begin + m->whole.len, at;
    uint8_t *to = p->link->packed + p->len;

    if (m->flags & GN_MSG_TASK)
        at = m->params.len ? (size_t)m->params.off + m->params.len : (size_t)m->task.off + m->task.len;
    else
        at = (size_t)m->action.off + m->action.len;
    if (name) {
        to = append(to, buf + begin, at - begin);
        if (!(m->flags & GN_MSG_TASK))
            *to++ = ':'; /* an empty task field, to hang the parameter on */
        to = append(to, ";from=", 6);
        to = append(to, p->link->name, p->name_len);
        begin = at;
    }
    to = append(to, buf + begin, end - begin);
    *to++ = '\n';
    p->len = (size_t)(to - p->link->packed);
    p->messages++;
}

/* Message m of buf[at..len) into a datagram; the one before it leaves when there is no room. 0 or -errno. */
static int pack(struct packing *p, const uint8_t *buf, size_t at, size_t len, const gn_msg *m)
{
    gn_span from;
    size_t bytes = (size_t)m->whole.len + 1;
    size_t extra = 6 + p->name_len + (m->flags & GN_MSG_TASK ? 0 : 1);
    int own, name, r;

    if (m->code)
        return -EBADMSG;
    own = gn_param_find(buf + at, m, "from", &from);
    name = !own && !p->named;
    if (p->len + bytes + (name ? extra : 0) > p->slot) {
        r = push(p);
        if (r)
            return r;
        name = !own;
        if (bytes + (name ? extra : 0) > p->slot)
            return -EMSGSIZE;
    }
    copy_message(p, buf + at, m, name);
    p->named = !own; /* behind another's from=, the next message names us again */
    p->reached = at + gn_message_end(m, buf + at, len - at);
    return 0;
}

ptrdiff_t gn_queue_send(gn_link *link, const uint8_t *buf, size_t len, int64_t deadline_us)
{
    struct packing p = {.link = link, .deadline_us = deadline_us, .slot = link->slot, .name_len = strlen(link->name)};
    gn_parser parser = {0};
    gn_msg batch[BATCH];
    size_t at = 0;
    int r = 0, pushed;

    if (link->write_fd < 0)
        return -ENOTCONN;
    len = len > UINT32_MAX ? UINT32_MAX : len; /* spans are 32 bits wide */
    while (at < len && !r) {
        size_t used = 0, n = gn_parse(&parser, buf + at, len - at, 1, batch, BATCH, &used);

        for (size_t i = 0; i < n && !r; i++)
            r = pack(&p, buf, at, len, &batch[i]);
        at += used;
        if (!n)
            break; /* nothing but blank lines or NULs was left */
    }
    if (!r)
        p.reached = len;
    if (r == 0 || r == -EBADMSG || r == -EMSGSIZE) { /* what stands before it is good */
        pushed = push(&p);
        r = r ? r : pushed;
    }
    return p.taken ? (ptrdiff_t)p.taken : r;
}

ptrdiff_t gn_queue_read(gn_link *link, int64_t deadline_us)
{
    char *to = (char *)link->in + link->in_end;

    for (;;) {
        struct timespec at = gn_queue_time(deadline_us);
        ssize_t n = deadline_us == GN_NEVER ? mq_receive(link->read_fd, to, link->read_bytes, NULL)
                                            : mq_timedreceive(link->read_fd, to, link->read_bytes, NULL, &at);
        int r;

        if (n >= 0 || errno == ETIMEDOUT || errno == EINTR)
            return n > 0 ? n : 0;
        if (errno != EAGAIN)
            return -errno;
        if (deadline_us <= 0) /* the descriptor is non-blocking */
            return 0;
        r = gn_wait_fd(link->read_fd, POLLIN, -1, deadline_us);
        if (r <= 0)
            return r == -EINTR ? 0 : r;
    }
}
