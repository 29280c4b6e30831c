/* beat.c - what an agent says of itself: REGISTER with how many leases it holds, HEARTBEAT with which. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link/agent.h"

#define PARAMS_BYTES_MAX 64 /* ;token=<20 digits>;more=1: and the LF */
#define FROM_BYTES_MAX 80   /* what a link over queues adds */

static int reserve(gn_runtime *rt, size_t more)
{
    size_t cap = rt->beat_cap ? rt->beat_cap : 4096;
    uint8_t *grown;

    while (cap - rt->beat_len < more)
        cap *= 2;
    if (cap == rt->beat_cap)
        return 0;
    grown = realloc(rt->beat, cap);
    if (!grown)
        return -1;
    rt->beat = grown;
    rt->beat_cap = cap;
    return 0;
}

static void put(gn_runtime *rt, const void *bytes, size_t len)
{
    memcpy(rt->beat + rt->beat_len, bytes, len);
    rt->beat_len += len;
}

void gn_runtime_write_beat(gn_runtime *rt)
{
    size_t whole = gn_link_message_bytes_max(rt->link), used = rt->beat_head_len + PARAMS_BYTES_MAX + FROM_BYTES_MAX;
    size_t cap = whole > used + 256 ? whole - used : 256;
    uint32_t at = 0;

    cap = cap < GN_INLINE_BYTES_MAX ? cap : GN_INLINE_BYTES_MAX;
    rt->beat_len = 0;
    do {
        char params[PARAMS_BYTES_MAX];
        size_t params_len, pairs;

        if (reserve(rt, used + cap))
            return; /* those parts that there was memory for */
        put(rt, rt->beat_head, rt->beat_head_len);
        /* Whether more follows is known when the pairs are written: they go to where they stand with the longer header. */
        params_len = (size_t)snprintf(params, sizeof params, ";token=%llu", (unsigned long long)rt->held.newest);
        pairs = gn_held_write(&rt->held, &at, (char *)rt->beat + rt->beat_len + params_len + 8, cap);
        put(rt, params, params_len);
        if (at < rt->held.places) {
            put(rt, ";more=1:", 8);
        } else {
            memmove(rt->beat + rt->beat_len + 1, rt->beat + rt->beat_len + 8, pairs);
            put(rt, ":", 1);
        }
        rt->beat_len += pairs;
        put(rt, "\n", 1);
    } while (at < rt->held.places);
}

void gn_runtime_write_register(gn_runtime *rt)
{
    const uint8_t *line = rt->register_line;
    size_t len = rt->config.register_len, body = rt->register_body;
    char holds[32];

    rt->beat_len = 0;
    rt->said_holds = rt->held.count && body;
    if (reserve(rt, len + sizeof holds))
        return;
    if (!rt->said_holds) {
        put(rt, line, len);
        return;
    }
    put(rt, line, body);
    put(rt, holds, (size_t)snprintf(holds, sizeof holds, "\"holds\":%u%s", rt->held.count, line[body] == '}' ? "" : ","));
    put(rt, line + body, len - body);
}
