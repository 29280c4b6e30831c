/* test_core.c - the dispatch core under sanitizers: its bounds, a slow link, hostile bytes, a hundred thousand tasks.
 *
 * What each message means is held against a model in tests/model; here it is about memory and limits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_check.h"

static void say(gn_core *core, int link, const char *text)
{
    CHECK(gn_core_feed(core, 1, link, (const uint8_t *)text, strlen(text), 0) == strlen(text));
    CHECK(gn_core_check(core) == 0);
}

/* All that is there, the journal being safe at once, as it is for a coordinator without one. */
static const char *heard(gn_core *core, int link)
{
    gn_core_journal_committed(core, gn_core_journal_seal(core));
    return output(core, 1, link);
}

static int effects(gn_core *core, int kind)
{
    gn_effect effect;
    int n = 0;
    while (gn_core_effect(core, &effect))
        n += effect.kind == kind;
    return n;
}

/* ---- bounds ------------------------------------------------------------------------------- */

static void small(gn_core_config *c)
{
    c->tasks_max = 5;
    c->actions_max = 3;
    c->peers_max = 1;
    c->links_max = 2;
    c->watches_max = 4;
    c->edges_max = 1;
    c->bytes_max = 4096;
}

static void test_bounds(void)
{
    gn_core *core = make(small);
    int a = gn_core_link_open(core, 1, GN_LINK_STREAM), b = gn_core_link_open(core, 1, GN_LINK_STREAM);
    CHECK(gn_core_link_open(core, 1, GN_LINK_STREAM) == -GN_BUSY);
    say(core, a, "DATA:A:t1:x\nDATA:B:t2:x\nDATA:C:t3:x\nDATA:D:t4:x\n");
    CHECK(strstr(heard(core, a), "RESPONSE:REJECTED:t4:busy ") != NULL); /* actions */
    say(core, a, "DATA:A:t5;after=t1:x\nDATA:A:t6;after=t1:x\n");
    CHECK(strstr(heard(core, a), "RESPONSE:REJECTED:t6:busy ") != NULL); /* edges */
    say(core, a, "DATA:A:t7:x\n");
    CHECK(strstr(heard(core, a), "RESPONSE:REJECTED:t7:busy ") != NULL); /* watches */
    say(core, b, "CONTROL:WATCH:t1\nCONTROL:REGISTER:p1:{}\n");
    CHECK(strstr(heard(core, b), "RESPONSE:REJECTED:t1:busy ") != NULL);
    say(core, a, "CONTROL:REGISTER:p2:{}\n");
    CHECK(strstr(heard(core, a), "RESPONSE:REJECTED:p2:busy ") != NULL); /* peers */
    CHECK(gn_core_gauge(core, 0) == 4);
    gn_core_free(core);
}

static void tiny(gn_core_config *c) { c->bytes_max = 100; }

static void test_bytes(void)
{
    gn_core *core = make(tiny);
    int a = gn_core_link_open(core, 1, GN_LINK_STREAM);
    char line[256] = "DATA:A:t1:";
    memset(line + 10, 'x', 120);
    line[130] = '\n';
    say(core, a, line);
    CHECK(strstr(heard(core, a), "REJECTED:t1:busy") != NULL);
    CHECK(gn_core_gauge(core, 0) == 0);
    gn_core_free(core);
}

static void test_bad_configs(void)
{
    gn_core_config config;
    gn_core_defaults(&config);
    config.tasks_max = 0;
    CHECK(gn_core_new(&config) == NULL);
    gn_core_defaults(&config);
    config.out_bytes_max = 0;
    CHECK(gn_core_new(&config) == NULL);
}

/* ---- a link nobody reads ------------------------------------------------------------------------- */

static void narrow(gn_core_config *c) { c->out_bytes_max = 2000; }

static void test_slow_link(void)
{
    gn_core *core = make(narrow);
    int agent = gn_core_link_open(core, 1, GN_LINK_STREAM), slow = gn_core_link_open(core, 1, GN_LINK_STREAM);
    say(core, agent, "CONTROL:REGISTER:up:{\"actions\":[\"A\"],\"slots\":500}\n");
    char line[400];
    for (int i = 0; i < 50; i++) {
        sprintf(line, "DATA:A:t%d;ack=0:x\n", i);
        say(core, slow, line);
    }
    heard(core, agent);
    for (int i = 0; i < 50; i++) {
        sprintf(line, "RESPONSE:TASK_COMPLETED:t%d:%0200d\n", i, i);
        say(core, agent, line);
    }
    size_t len;
    int whole;
    gn_core_output(core, slow, 1 << 20, &len, &whole);
    CHECK(len < 2300 && whole); /* the others wait in the table */
    int seen = 0;
    for (const char *text; *(text = heard(core, slow)) != 0;)
        for (; (text = strstr(text, "TASK_COMPLETED:t")) != NULL; text++) {
            CHECK(atoi(text + 16) == seen);
            seen++;
        }
    CHECK(seen == 50);
    static const char PING[] = "CONTROL:PING:r:.............................................................\n";
    size_t used = sizeof PING - 1;
    for (int i = 0; i < 100; i++)
        used = gn_core_feed(core, 1, slow, (const uint8_t *)PING, sizeof PING - 1, 0);
    CHECK(used == 0 && effects(core, GN_EFFECT_CLOSE) == 0); /* it is not read on until it takes its answers */
    heard(core, slow);
    CHECK(gn_core_feed(core, 1, slow, (const uint8_t *)PING, sizeof PING - 1, 0) == sizeof PING - 1);
    gn_core_free(core);
}

/* A peer on a shared inbox cannot be held back: it is closed. */
static void test_slow_peer(void)
{
    gn_core *core = make(narrow);
    int inbox = gn_core_link_open(core, 1, GN_LINK_SHARED);
    say(core, inbox, "CONTROL:REGISTER:p:{\"inbox\":\"/p\"}\n");
    gn_effect effect;
    CHECK(gn_core_effect(core, &effect) == 1 && effect.kind == GN_EFFECT_OPEN && strcmp(effect.text, "/p") == 0);
    for (int i = 0; i < 100; i++)
        say(core, inbox, "CONTROL:PING:r;from=p:.............................................................\n");
    CHECK(gn_core_effect(core, &effect) == 1 && effect.kind == GN_EFFECT_CLOSE);
    gn_core_link_closed(core, 1, effect.link);
    CHECK(gn_core_check(core) == 0);
    gn_core_free(core);
}

/* A message longer than a slot goes on in the next; those that fit go whole. */
static void test_output_cut(void)
{
    gn_core *core = make(NULL);
    int a = gn_core_link_open(core, 1, GN_LINK_STREAM), whole;
    size_t len;
    say(core, a, "CONTROL:PING:a:1\nCONTROL:PING:b:2\nCONTROL:PING:c:0123456789\n"); /* ACK:PONG:a:1 LF: 13 bytes */
    gn_core_output(core, a, 12, &len, &whole);
    CHECK(len == 12 && !whole);
    gn_core_output(core, a, 13, &len, &whole);
    CHECK(len == 13 && whole);
    gn_core_output(core, a, 30, &len, &whole);
    CHECK(len == 26 && whole);
    gn_core_sent(core, 1, a, 26);
    gn_core_output(core, a, 10, &len, &whole);
    CHECK(len == 10 && !whole);
    gn_core_sent(core, 1, a, 10);
    gn_core_output(core, a, 100, &len, &whole);
    CHECK(len == 12 && whole);
    gn_core_free(core);
}

/* ---- hostile bytes --------------------------------------------------------------------------------- */

static void test_hostile_json(void)
{
    static const char *const BAD[] = {
        "", "{", "}", "[]", "{}x", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":{}}", "{\"a\":[[]]}", "{\"a\":[1,]}",
        "{\"a\":01}", "{\"a\":-}", "{\"a\":1.}", "{\"a\":1e}", "{\"a\":nul}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\ud800\"}", "{\"a\":\"\\ud800\\u0041\"}", "{\"a\":\"\\udc00\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\xc0\xaf\"}",
        "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"\xe2\x82\"}", "{\"a\":\"\x01\"}", "{\"a\":\"", "{\"a\":[",
        "{\"slots\":0}", "{\"slots\":65536}", "{\"slots\":\"1\"}", "{\"slots\":-1}", "{\"slots\":99999999999999999999999}",
        "{\"actions\":\"A\"}", "{\"actions\":[\"a\"]}", "{\"actions\":[1]}", "{\"actions\":[\"\\u0000\"]}", "{\"run\":[]}", "{\"inbox\":\"\"}",
        "{\"inbox\":\"a\\u0000b\"}", "{\"actions\":[\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]}",
    };
    gn_core *core = make(NULL);
    int a = gn_core_link_open(core, 1, GN_LINK_STREAM);
    char line[2048];
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        snprintf(line, sizeof line, "CONTROL:REGISTER:p:%s\n", BAD[i]);
        say(core, a, line);
        if (strncmp(heard(core, a), "RESPONSE:REJECTED:p:bad_payload ", 32) != 0) {
            fprintf(stderr, "taken for JSON: %s\n", BAD[i]);
            exit(1);
        }
    }
    say(core, a, "CONTROL:REGISTER:p:{\"x\":[1,-2.5e+3,true,null,\"\\ud83d\\ude00\"],\"run\":7,\"actions\":[ \"A\" , \"\\u0042\" ]}\n");
    CHECK(strncmp(heard(core, a), "ACK:WELCOME:p;", 14) == 0);
    say(core, a, "CONTROL:TASKS:r:{\"state\":\"none\"}\nCONTROL:TASKS:r:{\"after\":{}}\n");
    CHECK(strstr(heard(core, a), "bad_payload") != NULL);
    gn_core_free(core);
}

static uint64_t seed_state = 1;
static uint32_t draw(uint32_t n)
{
    seed_state = seed_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed_state >> 33) % n;
}

#define COUNT(list) (uint32_t)(sizeof list / sizeof *list)

/* A message of known words in unlikely order, now and then with a byte turned over. */
static size_t draw_message(char *out)
{
    static const char *const TYPES[] = {"CONTROL", "DATA", "RESPONSE", "ACK", "DATA", "RESPONSE", "CONTROL"};
    static const char *const WORDS[] = {"A",     "B",     "REGISTER", "HEARTBEAT", "BYE",  "CANCEL", "RESULT", "WATCH",         "PEEK",        "KICK",
                                        "PAUSE", "RESUME", "STATUS",  "TASKS",     "PING", "DRAIN",  "AGENTS", "TASK_COMPLETED", "TASK_FAILED",
                                        "TASK_RELEASED", "TASK_BURIED", "PROGRESS", "PARTIAL", "ASSIGN_TASK", "REJECTED", "A", "A"};
    static const char *const NAMES[] = {"", "t1", "t2", "t3", "p1", "p2", "0-1", "r"};
    static const char *const PARAMS[] = {";prio=9", ";ttl=5", ";delay=3", ";after=t1,t2", ";via=B,A", ";from=p1", ";from=p2", ";token=2",
                                         ";lease=1", ";tries=1", ";keep=0", ";trace=1", ";x=%00", ";ack=1", ";blob=zz",
                                         ";blob=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.9", ";inbox=/q9", ";len=3",
                                         ";dup=replace", ";dup=replace", ";dup=reject", ";needs=any", ";needs=ended", ";retry=1,2"};
    static const char *const BODIES[] = {":", ":abc", ":A", ":A 1", ":p1", ":{\"actions\":[\"A\",\"B\"],\"slots\":3,\"inbox\":\"/q1\"}", "",
                                         ":{\"inbox\":\"/q2\"}", ":{\"state\":\"ready\"}"};
    size_t n = (size_t)sprintf(out, "%s:%s:%s", TYPES[draw(COUNT(TYPES))], WORDS[draw(COUNT(WORDS))], NAMES[draw(COUNT(NAMES))]);
    for (uint32_t k = draw(4); k > 0; k--)
        n += (size_t)sprintf(out + n, "%s", PARAMS[draw(COUNT(PARAMS))]);
    n += (size_t)sprintf(out + n, "%s\n", BODIES[draw(COUNT(BODIES))]);
    if (draw(20) == 0)
        out[draw((uint32_t)n)] = (char)draw(256);
    return n;
}

static void fuzz_config(gn_core_config *c)
{
    c->tasks_max = 6;
    c->results_max = 2;
    c->actions_max = 3;
    c->peers_max = 2;
    c->links_max = 6;
    c->watches_max = 5;
    c->edges_max = 3;
    c->out_bytes_max = 900;
    c->lease_ms = 20;
    c->agent_timeout_ms = 40;
}

static void test_fuzz(void)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        seed_state = seed;
        gn_core *core = make(fuzz_config);
        int64_t now = 1;
        int shared = gn_core_link_open(core, now, GN_LINK_SHARED);
        gn_core_link_open(core, now, GN_LINK_STREAM);
        gn_core_link_open(core, now, GN_LINK_STREAM);
        for (int step = 0; step < 1500; step++) {
            char message[1024];
            size_t n = draw_message(message);
            int link = (int)draw(6);
            gn_core_feed(core, now, link, (const uint8_t *)message, n, link == shared || draw(9) == 0);
            gn_core_tick(core, now += draw(2000));
            int check = gn_core_check(core);
            if (check != 0) {
                fprintf(stderr, "seed %d step %d: check.c line %d after %.*s\n", (int)seed, step, check, (int)n, message);
                exit(1);
            }
            gn_effect effect;
            while (gn_core_effect(core, &effect))
                if (effect.kind == GN_EFFECT_CLOSE || (effect.kind == GN_EFFECT_OPEN && draw(8) == 0))
                    gn_core_link_closed(core, now, effect.link);
            if (gn_core_gauge(core, 8) < 4)
                gn_core_link_open(core, now, GN_LINK_STREAM);
            for (int dirty; draw(3) > 0 && (dirty = gn_core_dirty(core)) >= 0;)
                heard(core, dirty);
            if (draw(3) == 0)
                gn_core_journal_committed(core, gn_core_journal_seal(core));
        }
        gn_core_free(core);
    }
}

/* ---- many ----------------------------------------------------------------------------------------------- */

static void test_many(void)
{
    gn_core *core = make(NULL);
    int agent = gn_core_link_open(core, 1, GN_LINK_STREAM), client = gn_core_link_open(core, 1, GN_LINK_STREAM);
    say(core, agent, "CONTROL:REGISTER:up:{\"actions\":[\"A\"],\"slots\":1000}\n");
    heard(core, agent);
    char line[256];
    for (int i = 0; i < 100000; i++) {
        int n = sprintf(line, "DATA:A:t%d;x=1:payload %d\n", i, i);
        CHECK(gn_core_feed(core, 1, client, (uint8_t *)line, (size_t)n, 0) == (size_t)n);
        if (i % 2 == 0)
            n = sprintf(line, "RESPONSE:TASK_COMPLETED:t%d:%d\n", i, i);
        else
            n = sprintf(line, "RESPONSE:TASK_BURIED:t%d:no\nCONTROL:CANCEL:t%d\n", i, i);
        CHECK(gn_core_feed(core, 1, agent, (uint8_t *)line, (size_t)n, 0) == (size_t)n);
        if (i % 100 == 99) {
            heard(core, client);
            heard(core, agent);
        }
    }
    CHECK(gn_core_check(core) == 0);
    CHECK(gn_core_gauge(core, 1) == 0 && gn_core_gauge(core, 0) == 100000);
    gn_core_tick(core, INT64_C(400) * 1000000);
    CHECK(gn_core_gauge(core, 0) == 0 && gn_core_gauge(core, 4) == 0); /* all forgotten, not a byte kept */
    CHECK(gn_core_check(core) == 0);
    gn_core_free(core);
}

/* A chain of tasks each after the one before: its end is walked, not recursed into. */
static void test_chain(void)
{
    gn_core *core = make(NULL);
    int a = gn_core_link_open(core, 1, GN_LINK_SHARED);
    char line[128];
    for (int i = 0; i < 50000; i++) {
        int n = i == 0 ? sprintf(line, "DATA:A:t0:x\n") : sprintf(line, "DATA:A:t%d;after=t%d:x\n", i, i - 1);
        gn_core_feed(core, 1, a, (uint8_t *)line, (size_t)n, 1);
    }
    gn_core_feed(core, 1, a, (const uint8_t *)"CONTROL:CANCEL:t0\n", 18, 1);
    CHECK(gn_core_check(core) == 0);
    gn_task_view view;
    CHECK(gn_core_task(core, "t49999", 6, &view) && view.state == GN_STATE_BURIED && strcmp(view.reason, "after") == 0);
    gn_core_free(core);
}

/* ---- alarms ----------------------------------------------------------------------------------- */

static const char *status_at(gn_core *core, int64_t now_us, int link)
{
    static const char ask[] = "CONTROL:STATUS:s\n";
    CHECK(gn_core_feed(core, now_us, link, (const uint8_t *)ask, sizeof ask - 1, 0) == sizeof ask - 1);
    return heard(core, link);
}

/* An agent the pump has forgotten is what must never be: made here by hand. */
static void test_idle_alarm(void)
{
    gn_core *core = make(NULL);
    int agent = gn_core_link_open(core, 1, GN_LINK_STREAM), client = gn_core_link_open(core, 1, GN_LINK_STREAM);
    say(core, agent, "CONTROL:REGISTER:up:{\"actions\":[\"A\"],\"slots\":2}\n");
    heard(core, agent);
    struct gn_peer *p = gn_peer_at(core, gn_peer_find(core, "up", 2));
    p->draining = 1;
    gn_agent_relist(core, p);
    say(core, client, "DATA:A:t1;ack=0:x\n");
    p->draining = 0;
    CHECK(strstr(status_at(core, 900000, client), "idle_agent") == NULL);
    CHECK(strstr(status_at(core, 1000001, client), "\"alarm\":\"idle_agent\"") != NULL);
    gn_agent_relist(core, p);
    gn_agent_mark(core, p);
    CHECK(strstr(status_at(core, 1000002, client), "\"idle_agent\"") != NULL); /* it is settled after the answer */
    CHECK(strstr(status_at(core, 1000003, client), "\"alarms\":[]") != NULL);
    CHECK(gn_core_check(core) == 0);
    gn_core_free(core);
}

static void test_stuck_alarm(void)
{
    gn_core *core = make(NULL);
    int agent = gn_core_link_open(core, 1, GN_LINK_STREAM), client = gn_core_link_open(core, 1, GN_LINK_STREAM);
    size_t len;
    int whole;
    say(core, agent, "CONTROL:REGISTER:up:{\"actions\":[\"A\"],\"slots\":2}\n");
    CHECK(strstr(status_at(core, 5000000, client), "stuck_link") == NULL);
    CHECK(strstr(status_at(core, 5000001, client), "\"alarm\":\"stuck_link\"") != NULL);
    gn_core_output(core, agent, 10, &len, &whole);
    gn_core_sent(core, 5000002, agent, len); /* it moves */
    CHECK(strstr(status_at(core, 5000003, client), "stuck_link") == NULL);
    gn_core_free(core);
}

/* Of each kind a few rows, then how many more: a page of STATUS stays a page. */
static void test_many_alarms(void)
{
    gn_core *core = make(NULL);
    int client = gn_core_link_open(core, 1, GN_LINK_STREAM);
    for (int i = 0; i < 100; i++) {
        char line[64];
        snprintf(line, sizeof line, "DATA:A%d:;ack=0:x\n", i);
        say(core, client, line);
    }
    CHECK(strstr(status_at(core, 60000000, client), "\"more\":92") != NULL);
    gn_core_free(core);
}

/* ---- a list of an agent -------------------------------------------------------------------------- */

/* As long as a message can be, of tasks nobody knows: all are answered, and the link is bounded as ever. */
static void test_long_list(void)
{
    gn_core *core = make(NULL);
    int agent = gn_core_link_open(core, 1, GN_LINK_STREAM);
    static char line[GN_MESSAGE_BYTES_MAX];
    size_t n = 0;
    say(core, agent, "CONTROL:REGISTER:up:{\"actions\":[\"A\"],\"slots\":2}\n");
    n += (size_t)sprintf(line, "CONTROL:HEARTBEAT:up:");
    for (int i = 0; n < 65000; i++)
        n += (size_t)sprintf(line + n, "%sx=%d", i > 0 ? "," : "", i);
    strcpy(line + n, "\n");
    heard(core, agent);
    for (int i = 0; i < 40; i++)
        gn_core_feed(core, 1, agent, (const uint8_t *)line, strlen(line), 0);
    CHECK(gn_core_check(core) == 0);
    CHECK(core->out_bytes > core->config.out_bytes_max / 2 && core->out_bytes < 2 * core->config.out_bytes_max);
    gn_core_free(core);
}

int main(void)
{
    test_bad_configs();
    test_bounds();
    test_bytes();
    test_slow_link();
    test_slow_peer();
    test_output_cut();
    test_hostile_json();
    test_fuzz();
    test_many();
    test_chain();
    test_idle_alarm();
    test_stuck_alarm();
    test_many_alarms();
    test_long_list();
    puts("test_core: ok");
    return 0;
}
