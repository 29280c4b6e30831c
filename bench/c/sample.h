/* What the peers' programs share: a clock, a list of samples, the payload and its expected answer.
 *
 * Output contract with bench/targets/base.py (stdout, text):
 *   rtt     one round trip per line, in nanoseconds
 *   stream  one line "TASKS NANOSECONDS": finished tasks and the time they took
 */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WARMUP = 1000 }; /* tasks run before the clock starts: page faults, socket buffers, CPU clock */

static inline uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct samples {
    uint64_t *ns;
    size_t n, room;
};

/* Called between round trips, never inside one, so that growing costs no sample anything. */
static inline void samples_add(struct samples *s, uint64_t ns)
{
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : (size_t)1 << 16;
        uint64_t *grown = realloc(s->ns, room * sizeof *grown);
        if (!grown) {
            perror("realloc");
            exit(1);
        }
        s->ns = grown;
        s->room = room;
    }
    s->ns[s->n++] = ns;
}

static inline void samples_print(const struct samples *s)
{
    for (size_t i = 0; i < s->n; i++)
        printf("%llu\n", (unsigned long long)s->ns[i]);
}

/* A payload of lower-case letters, and the same in upper case. */
static inline void fill(char *payload, char *answer, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        payload[i] = (char)('a' + i % 26);
        answer[i] = (char)('A' + i % 26);
    }
}

/* The work of every target's worker: the same bytes in upper case. */
static inline void upper(char *to, const char *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (char)toupper((unsigned char)from[i]);
}

/* A positive decimal number from the command line, or exit 64. */
static inline double number(const char *text, const char *what)
{
    char *end;
    double value = strtod(text, &end);
    if (*end || !(value > 0)) {
        fprintf(stderr, "%s must be a positive number, not \"%s\"\n", what, text);
        exit(64);
    }
    return value;
}

#endif
