/* Selection and competition: K winners take all, soft and lateral competition, a global workspace, oscillators.
 *
 * The order of competition, everywhere in this header: larger first; of equals (-0 equals +0) the lower index first;
 * NaN after every number, -infinity included. Formulas and sources: csrc/kernels/selection/README.md.
 */
#ifndef GANGLION_KERNELS_SELECTION_H
#define GANGLION_KERNELS_SELECTION_H
#include "ganglion/kernels/base.h"

// <cdef>
/* The k winners of each row of x (rows x n). Exact.
 *
 * mask: NULL, or bytes; an element whose byte is 0 takes no part. Row r uses mask + r * mask_stride (0: one mask for
 * all rows; else at least n). sorted: 1, the winner first; 0, in order of index. indices and values (rows x k), either
 * may be NULL: a row with fewer than k elements to choose from ends in index -1, value NaN.
 * scratch: gn_kwta_scratch(n, k, the pool's threads), SIZE_MAX for sizes that do not work. k <= n <= 2^31 - 1.
 * GN_K_SIZE (k > n, n too large, rows * n overflows, a stride under n), GN_K_NULL, GN_K_VALUE (sorted), GN_K_OVERLAP. */
size_t gn_kwta_scratch(size_t n, size_t k, int threads);
int gn_kwta(const float *x, const uint8_t *mask, size_t mask_stride, size_t rows, size_t n, size_t k, int sorted,
            int32_t *indices, float *values, void *scratch, gn_pool *pool);

/* gn_kwta for calls that are many and short: all but x is said once, one thread. */
struct gn_kwta_plan {
    const uint8_t *mask;
    size_t mask_stride, rows, n, k;
    int sorted;
    int32_t *indices;
    float *values;
    void *scratch;
};
int gn_kwta_planned(const float *x, const struct gn_kwta_plan *plan);

/* The same competition as an activation: out (rows x n) is x where x won and +0 elsewhere. Takes the same scratch. */
int gn_kwta_dense(const float *x, const uint8_t *mask, size_t mask_stride, size_t rows, size_t n, size_t k, float *out,
                  void *scratch, gn_pool *pool);

/* Soft competition: out (rows x n) = softmax(x / temperature) of each row, the maximum subtracted first.
 * NaN and -infinity get 0; if there are +infinities they share 1 equally; a row of nothing else gets zeros.
 * temperature > 0 and finite. GN_K_SIZE, GN_K_NULL, GN_K_VALUE. out may be x itself. */
int gn_soft_wta(const float *x, size_t rows, size_t n, float temperature, float *out, gn_pool *pool);

/* Lateral inhibition of all by all: out <- max(0, out - strength * (sum of the row - out)), beginning with max(0, x),
 * until nothing changes (one is left), or `rounds` are done. NaN counts as 0, and
 * what overflows to infinity as FLT_MAX. 0 <= strength <= 1. With strength < 1/(n-1) and one largest input, it alone
 * survives. out may be x itself. GN_K_SIZE, GN_K_NULL, GN_K_VALUE. */
int gn_inhibit(const float *x, size_t rows, size_t n, float strength, size_t rounds, float *out, gn_pool *pool);

/* Lateral inhibition of neighbours on a line: out_i <- max(0, x_i - strength * mean of the 2 radius neighbours' out),
 * beginning with max(0, x), `rounds` times; beyond the ends there is 0. NaN counts as 0, infinities as +-FLT_MAX.
 * 0 <= strength <= 1; 1 <= radius <= 4096. scratch: gn_inhibit_near_scratch(n, radius, the pool's threads), SIZE_MAX likewise.
 * GN_K_SIZE, GN_K_NULL, GN_K_VALUE, GN_K_OVERLAP. */
size_t gn_inhibit_near_scratch(size_t n, size_t radius, int threads);
int gn_inhibit_near(const float *x, size_t rows, size_t n, size_t radius, float strength, size_t rounds, float *out,
                    void *scratch, gn_pool *pool);

/* Oscillatory routing: n phases (radians), each drawn to the mean of all. `steps` Euler steps of
 *     d phase_i / dt = frequency_i + coupling * r * sin(psi - phase_i),     r e^(i psi) = mean of e^(i phase)
 * in O(n) a step. phases is changed in place and kept in [-pi, pi]. order: NULL, or steps + 1 pairs (r, psi), the
 * state before each step and after the last (psi 0 where r is 0). n = 0: r = 0. What is not finite in one
 * phase reaches all at the next step (NaN). scratch: gn_kuramoto_scratch(n).
 * GN_K_NULL, GN_K_SIZE (steps overflows), GN_K_VALUE (dt or coupling not finite). */
size_t gn_kuramoto_scratch(size_t n);
int gn_kuramoto(float *phases, const float *frequencies, size_t n, float coupling, float dt, size_t steps, float *order,
                void *scratch);

/* Phases that are not in step: phases_i = 2 pi frac(start + 0.618... i) - pi; r <= 1.08 / n. */
int gn_kuramoto_spread(float *phases, size_t n, float start);

/* How open each channel is to a receiver at that phase: gains_i = (1 + cos(phases_i - phase)) / 2, in [0, 1]. */
int gn_kuramoto_gains(const float *phases, size_t n, float phase, float *gains);

/* The global workspace: the few items that everyone hears of. Items compete by salience for `capacity` places; the
 * weakest is replaced; salience decays; a broadcast tells all of them, the strongest first. History is a ring of the
 * last `history` broadcasts' leaders, so memory is fixed when the workspace is made.
 *
 * state: gn_workspace_size() bytes of the caller, aligned to 8, 0 when a size is out of range. Functions given a state
 * that gn_workspace_init has not made return GN_K_FORMAT. An item is an id with `width` floats that it is about. */
enum { GN_WORKSPACE_CAPACITY_MAX = 64, GN_WORKSPACE_HISTORY_MAX = 65536 };
enum gn_workspace_outcome {
    GN_WORKSPACE_REFUSED = 0, /* not above the weakest of a full workspace, or below the floor */
    GN_WORKSPACE_ENTERED = 1,
    GN_WORKSPACE_RENEWED = 2, /* was there: has the larger salience and the new content */
    GN_WORKSPACE_REPLACED = 3 /* entered, and the weakest (of equals the oldest) went: *gone */
};
/* 1 <= capacity <= 64 (4 to 7 is what is found in people), width <= 2^20, history <= 65536. */
size_t gn_workspace_size(size_t capacity, size_t width, size_t history);
/* floor: an item whose salience decays below it leaves; > 0, finite. GN_K_NULL, GN_K_SIZE, GN_K_VALUE. */
int gn_workspace_init(void *state, size_t capacity, size_t width, size_t history, float floor);
/* salience finite, else GN_K_VALUE. content: width floats, NULL for width 0. outcome, gone: written when not NULL. */
int gn_workspace_offer(void *state, uint64_t id, float salience, const float *content, int *outcome, uint64_t *gone);
/* All saliences times factor, in [0, 1]; *left: how many items are left. Multiply by exp(-dt / tau) for a time. */
int gn_workspace_decay(void *state, float factor, size_t *left);
/* How many items there are: *count. Then the strongest first: ids, saliences, contents (count x width), each may be
 * NULL and has room for `capacity` items. The leader goes into the history. Of equals the oldest first. */
int gn_workspace_broadcast(void *state, size_t *count, uint64_t *ids, float *saliences, float *contents);
/* The leaders of the last broadcasts, the newest first: ids has room for `room`; *count: how many were written. */
int gn_workspace_history(const void *state, size_t room, uint64_t *ids, size_t *count);
// </cdef>
#endif
