/* codes.c - the registry of codes.h as functions, for those who cannot read X-macros. */
#include "ganglion/codes.h"

#define OWNER_PEER "PEER"
#define OWNER_STATE "STATE"
#define OWNER_HOST "HOST"

static const struct {
    const char *word, *owner, *text;
} codes[GN_CODE_COUNT] = {
#define X(name, word, owner, text) {word, OWNER_##owner, text},
    GN_CODES(X)
#undef X
};

static int known(int code)
{
    return code >= 0 && code < GN_CODE_COUNT;
}

int gn_code_count(void)
{
    return GN_CODE_COUNT;
}

const char *gn_code_word(int code)
{
    return known(code) ? codes[code].word : "unknown";
}

const char *gn_code_text(int code)
{
    return known(code) ? codes[code].text : "no such code";
}

const char *gn_code_owner(int code)
{
    return known(code) ? codes[code].owner : "HOST";
}
