/* The scores of a block, in one of three ways.
 *
 * ROWS: each query against rows of keys that stay in the first cache. PACKED: both as panels, multiplied (or subtracted
 * and squared) in a block of registers; halves are widened first. BITS: the hypervectors' counts.
 * A chunk is a multiple of 8 keys, the most that a level takes at once, so a score's order of sums does not depend on
 * how keys were split among threads.
 */
#include "distances/block.h"

#include "ganglion/kernels/matrix.h"
#include "distances/bits.h"
#include "hypervectors/ops.h"

static const struct gn_distances_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_distances);
static const struct gn_matrix_ops *const matrix_levels[GN_ISA_COUNT] = GN_LEVELS(gn_matrix);

enum { SLICE = GN_ROWS_BLOCK / 2, I8_DIM_MAX = 1 << 16, B1_DIM_MAX = 1 << 21, L1_KEYS_BYTES = 16384, NEAR_BYTES = 2 << 20 };

static const size_t element_bytes[GN_ELEMENT_COUNT] = {4, 2, 2, 1, 1};

static int sizes_checked(const struct gn_block *it)
{
    size_t keys, queries, out;
    if (it->element == GN_ELEMENT_I8 && it->dim > I8_DIM_MAX)
        return GN_K_SIZE;
    if (it->element == GN_ELEMENT_B1 && it->dim > B1_DIM_MAX)
        return GN_K_SIZE;
    if (__builtin_mul_overflow(it->dim, element_bytes[it->element], &queries) || it->dim > PTRDIFF_MAX / 4096 / 4 ||
        __builtin_mul_overflow(queries, it->n, &keys) || __builtin_mul_overflow(queries, it->m, &queries) ||
        __builtin_mul_overflow(it->m, it->n, &out))
        return GN_K_SIZE;
    return keys > PTRDIFF_MAX || queries > PTRDIFF_MAX || out > PTRDIFF_MAX / 8 ? GN_K_SIZE : GN_K_OK;
}

static size_t chunk_of(const struct gn_block *it)
{
    size_t fit;
    if (it->way == GN_BLOCK_PACKED || it->many_bits)
        return GN_BLOCK_KEYS;
    if (it->m == 1)
        return GN_BLOCK_ROW_KEYS;
    fit = L1_KEYS_BYTES / (it->row_bytes + 1) / 8 * 8;
    return fit < 8 ? 8 : gn_least(fit, GN_BLOCK_ROW_KEYS);
}

int gn_block_open(struct gn_block *it, int metric, int element, const void *queries, size_t m, const void *keys, size_t n,
                  size_t dim)
{
    int status, bits = element == GN_ELEMENT_B1;
    if (metric < 0 || metric >= GN_METRIC_COUNT || element < 0 || element >= GN_ELEMENT_COUNT)
        return GN_K_VALUE;
    if (bits != (metric == GN_METRIC_HAMMING || metric == GN_METRIC_JACCARD))
        return GN_K_UNSUPPORTED;
    *it = (struct gn_block){.metric = metric,
                            .element = element,
                            .base_metric = metric == GN_METRIC_L2 ? GN_METRIC_L2SQ : metric,
                            .queries = queries,
                            .keys = keys,
                            .m = m,
                            .n = n,
                            .dim = dim,
                            .ops = levels[gn_isa_level],
                            .matrix = matrix_levels[gn_isa_level]};
    if ((status = sizes_checked(it)) != GN_K_OK)
        return status;
    it->row_bytes = dim * element_bytes[element];
    it->way = bits                                                           ? GN_BLOCK_BITS
              : element == GN_ELEMENT_I8 || m <= GN_BLOCK_FEW || !dim || !n ? GN_BLOCK_ROWS
                                                                             : GN_BLOCK_PACKED;
    it->many_bits = metric == GN_METRIC_HAMMING && m > GN_BLOCK_FEW;
    it->chunk = chunk_of(it);
    it->far = m == 1 && n > NEAR_BYTES / (it->row_bytes + 1);
    return (m && dim && !queries) || (n && dim && !keys) ? GN_K_NULL : GN_K_OK;
}

/* Bytes of n packed rows of bits. */
static size_t packed_bits(const struct gn_block *it, size_t n)
{
    return gn_up(n * gn_bits_groups(it->dim) * GN_BITS_GROUP_BYTES, GN_SCRATCH_ALIGN);
}

static size_t floats(size_t n) { return gn_up(n * sizeof(float), GN_SCRATCH_ALIGN); }

/* Panels of queries: each GN_ROWS_BLOCK of them takes that many rows' room. */
static size_t packed_queries(const struct gn_block *it)
{
    return gn_up(gn_least(it->m, GN_BLOCK_QUERIES), GN_ROWS_BLOCK) * it->dim + GN_PANEL_SLACK;
}

void gn_block_sizes(const struct gn_block *it, size_t *shared, size_t *worker)
{
    size_t queries = gn_least(it->m, GN_BLOCK_QUERIES);
    *shared = it->metric == GN_METRIC_COSINE || it->metric == GN_METRIC_JACCARD ? floats(queries) : 0;
    *worker = 0;
    if (it->way == GN_BLOCK_PACKED) {
        *shared += floats(packed_queries(it));
        *worker = 2 * floats(GN_BLOCK_KEYS * it->dim + GN_PANEL_SLACK) + floats(GN_BLOCK_KEYS);
    } else if (it->many_bits) {
        *shared += packed_bits(it, queries);
        *worker = packed_bits(it, it->chunk);
    } else if (it->metric == GN_METRIC_JACCARD) {
        *worker = floats(it->chunk);
    }
}

void gn_block_lay(struct gn_block *it, char *shared, char *workers, size_t worker_bytes)
{
    it->query_scale = (float *)(void *)shared;
    it->query_ones = (uint32_t *)(void *)shared;
    it->query_bits = (uint64_t *)(void *)shared;
    it->packed = (float *)(void *)(shared + (it->metric == GN_METRIC_COSINE ? floats(gn_least(it->m, GN_BLOCK_QUERIES)) : 0));
    it->workers = workers;
    it->worker_bytes = worker_bytes;
}

static struct gn_block_worker worker_of(const struct gn_block *it, int worker)
{
    char *at = it->workers + (size_t)worker * it->worker_bytes;
    size_t room = floats(GN_BLOCK_KEYS * it->dim + GN_PANEL_SLACK);
    if (it->way != GN_BLOCK_PACKED)
        return (struct gn_block_worker){.key_ones = (uint32_t *)(void *)at, .key_bits = (uint64_t *)(void *)at};
    return (struct gn_block_worker){.packed = (float *)(void *)at,
                                    .widened = (float *)(void *)(at + room),
                                    .key_scale = (float *)(void *)(at + 2 * room)};
}

static const float *widened(const struct gn_block *it, const char *rows, size_t n, float *room)
{
    if (it->element == GN_ELEMENT_F32)
        return (const float *)(const void *)rows;
    it->ops->widen(it->element, rows, n * it->dim, room);
    return room;
}

static void inverse_norms(const struct gn_block *it, const float *rows, size_t n, float *scale)
{
    for (size_t i = 0; i < n; i++) {
        it->ops->row[GN_ELEMENT_F32][GN_METRIC_DOT](rows + i * it->dim, rows + i * it->dim, 1, it->dim, 0, 0, scale + i);
        scale[i] = gn_inverse_norm(scale[i]);
    }
}

/* Rows into panels: for each block of depth, all panels of these rows; `room` rows lie between blocks of depth. */
static void pack(const struct gn_block *it, const float *rows, size_t n, size_t width, size_t room, float *to)
{
    for (size_t top = 0; top < it->dim; top += GN_MATMUL_BLOCK)
        it->matrix->pack_rows(rows + top, it->dim, n, gn_least(GN_MATMUL_BLOCK, it->dim - top), to + top * room, width);
}

/* In ascending order of memory: a packing may write a little behind its panels. */
static void pack_queries(struct gn_block *it, size_t first, size_t rows, float *block)
{
    float *room = worker_of(it, 0).widened;
    for (size_t top = 0; top < it->dim; top += GN_MATMUL_BLOCK)
        for (size_t i = 0; i < rows; i += SLICE) {
            size_t n = gn_least(SLICE, rows - i), depth = gn_least(GN_MATMUL_BLOCK, it->dim - top);
            const float *from = widened(it, it->queries + (it->first + first + i) * it->row_bytes, n, room);
            float *to = block + top * GN_ROWS_BLOCK + i * depth;
            it->matrix->pack_rows(from + top, it->dim, n, depth, to, it->matrix->rows);
            if (it->metric == GN_METRIC_COSINE && !top)
                inverse_norms(it, from, n, it->query_scale + first + i);
        }
}

static void scale_rows(struct gn_block *it)
{
    for (size_t i = 0; i < it->rows; i++) {
        const char *query = it->queries + (it->first + i) * it->row_bytes;
        it->ops->row[it->element][GN_METRIC_DOT](query, query, 1, it->dim, 0, 0, it->query_scale + i);
        it->query_scale[i] = gn_inverse_norm(it->query_scale[i]);
    }
}

void gn_block_queries(struct gn_block *it, size_t first, size_t rows)
{
    const uint8_t *queries = (const uint8_t *)it->queries;
    it->first = first;
    it->rows = rows;
    if (it->way == GN_BLOCK_PACKED) {
        for (size_t i = 0; i < rows; i += GN_ROWS_BLOCK)
            pack_queries(it, i, gn_least(GN_ROWS_BLOCK, rows - i), it->packed + i * it->dim);
    } else if (it->metric == GN_METRIC_COSINE) {
        scale_rows(it);
    } else if (it->many_bits && it->ops->bit_tile) {
        gn_bits_pack(queries + first * it->dim, rows, it->dim, 1, it->query_bits);
    } else if (it->metric == GN_METRIC_JACCARD) {
        gn_hypervectors()->ones(queries + first * it->dim, rows, it->dim, it->dim, it->query_ones);
    }
}

void gn_block_keys(const struct gn_block *it, int worker, size_t at, size_t n)
{
    struct gn_block_worker mine = worker_of(it, worker);
    const char *keys = it->keys + at * it->row_bytes;
    if (it->way == GN_BLOCK_PACKED) {
        const float *rows = widened(it, keys, n, mine.widened);
        pack(it, rows, n, it->matrix->columns, GN_BLOCK_KEYS, mine.packed);
        if (it->metric == GN_METRIC_COSINE)
            inverse_norms(it, rows, n, mine.key_scale);
    } else if (it->many_bits && it->ops->bit_tile) {
        gn_bits_pack((const uint8_t *)keys, n, it->dim, GN_BITS_KEYS, mine.key_bits);
    } else if (it->metric == GN_METRIC_JACCARD) {
        gn_hypervectors()->ones((const uint8_t *)keys, n, it->dim, it->dim, mine.key_ones);
    }
}

static void packed_scores(const struct gn_block *it, int worker, size_t i, size_t rows, size_t n, float *out,
                          size_t stride)
{
    struct gn_block_worker mine = worker_of(it, worker);
    gn_tile_fn *tile = it->base_metric == GN_METRIC_L2SQ ? it->matrix->tile_apart : it->matrix->tile;
    const float *block = it->packed + i * it->dim;
    for (size_t top = 0; top < it->dim; top += GN_MATMUL_BLOCK)
        tile(block + top * GN_ROWS_BLOCK, rows, mine.packed + top * GN_BLOCK_KEYS, n,
             gn_least(GN_MATMUL_BLOCK, it->dim - top), out, stride, top != 0);
    if (it->metric == GN_METRIC_COSINE)
        for (size_t r = 0; r < rows; r++)
            it->ops->scale(out + r * stride, n, it->query_scale[i + r], mine.key_scale);
}

static void row_scores(const struct gn_block *it, size_t i, size_t rows, size_t at, size_t n, float *out, size_t stride)
{
    gn_row_fn *row = it->ops->row[it->element][it->base_metric];
    const char *queries = it->queries + (it->first + i) * it->row_bytes;
    for (size_t r = 0; r < rows; r++)
        row(queries + r * it->row_bytes, it->keys + at * it->row_bytes, n, it->dim, it->far,
            it->metric == GN_METRIC_COSINE ? it->query_scale[i + r] : 1, out + r * stride);
}

static void bit_scores(const struct gn_block *it, int worker, size_t i, size_t rows, size_t at, size_t n, float *out,
                       size_t stride)
{
    const struct gn_hypervectors_ops *ops = gn_hypervectors();
    const uint8_t *queries = (const uint8_t *)it->queries + (it->first + i) * it->dim;
    const uint8_t *keys = (const uint8_t *)it->keys + at * it->dim;
    const uint32_t *ones = worker_of(it, worker).key_ones;
    if (it->many_bits && it->ops->bit_tile) {
        size_t groups = gn_bits_groups(it->dim);
        it->ops->bit_tile(it->query_bits + i * groups * GN_BITS_WORDS, rows, worker_of(it, worker).key_bits, n, groups,
                          out, stride);
        return;
    }
    if (it->metric == GN_METRIC_HAMMING && rows == 1)
        (it->far ? ops->hamming_far : ops->hamming)(queries, keys, n, it->dim, it->dim, (uint32_t *)(void *)out);
    else if (it->metric == GN_METRIC_HAMMING)
        ops->hamming_tile(queries, rows, it->dim, keys, n, it->dim, it->dim, (uint32_t *)(void *)out, stride);
    for (size_t r = 0; r < rows; r++) {
        float *to = out + r * stride;
        if (it->metric == GN_METRIC_JACCARD)
            ops->common(queries + r * it->dim, keys, n, it->dim, it->dim, (uint32_t *)(void *)to);
        it->ops->counts(to, n);
        for (size_t j = 0; it->metric == GN_METRIC_JACCARD && j < n; j++) {
            float all = (float)(it->query_ones[i + r] + ones[j]) - to[j];
            to[j] = all > 0 ? 1 - to[j] / all : 0;
        }
    }
}

void gn_block_scores(const struct gn_block *it, int worker, size_t i, size_t rows, size_t at, size_t n, float *out,
                     size_t stride)
{
    if (it->way == GN_BLOCK_PACKED)
        packed_scores(it, worker, i, rows, n, out, stride);
    else if (it->way == GN_BLOCK_ROWS)
        row_scores(it, i, rows, at, n, out, stride);
    else
        bit_scores(it, worker, i, rows, at, n, out, stride);
    if (it->metric == GN_METRIC_L2)
        for (size_t r = 0; r < rows; r++)
            it->ops->roots(out + r * stride, n);
}
