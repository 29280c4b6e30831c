/* test_loop.c - the loop and the core on a thread, over real queues, sockets and segments. */
#include <poll.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "ganglion/loop.h"
#include "io_check.h"

#define SLOT 512
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"

/* One coordinator: its loop, its thread, its inbox and a stream of our own into it. */
static struct coordinator {
    gn_loop *loop;
    pthread_t thread;
    int inbox, own, log[2], result, joined;
    char name[64], prefix[128];
} c;

static void *run(void *unused)
{
    (void)unused;
    c.result = gn_loop_run(c.loop);
    return NULL;
}

static void start(uint32_t out_bytes_max)
{
    gn_core_config core;
    gn_loop_config config = {.sweep_ms = 20};
    int pair[2];

    gn_core_defaults(&core);
    core.seed = 1;
    core.epoch = 7;
    if (out_bytes_max)
        core.out_bytes_max = out_bytes_max;
    CHECK(!pipe2(c.log, O_NONBLOCK | O_CLOEXEC));
    config.log_fd = c.log[1];
    snprintf(c.prefix, sizeof c.prefix, "/gt%d.", (int)getpid());
    strcpy(config.blob_prefix, c.prefix);
    c.loop = gn_loop_new(&core, &config);
    CHECK(c.loop);
    c.inbox = make_queue("", 4, SLOT, c.name);
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    CHECK(!gn_loop_add_inbox(c.loop, c.inbox) && !gn_loop_add_stream(c.loop, pair[0], pair[0]));
    CHECK(gn_loop_add_inbox(c.loop, -1) == -EBADF && gn_loop_add_stream(c.loop, -1, 1) == -EBADF);
    c.own = pair[1];
    c.joined = 0;
    CHECK(!pthread_create(&c.thread, NULL, run, NULL));
}

static int join(void)
{
    if (!c.joined)
        pthread_join(c.thread, NULL);
    c.joined = 1;
    return c.result;
}

static void stop(void)
{
    gn_loop_stop(c.loop);
    join();
    gn_loop_free(c.loop);
    close(c.own);
    close(c.inbox);
    close(c.log[0]);
    close(c.log[1]);
    unlink_queues();
}

static gn_loop_stats stats(void)
{
    gn_loop_stats out;

    gn_loop_read_stats(c.loop, &out);
    return out;
}

static void tell(int fd, const char *text)
{
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* Read lines from fd until one begins so; it is left in `line`. */
static char line[8192];

static void hear(int fd, const char *begin)
{
    for (;;) {
        size_t n = 0;

        while (n < sizeof line - 1) {
            struct pollfd ready = {fd, POLLIN, 0};

            CHECK(poll(&ready, 1, PATIENCE_MS) == 1);
            CHECK(read(fd, line + n, 1) == 1);
            if (line[n++] == '\n')
                break;
        }
        line[n] = 0;
        if (!strncmp(line, begin, strlen(begin)))
            return;
    }
}

static void put(const char *text)
{
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += PATIENCE_MS / 1000;
    CHECK(!mq_timedsend(c.inbox, text, strlen(text), 0, &at));
}

static void get(int q, const char *begin)
{
    static char got[8193];

    next_datagram(q, got, sizeof got, PATIENCE_MS);
    if (strncmp(got, begin, strlen(begin)))
        fprintf(stderr, "wanted %s got %s\n", begin, got);
    CHECK(!strncmp(got, begin, strlen(begin)));
}

static int peer_queue(const char *suffix, long slots, char *name)
{
    char text[256];
    int q = make_queue(suffix, slots, SLOT, name);

    snprintf(text, sizeof text, "CONTROL:REGISTER:%s;from=%s:{\"inbox\":\"%s\",\"actions\":[\"%s\"],\"slots\":4,\"run\":\"1\"}\n",
             suffix + 1, suffix + 1, name, suffix[1] == 'a' ? "X" : "NOBODY");
    if (suffix[1] != 'a')
        snprintf(text, sizeof text, "CONTROL:REGISTER:%s;from=%s:{\"inbox\":\"%s\",\"run\":\"1\"}\n", suffix + 1,
                 suffix + 1, name);
    put(text);
    get(q, "ACK:WELCOME:");
    return q;
}

static void test_streams(void)
{
    int agent[2], client[2];

    start(0);
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, agent));
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client));
    CHECK(!gn_loop_add_stream(c.loop, agent[0], agent[0]) && !gn_loop_add_stream(c.loop, client[0], client[0]));
    tell(agent[1], "CONTROL:REGISTER:ag:{\"actions\":[\"X\"],\"run\":\"1\"}\n");
    hear(agent[1], "ACK:WELCOME:ag;epoch=7:");
    tell(client[1], "DATA:X:t1:he");
    tell(client[1], "llo\nDATA:X:t2");
    hear(client[1], "ACK:RECEIVED:t1");
    shutdown(client[1], SHUT_WR); /* half a message, then no more: but it still listens */
    hear(agent[1], "DATA:X:t1;");
    CHECK(strstr(line, ":hello\n"));
    tell(agent[1], "RESPONSE:TASK_COMPLETED:t1:bye\n");
    hear(client[1], "RESPONSE:TASK_COMPLETED:t1");
    CHECK(strstr(line, ":bye\n"));
    close(client[1]);
    UNTIL(stats().links == 3);
    tell(c.own, "DATA:X:t3:half");
    close(agent[1]); /* its link goes, the others stay */
    UNTIL(stats().links == 2);
    tell(c.own, " a line\nCONTROL:PING:r:p\n");
    hear(c.own, "ACK:PONG:r:p");
    stop();
    CHECK(c.result == 0);
    close(agent[0]);
    close(client[0]);
}

static void test_queues(void)
{
    char a[64], b[64];
    int agent, client;

    start(0);
    agent = peer_queue(".a", 4, a);
    client = peer_queue(".c", 4, b);
    put("DATA:X:t1;from=c:hello\n");
    get(agent, "DATA:X:t1;");
    put("RESPONSE:TASK_COMPLETED:t1;from=a:bye\n");
    get(client, "ACK:RECEIVED:t1");
    get(client, "RESPONSE:TASK_COMPLETED:t1");
    put("CONTROL:PING:r;from=c:x\nCONTROL:PING:s:y\n"); /* from= holds for what follows, answers are packed */
    get(client, "ACK:PONG:r:x\nACK:PONG:s:y\n");
    CHECK(stats().datagrams_in >= 5 && stats().journal_bytes > 0 && stats().links == 4);
    CHECK(!gn_loop_peer_gone(c.loop, b));
    UNTIL(stats().links == 3);
    stop();
    close(agent);
    close(client);
}

/* Addresses that are not a peer's are not written to. */
static void test_hostile_addresses(void)
{
    static const char *const bad[] = {"", "/", "other", "/other", "/dev/null", "%s", "%s.", "%s.a/b", "%sx", "%s.%%0a", "."};
    char victim_name[64], text[512], address[128], got[SLOT + 1];
    int victim = make_queue("victim", 1, SLOT, victim_name);

    start(0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(address, sizeof address, bad[i], c.name);
        snprintf(text, sizeof text, "CONTROL:REGISTER:evil%zu;from=evil%zu:{\"inbox\":\"%s\",\"run\":\"1\"}\n", i, i, address);
        put(text);
        snprintf(text, sizeof text, "CONTROL:HEARTBEAT:foe%zu;inbox=%s;from=foe%zu\n", i, *address ? address : "%", i);
        put(text);
    }
    snprintf(text, sizeof text, "CONTROL:REGISTER:v;from=v:{\"inbox\":\"%s\",\"run\":\"1\"}\n", victim_name);
    put(text);
    tell(c.own, "CONTROL:PING:r:p\n");
    UNTIL(stats().datagrams_in == 2 * sizeof bad / sizeof *bad + 1);
    hear(c.own, "ACK:PONG:r:p");
    UNTIL(stats().links == 2);
    CHECK(!*next_datagram(victim, got, sizeof got, 0));
    stop();
    close(victim);
}

static void test_hostile_datagrams(void)
{
    static const char *const pieces[] = {"DATA:", "CONTROL:", "REGISTER:", "X:", ":", ";", "len=", "99999999", "from=c",
                                         "\n", "%", "\0\0", "HEARTBEAT", "{\"inbox\":", "RESPONSE:TASK_COMPLETED", "=",
                                         "prio=10", "via=A,B", "after=x", "blob=", "TASKS", "RESULT"};
    char a[64], b[64], text[SLOT + 1];
    int agent, client;
    unsigned random = 1;

    start(0);
    agent = peer_queue(".a", 4, a);
    client = peer_queue(".c", 4, b);
    for (int i = 0; i < 1000; i++) {
        size_t n = 0, want = (random = random * 1103515245 + 12345) >> 16 & 255;
        struct timespec at;

        while (n < want) {
            const char *piece = pieces[((random = random * 1103515245 + 12345) >> 16) % (sizeof pieces / sizeof *pieces)];
            size_t len = (random >> 8 & 7) ? strlen(piece) : 1;

            if (!(random >> 12 & 15))
                text[n++] = (char)(random >> 20);
            memcpy(text + n, piece, len);
            n += len;
        }
        clock_gettime(CLOCK_REALTIME, &at);
        at.tv_sec += PATIENCE_MS / 1000;
        CHECK(!mq_timedsend(c.inbox, text, n, 0, &at));
    }
    while (*next_datagram(client, text, sizeof text, 0))
        ;
    put("CONTROL:PING:good;from=c:x\n");
    do {
        CHECK(*next_datagram(client, text, sizeof text, PATIENCE_MS));
    } while (!strstr(text, "ACK:PONG:good:x"));
    stop();
    close(agent);
    close(client);
}

/* A peer that does not read holds up nobody, and what is for it arrives when it does. */
static void test_full_queue_and_long_message(void)
{
    char a[64], b[64], text[256];
    int agent, client, answers = 0;
    static char big[3000], all[40000];
    size_t n = 0;

    start(0);
    agent = peer_queue(".a", 4, a);
    client = peer_queue(".c", 1, b);
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "CONTROL:PING:r%d;from=c:%0200d\n", i, i);
        put(text);
    }
    UNTIL(stats().blocked > 0);
    tell(c.own, "CONTROL:PING:me:p\n");
    hear(c.own, "ACK:PONG:me:p");
    memset(big, 'z', sizeof big - 1);
    tell(c.own, "DATA:X:long:");
    tell(c.own, big);
    tell(c.own, "\n");
    while (n < sizeof big - 1) { /* an agent's slots hold 512 bytes: the message comes in pieces, in order */
        size_t len = strlen(next_datagram(agent, all + n, sizeof all - n, PATIENCE_MS));

        CHECK(len > 0 && len <= SLOT);
        n += len;
    }
    CHECK(!strncmp(all, "DATA:X:long;", 12) && all[n - 1] == '\n' && strspn(strchr(all + 12, ':') + 1, "z") == sizeof big - 1);
    for (n = 0; answers < 100;) {
        size_t len = strlen(next_datagram(client, all + n, sizeof all - n, PATIENCE_MS));

        CHECK(len);
        for (size_t i = n; i < n + len; i++)
            answers += all[i] == '\n';
        n += len;
    }
    CHECK(strstr(all, "ACK:PONG:r99:"));
    stop();
    close(agent);
    close(client);
}

/* A stream that is not read is not read from either, and nothing of what it said is lost. */
static void test_backpressure(void)
{
    static char ask[] = "CONTROL:PING:r:0123456789012345678901234567890123456789\n";
    int pair[2], sent = 0;

    start(65536);
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    CHECK(!gn_loop_add_stream(c.loop, pair[0], pair[0]));
    for (int full = 0; full < 50;) { /* until there has been no room for 50 ms */
        ssize_t n = send(pair[1], ask, sizeof ask - 1, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
            CHECK(errno == EAGAIN);
            pause_ms(1);
            full++;
            continue;
        }
        CHECK(n == sizeof ask - 1);
        full = 0;
        sent++;
    }
    CHECK(sent > 1000);
    tell(c.own, "CONTROL:PING:me:p\n");
    hear(c.own, "ACK:PONG:me:p");
    for (int i = 0; i < sent; i++)
        hear(pair[1], "ACK:PONG:r:");
    close(pair[1]);
    UNTIL(stats().links == 2);
    stop();
    close(pair[0]);
}

/* A few bytes that ask for megabytes: the answers come as fast as they are taken. */
static void test_many_big_answers(void)
{
    static char big[20000], ask[64 * 500], got[1 << 16];
    int agent[2];
    size_t want, total = 0;

    start(65536);
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, agent));
    CHECK(!gn_loop_add_stream(c.loop, agent[0], agent[0]));
    tell(agent[1], "CONTROL:REGISTER:ag:{\"actions\":[\"X\"],\"run\":\"1\"}\nDATA:X:t1;ack=0:x\n");
    hear(agent[1], "DATA:X:t1;");
    memset(big, 'r', sizeof big - 1);
    tell(agent[1], "RESPONSE:TASK_COMPLETED:t1:");
    tell(agent[1], big);
    tell(agent[1], "\nCONTROL:PING:done\n");
    want = strlen("RESPONSE:TASK_COMPLETED:t1:\n") + sizeof big - 1;
    for (int i = 0; i < 500; i++)
        strcat(ask, "CONTROL:RESULT:t1\n");
    tell(c.own, ask);
    while (total < 500 * want) {
        struct pollfd ready = {c.own, POLLIN, 0};
        ssize_t n;

        CHECK(poll(&ready, 1, PATIENCE_MS) == 1);
        CHECK((n = read(c.own, got, sizeof got)) > 0);
        total += (size_t)n;
    }
    CHECK(total == 500 * want && got[0] && stats().links == 3);
    stop();
    close(agent[0]);
    close(agent[1]);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    CHECK(fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof address));
    return fd;
}

/* Without descriptors connections wait, the loop does not spin, and they are served when there are some again. */
static void test_listener(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct rlimit old, low;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fds[8], probe;
    uint64_t wakeups;
    char log[4096];
    ssize_t n;

    start(0);
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/gt%d.sock", (int)getpid());
    unlink(address.sun_path);
    CHECK(!bind(listener, (struct sockaddr *)&address, sizeof address) && !listen(listener, 16));
    CHECK(!gn_loop_add_listener(c.loop, listener));
    for (int i = 0; i < 8; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fds[i] >= 0);
    }
    probe = dup(0);
    close(probe);
    CHECK(!getrlimit(RLIMIT_NOFILE, &old));
    low = (struct rlimit){(rlim_t)probe + 3, old.rlim_max};
    CHECK(!setrlimit(RLIMIT_NOFILE, &low));
    for (int i = 0; i < 8; i++)
        CHECK(!connect(fds[i], (struct sockaddr *)&address, sizeof address));
    UNTIL(stats().links == 2 + 3);
    wakeups = stats().wakeups;
    pause_ms(50);
    CHECK(stats().wakeups - wakeups < 20); /* the sweep's, every 20 ms */
    CHECK(!setrlimit(RLIMIT_NOFILE, &old));
    for (int i = 0; i < 8; i++) {
        tell(fds[i], "CONTROL:PING:r:p\n");
        hear(fds[i], "ACK:PONG:r:p");
    }
    n = read(c.log[0], log, sizeof log - 1);
    CHECK(n > 0);
    log[n] = 0;
    CHECK(strstr(log, "cannot accept connections for now"));
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    UNTIL(stats().links == 2);
    probe = connect_to(address.sun_path);
    close(probe);
    stop();
    close(listener);
    unlink(address.sun_path);
}

static int segment(const char *prefix, char last, char *name)
{
    int fd;

    sprintf(name, "%s" HASH "%c", prefix, last);
    fd = shm_open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    return fd;
}

static int is_there(const char *name)
{
    int fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void test_blobs(void)
{
    char free_one[256], locked[256], other[256], own_prefix[64];
    int a, b, d;

    snprintf(own_prefix, sizeof own_prefix, "/gt%d.", (int)getpid());
    a = segment(own_prefix, '0', free_one);
    b = segment(own_prefix, '1', locked);
    d = segment("/gtother.", '0', other);
    CHECK(!flock(b, LOCK_SH));
    CHECK(gn_blob_unlink(locked) == 0 && gn_blob_unlink("/gt-no-such") == 0);
    start(0);
    UNTIL(!is_there(free_one));
    CHECK(is_there(locked) && is_there(other));
    CHECK(!flock(b, LOCK_UN));
    UNTIL(!is_there(locked));
    CHECK(is_there(other) && gn_blob_unlink(other) == 1 && !is_there(other));
    stop();
    close(a);
    close(b);
    close(d);
}

static void test_drain_and_stop_while_busy(void)
{
    char a[64], text[64];
    int agent;

    start(0);
    agent = peer_queue(".a", 4, a);
    tell(c.own, "DATA:X:t1:x\n");
    get(agent, "DATA:X:t1");
    tell(c.own, "CONTROL:DRAIN:r\nDATA:X:t2:x\n");
    hear(c.own, "ACK:DONE:r");
    hear(c.own, "RESPONSE:REJECTED:t2:draining");
    put("RESPONSE:TASK_COMPLETED:t1;from=a:done\n");
    CHECK(join() == 1);
    hear(c.own, "RESPONSE:TASK_COMPLETED:t1");
    stop();
    close(agent);
    start(0);
    for (int i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "DATA:NONE:t%d;ack=0:x\n", i);
        tell(c.own, text);
    }
    stop();
    CHECK(c.result == 0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_streams();
    test_queues();
    test_hostile_addresses();
    test_hostile_datagrams();
    test_full_queue_and_long_message();
    test_backpressure();
    test_many_big_answers();
    test_listener();
    test_blobs();
    test_drain_and_stop_while_busy();
    puts("test_loop: ok");
    return 0;
}
