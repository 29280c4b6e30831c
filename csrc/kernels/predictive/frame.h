/* Frames as bytes: numbers little-endian or as varints, a checksum at the end. Shared by both kinds of stream.
 *
 *     byte 0      family << 4 | kind      family: 10 vectors, 11 telemetry (also the version: a new layout, a new number)
 *     bytes 1, 2  the epoch's low 16 bits
 *     varint      the frame's number in its epoch, from 0
 *     ...         what the kind says (vector.c, telemetry.c)
 *     4 bytes     CRC-32C (Castagnoli) of all before
 *
 * A varint is LEB128: 7 bits a byte, the lowest first, the top bit on all but the last; at most 10 bytes.
 * To change the layout: take the next family number, keep reading the old one.
 */
#ifndef GN_PREDICTIVE_FRAME_H
#define GN_PREDICTIVE_FRAME_H
#include <stddef.h>
#include <stdint.h>

enum frame_family { FRAME_VECTOR = 10, FRAME_TELEMETRY = 11 };
enum frame_kind { FRAME_SPARSE = 0, FRAME_DENSE = 1, FRAME_KEY = 2, FRAME_BEAT = 3, FRAME_KINDS = 4 };
enum { FRAME_OVERHEAD_MAX = 64 }; /* everything but the elements */

struct writer {
    uint8_t *at, *begin;
};
struct writer frame_begin(uint8_t *frame, int family, int kind, uint32_t epoch, uint64_t number);
void put_varint(struct writer *to, uint64_t value);
void put_bytes(struct writer *to, uint64_t value, int bytes);
size_t frame_end(struct writer *to); /* adds the checksum; the frame's length */

/* Reads never pass the end: what is not there sets `bad` and is 0. */
struct reader {
    const uint8_t *at, *end;
    int bad;
};
uint64_t get_varint(struct reader *from);
uint64_t get_bytes(struct reader *from, int bytes);

struct frame_head {
    int kind;
    uint16_t epoch;
    uint64_t number;
};
/* 1 when these bytes are a frame of that family with a right checksum; the reader stands behind the number. */
int frame_open(const uint8_t *frame, size_t length, int family, struct frame_head *head, struct reader *from);

static inline uint64_t zigzag(int64_t value) { return (uint64_t)value << 1 ^ (uint64_t)(value >> 63); }
static inline int64_t zagzig(uint64_t code) { return (int64_t)(code >> 1) ^ -(int64_t)(code & 1); }

/* Which elements of n a delta is about, in rising order, before their codes.
 *     sparse   varint count, then for each a varint: elements skipped since the one before
 *     dense    (n + 7) / 8 bytes, the lowest bit of the first for element 0; unused bits 0 */
int places_kind(size_t count, size_t n); /* the shorter of the two, about; a beat for count 0 */
void put_places(struct writer *to, int kind, const int32_t *at, size_t count, size_t n);
struct places {
    struct reader from;
    int kind;
    size_t n, next, left;
};
/* Moves `from` behind the places; 0: they are not right. Then places_next tells them, n at the end. */
int places_open(struct places *places, struct reader *from, int kind, size_t n);
size_t places_next(struct places *places);

/* What a decoder does with a frame, by its head and, for a keyframe, its whole epoch. */
struct place {
    uint32_t epoch;
    uint64_t next; /* the number awaited */
    int begun, in_step;
};
int place_of(const struct place *place, const struct frame_head *head, uint32_t key_epoch); /* enum gn_frame_outcome */
#endif
