/* hops.c - what the C data plane alone costs: client, coordinator and echo agent, three processes, four queue hops.
 *
 *     hops roundtrip SECONDS SIZE           nanoseconds of each round trip, a line each
 *     hops throughput SECONDS SIZE WINDOW   TASKS NANOSECONDS
 *
 * The same link, runtime, loop and core as in production, with no Python anywhere: bench/roundtrip.py less this is what
 * Python costs. Queues /gh<pid>... exist while it runs.
 */
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ganglion/loop.h"
#include "ganglion/runtime.h"

#define BATCH 256
#define BYTES 65536
#define SLOTS 512

static char names[3][64]; /* the coordinator's queue, the client's, the agent's */
static pid_t children[2];
static int child_count;

static void clean_up(void)
{
    while (child_count) {
        kill(children[--child_count], SIGKILL);
        waitpid(children[child_count], NULL, 0);
    }
    for (int i = 0; i < 3; i++)
        mq_unlink(names[i]);
}

static void die(const char *what)
{
    perror(what);
    clean_up();
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int make(int i, long slots, long bytes)
{
    struct mq_attr attr = {.mq_maxmsg = slots, .mq_msgsize = bytes};
    mqd_t q;

    mq_unlink(names[i]);
    q = mq_open(names[i], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
    if (q < 0)
        die("mq_open");
    return q;
}

static void coordinator(int inbox)
{
    gn_core_config core;
    gn_loop_config config = {.log_fd = -1};
    gn_loop *loop;

    gn_core_defaults(&core);
    core.seed = core.epoch = 1;
    loop = gn_loop_new(&core, &config);
    if (!loop || gn_loop_add_inbox(loop, inbox))
        _exit(1);
    _exit(gn_loop_run(loop) < 0);
}

/* Answer each task with its own payload. */
static void agent(int inbox)
{
    static uint8_t in[BYTES], out[BYTES * 2];
    static gn_msg msgs[BATCH];
    gn_runtime_config config = {.name = "agent", .inbox_mqd = inbox, .heartbeat_ms = 1000};
    char line[256];
    gn_runtime *rt;
    ptrdiff_t n;

    snprintf(config.queue, sizeof config.queue, "%s", names[0]);
    snprintf(config.inbox, sizeof config.inbox, "%s", names[2]);
    config.register_len = (size_t)snprintf(
        line, sizeof line, "CONTROL:REGISTER:agent:{\"inbox\":\"%s\",\"actions\":[\"ECHO\"],\"slots\":%d,\"run\":\"1\"}\n",
        names[2], SLOTS);
    config.register_line = (uint8_t *)line;
    rt = gn_runtime_new(&config);
    if (!rt)
        _exit(1);
    while ((n = gn_runtime_take(rt, msgs, BATCH, in, sizeof in, -1, 0)) >= 0) {
        size_t len = 0;

        for (ptrdiff_t i = 0; i < n; i++) {
            gn_span token;
            char params[64];
            int params_len;

            if (msgs[i].type != GN_DATA || !gn_param_find(in, &msgs[i], "token", &token))
                continue;
            params_len = snprintf(params, sizeof params, "token=%.*s", (int)token.len, in + token.off);
            len += (size_t)gn_format(out + len, sizeof out - len, GN_RESPONSE, "TASK_COMPLETED", 14,
                                     (char *)in + msgs[i].task.off, msgs[i].task.len, params, (size_t)params_len,
                                     in + msgs[i].payload.off, msgs[i].payload.len);
        }
        if (gn_runtime_send(rt, out, len, -1) < 0)
            _exit(1);
    }
    _exit(0);
}

static void start(void (*run)(int), int queue)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(queue);
    }
    children[child_count++] = pid;
}

static gn_link *line;
static char payload[8192];

static void say(const char *text, size_t len)
{
    while (len) {
        ptrdiff_t n = gn_link_send(line, (const uint8_t *)text, len, 10000);

        if (n < 0)
            die("send");
        text += n;
        len -= (size_t)n;
    }
}

/* Receive, and count the tasks that ended. */
static int ended(void)
{
    static gn_msg msgs[BATCH];
    const uint8_t *base;
    ptrdiff_t n = gn_link_recv(line, msgs, BATCH, 10000, &base);
    int done = 0;

    if (n <= 0)
        die("receive");
    for (ptrdiff_t i = 0; i < n; i++)
        done += msgs[i].verb == GN_VERB_TASK_COMPLETED;
    return done;
}

static void submit(int first, int count)
{
    static char text[BYTES];
    size_t len = 0;

    for (int i = 0; i < count; i++) {
        len += (size_t)sprintf(text + len, "DATA:ECHO:t%d;ack=0:%s\n", first + i, payload);
        if (len > sizeof text - 9000) {
            say(text, len);
            len = 0;
        }
    }
    say(text, len);
}

static int64_t measure(int64_t until, int window, int print, int *tasks)
{
    int64_t start_ns = now_ns(), at = start_ns;
    int sent = 0, done = 0;

    while (at < until || done < sent) {
        int room = at < until ? window - (sent - done) : 0;
        int64_t before = at;

        if (room) {
            submit(*tasks + sent, room);
            sent += room;
        }
        done += ended();
        at = now_ns();
        if (print)
            printf("%lld\n", (long long)(at - before));
    }
    *tasks += sent;
    return at - start_ns;
}

int main(int argc, char **argv)
{
    int64_t ns = argc > 2 ? (int64_t)(atof(argv[2]) * 1e9) : 0, took;
    int size = argc > 3 ? atoi(argv[3]) : 64, window = argc > 4 ? atoi(argv[4]) : 1, tasks = 0, warm;
    int queues[3];
    char text[256];

    if (argc < 3 || size < 0 || size > 1500 || window < 1)
        return 64;
    for (int i = 0; i < 3; i++)
        snprintf(names[i], sizeof names[i], "/gh%d%s", (int)getpid(), (const char *[]){"", ".client", ".agent"}[i]);
    memset(payload, 'x', (size_t)size);
    queues[0] = make(0, 10, 8192);
    queues[1] = make(1, 8, 2048);
    queues[2] = make(2, 8, 2048);
    start(coordinator, queues[0]);
    line = gn_link_mqueue("client", queues[1], queues[0]);
    if (!line)
        die("link");
    say(text, (size_t)sprintf(text, "CONTROL:REGISTER:client:{\"inbox\":\"%s\",\"run\":\"1\"}\n", names[1]));
    start(agent, queues[2]);
    measure(0, 1, 0, &tasks);
    measure(now_ns() + 200000000, window, 0, &tasks); /* warm */
    warm = tasks;
    took = measure(now_ns() + ns, window, window == 1, &tasks);
    if (window > 1)
        printf("%d %lld\n", tasks - warm, (long long)took);
    clean_up();
    return 0;
}
