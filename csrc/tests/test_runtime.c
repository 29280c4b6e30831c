/* test_runtime.c - the agent's thread against a coordinator that the test plays, line by line. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ganglion/runtime.h"
#include "io_check.h"
#include "link/held.h"

#define SLOT 512
#define REGISTER "CONTROL:REGISTER:ag:{\"actions\":[\"X\"],\"run\":\"r1\"}\n"
#define WELCOME(epoch) "ACK:WELCOME:ag;epoch=" epoch ":{\"inline\":65536,\"heartbeat_ms\":150}\n"
#define PONG(epoch) "ACK:PONG:ag;epoch=" epoch "\n"

/* The coordinator's side. */
static int coordinator, inbox;
static char coordinator_name[64], inbox_name[64], said[SLOT + 1];

static void say(const char *text)
{
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += PATIENCE_MS / 1000;
    CHECK(!mq_timedsend(inbox, text, strlen(text), 0, &at));
}

/* Read the coordinator's queue until something begins like this; heartbeats on the way are answered with `pong`. */
static void expect(const char *begin, const char *pong)
{
    for (int i = 0; i < 1000; i++) {
        next_datagram(coordinator, said, sizeof said, PATIENCE_MS);
        CHECK(*said);
        if (!strncmp(said, begin, strlen(begin)))
            return;
        if (pong && !strncmp(said, "CONTROL:HEARTBEAT:", 18))
            say(pong);
    }
    fprintf(stderr, "wanted %s, last %s\n", begin, said);
    CHECK(!"nothing of the kind came");
}

static gn_runtime *start(const char *socket_path)
{
    gn_runtime_config config = {.name = "ag", .inbox_mqd = -1, .heartbeat_ms = 150};
    gn_runtime *rt;

    config.register_line = (const uint8_t *)REGISTER;
    config.register_len = strlen(REGISTER);
    if (socket_path) {
        strcpy(config.socket_path, socket_path);
    } else {
        strcpy(config.queue, coordinator_name);
        strcpy(config.inbox, inbox_name);
        config.inbox_mqd = inbox;
    }
    rt = gn_runtime_new(&config);
    CHECK(rt);
    return rt;
}

static void open_queues(void)
{
    coordinator = make_queue("c", 4, SLOT, coordinator_name);
    inbox = make_queue("i", 4, SLOT, inbox_name);
}

static void close_queues(void)
{
    close(coordinator);
    close(inbox);
    unlink_queues();
}

static gn_runtime_stats stats(gn_runtime *rt)
{
    gn_runtime_stats out;

    gn_runtime_read_stats(rt, &out);
    return out;
}

static int payload_is(const uint8_t *buf, const gn_msg *m, const char *text)
{
    return m->payload.len == strlen(text) && !memcmp(buf + m->payload.off, text, m->payload.len);
}

/* A taker as an agent has them: counts what comes, answers every task. */
struct taker {
    gn_runtime *rt;
    pthread_t thread;
    int kinds;
    _Atomic int tasks, controls;
    _Atomic ptrdiff_t last;
};

static void *take_and_answer(void *argument)
{
    struct taker *taker = argument;
    uint8_t buf[4096];
    gn_msg m;
    ptrdiff_t n;

    while ((n = gn_runtime_take(taker->rt, &m, 1, buf, sizeof buf, -1, 0)) >= 0) {
        char answer[256];

        if (!n)
            continue;
        if (m.type != GN_DATA) {
            taker->controls++;
            continue;
        }
        snprintf(answer, sizeof answer, "RESPONSE:TASK_COMPLETED:%.*s:done\n", (int)m.task.len, buf + m.task.off);
        CHECK(gn_runtime_send(taker->rt, (uint8_t *)answer, strlen(answer), PATIENCE_MS) > 0);
        taker->tasks++;
    }
    taker->last = n;
    return NULL;
}

static void run_taker(struct taker *taker, gn_runtime *rt)
{
    memset(taker, 0, sizeof *taker);
    taker->rt = rt;
    CHECK(!pthread_create(&taker->thread, NULL, take_and_answer, taker));
}

static void test_register_task_answer(void)
{
    struct taker takers[3];
    char task[64], done[64];
    gn_runtime *rt;
    struct rusage before, after;

    open_queues();
    rt = start(NULL);
    CHECK(gn_runtime_message_bytes_max(rt) == SLOT);
    for (int i = 0; i < 3; i++)
        run_taker(&takers[i], rt);
    expect("CONTROL:REGISTER:ag;from=ag:{", NULL);
    CHECK(!stats(rt).connected);
    say(WELCOME("7"));
    UNTIL(stats(rt).connected && stats(rt).epoch == 7);
    for (int i = 0; i < 500; i++) {
        snprintf(task, sizeof task, "DATA:X:t%d;token=1:p\n", i);
        snprintf(done, sizeof done, "RESPONSE:TASK_COMPLETED:t%d;from=ag:done\n", i);
        say(task);
        expect(done, "ACK:PONG:ag;epoch=7\n");
    }
    say("CONTROL:CANCEL:t1;token=1\n"); /* it was answered: nobody is told */
    say("CONTROL:DRAIN:ag\n");
    UNTIL(takers[0].controls + takers[1].controls + takers[2].controls == 1);
    CHECK(takers[0].tasks + takers[1].tasks + takers[2].tasks == 500);
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 5; i++) /* idle: a heartbeat and its answer */
        expect("CONTROL:HEARTBEAT:ag;inbox=/", NULL), say("ACK:PONG:ag;epoch=7\n");
    getrusage(RUSAGE_SELF, &after);
    printf("idle: %ld voluntary switches in 5 heartbeats, the test's own included\n", after.ru_nvcsw - before.ru_nvcsw);
    CHECK(after.ru_nvcsw - before.ru_nvcsw < 5 * 8);
    UNTIL(stats(rt).heartbeats >= 5);
    CHECK(stats(rt).reconnects == 0);
    gn_runtime_close(rt);
    for (int i = 0; i < 3; i++) {
        pthread_join(takers[i].thread, NULL);
        CHECK(takers[i].last == -EPIPE);
    }
    CHECK(stats(rt).sent >= 500 + 5);
    gn_runtime_free(rt);
    close_queues();
}

/* Nobody takes: heartbeats go on, the inbox is emptied, and what came is there for the next taker, in order. */
static void test_busy_handler(void)
{
    uint8_t buf[4096];
    gn_msg m[64];
    gn_runtime *rt;
    char line[64];

    open_queues();
    rt = start(NULL);
    expect("CONTROL:REGISTER:ag", NULL);
    say(WELCOME("1"));
    say("DATA:X:t0;token=1:first\n");
    CHECK(gn_runtime_take(rt, m, 1, buf, sizeof buf, PATIENCE_MS, 0) == 1 && payload_is(buf, m, "first"));
    for (int i = 0; i < 20; i++) { /* five times what the inbox holds, while the handler is "busy" */
        snprintf(line, sizeof line, "DATA:X:t;token=2:%d\n", i);
        say(line);
    }
    say("CONTROL:CANCEL:t0;token=1\n");
    for (int i = 0; i < 5; i++)
        expect("CONTROL:HEARTBEAT:ag", NULL), say("ACK:PONG:ag;epoch=1\n");
    UNTIL(stats(rt).received >= 1 + 1 + 21 + 5);
    CHECK(gn_runtime_take(rt, m, 1, buf, 4, 0, 0) == -EMSGSIZE);
    CHECK(gn_runtime_take(rt, m, 64, buf, 90, 0, 0) == 4); /* what has no room stays; what is no task comes first */
    CHECK(m[0].verb == GN_VERB_CANCEL && payload_is(buf, &m[1], "0") && payload_is(buf, &m[3], "2"));
    CHECK(gn_runtime_take_wanted(rt, &(gn_wanted){GN_TAKE_OTHERS, NULL, 0}, m, 64, buf, sizeof buf, 0, 0) == 0);
    CHECK(gn_runtime_take_wanted(rt, &(gn_wanted){GN_TAKE_TASKS, "NONE", 4}, m, 64, buf, sizeof buf, 0, 0) == 0);
    CHECK(gn_runtime_take(rt, m, 64, buf, sizeof buf, 0, 0) == 17);
    CHECK(payload_is(buf, &m[16], "19"));
    CHECK(gn_runtime_take(rt, m, 64, buf, sizeof buf, 0, 0) == 0);
    CHECK(gn_runtime_take(rt, m, 64, buf, sizeof buf, 10, 0) == 0);
    gn_runtime_free(rt);
    close_queues();
}

static void *take_kind(void *argument)
{
    struct taker *taker = argument;
    const gn_wanted want = {taker->kinds, NULL, 0};
    uint8_t buf[4096];
    gn_msg m;
    ptrdiff_t n;

    while ((n = gn_runtime_take_wanted(taker->rt, &want, &m, 1, buf, sizeof buf, -1, 0)) >= 0) {
        taker->tasks += n && m.type == GN_DATA;
        taker->controls += n && m.type != GN_DATA;
    }
    return NULL;
}

/* Whoever of them receives, each gets what it wants. */
static void test_takers_of_different_kinds(void)
{
    struct taker takers[4];
    gn_runtime *rt;

    open_queues();
    rt = start(NULL);
    expect("CONTROL:REGISTER:ag", NULL);
    say(WELCOME("1"));
    for (int i = 0; i < 4; i++) {
        memset(&takers[i], 0, sizeof takers[i]);
        takers[i].rt = rt;
        takers[i].kinds = i % 2 ? GN_TAKE_TASKS : GN_TAKE_OTHERS;
        CHECK(!pthread_create(&takers[i].thread, NULL, take_kind, &takers[i]));
    }
    for (int i = 1; i <= 200; i++) {
        say(i % 3 ? "DATA:X:t:x\n" : "ACK:RECEIVED:t\n");
        UNTIL(takers[1].tasks + takers[3].tasks + takers[0].controls + takers[2].controls == i);
    }
    CHECK(takers[1].tasks + takers[3].tasks == 134 && !takers[0].tasks && !takers[1].controls);
    gn_runtime_close(rt);
    for (int i = 0; i < 4; i++)
        pthread_join(takers[i].thread, NULL);
    gn_runtime_free(rt);
    close_queues();
}

static void *say_later(void *text)
{
    pause_ms(10);
    say(text);
    return NULL;
}

static void test_window(void)
{
    uint8_t buf[4096];
    gn_msg m[4];
    gn_runtime *rt;
    pthread_t other;

    open_queues();
    rt = start(NULL);
    expect("CONTROL:REGISTER:ag", NULL);
    say(WELCOME("1"));
    say("DATA:X:t0:1\n");
    CHECK(!pthread_create(&other, NULL, say_later, "DATA:X:t1:2\nDATA:X:t2:3\nDATA:X:t3:4\nDATA:X:t4:5\n"));
    CHECK(gn_runtime_take(rt, m, 4, buf, sizeof buf, PATIENCE_MS, PATIENCE_MS * 1000) == 4); /* full: it does not wait on */
    CHECK(gn_runtime_take(rt, m, 4, buf, sizeof buf, PATIENCE_MS, 1000) == 1); /* the window closes */
    pthread_join(other, NULL);
    gn_runtime_free(rt);
    close_queues();
}

/* The coordinator forgot us, has another epoch, or has another queue under the same name. */
static void test_registers_again(void)
{
    struct taker taker;
    gn_runtime *rt;

    open_queues();
    rt = start(NULL);
    run_taker(&taker, rt);
    expect("CONTROL:REGISTER:ag", NULL);
    say(WELCOME("1"));
    expect("CONTROL:HEARTBEAT:ag", NULL);
    say("RESPONSE:REJECTED:ag:unknown_sender register first\n");
    expect("CONTROL:REGISTER:ag", NULL);
    say(WELCOME("2"));
    UNTIL(stats(rt).epoch == 2);
    expect("CONTROL:HEARTBEAT:ag", NULL);
    say("ACK:PONG:ag;epoch=3\n");
    expect("CONTROL:REGISTER:ag", "ACK:PONG:ag;epoch=3\n");
    say(WELCOME("3"));
    UNTIL(stats(rt).epoch == 3 && stats(rt).connected);
    CHECK(stats(rt).reconnects == 0);
    say("DATA:X:t1:half of a message that will never");
    close(coordinator);
    mq_unlink(coordinator_name);
    coordinator = make_queue("c", 4, SLOT, coordinator_name);
    expect("CONTROL:REGISTER:ag", NULL);
    CHECK(stats(rt).reconnects == 1);
    say(WELCOME("4"));
    UNTIL(stats(rt).epoch == 4);
    say("DATA:X:t2:x\n");
    expect("RESPONSE:TASK_COMPLETED:t2", "ACK:PONG:ag;epoch=4\n");
    gn_runtime_close(rt);
    pthread_join(taker.thread, NULL);
    gn_runtime_free(rt);
    close_queues();
}

/* The next heartbeat; the one before it may have left before what this one is to say. */
static void expect_list(const char *list, const char *pong)
{
    for (int i = 0; i < 10; i++) {
        expect("CONTROL:HEARTBEAT:ag", NULL);
        say(pong);
        if (strstr(said, list))
            return;
    }
    CHECK(!"no such list came");
}

/* Tasks received and not answered are in every heartbeat, and in the first one to a new coordinator. */
static void test_list_of_leases(void)
{
    uint8_t buf[4096];
    gn_msg m[4];
    gn_runtime *rt;

    open_queues();
    rt = start(NULL);
    expect("CONTROL:REGISTER:ag;from=ag:{\"actions\"", NULL);
    say(WELCOME("1"));
    expect_list(";token=0;from=ag:\n", PONG("1"));
    say("DATA:X:t1;token=5:a\nDATA:X:t1;token=6:a\n");
    expect_list(";token=6;from=ag:t1=", PONG("1"));
    CHECK(strstr(said, "t1=5") && strstr(said, "t1=6"));
    CHECK(gn_runtime_send(rt, (const uint8_t *)"RESPONSE:PROGRESS:t1;token=6:x\nRESPONSE:TASK_FAILED:t1;token=5:x\n", 64, PATIENCE_MS) == 64);
    expect_list(";token=6;from=ag:t1=6\n", PONG("1"));
    say("CONTROL:CANCEL:t1;token=5\nCONTROL:CANCEL:t1;token=6\n");
    CHECK(gn_runtime_take_wanted(rt, &(gn_wanted){GN_TAKE_OTHERS, NULL, 0}, m, 4, buf, sizeof buf, PATIENCE_MS, 0) == 1);
    CHECK(m[0].verb == GN_VERB_CANCEL && gn_runtime_take(rt, m, 4, buf, sizeof buf, PATIENCE_MS, 0) == 2);
    say("DATA:X:t9;token=7:half of a message that will never be whole");
    say("\nCONTROL:HELLO:ag;epoch=2\n");
    expect("CONTROL:REGISTER:ag;from=ag:{\"holds\":1,\"actions\":[\"X\"],\"run\":\"r1\"}\n", NULL);
    say(WELCOME("2"));
    expect_list(";token=0;from=ag:t1=6\n", PONG("2"));
    say("DATA:X:t10;token=3:b\n");
    CHECK(gn_runtime_take(rt, m, 4, buf, sizeof buf, PATIENCE_MS, 0) == 1 && payload_is(buf, m, "b"));
    CHECK(stats(rt).reconnects == 0);
    gn_runtime_free(rt);
    close_queues();
}

/* Is the last heartbeat of the datagram one without more=1? */
static int ends_a_list(void)
{
    const char *last = said, *next;

    while ((next = strstr(last + 1, "CONTROL:HEARTBEAT:")))
        last = next;
    return !strstr(last, ";more=1");
}

/* What does not fit one message goes on in the next: each lease once, and only the last part is without more=1. */
static void test_list_in_parts(void)
{
    enum { TASKS = 150 };
    int seen[TASKS] = {0}, parts = 0;
    gn_runtime *rt;
    char line[128];

    open_queues();
    rt = start(NULL);
    expect("CONTROL:REGISTER:ag", NULL);
    say("ACK:WELCOME:ag;epoch=1:{\"heartbeat_ms\":400}\n");
    for (int i = 0; i < TASKS; i++) {
        snprintf(line, sizeof line, "DATA:X:a-task-with-a-rather-long-name-%d;token=%d:a\n", i, i + 1);
        say(line);
    }
    do { /* up to the end of a list, then a whole one */
        expect("CONTROL:HEARTBEAT:ag", NULL);
        if (ends_a_list())
            say(PONG("1"));
    } while (!ends_a_list() || !strstr(said, ";token=150"));
    do {
        expect("CONTROL:HEARTBEAT:ag", NULL);
        for (const char *at = said; (at = strstr(at, "name-")); at++)
            seen[atoi(at + 5)]++;
        parts++;
    } while (!ends_a_list());
    for (int i = 0; i < TASKS; i++)
        CHECK(seen[i] == 1);
    CHECK(parts > TASKS * 40 / SLOT); /* datagrams: the last two parts may share one */
    for (int i = 0; i < TASKS; i++) {
        int n = snprintf(line, sizeof line, "RESPONSE:TASK_RELEASED:a-task-with-a-rather-long-name-%d;token=%d:\n", i, i + 1);

        CHECK(gn_runtime_send(rt, (const uint8_t *)line, (size_t)n, PATIENCE_MS) == n);
        expect("RESPONSE:TASK_RELEASED:", "ACK:PONG:ag;epoch=1\n");
    }
    expect_list(";token=150;from=ag:\n", PONG("1"));
    gn_runtime_free(rt);
    close_queues();
}

/* The table of leases against a plain array: taken and ended in any order, by token or by name alone. */
static void test_table_of_leases(void)
{
    enum { NAMES = 300 };
    static uint64_t tokens[NAMES]; /* 0: not held */
    static char list[NAMES * 32];
    struct gn_held held = {0};
    uint32_t random = 12345, count = 0, at = 0;
    gn_parser parser = {0};
    gn_msg m;
    size_t used;
    char line[128];

    for (int i = 0; i < 20000; i++) {
        uint32_t name = (random = random * 1664525u + 1013904223u) >> 8;
        size_t n;

        name %= i % 4000 < 2000 ? NAMES : NAMES / 8; /* much of it, and then less */
        if (!tokens[name]) {
            n = (size_t)sprintf(line, "DATA:X:n%u;token=%d:x\n", name, i + 1);
            CHECK(gn_parse(&parser, (uint8_t *)line, n, 1, &m, 1, &used) == 1);
            gn_held_take(&held, (uint8_t *)line, &m);
            tokens[name] = (uint64_t)i + 1;
            count++;
        } else {
            if (i % 2)
                n = (size_t)sprintf(line, "RESPONSE:TASK_BURIED:n%u;token=1073741824:\nRESPONSE:TASK_FAILED:n%u:\n", name, name);
            else
                n = (size_t)sprintf(line, "RESPONSE:TASK_FAILED:n%u;token=%lu:\n", name, (unsigned long)tokens[name]);
            gn_held_sent(&held, (uint8_t *)line, n);
            tokens[name] = 0;
            count--;
        }
        CHECK(held.count == count);
    }
    CHECK(held.newest > 19000 && held.places <= 1024);
    list[gn_held_write(&held, &at, list, sizeof list)] = 0;
    CHECK(at == held.places);
    for (int i = 0; i < NAMES; i++) {
        sprintf(line, "n%d=%lu,", i, (unsigned long)tokens[i]);
        strcat(list, i ? "" : ",");
        CHECK((strstr(list, line) != NULL) == (tokens[i] != 0));
    }
    gn_held_free(&held);
}

static void *send_line(void *rt)
{
    CHECK(gn_runtime_send(rt, (const uint8_t *)"DATA:X:late:x\n", 14, PATIENCE_MS) == 14);
    return NULL;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    unlink(path);
    CHECK(fd >= 0 && !bind(fd, (struct sockaddr *)&address, sizeof address) && !listen(fd, 8));
    return fd;
}

/* The next line of the stream that begins so. */
static void read_line(int fd, const char *begin)
{
    static char got[256];

    do {
        size_t n = 0;

        do
            CHECK(n < sizeof got - 1 && read(fd, got + n, 1) == 1);
        while (got[n++] != '\n');
        got[n] = 0;
    } while (strncmp(got, begin, strlen(begin)));
}

static int accept_and_welcome(int listener)
{
    int fd = accept(listener, NULL, NULL);

    CHECK(fd >= 0);
    read_line(fd, REGISTER);
    CHECK(write(fd, WELCOME("1"), strlen(WELCOME("1"))) > 0);
    return fd;
}

static void test_socket_comes_back(void)
{
    char path[64];
    struct taker taker;
    gn_runtime *rt;
    pthread_t sender;
    int listener, fd;

    snprintf(path, sizeof path, "/tmp/gt%d.sock", (int)getpid());
    rt = start(path); /* nobody listens yet */
    run_taker(&taker, rt);
    CHECK(gn_runtime_send(rt, (const uint8_t *)"ACK:A:1\n", 8, 0) == -EAGAIN);
    CHECK(!pthread_create(&sender, NULL, send_line, rt));
    listener = listen_at(path);
    fd = accept_and_welcome(listener);
    pthread_join(sender, NULL);
    UNTIL(stats(rt).connected);
    read_line(fd, "DATA:X:late:x\n");
    close(fd);
    fd = accept_and_welcome(listener);
    UNTIL(stats(rt).connected && stats(rt).reconnects == 1);
    CHECK(write(fd, "DATA:X:t1:x\n", 12) == 12);
    UNTIL(taker.tasks == 1);
    pause_ms(5);
    CHECK(write(fd, "DATA:X:t2:x\n", 12) == 12);
    UNTIL(taker.tasks == 2);
    gn_runtime_close(rt);
    pthread_join(taker.thread, NULL);
    CHECK(taker.last == -EPIPE);
    gn_runtime_free(rt);
    close(fd);
    close(listener);
    unlink(path);
}

static void test_bad_config(void)
{
    gn_runtime_config config = {.name = "ag", .inbox_mqd = -1};

    CHECK(!gn_runtime_new(&config) && errno == EINVAL);
    strcpy(config.queue, "/gt-none");
    config.register_line = (const uint8_t *)REGISTER;
    config.register_len = strlen(REGISTER);
    CHECK(!gn_runtime_new(&config) && errno == EINVAL);
    strcpy(config.inbox, "/gt-none.ag");
    CHECK(!gn_runtime_new(&config) && errno);
}

int main(void)
{
    test_bad_config();
    test_table_of_leases();
    test_register_task_answer();
    test_busy_handler();
    test_takers_of_different_kinds();
    test_window();
    test_registers_again();
    test_list_of_leases();
    test_list_in_parts();
    test_socket_comes_back();
    puts("test_runtime: ok");
    return 0;
}
