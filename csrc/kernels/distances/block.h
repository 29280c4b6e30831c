/* Scores of a block of queries against a chunk of keys: what all distances and the k nearest are made of. */
#ifndef GN_KERNELS_DISTANCES_BLOCK_H
#define GN_KERNELS_DISTANCES_BLOCK_H
#include "distances/ops.h"
#include "matrix/ops.h"

enum {
    GN_BLOCK_QUERIES = 6 * GN_ROWS_BLOCK, /* that are prepared at a time */
    GN_BLOCK_KEYS = 96,                   /* that are packed at a time: whole panels on every level */
    GN_BLOCK_ROW_KEYS = 1024,             /* the most of a chunk that is not packed */
    GN_BLOCK_FEW = 6,                     /* so many queries are not worth packing for */
    GN_SCRATCH_ALIGN = 64
};

enum gn_block_way { GN_BLOCK_ROWS, GN_BLOCK_PACKED, GN_BLOCK_BITS };

struct gn_block_worker {
    float *packed, *widened, *key_scale; /* PACKED: the chunk's panels, its float32 form, 1 / |k| */
    uint32_t *key_ones;                  /* BITS, jaccard */
    uint64_t *key_bits;                  /* BITS, hamming of many */
};

struct gn_block {
    int metric, element, base_metric; /* l2 is l2sq, and roots at the end */
    enum gn_block_way way;
    int many_bits; /* hamming of enough queries to pack for */
    int far; /* one query, and more keys than caches hold */
    const char *queries, *keys;
    size_t m, n, dim, row_bytes;
    const struct gn_distances_ops *ops;
    const struct gn_matrix_ops *matrix;
    size_t first, rows; /* the queries in hand: [first, +rows) */
    size_t chunk;       /* keys of a part, a multiple of 8 */
    float *packed, *query_scale;
    uint32_t *query_ones;
    uint64_t *query_bits;
    char *workers;
    size_t worker_bytes;
};

/* GN_K_OK, or what is wrong with metric, element and sizes; fills what depends on them alone. */
int gn_block_open(struct gn_block *it, int metric, int element, const void *queries, size_t m, const void *keys, size_t n,
                  size_t dim);
/* Bytes for the shared part and one worker's; 0, 0 when nothing is needed. */
void gn_block_sizes(const struct gn_block *it, size_t *shared, size_t *worker);
/* Lays out scratch of at least shared + threads * worker bytes. */
void gn_block_lay(struct gn_block *it, char *shared, char *workers, size_t worker_bytes);
/* Prepares queries [first, +rows), rows <= GN_BLOCK_QUERIES. */
void gn_block_queries(struct gn_block *it, size_t first, size_t rows);
/* Prepares keys [at, +n), n <= chunk, for one worker. */
void gn_block_keys(const struct gn_block *it, int worker, size_t at, size_t n);
/* out[i * stride + j] for queries [i, +rows) of those in hand and the worker's keys. i is a multiple of GN_ROWS_BLOCK
 * and rows at most that when the way is PACKED. */
void gn_block_scores(const struct gn_block *it, int worker, size_t i, size_t rows, size_t at, size_t n, float *out,
                     size_t stride);

static inline __attribute__((unused)) size_t gn_least(size_t a, size_t b) { return a < b ? a : b; }
static inline __attribute__((unused)) size_t gn_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
static inline __attribute__((unused)) int gn_meets(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    uintptr_t p = (uintptr_t)a, q = (uintptr_t)b;
    return a_bytes && b_bytes && p < q + b_bytes && q < p + a_bytes;
}
#endif
