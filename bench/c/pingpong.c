/* Two processes and two POSIX message queues, no broker between them: what the kernel alone costs.
 *
 *   pingpong rtt    NAME SIZE SECONDS SLOT    one message in flight
 *   pingpong stream NAME SIZE SECONDS SLOT    as many in flight as the two queues hold
 *
 * The queues are NAME.req and NAME.rep, 10 messages of SLOT bytes each (10 x 8192 is what the
 * default RLIMIT_MSGQUEUE is made for). Both names are unlinked as soon as both queues are open: the
 * echo process inherits the descriptors, so nothing is left behind however this program ends.
 */
#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    DEPTH = 10,
    /* With at most 2 * DEPTH messages under way one of the queues always has room, so two
     * processes that send with blocking calls cannot wait for each other for ever. */
    WINDOW = 2 * DEPTH,
};

struct link {
    mqd_t req, rep;
    size_t size, slot;
    char *payload, *answer, *slot_buf;
};

static void fail(const char *what)
{
    fprintf(stderr, "pingpong: %s: %s%s\n", what, strerror(errno),
            errno == EMFILE ? " (for queues: RLIMIT_MSGQUEUE, the bytes of all queues of this user)"
                            : "");
    exit(1);
}

static mqd_t make_queue(const char *name, size_t slot)
{
    struct mq_attr attr = {.mq_maxmsg = DEPTH, .mq_msgsize = (long)slot};
    return mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
}

static void make_queues(struct link *l, const char *name)
{
    char req[256], rep[256];
    if (snprintf(req, sizeof req, "%s.req", name) >= (int)sizeof req) {
        errno = ENAMETOOLONG;
        fail("name");
    }
    snprintf(rep, sizeof rep, "%s.rep", name);
    if ((l->req = make_queue(req, l->slot)) == (mqd_t)-1)
        fail(req);
    l->rep = make_queue(rep, l->slot);
    int why = errno;
    mq_unlink(req);
    if (l->rep == (mqd_t)-1) {
        errno = why;
        fail(rep);
    }
    mq_unlink(rep);
}

/* The worker: upper-cases each request until an empty one comes. */
static void echo(const struct link *l)
{
    for (;;) {
        ssize_t n = mq_receive(l->req, l->slot_buf, l->slot, NULL);
        if (n < 0)
            fail("echo: receive");
        if (n == 0)
            _exit(0);
        upper(l->slot_buf, l->slot_buf, (size_t)n);
        if (mq_send(l->rep, l->slot_buf, (size_t)n, 0) < 0)
            fail("echo: send");
    }
}

static void send_one(const struct link *l)
{
    if (mq_send(l->req, l->payload, l->size, 0) < 0)
        fail("send");
}

static void receive_one(const struct link *l)
{
    ssize_t n = mq_receive(l->rep, l->slot_buf, l->slot, NULL);
    if (n < 0)
        fail("receive");
    if ((size_t)n != l->size || memcmp(l->slot_buf, l->answer, l->size) != 0) {
        fprintf(stderr, "pingpong: a wrong answer of %zd bytes\n", n);
        exit(1);
    }
}

static void run_rtt(const struct link *l, uint64_t budget)
{
    struct samples s = {0};
    for (int i = 0; i < WARMUP; i++) {
        send_one(l);
        receive_one(l);
    }
    uint64_t start = now_ns(), before = start, after;
    do {
        send_one(l);
        receive_one(l);
        after = now_ns();
        samples_add(&s, after - before);
        before = now_ns();
    } while (before - start < budget);
    samples_print(&s);
    free(s.ns);
}

static void run_stream(const struct link *l, uint64_t budget)
{
    uint64_t done = 0, start, elapsed;
    for (int i = 0; i < WINDOW; i++)
        send_one(l);
    for (int i = 0; i < WARMUP; i++) {
        receive_one(l);
        send_one(l);
    }
    start = now_ns();
    do { /* whole queues at a time: one wake-up per DEPTH messages, the fastest order measured */
        for (int i = 0; i < DEPTH; i++)
            receive_one(l);
        for (int i = 0; i < DEPTH; i++)
            send_one(l);
        done += DEPTH;
        elapsed = now_ns() - start;
    } while (elapsed < budget);
    for (int i = 0; i < WINDOW; i++)
        receive_one(l);
    printf("%llu %llu\n", (unsigned long long)done, (unsigned long long)elapsed);
}

static volatile pid_t echo_pid; /* for the handlers */

/* Asked to stop in mid-run: the echo process goes first, so that nobody else has to reap it. */
static void stop_now(int signo)
{
    signal(SIGCHLD, SIG_DFL);
    if (echo_pid > 0) {
        kill(echo_pid, SIGKILL);
        waitpid(echo_pid, NULL, 0);
    }
    _exit(128 + signo);
}

static void child_gone(int signo)
{
    static const char words[] = "pingpong: the echo process died\n";
    (void)signo;
    (void)!write(STDERR_FILENO, words, sizeof words - 1);
    _exit(1);
}

static void start_echo(const struct link *l)
{
    pid_t parent = getpid();
    if (signal(SIGCHLD, child_gone) == SIG_ERR) /* else we would wait for an answer for ever */
        fail("signal");
    if ((echo_pid = fork()) < 0)
        fail("fork");
    if (echo_pid == 0) {
        signal(SIGCHLD, SIG_DFL);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
            fail("prctl");
        if (getppid() != parent) /* it died before the line above */
            _exit(1);
        echo(l);
    }
    if (signal(SIGTERM, stop_now) == SIG_ERR || signal(SIGINT, stop_now) == SIG_ERR)
        fail("signal");
}

int main(int argc, char **argv)
{
    if (argc != 6 || (strcmp(argv[1], "rtt") != 0 && strcmp(argv[1], "stream") != 0)) {
        fprintf(stderr, "usage: pingpong rtt|stream NAME SIZE SECONDS SLOT\n");
        return 64;
    }
    struct link l = {.size = (size_t)number(argv[3], "SIZE"),
                     .slot = (size_t)number(argv[5], "SLOT")};
    uint64_t budget = (uint64_t)(number(argv[4], "SECONDS") * 1e9);
    if (l.size < 1 || l.size > l.slot) {
        fprintf(stderr, "pingpong: SIZE must be 1 to SLOT bytes\n");
        return 64;
    }
    l.payload = malloc(l.size);
    l.answer = malloc(l.size);
    l.slot_buf = malloc(l.slot);
    if (!l.payload || !l.answer || !l.slot_buf)
        fail("malloc");
    fill(l.payload, l.answer, l.size);
    make_queues(&l, argv[2]);
    start_echo(&l);
    if (argv[1][0] == 'r')
        run_rtt(&l, budget);
    else
        run_stream(&l, budget);
    signal(SIGCHLD, SIG_DFL);
    if (mq_send(l.req, "", 0, 0) < 0)
        fail("send");
    waitpid(echo_pid, NULL, 0);
    free(l.payload);
    free(l.answer);
    free(l.slot_buf);
    return 0;
}
