/* words.c - the alphabet, and the registries of wire.h by number and by word.
 *
 * The lookup tables are filled from the registries before main() (or when the library is loaded), so
 * that a word added to wire.h is found without a second list. After that they are only read.
 */
#include "ganglion/wire.h"

#include <string.h>

#include "wire/chars.h"

#define UPPER (GN_CHAR_ACTION_FIRST | GN_CHAR_ACTION | GN_CHAR_TASK | GN_CHAR_VALUE | GN_CHAR_PLAIN)
#define LOWER (GN_CHAR_TASK | GN_CHAR_KEY | GN_CHAR_KEY_FIRST | GN_CHAR_VALUE | GN_CHAR_PLAIN)
#define OTHER (GN_CHAR_VALUE | GN_CHAR_PLAIN)

const uint8_t gn_chars[256] = {
    [' '] = GN_CHAR_VALUE,
    ['!' ... '$'] = OTHER,
    ['&' ... ','] = OTHER,
    ['-' ... '.'] = OTHER | GN_CHAR_TASK,
    ['/'] = OTHER,
    ['0' ... '9'] = OTHER | GN_CHAR_ACTION | GN_CHAR_TASK | GN_CHAR_KEY | GN_CHAR_HEX,
    ['<' ... '@'] = OTHER,
    ['A' ... 'F'] = UPPER | GN_CHAR_HEX,
    ['G' ... 'Z'] = UPPER,
    ['[' ... '^'] = OTHER,
    ['_'] = OTHER | GN_CHAR_ACTION | GN_CHAR_TASK | GN_CHAR_KEY,
    ['`'] = OTHER,
    ['a' ... 'f'] = LOWER | GN_CHAR_HEX,
    ['g' ... 'z'] = LOWER,
    ['{' ... '~'] = OTHER,
};

static const char *const verbs[GN_VERB_COUNT] = {
    [GN_VERB_NONE] = "",
#define X(name) [GN_VERB_##name] = #name,
    GN_VERBS(X)
#undef X
};

static const char *const params[GN_PARAM_COUNT] = {
#define X(name, key, kind) [GN_PARAM_##name] = key,
    GN_PARAMS(X)
#undef X
};

static const char *const types[] = {"CONTROL", "DATA", "RESPONSE", "ACK"};

/* Open addressing; at most a third full, so a miss ends after a step or two. */
#define SLOTS 128
_Static_assert(GN_VERB_COUNT < SLOTS / 2 && GN_PARAM_COUNT < SLOTS / 2, "make SLOTS larger");

struct slot {
    const char *word;
    uint8_t len, number;
};

static struct slot verb_slots[SLOTS], param_slots[SLOTS];

static unsigned slot_of(const uint8_t *word, size_t len)
{
    return (unsigned)(word[0] * 7u + word[len / 2] * 29u + word[len - 1] * 3u + len * 11u) % SLOTS;
}

static void put(struct slot *slots, const char *word, int number)
{
    size_t len = strlen(word);
    unsigned at = slot_of((const uint8_t *)word, len);

    while (slots[at].word)
        at = (at + 1) % SLOTS;
    slots[at] = (struct slot){word, (uint8_t)len, (uint8_t)number};
}

static const struct slot *find(const struct slot *slots, const uint8_t *word, size_t len)
{
    if (!len)
        return NULL;
    for (unsigned at = slot_of(word, len); slots[at].word; at = (at + 1) % SLOTS)
        if (slots[at].len == len && !memcmp(slots[at].word, word, len))
            return &slots[at];
    return NULL;
}

__attribute__((constructor)) static void fill_slots(void)
{
    for (int i = GN_VERB_NONE + 1; i < GN_VERB_COUNT; i++)
        put(verb_slots, verbs[i], i);
    for (int i = 0; i < GN_PARAM_COUNT; i++)
        put(param_slots, params[i], i);
}

int gn_verb_find(const uint8_t *word, size_t len)
{
    const struct slot *slot = find(verb_slots, word, len);

    return slot ? slot->number : GN_VERB_NONE;
}

int gn_param_index(const uint8_t *key, size_t len)
{
    const struct slot *slot = find(param_slots, key, len);

    return slot ? slot->number : -1;
}

int gn_verb_count(void)
{
    return GN_VERB_COUNT;
}

const char *gn_verb_name(int verb)
{
    return verb >= 0 && verb < GN_VERB_COUNT ? verbs[verb] : "";
}

int gn_param_count(void)
{
    return GN_PARAM_COUNT;
}

const char *gn_param_key(int param)
{
    return param >= 0 && param < GN_PARAM_COUNT ? params[param] : "";
}

const char *gn_type_name(int type)
{
    return type >= GN_CONTROL && type <= GN_ACK ? types[type] : "";
}
