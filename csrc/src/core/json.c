/* json.c - a strict reader of one flat JSON object: strings, numbers, true, false, null, and
 * lists of these. Nothing is copied, nothing recurses; anything else is "not flat JSON". */
#include "core/internal.h"

static void space(struct gn_json *j)
{
    while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
        j->at++;
}

static int take(struct gn_json *j, uint8_t c)
{
    space(j);
    if (j->at >= j->end || *j->at != c)
        return 0;
    j->at++;
    return 1;
}

static int hex4(const uint8_t *p, const uint8_t *end, uint32_t *out)
{
    if (end - p < 4)
        return 0;
    *out = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i];
        uint32_t digit = c >= '0' && c <= '9' ? c - '0' + 0u : c >= 'a' && c <= 'f' ? c - 'a' + 10u : c >= 'A' && c <= 'F' ? c - 'A' + 10u : 16;
        if (digit > 15)
            return 0;
        *out = *out * 16 + digit;
    }
    return 1;
}

/* One escape behind the backslash at p: its code point, and how far it goes; 0: bad. */
static size_t escape(const uint8_t *p, const uint8_t *end, uint32_t *point)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    if (p >= end)
        return 0;
    const char *plain = *p == 0 ? NULL : strchr(FROM, *p);
    if (plain != NULL) {
        *point = (uint8_t)TO[plain - FROM];
        return 1;
    }
    if (*p != 'u' || !hex4(p + 1, end, point) || (*point >= 0xdc00 && *point <= 0xdfff))
        return 0;
    if (*point < 0xd800 || *point > 0xdbff)
        return 5;
    uint32_t low;
    if (end - p < 11 || p[5] != '\\' || p[6] != 'u' || !hex4(p + 7, end, &low) || low < 0xdc00 || low > 0xdfff)
        return 0;
    *point = 0x10000 + ((*point - 0xd800) << 10) + (low - 0xdc00);
    return 11;
}

/* Over a string, from its opening quote. */
static int string(struct gn_json *j)
{
    if (!take(j, '"'))
        return 0;
    while (j->at < j->end && *j->at != '"') {
        uint32_t point;
        size_t n = *j->at == '\\' ? escape(j->at + 1, j->end, &point) : gn_utf8(j->at, (size_t)(j->end - j->at));
        if (n == 0 || *j->at < 0x20)
            return 0;
        j->at += n + (*j->at == '\\');
    }
    return take(j, '"');
}

static int digits(struct gn_json *j)
{
    const uint8_t *start = j->at;
    while (j->at < j->end && *j->at >= '0' && *j->at <= '9')
        j->at++;
    return j->at > start;
}

static int number(struct gn_json *j)
{
    if (*j->at == '-')
        j->at++;
    const uint8_t *start = j->at;
    if (!digits(j) || (*start == '0' && j->at > start + 1))
        return 0;
    if (j->at < j->end && *j->at == '.') {
        j->at++;
        if (!digits(j))
            return 0;
    }
    if (j->at < j->end && (*j->at == 'e' || *j->at == 'E')) {
        j->at++;
        if (j->at < j->end && (*j->at == '+' || *j->at == '-'))
            j->at++;
        return digits(j);
    }
    return 1;
}

static int word(struct gn_json *j)
{
    static const char *const WORDS[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(WORDS[i]);
        if ((size_t)(j->end - j->at) >= n && memcmp(j->at, WORDS[i], n) == 0) {
            j->at += n;
            return 1;
        }
    }
    return 0;
}

static int scalar(struct gn_json *j, struct gn_json_value *v)
{
    space(j);
    v->text = j->at;
    if (j->at >= j->end)
        return 0;
    int ok;
    if (*j->at == '"') {
        v->kind = GN_JSON_STRING;
        ok = string(j);
    } else if (*j->at == '-' || (*j->at >= '0' && *j->at <= '9')) {
        v->kind = GN_JSON_NUMBER;
        ok = number(j);
    } else {
        v->kind = GN_JSON_WORD;
        ok = word(j);
    }
    v->len = (size_t)(j->at - v->text);
    return ok;
}

static int list(struct gn_json *j, struct gn_json_value *v)
{
    const uint8_t *start = j->at;
    struct gn_json_value item;
    j->at++;
    if (!take(j, ']')) {
        do
            if (!scalar(j, &item))
                return 0;
        while (take(j, ','));
        if (!take(j, ']'))
            return 0;
    }
    *v = (struct gn_json_value){GN_JSON_LIST, start, (size_t)(j->at - start)};
    return 1;
}

int gn_json_open(struct gn_json *j, const uint8_t *text, size_t len)
{
    *j = (struct gn_json){text, text + len, 1};
    return take(j, '{');
}

int gn_json_next(struct gn_json *j, char *key, size_t cap, struct gn_json_value *value)
{
    if (take(j, '}')) {
        space(j);
        return j->at == j->end ? 0 : -1;
    }
    if (!j->first && !take(j, ','))
        return -1;
    j->first = 0;
    struct gn_json_value name;
    space(j);
    if (j->at >= j->end || *j->at != '"' || !scalar(j, &name) || !take(j, ':'))
        return -1;
    if (gn_json_string(&name, key, cap) < 0)
        key[0] = 0; /* too long for any key we know: an unknown one */
    space(j);
    int ok = j->at < j->end && *j->at == '[' ? list(j, value) : scalar(j, value);
    return ok ? 1 : -1;
}

int gn_json_item(struct gn_json_value *rest, struct gn_json_value *item)
{
    if (*rest->text == ']')
        return 0;
    struct gn_json j = {rest->text + 1, rest->text + rest->len, 0}; /* behind the bracket or comma; it was checked as a whole before */
    space(&j);
    if (*j.at == ']' || !scalar(&j, item))
        return 0;
    space(&j);
    rest->len -= (size_t)(j.at - rest->text);
    rest->text = j.at;
    return 1;
}

static size_t put_utf8(char *dst, uint32_t c)
{
    if (c < 0x80) {
        dst[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        dst[i] = (char)(0x80 | (c & 0x3f));
    dst[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    return n;
}

ptrdiff_t gn_json_string(const struct gn_json_value *v, char *dst, size_t cap)
{
    if (v->kind != GN_JSON_STRING)
        return -1;
    const uint8_t *p = v->text + 1, *end = v->text + v->len - 1;
    size_t n = 0;
    while (p < end) {
        uint32_t point = *p;
        if (n + 5 > cap)
            return -1;
        if (*p == '\\') {
            p += 1 + escape(p + 1, end, &point);
            n += put_utf8(dst + n, point);
        } else {
            dst[n++] = (char)*p++;
        }
        if (dst[n - 1] == 0)
            return -1;
    }
    dst[n] = 0;
    return (ptrdiff_t)n;
}
