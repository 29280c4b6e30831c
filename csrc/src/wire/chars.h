/* chars.h - which byte may stand where in a header, and the registries looked up by word.
 *
 * Private to wire/. The table is the whole alphabet of the grammar: every test of a byte in
 * parse.c, params.c, format.c and escape.c is one load and one mask.
 */
#ifndef GANGLION_WIRE_CHARS_H
#define GANGLION_WIRE_CHARS_H

#include <stddef.h>
#include <stdint.h>

enum {
    GN_CHAR_ACTION_FIRST = 1, /* A-Z */
    GN_CHAR_ACTION = 2,       /* A-Z 0-9 _ */
    GN_CHAR_TASK = 4,         /* letters digits - _ . */
    GN_CHAR_KEY = 8,          /* a-z 0-9 _ */
    GN_CHAR_VALUE = 16,       /* printable ASCII but : ; % */
    GN_CHAR_HEX = 32,         /* 0-9 A-F a-f */
    GN_CHAR_PLAIN = 64,       /* gn_escape leaves it as it is: a VALUE other than space */
    GN_CHAR_KEY_FIRST = 128   /* a-z */
};

extern const uint8_t gn_chars[256];

static inline int gn_is(uint8_t byte, unsigned mask)
{
    return (gn_chars[byte] & mask) != 0;
}

/* The number of a verb or parameter in its registry, or 0 (verbs) and -1 (parameters). */
int gn_verb_find(const uint8_t *word, size_t len);
int gn_param_index(const uint8_t *key, size_t len);

/* A decimal number of digits only. 1 and *value set, or 0 (empty, another byte, over 2^64 - 1). */
int gn_number(const uint8_t *text, size_t len, uint64_t *value);

/* Walk "key=value;key=value" (no first ";") up to len, or to the ":" that ends a header.
 * Returns 0 or GN_BAD_PARAM / GN_BAD_PERCENT. Offsets are from text. */
struct gn_walk {
    uint32_t at;               /* where it stopped: len, or the colon */
    uint32_t len_off, len_len; /* the value of the last len=; len_off UINT32_MAX when none stood there */
    int ended;                 /* with a code: the text ended where more was due */
};
int gn_params_walk(const uint8_t *text, uint32_t len, struct gn_walk *walk);

#endif
