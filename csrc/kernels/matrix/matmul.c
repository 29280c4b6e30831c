/* C = A B^T and C = A B: checks, blocks, threads.
 *
 * For each block of columns of c and of k: b's part is packed once, by all threads; then every part of the work packs
 * its rows of a for itself and multiplies. Which thread does what changes no sum.
 */
#include "ganglion/kernels/matrix.h"
#include "matrix/ops.h"

#include "base/pool.h"
#include "base/sizes.h"

#include <string.h>

static const struct gn_matrix_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_matrix);

enum { ALIGN = 64, PACK_COLUMNS = 96, WIDTH_MAX = 32 };

struct product {
    const struct gn_matrix_ops *ops;
    const float *a, *b;
    float *c, *packed_b, *packed_a;
    size_t m, n, k;
    size_t left, columns, top, depth; /* the block of b: columns [left, +columns), k [top, +depth) */
    size_t a_room, rows_part, column_parts, columns_part;
    int transposed;
};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t up(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* Floats for the packed parts: whole panels, and GN_ROWS_BLOCK is a multiple of every level's. */
static size_t a_room(size_t m, size_t k)
{
    return up(least(m + WIDTH_MAX, GN_ROWS_BLOCK) * least(k, GN_MATMUL_BLOCK) + GN_PANEL_SLACK, 16);
}

static size_t b_room(size_t n, size_t k)
{
    return up(up(least(n, GN_COLUMNS_BLOCK), WIDTH_MAX) * least(k, GN_MATMUL_BLOCK) + GN_PANEL_SLACK, 16);
}

static int too_large(size_t m, size_t n, size_t k)
{
    size_t size;
    return __builtin_mul_overflow(m, k, &size) || size > PTRDIFF_MAX / sizeof(float) ||
           __builtin_mul_overflow(n, k, &size) || size > PTRDIFF_MAX / sizeof(float) ||
           __builtin_mul_overflow(m, n, &size) || size > PTRDIFF_MAX / sizeof(float);
}

size_t gn_matmul_scratch(size_t m, size_t n, size_t k, int threads)
{
    if (too_large(m, n, k))
        return SIZE_MAX;
    if (m <= GN_FEW_ROWS || !n || !k)
        return 0;
    return (b_room(n, k) + a_room(m, k) * (size_t)(threads > 1 ? threads : 1)) * sizeof(float);
}

static void pack_part(void *job, size_t part, int worker)
{
    struct product *it = job;
    size_t at = part * PACK_COLUMNS, columns = least(PACK_COLUMNS, it->columns - at), j = it->left + at;
    float *to = it->packed_b + at * it->depth;
    (void)worker;
    if (it->transposed)
        it->ops->pack_rows(it->b + j * it->k + it->top, it->k, columns, it->depth, to, it->ops->columns);
    else
        it->ops->pack_columns(it->b + it->top * it->n + j, it->n, columns, it->depth, to);
}

static void multiply_part(void *job, size_t part, int worker)
{
    struct product *it = job;
    size_t i = part / it->column_parts * it->rows_part, j = part % it->column_parts * it->columns_part;
    size_t rows = least(it->rows_part, it->m - i), columns = least(it->columns_part, it->columns - j);
    float *a = it->packed_a + (size_t)worker * it->a_room;
    it->ops->pack_rows(it->a + i * it->k + it->top, it->k, rows, it->depth, a, it->ops->rows);
    it->ops->tile(a, rows, it->packed_b + j * it->depth, columns, it->depth, it->c + i * it->n + it->left + j, it->n,
                  it->top != 0);
}

/* Enough parts for the threads: row blocks first, then groups of columns. */
static void share(struct product *it, int threads)
{
    size_t wanted = threads > 1 ? 3 * (size_t)threads : 1, blocks, groups;
    it->rows_part = least(GN_ROWS_BLOCK, up(it->m, it->ops->rows));
    blocks = (it->m + it->rows_part - 1) / it->rows_part;
    if (threads > 1 && blocks < wanted) { /* halves of a block still make good use of a packed b */
        it->rows_part = least(it->rows_part, up(GN_ROWS_BLOCK / 2, it->ops->rows));
        blocks = (it->m + it->rows_part - 1) / it->rows_part;
    }
    groups = (wanted + blocks - 1) / blocks;
    it->columns_part = up((it->columns + groups - 1) / groups, 3 * it->ops->columns);
    it->column_parts = (it->columns + it->columns_part - 1) / it->columns_part;
}

static void multiply(struct product *it, void *scratch, gn_pool *pool)
{
    size_t steps = (it->k + GN_MATMUL_BLOCK - 1) / GN_MATMUL_BLOCK;
    size_t deep = up((it->k + steps - 1) / steps, 16);
    it->packed_b = scratch;
    it->packed_a = it->packed_b + b_room(it->n, it->k);
    it->a_room = a_room(it->m, it->k);
    for (it->left = 0; it->left < it->n; it->left += it->columns) {
        it->columns = least(GN_COLUMNS_BLOCK, it->n - it->left);
        share(it, gn_pool_threads(pool));
        for (it->top = 0; it->top < it->k; it->top += it->depth) {
            it->depth = least(deep, it->k - it->top);
            gn_pool_run(pool, pack_part, it, (it->columns + PACK_COLUMNS - 1) / PACK_COLUMNS);
            gn_pool_run(pool, multiply_part, it, (it->m + it->rows_part - 1) / it->rows_part * it->column_parts);
        }
    }
}

static int checked(const struct product *it, const void *scratch)
{
    size_t m = it->m, n = it->n, k = it->k;
    if (too_large(m, n, k))
        return GN_K_SIZE;
    if ((m && n && !it->c) || (m && k && !it->a) || (n && k && !it->b))
        return GN_K_NULL;
    if (gn_matmul_scratch(m, n, k, 1) && !scratch)
        return GN_K_NULL;
    if (gn_floats_overlap(it->c, m * n, it->a, m * k) || gn_floats_overlap(it->c, m * n, it->b, n * k))
        return GN_K_OVERLAP;
    return GN_K_OK;
}

static void few_part(void *job, size_t part, int worker)
{
    struct product *it = job;
    size_t j = part * it->columns_part, columns = least(it->columns_part, it->n - j);
    (void)worker;
    if (it->transposed)
        it->ops->few_nt(it->a, it->m, it->b + j * it->k, columns, it->k, it->c + j, it->n);
    else
        it->ops->few_nn(it->a, it->m, it->b + j, it->n, columns, it->k, it->c + j);
}

static int run(struct product *it, void *scratch, gn_pool *pool)
{
    int status = checked(it, scratch);
    if (status || !it->m || !it->n)
        return status;
    if (!it->k) {
        memset(it->c, 0, it->m * it->n * sizeof *it->c);
        return GN_K_OK;
    }
    it->ops = levels[gn_isa_level];
    if (it->m > GN_FEW_ROWS) {
        multiply(it, scratch, pool);
        return GN_K_OK;
    }
    it->columns_part = up((it->n + (size_t)gn_pool_threads(pool) - 1) / (size_t)gn_pool_threads(pool), ALIGN);
    gn_pool_run(pool, few_part, it, (it->n + it->columns_part - 1) / it->columns_part);
    return GN_K_OK;
}

int gn_matmul_nt(const float *a, size_t m, const float *b, size_t n, size_t k, float *c, void *scratch, gn_pool *pool)
{
    struct product it = {.a = a, .b = b, .c = c, .m = m, .n = n, .k = k, .transposed = 1};
    return run(&it, scratch, pool);
}

int gn_matmul_nn(const float *a, size_t m, const float *b, size_t n, size_t k, float *c, void *scratch, gn_pool *pool)
{
    struct product it = {.a = a, .b = b, .c = c, .m = m, .n = n, .k = k};
    return run(&it, scratch, pool);
}
