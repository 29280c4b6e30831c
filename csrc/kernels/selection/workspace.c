/* The global workspace: a few items, a ring of leaders, all in memory whose size is fixed at the start.
 *
 * Layout of a state: the head below, `capacity` items, `capacity` contents of `width` floats, the ring of ids. An item
 * keeps its place while it lives, so its content is never moved.
 */
#include "ganglion/kernels/selection.h"

#include <math.h>
#include <string.h>

enum { MAGIC = 0x47574b31, WIDTH_MAX = 1 << 20 };

struct item {
    uint64_t id, entered; /* entered 0: a free place */
    float salience;
    uint32_t unused;
};

struct workspace {
    uint32_t magic, capacity, width, history;
    uint64_t clock;      /* of entries: 1 is the first */
    uint64_t broadcasts; /* that had a leader */
    float floor;
    uint32_t unused;
    struct item items[];
};

static size_t contents_at(size_t capacity) { return sizeof(struct workspace) + capacity * sizeof(struct item); }

static size_t ring_at(size_t capacity, size_t width)
{
    return (contents_at(capacity) + capacity * width * sizeof(float) + 7) / 8 * 8;
}

static float *content_of(struct workspace *ws, size_t place)
{
    return (float *)((char *)ws + contents_at(ws->capacity)) + place * ws->width;
}

static uint64_t *ring_of(const struct workspace *ws)
{
    return (uint64_t *)((uintptr_t)ws + ring_at(ws->capacity, ws->width));
}

size_t gn_workspace_size(size_t capacity, size_t width, size_t history)
{
    if (capacity < 1 || capacity > GN_WORKSPACE_CAPACITY_MAX || width > WIDTH_MAX || history > GN_WORKSPACE_HISTORY_MAX)
        return 0;
    return ring_at(capacity, width) + history * sizeof(uint64_t);
}

static int faulty(const struct workspace *ws)
{
    if (!ws)
        return GN_K_NULL;
    if ((uintptr_t)ws % 8 || ws->magic != MAGIC || !gn_workspace_size(ws->capacity, ws->width, ws->history))
        return GN_K_FORMAT;
    return GN_K_OK;
}

int gn_workspace_init(void *state, size_t capacity, size_t width, size_t history, float floor)
{
    struct workspace *ws = state;
    size_t size = gn_workspace_size(capacity, width, history);
    if (!size)
        return GN_K_SIZE;
    if (!state)
        return GN_K_NULL;
    if (!(floor > 0) || isinf(floor) || (uintptr_t)state % 8)
        return GN_K_VALUE;
    memset(state, 0, size);
    ws->magic = MAGIC;
    ws->capacity = (uint32_t)capacity;
    ws->width = (uint32_t)width;
    ws->history = (uint32_t)history;
    ws->floor = floor;
    return GN_K_OK;
}

/* Whether a comes before b in a broadcast. */
static int stronger(const struct item *a, const struct item *b)
{
    return a->salience != b->salience ? a->salience > b->salience : a->entered < b->entered;
}

struct places {
    struct item *same, *free, *weakest; /* NULL where there is none */
};

/* Of the weakest the oldest goes first: what is new and as strong has been heard less. */
static struct places survey(struct workspace *ws, uint64_t id)
{
    struct places found = {NULL, NULL, NULL};
    for (size_t i = 0; i < ws->capacity; i++) {
        struct item *item = &ws->items[i];
        if (!item->entered) {
            found.free = found.free ? found.free : item;
            continue;
        }
        if (item->id == id)
            found.same = item;
        if (!found.weakest || item->salience < found.weakest->salience ||
            (item->salience == found.weakest->salience && item->entered < found.weakest->entered))
            found.weakest = item;
    }
    return found;
}

int gn_workspace_offer(void *state, uint64_t id, float salience, const float *content, int *outcome, uint64_t *gone)
{
    struct workspace *ws = state;
    int status = faulty(ws), told = GN_WORKSPACE_ENTERED;
    struct places places;
    struct item *into;
    if (status != GN_K_OK)
        return status;
    if (!isfinite(salience))
        return GN_K_VALUE;
    if (ws->width && !content)
        return GN_K_NULL;
    places = survey(ws, id);
    into = places.same ? places.same : places.free;
    if (places.same) {
        told = GN_WORKSPACE_RENEWED;
        salience = fmaxf(salience, into->salience);
    } else if (salience < ws->floor || (!into && salience <= places.weakest->salience)) {
        told = GN_WORKSPACE_REFUSED;
    } else if (!into) {
        told = GN_WORKSPACE_REPLACED;
        into = places.weakest;
        if (gone)
            *gone = into->id;
    }
    if (told != GN_WORKSPACE_REFUSED) {
        if (told != GN_WORKSPACE_RENEWED)
            into->entered = ++ws->clock;
        into->id = id;
        into->salience = salience;
        if (ws->width)
            memmove(content_of(ws, (size_t)(into - ws->items)), content, ws->width * sizeof *content);
    }
    if (outcome)
        *outcome = told;
    return GN_K_OK;
}

int gn_workspace_decay(void *state, float factor, size_t *left)
{
    struct workspace *ws = state;
    int status = faulty(ws);
    size_t count = 0;
    if (status != GN_K_OK)
        return status;
    if (!(factor >= 0 && factor <= 1))
        return GN_K_VALUE;
    for (size_t i = 0; i < ws->capacity; i++) {
        struct item *item = &ws->items[i];
        item->salience *= factor;
        if (item->salience < ws->floor)
            item->entered = 0;
        count += item->entered != 0;
    }
    if (left)
        *left = count;
    return GN_K_OK;
}

/* The items' places, the strongest first: so few that insertion is quickest. */
static size_t ranked(const struct workspace *ws, size_t *places)
{
    size_t count = 0;
    for (size_t i = 0; i < ws->capacity; i++) {
        size_t at = count;
        if (!ws->items[i].entered)
            continue;
        for (; at && stronger(&ws->items[i], &ws->items[places[at - 1]]); at--)
            places[at] = places[at - 1];
        places[at] = i;
        count++;
    }
    return count;
}

int gn_workspace_broadcast(void *state, size_t *count, uint64_t *ids, float *saliences, float *contents)
{
    struct workspace *ws = state;
    int status = faulty(ws);
    size_t places[GN_WORKSPACE_CAPACITY_MAX], ranks;
    if (status != GN_K_OK)
        return status;
    if (!count)
        return GN_K_NULL;
    *count = ranks = ranked(ws, places);
    for (size_t i = 0; i < ranks; i++) {
        if (ids)
            ids[i] = ws->items[places[i]].id;
        if (saliences)
            saliences[i] = ws->items[places[i]].salience;
        if (contents && ws->width)
            memcpy(contents + i * ws->width, content_of(ws, places[i]), ws->width * sizeof *contents);
    }
    if (ranks && ws->history)
        ring_of(ws)[ws->broadcasts++ % ws->history] = ws->items[places[0]].id;
    return GN_K_OK;
}

int gn_workspace_history(const void *state, size_t room, uint64_t *ids, size_t *count)
{
    const struct workspace *ws = state;
    int status = faulty(ws);
    size_t kept;
    if (status != GN_K_OK)
        return status;
    if (!count || (room && !ids))
        return GN_K_NULL;
    kept = ws->broadcasts < ws->history ? (size_t)ws->broadcasts : ws->history;
    *count = kept < room ? kept : room;
    for (size_t i = 0; i < *count; i++)
        ids[i] = ring_of(ws)[(ws->broadcasts - 1 - i) % ws->history];
    return GN_K_OK;
}
