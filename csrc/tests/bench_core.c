/* bench_core.c - how many tasks a second the core alone carries: submit, dispatch, complete.
 *
 * One JSON line. Nothing is measured but gn_core_feed, _output and _sent on one thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ganglion/core.h"

#define WINDOW 64 /* tasks in flight, and messages in one feed */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void take(gn_core *core, int64_t now, int link, char *into, size_t *len)
{
    int whole;
    size_t n;
    gn_core_journal_committed(core, gn_core_journal_seal(core));
    const uint8_t *out = gn_core_output(core, link, (size_t)1 << 20, &n, &whole);
    if (into != NULL)
        memcpy(into, out, n);
    *len = n;
    gn_core_sent(core, now, link, n);
}

static void feed(gn_core *core, int64_t now, int link, const char *text, size_t len)
{
    if (gn_core_feed(core, now, link, (const uint8_t *)text, len, 0) != len)
        abort();
}

/* Answer every DATA:...;token=n:... line of in with its TASK_COMPLETED. */
static size_t answer(const char *in, size_t len, char *out)
{
    size_t n = 0;
    for (const char *at = in, *end = in + len; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const char *name = at + sizeof "DATA:UPPER:" - 1;
        const char *semicolon = memchr(name, ';', (size_t)(stop - name));
        const char *token = strstr(semicolon, ";token=");
        memcpy(out + n, "RESPONSE:TASK_COMPLETED:", 24);
        n += 24;
        memcpy(out + n, name, (size_t)(semicolon - name));
        n += (size_t)(semicolon - name);
        memcpy(out + n, token, (size_t)(stop - token) + 1);
        n += (size_t)(stop - token) + 1;
        at = stop + 1;
    }
    return n;
}

int main(int argc, char **argv)
{
    int tasks = argc > 1 ? atoi(argv[1]) : 2000000;
    static char in[1 << 20], out[1 << 20];
    gn_core_config config;
    gn_core_defaults(&config);
    gn_core *core = gn_core_new(&config);
    int64_t now = 1;
    int client = gn_core_link_open(core, now, GN_LINK_STREAM), agent = gn_core_link_open(core, now, GN_LINK_STREAM);
    static const char HELLO[] = "CONTROL:REGISTER:up:{\"actions\":[\"UPPER\"],\"slots\":64}\n";
    size_t len;
    feed(core, now, agent, HELLO, sizeof HELLO - 1);
    take(core, now, agent, NULL, &len);
    double start = seconds(), in_core = 0;
    for (int done = 0; done < tasks; done += WINDOW) {
        size_t n = 0;
        for (int i = 0; i < WINDOW; i++)
            n += (size_t)sprintf(in + n, "DATA:UPPER:task-%d:a payload of the usual kind, sixty-four bytes of it......\n", done + i);
        double before = seconds();
        feed(core, ++now, client, in, n);
        take(core, now, agent, out, &len);
        in_core += seconds() - before;
        n = answer(out, len, in);
        before = seconds();
        feed(core, now, agent, in, n);
        take(core, now, client, NULL, &len);
        gn_core_tick(core, now);
        in_core += seconds() - before;
    }
    double all = seconds() - start;
    if (gn_core_check(core) != 0)
        return 1;
    printf("{\"bench\": \"core\", \"tasks\": %d, \"tasks_per_s\": %.0f, \"ns_per_task\": %.0f, \"with_the_bench_itself_per_s\": %.0f}\n",
           tasks, tasks / in_core, in_core / tasks * 1e9, tasks / all);
    gn_core_free(core);
    return 0;
}
