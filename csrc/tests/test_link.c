/* test_link.c - the peer's end of a line, over real queues, sockets and pipes. */
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "ganglion/link.h"
#include "io_check.h"

#define SLOT 256

static const uint8_t *bytes(const char *text)
{
    return (const uint8_t *)text;
}

static ptrdiff_t send_text(gn_link *link, const char *text, int timeout_ms)
{
    return gn_link_send(link, bytes(text), strlen(text), timeout_ms);
}

static int is(const uint8_t *base, gn_span span, const char *text)
{
    return span.len == strlen(text) && !memcmp(base + span.off, text, span.len);
}

static void test_from_is_put_in(void)
{
    static const char *const cases[][2] = {
        {"DATA:X:t1:hello\n", "DATA:X:t1;from=me:hello\n"},
        {"DATA:X:t1;prio=1:hello\n", "DATA:X:t1;prio=1;from=me:hello\n"},
        {"DATA:X:[1,2]\n", "DATA:X:;from=me:[1,2]\n"},
        {"ACK:RECEIVED\n", "ACK:RECEIVED:;from=me\n"},
        {"CONTROL:PING:\n", "CONTROL:PING:;from=me\n"},
        {"DATA:X::p\n", "DATA:X:;from=me:p\n"},
        {"DATA:X:t;from=other:p\n", "DATA:X:t;from=other:p\n"},
        {"DATA:X:t;len=3:a\nb\n", "DATA:X:t;len=3;from=me:a\nb\n"},
        {"DATA:X:t:no line end", "DATA:X:t;from=me:no line end\n"},
        {"\n\nDATA:A:1:x\n\nDATA:B:2:y\n", "DATA:A:1;from=me:x\nDATA:B:2:y\n"},
        {"DATA:A:1;from=o:x\nDATA:B:2:y\nDATA:C:3:z\n", "DATA:A:1;from=o:x\nDATA:B:2;from=me:y\nDATA:C:3:z\n"},
    };
    char a[64], b[64], got[SLOT + 1];
    int coordinator = make_queue("c", 4, SLOT, a), inbox = make_queue("i", 4, SLOT, b);
    gn_link *link = gn_link_mqueue("me", inbox, coordinator);

    CHECK(link);
    CHECK(gn_link_message_bytes_max(link) == SLOT);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(send_text(link, cases[i][0], 0) == (ptrdiff_t)strlen(cases[i][0]));
        next_datagram(coordinator, got, sizeof got, 1000);
        if (strcmp(got, cases[i][1]))
            fprintf(stderr, "sent %s got %s wanted %s\n", cases[i][0], got, cases[i][1]);
        CHECK(!strcmp(got, cases[i][1]));
    }
    CHECK(!gn_link_mqueue("bad name", inbox, coordinator) && errno == EINVAL);
    CHECK(!gn_link_mqueue("", inbox, coordinator));
    gn_link_free(link);
    close(coordinator);
    close(inbox);
    unlink_queues();
}

static void test_packing_and_deadline(void)
{
    char a[64], b[64], got[SLOT + 1], many[4096] = "", big[2 * SLOT], line[64];
    int coordinator = make_queue("c", 4, SLOT, a), inbox = make_queue("i", 4, SLOT, b), n = 0;
    gn_link *link = gn_link_mqueue("me", inbox, coordinator);
    gn_parser parser;
    gn_msg msgs[64];
    size_t used, all;
    ptrdiff_t sent;

    CHECK(link);
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof line, "DATA:X:t%02d:0123456789\n", i);
        strcat(many, line);
    }
    all = strlen(many);
    sent = send_text(link, many, 50); /* 4 slots hold less than that: whole messages up to the deadline */
    CHECK(sent > 0 && sent < (ptrdiff_t)all && many[sent - 1] == '\n');
    CHECK(send_text(link, many + sent, 0) == -EAGAIN);
    while (*next_datagram(coordinator, got, sizeof got, 0)) {
        gn_span from;

        CHECK(strlen(got) > SLOT - 40);
        memset(&parser, 0, sizeof parser);
        size_t k = gn_parse(&parser, bytes(got), strlen(got), 1, msgs, 64, &used);

        for (size_t i = 0; i < k; i++, n++) {
            snprintf(line, sizeof line, "t%02d", n);
            CHECK(is(bytes(got), msgs[i].task, line) && !msgs[i].code);
            CHECK(gn_param_find(bytes(got), &msgs[i], "from", &from) == (i == 0));
        }
    }
    CHECK(n == sent / 22);
    memset(big, 'x', sizeof big);
    memcpy(big, "DATA:X:t:", 9);
    big[sizeof big - 1] = 0;
    CHECK(send_text(link, big, 0) == -EMSGSIZE);
    CHECK(send_text(link, "DATA:X:a:1\nnonsense\n", 0) == 11); /* the good one is taken */
    CHECK(send_text(link, "nonsense\n", 0) == -EBADMSG);
    CHECK(gn_link_send(link, bytes(""), 0, 0) == 0);
    gn_link_free(link);
    link = gn_link_mqueue("me", inbox, -1);
    CHECK(link && send_text(link, "DATA:X:a:1\n", 0) == -ENOTCONN);
    gn_link_free(link);
    close(coordinator);
    close(inbox);
    unlink_queues();
}

static void put(int q, const char *text)
{
    CHECK(!mq_send(q, text, strlen(text), 0));
}

static void test_queue_receive(void)
{
    char a[64], b[64];
    int coordinator = make_queue("c", 4, SLOT, a), inbox = make_queue("i", 4, SLOT, b);
    gn_link *link = gn_link_mqueue("me", inbox, coordinator);
    const uint8_t *base;
    gn_msg m[8];

    CHECK(link && gn_link_read_fd(link) == inbox);
    CHECK(gn_link_recv(link, m, 8, 0, &base) == 0);
    CHECK(gn_link_recv(link, m, 8, 20, &base) == 0);
    put(inbox, "DATA:X:1:one\nDATA:X:2:two\n");
    put(inbox, "DATA:X:3;len=11:long");
    put(inbox, " er\nand\n");
    put(inbox, "DATA:X:4:four\n");
    CHECK(gn_link_recv(link, m, 8, 1000, &base) == 4);
    CHECK(is(base, m[0].payload, "one") && is(base, m[1].payload, "two"));
    CHECK(is(base, m[2].payload, "long er\nand") && is(base, m[3].task, "4"));
    put(inbox, "DATA:X:1:one\nDATA:X:2:two\nDATA:X:3:three\n");
    for (int i = 1; i <= 3; i++) { /* what does not fit into out is there the next time, without a system call */
        CHECK(gn_link_recv(link, m, 1, 1000, &base) == 1);
        CHECK(m[0].payload.len == (i == 3 ? 5u : 3u));
    }
    put(inbox, "DATA:X:1:half a mess");
    CHECK(gn_link_recv(link, m, 8, 20, &base) == 0);
    gn_link_reopen(link, inbox, coordinator); /* its writer is gone */
    put(inbox, "DATA:X:2:new\n");
    CHECK(gn_link_recv(link, m, 8, 1000, &base) == 1 && is(base, m[0].payload, "new") && !m[0].code);
    put(inbox, "DATA:X:1:half a mess");
    put(inbox, "DATA:X:2:new\n");
    gn_link_reopen(link, inbox, coordinator);
    CHECK(gn_link_recv(link, m, 8, 1000, &base) >= 0); /* nothing to tell the two apart: no crash, no hang */
    gn_link_free(link);
    close(coordinator);
    close(inbox);
    unlink_queues();
}

static void test_stream(void)
{
    static char big[400000], got[sizeof big];
    int pair[2];
    gn_link *link;
    const uint8_t *base;
    gn_msg m[8];
    ptrdiff_t sent;
    size_t total = 0;
    ssize_t n;

    CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    link = gn_link_stream(pair[0], pair[0]);
    CHECK(link && send_text(link, "DATA:X:1:one\n", 0) == 13);
    CHECK(read(pair[1], got, sizeof got) == 13 && !memcmp(got, "DATA:X:1:one\n", 13));
    CHECK(write(pair[1], "ACK:A:1\nACK:B:", 14) == 14);
    CHECK(gn_link_recv(link, m, 8, 1000, &base) == 1 && is(base, m[0].task, "1"));
    CHECK(gn_link_recv(link, m, 8, 10, &base) == 0);
    CHECK(write(pair[1], "2\n", 2) == 2);
    CHECK(gn_link_recv(link, m, 8, -1, &base) == 1 && is(base, m[0].task, "2"));
    for (size_t i = 0; i + 40 <= sizeof big; i += 40)
        memcpy(big + i, "DATA:X:name:0123456789012345678901234567", 39), big[i + 39] = '\n';
    sent = gn_link_send(link, bytes(big), sizeof big, 20);
    CHECK(sent > 0 && sent < (ptrdiff_t)sizeof big && sent % 40 == 0);
    CHECK(gn_link_send(link, bytes(big), 40, 0) == -EAGAIN);
    while ((n = recv(pair[1], got + total, sizeof got - total, MSG_DONTWAIT)) > 0)
        total += (size_t)n;
    CHECK(total <= (size_t)sent);
    CHECK(send_text(link, "ACK:Z:z\n", 1000) == 8); /* the rest of the message that the deadline cut leaves first */
    CHECK((n = recv(pair[1], got + total, sizeof got - total, MSG_DONTWAIT)) > 0);
    CHECK(total + (size_t)n == (size_t)sent + 8);
    CHECK(!memcmp(got, big, (size_t)sent) && !memcmp(got + sent, "ACK:Z:z\n", 8));
    CHECK(write(pair[1], "ACK:LAST:x", 10) == 10);
    close(pair[1]);
    CHECK(gn_link_recv(link, m, 8, 1000, &base) == 1 && is(base, m[0].task, "x"));
    CHECK(gn_link_recv(link, m, 8, 1000, &base) == -EPIPE);
    CHECK(send_text(link, "ACK:Z:z\n", 1000) == -EPIPE);
    gn_link_free(link);
    close(pair[0]);
}

static void test_pipes(void)
{
    int in[2], out[2];
    char got[64];
    gn_link *link;
    const uint8_t *base;
    gn_msg m[8];

    CHECK(!pipe(in) && !pipe(out));
    link = gn_link_stream(in[0], out[1]);
    CHECK(link && send_text(link, "DATA:X:1:one\n", 100) == 13);
    CHECK(read(out[0], got, sizeof got) == 13);
    CHECK(write(in[1], "ACK:A:1", 7) == 7);
    close(in[1]);
    CHECK(gn_link_recv(link, m, 8, 1000, &base) == 1 && is(base, m[0].task, "1"));
    CHECK(gn_link_recv(link, m, 8, 1000, &base) == -EPIPE);
    close(out[0]);
    CHECK(send_text(link, "DATA:X:1:one\n", 100) == -EPIPE); /* and no SIGPIPE: we are still here */
    CHECK(send_text(link, "DATA:X:1:one\n", -1) == -EPIPE);
    gn_link_free(link);
    close(in[0]);
    close(out[1]);
}

static void on_signal(int number)
{
    (void)number;
}

static void *interrupt(void *thread)
{
    for (int i = 0; i < 20; i++) {
        pause_ms(5);
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
    }
    return NULL;
}

/* A signal must bring the caller back, whatever it waits for. */
static void test_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    char a[64], b[64];
    int coordinator = make_queue("c", 1, SLOT, a), inbox = make_queue("i", 1, SLOT, b), pair[2];
    gn_link *queue = gn_link_mqueue("me", inbox, coordinator), *stream;
    pthread_t self = pthread_self(), other;
    const uint8_t *base;
    gn_msg m;

    CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    stream = gn_link_stream(pair[0], pair[0]);
    CHECK(queue && stream && !sigaction(SIGUSR1, &action, NULL));
    CHECK(!pthread_create(&other, NULL, interrupt, &self));
    CHECK(gn_link_recv(queue, &m, 1, -1, &base) == 0);
    CHECK(gn_link_recv(stream, &m, 1, -1, &base) == 0);
    CHECK(send_text(queue, "ACK:A:1\n", -1) == 8);
    CHECK(send_text(queue, "ACK:A:1\n", -1) == -EINTR);
    pthread_join(other, NULL);
    gn_link_free(queue);
    gn_link_free(stream);
    close(pair[0]);
    close(pair[1]);
    close(coordinator);
    close(inbox);
    unlink_queues();
}

int main(void)
{
    test_from_is_put_in();
    test_packing_and_deadline();
    test_queue_receive();
    test_stream();
    test_pipes();
    test_interrupt();
    puts("test_link: ok");
    return 0;
}
