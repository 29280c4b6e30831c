/* crc.c - CRC32C: with the processor's own instruction where it has one, by tables otherwise.
 *
 * The polynomial is 0x1EDC6F41, bits reflected (0x82F63B78), begun with and ended by all ones. The tables are those of
 * "slicing by 8" (Kounavis and Berry, 2005): table[k][b] is the CRC of byte b followed by k zero bytes.
 */
#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "journal/internal.h"

#define POLYNOMIAL UINT32_C(0x82F63B78)

static uint32_t table[8][256];

__attribute__((constructor)) static void fill(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;

        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        table[0][b] = crc;
    }
    for (uint32_t b = 0; b < 256; b++)
        for (int k = 1; k < 8; k++)
            table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 255];
}

static uint32_t byte_by_byte(uint32_t crc, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        crc = crc >> 8 ^ table[0][(crc ^ bytes[i]) & 255];
    return crc;
}

uint32_t gn_crc32c_table(uint32_t crc, const uint8_t *bytes, size_t len)
{
    crc = ~crc;
    for (; len >= 8; bytes += 8, len -= 8) {
        uint32_t low = crc ^ ((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24);

        crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24] ^
              table[3][bytes[4]] ^ table[2][bytes[5]] ^ table[1][bytes[6]] ^ table[0][bytes[7]];
    }
    return ~byte_by_byte(crc, bytes, len);
}

#if defined(__x86_64__)
#define OWN_WAY "sse4.2"

__attribute__((target("sse4.2"))) static uint32_t own_way(uint32_t crc, const uint8_t *bytes, size_t len)
{
    uint64_t sum = ~crc, word;

    for (; len >= 8; bytes += 8, len -= 8) {
        memcpy(&word, bytes, 8);
        sum = __builtin_ia32_crc32di(sum, word);
    }
    crc = (uint32_t)sum;
    for (; len; bytes++, len--)
        crc = __builtin_ia32_crc32qi(crc, *bytes);
    return ~crc;
}

static int has_own_way(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") != 0;
}
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define OWN_WAY "armv8"
#define HAS_CRC32 (1UL << 7) /* HWCAP_CRC32 of asm/hwcap.h */

static uint32_t own_way(uint32_t crc, const uint8_t *bytes, size_t len)
{
    uint64_t word;

    crc = ~crc;
    for (; len >= 8; bytes += 8, len -= 8) {
        memcpy(&word, bytes, 8);
        __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    }
    for (; len; bytes++, len--)
        __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)*bytes));
    return ~crc;
}

static int has_own_way(void)
{
    return (getauxval(AT_HWCAP) & HAS_CRC32) != 0;
}
#else
#define OWN_WAY "table"

static uint32_t own_way(uint32_t crc, const uint8_t *bytes, size_t len)
{
    return gn_crc32c_table(crc, bytes, len);
}

static int has_own_way(void)
{
    return 1;
}
#endif

static int own; /* set before main, never again */

__attribute__((constructor)) static void choose(void)
{
    own = has_own_way();
}

uint32_t gn_crc32c(uint32_t crc, const uint8_t *bytes, size_t len)
{
    return own ? own_way(crc, bytes, len) : gn_crc32c_table(crc, bytes, len);
}

const char *gn_crc32c_how(void)
{
    return own ? OWN_WAY : "table";
}
