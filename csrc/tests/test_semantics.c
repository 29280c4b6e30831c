/* test_semantics.c - what tasks are to each other, under sanitizers: circles of any length, replacements in full tables, late outcomes.
 *
 * What each message means is held against a model in tests/model; here it is about memory, limits and time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_check.h"

static void say(gn_core *core, int link, const char *text)
{
    CHECK(gn_core_feed(core, 1, link, (const uint8_t *)text, strlen(text), 0) == strlen(text));
}

/* All that is there, the journal being safe at once, as it is for a coordinator without one. */
static const char *heard(gn_core *core, int link)
{
    gn_core_journal_committed(core, gn_core_journal_seal(core));
    return output(core, 1, link);
}

/* ---- circles ------------------------------------------------------------------------------------ */

/* The longest names: the words of the circle are cut, and end with the task itself. */
static void test_long_names(void)
{
    gn_core *core = make(NULL);
    int a = gn_core_link_open(core, 1, GN_LINK_STREAM);
    char line[512], name[2][65];
    say(core, a, "CONTROL:REGISTER:up:{\"actions\":[\"A\"],\"slots\":9}\n");
    for (int i = 0; i < 9; i++) {
        memset(name[i & 1], 'a' + i, 64);
        name[i & 1][64] = 0;
        sprintf(line, i == 0 ? "DATA:A:%s;tries=1:x\n" : "DATA:A:%s;after=%s:x\n", name[i & 1], name[~i & 1]);
        say(core, a, line);
    }
    heard(core, a);
    memset(name[1], 'a', 64);
    sprintf(line, "RESPONSE:TASK_COMPLETED:%s;via=A;after=%s:x\n", name[1], name[0]);
    say(core, a, line);
    sprintf(line, ";reason=tries;try=1:after=%s closes a circle: %s after %s after ... after %s\n", name[0], name[1], name[0], name[1]);
    CHECK(strstr(heard(core, a), line) != NULL);
    CHECK(gn_core_check(core) == 0);
    gn_core_free(core);
}

/* Everybody is looked at once: a lattice of 20,000 tasks with 60,000 edges, and as many outcomes that might close a circle. */
static void test_long_circle(void)
{
    gn_core *core = make(NULL);
    int a = gn_core_link_open(core, 1, GN_LINK_STREAM), b = gn_core_link_open(core, 1, GN_LINK_SHARED);
    char line[256];
    enum { N = 20000 };
    say(core, a, "CONTROL:REGISTER:up:{\"actions\":[\"A\"],\"slots\":9}\n");
    for (int i = 0; i < N; i++) {
        int n = i < 3 ? sprintf(line, "DATA:A:t%d;tries=30:x", i)
                      : sprintf(line, "DATA:B:t%d;after=t%d,t%d,t%d;needs=ended:x", i, i - 1, i - 2, i - 3);
        CHECK(gn_core_feed(core, 1, b, (uint8_t *)line, (size_t)n, 1) == (size_t)n);
    }
    for (int k = 0; k < 20; k++) {
        sprintf(line, "RESPONSE:TASK_COMPLETED:t0;via=A;after=t%d:x\n", N - 1 - k);
        say(core, a, line);
        CHECK(gn_core_check(core) == 0);
        say(core, a, "CONTROL:KICK:t0\n"); /* the failed try waits no longer */
    }
    gn_task_view view;
    CHECK(gn_core_task(core, "t0", 2, &view) && view.state == GN_STATE_LEASED && view.tries_used == 21);
    say(core, a, "RESPONSE:TASK_COMPLETED:t0;via=A;after=t1:x\n"); /* which waits for nobody */
    CHECK(gn_core_task(core, "t0", 2, &view) && view.state == GN_STATE_WAITING);
    gn_core_free(core);
}

/* ---- replacements --------------------------------------------------------------------------------- */

static void full(gn_core_config *c)
{
    c->tasks_max = 2;
    c->bytes_max = 400;
    c->edges_max = 1;
    c->actions_max = 2;
}

/* In a full table a task can be replaced, and what is refused leaves it as it was. */
static void test_replace_when_full(void)
{
    static const char BLOB[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    gn_core *core = make(full);
    int a = gn_core_link_open(core, 1, GN_LINK_STREAM);
    char line[1024];
    say(core, a, "DATA:A:t1:x\nDATA:A:t2;after=t1:x\nDATA:A:t3:x\n");
    CHECK(strstr(heard(core, a), "RESPONSE:REJECTED:t3:busy") != NULL);
    sprintf(line, "DATA:A:t1;dup=replace;blob=%s.9:\n", BLOB);
    say(core, a, line);
    CHECK(strcmp(heard(core, a), "ACK:RECEIVED:t1;replaced=1\n") == 0);
    CHECK(gn_core_blob_refs(core, BLOB) == 1);
    sprintf(line, "DATA:A:t1;dup=replace:%0390d\n", 0);
    say(core, a, line);
    say(core, a, "DATA:B:t2;dup=replace;after=t1:x\nDATA:A:t1;dup=replace;after=t2:x\n");
    CHECK(strstr(heard(core, a), "t1:busy a table is at its bound: try again later\nRESPONSE:REJECTED:t2:busy ") != NULL);
    CHECK(gn_core_blob_refs(core, BLOB) == 1 && gn_core_check(core) == 0);
    say(core, a, "DATA:B:t2;dup=replace:x\nDATA:B:t1;dup=replace;after=t2:x\n");
    CHECK(gn_core_blob_refs(core, BLOB) == 0 && gn_core_check(core) == 0);
    gn_task_view view;
    CHECK(gn_core_task(core, "t1", 2, &view) && view.state == GN_STATE_WAITING && strcmp(view.action, "B") == 0);
    gn_core_free(core);
}

/* ---- late outcomes ------------------------------------------------------------------------------ */

/* n bytes that come too late for a task. */
static void say_late(gn_core *core, int link, const char *name, size_t n)
{
    static char line[70000];
    size_t head = (size_t)sprintf(line, "RESPONSE:TASK_COMPLETED:%s;token=7;len=%zu:", name, n);
    memset(line + head, 'y', n);
    strcpy(line + head + n, "\n");
    say(core, link, line);
    CHECK(strstr(heard(core, link), ":stale ") != NULL && gn_core_check(core) == 0);
}

static int has_late(gn_core *core, int link, const char *name)
{
    char line[128];
    sprintf(line, "CONTROL:RESULT:%s;late=1\n", name);
    say(core, link, line);
    const char *said = heard(core, link);
    CHECK((strstr(said, ";late=1;token=7") != NULL) != (strstr(said, "unknown_task") != NULL));
    return strstr(said, ";late=1") != NULL;
}

static void room_for_10000(gn_core_config *config)
{
    config->bytes_max = 10000;
}

/* A long one is cut, says so, and is gone with its task; what is submitted comes first. */
static void test_late_makes_room(void)
{
    gn_core *core = make(room_for_10000);
    int a = gn_core_link_open(core, 1, GN_LINK_STREAM);
    static char line[9000];
    say(core, a, "DATA:A:t1;ack=0:x\nDATA:A:t2;ack=0:x\nDATA:A:t3;ack=0:x\n");
    say_late(core, a, "t1", 60000);
    say(core, a, "CONTROL:RESULT:t1;late=1\n");
    const char *said = heard(core, a);
    CHECK(strncmp(said, "RESPONSE:TASK_COMPLETED:t1;late=1;token=7;size=60000:y", 54) == 0);
    CHECK(strlen(said) == 53 + GN_LATE_BYTES_MAX + 1);
    say_late(core, a, "t1", GN_LATE_BYTES_MAX);
    say_late(core, a, "t2", 4000);
    say_late(core, a, "t3", 4000); /* the oldest goes for it */
    CHECK(!has_late(core, a, "t1") && has_late(core, a, "t2") && has_late(core, a, "t3"));
    sprintf(line, "DATA:A:t4;ack=0:%05000d\n", 0);
    say(core, a, line);
    CHECK(!has_late(core, a, "t2") && has_late(core, a, "t3"));
    sprintf(line, "DATA:A:t3;ack=0;dup=replace:%04000d\n", 0);
    say(core, a, line);
    CHECK(heard(core, a)[0] == 0 && !has_late(core, a, "t3"));
    say_late(core, a, "t2", 4000); /* no room: none is kept */
    CHECK(!has_late(core, a, "t2"));
    say_late(core, a, "t2", 10);
    CHECK(has_late(core, a, "t2") && gn_core_check(core) == 0);
    gn_core_free(core);
}

/* ---- what a late watcher hears ---------------------------------------------------------------------------- */

static void tight(gn_core_config *c)
{
    c->bytes_max = 400;
    c->partial_bytes_max = 200;
    c->tries = 9;
}

static uint64_t gauge(const gn_core *core, const char *name)
{
    for (int i = 0; i < gn_core_gauge_count(); i++)
        if (strcmp(gn_core_gauge_name(i), name) == 0)
            return gn_core_gauge(core, i);
    CHECK(!"a gauge of this name");
    return 0;
}

/* Partials go before anything is refused for want of room: whole tasks, in the order in which their first was kept. */
static void test_partials_make_room(void)
{
    gn_core *core = make(tight);
    int a = gn_core_link_open(core, 1, GN_LINK_STREAM), b = gn_core_link_open(core, 1, GN_LINK_STREAM);
    char line[1024];
    say(core, a, "CONTROL:REGISTER:up:{\"actions\":[\"A\"],\"slots\":9}\nDATA:A:t1;ack=0:x\nDATA:A:t2;ack=0:x\n");
    heard(core, a);
    say(core, a, "RESPONSE:PARTIAL:t1;seq=0:one\nRESPONSE:PARTIAL:t2;seq=0:two\nRESPONSE:PROGRESS:t2:50 %\n");
    CHECK(gauge(core, "partial_bytes") == 30 + 30 + 26 && gauge(core, "bytes") == 6 + 86 && gn_core_check(core) == 0);
    sprintf(line, "DATA:A:t3;ack=0:%0330d\n", 0);
    say(core, b, line);
    CHECK(gauge(core, "partial_bytes") == 56 && gn_core_check(core) == 0);
    say(core, b, "CONTROL:WATCH:t1;seq=0\nCONTROL:WATCH:t2;seq=0\n");
    CHECK(strcmp(heard(core, b), "ACK:DONE:t1\nACK:DONE:t2\nRESPONSE:PROGRESS:t2:50 %\nRESPONSE:PARTIAL:t2;seq=0:two\n") == 0);
    say(core, a, "RESPONSE:PARTIAL:t1;seq=1:there is no room for this, so that of another task goes\n");
    CHECK(gauge(core, "partial_bytes") == 0 && gn_core_check(core) == 0);
    sprintf(line, "DATA:A:t4;ack=0:%060d\n", 0);
    say(core, b, line);
    heard(core, b);
    say(core, b, "DATA:A:t5:x\n");
    CHECK(strstr(heard(core, b), "RESPONSE:REJECTED:t5:busy") != NULL && gn_core_check(core) == 0);
    gn_core_free(core);
}

/* Many of all lengths, some with line ends in them: what is kept is always the last of them, within the bound. */
static void test_partials_of_one_task(void)
{
    static char line[2048], text[512];
    gn_core *core = make(NULL);
    int a = gn_core_link_open(core, 1, GN_LINK_STREAM), b = gn_core_link_open(core, 1, GN_LINK_STREAM);
    say(core, a, "CONTROL:REGISTER:up:{\"actions\":[\"A\"]}\nDATA:A:t1;ack=0:x\n");
    for (int i = 0; i < 3000; i++) {
        int len = 1 + i * 37 % 300;
        memset(text, i % 3 == 0 ? '\n' : 'x', (size_t)len);
        sprintf(line, "RESPONSE:PARTIAL:t1;seq=%d;len=%d:%.*s\n", i, len, len, text);
        say(core, a, line);
        CHECK(gauge(core, "partial_bytes") <= 65536 && (i % 100 > 0 || gn_core_check(core) == 0));
    }
    CHECK(gauge(core, "partial_bytes") > 65536 - 400);
    say(core, b, "CONTROL:WATCH:t1;seq=2999\n");
    const char *got = heard(core, b);
    CHECK(strncmp(got, "ACK:DONE:t1\nRESPONSE:PARTIAL:t1;seq=2999", 40) == 0 && strstr(got + 40, "PARTIAL") == NULL);
    say(core, b, "CONTROL:WATCH:t1;seq=0\n");
    CHECK(strlen(heard(core, b)) == strlen("ACK:DONE:t1\n") + gauge(core, "partial_bytes"));
    say(core, a, "RESPONSE:TASK_RELEASED:t1;delay=900:\n"); /* they stay until it is tried again, or is another task */
    CHECK(gauge(core, "partial_bytes") > 0 && gn_core_check(core) == 0);
    say(core, a, "DATA:A:t1;dup=replace;delay=900:y\n");
    CHECK(gauge(core, "partial_bytes") == 0 && gn_core_check(core) == 0);
    gn_core_free(core);
}

int main(void)
{
    test_partials_make_room();
    test_partials_of_one_task();
    test_long_names();
    test_long_circle();
    test_replace_when_full();
    test_late_makes_room();
    puts("test_semantics: ok");
    return 0;
}
