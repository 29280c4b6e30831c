/* What all kernels share: status codes, the level of the processor in use, a pool of threads.
 *
 * Conventions of every function below include/ganglion/kernels/:
 * - Arrays are dense, row-major and need no alignment beyond their element's. Sizes are size_t, in elements.
 * - A function returns GN_K_OK or a status below; it never allocates, prints or asserts. What it needs besides its
 *   arguments is `scratch`: gn_NAME_scratch(...) bytes, aligned to 64, contents undefined before and after.
 * - `pool` may be NULL: the calling thread does the work. Results do not depend on the number of threads.
 * - Outputs may not overlap inputs unless the function says so. Sizes of 0 are defined and write what is there to write.
 * - float16 and bfloat16 arrays are uint16_t *.
 */
#ifndef GANGLION_KERNELS_BASE_H
#define GANGLION_KERNELS_BASE_H
#include <stddef.h>
#include <stdint.h>

// <cdef>
enum gn_k_status {
    GN_K_OK = 0,
    GN_K_NULL = 1,        /* an array that is needed is NULL */
    GN_K_SIZE = 2,        /* a size is out of the range the function states, or a product of sizes overflows */
    GN_K_VALUE = 3,       /* a scalar or an entry of an index array is out of range */
    GN_K_OVERLAP = 4,     /* an output overlaps an input */
    GN_K_UNSUPPORTED = 5, /* the combination asked for does not exist on this level */
    GN_K_FORMAT = 6,      /* bytes from outside (a frame, a stored state) that are not what they say they are */
    GN_K_MEMORY = 7,      /* only from functions that open something */
    GN_K_STATUS_COUNT = 8
};
const char *gn_k_error(int status); /* in words; never NULL */

enum gn_isa {
    GN_ISA_SERIAL = 0,   /* plain C, the reference */
    GN_ISA_HASWELL = 1,  /* AVX2, FMA, F16C, BMI2 */
    GN_ISA_SKYLAKE = 2,  /* AVX-512 F, BW, DQ, VL, VNNI, VPOPCNTDQ */
    GN_ISA_GENOA = 3,    /* and AVX512_BF16 */
    GN_ISA_SAPPHIRE = 4, /* and AMX tiles with bf16, allowed by the system */
    GN_ISA_NEON = 5,     /* AArch64 Advanced SIMD */
    GN_ISA_COUNT = 6
};
const char *gn_isa_name(int level);       /* "serial", ...; NULL when there is no such level */
int gn_isa_find(const char *name);        /* the level of that name, or -1 */
int gn_isa_has(int level);                /* 1: this machine and this build have it */
int gn_isa_best(void);                    /* the highest it has */
int gn_isa_active(void);                  /* the one in use: GANGLION_ISA at load, else the best */
int gn_isa_force(int level);              /* for tests and benches, no kernel running: GN_K_UNSUPPORTED if not had */
const char *gn_isa_fault(void);           /* what was wrong with GANGLION_ISA in words, or NULL */

typedef struct gn_pool gn_pool;
gn_pool *gn_pool_open(int threads);       /* 1..256, the caller's thread included; NULL: wrong number, no memory */
void gn_pool_close(gn_pool *pool);        /* waits for its threads; NULL is allowed */
int gn_pool_threads(const gn_pool *pool); /* 1 for NULL */
// </cdef>
#endif
