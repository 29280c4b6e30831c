/* What one core of this machine can do at most: the figures that the kernel bench gives shares of.
 *
 * Compiled for the machine it runs on. Prints one JSON object: fma_f32 and bf16 in GFLOP/s (0: no such instruction),
 * load_l1, load_l2, load_l3 and load_dram in GB/s, popcount in GB/s of bits counted. Each is the best of some short
 * runs: a limit, not a mean.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { BYTES = 64 };
#elif defined(__AVX__)
enum { BYTES = 32 };
#else
enum { BYTES = 16 };
#endif
typedef float vector __attribute__((vector_size(BYTES)));
typedef uint64_t words __attribute__((vector_size(BYTES)));
enum { LANES = BYTES / 4, CHAINS = 12, RUNS = 9 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double fma_gflops(void)
{
    enum { ROUNDS = 2000000 };
    double best = 0;
    for (int run = 0; run < RUNS; run++) {
        vector sum[CHAINS], a, b;
        for (int lane = 0; lane < LANES; lane++) {
            a[lane] = 0.999f;
            b[lane] = 1e-3f;
        }
        for (int i = 0; i < CHAINS; i++) {
            sum[i] = a;
            __asm__ volatile("" : "+x"(sum[i])); /* the chains may not be found equal */
        }
        double begin = now();
        for (int round = 0; round < ROUNDS; round++) {
            for (int i = 0; i < CHAINS; i++)
                sum[i] = sum[i] * a + b;
            __asm__ volatile("" : "+x"(a), "+x"(b)); /* the loop may not be folded */
        }
        double rate = 2.0 * LANES * CHAINS * ROUNDS / (now() - begin) * 1e-9;
        for (int i = 0; i < CHAINS; i++)
            __asm__ volatile("" : : "x"(sum[i]));
        if (rate > best)
            best = rate;
    }
    return best;
}

static double bf16_gflops(void)
{
    double best = 0;
#ifdef __AVX512BF16__
    enum { ROUNDS = 1000000 };
    for (int run = 0; run < RUNS; run++) {
        __m512 sum[CHAINS];
        __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f7f);
        for (int i = 0; i < CHAINS; i++) {
            sum[i] = _mm512_setzero_ps();
            __asm__ volatile("" : "+v"(sum[i]));
        }
        double begin = now();
        for (int round = 0; round < ROUNDS; round++) {
            for (int i = 0; i < CHAINS; i++)
                sum[i] = _mm512_dpbf16_ps(sum[i], a, a);
            __asm__ volatile("" : "+v"(a));
        }
        double rate = 64.0 * CHAINS * ROUNDS / (now() - begin) * 1e-9;
        for (int i = 0; i < CHAINS; i++)
            __asm__ volatile("" : : "v"(sum[i]));
        if (rate > best)
            best = rate;
    }
#endif
    return best;
}

static double load_gbs(size_t bytes)
{
    const size_t count = bytes / sizeof(vector), rounds = bytes < 1 << 20 ? (64u << 20) / bytes : (256u << 20) / bytes + 1;
    vector *data = aligned_alloc(4096, bytes);
    double best = 0;
    if (!data)
        return 0;
    memset(data, 0, bytes);
    for (int run = 0; run < RUNS; run++) {
        vector sum[8] = {0};
        double begin = now();
        for (size_t round = 0; round < rounds; round++) {
            for (size_t i = 0; i + 8 <= count; i += 8)
                for (int k = 0; k < 8; k++)
                    sum[k] += data[i + k];
            __asm__ volatile("" : : : "memory");
        }
        double rate = (double)bytes * (double)rounds / (now() - begin) * 1e-9;
        for (int k = 0; k < 8; k++)
            __asm__ volatile("" : : "x"(sum[k]));
        if (rate > best)
            best = rate;
    }
    free(data);
    return best;
}

static double popcount_gbs(void)
{
    enum { COUNT = 16384 / BYTES, ROUNDS = 4000 };
    static words data[COUNT];
    double best = 0;
    for (int run = 0; run < RUNS; run++) {
        uint64_t total = 0;
        double begin = now();
        for (int round = 0; round < ROUNDS; round++) {
            const uint64_t *p = (const uint64_t *)data;
            for (size_t i = 0; i < sizeof data / 8; i++)
                total += (uint64_t)__builtin_popcountll(p[i]);
            __asm__ volatile("" : "+r"(total) : : "memory");
        }
        double rate = (double)sizeof data * ROUNDS / (now() - begin) * 1e-9;
        if (rate > best)
            best = rate;
    }
    return best;
}

int main(void)
{
    printf("{\"fma_f32\": %.1f, \"bf16\": %.1f, \"load_l1\": %.1f, \"load_l2\": %.1f, \"load_l3\": %.1f, "
           "\"load_dram\": %.1f, \"popcount\": %.1f}\n",
           fma_gflops(), bf16_gflops(), load_gbs(16 << 10), load_gbs(384 << 10), load_gbs(6 << 20), load_gbs(512u << 20),
           popcount_gbs());
    return 0;
}
