/* bench_wire.c - messages a second that one core parses and formats. Prints JSON lines.
 *
 * Each figure is the best of ROUNDS rounds of at least ROUND_NS each: what the machine can do when nothing else
 * disturbs it. bench/wire.py measures the same through Python.
 */
#include "ganglion/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 5
#define ROUND_NS UINT64_C(50000000)
#define BATCH_MAX 1024
#define DATAGRAM_BYTES 8192

static const char *const lines[] = {
    "DATA:UPPER:t1:hello\n",
    "DATA:QUERY:task_id_42;prio=9;from=client-1;lease=30000:{\"query\": \"Find relevant documents for AI\"}\n",
    "RESPONSE:TASK_COMPLETED:task_id_42;token=18446744073709551615:{\"answer\": 42}\n",
};

struct job {
    uint8_t buf[BATCH_MAX * 128], out[BATCH_MAX * 128];
    size_t len, count;
    gn_msg messages[BATCH_MAX];
    uint64_t sum; /* of what was read, so that nothing is left out as unused */
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void parse(struct job *job)
{
    gn_parser parser = {0};
    size_t consumed;

    if (gn_parse(&parser, job->buf, job->len, 1, job->messages, BATCH_MAX, &consumed) != job->count)
        exit(1);
    job->sum += job->messages[job->count - 1].payload.len;
}

static void parse_and_params(struct job *job)
{
    gn_params params;

    parse(job);
    for (size_t i = 0; i < job->count; i++) {
        if (gn_params_read(job->buf, &job->messages[i], &params))
            exit(1);
        job->sum += params.prio;
    }
}

static void format(struct job *job)
{
    size_t at = 0;

    for (size_t i = 0; i < job->count; i++) {
        const gn_msg *m = &job->messages[i];
        const char *text = (const char *)job->buf;

        at += (size_t)gn_format(job->out + at, sizeof job->out - at, m->type, text + m->action.off, m->action.len,
                                text + m->task.off, m->task.len, text + m->params.off, m->params.len,
                                job->buf + m->payload.off, m->payload.len);
    }
    if (at != job->len)
        exit(1);
    job->sum += at;
}

static void measure(const char *what, void (*run)(struct job *), struct job *job, const char *line, const char *batch)
{
    double best = 0;

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = now_ns(), spent, runs = 0;

        do {
            for (int i = 0; i < 16; i++)
                run(job);
            runs += 16;
            spent = now_ns() - start;
        } while (spent < ROUND_NS);
        if ((double)(runs * job->count) * 1e9 / (double)spent > best)
            best = (double)(runs * job->count) * 1e9 / (double)spent;
    }
    printf("{\"bench\": \"wire\", \"record\": \"measurement\", \"target\": \"c\", \"metric\": \"%s\", \"batch\": \"%s\", "
           "\"messages\": %zu, \"line_bytes\": %zu, \"messages_per_s\": %.0f, \"bytes_per_s\": %.0f}\n",
           what, batch, job->count, strlen(line), best, best * (double)job->len / (double)job->count);
}

int main(void)
{
    static struct job job;

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        size_t line = strlen(lines[i]);
        const struct {
            const char *name;
            size_t count;
        } batches[] = {{"1", 1}, {"100", 100}, {"8KiB", DATAGRAM_BYTES / line}};

        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            job.count = batches[b].count;
            job.len = job.count * line;
            for (size_t n = 0; n < job.count; n++)
                memcpy(job.buf + n * line, lines[i], line);
            measure("parse", parse, &job, lines[i], batches[b].name);
            measure("parse_and_params", parse_and_params, &job, lines[i], batches[b].name);
            measure("format", format, &job, lines[i], batches[b].name);
        }
    }
    return job.sum ? 0 : 1;
}
