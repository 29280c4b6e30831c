/* test_cron.c - cron expressions under sanitizers: known times, the ends of the calendar, hostile text.
 *
 * Against an independent implementation it is held in tests/unit/test_cron.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ganglion/cron.h"

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

static gn_cron read(const char *text)
{
    gn_cron cron;
    CHECK(gn_cron_read(&cron, text, strlen(text)) == 0);
    return cron;
}

static void test_known_times(void)
{
    static const struct {
        const char *text;
        int64_t at, next, previous;
        int offset;
    } KNOWN[] = {
        {"0 0 29 2 *", 1709164800, 1835395200, 1582934400, 0},      /* 2024-02-29: 2028 and 2020 */
        {"0 0 29 2 *", 4039372800, 4233686400, 3981312000, 0},      /* 2100 is no leap year: 2104 and 2096 */
        {"30 4 * * *", 1795305600, 1795321800, 1795235400, 0},      /* 2026-11-22T00:00Z */
        {"30 4 * * *", 1795305600, 1795318200, 1795231800, 60},
        {"0 0 13 * FRI", 1795305600, 1795737600, 1795132800, 0},    /* either: the Fridays around it */
    };
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++) {
        gn_cron cron = read(KNOWN[i].text);
        CHECK(gn_cron_next(&cron, KNOWN[i].at, KNOWN[i].offset) == KNOWN[i].next);
        CHECK(gn_cron_previous(&cron, KNOWN[i].at, KNOWN[i].offset) == KNOWN[i].previous);
    }
}

static void test_the_ends(void)
{
    gn_cron often = read("* * * * *"), never = read("0 0 30 2 *");
    const int64_t at[] = {INT64_MIN, -1, 0, 59, 60, GN_CRON_LAST_S - 60, GN_CRON_LAST_S, INT64_MAX};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        for (int offset = -GN_CRON_OFFSET_MAX; offset <= GN_CRON_OFFSET_MAX; offset += GN_CRON_OFFSET_MAX) {
            int64_t next = gn_cron_next(&often, at[i], offset), previous = gn_cron_previous(&often, at[i], offset);
            CHECK(next == -1 || (next > at[i] && next <= GN_CRON_LAST_S && next % 60 == 0));
            CHECK(previous == -1 || (previous < at[i] && previous >= 0));
            CHECK((next == -1) == (at[i] >= GN_CRON_LAST_S - 59) && (previous == -1) == (at[i] <= 0));
            CHECK(gn_cron_next(&never, at[i], offset) == -1 && gn_cron_previous(&never, at[i], offset) == -1);
        }
    CHECK(gn_cron_count(&often, INT64_MIN, INT64_MAX, 0) == (GN_CRON_LAST_S + 1) / 60);
    CHECK(gn_cron_count(&never, INT64_MIN, INT64_MAX, 0) == 0);
}

/* Every short text over the alphabet is read or refused; what is read can be asked. */
static void test_hostile_text(void)
{
    static const char ALPHABET[] = "0159*/-, @daMNF\0\xff";
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        char text[24];
        size_t len = (size_t)i % sizeof text;
        char *exact = malloc(len + 1); /* so that a byte too far is seen */
        for (size_t k = 0; k < len; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            text[k] = k % 2 == 1 && i % 3 == 0 ? ' ' : ALPHABET[(random >> 33) % (sizeof ALPHABET - 1)];
        }
        memcpy(exact, text, len);
        gn_cron cron;
        int wrong = gn_cron_read(&cron, exact, len);
        CHECK(wrong >= 0 && wrong <= 6 && gn_cron_words(wrong)[0] == 'c');
        if (wrong == 0)
            CHECK(gn_cron_next(&cron, 1795305600, 0) > 0 || gn_cron_count(&cron, 0, GN_CRON_LAST_S, 0) == 0);
        free(exact);
    }
}

int main(void)
{
    test_known_times();
    test_the_ends();
    test_hostile_text();
    printf("test_cron: ok\n");
    return 0;
}
