/* core_check.h - what the tests of the dispatch core share: a check that ends the program, a core, what it has to say. */
#ifndef GN_CORE_CHECK_H
#define GN_CORE_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);       \
            exit(1);                                                              \
        }                                                                         \
    } while (0)

static gn_core *make(void (*change)(gn_core_config *))
{
    gn_core_config config;
    gn_core_defaults(&config);
    config.seed = 42;
    if (change != NULL)
        change(&config);
    gn_core *core = gn_core_new(&config);
    CHECK(core != NULL);
    return core;
}

/* What may leave on a link, taken, as a string; at most one call old. */
static const char *output(gn_core *core, int64_t now, int link)
{
    static char text[1 << 22];
    size_t len;
    int whole;
    const uint8_t *out = gn_core_output(core, link, sizeof text - 1, &len, &whole);
    if (len > 0)
        memcpy(text, out, len);
    text[len] = 0;
    gn_core_sent(core, now, link, len);
    return text;
}

#endif
