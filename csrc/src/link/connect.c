/* connect.c - the agent's side of staying known: open, register, heartbeat, and the answers to them. */
#include <fcntl.h>
#include <mqueue.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "link/agent.h"

#define BACKOFF_US 25000          /* first pause between attempts to open; doubled up to RETRY_US */
#define RETRY_US 100000
#define REGISTER_PAUSE_US 200000  /* many outcomes may be refused at once: register once for all of them */
#define SEND_US 100000            /* a full queue may hold the thread up that long */
#define LOST_BEATS 3
#define HEARTBEAT_MS_MIN 10
#define HEARTBEAT_MS_MAX 60000

static int open_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void gn_runtime_lost(gn_runtime *rt, uint32_t generation)
{
    if (generation != rt->generation || rt->fd < 0)
        return;
    rt->generation++;
    rt->open = rt->connected = 0;
    rt->open_at_us = 0;
    if (!rt->queue)
        shutdown(rt->fd, SHUT_RDWR); /* whoever is blocked on it comes back */
    gn_runtime_nudge(rt->wake_thread);
}

/* Put fd, of a queue or of a socket, in the place of the old descriptor. */
static void replace(gn_runtime *rt, int fd, int queue)
{
    int old = rt->fd, was_queue = rt->queue, read_fd = queue ? rt->config.inbox_mqd : fd;

    rt->generation++;
    rt->open = rt->connected = 0;
    if (queue != was_queue)
        rt->link->woken = 1; /* whoever receives from the other kind comes back */
    if (!queue)
        rt->queue = 0; /* nobody receives from a socket that is not open */
    pthread_mutex_unlock(&rt->lock);
    if (!was_queue && old >= 0)
        shutdown(old, SHUT_RDWR);
    if (queue == was_queue) {
        gn_link_reopen(rt->link, read_fd, fd);
    } else {
        if (was_queue)
            mq_send(rt->self_mqd, "\n", 1, 0);
        gn_link_switch(rt->link, queue, read_fd, fd);
    }
    if (old >= 0)
        close(old); /* an mqd_t is a descriptor on Linux */
    pthread_mutex_lock(&rt->lock);
    rt->link->woken = rt->closed;
    rt->queue = queue;
    rt->fd = fd;
}

void gn_runtime_connect(gn_runtime *rt)
{
    int64_t now;
    int queue = rt->config.queue[0] != 0, fd = queue ? mq_open(rt->config.queue, O_WRONLY | O_CLOEXEC) : -1;

    if (fd < 0 && rt->config.socket_path[0]) {
        queue = 0;
        fd = open_socket(rt->config.socket_path);
    }
    now = gn_mono_us();
    if (fd < 0) {
        rt->backoff_us = smaller(rt->backoff_us ? 2 * rt->backoff_us : BACKOFF_US, RETRY_US);
        rt->open_at_us = now + rt->backoff_us;
        return;
    }
    if (rt->generation)
        rt->stats.reconnects++;
    replace(rt, fd, queue);
    rt->backoff_us = 0;
    rt->open_at_us = INT64_MAX;
    rt->want_register = 1;
    rt->register_at_us = 0;
    rt->answer_us = now;
}

static int silent_too_long(const gn_runtime *rt)
{
    return gn_mono_us() - rt->answer_us > LOST_BEATS * rt->heartbeat_us;
}

static void send_register(gn_runtime *rt)
{
    uint32_t generation = rt->generation;
    ptrdiff_t r;
    int64_t now;

    rt->want_register = rt->connected = 0; /* before: the WELCOME may be read before we have the lock again */
    gn_runtime_write_register(rt);
    pthread_mutex_unlock(&rt->lock);
    r = gn_link_send_until(rt->link, rt->beat, rt->beat_len, gn_mono_us() + SEND_US);
    pthread_mutex_lock(&rt->lock);
    now = gn_mono_us();
    rt->register_at_us = now + smaller(REGISTER_PAUSE_US, rt->heartbeat_us);
    if ((r < 0 && r != -EAGAIN && r != -EINTR) || silent_too_long(rt)) /* perhaps nobody empties this queue any more */
        gn_runtime_lost(rt, generation);
    if (r != (ptrdiff_t)rt->beat_len || !r || generation != rt->generation) {
        rt->want_register = 1;
        return;
    }
    rt->open = 1;
    rt->beat_at_us = now + rt->heartbeat_us;
    pthread_cond_broadcast(&rt->opened);
    pthread_cond_broadcast(&rt->taken);
}

/* Does the coordinator's queue have another queue's name by now (it was removed, and made again), or is it gone
 * while there is a socket to go to? */
static int queue_was_replaced(const gn_runtime *rt)
{
    struct stat mine, named;
    int fd, other;

    if (!rt->queue || fstat(rt->fd, &mine))
        return 0;
    fd = mq_open(rt->config.queue, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT && rt->config.socket_path[0];
    other = !fstat(fd, &named) && (named.st_ino != mine.st_ino || named.st_dev != mine.st_dev);
    close(fd);
    return other;
}

static void send_beat(gn_runtime *rt)
{
    uint32_t generation = rt->generation;
    int64_t silence = gn_mono_us() - rt->answer_us;
    ptrdiff_t r;

    if (silent_too_long(rt) || (2 * silence > 3 * rt->heartbeat_us && queue_was_replaced(rt))) {
        gn_runtime_lost(rt, generation);
        return;
    }
    rt->beat_at_us = gn_mono_us() + rt->heartbeat_us;
    if (!rt->connected) { /* the WELCOME is late: perhaps nobody was there to hear us */
        rt->want_register = 1;
        return;
    }
    gn_runtime_write_beat(rt);
    pthread_mutex_unlock(&rt->lock);
    r = gn_link_send_until(rt->link, rt->beat, rt->beat_len, gn_mono_us() + SEND_US);
    pthread_mutex_lock(&rt->lock);
    if (r > 0)
        rt->stats.heartbeats++;
    else if (r == -EAGAIN || r == -EINTR)
        rt->beat_at_us = gn_mono_us() + rt->heartbeat_us / 4;
    else
        gn_runtime_lost(rt, generation);
}

void gn_runtime_duties(gn_runtime *rt)
{
    int64_t now = gn_mono_us();

    if (now >= rt->open_at_us)
        gn_runtime_connect(rt);
    if (rt->fd < 0 || rt->open_at_us != INT64_MAX)
        return;
    if (rt->want_register && now >= rt->register_at_us)
        send_register(rt);
    if (rt->open && now >= rt->beat_at_us)
        send_beat(rt);
}

int64_t gn_runtime_next_duty(const gn_runtime *rt)
{
    int64_t at = rt->open_at_us;

    if (at != INT64_MAX)
        return at;
    if (rt->want_register)
        at = rt->register_at_us;
    return rt->open ? smaller(at, rt->beat_at_us) : at;
}

static int equal(const uint8_t *base, gn_span span, const char *text)
{
    return span.len == strlen(text) && !memcmp(base + span.off, text, span.len);
}

static uint64_t decimal(const uint8_t *text, size_t len)
{
    uint64_t n = 0;

    for (size_t i = 0; i < len && text[i] >= '0' && text[i] <= '9'; i++)
        n = n * 10 + (text[i] - '0');
    return n;
}

static uint64_t epoch_of(const uint8_t *base, const gn_msg *m)
{
    gn_span epoch;

    return gn_param_find(base, m, "epoch", &epoch) ? decimal(base + epoch.off, epoch.len) : 0;
}

static void welcome(gn_runtime *rt, const uint8_t *base, const gn_msg *m)
{
    static const char key[] = "\"heartbeat_ms\":";
    const uint8_t *payload = base + m->payload.off, *end = payload + m->payload.len;
    const uint8_t *at = memmem(payload, m->payload.len, key, sizeof key - 1);
    uint64_t epoch = epoch_of(base, m);

    rt->connected = 1;
    if (epoch != rt->stats.epoch)
        rt->held.newest = 0; /* nothing has come from this run of the coordinator yet */
    rt->stats.epoch = epoch;
    if (at) {
        uint64_t ms;

        at += sizeof key - 1;
        while (at < end && *at == ' ')
            at++;
        ms = decimal(at, (size_t)(end - at));
        ms = ms < HEARTBEAT_MS_MIN ? HEARTBEAT_MS_MIN : ms > HEARTBEAT_MS_MAX ? HEARTBEAT_MS_MAX : ms;
        rt->heartbeat_us = (int64_t)ms * 1000;
    }
    if (rt->said_holds || rt->beat_at_us > gn_mono_us() + rt->heartbeat_us) {
        rt->beat_at_us = rt->said_holds ? 0 : gn_mono_us() + rt->heartbeat_us;
        gn_runtime_nudge(rt->wake_thread);
    }
}

static void register_again(gn_runtime *rt)
{
    if (rt->want_register)
        return;
    rt->want_register = 1;
    gn_runtime_nudge(rt->wake_thread);
}

/* A new run of the coordinator says so. Its queue may be another one of the same name. */
static void hello(gn_runtime *rt)
{
    if (queue_was_replaced(rt)) {
        gn_runtime_lost(rt, rt->generation);
        return;
    }
    rt->register_at_us = 0;
    rt->want_register = 1;
    gn_runtime_nudge(rt->wake_thread);
}

int gn_runtime_answer(gn_runtime *rt, const uint8_t *base, const gn_msg *m)
{
    static const char unknown[] = "unknown_sender";
    int mine = equal(base, m->task, rt->config.name);

    if (m->verb == GN_VERB_PONG && mine) {
        uint64_t epoch = epoch_of(base, m);

        rt->stats.pongs++;
        rt->answer_us = gn_mono_us();
        if (rt->connected && epoch != rt->stats.epoch)
            register_again(rt);
        return 1;
    }
    if (m->verb == GN_VERB_WELCOME && mine) {
        rt->answer_us = gn_mono_us();
        welcome(rt, base, m);
        return 1;
    }
    if (m->verb == GN_VERB_HELLO) {
        rt->answer_us = gn_mono_us();
        hello(rt);
        return 1;
    }
    if (m->verb == GN_VERB_CANCEL && gn_held_lacks(&rt->held, base, m))
        return 1; /* its outcome and this met on their way */
    if (m->verb == GN_VERB_REJECTED && m->payload.len >= sizeof unknown - 1 &&
        !memcmp(base + m->payload.off, unknown, sizeof unknown - 1)) {
        rt->answer_us = gn_mono_us();
        register_again(rt);
        return mine;
    }
    return 0;
}
