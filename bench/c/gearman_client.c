/* The gearman peer's client, foreground jobs.
 *
 *   gearman_client rtt    PORT SIZE SECONDS            one job in flight
 *   gearman_client stream PORT SIZE SECONDS WINDOW     WINDOW jobs in flight: added as tasks, run
 *                                                      together, again and again
 */
#include "sample.h"

#include <libgearman/gearman.h>

struct job {
    gearman_client_st *client;
    size_t size;
    char *payload, *answer;
    size_t done; /* answers that came and were right */
};

static void fail(const struct job *j, const char *what)
{
    fprintf(stderr, "gearman_client: %s: %s\n", what, gearman_client_error(j->client));
    exit(1);
}

static int right(const struct job *j, const void *answer, size_t size)
{
    return answer && size == j->size && memcmp(answer, j->answer, size) == 0;
}

static void do_one(const struct job *j)
{
    gearman_return_t ret;
    size_t size;
    void *answer =
        gearman_client_do(j->client, "upper", NULL, j->payload, j->size, &size, &ret);
    if (gearman_failed(ret))
        fail(j, "do");
    if (!right(j, answer, size))
        fail(j, "a wrong answer");
    free(answer);
}

static void run_rtt(const struct job *j, uint64_t budget)
{
    struct samples s = {0};
    for (int i = 0; i < WARMUP; i++)
        do_one(j);
    uint64_t start = now_ns(), before = start, after;
    do {
        do_one(j);
        after = now_ns();
        samples_add(&s, after - before);
        before = now_ns();
    } while (before - start < budget);
    samples_print(&s);
    free(s.ns);
}

static gearman_return_t complete(gearman_task_st *task)
{
    struct job *j = gearman_task_context(task);
    j->done += right(j, gearman_task_data(task), gearman_task_data_size(task)) != 0;
    return GEARMAN_SUCCESS;
}

static void run_window(struct job *j, size_t window)
{
    size_t before = j->done;
    for (size_t i = 0; i < window; i++) {
        gearman_return_t ret;
        gearman_client_add_task(j->client, NULL, j, "upper", NULL, j->payload, j->size, &ret);
        if (gearman_failed(ret))
            fail(j, "add_task");
    }
    if (gearman_failed(gearman_client_run_tasks(j->client)))
        fail(j, "run_tasks");
    gearman_client_task_free_all(j->client);
    if (j->done - before != window)
        fail(j, "missing or wrong answers");
}

static void run_stream(struct job *j, uint64_t budget, size_t window)
{
    gearman_client_set_complete_fn(j->client, complete);
    run_window(j, window);
    j->done = 0;
    uint64_t start = now_ns(), elapsed;
    do {
        run_window(j, window);
        elapsed = now_ns() - start;
    } while (elapsed < budget);
    printf("%zu %llu\n", j->done, (unsigned long long)elapsed);
}

int main(int argc, char **argv)
{
    int stream = argc == 6 && strcmp(argv[1], "stream") == 0;
    if (!stream && !(argc == 5 && strcmp(argv[1], "rtt") == 0)) {
        fprintf(stderr, "usage: gearman_client rtt PORT SIZE SECONDS\n"
                        "       gearman_client stream PORT SIZE SECONDS WINDOW\n");
        return 64;
    }
    struct job j = {.client = gearman_client_create(NULL), .size = (size_t)number(argv[3], "SIZE")};
    uint64_t budget = (uint64_t)(number(argv[4], "SECONDS") * 1e9);
    j.payload = malloc(j.size + 1);
    j.answer = malloc(j.size + 1);
    if (!j.client || !j.payload || !j.answer) {
        fprintf(stderr, "gearman_client: no memory\n");
        return 1;
    }
    fill(j.payload, j.answer, j.size);
    if (gearman_failed(gearman_client_add_server(j.client, "127.0.0.1",
                                                 (in_port_t)number(argv[2], "PORT"))))
        fail(&j, "add_server");
    if (stream)
        run_stream(&j, budget, (size_t)number(argv[5], "WINDOW"));
    else
        run_rtt(&j, budget);
    gearman_client_free(j.client);
    free(j.payload);
    free(j.answer);
    return 0;
}
