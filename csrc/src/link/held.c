/* held.c - see held.h. Linear probing; who leaves is filled up from behind, so no place is ever marked as dead. */
#include "link/held.h"

#include <stdlib.h>
#include <string.h>

#define PLACES_FIRST 64
#define BATCH 64
#define PAIR_BYTES_MAX (GN_TASK_BYTES_MAX + 22) /* name, "=", 20 digits, "," */

void gn_held_free(struct gn_held *held)
{
    free(held->place);
    memset(held, 0, sizeof *held);
}

static uint32_t hash_of(const uint8_t *name, size_t len)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ name[i]) * 16777619u;
    return hash;
}

/* The token in m's header: 1 and *token, or 0. */
static int token_of(const uint8_t *base, const gn_msg *m, uint64_t *token)
{
    gn_span value;

    *token = 0;
    if (!gn_param_find(base, m, "token", &value) || !value.len)
        return 0;
    for (uint32_t i = 0; i < value.len; i++)
        *token = *token * 10 + (uint64_t)(base[value.off + i] - '0');
    return 1;
}

/* The place of this lease (of any of the task, without a token), or `places`. */
static uint32_t find(const struct gn_held *held, const uint8_t *name, size_t len, int has_token, uint64_t token)
{
    uint32_t hash = hash_of(name, len), mask = held->places - 1;

    for (uint32_t i = hash & mask; held->count && held->place[i].name_len; i = (i + 1) & mask) {
        const struct gn_lease *lease = &held->place[i];

        if (lease->hash == hash && lease->name_len == len && (!has_token || lease->token == token) &&
            !memcmp(lease->name, name, len))
            return i;
    }
    return held->places;
}

static void put(struct gn_held *held, const struct gn_lease *lease)
{
    uint32_t i = lease->hash & (held->places - 1);

    while (held->place[i].name_len)
        i = (i + 1) & (held->places - 1);
    held->place[i] = *lease;
    held->count++;
}

static int grow(struct gn_held *held)
{
    struct gn_held bigger = {.places = held->places ? 2 * held->places : PLACES_FIRST, .newest = held->newest};

    bigger.place = calloc(bigger.places, sizeof *bigger.place);
    if (!bigger.place)
        return -1;
    for (uint32_t i = 0; i < held->places; i++)
        if (held->place[i].name_len)
            put(&bigger, &held->place[i]);
    free(held->place);
    *held = bigger;
    return 0;
}

void gn_held_take(struct gn_held *held, const uint8_t *base, const gn_msg *task)
{
    const uint8_t *name = base + task->task.off;
    size_t len = task->task.len;
    struct gn_lease lease;

    if (!token_of(base, task, &lease.token) || !len || len > sizeof lease.name)
        return;
    held->newest = lease.token;
    if (find(held, name, len, 1, lease.token) < held->places || (2 * held->count >= held->places && grow(held)))
        return;
    lease.hash = hash_of(name, len);
    lease.name_len = (uint8_t)len;
    memcpy(lease.name, name, len);
    put(held, &lease);
}

static void drop(struct gn_held *held, uint32_t hole)
{
    uint32_t mask = held->places - 1;

    for (uint32_t i = (hole + 1) & mask; held->place[i].name_len; i = (i + 1) & mask) {
        uint32_t home = held->place[i].hash & mask;

        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* it may not stand before its home */
        held->place[hole] = held->place[i];
        hole = i;
    }
    held->place[hole].name_len = 0;
    held->count--;
}

static int is_outcome(const gn_msg *m)
{
    return m->type == GN_RESPONSE && (m->verb == GN_VERB_TASK_COMPLETED || m->verb == GN_VERB_TASK_FAILED ||
                                      m->verb == GN_VERB_TASK_RELEASED || m->verb == GN_VERB_TASK_BURIED);
}

void gn_held_sent(struct gn_held *held, const uint8_t *buf, size_t len)
{
    gn_parser parser = {0};
    gn_msg batch[BATCH];
    size_t at = 0, used = 0, n;

    for (; held->count && at < len; at += used) {
        n = gn_parse(&parser, buf + at, len - at, 1, batch, BATCH, &used);
        for (size_t i = 0; i < n; i++) {
            const uint8_t *base = buf + at;
            uint64_t token;
            int has_token;
            uint32_t place;

            if (batch[i].code || !is_outcome(&batch[i]))
                continue;
            has_token = token_of(base, &batch[i], &token);
            place = find(held, base + batch[i].task.off, batch[i].task.len, has_token, token);
            if (place < held->places)
                drop(held, place);
        }
        if (!n)
            break;
    }
}

int gn_held_lacks(const struct gn_held *held, const uint8_t *base, const gn_msg *m)
{
    uint64_t token;
    int has_token = token_of(base, m, &token);

    return find(held, base + m->task.off, m->task.len, has_token, token) == held->places;
}

size_t gn_held_write(const struct gn_held *held, uint32_t *at, char *dst, size_t cap)
{
    size_t n = 0;

    for (; *at < held->places && n + PAIR_BYTES_MAX <= cap; ++*at) {
        const struct gn_lease *lease = &held->place[*at];
        char digits[20];
        size_t digit = sizeof digits;
        uint64_t token = lease->token;

        if (!lease->name_len)
            continue;
        if (n)
            dst[n++] = ',';
        memcpy(dst + n, lease->name, lease->name_len);
        n += lease->name_len;
        dst[n++] = '=';
        do
            digits[--digit] = (char)('0' + token % 10);
        while (token /= 10);
        memcpy(dst + n, digits + digit, sizeof digits - digit);
        n += sizeof digits - digit;
    }
    return n;
}
