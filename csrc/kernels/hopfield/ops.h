/* What a level supplies to the Hopfield memories. */
#ifndef GN_HOPFIELD_OPS_H
#define GN_HOPFIELD_OPS_H
#include "ganglion/kernels/hopfield.h"

/* One query on its way over the patterns: the online softmax of what it has seen. `sum` and `acc` are relative to
 * e^max; `best` is the first row that reached max. */
struct gn_hopfield_slot {
    const float *query; /* [d] */
    float *acc;         /* [d]: sum of e^(score - max) x; NULL in a pass that wants only max and sum */
    float max, sum;
    uint32_t best;
};

struct gn_hopfield_ops {
    /* Adds rows first..first+rows of the patterns to every slot; x is the row `first`. */
    void (*scan)(const float *x, size_t rows, size_t first, size_t d, float beta, struct gn_hopfield_slot *slots,
                 size_t count);
    /* The same for one slot and `rows` scores that are there already, before beta. */
    void (*absorb)(const float *x, size_t rows, size_t first, size_t d, float beta, const float *scores,
                   struct gn_hopfield_slot *slot);
    /* into += from, both over the same query. */
    void (*merge)(struct gn_hopfield_slot *into, const struct gn_hopfield_slot *from, size_t d);
    /* out = (add ? out : 0) + scale * x */
    void (*scaled)(float *out, const float *x, float scale, size_t d, int add);
    /* out[i] = x_i . q */
    void (*dots)(const float *x, size_t rows, size_t d, const float *q, float *out);
    /* |a - b|^2 */
    float (*gap2)(const float *a, const float *b, size_t d);
    /* sums[64 * words] += sum over rows of weight[row] for each bit that is 1 in words[row * stride..+words), words <= 8,
     * in the order of the rows. Weights of 0 are passed over. */
    void (*vote)(const uint64_t *rows, size_t n, size_t stride, size_t words, const float *weight, float *sums);
    /* In place: scores to e^(beta (score - top)). */
    void (*weights)(float *scores, size_t n, float beta, float top);
};

extern const struct gn_hopfield_ops gn_hopfield_serial, gn_hopfield_haswell, gn_hopfield_skylake, gn_hopfield_neon;
#endif
