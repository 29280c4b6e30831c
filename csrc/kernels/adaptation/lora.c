/* MicroLoRA: the forward pass, the gradient of both factors, and one step down it. */
#include "adaptation/ops.h"
#include "base/pool.h"

enum { ROWS = 16 };

struct forwarding {
    struct gn_lora_job lora;
    size_t n;
};

static int sizes(size_t n, size_t d_in, size_t d_out, size_t rank)
{
    if (rank == 0 || rank > GN_LORA_RANK_MAX || gn_adapt_too_many(rank, d_in) || gn_adapt_too_many(rank, d_out) ||
        gn_adapt_too_many(n, d_in) || gn_adapt_too_many(n, d_out) || gn_adapt_too_many(n, 2 * rank))
        return GN_K_SIZE;
    return GN_K_OK;
}

static void forward_rows(void *argument, size_t part, int worker)
{
    const struct forwarding *job = argument;
    size_t first = part * ROWS;
    (void)worker;
    gn_adaptation()->lora(&job->lora, first, job->n - first < ROWS ? job->n - first : ROWS);
}

int gn_lora_forward(const float *x, size_t n, size_t d_in, size_t d_out, size_t rank, const float *down,
                    const float *up, float scale, const float *base, float *out, gn_pool *pool)
{
    struct forwarding job = {{x, down, up, base ? base : x, out, d_in, d_out, rank, scale}, n};
    if (sizes(n, d_in, d_out, rank) != GN_K_OK || (!base && d_in != d_out))
        return GN_K_SIZE;
    if (n && ((d_in && (!x || !down)) || (d_out && (!up || !out))))
        return GN_K_NULL;
    if ((out != job.lora.base && gn_overlap(out, n * d_out * 4, job.lora.base, n * d_out * 4)) ||
        ((base || out != x) && gn_overlap(out, n * d_out * 4, x, n * d_in * 4)) ||
        gn_overlap(out, n * d_out * 4, down, rank * d_in * 4) ||
        gn_overlap(out, n * d_out * 4, up, rank * d_out * 4))
        return GN_K_OVERLAP;
    if (!n || !d_out)
        return GN_K_OK;
    if (!pool)
        gn_adaptation()->lora(&job.lora, 0, n);
    else
        gn_pool_run(pool, forward_rows, &job, (n + ROWS - 1) / ROWS);
    return GN_K_OK;
}

int gn_lora_apply(const gn_lora *adapter, const float *x, size_t n, float *out)
{
    if (!adapter)
        return GN_K_NULL;
    return gn_lora_forward(x, n, adapter->d_in, adapter->d_out, adapter->rank, adapter->down, adapter->up, adapter->scale,
                           NULL, out, NULL);
}

size_t gn_lora_scratch(size_t n, size_t rank)
{
    return gn_adapt_too_many(n, 2 * rank) ? SIZE_MAX : (2 * n * rank * sizeof(float) + 63) / 64 * 64;
}

/* hidden[n][rank] = scale * down x; pulled[n][rank] = scale * up grad. */
static void project(const float *x, const float *grad, size_t n, size_t d_in, size_t d_out, size_t rank,
                    const float *down, const float *up, float scale, float *hidden, float *pulled)
{
    const struct gn_adaptation_ops *ops = gn_adaptation();
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < rank; r++) {
            hidden[i * rank + r] = scale * ops->dot(down + r * d_in, x + i * d_in, d_in);
            pulled[i * rank + r] = scale * ops->dot(up + r * d_out, grad + i * d_out, d_out);
        }
}

/* rows[rank][d] += factor * by[n][rank]^T from[n][d] */
static void spread(float *rows, size_t d, size_t n, size_t rank, const float *by, const float *from, float factor)
{
    const struct gn_adaptation_ops *ops = gn_adaptation();
    for (size_t r = 0; r < rank; r++)
        for (size_t i = 0; i < n; i++)
            ops->add(rows + r * d, factor * by[i * rank + r], from + i * d, d);
}

static int usable(const float *x, const float *grad, size_t n, size_t d_in, size_t d_out, size_t rank,
                  const float *down, const float *up, const void *scratch)
{
    if (sizes(n, d_in, d_out, rank) != GN_K_OK)
        return GN_K_SIZE;
    if (n && (!scratch || (d_in && (!x || !down)) || (d_out && (!grad || !up))))
        return GN_K_NULL;
    return GN_K_OK;
}

int gn_lora_gradient(const float *x, const float *grad, size_t n, size_t d_in, size_t d_out, size_t rank,
                     const float *down, const float *up, float scale, float *d_down, float *d_up, int identity,
                     float *grad_x, void *scratch)
{
    int status = usable(x, grad, n, d_in, d_out, rank, down, up, scratch);
    float *hidden = scratch, *pulled = hidden + (status == GN_K_OK && n ? n * rank : 0);
    if (status != GN_K_OK || !n)
        return status;
    if ((d_in && !d_down) || (d_out && !d_up))
        return GN_K_NULL;
    if (identity && grad_x && d_in != d_out)
        return GN_K_SIZE;
    if (gn_overlap(d_down, rank * d_in * 4, down, rank * d_in * 4) ||
        gn_overlap(d_up, rank * d_out * 4, up, rank * d_out * 4) ||
        (grad_x && (gn_overlap(grad_x, n * d_in * 4, grad, n * d_out * 4) ||
                    gn_overlap(grad_x, n * d_in * 4, x, n * d_in * 4))))
        return GN_K_OVERLAP;
    project(x, grad, n, d_in, d_out, rank, down, up, scale, hidden, pulled);
    spread(d_down, d_in, n, rank, pulled, x, 1);
    spread(d_up, d_out, n, rank, hidden, grad, 1);
    for (size_t i = 0; grad_x && i < n; i++) {
        for (size_t j = 0; j < d_in; j++)
            grad_x[i * d_in + j] = identity ? grad[i * d_out + j] : 0;
        for (size_t r = 0; r < rank; r++)
            gn_adaptation()->add(grad_x + i * d_in, pulled[i * rank + r], down + r * d_in, d_in);
    }
    return GN_K_OK;
}

int gn_lora_learn(const float *x, const float *grad, size_t n, size_t d_in, size_t d_out, size_t rank, float *down,
                  float *up, float scale, float rate, void *scratch)
{
    int status = usable(x, grad, n, d_in, d_out, rank, down, up, scratch);
    float *hidden = scratch, *pulled = hidden + (status == GN_K_OK && n ? n * rank : 0);
    if (status != GN_K_OK || !n)
        return status;
    if (gn_overlap(down, rank * d_in * 4, x, n * d_in * 4) ||
        gn_overlap(up, rank * d_out * 4, grad, n * d_out * 4) ||
        gn_overlap(down, rank * d_in * 4, up, rank * d_out * 4))
        return GN_K_OVERLAP;
    project(x, grad, n, d_in, d_out, rank, down, up, scale, hidden, pulled);
    spread(down, d_in, n, rank, pulled, x, -rate);
    spread(up, d_out, n, rank, hidden, grad, -rate);
    return GN_K_OK;
}
