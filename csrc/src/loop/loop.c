/* loop.c - the coordinator's thread: wait, take, feed, answer.
 *
 * A round: everything that came is fed to the core, then what the core says leaves (gn_loop_settle). The inbox is
 * looked at once more before the thread sleeps, since a queue is often filled again meanwhile.
 */
#include "ganglion/loop.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "loop/internal.h"

#define EVENTS 256
#define NEVER INT64_MAX

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The Unix time at which the loop was made, carried on by the monotonic clock: setting the clock ends no lease. */
void gn_loop_look_at_clock(gn_loop *loop)
{
    int64_t now = clock_us(CLOCK_MONOTONIC) + loop->offset_us;

    if (now > loop->now_us)
        loop->now_us = now;
}

void gn_loop_log(gn_loop *loop, const char *format, ...)
{
    char line[3584]; /* less than PIPE_BUF: whole or not at all */
    va_list arguments;
    ssize_t n;
    int len;

    if (loop->config.log_fd < 0)
        return;
    va_start(arguments, format);
    len = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (len < 0)
        return;
    len = len > (int)sizeof line - 2 ? (int)sizeof line - 2 : len;
    line[len++] = '\n';
    n = write(loop->config.log_fd, line, (size_t)len);
    (void)n; /* a log nobody reads must not hold the loop up */
}

/* ---- commands of other threads ---- */

static void wake(gn_loop *loop)
{
    uint64_t one = 1;
    ssize_t n = write(loop->wake, &one, sizeof one);

    (void)n; /* full means readable */
}

static int command(gn_loop *loop, int kind, int a, int b, const char *text)
{
    struct gn_command *command = calloc(1, sizeof *command);

    if (!command)
        return -ENOMEM;
    command->kind = kind;
    command->a = a;
    command->b = b;
    if (text)
        snprintf(command->text, sizeof command->text, "%s", text);
    pthread_mutex_lock(&loop->lock);
    *loop->commands_end = command;
    loop->commands_end = &command->next;
    loop->commanded = 1;
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
    return 0;
}

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) < 0 ? -errno : 0;
}

int gn_loop_add_inbox(gn_loop *loop, int mqd)
{
    struct mq_attr attr;

    return mq_getattr(mqd, &attr) ? -errno : command(loop, GN_ADD_INBOX, mqd, -1, NULL);
}

int gn_loop_add_listener(gn_loop *loop, int fd)
{
    int r = is_open(fd);

    return r ? r : command(loop, GN_ADD_LISTENER, fd, -1, NULL);
}

int gn_loop_add_stream(gn_loop *loop, int read_fd, int write_fd)
{
    int r = is_open(read_fd);

    r = r ? r : is_open(write_fd);
    return r ? r : command(loop, GN_ADD_STREAM, read_fd, write_fd, NULL);
}

int gn_loop_peer_gone(gn_loop *loop, const char *address)
{
    return command(loop, GN_PEER_GONE, -1, -1, address);
}

static void peer_gone(gn_loop *loop, const char *address)
{
    struct gn_port *next;

    for (struct gn_port *port = loop->ports; port; port = next) {
        next = port->next;
        if (port->kind == GN_PORT_QUEUE && !strcmp(port->address, address))
            gn_port_close(loop, port, "its owner is gone");
    }
}

static void obey(gn_loop *loop, const struct gn_command *command)
{
    int r = 0;

    switch (command->kind) {
    case GN_ADD_INBOX:
        r = gn_inbox_add(loop, command->a);
        break;
    case GN_ADD_LISTENER:
        r = gn_listener_add(loop, command->a);
        break;
    case GN_ADD_STREAM:
        r = gn_stream_add(loop, command->a, command->b, 1);
        break;
    default:
        peer_gone(loop, command->text);
        break;
    }
    if (r)
        gn_loop_log(loop, "cannot add descriptor %d (%d)", command->a, r);
}

static void take_commands(gn_loop *loop)
{
    struct gn_command *list, *next;

    if (!loop->commanded)
        return;
    pthread_mutex_lock(&loop->lock);
    list = loop->commands;
    loop->commands = NULL;
    loop->commands_end = &loop->commands;
    loop->commanded = 0;
    pthread_mutex_unlock(&loop->lock);
    for (; list; list = next) {
        next = list->next;
        obey(loop, list);
        free(list);
    }
}

/* ---- waiting ---- */

static int64_t earliest(const gn_loop *loop)
{
    int64_t times[] = {gn_core_next_us(loop->core), loop->sweep_at_us, loop->accept_at_us, loop->close_at_us,
                       gn_journal_next_us(loop), loop->drained ? loop->drained_at_us : NEVER};
    int64_t at = NEVER;

    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        at = times[i] < at ? times[i] : at;
    return at;
}

/* Something that no descriptor would tell us about: an inbox not seen empty, a regular file not read to its end. */
static int unfinished(const gn_loop *loop)
{
    for (const struct gn_port *port = loop->polled; port; port = port->next_polled)
        if (port->ready || (port->file && !port->read_ended && !port->paused))
            return 1;
    return gn_journal_walks(loop);
}

static int wait_for_events(gn_loop *loop, struct epoll_event *events)
{
    int64_t until = earliest(loop), left;
    struct timespec timeout;
    int n;

    gn_loop_look_at_clock(loop);
    if (unfinished(loop) || loop->stop || loop->commanded)
        until = 0;
    left = until > loop->now_us ? until - loop->now_us : 0;
#ifdef SYS_epoll_pwait2
    if (!loop->no_pwait2 && sizeof timeout.tv_nsec == 8) {
        timeout = (struct timespec){(time_t)(left / 1000000), (long)(left % 1000000) * 1000};
        n = (int)syscall(SYS_epoll_pwait2, loop->epoll, events, EVENTS, until == NEVER ? NULL : &timeout, NULL, 0);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        loop->no_pwait2 = 1;
    }
#endif
    (void)timeout;
    left = (left + 999) / 1000;
    return epoll_wait(loop->epoll, events, EVENTS, until == NEVER ? -1 : left > INT32_MAX ? INT32_MAX : (int)left);
}

/* Wait as wait_for_events does, looking for spin_us first while the waits have been short. */
static int wait_briskly(gn_loop *loop, struct epoll_event *events)
{
    int64_t start;
    int n = 0;

    if (!loop->config.spin_us)
        return wait_for_events(loop, events);
    gn_loop_look_at_clock(loop);
    start = loop->now_us;
    while (loop->brisk && !n && loop->now_us < start + loop->config.spin_us && loop->now_us < earliest(loop) &&
           !unfinished(loop) && !loop->commanded && !loop->stop) {
        n = epoll_wait(loop->epoll, events, EVENTS, 0);
        if (!n)
            sched_yield();
        gn_loop_look_at_clock(loop);
    }
    if (n)
        return n;
    n = wait_for_events(loop, events);
    gn_loop_look_at_clock(loop);
    loop->brisk = loop->now_us - start < GN_BRISK_US;
    return n;
}

/* ---- a round ---- */

static void dispatch(gn_loop *loop, const struct epoll_event *event)
{
    struct gn_port *port = (struct gn_port *)(uintptr_t)(event->data.u64 & ~(uint64_t)1);
    uint64_t counter;
    ssize_t n;

    if (event->data.u64 == GN_JOURNAL_EVENT) {
        loop->journal.news = 1;
        return;
    }
    if (!port) {
        n = read(loop->wake, &counter, sizeof counter);
        (void)n;
        return;
    }
    if (port->gone)
        return;
    if (port->kind == GN_PORT_INBOX)
        port->ready = 1;
    else if (port->kind == GN_PORT_LISTENER)
        gn_listener_accept(loop, port);
    else if (port->kind == GN_PORT_STREAM)
        gn_stream_event(loop, port, event->events, (int)(event->data.u64 & 1));
    else
        gn_port_flush(loop, port);
}

static size_t drain_inboxes(gn_loop *loop)
{
    struct gn_port *next;
    size_t n = 0;

    for (struct gn_port *port = loop->polled; port; port = next) {
        next = port->next_polled;
        if (port->kind == GN_PORT_INBOX && port->ready)
            n += gn_inbox_drain(loop, port);
        else if (port->file && !port->read_ended)
            gn_stream_take(loop, port);
    }
    return n;
}

static void close_overdue(gn_loop *loop)
{
    struct gn_port *next;

    if (loop->now_us < loop->close_at_us)
        return;
    loop->close_at_us = NEVER;
    for (struct gn_port *port = loop->ports; port; port = next) {
        next = port->next;
        if (!port->closing)
            continue;
        if (loop->now_us >= port->close_at_us)
            gn_port_close(loop, port, "the core closed it, and it did not read to the end");
        else if (port->close_at_us < loop->close_at_us)
            loop->close_at_us = port->close_at_us;
    }
}

static void accept_again(gn_loop *loop)
{
    if (loop->now_us < loop->accept_at_us)
        return;
    loop->accept_at_us = NEVER;
    for (struct gn_port *port = loop->ports; port; port = port->next)
        if (port->kind == GN_PORT_LISTENER)
            gn_port_watch(loop, port, port->read_fd, EPOLLIN, EPOLL_CTL_MOD);
}

static void do_what_is_due(gn_loop *loop)
{
    close_overdue(loop);
    accept_again(loop);
    if (loop->now_us >= loop->sweep_at_us) {
        gn_blob_sweep(loop);
        loop->sweep_at_us = loop->now_us + (int64_t)loop->config.sweep_ms * 1000;
    }
    gn_journal_care(loop);
    if (loop->now_us >= gn_core_next_us(loop->core))
        gn_core_tick(loop->core, loop->now_us);
}

static int output_waits(const gn_loop *loop)
{
    for (const struct gn_port *port = loop->ports; port; port = port->next)
        if (!port->deaf && (port->blocked || gn_core_held(loop->core, port->link)))
            return 1;
    return 0;
}

static void note_lag(gn_loop *loop)
{
    uint64_t lag;

    gn_loop_look_at_clock(loop);
    lag = (uint64_t)(loop->now_us - loop->woken_us);
    if (lag > loop->lag_us_max)
        loop->lag_us_max = lag;
    if (loop->now_us >= loop->lag_turn_us) {
        loop->lag_turn_us = loop->now_us + GN_LAG_TURN_US;
        loop->lag_lately_us[1] = loop->lag_lately_us[0];
        loop->lag_lately_us[0] = 0;
    }
    if (lag > loop->lag_lately_us[0])
        loop->lag_lately_us[0] = lag;
}

uint64_t gn_loop_lag_us(const gn_loop *loop)
{
    return loop->lag_lately_us[loop->lag_lately_us[1] > loop->lag_lately_us[0]];
}

static int round_once(gn_loop *loop)
{
    struct epoll_event events[EVENTS];
    int n = wait_briskly(loop, events);

    if (n < 0 && errno != EINTR)
        return -errno;
    loop->wakeups++;
    gn_loop_look_at_clock(loop);
    loop->woken_us = loop->now_us;
    take_commands(loop);
    for (int i = 0; i < n; i++)
        dispatch(loop, &events[i]);
    for (size_t took = 1, total = 0; took && total < GN_INBOX_ROUND; total += took) {
        took = drain_inboxes(loop);
        do_what_is_due(loop);
        gn_loop_settle(loop);
        note_lag(loop); /* and look at the clock: the work took its time */
    }
    gn_ports_reap(loop);
    return loop->broken;
}

uint64_t gn_loop_gauge(const gn_loop *loop, const char *name)
{
    for (int i = 0; i < gn_core_gauge_count(); i++)
        if (!strcmp(gn_core_gauge_name(i), name))
            return gn_core_gauge(loop->core, i);
    return 0;
}

/* A result told by name may not have been mapped yet: its reader gets as long as a slow link does. With a journal it outlives us. */
static int blobs_wait(const gn_loop *loop)
{
    return !loop->journal.store && gn_loop_gauge(loop, "blobs");
}

static int is_over(const gn_loop *loop)
{
    if (loop->stop)
        return 1;
    return loop->drained && (loop->now_us >= loop->drained_at_us || !(output_waits(loop) || blobs_wait(loop)));
}

int gn_loop_run(gn_loop *loop)
{
    static const struct timespec at_once;
    sigset_t pipe_only, old;
    int r = 0;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
    loop->ran = 1;
    while (!r && !is_over(loop))
        r = round_once(loop);
    gn_journal_finish(loop);
    while (sigtimedwait(&pipe_only, NULL, &at_once) > 0)
        ;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r)
        return r;
    return loop->stop ? 0 : 1;
}

void gn_loop_stop(gn_loop *loop)
{
    int error = errno; /* it may be called by a signal handler */

    loop->stop = 1;
    wake(loop);
    errno = error;
}

/* ---- life ---- */

static int open_fds(gn_loop *loop)
{
    struct epoll_event event = {.events = EPOLLIN}; /* data 0: the wake-up, no port */

    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll < 0 || loop->wake < 0)
        return -1;
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event);
}

gn_loop *gn_loop_new(const gn_core_config *core, const gn_loop_config *config)
{
    gn_loop *loop = calloc(1, sizeof *loop);

    if (!loop)
        return NULL;
    loop->config = *config;
    loop->epoll = loop->wake = -1;
    loop->commands_end = &loop->commands;
    pthread_mutex_init(&loop->lock, NULL);
    loop->pause_bytes = core->out_bytes_max / 2;
    loop->offset_us = clock_us(CLOCK_REALTIME) - clock_us(CLOCK_MONOTONIC);
    gn_loop_look_at_clock(loop);
    loop->accept_at_us = loop->close_at_us = NEVER;
    loop->sweep_at_us = config->sweep_ms ? loop->now_us + (int64_t)config->sweep_ms * 1000 : NEVER;
    loop->scratch_cap = GN_MESSAGE_BYTES_MAX + GN_STREAM_CHUNK;
    loop->scratch = malloc(loop->scratch_cap);
    errno = ENOMEM;
    loop->core = gn_core_new(core);
    if (!loop->scratch || !loop->core || open_fds(loop)) {
        int error = errno;

        gn_loop_free(loop);
        errno = error;
        return NULL;
    }
    return loop;
}

void gn_loop_free(gn_loop *loop)
{
    if (!loop)
        return;
    while (loop->commands) {
        struct gn_command *next = loop->commands->next;

        free(loop->commands);
        loop->commands = next;
    }
    if (loop->core)
        gn_ports_free(loop);
    int kept = loop->journal.store != NULL;
    if (loop->ran && kept)
        gn_blob_sweep(loop); /* those of its tasks stay for the next coordinator */
    gn_journal_close(loop);
    gn_core_free(loop->core);
    loop->core = NULL;
    if (loop->ran && !kept) /* the tasks are gone, and with them all that refers to a segment */
        gn_blob_sweep(loop);
    free(loop->scratch);
    if (loop->epoll >= 0)
        close(loop->epoll);
    if (loop->wake >= 0)
        close(loop->wake);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

void gn_loop_read_stats(gn_loop *loop, gn_loop_stats *out)
{
    *out = (gn_loop_stats){
        .wakeups = loop->wakeups,
        .datagrams_in = loop->datagrams_in,
        .datagrams_out = loop->datagrams_out,
        .bytes_in = loop->bytes_in,
        .bytes_out = loop->bytes_out,
        .journal_bytes = loop->journal_bytes,
        .blocked = loop->blocked,
        .lag_us_max = atomic_exchange(&loop->lag_us_max, 0),
        .links = loop->links,
    };
}
