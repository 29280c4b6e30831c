/* What every function of this family refuses, for elements of any size. */
#ifndef GN_ATTENTION_CHECK_H
#define GN_ATTENTION_CHECK_H
#include "ganglion/kernels/attention.h"

/* Sizes and distances below this cannot overflow a sum of a few of them, nor a ptrdiff_t. */
#define GN_SDPA_EXTENT_MAX ((size_t)PTRDIFF_MAX / 16)

/* The status of these arguments; `element` is the bytes of an element of q, k, v and out. */
int gn_sdpa_check(const struct gn_sdpa *shape, const void *q, const void *k, const void *v, const uint8_t *mask,
                  const float *bias, const void *out, size_t element);
#endif
