/* For the families: split a job over a pool's threads. */
#ifndef GN_KERNELS_POOL_H
#define GN_KERNELS_POOL_H
#include "ganglion/kernels/base.h"

/* One part of a job. worker is 0..threads-1 and belongs to one thread for the time of the call: an index for scratch. */
typedef void gn_part_fn(void *job, size_t part, int worker);

/* Calls part(job, i, worker) once for each i < parts, from the pool's threads and the caller's; returns when all are
 * done. Threads take the next part when they are free. A pool that is at work for another thread, that crossed a fork,
 * or is NULL: the caller does all parts in order as worker 0. */
void gn_pool_run(gn_pool *pool, gn_part_fn *part, void *job, size_t parts);
#endif
