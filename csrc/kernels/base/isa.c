/* What this processor can do, asked once at load: cpuid, the registers the system saves (XCR0), and leave to use tiles.
 *
 * cpuid tells what the silicon has; XCR0 what the system saves at a context switch. An AVX-512 processor under a
 * hypervisor or kernel that does not save the upper registers reports the one without the other, so both are asked.
 * Tile data is 8 KiB a thread: Linux wants to be asked (arch_prctl ARCH_REQ_XCOMP_PERM), once a process, before the
 * first tile instruction. A refusal is "this level is absent", never an error.
 */
#include "base/isa.h"

#include <stdlib.h>
#include <string.h>

#ifdef GN_X86
#include <cpuid.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

int gn_isa_level = GN_ISA_SERIAL;
static unsigned had = 1u << GN_ISA_SERIAL;
static const char *fault;

static const char *const names[GN_ISA_COUNT] = {"serial", "haswell", "skylake", "genoa", "sapphire", "neon"};

static const char *const words[GN_K_STATUS_COUNT] = {
    "done",
    "an array that is needed is missing",
    "a size is out of range",
    "a value is out of range",
    "an output overlaps an input",
    "not supported on this processor's level",
    "bytes that are not what they say they are",
    "no memory",
};

const char *gn_k_error(int status)
{
    return status >= 0 && status < GN_K_STATUS_COUNT ? words[status] : "an unknown status";
}

#ifdef GN_X86
struct leaf {
    unsigned a, b, c, d;
};

static struct leaf ask(unsigned leaf, unsigned sub)
{
    struct leaf told = {0, 0, 0, 0};
    if (!__get_cpuid_count(leaf, sub, &told.a, &told.b, &told.c, &told.d))
        memset(&told, 0, sizeof told);
    return told;
}

static int bits(unsigned word, unsigned wanted) { return (word & wanted) == wanted; }

static unsigned xcr0(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int tiles_allowed(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return 0;
#endif
}

static void detect(void)
{
    struct leaf one = ask(1, 0), seven = ask(7, 0), seven1 = ask(7, 1), far = ask(0x80000001u, 0);
    unsigned saved, fma_f16c_popcnt = 1u << 12 | 1u << 29 | 1u << 23, lzcnt = 1u << 5;
    unsigned avx2_bmi = 1u << 5 | 1u << 3 | 1u << 8, avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    unsigned popcnt_vnni = 1u << 14 | 1u << 11, tile_bf16 = 1u << 24 | 1u << 22;
    if (!bits(one.c, 1u << 27)) /* OSXSAVE: without it xgetbv itself is illegal */
        return;
    saved = xcr0();
    if (!bits(saved, 0x6) || !bits(one.c, fma_f16c_popcnt) || !bits(seven.b, avx2_bmi) || !bits(far.c, lzcnt))
        return;
    had |= 1u << GN_ISA_HASWELL;
    if (!bits(saved, 0xe6) || !bits(seven.b, avx512) || !bits(seven.c, popcnt_vnni))
        return;
    had |= 1u << GN_ISA_SKYLAKE;
    if (!bits(seven1.a, 1u << 5))
        return;
    had |= 1u << GN_ISA_GENOA;
    if (bits(saved, 0x60000) && bits(seven.d, tile_bf16) && tiles_allowed())
        had |= 1u << GN_ISA_SAPPHIRE;
}
#elif defined(GN_ARM)
static void detect(void) { had |= 1u << GN_ISA_NEON; }
#else
static void detect(void) {}
#endif

__attribute__((constructor)) static void choose(void)
{
    const char *wanted = getenv("GANGLION_ISA");
    int level;
    detect();
    gn_isa_level = gn_isa_best();
    if (!wanted || !*wanted)
        return;
    level = gn_isa_find(wanted);
    if (level < 0)
        fault = "GANGLION_ISA names no level: there are serial, haswell, skylake, genoa, sapphire and neon";
    else if (gn_isa_force(level) != GN_K_OK)
        fault = "GANGLION_ISA names a level this machine does not have";
}

const char *gn_isa_name(int level) { return level >= 0 && level < GN_ISA_COUNT ? names[level] : NULL; }

int gn_isa_find(const char *name)
{
    for (int level = 0; name && level < GN_ISA_COUNT; level++)
        if (strcmp(name, names[level]) == 0)
            return level;
    return -1;
}

int gn_isa_has(int level) { return level >= 0 && level < GN_ISA_COUNT && (had >> level & 1u) != 0; }

int gn_isa_best(void)
{
    int level = GN_ISA_COUNT - 1;
    while (!gn_isa_has(level))
        level--;
    return level;
}

int gn_isa_active(void) { return gn_isa_level; }

int gn_isa_force(int level)
{
    if (!gn_isa_has(level))
        return GN_K_UNSUPPORTED;
    gn_isa_level = level;
    return GN_K_OK;
}

const char *gn_isa_fault(void) { return fault; }
