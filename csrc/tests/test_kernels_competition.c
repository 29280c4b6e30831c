/* Soft competition, lateral inhibition, oscillators, the workspace: serial against doubles, every level against serial. */
#include "kernel_check.h"

#include <float.h>

enum { N_MAX = 300 };

static void fill(float *x, size_t n, int kind)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 1e-42f, 0.0f, -0.0f};
    for (size_t i = 0; i < n; i++)
        x[i] = kind == 0 ? random_normal() : kind == 1 ? 30 * random_normal() : kind == 2 ? odd[random_u64() % 8] : 1.0f;
    if (kind == 4)
        for (size_t i = 0; i < n; i++)
            x[i] = random_u64() % 2 ? NAN : -INFINITY;
}

static void soft_in_double(const float *x, size_t n, double t, double *out)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        top = x[i] > top ? x[i] : top;
    for (size_t i = 0; i < n; i++) {
        out[i] = isnan(x[i]) || top == -INFINITY ? 0 : top == INFINITY ? x[i] == INFINITY : exp((x[i] - top) / t);
        sum += out[i];
    }
    for (size_t i = 0; i < n; i++)
        out[i] = sum > 0 ? out[i] / sum : 0;
}

static void soft(size_t n, int kind, size_t skew)
{
    struct guarded x = guarded_new(n * 4, skew), out = guarded_new(n * 4, skew);
    float *in = (float *)x.data, t = 0.5f + (float)random_unit();
    double want[N_MAX];
    fill(in, n, kind);
    soft_in_double(in, n, t, want);
    CHECK(gn_soft_wta(in, 1, n, t, (float *)out.data, NULL) == GN_K_OK);
    for (size_t i = 0; i < n; i++) {
        float got = ((float *)out.data)[i];
        /* (x - max) / t is rounded twice: its error, up to 2^-23 of it, is the exponential's relative error */
        CHECK(fabs(got - want[i]) <= want[i] * (2e-6 + 1.5e-7 * fabs(log(want[i] + 1e-300))) + 1e-38);
    }
    CHECK(gn_soft_wta(in, 1, n, t, in, NULL) == GN_K_OK); /* in place */
    CHECK(memcmp(in, out.data, n * 4) == 0);
    guarded_free(&x), guarded_free(&out);
}

static void inhibit_near_in_double(const float *x, size_t n, size_t radius, double s, size_t rounds, double *y)
{
    double next[N_MAX], given[N_MAX];
    for (size_t i = 0; i < n; i++) {
        given[i] = isnan(x[i]) ? 0 : fmax(-FLT_MAX, fmin(FLT_MAX, x[i]));
        y[i] = fmax(0, given[i]);
    }
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t j = i > radius ? i - radius : 0; j <= i + radius && j < n; j++)
                sum += j == i ? 0 : y[j];
            next[i] = fmax(0, given[i] - s / (2.0 * (double)radius) * sum);
        }
        memcpy(y, next, n * sizeof *y);
    }
}

static void near(size_t n, size_t radius, int kind)
{
    struct guarded x = guarded_new(n * 4, 4), out = guarded_new(n * 4, 4), again = guarded_new(n * 4, 0);
    struct guarded scratch = guarded_new(gn_inhibit_near_scratch(n, radius, 1), 0);
    int level = gn_isa_active();
    double want[N_MAX];
    fill((float *)x.data, n, kind);
    CHECK(gn_inhibit_near((float *)x.data, 1, n, radius, 0.7f, 3, (float *)out.data, scratch.data, NULL) == GN_K_OK);
    inhibit_near_in_double((float *)x.data, n, radius, 0.7f, 3, want);
    for (size_t i = 0; i < n && kind < 2; i++)
        CHECK(fabs(((float *)out.data)[i] - want[i]) <= 1e-5 * (kind ? 30 : 1));
    for (size_t i = 0; i < n; i++)
        CHECK(((float *)out.data)[i] >= 0 && ((float *)out.data)[i] <= FLT_MAX);
    gn_isa_force(GN_ISA_SERIAL);
    CHECK(gn_inhibit_near((float *)x.data, 1, n, radius, 0.7f, 3, (float *)again.data, scratch.data, NULL) == GN_K_OK);
    CHECK(memcmp(out.data, again.data, n * 4) == 0); /* bit for bit */
    gn_isa_force(level);
    guarded_free(&x), guarded_free(&out), guarded_free(&again), guarded_free(&scratch);
}

static void all_by_all(size_t n, int kind)
{
    struct guarded x = guarded_new(n * 4, 4);
    float *in = (float *)x.data;
    size_t best = 0, left = 0;
    fill(in, n, kind);
    if (kind < 2) { /* one that is clearly the largest survives alone */
        for (size_t i = 0; i < n; i++)
            in[i] = fabsf(in[i]);
        best = random_u64() % n;
        in[best] = 200;
    }
    CHECK(gn_inhibit(in, 1, n, n > 1 ? 0.9f / (float)(n - 1) : 0.5f, 5000, in, NULL) == GN_K_OK);
    for (size_t i = 0; i < n; i++) {
        CHECK(in[i] >= 0 && in[i] <= FLT_MAX);
        left += in[i] > 0;
    }
    CHECK(kind >= 2 || (left == 1 && in[best] > 0));
    guarded_free(&x);
}

static void oscillators(size_t n, int kind)
{
    struct guarded phases = guarded_new(n * 4, 4), speeds = guarded_new(n * 4, 4), gains = guarded_new(n * 4, 4);
    struct guarded scratch = guarded_new(gn_kuramoto_scratch(n), 0);
    float *at = (float *)phases.data, *w = (float *)speeds.data, *open = (float *)gains.data, order[4];
    double was[N_MAX], c = 0, s = 0;
    fill_normal(w, n);
    CHECK(gn_kuramoto_spread(at, n, 0.25f) == GN_K_OK);
    for (size_t i = 0; i < n; i++) {
        if (kind)
            at[i] = 20 * random_normal();
        c += cos(was[i] = at[i]) / (double)n;
        s += sin(was[i]) / (double)n;
    }
    CHECK(gn_kuramoto(at, w, n, 1.5f, 0.1f, 1, order, scratch.data) == GN_K_OK);
    CHECK(fabs(order[0] - sqrt(c * c + s * s)) <= 2e-6);
    CHECK(kind || order[0] <= 1.08 / (double)(n ? n : 1) + 2e-6);
    for (size_t i = 0; i < n; i++) {
        double want = was[i] + 0.1f * (w[i] + 1.5 * (s * cos(was[i]) - c * sin(was[i])));
        CHECK(fabsf(at[i]) <= 3.1415930f);
        CHECK(fabs(remainder(want - at[i], 2 * 3.14159265358979)) <= 1e-5);
    }
    CHECK(gn_kuramoto_gains(at, n, 1.0f, open) == GN_K_OK);
    for (size_t i = 0; i < n; i++)
        CHECK(open[i] >= 0 && open[i] <= 1 && fabs(open[i] - (1 + cos(at[i] - 1.0)) / 2) <= 1e-6);
    guarded_free(&phases), guarded_free(&speeds), guarded_free(&gains), guarded_free(&scratch);
}

static void every_size(void)
{
    for (size_t n = 0; n <= 257; n += n < 68 ? 1 : n < 126 ? 58 : n < 130 ? 1 : 61)
        for (int kind = 0; kind < 5; kind++) {
            soft(n, kind, n % 2 ? 0 : 4);
            if (n)
                near(n, 1 + n % 7, kind), all_by_all(n, kind);
            oscillators(n, kind % 2);
        }
    near(40, 100, 0); /* wider than the row */
}

/* With enough coupling they lock; the order parameter says so. */
static void locking(void)
{
    enum { N = 100 };
    float phases[N], speeds[N], scratch[2 * N], order[2 * 401];
    for (int i = 0; i < N; i++)
        speeds[i] = 0.02f * (float)i - 1.0f;
    gn_kuramoto_spread(phases, N, 0);
    CHECK(gn_kuramoto(phases, speeds, N, 5.0f, 0.05f, 400, order, scratch) == GN_K_OK);
    CHECK(order[0] < 0.02f && order[800] > 0.95f);
    speeds[3] = INFINITY;
    CHECK(gn_kuramoto(phases, speeds, N, 5.0f, 0.05f, 3, order, scratch) == GN_K_OK);
    CHECK(isnan(phases[0]) && isnan(order[6]));
}

static void arguments(void)
{
    float x[8] = {0}, out[8];
    static char scratch[4096] __attribute__((aligned(64)));
    CHECK(gn_soft_wta(x, 1, 8, 0, out, NULL) == GN_K_VALUE && gn_soft_wta(x, 1, 8, NAN, out, NULL) == GN_K_VALUE);
    CHECK(gn_soft_wta(x, 1, 8, INFINITY, out, NULL) == GN_K_VALUE && gn_soft_wta(x, SIZE_MAX, 8, 1, out, NULL) == GN_K_SIZE);
    CHECK(gn_soft_wta(x, 1, 4, 1, x + 1, NULL) == GN_K_OVERLAP && gn_soft_wta(NULL, 1, 4, 1, x, NULL) == GN_K_NULL);
    CHECK(gn_inhibit(x, 1, 8, -0.1f, 1, out, NULL) == GN_K_VALUE && gn_inhibit(x, 1, 8, 1.1f, 1, out, NULL) == GN_K_VALUE);
    CHECK(gn_inhibit_near(x, 1, 8, 0, 0.5f, 1, out, scratch, NULL) == GN_K_SIZE);
    CHECK(gn_inhibit_near(x, 1, 8, 4097, 0.5f, 1, out, scratch, NULL) == GN_K_SIZE);
    CHECK(gn_inhibit_near(x, 1, 8, 1, 0.5f, 1, x, scratch, NULL) == GN_K_OVERLAP);
    CHECK(gn_inhibit_near(x, 1, 8, 1, 0.5f, 1, out, NULL, NULL) == GN_K_NULL);
    CHECK(gn_inhibit_near_scratch(SIZE_MAX / 2, 1, 1) == SIZE_MAX && gn_inhibit_near_scratch(8, 1, 0) == SIZE_MAX);
    CHECK(gn_kuramoto(x, out, 8, NAN, 1, 1, NULL, scratch) == GN_K_VALUE);
    CHECK(gn_kuramoto(x, out, 8, 1, INFINITY, 1, NULL, scratch) == GN_K_VALUE);
    CHECK(gn_kuramoto(x, out, 8, 1, 1, SIZE_MAX, NULL, scratch) == GN_K_SIZE);
    CHECK(gn_kuramoto(x, NULL, 8, 1, 1, 1, NULL, scratch) == GN_K_NULL);
    CHECK(gn_kuramoto_spread(x, 8, NAN) == GN_K_VALUE && gn_kuramoto_gains(x, 8, INFINITY, out) == GN_K_VALUE);
}

static void workspace(void)
{
    size_t bytes = gn_workspace_size(3, 2, 4), count;
    struct guarded state = guarded_new(bytes, 0);
    float about[2] = {1, 2}, contents[6], saliences[3];
    uint64_t ids[8], gone = 0;
    int outcome;
    void *ws = state.data;
    CHECK(gn_workspace_size(0, 0, 0) == 0 && gn_workspace_size(65, 0, 0) == 0 && gn_workspace_size(1, 1u << 21, 0) == 0);
    CHECK(gn_workspace_init(ws, 3, 2, 4, 0) == GN_K_VALUE && gn_workspace_init(ws, 0, 2, 4, 1) == GN_K_SIZE);
    CHECK(gn_workspace_offer(ws, 1, 1, about, NULL, NULL) == GN_K_FORMAT);
    CHECK(gn_workspace_init(ws, 3, 2, 4, 0.1f) == GN_K_OK);
    CHECK(gn_workspace_broadcast(ws, &count, ids, NULL, NULL) == GN_K_OK && count == 0);
    CHECK(gn_workspace_offer(ws, 1, NAN, about, NULL, NULL) == GN_K_VALUE);
    CHECK(gn_workspace_offer(ws, 1, 1, NULL, NULL, NULL) == GN_K_NULL);
    CHECK(gn_workspace_offer(ws, 1, 0.05f, about, &outcome, NULL) == GN_K_OK && outcome == GN_WORKSPACE_REFUSED);
    for (uint64_t id = 1; id <= 3; id++)
        CHECK(gn_workspace_offer(ws, id, (float)id, about, &outcome, NULL) == GN_K_OK && outcome == GN_WORKSPACE_ENTERED);
    CHECK(gn_workspace_offer(ws, 9, 1, about, &outcome, &gone) == GN_K_OK && outcome == GN_WORKSPACE_REFUSED);
    CHECK(gn_workspace_offer(ws, 4, 2.5f, about, &outcome, &gone) == GN_K_OK);
    CHECK(outcome == GN_WORKSPACE_REPLACED && gone == 1);
    about[0] = 7;
    CHECK(gn_workspace_offer(ws, 2, 1, about, &outcome, NULL) == GN_K_OK && outcome == GN_WORKSPACE_RENEWED);
    CHECK(gn_workspace_broadcast(ws, &count, ids, saliences, contents) == GN_K_OK && count == 3);
    CHECK(ids[0] == 3 && ids[1] == 4 && ids[2] == 2 && saliences[2] == 2 && contents[4] == 7 && contents[0] == 1);
    for (int i = 0; i < 10; i++)
        CHECK(gn_workspace_broadcast(ws, &count, NULL, NULL, NULL) == GN_K_OK);
    CHECK(gn_workspace_history(ws, 8, ids, &count) == GN_K_OK && count == 4 && ids[3] == 3);
    CHECK(gn_workspace_decay(ws, 0.045f, &count) == GN_K_OK && count == 2); /* 0.135, 0.11, 0.09 */
    CHECK(gn_workspace_decay(ws, NAN, NULL) == GN_K_VALUE);
    CHECK(gn_workspace_decay(ws, 0, &count) == GN_K_OK && count == 0);
    guarded_free(&state);
}

int main(void)
{
    arguments();
    workspace();
    gn_isa_force(GN_ISA_SERIAL);
    every_size();
    locking();
    FOR_LEVELS(level)
    {
        every_size();
        locking();
    }
    printf("test_kernels_competition: ok\n");
    return 0;
}
