/* blobs.c - how many tasks refer to which blob of the spool, and which none refers to any longer. */
#include "core/internal.h"

#define DROP offsetof(struct gn_blob, drop)

static const char *name_of(const gn_core *core, uint32_t i, size_t *len)
{
    *len = GN_BLOB_HEX;
    return gn_blob_at(core, i)->name;
}

/* <sha256, 64 hex digits>.<bytes> */
int gn_blob_is(const char *value, size_t len)
{
    uint64_t bytes;
    if (len < GN_BLOB_HEX + 2 || value[GN_BLOB_HEX] != '.' ||
        !gn_read_u64(value + GN_BLOB_HEX + 1, len - GN_BLOB_HEX - 1, &bytes))
        return 0;
    for (int i = 0; i < GN_BLOB_HEX; i++)
        if (!((value[i] >= '0' && value[i] <= '9') || (value[i] >= 'a' && value[i] <= 'f')))
            return 0;
    return 1;
}

static uint32_t find(const gn_core *core, const char *name, uint32_t *hash)
{
    *hash = (uint32_t)gn_hash(core->config.seed, name, GN_BLOB_HEX);
    return gn_names_find(core, &core->blob_names, name_of, *hash, name, GN_BLOB_HEX);
}

uint32_t gn_blob_ref(gn_core *core, const char *value, size_t len)
{
    uint32_t hash, i = find(core, value, &hash);
    (void)len;
    if (i == GN_NIL) {
        if (!gn_names_reserve(&core->blob_names) || (i = gn_pool_take(&core->blobs)) == GN_NIL)
            return GN_NIL;
        struct gn_blob *b = gn_blob_at(core, i);
        b->self = i;
        b->hash = hash;
        memcpy(b->name, value, GN_BLOB_HEX);
        gn_names_add(&core->blob_names, hash, i);
    }
    struct gn_blob *b = gn_blob_at(core, i);
    if (b->dropping)
        gn_list_drop(&core->blobs, DROP, &core->blob_drops, i);
    b->dropping = 0;
    if (b->refs++ == 0 && !core->replaying)
        gn_blob_keep(core, i);
    return i;
}

void gn_blob_keep(gn_core *core, uint32_t blob)
{
    struct gn_blob *b = gn_blob_at(core, blob);
    if (b->keeping)
        return;
    b->keeping = 1;
    gn_list_push(&core->blobs, DROP, &core->blob_keeps, blob);
}

void gn_blob_unref(gn_core *core, uint32_t blob)
{
    if (blob == GN_NIL || --gn_blob_at(core, blob)->refs > 0)
        return;
    struct gn_blob *b = gn_blob_at(core, blob);
    if (b->keeping)
        gn_list_drop(&core->blobs, DROP, &core->blob_keeps, blob);
    b->keeping = 0;
    b->dropping = 1;
    gn_list_push(&core->blobs, DROP, &core->blob_drops, blob);
}

uint32_t gn_core_blob_refs(const gn_core *core, const char *name)
{
    uint32_t hash;
    if (strlen(name) < GN_BLOB_HEX)
        return 0;
    uint32_t i = find(core, name, &hash);
    return i == GN_NIL ? 0 : gn_blob_at(core, i)->refs;
}
