/* All distances of m queries to n keys. */
#include "distances/block.h"

#include "base/pool.h"

struct all {
    struct gn_block block;
    float *out;
};

static size_t scratch_of(const struct gn_block *block, int threads)
{
    size_t shared, worker, all;
    gn_block_sizes(block, &shared, &worker);
    if (__builtin_mul_overflow(worker, (size_t)(threads > 1 ? threads : 1), &all) ||
        __builtin_add_overflow(all, shared, &all))
        return SIZE_MAX;
    return all;
}

size_t gn_distances_scratch(int metric, int element, size_t m, size_t n, size_t dim, int threads)
{
    static const char there;
    struct gn_block block;
    int status = gn_block_open(&block, metric, element, &there, m, &there, n, dim);
    return status == GN_K_OK ? scratch_of(&block, threads) : SIZE_MAX;
}

static void part(void *job, size_t index, int worker)
{
    struct all *all = job;
    const struct gn_block *it = &all->block;
    size_t at = index * it->chunk, n = gn_least(it->chunk, it->n - at), step = GN_ROWS_BLOCK;
    gn_block_keys(it, worker, at, n);
    for (size_t i = 0; i < it->rows; i += step)
        gn_block_scores(it, worker, i, gn_least(step, it->rows - i), at, n, all->out + (it->first + i) * it->n + at,
                        it->n);
}

/* One query alone needs no chunks but for the threads. */
static void widen_chunk(struct gn_block *it, int threads)
{
    size_t share = it->n / (4 * (size_t)threads);
    if (it->m == 1 && it->way != GN_BLOCK_PACKED && it->metric != GN_METRIC_JACCARD)
        it->chunk = threads > 1 ? gn_up(share ? share : 1, 64) : gn_up(it->n, 8);
}

int gn_distances(int metric, int element, const void *queries, size_t m, const void *keys, size_t n, size_t dim,
                 float *out, void *scratch, gn_pool *pool)
{
    struct all all = {.out = out};
    struct gn_block *it = &all.block;
    size_t shared, worker;
    int status = gn_block_open(it, metric, element, queries, m, keys, n, dim);
    if (status != GN_K_OK)
        return status;
    if (!m || !n)
        return GN_K_OK;
    if (!out || (!scratch && scratch_of(it, 1)))
        return GN_K_NULL;
    if (gn_meets(out, m * n * sizeof *out, queries, m * it->row_bytes) ||
        gn_meets(out, m * n * sizeof *out, keys, n * it->row_bytes))
        return GN_K_OVERLAP;
    gn_block_sizes(it, &shared, &worker);
    if (scratch)
        gn_block_lay(it, scratch, (char *)scratch + shared, worker);
    widen_chunk(it, gn_pool_threads(pool));
    for (size_t first = 0; first < m; first += GN_BLOCK_QUERIES) {
        gn_block_queries(it, first, gn_least(GN_BLOCK_QUERIES, m - first));
        gn_pool_run(pool, part, &all, (n + it->chunk - 1) / it->chunk);
    }
    return GN_K_OK;
}

/* Zen 4 widens eight floats in two cycles and four in one: its level sums in AVX2's vectors. */
static const struct gn_distances_ops *sums64(const struct gn_distances_ops *own)
{
#ifdef GN_X86
    return gn_isa_level == GN_ISA_GENOA ? &gn_distances_haswell : own;
#else
    return own;
#endif
}

struct all64 {
    struct gn_block block;
    const float *queries, *keys;
    double *out;
};

static void part64(void *job, size_t index, int worker)
{
    struct all64 *all = job;
    const struct gn_block *it = &all->block;
    size_t at = index * it->chunk, n = gn_least(it->chunk, it->n - at);
    (void)worker;
    for (size_t i = 0; i < it->m; i++) {
        const float *query = all->queries + i * it->dim;
        double *out = all->out + i * it->n + at;
        double scale = it->metric == GN_METRIC_COSINE ? gn_inverse_norm64(it->ops->square64(query, it->dim)) : 1;
        it->ops->row64[it->base_metric](query, all->keys + at * it->dim, n, it->dim, it->far, scale, out);
        for (size_t j = 0; it->metric == GN_METRIC_L2 && j < n; j++)
            out[j] = __builtin_sqrt(out[j]);
    }
}

int gn_distances_f64(int metric, const float *queries, size_t m, const float *keys, size_t n, size_t dim, double *out,
                     gn_pool *pool)
{
    struct all64 all = {.queries = queries, .keys = keys, .out = out};
    int status = gn_block_open(&all.block, metric, GN_ELEMENT_F32, queries, m, keys, n, dim);
    if (status != GN_K_OK)
        return status;
    if (!m || !n)
        return GN_K_OK;
    if (!out)
        return GN_K_NULL;
    if (gn_meets(out, m * n * sizeof *out, queries, m * all.block.row_bytes) ||
        gn_meets(out, m * n * sizeof *out, keys, n * all.block.row_bytes))
        return GN_K_OVERLAP;
    all.block.way = GN_BLOCK_ROWS;
    all.block.ops = sums64(all.block.ops);
    widen_chunk(&all.block, gn_pool_threads(pool));
    gn_pool_run(pool, part64, &all, (n + all.block.chunk - 1) / all.block.chunk);
    return GN_K_OK;
}
