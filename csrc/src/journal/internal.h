/* internal.h - what the files of csrc/src/journal share. */
#ifndef GN_JOURNAL_INTERNAL_H
#define GN_JOURNAL_INTERNAL_H

#include "ganglion/journal.h"

/* crc.c: the reference that every processor's own way must equal. */
uint32_t gn_crc32c_table(uint32_t crc, const uint8_t *bytes, size_t len);

/* frame.c: CRC32C over the salt as eight bytes, highest first: what sums and checksums begin with. */
uint32_t gn_journal_salted(uint64_t salt);
/* The commit line at text[0..len) (LF included), when it is genuine under this salt. Its length, or 0. */
size_t gn_journal_commit_read(const uint8_t *text, size_t len, uint32_t salted, uint64_t *batch, uint64_t *bytes, uint32_t *crc,
                              size_t *covered); /* covered: bytes of the line that crc is over */

#endif
