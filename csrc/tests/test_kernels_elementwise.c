/* Functions of one number: within their bounds of the C library's in double, on every level, at every length. */
#include "kernel_check.h"

static double soft_plus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
static double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

static const struct {
    double (*truth)(double);
    float low, high;
    double ulps, absolute;
} functions[GN_MAP_COUNT] = {
    [GN_MAP_EXP] = {exp, -87, 88.7f, 1.2, 0},
    [GN_MAP_LOG] = {log, 1e-38f, 3e38f, 2, 0},
    [GN_MAP_TANH] = {tanh, -12, 12, 3, 0},
    [GN_MAP_SIGMOID] = {sigmoid, -80, 80, 3, 0},
    [GN_MAP_SOFTPLUS] = {soft_plus, -80, 80, 2, 2e-7},
    [GN_MAP_SIN] = {sin, -8192, 8192, 0, 2e-7},
    [GN_MAP_COS] = {cos, -8192, 8192, 0, 2e-7},
};

static double ulp(double x)
{
    float at = fabsf((float)x);
    return (double)nextafterf(at, INFINITY) - (double)at;
}

static void check_value(int function, float x, float y)
{
    double truth = functions[function].truth((double)x);
    double allowed = functions[function].ulps * ulp(truth) + functions[function].absolute;
    if (!(fabs((double)y - truth) <= allowed)) {
        fprintf(stderr, "function %d (%.9g) = %.9g, not %.9g: %.2f ulp off\n", function, (double)x, (double)y, truth,
                fabs((double)y - truth) / ulp(truth));
        CHECK(!"within its bound");
    }
}

static void accuracy(void)
{
    enum { COUNT = 60000 };
    static float x[COUNT], y[COUNT];
    for (int function = 0; function < GN_MAP_COUNT; function++) {
        float low = functions[function].low, high = functions[function].high;
        for (int i = 0; i < COUNT; i++) {
            x[i] = low + (float)random_unit() * (high - low);
            if (i % 3 == 1)
                x[i] = fmaxf(low, random_normal());
            if (function == GN_MAP_LOG && i % 3 == 2)
                x[i] = expf(-80 + 160 * (float)random_unit());
        }
        CHECK(gn_map(function, x, COUNT, y) == GN_K_OK);
        for (int i = 0; i < COUNT; i++)
            check_value(function, x[i], y[i]);
    }
}

static void ends(void)
{
    const float odd[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-45f, -200, 200, 88.8f, -103, 3e38f, -1};
    float y[12];
    CHECK(gn_map(GN_MAP_EXP, odd, 12, y) == GN_K_OK);
    CHECK(isnan(y[0]) && isinf(y[1]) && y[2] == 0 && y[3] == 1 && y[4] == 1 && y[5] == 1 && y[6] == 0);
    CHECK(isinf(y[7]) && isinf(y[8]) && y[9] > 0 && y[9] < 1e-44f && isinf(y[10]));
    CHECK(gn_map(GN_MAP_LOG, odd, 12, y) == GN_K_OK);
    CHECK(isnan(y[0]) && y[1] == INFINITY && isnan(y[2]) && y[3] == -INFINITY && y[4] == -INFINITY);
    CHECK(fabsf(y[5] + 103.27893f) < 1e-4f && isnan(y[11]));
    CHECK(gn_map(GN_MAP_TANH, odd, 12, y) == GN_K_OK);
    CHECK(isnan(y[0]) && y[1] == 1 && y[2] == -1 && y[3] == 0 && y[4] == 0 && y[5] == 1e-45f && y[6] == -1);
    CHECK(gn_map(GN_MAP_SIGMOID, odd, 12, y) == GN_K_OK);
    CHECK(isnan(y[0]) && y[1] == 1 && y[2] == 0 && y[3] == 0.5f && y[7] == 1);
    CHECK(gn_map(GN_MAP_SOFTPLUS, odd, 12, y) == GN_K_OK);
    CHECK(isnan(y[0]) && y[1] == INFINITY && y[2] == 0 && y[6] == 0 && y[7] == 200 && y[10] == 3e38f);
    CHECK(gn_map(GN_MAP_SIN, odd, 12, y) == GN_K_OK);
    CHECK(isnan(y[0]) && isnan(y[1]) && isnan(y[2]) && y[3] == 0);
    CHECK(gn_map(GN_MAP_COUNT, odd, 1, y) == GN_K_VALUE && gn_map(-1, odd, 1, y) == GN_K_VALUE);
    CHECK(gn_map(0, NULL, 1, y) == GN_K_NULL && gn_map(0, odd, 1, NULL) == GN_K_NULL);
    CHECK(gn_map(0, NULL, 0, NULL) == GN_K_OK);
}

static void lengths(void)
{
    for (size_t n = 0; n <= 257; n++)
        for (size_t skew = 0; skew < 32; skew += n < 40 ? 4 : 28) {
            struct guarded x = guarded_new(n * 4, skew), y = guarded_new(n * 4, 28 - skew), z = guarded_new(n * 4, skew);
            for (size_t i = 0; i < n; i++) {
                float value = random_normal();
                memcpy(x.data + i * 4, &value, 4);
            }
            int function = (int)(n % GN_MAP_COUNT), level = gn_isa_active();
            CHECK(gn_map(function, (float *)(void *)x.data, n, (float *)(void *)y.data) == GN_K_OK);
            gn_isa_force(GN_ISA_SERIAL);
            CHECK(gn_map(function, (float *)(void *)x.data, n, (float *)(void *)z.data) == GN_K_OK);
            gn_isa_force(level);
            for (size_t i = 0; i < n; i++) {
                float a, b;
                memcpy(&a, y.data + i * 4, 4);
                memcpy(&b, z.data + i * 4, 4);
                CHECK(isnan(a) ? isnan(b) : fabsf(a - b) <= 4e-7f * fmaxf(1, fabsf(b)));
            }
            guarded_free(&x);
            guarded_free(&y);
            guarded_free(&z);
        }
}

/* Every 16-bit number there and back; every float32 that lies on, just above and just below the middle of two. */
static void halves(void)
{
    enum { ALL = 1 << 16 };
    static uint16_t in[ALL], back[ALL], serial[ALL];
    static float wide[ALL], near[ALL];
    for (int half = 0; half < GN_HALF_COUNT; half++) {
        for (int i = 0; i < ALL; i++)
            in[i] = (uint16_t)i;
        CHECK(gn_unhalve(half, in, ALL, wide) == GN_K_OK && gn_halve(half, wide, ALL, back) == GN_K_OK);
        for (int i = 0; i < ALL; i++)
            CHECK(isnan(wide[i]) ? isnan(wide[i]) : back[i] == in[i]);
        for (int side = -1; side <= 1; side++) {
            for (int i = 0; i < ALL; i++) {
                float next = i + 1 < ALL ? wide[i + 1] : 0, middle = (float)(((double)wide[i] + (double)next) / 2);
                near[i] = side == 0 ? middle : nextafterf(middle, side < 0 ? -INFINITY : INFINITY);
            }
            int level = gn_isa_active();
            CHECK(gn_halve(half, near, ALL, back) == GN_K_OK);
            gn_isa_force(GN_ISA_SERIAL);
            CHECK(gn_halve(half, near, ALL, serial) == GN_K_OK);
            gn_isa_force(level);
            for (int i = 0; i < ALL; i++)
                CHECK(isnan(near[i]) || back[i] == serial[i]);
        }
        for (size_t n = 0; n < 40; n++) {
            struct guarded x = guarded_new(n * 2, n % 3 * 2), y = guarded_new(n * 4, n % 5 * 4), z = guarded_new(n * 2, n % 2 * 2);
            memset(x.data, 0x3c, n * 2);
            CHECK(gn_unhalve(half, (uint16_t *)(void *)x.data, n, (float *)(void *)y.data) == GN_K_OK);
            CHECK(gn_halve(half, (float *)(void *)y.data, n, (uint16_t *)(void *)z.data) == GN_K_OK);
            CHECK(memcmp(x.data, z.data, n * 2) == 0);
            guarded_free(&x);
            guarded_free(&y);
            guarded_free(&z);
        }
    }
}

/* The serial conversion against arithmetic: the nearest of all 16-bit numbers, ties to the even one. */
static void serial_halves(void)
{
    gn_isa_force(GN_ISA_SERIAL);
    for (int i = 0; i < 200000; i++) {
        float x = ldexpf((float)random_unit() * 2 - 1, (int)(random_u64() % 44) - 28), below, above, y;
        uint16_t h, neighbours[2];
        CHECK(gn_halve(GN_F16, &x, 1, &h) == GN_K_OK && gn_unhalve(GN_F16, &h, 1, &y) == GN_K_OK);
        if (isinf(y) || (h & 0x7fff) == 0)
            continue;
        neighbours[0] = (uint16_t)(h - 1);
        neighbours[1] = (uint16_t)(h + 1);
        CHECK(gn_unhalve(GN_F16, neighbours, 1, &below) == GN_K_OK && gn_unhalve(GN_F16, neighbours + 1, 1, &above) == GN_K_OK);
        CHECK(fabs((double)y - (double)x) <= fabs((double)below - (double)x));
        CHECK(isinf(above) || fabs((double)y - (double)x) <= fabs((double)above - (double)x));
    }
}

int main(void)
{
    serial_halves();
    for (int level = 0; level < GN_ISA_COUNT; level++)
        if (gn_isa_force(level) == GN_K_OK) {
            accuracy();
            ends();
            lengths();
            halves();
        }
    printf("test_kernels_elementwise: ok\n");
    return 0;
}
