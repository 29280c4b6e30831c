/* pool.c - objects by index, in chunks that never move, and intrusive lists over them. */
#include <stdlib.h>

#include "core/internal.h"

int gn_pool_open(struct gn_pool *pool, size_t item_bytes, uint32_t bound)
{
    *pool = (struct gn_pool){.item_bytes = (uint32_t)item_bytes, .bound = bound, .free = GN_NIL};
    pool->chunk = calloc((size_t)bound / GN_CHUNK + 1, sizeof *pool->chunk);
    return pool->chunk != NULL;
}

void gn_pool_close(struct gn_pool *pool)
{
    for (uint32_t i = 0; pool->chunk != NULL && i <= pool->bound / GN_CHUNK; i++)
        free(pool->chunk[i]);
    free(pool->chunk);
    pool->chunk = NULL;
}

uint32_t gn_pool_take(struct gn_pool *pool)
{
    uint32_t i = pool->free;
    if (i != GN_NIL) {
        memcpy(&pool->free, gn_pool_at(pool, i), sizeof pool->free);
    } else {
        if (pool->high >= pool->bound)
            return GN_NIL;
        uint8_t **chunk = &pool->chunk[pool->high / GN_CHUNK];
        if (*chunk == NULL) {
            /* The first chunk of a table with a small bound need not be a whole one. */
            size_t items = pool->bound < GN_CHUNK ? pool->bound : GN_CHUNK;
            *chunk = calloc(items, pool->item_bytes);
            if (*chunk == NULL)
                return GN_NIL;
        }
        i = pool->high++;
    }
    memset(gn_pool_at(pool, i), 0, pool->item_bytes);
    pool->live++;
    return i;
}

void gn_pool_give(struct gn_pool *pool, uint32_t i)
{
    /* Zeroed, so that a walk over all indices sees it is not live (state, live, ... are 0). */
    memset(gn_pool_at(pool, i), 0, pool->item_bytes);
    memcpy(gn_pool_at(pool, i), &pool->free, sizeof pool->free);
    pool->free = i;
    pool->live--;
}

void gn_list_push(const struct gn_pool *pool, size_t off, struct gn_list *list, uint32_t i)
{
    struct gn_node *node = gn_node_at(pool, i, off);
    node->next = GN_NIL;
    node->prev = list->tail;
    if (list->tail != GN_NIL)
        gn_node_at(pool, list->tail, off)->next = i;
    else
        list->head = i;
    list->tail = i;
    list->count++;
}

void gn_list_put(const struct gn_pool *pool, size_t off, struct gn_list *list, uint32_t i, uint32_t behind)
{
    struct gn_node *node = gn_node_at(pool, i, off);
    uint32_t *from = behind == GN_NIL ? &list->head : &gn_node_at(pool, behind, off)->next;
    node->prev = behind;
    node->next = *from;
    *from = i;
    if (node->next != GN_NIL)
        gn_node_at(pool, node->next, off)->prev = i;
    else
        list->tail = i;
    list->count++;
}

void gn_list_drop(const struct gn_pool *pool, size_t off, struct gn_list *list, uint32_t i)
{
    struct gn_node *node = gn_node_at(pool, i, off);
    if (node->prev != GN_NIL)
        gn_node_at(pool, node->prev, off)->next = node->next;
    else
        list->head = node->next;
    if (node->next != GN_NIL)
        gn_node_at(pool, node->next, off)->prev = node->prev;
    else
        list->tail = node->prev;
    node->next = node->prev = GN_NIL;
    list->count--;
}
