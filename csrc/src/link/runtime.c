/* runtime.c - the agent's thread, its takers and its senders.
 *
 * Who receives: a taker that finds nobody receiving does it itself, blocked in the inbox, so a task wakes
 * exactly the thread that will run it. The runtime's thread watches the inbox only when no taker has been
 * there for GRACE_US. To know that without being woken at every task it looks every GRACE_US while messages
 * flow, and sleeps until its next duty ("parked") when they do not; the last taker to leave then wakes it.
 */
#include "ganglion/runtime.h"

#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "link/agent.h"

#define GRACE_US 2000
#define TIME_OVER 1
#define SLICE_US 250000 /* a sender looks that often whether the coordinator was opened anew */

void gn_runtime_nudge(int eventfd)
{
    uint64_t one = 1;
    ssize_t n = write(eventfd, &one, sizeof one);

    (void)n; /* it fails only when the counter is full, and then it is readable anyway */
}

void gn_runtime_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_us)
{
    struct timespec at = {(time_t)(deadline_us / 1000000), (long)(deadline_us % 1000000) * 1000};

    if (deadline_us == GN_NEVER)
        pthread_cond_wait(cond, lock);
    else
        pthread_cond_timedwait(cond, lock, &at);
}

static int late(int64_t deadline_us)
{
    return deadline_us != GN_NEVER && gn_mono_us() >= deadline_us;
}

ptrdiff_t gn_runtime_receive(gn_runtime *rt, int64_t deadline_us)
{
    gn_msg msgs[GN_RUNTIME_BATCH];
    const uint8_t *base;
    uint32_t generation = rt->generation;
    ptrdiff_t n;

    rt->receiving = 1;
    pthread_mutex_unlock(&rt->lock);
    n = gn_link_recv_until(rt->link, msgs, GN_RUNTIME_BATCH, deadline_us, &base);
    pthread_mutex_lock(&rt->lock);
    rt->receiving = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        if (msgs[i].code)
            continue; /* not a message: there is nobody to tell */
        rt->stats.received++;
        if (gn_runtime_answer(rt, base, &msgs[i]))
            continue;
        rt->handed++;
        if (gn_ring_push(msgs[i].type == GN_DATA ? &rt->tasks : &rt->others, &msgs[i], base))
            return -ENOMEM;
        if (msgs[i].type == GN_DATA)
            gn_held_take(&rt->held, base, &msgs[i]);
    }
    if (n < 0 && !rt->queue) {
        gn_runtime_lost(rt, generation);
        return 0;
    }
    return n;
}

static int anything_left(const gn_runtime *rt)
{
    return rt->tasks.count || rt->others.count;
}

/* One of them takes what is there or receives, and sees to the next. When they want different things the right one is
 * not known: all look. */
static void wake_followers(gn_runtime *rt)
{
    if (rt->picky)
        pthread_cond_broadcast(&rt->taken);
    else if (rt->followers)
        pthread_cond_signal(&rt->taken);
}

/* ---- the thread ---- */

/* Sleep until there is something to do. 1: the inbox has something. The lock is held, and released meanwhile. */
static int doze(gn_runtime *rt, uint64_t *seen)
{
    struct pollfd fds[2] = {{rt->wake_thread, POLLIN, 0}, {-1, POLLIN, 0}};
    int64_t now = gn_mono_us(), until = gn_runtime_next_duty(rt), left;
    struct timespec timeout;
    uint64_t counter;
    ssize_t n;

    if (rt->inside || now - rt->left_us < GRACE_US) {
        if (rt->inside && rt->handed == *seen)
            rt->parked = 1;
        else
            until = until < now + GRACE_US ? until : now + GRACE_US;
        *seen = rt->handed;
    } else if (gn_ring_bytes(&rt->tasks) + gn_ring_bytes(&rt->others) < GN_RING_BYTES_MAX &&
               (rt->queue || rt->open)) {
        fds[1].fd = rt->queue ? rt->config.inbox_mqd : rt->fd;
    }
    left = until > now ? until - now : 0;
    timeout = (struct timespec){(time_t)(left / 1000000), (long)(left % 1000000) * 1000};
    pthread_mutex_unlock(&rt->lock);
    if (ppoll(fds, 2, until == INT64_MAX ? NULL : &timeout, NULL) > 0 && fds[0].revents) {
        n = read(rt->wake_thread, &counter, sizeof counter);
        (void)n;
    }
    pthread_mutex_lock(&rt->lock);
    rt->parked = 0;
    return fds[1].revents != 0;
}

static void *run(void *argument)
{
    gn_runtime *rt = argument;
    uint64_t seen = 0;

    pthread_mutex_lock(&rt->lock);
    while (!rt->stopped) {
        gn_runtime_duties(rt);
        if (rt->stopped)
            break;
        if (doze(rt, &seen) && !rt->inside && !rt->receiving && !rt->stopped) {
            gn_runtime_receive(rt, 0);
            wake_followers(rt);
            if (rt->others.count)
                pthread_cond_signal(&rt->overdue);
        }
    }
    pthread_mutex_unlock(&rt->lock);
    return NULL;
}

/* ---- takers ---- */

static void enter(gn_runtime *rt)
{
    pthread_mutex_lock(&rt->lock);
    rt->inside++;
}

static void leave(gn_runtime *rt)
{
    int nudge = 0;

    if (!--rt->inside) {
        rt->left_us = gn_mono_us();
        nudge = rt->parked;
        rt->parked = 0;
        if (rt->closed)
            pthread_cond_broadcast(&rt->opened);
        if (rt->others.count)
            pthread_cond_signal(&rt->overdue);
    }
    if (anything_left(rt) || !rt->receiving)
        wake_followers(rt);
    if (nudge)
        gn_runtime_nudge(rt->wake_thread);
    pthread_mutex_unlock(&rt->lock);
}

/* Receive, or wait for the one who does. 0: look again; TIME_OVER; -errno. */
static ptrdiff_t await(gn_runtime *rt, uint32_t picky, int64_t deadline_us)
{
    if (anything_left(rt))
        wake_followers(rt); /* it is not for this taker */
    if (!rt->receiving && (rt->queue || rt->open)) {
        ptrdiff_t n = gn_runtime_receive(rt, deadline_us);

        if (n < 0)
            return n;
        /* Nothing came: time is over, or a signal wants Python to look. A lost socket is waited for. */
        return n == 0 && (rt->queue || rt->open) ? TIME_OVER : 0;
    }
    if (late(deadline_us))
        return TIME_OVER;
    rt->followers++;
    rt->picky += picky;
    gn_runtime_wait(&rt->taken, &rt->lock, deadline_us);
    rt->followers--;
    rt->picky -= picky;
    return 0;
}

/* Move what this taker wants out of the rings. *stuck: what comes next is not for it, or has no room. */
static size_t pop(gn_runtime *rt, const gn_wanted *want, gn_msg *out, size_t cap, uint8_t *buf, size_t buf_cap,
                  size_t *used, int *stuck)
{
    size_t n = 0;

    *stuck = 0;
    if (want->kinds & GN_TAKE_OTHERS)
        n = gn_ring_pop(&rt->others, out, cap, NULL, 0, buf, buf_cap, used, stuck);
    if (want->kinds & GN_TAKE_TASKS && n < cap && !*stuck)
        n += gn_ring_pop(&rt->tasks, out + n, cap - n, want->action, want->action_len, buf, buf_cap, used, stuck);
    return n;
}

ptrdiff_t gn_runtime_take(gn_runtime *rt, gn_msg *out, size_t cap, uint8_t *buf, size_t buf_cap, int timeout_ms,
                          uint32_t window_us)
{
    static const gn_wanted all = {GN_TAKE_TASKS | GN_TAKE_OTHERS, NULL, 0};

    return gn_runtime_take_wanted(rt, &all, out, cap, buf, buf_cap, timeout_ms, window_us);
}

/* Sleep until others are too busy to take what is no task. */
static ptrdiff_t take_overdue(gn_runtime *rt, const gn_wanted *want, gn_msg *out, size_t cap, uint8_t *buf,
                              size_t buf_cap, int64_t deadline_us)
{
    size_t got = 0, used = 0;
    int stuck = 0, closed;

    pthread_mutex_lock(&rt->lock);
    rt->patient++;
    while (!rt->closed && (!rt->others.count || rt->inside) && !late(deadline_us))
        gn_runtime_wait(&rt->overdue, &rt->lock, deadline_us);
    if (!rt->inside)
        got = pop(rt, want, out, cap, buf, buf_cap, &used, &stuck);
    closed = rt->closed;
    if (!--rt->patient && closed)
        pthread_cond_broadcast(&rt->opened);
    pthread_mutex_unlock(&rt->lock);
    if (got)
        return (ptrdiff_t)got;
    return stuck ? -EMSGSIZE : closed ? -EPIPE : 0;
}

ptrdiff_t gn_runtime_take_wanted(gn_runtime *rt, const gn_wanted *want, gn_msg *out, size_t cap, uint8_t *buf,
                                 size_t buf_cap, int timeout_ms, uint32_t window_us)
{
    int64_t deadline_us = gn_deadline_us(timeout_ms);
    size_t got = 0, used = 0;
    ptrdiff_t r = 0;
    int stuck = 0;

    if (want->kinds & GN_TAKE_OVERDUE)
        return take_overdue(rt, want, out, cap, buf, buf_cap, deadline_us);
    enter(rt);
    while (cap && !r) {
        size_t before = got;

        got += pop(rt, want, out + got, cap - got, buf, buf_cap, &used, &stuck);
        if (rt->closed && !got)
            r = -EPIPE;
        else if (stuck && !got)
            r = want->action_len ? TIME_OVER : -EMSGSIZE;
        if (r || stuck || got == cap || (got && (!window_us || rt->closed)))
            break;
        if (got && !before)
            deadline_us = gn_mono_us() + window_us;
        r = await(rt, want->action_len || want->kinds != (GN_TAKE_TASKS | GN_TAKE_OTHERS), deadline_us);
    }
    if (r == TIME_OVER)
        r = rt->closed ? -EPIPE : 0;
    leave(rt);
    return got ? (ptrdiff_t)got : r;
}

/* ---- senders ---- */

/* Wait until there is a coordinator to send to. Its generation's number in *generation, and 0; or -errno. */
static int wait_open(gn_runtime *rt, int64_t deadline_us, uint32_t *generation)
{
    int r = 0;

    pthread_mutex_lock(&rt->lock);
    while (!rt->open && !r) {
        if (rt->closed)
            r = -EPIPE;
        else if (late(deadline_us))
            r = -EAGAIN;
        else
            gn_runtime_wait(&rt->opened, &rt->lock, deadline_us);
    }
    *generation = rt->generation;
    pthread_mutex_unlock(&rt->lock);
    return r;
}

static void mark_lost(gn_runtime *rt, uint32_t generation)
{
    pthread_mutex_lock(&rt->lock);
    gn_runtime_lost(rt, generation);
    pthread_mutex_unlock(&rt->lock);
}

/* Their outcomes have left: those leases are over. */
static void forget_sent(gn_runtime *rt, const uint8_t *buf, size_t len)
{
    pthread_mutex_lock(&rt->lock);
    gn_held_sent(&rt->held, buf, len);
    pthread_mutex_unlock(&rt->lock);
}

static int64_t slice(int64_t deadline_us)
{
    int64_t now;

    if (!deadline_us)
        return 0;
    now = gn_mono_us();
    return deadline_us < now + SLICE_US ? deadline_us : now + SLICE_US;
}

ptrdiff_t gn_runtime_send(gn_runtime *rt, const uint8_t *buf, size_t len, int timeout_ms)
{
    int64_t deadline_us = gn_deadline_us(timeout_ms);
    size_t sent = 0;
    ptrdiff_t r = 0;

    while (sent < len) {
        uint32_t generation;

        r = wait_open(rt, deadline_us, &generation);
        if (r)
            break;
        r = gn_link_send_until(rt->link, buf + sent, len - sent, slice(deadline_us));
        if (r > 0) {
            forget_sent(rt, buf + sent, (size_t)r);
            sent += (size_t)r;
        } else if (r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN || r == -EBADF) {
            mark_lost(rt, generation);
        } else if (r != -EAGAIN || late(deadline_us)) {
            break;
        }
    }
    return sent ? (ptrdiff_t)sent : r;
}

/* ---- life ---- */

void gn_runtime_close(gn_runtime *rt)
{
    pthread_mutex_lock(&rt->lock);
    rt->closed = 1;
    rt->link->woken = 1;
    pthread_cond_broadcast(&rt->taken);
    pthread_cond_broadcast(&rt->overdue);
    pthread_cond_broadcast(&rt->opened);
    pthread_mutex_unlock(&rt->lock);
    gn_runtime_nudge(rt->wake_receiver);
    if (rt->self_mqd >= 0)
        mq_send(rt->self_mqd, "\n", 1, 0); /* a full inbox blocks nobody */
}

/* Where the JSON of the register line goes on behind its brace; 0: there is none. */
static size_t body_of(const gn_runtime_config *config)
{
    gn_parser parser = {0};
    gn_msg m;
    size_t used;

    if (gn_parse(&parser, config->register_line, config->register_len, 1, &m, 1, &used) != 1 || m.code ||
        !m.payload.len || config->register_line[m.payload.off] != '{')
        return 0;
    return (size_t)m.payload.off + 1;
}

static int fill(gn_runtime *rt, const gn_runtime_config *config)
{
    pthread_condattr_t monotonic;

    rt->config = *config;
    rt->queue = config->queue[0] != 0;
    rt->fd = rt->self_mqd = -1;
    pthread_mutex_init(&rt->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&rt->taken, &monotonic);
    pthread_cond_init(&rt->overdue, &monotonic);
    pthread_cond_init(&rt->opened, &monotonic);
    pthread_condattr_destroy(&monotonic);
    rt->wake_thread = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rt->wake_receiver = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (rt->wake_thread < 0 || rt->wake_receiver < 0)
        return -1;
    rt->register_line = malloc(config->register_len ? config->register_len : 1);
    if (!rt->register_line)
        return -1;
    if (config->register_len)
        memcpy(rt->register_line, config->register_line, config->register_len);
    rt->register_body = body_of(config);
    rt->heartbeat_us = (int64_t)(config->heartbeat_ms ? config->heartbeat_ms : 1000) * 1000;
    rt->answer_us = rt->left_us = gn_mono_us();
    if (rt->queue)
        rt->self_mqd = mq_open(config->inbox, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    rt->link = rt->queue ? gn_link_mqueue(config->name, config->inbox_mqd, -1) : gn_link_stream(-1, -1);
    if (!rt->link || (rt->queue && rt->self_mqd < 0))
        return -1;
    rt->link->counting = 1;
    gn_link_spin(rt->link, config->spin_us);
    rt->link->wake_fd = rt->wake_receiver; /* streams look at it */
    rt->beat_head_len = (size_t)snprintf(rt->beat_head, sizeof rt->beat_head, rt->queue ? "CONTROL:HEARTBEAT:%s;inbox=%s" :
                                         "CONTROL:HEARTBEAT:%s%s", config->name, rt->queue ? config->inbox : "");
    return 0;
}

gn_runtime *gn_runtime_new(const gn_runtime_config *config)
{
    gn_runtime *rt;

    if (!config->name[0] || (!config->queue[0] && !config->socket_path[0]) || !config->register_len ||
        (config->queue[0] && !config->inbox[0])) {
        errno = EINVAL;
        return NULL;
    }
    rt = calloc(1, sizeof *rt);
    if (!rt)
        return NULL;
    if (!fill(rt, config)) {
        pthread_mutex_lock(&rt->lock);
        gn_runtime_connect(rt); /* so that the slot size is known at once when the coordinator is there */
        pthread_mutex_unlock(&rt->lock);
        errno = pthread_create(&rt->thread, NULL, run, rt);
        rt->thread_runs = !errno;
    }
    if (!rt->thread_runs) {
        int error = errno;

        gn_runtime_free(rt);
        errno = error;
        return NULL;
    }
    return rt;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void gn_runtime_free(gn_runtime *rt)
{
    if (!rt)
        return;
    if (rt->thread_runs) {
        gn_runtime_close(rt);
        pthread_mutex_lock(&rt->lock);
        while (rt->inside || rt->patient)
            pthread_cond_wait(&rt->opened, &rt->lock);
        rt->stopped = 1;
        pthread_mutex_unlock(&rt->lock);
        gn_runtime_nudge(rt->wake_thread);
        pthread_join(rt->thread, NULL);
    }
    gn_link_free(rt->link);
    gn_ring_free(&rt->tasks);
    gn_ring_free(&rt->others);
    gn_held_free(&rt->held);
    free(rt->beat);
    free(rt->register_line);
    close_fd(rt->fd);
    close_fd(rt->self_mqd);
    close_fd(rt->wake_thread);
    close_fd(rt->wake_receiver);
    pthread_cond_destroy(&rt->taken);
    pthread_cond_destroy(&rt->overdue);
    pthread_cond_destroy(&rt->opened);
    pthread_mutex_destroy(&rt->lock);
    free(rt);
}

void gn_runtime_read_stats(gn_runtime *rt, gn_runtime_stats *out)
{
    pthread_mutex_lock(&rt->lock);
    *out = rt->stats;
    out->connected = rt->connected;
    out->pong_age_ms = (uint64_t)(gn_mono_us() - rt->answer_us) / 1000;
    out->sent = rt->link->messages_out;
    pthread_mutex_unlock(&rt->lock);
}

size_t gn_runtime_message_bytes_max(gn_runtime *rt)
{
    return gn_link_message_bytes_max(rt->link);
}
