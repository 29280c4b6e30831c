/* text.c - a growing buffer, and JSON strings written into it so that they are always JSON. */
#include <stdlib.h>

#include "core/internal.h"

int gn_text_reserve(struct gn_text *t, size_t more)
{
    if (t->len + more <= t->cap)
        return 1;
    size_t cap = t->cap == 0 ? 4096 : t->cap * 2;
    while (cap < t->len + more)
        cap *= 2;
    char *p = realloc(t->p, cap);
    if (p == NULL) {
        t->failed = 1;
        return 0;
    }
    t->p = p;
    t->cap = cap;
    return 1;
}

void gn_text_put(struct gn_text *t, const char *p, size_t n)
{
    if (n == 0 || !gn_text_reserve(t, n))
        return;
    memcpy(t->p + t->len, p, n);
    t->len += n;
}

void gn_text_str(struct gn_text *t, const char *s)
{
    gn_text_put(t, s, strlen(s));
}

size_t gn_u64(char *dst, uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    for (size_t i = 0; i < n; i++)
        dst[i] = digits[n - 1 - i];
    return n;
}

void gn_text_u64(struct gn_text *t, uint64_t v)
{
    char digits[20];
    gn_text_put(t, digits, gn_u64(digits, v));
}

int gn_read_u64(const char *s, size_t n, uint64_t *out)
{
    uint64_t v = 0;
    if (n == 0 || n > 20)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || v > (UINT64_MAX - (uint64_t)(s[i] - '0')) / 10)
            return 0;
        v = v * 10 + (uint64_t)(s[i] - '0');
    }
    *out = v;
    return 1;
}

/* The length of the UTF-8 character at s (RFC 3629: no surrogates, nothing over-long), or 0. */
size_t gn_utf8(const uint8_t *s, size_t n)
{
    size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

void gn_text_json(struct gn_text *t, const char *s, size_t n)
{
    static const char HEX[] = "0123456789abcdef";
    gn_text_put(t, "\"", 1);
    for (size_t i = 0; i < n;) {
        uint8_t c = (uint8_t)s[i];
        size_t len = gn_utf8((const uint8_t *)s + i, n - i);
        if (c == '"' || c == '\\') {
            char escaped[2] = {'\\', (char)c};
            gn_text_put(t, escaped, 2);
        } else if (c < 0x20 || c == 0x7f) {
            char escaped[6] = {'\\', 'u', '0', '0', HEX[c >> 4], HEX[c & 15]};
            gn_text_put(t, escaped, 6);
        } else if (len == 0) {
            gn_text_put(t, "\\ufffd", 6);
        } else {
            gn_text_put(t, s + i, len);
        }
        i += len == 0 ? 1 : len;
    }
    gn_text_put(t, "\"", 1);
}

/* ---- members of an object ------------------------------------------------------------------------------ */

void gn_member_key(struct gn_text *t, const char *name)
{
    if (t->len > 0 && t->p[t->len - 1] != '{' && t->p[t->len - 1] != '[')
        gn_text_put(t, ",", 1);
    if (name == NULL)
        return;
    gn_text_json(t, name, strlen(name));
    gn_text_put(t, ":", 1);
}

void gn_member_number(struct gn_text *t, const char *name, uint64_t v)
{
    gn_member_key(t, name);
    gn_text_u64(t, v);
}

void gn_member_string(struct gn_text *t, const char *name, const char *s, size_t n)
{
    gn_member_key(t, name);
    if (s == NULL)
        gn_text_str(t, "null");
    else
        gn_text_json(t, s, n);
}

void gn_member_flag(struct gn_text *t, const char *name, int on)
{
    gn_member_key(t, name);
    gn_text_str(t, on ? "true" : "false");
}
