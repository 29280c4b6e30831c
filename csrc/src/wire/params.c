/* params.c - the ";key=value" part of a header. */
#include "ganglion/wire.h"

#include <string.h>

#include "wire/chars.h"

#define TIME_MAX ((UINT64_C(1) << 53) - 1) /* ms; exact in every language, and no sum of two overflows */

int gn_number(const uint8_t *text, size_t len, uint64_t *value)
{
    uint64_t n = 0;

    if (!len)
        return 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = text[i] - '0';

        if (digit > 9 || n > (UINT64_MAX - digit) / 10)
            return 0;
        n = n * 10 + digit;
    }
    *value = n;
    return 1;
}

/* How many hexadecimal digits follow the "%" at text[i]: two, or it is not a percent code. */
static uint32_t hex_behind(const uint8_t *text, uint32_t i, uint32_t len)
{
    uint32_t k = 0;

    while (k < 2 && i + 1 + k < len && gn_is(text[i + 1 + k], GN_CHAR_HEX))
        k++;
    return k;
}

/* Stop the walk with a code at text[at]. */
static int stop(struct gn_walk *walk, uint32_t at, uint32_t len, int code)
{
    walk->at = at;
    walk->ended = at == len;
    return code;
}

int gn_params_walk(const uint8_t *text, uint32_t len, struct gn_walk *walk)
{
    uint32_t i = 0;

    *walk = (struct gn_walk){.len_off = UINT32_MAX};
    for (;;) {
        uint32_t key = i, value;

        if (i < len && gn_is(text[i], GN_CHAR_KEY_FIRST))
            while (i < len && gn_is(text[i], GN_CHAR_KEY))
                i++;
        if (i == len || i == key || i - key > GN_KEY_BYTES_MAX || text[i] != '=')
            return stop(walk, i, len, GN_BAD_PARAM);
        value = ++i;
        for (;; i++) {
            uint32_t hex;

            while (i < len && gn_is(text[i], GN_CHAR_VALUE))
                i++;
            if (i == len || text[i] != '%')
                break;
            hex = hex_behind(text, i, len);
            if (hex < 2)
                return stop(walk, i + 1 + hex, len, GN_BAD_PERCENT);
            i += 2;
        }
        if (value - key == 4 && !memcmp(text + key, "len", 3)) {
            walk->len_off = value;
            walk->len_len = i - value;
        }
        walk->at = i;
        if (i == len || text[i] == ':')
            return GN_OK;
        if (text[i++] != ';')
            return stop(walk, i - 1, len, GN_BAD_PARAM);
    }
}

/* Where a parameter's value goes, and the largest number it may be (numbers only). */
struct place {
    uint16_t number, span; /* offsets in gn_params; one of them counts */
    uint64_t max;          /* 0: text, not a number */
};

#define NUMBER(name, field, most) [GN_PARAM_##name] = {offsetof(gn_params, field), 0, most}
#define TEXT(name, field) [GN_PARAM_##name] = {0, offsetof(gn_params, field), 0}

static const struct place places[GN_PARAM_COUNT] = {
    NUMBER(TS, ts, TIME_MAX),       NUMBER(PRIO, prio, GN_PRIO_MAX), NUMBER(TTL, ttl, TIME_MAX),
    NUMBER(DELAY, delay, TIME_MAX), NUMBER(LEASE, lease, TIME_MAX),  NUMBER(TRIES, tries, UINT32_MAX),
    NUMBER(TRY, try_, UINT32_MAX),  NUMBER(TOKEN, token, UINT64_MAX), NUMBER(SEQ, seq, UINT64_MAX),
    NUMBER(ACK, ack, 1),            NUMBER(KEEP, keep, TIME_MAX),    NUMBER(TRACE, trace, 1),
    NUMBER(ONCE, once, 1),
    TEXT(FROM, from),               TEXT(VIA, via),                  TEXT(AFTER, after),
    TEXT(CT, ct),                   TEXT(SHAPE, shape),              TEXT(BLOB, blob),
    TEXT(TP, tp),                   TEXT(NEED, need),                TEXT(HOPS, hops),
    TEXT(DUP, dup),                 TEXT(RETRY, retry),              TEXT(NEEDS, needs),
    TEXT(KEY, key),                 TEXT(LABEL, label),
};

static int store(gn_params *out, const uint8_t *buf, int param, gn_span value)
{
    const struct place *place = &places[param];
    uint64_t number;

    if (param == GN_PARAM_LEN) { /* it belongs to the framing: gn_parse has used it */
        if (!gn_number(buf + value.off, value.len, &number))
            return GN_BAD_NUMBER;
    } else if (place->max) {
        if (!gn_number(buf + value.off, value.len, &number) || number > place->max)
            return GN_BAD_NUMBER;
        memcpy((char *)out + place->number, &number, sizeof number);
    } else {
        memcpy((char *)out + place->span, &value, sizeof value);
    }
    out->present |= UINT64_C(1) << param;
    return GN_OK;
}

/* The next "key=value" of text at *at; 1, or 0 at the end or where there is no "=". */
static int next_pair(const uint8_t *buf, uint32_t *at, uint32_t end, gn_span *key, gn_span *value)
{
    uint32_t i = *at, start = i;

    if (i >= end)
        return 0;
    while (i < end && gn_is(buf[i], GN_CHAR_KEY))
        i++;
    if (i == end || i == start || buf[i] != '=')
        return 0;
    *key = (gn_span){start, i - start};
    start = ++i;
    while (i < end && buf[i] != ';')
        i++;
    *value = (gn_span){start, i - start};
    *at = i < end ? i + 1 : i;
    return 1;
}

static int percents_are_good(const uint8_t *text, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        if (text[i] == '%' && hex_behind(text, i, len) < 2)
            return 0;
    return 1;
}

int gn_params_read(const uint8_t *buf, const gn_msg *m, gn_params *out)
{
    uint32_t at = m->params.off, end = at + m->params.len;
    gn_span key, value;
    int percents = m->params.len && memchr(buf + at, '%', m->params.len);

    memset(out, 0, sizeof *out);
    out->prio = GN_PRIO_DEFAULT;
    while (next_pair(buf, &at, end, &key, &value)) {
        int param = gn_param_index(buf + key.off, key.len), code;

        if (percents && !percents_are_good(buf + value.off, value.len))
            return GN_BAD_PERCENT;
        if (param >= 0 && (code = store(out, buf, param, value)))
            return code;
    }
    return at == end ? GN_OK : GN_BAD_PARAM;
}

int gn_param_find(const uint8_t *buf, const gn_msg *m, const char *key, gn_span *value)
{
    uint32_t at = m->params.off, end = at + m->params.len;
    size_t len = strlen(key);
    gn_span k, v;
    int found = 0;

    while (next_pair(buf, &at, end, &k, &v))
        if (k.len == len && !memcmp(buf + k.off, key, len)) {
            *value = v;
            found = 1;
        }
    return found;
}
