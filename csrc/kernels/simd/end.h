/* The last line of a level's file: ends what its simd header began. */
#ifdef __clang__
#ifdef SIMD_TARGET_PUSHED
#pragma clang attribute pop
#undef SIMD_TARGET_PUSHED
#endif
#endif
