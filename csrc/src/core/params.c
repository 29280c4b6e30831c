/* params.c - parameter texts "key=value;key=value", taken apart and put together without decoding. */
#include "core/internal.h"

/* enum gn_param of a key, or -1. */
static int id_of(const char *key, size_t len)
{
    for (int i = 0; i < GN_PARAM_COUNT; i++) {
        const char *known = gn_param_key(i);
        if (known[0] == key[0] && strlen(known) == len && memcmp(known, key, len) == 0)
            return i;
    }
    return -1;
}

int gn_pair_next(const char **at, const char *end, struct gn_pair *out)
{
    if (*at >= end)
        return 0;
    const char *stop = memchr(*at, ';', (size_t)(end - *at));
    if (stop == NULL)
        stop = end;
    const char *equals = memchr(*at, '=', (size_t)(stop - *at));
    if (equals == NULL)
        equals = stop; /* the parser lets no such pair through */
    out->key = *at;
    out->key_len = (uint32_t)(equals - *at);
    out->value = equals < stop ? equals + 1 : stop;
    out->value_len = (uint32_t)(stop - out->value);
    out->id = id_of(out->key, out->key_len);
    *at = stop < end ? stop + 1 : end;
    return 1;
}

ptrdiff_t gn_pairs_put(char *dst, size_t len, size_t cap, const char *key, const char *value, size_t value_len)
{
    size_t key_len = strlen(key);
    if (len + key_len + value_len + 2 > cap)
        return -1;
    if (len > 0)
        dst[len++] = ';';
    memcpy(dst + len, key, key_len);
    len += key_len;
    dst[len++] = '=';
    if (value_len > 0)
        memcpy(dst + len, value, value_len);
    return (ptrdiff_t)(len + value_len);
}

ptrdiff_t gn_pairs_copy(char *dst, size_t len, size_t cap, const char *text, size_t text_len, uint64_t drop)
{
    const char *at = text, *end = text + text_len;
    struct gn_pair pair;
    while (gn_pair_next(&at, end, &pair)) {
        if (pair.id >= 0 && (drop >> pair.id & 1))
            continue;
        size_t n = (size_t)(pair.value + pair.value_len - pair.key);
        if (len + n + 1 > cap)
            return -1;
        if (len > 0)
            dst[len++] = ';';
        memcpy(dst + len, pair.key, n);
        len += n;
    }
    return (ptrdiff_t)len;
}

int gn_pairs_have(const char *text, size_t len, const char *key, size_t key_len)
{
    const char *at = text, *end = text + len;
    struct gn_pair pair;
    while (gn_pair_next(&at, end, &pair))
        if (pair.key_len == key_len && memcmp(pair.key, key, key_len) == 0)
            return 1;
    return 0;
}

/* The next name of a comma-separated value, percent-decoded. An empty name is bad. */
int gn_comma_next(const uint8_t **at, const uint8_t *end, char *dst, size_t cap, size_t *len)
{
    if (*at >= end)
        return 0;
    const uint8_t *stop = memchr(*at, ',', (size_t)(end - *at));
    size_t raw = (size_t)((stop == NULL ? end : stop) - *at);
    uint8_t text[GN_HEADER_BYTES_MAX];
    ptrdiff_t n = raw > sizeof text ? -1 : gn_unescape(*at, raw, text, sizeof text);
    if (n <= 0 || (size_t)n > cap || (stop != NULL && stop + 1 == end)) {
        *at = end;
        return -1;
    }
    memcpy(dst, text, (size_t)n);
    *len = (size_t)n;
    *at = stop == NULL ? end : stop + 1;
    return 1;
}
