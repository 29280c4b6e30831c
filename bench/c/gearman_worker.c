/* The gearman peer's worker: upper-cases its workload, one answer packet per job.
 *
 *   gearman_worker PORT
 *
 * The older add_function interface is used on purpose: its return value travels inside
 * WORK_COMPLETE, while the newer one sends a WORK_DATA packet before it. It is the faster of the two.
 */
#include "sample.h"

#include <libgearman/gearman.h>

static void *work(gearman_job_st *job, void *context, size_t *size, gearman_return_t *ret)
{
    (void)context;
    *size = gearman_job_workload_size(job);
    char *result = malloc(*size ? *size : 1); /* libgearman frees it */
    if (!result) {
        *ret = GEARMAN_WORK_FAIL;
        return NULL;
    }
    upper(result, gearman_job_workload(job), *size);
    *ret = GEARMAN_SUCCESS;
    return result;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: gearman_worker PORT\n");
        return 64;
    }
    gearman_worker_st *worker = gearman_worker_create(NULL);
    if (!worker || gearman_failed(gearman_worker_add_server(
                       worker, "127.0.0.1", (in_port_t)number(argv[1], "PORT"))) ||
        gearman_failed(gearman_worker_add_function(worker, "upper", 0, work, NULL))) {
        fprintf(stderr, "gearman_worker: %s\n", worker ? gearman_worker_error(worker) : "no memory");
        return 1;
    }
    for (;;)
        if (gearman_failed(gearman_worker_work(worker))) {
            fprintf(stderr, "gearman_worker: %s\n", gearman_worker_error(worker));
            return 1;
        }
}
