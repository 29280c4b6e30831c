/* test_limits.c - order per key and global limits under sanitizers: many tasks on one of them, and what a replay makes of it.
 *
 * What each message means is held against a model in tests/model; here it is about sizes, bounds and restarts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);       \
            exit(1);                                                              \
        }                                                                         \
    } while (0)

#define T0 INT64_C(1000000000) /* us: the journal's ts are whole ms of it */

static gn_core *make(void (*change)(gn_core_config *))
{
    gn_core_config config;
    gn_core_defaults(&config);
    config.seed = 42;
    if (change != NULL)
        change(&config);
    gn_core *core = gn_core_new(&config);
    CHECK(core != NULL);
    return core;
}

static void say(gn_core *core, int64_t now, int link, const char *text)
{
    CHECK(gn_core_feed(core, now, link, (const uint8_t *)text, strlen(text), 0) == strlen(text));
}

/* All that is there, as a string; at most one call old. */
static const char *heard(gn_core *core, int link)
{
    static char text[1 << 22];
    size_t len;
    int whole;
    const uint8_t *out = gn_core_output(core, link, sizeof text - 1, &len, &whole);
    if (len > 0)
        memcpy(text, out, len);
    text[len] = 0;
    gn_core_sent(core, 0, link, len);
    return text;
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

/* A fresh core that has read all that `core` has written. */
static gn_core *replayed(gn_core *core)
{
    gn_core *fresh = make(NULL);
    size_t len;
    const uint8_t *journal = gn_core_journal(core, &len);
    int link = gn_core_link_open(fresh, 0, GN_LINK_JOURNAL);
    CHECK(gn_core_feed(fresh, 0, link, journal, len, 1) == len);
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
    gn_core *fresh = replayed(core);
    CHECK(stand_of(fresh, "t2") == GN_STAND_LINE && stand_of(fresh, "t3") == GN_STAND_LINE);
    int b = gn_core_link_open(fresh, T0 + 400 * GN_MS, GN_LINK_STREAM);
    say(fresh, T0 + 400 * GN_MS, b, "CONTROL:REGISTER:b:{\"actions\":[\"A\"],\"slots\":9,\"run\":\"1\"}\n");
    gn_core_tick(fresh, T0 + 6000 * GN_MS);
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
    gn_core *fresh = replayed(core);
    CHECK(stand_of(fresh, "t2") == GN_STAND_QUEUE);
    fresh->now = T0 + 500 * GN_MS;
    gn_keys_resume(fresh);
    CHECK(stand_of(fresh, "t2") == GN_STAND_LINE && gn_core_check(fresh) == 0);
    gn_core_tick(fresh, T0 + 500 * GN_MS);
    CHECK(stand_of(fresh, "t1") == GN_STAND_QUEUE && stand_of(fresh, "t2") == GN_STAND_LINE && gn_core_check(fresh) == 0);
    gn_core_free(fresh);
    gn_core_free(core);
}

int main(void)
{
    test_long_line();
    test_line_replayed();
    test_line_resumed();
    puts("test_limits: ok");
    return 0;
}
