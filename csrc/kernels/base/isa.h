/* For the families: which table of functions to use.
 *
 *     static const struct gn_selection_ops *const levels[GN_ISA_COUNT] = GN_LEVELS(gn_selection);
 *     levels[gn_isa_level]->kwta(...)
 *
 * GN_LEVELS(stem) names stem_serial, stem_haswell, stem_skylake and stem_neon; levels above skylake share its table.
 * GN_LEVELS_BF16 also has stem_genoa and stem_sapphire. Levels of another processor are NULL and never active.
 */
#ifndef GN_KERNELS_ISA_H
#define GN_KERNELS_ISA_H
#include "ganglion/kernels/base.h"

extern int gn_isa_level; /* always one that gn_isa_has */

#if defined(__x86_64__)
#define GN_X86 1
#define GN_LEVELS(stem) {&stem##_serial, &stem##_haswell, &stem##_skylake, &stem##_skylake, &stem##_skylake, NULL}
#define GN_LEVELS_BF16(stem) {&stem##_serial, &stem##_haswell, &stem##_skylake, &stem##_genoa, &stem##_sapphire, NULL}
#elif defined(__aarch64__)
#define GN_ARM 1
#define GN_LEVELS(stem) {&stem##_serial, NULL, NULL, NULL, NULL, &stem##_neon}
#define GN_LEVELS_BF16(stem) GN_LEVELS(stem)
#else
#define GN_LEVELS(stem) {&stem##_serial, NULL, NULL, NULL, NULL, NULL}
#define GN_LEVELS_BF16(stem) GN_LEVELS(stem)
#endif
#endif
