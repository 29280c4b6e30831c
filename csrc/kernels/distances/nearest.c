/* The k nearest keys of each query.
 *
 * Keys are scored a chunk at a time into a worker's scratch; what is nearer than the farthest of a worker's k goes into
 * its heap. At the end the workers' heaps are one by one taken into the first. The order of (score, index) is total, so
 * the result does not depend on who saw which keys.
 */
#include "distances/block.h"
#include "distances/heap.h"

#include "base/pool.h"

struct nearest {
    struct gn_block block;
    int smallest;
    size_t k, heap_bytes, tile_rows;
    size_t heaps_at, counts_at, tile_at, found_at; /* in a worker's scratch */
};

static size_t aligned(size_t bytes) { return gn_up(bytes, GN_SCRATCH_ALIGN); }

static struct gn_near *heap_of(const struct nearest *it, int worker, size_t query)
{
    char *mine = it->block.workers + (size_t)worker * it->block.worker_bytes;
    return (struct gn_near *)(void *)(mine + it->heaps_at) + query * it->k;
}

static size_t *count_of(const struct nearest *it, int worker, size_t query)
{
    char *mine = it->block.workers + (size_t)worker * it->block.worker_bytes;
    return (size_t *)(void *)(mine + it->counts_at) + query;
}

/* Bytes of a worker's scratch, SIZE_MAX on overflow; fills where things lie in it. */
static size_t worker_bytes(struct nearest *it, size_t block_bytes)
{
    size_t queries = gn_least(it->block.m, GN_BLOCK_QUERIES), heaps;
    if (__builtin_mul_overflow(queries * sizeof(struct gn_near), it->k, &heaps) || heaps > PTRDIFF_MAX / 512)
        return SIZE_MAX;
    it->tile_rows = gn_least(queries, GN_ROWS_BLOCK);
    it->heaps_at = aligned(block_bytes);
    it->counts_at = it->heaps_at + aligned(heaps);
    it->tile_at = it->counts_at + aligned(queries * sizeof(size_t));
    it->found_at = it->tile_at + aligned(it->tile_rows * it->block.chunk * sizeof(float));
    return it->found_at + aligned(it->block.chunk * sizeof(uint32_t));
}

static int opened(struct nearest *it, int metric, int element, const void *queries, size_t m, const void *keys, size_t n,
                  size_t dim, size_t k)
{
    int status = gn_block_open(&it->block, metric, element, queries, m, keys, n, dim);
    it->smallest = metric != GN_METRIC_DOT && metric != GN_METRIC_COSINE;
    it->k = k;
    if (status == GN_K_OK && (k > n || n > UINT32_MAX))
        return GN_K_SIZE;
    return status;
}

static size_t scratch_of(struct nearest *it, int threads, size_t *shared, size_t *worker)
{
    size_t all;
    gn_block_sizes(&it->block, shared, worker);
    *worker = worker_bytes(it, *worker);
    if (*worker == SIZE_MAX || __builtin_mul_overflow(*worker, (size_t)(threads > 1 ? threads : 1), &all) ||
        __builtin_add_overflow(all, *shared, &all))
        return SIZE_MAX;
    return all;
}

size_t gn_nearest_scratch(int metric, int element, size_t m, size_t n, size_t dim, size_t k, int threads)
{
    static const char there;
    struct nearest it;
    size_t shared, worker;
    if (opened(&it, metric, element, &there, m, &there, n, dim, k) != GN_K_OK)
        return SIZE_MAX;
    return scratch_of(&it, threads, &shared, &worker);
}

static size_t fill(const struct nearest *it, struct gn_near *heap, size_t have, const float *scores, size_t n, size_t at)
{
    for (size_t j = 0; j < n; j++)
        have = gn_take(heap, have, it->k, (struct gn_near){gn_rank(it->smallest, scores[j]), (uint32_t)(at + j)});
    return have;
}

/* The scores of keys [at, +n) of one query. */
static void take(const struct nearest *it, int worker, size_t query, const float *scores, size_t n, size_t at)
{
    struct gn_near *heap = heap_of(it, worker, query);
    size_t *have = count_of(it, worker, query), begin = gn_least(n, it->k - *have), found;
    uint32_t *places = (uint32_t *)(void *)(it->block.workers + (size_t)worker * it->block.worker_bytes + it->found_at);
    *have = fill(it, heap, *have, scores, begin, at);
    if (begin == n)
        return;
    if (heap[0].rank == INT32_MIN) { /* a NaN among the k: everything that is a number is nearer */
        fill(it, heap, it->k, scores + begin, n - begin, at + begin);
        return;
    }
    found = it->block.ops->nearer(it->smallest, scores + begin, n - begin, gn_unrank(it->smallest, heap[0].rank), places);
    for (size_t f = 0; f < found; f++) {
        size_t j = begin + places[f];
        gn_take(heap, it->k, it->k, (struct gn_near){gn_rank(it->smallest, scores[j]), (uint32_t)(at + j)});
    }
}

static void part(void *job, size_t index, int worker)
{
    struct nearest *it = job;
    const struct gn_block *block = &it->block;
    size_t at = index * block->chunk, n = gn_least(block->chunk, block->n - at);
    float *tile = (float *)(void *)(block->workers + (size_t)worker * block->worker_bytes + it->tile_at);
    gn_block_keys(block, worker, at, n);
    for (size_t i = 0; i < block->rows; i += it->tile_rows) {
        size_t rows = gn_least(it->tile_rows, block->rows - i);
        gn_block_scores(block, worker, i, rows, at, n, tile, n);
        for (size_t r = 0; r < rows; r++)
            take(it, worker, i + r, tile + r * n, n, at);
    }
}

static void finish(const struct nearest *it, int threads, float *scores, int64_t *indices)
{
    for (size_t i = 0; i < it->block.rows; i++) {
        struct gn_near *heap = heap_of(it, 0, i);
        size_t have = *count_of(it, 0, i);
        for (int worker = 1; worker < threads; worker++)
            for (size_t j = 0; j < *count_of(it, worker, i); j++)
                have = gn_take(heap, have, it->k, heap_of(it, worker, i)[j]);
        gn_sort_near(heap, have);
        for (size_t j = 0; j < it->k; j++) {
            scores[i * it->k + j] = gn_unrank(it->smallest, heap[j].rank);
            indices[i * it->k + j] = heap[j].index;
        }
    }
}

static int outputs_checked(const struct nearest *it, const float *scores, const int64_t *indices)
{
    const struct gn_block *block = &it->block;
    size_t results = block->m * it->k, queries = block->m * block->row_bytes, keys = block->n * block->row_bytes;
    if (!scores || !indices)
        return GN_K_NULL;
    return gn_meets(scores, results * sizeof *scores, block->queries, queries) ||
                   gn_meets(scores, results * sizeof *scores, block->keys, keys) ||
                   gn_meets(indices, results * sizeof *indices, block->queries, queries) ||
                   gn_meets(indices, results * sizeof *indices, block->keys, keys) ||
                   gn_meets(scores, results * sizeof *scores, indices, results * sizeof *indices)
               ? GN_K_OVERLAP
               : GN_K_OK;
}

int gn_nearest(int metric, int element, const void *queries, size_t m, const void *keys, size_t n, size_t dim, size_t k,
               float *scores, int64_t *indices, void *scratch, gn_pool *pool)
{
    struct nearest it;
    size_t shared, worker;
    int threads = gn_pool_threads(pool), status = opened(&it, metric, element, queries, m, keys, n, dim, k);
    if (status != GN_K_OK || !m || !k)
        return status;
    if (scratch_of(&it, threads, &shared, &worker) == SIZE_MAX)
        return GN_K_SIZE;
    if ((status = outputs_checked(&it, scores, indices)) != GN_K_OK)
        return status;
    if (!scratch)
        return GN_K_NULL;
    gn_block_lay(&it.block, scratch, (char *)scratch + shared, worker);
    for (size_t first = 0; first < m; first += GN_BLOCK_QUERIES) {
        gn_block_queries(&it.block, first, gn_least(GN_BLOCK_QUERIES, m - first));
        for (int w = 0; w < threads; w++)
            memset(count_of(&it, w, 0), 0, it.block.rows * sizeof(size_t));
        gn_pool_run(pool, part, &it, (n + it.block.chunk - 1) / it.block.chunk);
        finish(&it, threads, scores + first * k, indices + first * k);
    }
    return GN_K_OK;
}
