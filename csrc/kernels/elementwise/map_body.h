/* A function of simd/math.h over an array: whole vectors, then what is left. */

SIMD vf map_sin(vf x)
{
    vf sine, cosine;
    vf_sincos(x, &sine, &cosine);
    return sine;
}

SIMD vf map_cos(vf x)
{
    vf sine, cosine;
    vf_sincos(x, &sine, &cosine);
    return cosine;
}

#define MAP(name, function)                                       \
    static void name(const float *x, size_t n, float *out)        \
    {                                                             \
        size_t i = 0;                                             \
        for (; i + VL <= n; i += VL)                              \
            vf_store(out + i, function(vf_load(x + i)));          \
        if (i < n)                                                \
            vf_store_n(out + i, function(vf_load_n(x + i, n - i)), n - i); \
    }
MAP(map_exp, vf_exp)
MAP(map_log, vf_log)
MAP(map_tanh, vf_tanh)
MAP(map_sigmoid, vf_sigmoid)
MAP(map_softplus, vf_softplus)
MAP(map_sine, map_sin)
MAP(map_cosine, map_cos)

#define HALVES(halve, unhalve, kind)                                            \
    static void halve(const float *x, size_t n, uint16_t *out)                  \
    {                                                                           \
        size_t i = 0;                                                           \
        for (; i + VL <= n; i += VL)                                            \
            vf_store_##kind(out + i, vf_load(x + i));                           \
        if (i < n)                                                              \
            vf_store_##kind##_n(out + i, vf_load_n(x + i, n - i), n - i);       \
    }                                                                           \
    static void unhalve(const uint16_t *x, size_t n, float *out)                \
    {                                                                           \
        size_t i = 0;                                                           \
        for (; i + VL <= n; i += VL)                                            \
            vf_store(out + i, vf_load_##kind(x + i));                           \
        if (i < n)                                                              \
            vf_store_n(out + i, vf_load_##kind##_n(x + i, n - i), n - i);       \
    }
HALVES(halve_f16, unhalve_f16, f16)
HALVES(halve_bf16, unhalve_bf16, bf16)

const struct gn_elementwise_ops SIMD_NAME(gn_elementwise) = {
    .map = {map_exp, map_log, map_tanh, map_sigmoid, map_softplus, map_sine, map_cosine},
    .halve = {halve_f16, halve_bf16},
    .unhalve = {unhalve_f16, unhalve_bf16},
};
