/* test_limits.c - order per key and global limits under sanitizers: many tasks on one of them, and what a replay makes of it.
 *
 * What each message means is held against a model in tests/model; here it is about sizes, bounds and restarts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_check.h"

#define T0 INT64_C(1000000000) /* us: the journal's ts are whole ms of it */

static void say(gn_core *core, int64_t now, int link, const char *text)
{
    CHECK(gn_core_feed(core, now, link, (const uint8_t *)text, strlen(text), 0) == strlen(text));
}

/* What may leave while no batch of the journal is committed: nothing here asks for more. */
static const char *heard(gn_core *core, int link)
{
    return output(core, 0, link);
}

static uint64_t token_of(const gn_core *core, const char *task)
{
    gn_task_view view;
    CHECK(gn_core_task(core, task, strlen(task), &view));
    return view.token;
}

static void end_task(gn_core *core, int64_t now, int link, const char *verb, const char *task, const char *params)
{
    char line[200];
    snprintf(line, sizeof line, "RESPONSE:%s:%s;token=%llu%s:\n", verb, task, (unsigned long long)token_of(core, task), params);
    say(core, now, link, line);
}

static int stand_of(const gn_core *core, const char *task)
{
    gn_task_view view;
    CHECK(gn_core_task(core, task, strlen(task), &view));
    return view.stand;
}

/* A fresh core that has read all that `core` has written, and goes on from it. */
static gn_core *replayed(gn_core *core, int64_t now)
{
    gn_core *fresh = make(NULL);
    size_t len;
    const uint8_t *journal = gn_core_journal(core, &len);
    int link = gn_core_link_open(fresh, 0, GN_LINK_JOURNAL);
    CHECK(gn_core_feed(fresh, 0, link, journal, len, 1) == len);
    CHECK(gn_core_check(fresh) == 0);
    gn_core_resume(fresh, now);
    CHECK(gn_core_check(fresh) == 0);
    return fresh;
}

/* ---- keys ----------------------------------------------------------------------------------- */

static void test_long_line(void)
{
    enum { N = 50000 };
    gn_core *core = make(NULL);
    int c = gn_core_link_open(core, T0, GN_LINK_STREAM), a = gn_core_link_open(core, T0, GN_LINK_STREAM);
    char text[80], name[16];
    say(core, T0, a, "CONTROL:REGISTER:a:{\"actions\":[\"A\"],\"slots\":9,\"run\":\"1\"}\n");
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "DATA:A:t%d;ack=0;key=k:x\n", i);
        say(core, T0, c, text);
    }
    CHECK(core->count[GN_STATE_LEASED] == 1 && core->keys.live == 1 && gn_core_check(core) == 0);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "t%d", i);
        CHECK(token_of(core, name) != 0); /* it is this one's turn */
        end_task(core, T0, a, "TASK_COMPLETED", name, "");
        if (i % 1000 == 0)
            heard(core, a), heard(core, c);
    }
    CHECK(core->count[GN_STATE_DONE] == N && core->keys.live == 0 && core->tags.live == 0 && gn_core_check(core) == 0);
    gn_core_free(core);
}

/* Who had the turn has it after a restart, though time wrote nothing down. */
static void test_line_replayed(void)
{
    gn_core *core = make(NULL);
    int c = gn_core_link_open(core, T0, GN_LINK_STREAM), a = gn_core_link_open(core, T0, GN_LINK_STREAM);
    say(core, T0, a, "CONTROL:REGISTER:a:{\"actions\":[\"A\"],\"slots\":9,\"run\":\"1\"}\n");
    say(core, T0, c, "DATA:A:t1;key=k;delay=100:x\n");
    gn_core_tick(core, T0 + 100 * GN_MS);
    say(core, T0 + 200 * GN_MS, c, "DATA:A:t2;key=k:x\nDATA:A:t3;key=k:x\n");
    end_task(core, T0 + 300 * GN_MS, a, "TASK_FAILED", "t1", ";delay=5000");
    CHECK(stand_of(core, "t2") == GN_STAND_LINE && gn_core_check(core) == 0);
    gn_core *fresh = replayed(core, T0 + 400 * GN_MS);
    CHECK(stand_of(fresh, "t2") == GN_STAND_LINE && stand_of(fresh, "t3") == GN_STAND_LINE);
    gn_core_tick(fresh, T0 + 6000 * GN_MS);
    int b = gn_core_link_open(fresh, T0 + 6000 * GN_MS, GN_LINK_STREAM);
    say(fresh, T0 + 6000 * GN_MS, b, "CONTROL:REGISTER:b:{\"actions\":[\"A\"],\"slots\":9,\"run\":\"1\"}\n");
    CHECK(token_of(fresh, "t1") != 0 && token_of(fresh, "t2") == 0 && token_of(fresh, "t3") == 0);
    end_task(fresh, T0 + 6001 * GN_MS, b, "TASK_COMPLETED", "t1", "");
    CHECK(token_of(fresh, "t2") != 0 && token_of(fresh, "t3") == 0 && gn_core_check(fresh) == 0);
    gn_core_free(fresh);
    gn_core_free(core);
}

/* The same when nothing was written down since: its delay was over before the other one came. */
static void test_line_resumed(void)
{
    gn_core *core = make(NULL);
    int c = gn_core_link_open(core, T0, GN_LINK_STREAM);
    say(core, T0, c, "DATA:A:t1;key=k;delay=100:x\nDATA:A:t0;key=k;delay=900:x\n");
    say(core, T0 + 200 * GN_MS, c, "DATA:A:t2;key=k:x\n");
    gn_core *fresh = replayed(core, T0 + 500 * GN_MS);
    CHECK(stand_of(fresh, "t2") == GN_STAND_LINE && gn_core_check(fresh) == 0);
    gn_core_tick(fresh, T0 + 500 * GN_MS);
    CHECK(stand_of(fresh, "t1") == GN_STAND_QUEUE && stand_of(fresh, "t2") == GN_STAND_LINE && gn_core_check(fresh) == 0);
    gn_core_free(fresh);
    gn_core_free(core);
}

/* ---- limits ----------------------------------------------------------------------------------- */

static struct gn_meter *meter(gn_core *core, int kind, const char *name)
{
    uint32_t i = gn_meter_find(core, kind, name, strlen(name));
    CHECK(i != GN_NIL);
    return gn_meter_at(core, i);
}

/* Never more in any stretch of time than the burst and what the rate gives for it; and no less, over all. */
static void test_bucket(void)
{
    enum { N = 3000, RATE = 7 };
    gn_core *core = make(NULL);
    int c = gn_core_link_open(core, T0, GN_LINK_STREAM), a = gn_core_link_open(core, T0, GN_LINK_STREAM);
    char text[80];
    say(core, T0, a, "CONTROL:REGISTER:a:{\"actions\":[\"A\"],\"slots\":9999,\"run\":\"1\"}\n");
    say(core, T0, c, "CONTROL:LIMIT:l:{\"label\":\"x\",\"rate\":7,\"burst\":10}\n");
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "DATA:A:t%d;ack=0;lease=4000000;label=x:x\n", i);
        say(core, T0, c, text);
    }
    CHECK(core->count[GN_STATE_LEASED] == 10 && core->parked == N - 10 && gn_core_check(core) == 0);
    int64_t now = T0;
    for (int s = 1; core->parked > 0; s++) {
        now = T0 + s * INT64_C(333333);
        say(core, now, a, "CONTROL:HEARTBEAT:a\n");
        heard(core, a);
        gn_core_tick(core, now);
        CHECK(core->count[GN_STATE_LEASED] == 10 + (uint64_t)(now - T0) * RATE / 1000000 || core->parked == 0);
    }
    CHECK(now - T0 < (N - 10) * INT64_C(1000000) / RATE + 333333);
    gn_core_free(core);
}

/* Many parked: an event costs no step per task, a limit that goes lets all go, and one that is cancelled while parked leaves. */
static void test_many_parked(void)
{
    enum { N = 50000 };
    gn_core *core = make(NULL);
    int c = gn_core_link_open(core, T0, GN_LINK_STREAM), a = gn_core_link_open(core, T0, GN_LINK_STREAM);
    char text[80];
    say(core, T0, a, "CONTROL:REGISTER:a:{\"actions\":[\"A\",\"B\"],\"slots\":60000,\"run\":\"1\"}\n");
    say(core, T0, c, "CONTROL:LIMIT:l:{\"label\":\"x\",\"running\":2}\nCONTROL:LIMIT:l:{\"label\":\"y\",\"running\":1}\n");
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "DATA:%c:t%d;ack=0;prio=%d;label=x%s:x\n", 'A' + i % 2, i, i % 10, i % 3 == 0 ? ",y" : "");
        say(core, T0, c, text);
    }
    CHECK(core->count[GN_STATE_LEASED] == 2 && core->parked == N - 2 && gn_core_check(core) == 0);
    for (int i = 100; i < 200; i++) {
        snprintf(text, sizeof text, "CONTROL:CANCEL:t%d\n", i);
        say(core, T0, c, text);
    }
    CHECK(core->parked == N - 102 && gn_core_check(core) == 0);
    for (int i = 0; i < 5000; i++) {
        const struct gn_peer *p = gn_peer_at(core, gn_peer_find(core, "a", 1));
        const struct gn_task *t = gn_task_at(core, p->held.head);
        snprintf(text, sizeof text, "%.*s", (int)t->name_len, gn_task_name(t));
        end_task(core, T0, a, "TASK_COMPLETED", text, "");
        if (i % 1000 == 0)
            CHECK(gn_core_check(core) == 0);
        CHECK(core->count[GN_STATE_LEASED] == 2);
        heard(core, a), heard(core, c);
    }
    say(core, T0, c, "CONTROL:LIMIT:l:{\"label\":\"x\"}\nCONTROL:LIMIT:l:{\"label\":\"y\"}\n");
    CHECK(core->parked == 0 && core->berths.live == 0 && core->count[GN_STATE_LEASED] == N - 100 - 5000);
    CHECK(gn_core_check(core) == 0);
    gn_core_free(core);
}

/* A restart knows the limits and what runs, from the lines as they came and from a checkpoint; and gives no token away. */
static void restart(int checkpoint)
{
    gn_core *core = make(NULL);
    int c = gn_core_link_open(core, T0, GN_LINK_STREAM), a = gn_core_link_open(core, T0, GN_LINK_STREAM);
    int inbox = gn_core_link_open(core, T0, GN_LINK_SHARED);
    say(core, T0, a, "CONTROL:REGISTER:a:{\"actions\":[\"A\"],\"slots\":9,\"run\":\"1\"}\n");
    say(core, T0, c, "CONTROL:LIMIT:l:{\"label\":\"x\",\"rate\":0.125,\"burst\":3}\nCONTROL:LIMIT:l:{\"action\":\"B\",\"running\":5}\n"
                     "CONTROL:LIMIT:l:{\"sender\":\"g\",\"running\":1}\nCONTROL:LIMIT:l:{\"sender\":\"h\",\"running\":1}\n"
                     "CONTROL:LIMIT:l:{\"sender\":\"h\"}\n");
    say(core, T0, inbox, "DATA:A:t1;from=g:x\nDATA:A:t2:x\n");
    say(core, T0, c, "DATA:A:t3;label=x:x\nDATA:A:t4;once=1;label=x:x\n");
    CHECK(token_of(core, "t2") == 0 && token_of(core, "t4") != 0 && gn_core_check(core) == 0);
    if (checkpoint) {
        gn_core_journal_seal(core);
        gn_core_checkpoint(core);
        while (gn_core_checkpoint_step(core, 100000))
            ;
    }
    gn_core *fresh = replayed(core, T0 + 60000 * GN_MS);
    CHECK(fresh->limits == 3 && meter(fresh, GN_METER_ACTION, "B")->bound == 5);
    struct gn_meter *x = meter(fresh, GN_METER_LABEL, "x");
    CHECK(x->rate == 125 && x->burst == 3 && gn_meter_level(fresh, x) == 0 && x->running == 1); /* t4: with whom it was */
    gn_core_tick(fresh, T0 + 61000 * GN_MS);
    int b = gn_core_link_open(fresh, T0 + 61000 * GN_MS, GN_LINK_STREAM);
    say(fresh, T0 + 61000 * GN_MS, b, "CONTROL:REGISTER:b:{\"actions\":[\"A\"],\"slots\":9,\"run\":\"1\"}\n");
    CHECK(token_of(fresh, "t1") != 0 && token_of(fresh, "t2") == 0 && token_of(fresh, "t3") == 0);
    CHECK(stand_of(fresh, "t2") == GN_STAND_PARKED && stand_of(fresh, "t3") == GN_STAND_PARKED && gn_core_check(fresh) == 0);
    say(fresh, T0 + 67999 * GN_MS, b, "CONTROL:HEARTBEAT:b\n");
    gn_core_tick(fresh, T0 + 67999 * GN_MS);
    CHECK(token_of(fresh, "t3") == 0);
    gn_core_tick(fresh, T0 + 68000 * GN_MS);
    CHECK(token_of(fresh, "t3") != 0 && gn_core_check(fresh) == 0);
    gn_core_free(fresh);
    gn_core_free(core);
}

/* Limits, senders and labels come and go under any bytes; the books stay right. */
static void test_fuzz(void)
{
    static const char *const LINES[] = {
        "CONTROL:LIMIT:l:{\"label\":\"x\",\"running\":1}\n", "CONTROL:LIMIT:l:{\"label\":\"x\",\"rate\":100}\n",
        "CONTROL:LIMIT:l:{\"label\":\"x\"}\n", "CONTROL:LIMIT:l:{\"action\":\"A\",\"running\":2}\n",
        "CONTROL:LIMIT:l:{\"action\":\"A\"}\n", "CONTROL:LIMIT:l:{\"sender\":\"a\",\"running\":1}\n", "CONTROL:LIMITS\n",
        "DATA:A:;label=x;prio=9;ack=0:x\n", "DATA:A:;label=x,y;key=k;ack=0:x\n", "DATA:B:;label=y;ack=0;ttl=5:x\n",
        "DATA:B:;label=x;ack=0:x\n", "CONTROL:LIMIT:l:{\"label\":\"y\",\"rate\":50,\"burst\":2,\"running\":1}\n"};
    gn_core *core = make(NULL);
    int a = gn_core_link_open(core, T0, GN_LINK_STREAM);
    uint32_t random = 7;
    char text[80];
    say(core, T0, a, "CONTROL:REGISTER:a:{\"actions\":[\"A\",\"B\"],\"slots\":6,\"run\":\"1\"}\n");
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525 + 1013904223;
        const struct gn_peer *p = gn_peer_at(core, gn_peer_find(core, "a", 1));
        int64_t now = T0 + i * INT64_C(777);
        if (random >> 31 && p->held.head != GN_NIL) {
            const struct gn_task *t = gn_task_at(core, p->held.head);
            snprintf(text, sizeof text, "%.*s", (int)t->name_len, gn_task_name(t));
            end_task(core, now, a, random >> 30 & 1 ? "TASK_COMPLETED" : "TASK_FAILED", text, ";delay=1");
        } else {
            say(core, now, a, LINES[(random >> 16) % (sizeof LINES / sizeof *LINES)]);
        }
        gn_core_tick(core, now);
        heard(core, a);
        if (i % 100 == 0)
            CHECK(gn_core_check(core) == 0);
    }
    gn_core_free(core);
}

int main(void)
{
    test_long_line();
    test_line_replayed();
    test_line_resumed();
    test_bucket();
    test_many_parked();
    restart(0);
    restart(1);
    test_fuzz();
    puts("test_limits: ok");
    return 0;
}
