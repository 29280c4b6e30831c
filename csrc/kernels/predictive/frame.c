/* Frames: bytes, checksums, and which frame comes next. */
#include "predictive/frame.h"

#include "ganglion/kernels/predictive.h"

#include <string.h>

enum { HEAD_MIN = 4, CHECKSUM = 4 };

static uint32_t table[8][256];

/* CRC-32C, reflected, polynomial 0x1EDC6F41; eight bytes a step (Kounavis and Berry 2005). */
__attribute__((constructor)) static void make_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        table[0][i] = crc;
    }
    for (int t = 1; t < 8; t++)
        for (uint32_t i = 0; i < 256; i++)
            table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 255u];
}

static uint32_t checksum(const uint8_t *p, size_t n)
{
    uint32_t crc = ~0u;
    for (; n >= 8; p += 8, n -= 8) {
        crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        crc = table[7][crc & 255u] ^ table[6][crc >> 8 & 255u] ^ table[5][crc >> 16 & 255u] ^ table[4][crc >> 24] ^
              table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    for (; n; p++, n--)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 255u];
    return ~crc;
}

void put_varint(struct writer *to, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        *to->at++ = (uint8_t)(value | 128);
    *to->at++ = (uint8_t)value;
}

void put_bytes(struct writer *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *to->at++ = (uint8_t)(value >> 8 * i);
}

struct writer frame_begin(uint8_t *frame, int family, int kind, uint32_t epoch, uint64_t number)
{
    struct writer to = {frame, frame};
    *to.at++ = (uint8_t)(family << 4 | kind);
    put_bytes(&to, epoch, 2);
    put_varint(&to, number);
    return to;
}

size_t frame_end(struct writer *to)
{
    put_bytes(to, checksum(to->begin, (size_t)(to->at - to->begin)), CHECKSUM);
    return (size_t)(to->at - to->begin);
}

uint64_t get_varint(struct reader *from)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 70 && from->at < from->end; shift += 7) {
        uint8_t byte = *from->at++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
    from->bad = 1;
    return 0;
}

uint64_t get_bytes(struct reader *from, int bytes)
{
    uint64_t value = 0;
    if (from->end - from->at < bytes) {
        from->bad = 1;
        from->at = from->end;
        return 0;
    }
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)*from->at++ << 8 * i;
    return value;
}

int frame_open(const uint8_t *frame, size_t length, int family, struct frame_head *head, struct reader *from)
{
    struct reader sum;
    if (!frame || length < HEAD_MIN + CHECKSUM || frame[0] >> 4 != family || (frame[0] & 15) >= FRAME_KINDS)
        return 0;
    sum = (struct reader){frame + length - CHECKSUM, frame + length, 0};
    if (get_bytes(&sum, CHECKSUM) != checksum(frame, length - CHECKSUM))
        return 0;
    *from = (struct reader){frame + 1, frame + length - CHECKSUM, 0};
    head->kind = frame[0] & 15;
    head->epoch = (uint16_t)get_bytes(from, 2);
    head->number = get_varint(from);
    return !from->bad;
}

int places_kind(size_t count, size_t n)
{
    if (!count)
        return FRAME_BEAT;
    return count > n / 8 ? FRAME_DENSE : FRAME_SPARSE;
}

void put_places(struct writer *to, int kind, const int32_t *at, size_t count, size_t n)
{
    if (kind == FRAME_SPARSE) {
        put_varint(to, count);
        for (size_t i = 0; i < count; i++)
            put_varint(to, (uint64_t)(at[i] - (i ? at[i - 1] + 1 : 0)));
    } else if (kind == FRAME_DENSE) {
        memset(to->at, 0, (n + 7) / 8);
        for (size_t i = 0; i < count; i++)
            to->at[at[i] / 8] |= (uint8_t)(1u << at[i] % 8);
        to->at += (n + 7) / 8;
    }
}

static int sparse_open(struct reader *from, size_t n, uint64_t count)
{
    uint64_t next = 0;
    if (from->bad || count > n)
        return 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t gap = get_varint(from);
        if (from->bad || gap >= n - next)
            return 0;
        next += gap + 1;
    }
    return 1;
}

int places_open(struct places *places, struct reader *from, int kind, size_t n)
{
    size_t bytes = (n + 7) / 8;
    *places = (struct places){*from, kind, n, 0, 0};
    if (kind == FRAME_SPARSE) {
        places->left = (size_t)get_varint(&places->from);
        *from = places->from;
        return sparse_open(from, n, places->left);
    }
    if (kind == FRAME_DENSE) {
        if ((size_t)(from->end - from->at) < bytes || (n % 8 && from->at[bytes - 1] >> n % 8))
            return 0;
        from->at += bytes;
    }
    return 1;
}

size_t places_next(struct places *places)
{
    size_t n = places->n;
    if (places->kind == FRAME_SPARSE && places->left) {
        size_t here = places->next + (size_t)get_varint(&places->from);
        places->left--;
        places->next = here + 1;
        return here;
    }
    for (; places->kind == FRAME_DENSE && places->next < n; places->next++)
        if (places->from.at[places->next / 8] >> places->next % 8 & 1)
            return places->next++;
    return n;
}

int place_of(const struct place *place, const struct frame_head *head, uint32_t key_epoch)
{
    if (head->kind == FRAME_KEY) {
        int32_t newer = (int32_t)(key_epoch - place->epoch);
        if (place->begun && (newer < 0 || (newer == 0 && head->number < place->next)))
            return GN_FRAME_OLD;
        return GN_FRAME_APPLIED;
    }
    if (!place->begun)
        return GN_FRAME_LOST;
    if (head->epoch != (uint16_t)place->epoch)
        return (int16_t)(head->epoch - (uint16_t)place->epoch) < 0 ? GN_FRAME_OLD : GN_FRAME_LOST;
    if (head->number < place->next)
        return GN_FRAME_OLD;
    return head->number == place->next && place->in_step ? GN_FRAME_APPLIED : GN_FRAME_LOST;
}
